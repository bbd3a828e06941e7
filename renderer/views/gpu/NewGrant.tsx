/** A new grant: what it is for, what it would take, and then its key, once. */
import { Boxes } from 'lucide-react';
import type { FormEvent } from 'react';
import { useMemo, useState } from 'react';
import type { CortexState, Grant } from '../../../shared/cortex.ts';
import type { WireError } from '../../../shared/errors.ts';
import { curlOfGrant } from '../../ask.ts';
import { useFront, useLive, useOperation, wireOf } from '../../core.ts';
import { Button } from '../../parts/Button.tsx';
import { CodeBlock, CopyButton } from '../../parts/CodeBlock.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Chips, TextField } from '../../parts/Field.tsx';
import { EmptyState, ErrorState, Sweep } from '../../parts/States.tsx';
import { Elapsed } from '../../parts/Values.tsx';
import { withNames } from '../../plan.ts';
import { openGpu } from '../../ui.ts';
import { PlanDetails, PlanSentence, useHeld } from '../Plan.tsx';
import { capabilitiesOf, groupModels } from './models.ts';

const times = [
  { value: '900000', label: '15 min' },
  { value: '3600000', label: '1 h' },
  { value: '28800000', label: '8 h' },
  { value: '86400000', label: '24 h' },
] as const;
type Time = (typeof times)[number]['value'];

export function NewGrantDialog({ cortex, onClose }: { cortex: CortexState; onClose(): void }) {
  const [made, setMade] = useState<Grant | null>(null);
  return (
    <Dialog open onClose={onClose} title={made ? 'The grant is made' : 'New grant'} width={620}>
      {made ? (
        <Made grant={made} onClose={onClose} />
      ) : cortex.models.length === 0 ? (
        <NoModels onClose={onClose} />
      ) : (
        <Form cortex={cortex} onMade={setMade} onClose={onClose} />
      )}
    </Dialog>
  );
}

/** Where there is nothing to load or to grant. */
export function NoModels({ onClose }: { onClose(): void }) {
  return (
    <EmptyState
      icon={Boxes}
      title="No model server is known"
      action={
        <Button
          size="sm"
          tone="primary"
          onClick={() => {
            onClose();
            openGpu('servers');
          }}
        >
          Look for servers
        </Button>
      }
    >
      Name them under providers: in the registry, label containers, or look for those that run on this machine.
    </EmptyState>
  );
}

function Form({ cortex, onMade, onClose }: { cortex: CortexState; onMade(grant: Grant): void; onClose(): void }) {
  const front = useFront();
  const sovereign = useLive('sovereign')?.on ?? false;
  const index = useMemo(() => capabilitiesOf(groupModels(cortex.models), sovereign), [cortex.models, sovereign]);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [task, setTask] = useState('');
  const [time, setTime] = useState<Time>('3600000');
  const [sensitive, setSensitive] = useState(false);
  const [since, setSince] = useState<number | null>(null);
  const [failure, setFailure] = useState<WireError | null>(null);
  const [details, setDetails] = useState(false);
  const held = useHeld();
  const need = { capabilities: [...chosen].sort(), ...(sensitive && { sensitive }) };
  const query = useOperation('OS.resolve.need', { need }, { enabled: chosen.length > 0, keep: true });
  const plan = chosen.length > 0 ? query.data : undefined;

  const missing =
    chosen.length === 0
      ? 'Choose what it must be able to do.'
      : plan?.outcome === 'refusal'
        ? 'It cannot be had as things are.'
        : task.trim() === ''
          ? 'Name the task.'
          : null;

  const create = async (event: FormEvent) => {
    event.preventDefault();
    setSince(Date.now());
    setDetails(false);
    setFailure(null);
    await front
      .operate('OS.grants.create', { need, task: task.trim(), ttl_ms: Number(time) })
      .then(onMade, (caught) => setFailure(wireOf(caught)));
    setSince(null);
  };

  return (
    <form onSubmit={create} className="space-y-4">
      {/* What was asked for stands while it waits. */}
      <fieldset disabled={since !== null} className="space-y-4 disabled:opacity-60">
        <fieldset className="space-y-1.5">
          <legend className="font-medium text-2xs text-ink-2">What it must be able to do</legend>
          <div className="flex max-h-32 flex-wrap gap-1 overflow-auto">
            {index.map(({ name, ready }) => (
              <button
                key={name}
                type="button"
                aria-pressed={chosen.includes(name)}
                onClick={() => setChosen(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name])}
                className="inline-flex h-7 items-center gap-1.5 rounded-md px-2 font-medium text-ink-2 text-xs hairline hover:bg-raised aria-pressed:bg-accent-soft aria-pressed:text-accent-ink"
              >
                {name}
                {ready > 0 && <span className="text-2xs text-ok-ink">warm</span>}
              </button>
            ))}
          </div>
        </fieldset>
        <TextField
          label="Task"
          value={task}
          onChange={(next) => setTask(next.slice(0, 200))}
          placeholder="nightly digest, or a job id"
          hint="A job's end revokes the grant; any other name is only a name."
          required
        />
        <div className="flex flex-wrap items-center gap-x-6 gap-y-2">
          <div className="space-y-1">
            <span className="block font-medium text-2xs text-ink-2">How long</span>
            <Chips<Time> label="How long" value={time} options={times} onChange={setTime} />
          </div>
          <label className="flex items-center gap-2 pt-4 text-ink-2 text-xs">
            <input
              type="checkbox"
              checked={sensitive}
              onChange={(event) => setSensitive(event.target.checked)}
              className="size-3.5 accent-accent"
            />
            Sensitive: never a remote model
          </label>
        </div>
      </fieldset>
      {chosen.length > 0 && (
        <section aria-label="What it would take" className="space-y-2 rounded-md bg-raised px-3 py-2">
          {query.isError ? (
            <p className="foreign text-bad-ink text-xs">{wireOf(query.error).message}</p>
          ) : plan ? (
            <>
              <PlanSentence plan={plan}>
                <button
                  type="button"
                  aria-expanded={details}
                  className="rounded-sm px-1 text-accent-ink hover:underline"
                  onClick={() => setDetails(!details)}
                >
                  {details ? 'Hide the plan' : 'Show the plan'}
                </button>
              </PlanSentence>
              {details && <PlanDetails plan={plan} />}
            </>
          ) : (
            <p className="text-ink-3 text-xs">Asking what it would take…</p>
          )}
        </section>
      )}
      {failure && <ErrorState error={{ ...failure, message: withNames(failure.message, held) }} compact />}
      {since !== null && (
        <div role="status" className="space-y-1.5 text-xs">
          <Sweep wide />
          <p className="text-ink-2">
            Waiting for its turn and the load: <Elapsed since={since} />. It goes on if this is closed; the grant is in the list then,
            without its key.
          </p>
        </div>
      )}
      <div className="sticky -bottom-4 -mx-4 -mb-4 flex items-center justify-end gap-2 border-t bg-overlay px-4 py-3">
        {since === null && missing && <p className="mr-auto text-ink-3 text-xs">{missing}</p>}
        <Button onClick={onClose}>{since === null ? 'Cancel' : 'Close'}</Button>
        <Button type="submit" tone="primary" busy={since !== null} disabled={missing !== null}>
          Create grant
        </Button>
      </div>
    </form>
  );
}

function Made({ grant, onClose }: { grant: Grant; onClose(): void }) {
  const key = grant.api_key ?? '';
  return (
    <div className="space-y-4">
      <div role="status" className="space-y-2 rounded-lg bg-ok-soft p-3">
        <p className="text-sm">
          <strong className="font-semibold text-ok-ink">Copy the key now;</strong> it is not shown again.
        </p>
        <div className="flex items-center gap-1">
          <code data-testid="grant-key" className="selectable min-w-0 flex-1 break-all rounded-md bg-surface p-2 font-mono text-xs">
            {key}
          </code>
          <CopyButton text={key} label="Copy key" />
        </div>
      </div>
      <div className="space-y-1">
        <h3 className="font-medium text-2xs text-ink-3">Try it</h3>
        <CodeBlock label="The grant as curl" text={curlOfGrant(grant)} />
      </div>
      <p className="text-ink-2 text-xs">
        Any OpenAI client takes <code className="font-mono">{grant.base_url}</code> as base URL and the key as API key. Models:{' '}
        {grant.models.map((one) => one.model).join(', ')}.
      </p>
      <div className="sticky -bottom-4 -mx-4 -mb-4 flex justify-end gap-2 border-t bg-overlay px-4 py-3">
        <Button
          onClick={() => {
            onClose();
            openGpu('grants', grant.id);
          }}
        >
          Show the grant
        </Button>
        <Button tone="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </div>
  );
}
