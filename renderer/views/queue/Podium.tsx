import { ChevronRight, OctagonX, Radio } from 'lucide-react';
import type { FormEvent } from 'react';
import { useState } from 'react';
import type { InputOf, OrchestratorAnswer } from '../../../shared/contract.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { PodiumState } from '../../../shared/model.ts';
import { useFront, useLive, useOperation, wireOf } from '../../core.ts';
import { formatClock, formatExact } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { Chips } from '../../parts/Field.tsx';
import { JsonTree } from '../../parts/JsonTree.tsx';
import { Part } from '../../parts/Panel.tsx';
import { EmptyState, ErrorState } from '../../parts/States.tsx';
import { Badge, JobStateMark, StatusDot } from '../../parts/Status.tsx';
import { Countdown, Time } from '../../parts/Values.tsx';
import type { Live } from '../../pump.ts';
import { ask, openQueue } from '../../ui.ts';
import { WaitWords } from './Waits.tsx';

const MESSAGES = 30;

/** The orchestrator: what it says as it says it, and orders for it. What may be ordered is for it to decide. */
export function Podium() {
  const states = useLive('podium') ?? [];
  const upstream = useLive('upstream') ?? [];
  if (states.length === 0)
    return (
      <EmptyState icon={Radio} title="No orchestrator is declared">
        A service of kind podium in the registry is followed here: its queue, its agents and its stories.
      </EmptyState>
    );
  return (
    <div className="divide-y">
      <Order />
      {states.map((state) => (
        <Followed key={state.route} state={state} />
      ))}
      {upstream.length > 0 && (
        <Part title="As it came">
          <ol aria-label="Messages of the orchestrator" className="space-y-1">
            {upstream.slice(0, MESSAGES).map((one) => (
              <Message key={one.seq} one={one} />
            ))}
          </ol>
        </Part>
      )}
    </div>
  );
}

type Action = InputOf<'OS.orchestrator.dispatch'>['action'];
const actions: readonly { value: Action; label: string }[] = [
  { value: 'enqueue_story', label: 'Story' },
  { value: 'enqueue_plan', label: 'Plan' },
  { value: 'status', label: 'Status' },
  { value: 'halt', label: 'Halt' },
];

function Order() {
  const front = useFront();
  const [action, setAction] = useState<Action>('enqueue_story');
  const [id, setId] = useState('');
  const [busy, setBusy] = useState(false);
  const [answer, setAnswer] = useState<OrchestratorAnswer | null>(null);
  const [failure, setFailure] = useState<WireError | null>(null);
  const named = action === 'enqueue_story' || action === 'enqueue_plan';
  const order = async (event: FormEvent) => {
    event.preventDefault();
    if (
      action === 'halt' &&
      !(await ask({
        title: 'Halt the orchestrator?',
        body: 'What it runs is stopped and nothing new begins until it is started again.',
        action: 'Halt',
        tone: 'danger',
      }))
    )
      return;
    setBusy(true);
    setAnswer(null);
    setFailure(null);
    await front
      .operate('OS.orchestrator.dispatch', {
        action,
        payload: {
          ...(action === 'enqueue_story' && { story_id: id.trim() }),
          ...(action === 'enqueue_plan' && { plan_id: id.trim() }),
          ...(action !== 'status' && { nonce: crypto.randomUUID() }),
        },
      })
      .then(setAnswer, (caught) => setFailure(wireOf(caught)));
    setBusy(false);
  };
  return (
    <section aria-label="Order" className="space-y-3 p-4">
      <h2 className="font-medium text-2xs text-ink-3">Order for the orchestrator</h2>
      <form onSubmit={order} className="flex flex-wrap items-center gap-2">
        <Chips<Action> label="Action" value={action} options={actions} onChange={setAction} />
        {named && (
          <input
            aria-label={action === 'enqueue_story' ? 'Story' : 'Plan'}
            value={id}
            maxLength={200}
            onChange={(event) => setId(event.target.value)}
            placeholder={action === 'enqueue_story' ? 'STORY-001' : 'SKOREQ-001'}
            spellCheck={false}
            className="h-8 min-w-28 flex-1 rounded-md bg-canvas px-2.5 text-sm outline-none hairline focus:outline-2 focus:outline-accent"
          />
        )}
        <Button
          type="submit"
          size="sm"
          tone={action === 'halt' ? 'danger' : 'primary'}
          icon={action === 'halt' ? OctagonX : undefined}
          busy={busy}
          disabled={named && id.trim() === ''}
        >
          {{ enqueue_story: 'Enqueue', enqueue_plan: 'Enqueue', halt: 'Halt', status: 'Ask' }[action]}
        </Button>
      </form>
      {failure && <ErrorState error={failure} compact />}
      {answer && <Answered answer={answer} />}
    </section>
  );
}

/** What the orchestrator says to an order; its refusal as it is. An order that is under way is followed until it ends. */
function Answered({ answer }: { answer: OrchestratorAnswer }) {
  const { job_id: job } = answer;
  const detail = useOperation('OS.jobs.get', { id: job ?? '' }, { enabled: job !== null, keep: true }).data;
  const followed = detail?.id === job ? detail : undefined;
  const state = followed?.state ?? answer.status;
  const error = followed?.error ?? answer.error;
  const result = followed?.result ?? answer.podium_result;
  return (
    <div role="status" className="space-y-2">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 text-xs">
        {state === 'rejected' ? <Badge tone="bad">refused</Badge> : <JobStateMark state={state} />}
        {job && (
          <button type="button" className="font-mono text-2xs text-accent-ink hover:underline" onClick={() => openQueue('jobs', job)}>
            {job}
          </button>
        )}
        {answer.audit_id && <span className="text-ink-3">Audit {answer.audit_id}</span>}
        {followed?.waits && <WaitWords job={followed} />}
      </div>
      {error && <ErrorState error={error} compact />}
      {result !== null && <JsonTree label="What it answered" value={result} open={2} />}
    </div>
  );
}

function Followed({ state }: { state: PodiumState }) {
  const nothing = state.queue === null && Object.keys(state.agents).length === 0 && Object.keys(state.stories).length === 0;
  return (
    <section aria-label={state.route} className="space-y-3 p-4">
      <header className="flex flex-wrap items-center gap-x-2 gap-y-0.5">
        <StatusDot tone={state.connected ? 'ok' : 'bad'} live={!state.connected} />
        <h2 className="min-w-0 truncate font-medium text-sm">{state.route}</h2>
        <span role="status" className="text-ink-2 text-xs">
          {state.connected ? 'connected' : 'not connected'}
          {state.retryAt !== null && (
            <>
              , next try <Countdown at={state.retryAt} />
            </>
          )}
        </span>
        {state.at !== null && (
          <span className="ml-auto text-ink-3 text-xs">
            heard <Time at={state.at} />
          </span>
        )}
        {state.detail && <p className="foreign basis-full text-ink-2 text-xs">{state.detail}</p>}
      </header>
      {nothing ? (
        <p className="text-ink-3 text-xs">{state.connected ? 'It has said nothing yet.' : 'Nothing is known until it is connected.'}</p>
      ) : (
        <>
          <Told title="Queue" things={state.queue === null ? {} : { '': state.queue }} />
          <Told title="Agents" things={state.agents} />
          <Told title="Stories" things={state.stories} />
        </>
      )}
    </section>
  );
}

function Told({ title, things }: { title: string; things: Record<string, unknown> }) {
  const entries = Object.entries(things);
  if (entries.length === 0) return null;
  return (
    <div>
      <h3 className="mb-1 font-medium text-2xs text-ink-3">{title}</h3>
      <ul className="divide-y">
        {entries.map(([name, value]) => (
          <li key={name} className="py-1">
            {name === '' ? <JsonTree label={title} value={value} open={3} /> : <Named name={name} value={value} />}
          </li>
        ))}
      </ul>
    </div>
  );
}

/** One agent or story: its name, its state where it says one, everything else on demand. */
function Named({ name, value }: { name: string; value: unknown }) {
  const [open, setOpen] = useState(false);
  const status = statusOf(value);
  return (
    <>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="-mx-1 flex h-6 w-[calc(100%+8px)] items-center gap-1.5 rounded-md px-1 text-left text-xs hover:bg-raised"
      >
        <ChevronRight aria-hidden className={`size-3.5 shrink-0 text-ink-3 transition-transform duration-100 ${open ? 'rotate-90' : ''}`} />
        <span className="foreign min-w-0 flex-1 truncate">{name}</span>
        {status !== null && <Badge>{status}</Badge>}
      </button>
      {open && (
        <div className="py-1 pl-5">
          <JsonTree label={name} value={value} open={3} />
        </div>
      )}
    </>
  );
}

/** The word for its state, where what came has one. */
function statusOf(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null;
  const { status } = value as { status?: unknown };
  return typeof status === 'string' && status.length <= 40 ? status : null;
}

/** One message on one line, all of it on demand. */
function Message({ one }: { one: Live['upstream'][number] }) {
  const [open, setOpen] = useState(false);
  return (
    <li className="text-xs">
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="-mx-1 flex h-6 w-[calc(100%+8px)] items-center gap-2 rounded-md px-1 text-left hover:bg-raised"
      >
        <time dateTime={new Date(one.at).toISOString()} title={formatExact(one.at)} className="shrink-0 text-2xs text-ink-3">
          {formatClock(one.at)}
        </time>
        <span className="min-w-0 truncate font-mono text-2xs text-ink-2">{JSON.stringify(one.message)?.slice(0, 400)}</span>
      </button>
      {open && (
        <div className="py-1">
          <JsonTree label={`Message of ${one.route}`} value={one.message} open={3} />
        </div>
      )}
    </li>
  );
}
