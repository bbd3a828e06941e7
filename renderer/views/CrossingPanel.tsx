/** The record of one call: why it went there, what it crossed and how long that took, what left the machine, its proof. */
import { Braces, Link2, RotateCcw, Sprout, Terminal, Undo2 } from 'lucide-react';
import { useState } from 'react';
import type { Ask } from '../../shared/contract.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { Crossing, Step } from '../../shared/model.ts';
import { toastError } from '../actions.ts';
import { curlOf } from '../ask.ts';
import { useFront, useLive } from '../core.ts';
import { formatBytes, formatDuration, formatMs } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { CopyButton, copyText } from '../parts/CodeBlock.tsx';
import { Fact, Facts, Panel, Part } from '../parts/Panel.tsx';
import { Badge, EgressBadge } from '../parts/Status.tsx';
import type { Tone } from '../parts/tone.ts';
import { Time, Unknown } from '../parts/Values.tsx';
import { toast, useUi } from '../ui.ts';
import { Confidence } from './Decision.tsx';
import { RoutePicker } from './RoutePicker.tsx';

export function CrossingPanel({
  crossing,
  ask,
  onRun,
  className = '',
}: {
  crossing: Crossing;
  ask: Ask;
  onRun(ask: Ask): void;
  className?: string;
}) {
  const url = useLive('self')?.url ?? 'http://127.0.0.1:8000';
  const copy = async (text: string, what: string) => {
    if (await copyText(text)) toast('ok', `${what} copied`);
    else toast('bad', 'The clipboard is not available');
  };
  return (
    <Panel
      title="Crossing"
      className={className}
      flush
      aside={
        <>
          <IconButton label="Copy as curl" icon={Terminal} onClick={() => void copy(curlOf(ask, url), 'Command')} />
          <IconButton
            label="Copy crossing as JSON"
            icon={Braces}
            onClick={() => void copy(JSON.stringify(crossing, null, 2), 'Crossing')}
          />
        </>
      }
    >
      <section
        aria-label="Crossing details"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
        tabIndex={0}
        className="h-full divide-y overflow-auto"
      >
        <div className="space-y-3 p-4">
          <div className="flex items-baseline justify-between gap-3">
            <span className="truncate font-semibold text-lg tracking-tight">{crossing.route ?? 'No route'}</span>
            <span className="shrink-0 font-semibold text-lg tracking-tight">{formatMs(crossing.durationMs)}</span>
          </div>
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1 text-xs">
            {crossing.error ? (
              <Badge tone={errorTones[crossing.error.code] ?? 'bad'}>{crossing.error.code}</Badge>
            ) : (
              <Badge tone="ok">ok</Badge>
            )}
            {crossing.confidence !== null && <Confidence value={crossing.confidence} />}
            {crossing.mock && <Badge>mock</Badge>}
            {crossing.replayed && <Replayed replayed={crossing.replayed} />}
            <span className="text-ink-3">
              <Time at={crossing.at} />
            </span>
          </div>
          <p className="foreign text-ink-2 text-xs">{crossing.why}</p>
          <Actions crossing={crossing} ask={ask} onRun={onRun} />
        </div>
        <Part title="Boundaries">
          <Waterfall steps={crossing.boundaries} total={crossing.durationMs} error={crossing.error?.code ?? null} />
        </Part>
        {crossing.attempts.length > 0 && (
          <Part title={crossing.attempts.length === 1 ? 'Attempt' : `${crossing.attempts.length} attempts`}>
            <Attempts crossing={crossing} />
          </Part>
        )}
        <Part title="What left this machine">
          {crossing.left.length === 0 ? (
            <p className="text-ok-ink text-xs">Nothing.</p>
          ) : (
            <ul className="space-y-1 text-xs">
              {crossing.left.map((one) => (
                <li key={`${one.host} ${one.bytes}`} className="flex items-center gap-2">
                  <EgressBadge egress={one.egress} />
                  <span className="min-w-0 flex-1 truncate">{one.host}</span>
                  <span className="text-ink-2">{formatBytes(one.bytes)}</span>
                </li>
              ))}
            </ul>
          )}
        </Part>
        <Part title="Proof">
          <Proof crossing={crossing} />
        </Part>
      </section>
    </Panel>
  );
}

/** Nothing ran: whose answer this is. */
function Replayed({ replayed: { job, how } }: { replayed: NonNullable<Crossing['replayed']> }) {
  const go = useUi((ui) => ui.go);
  return (
    <span className="flex items-center gap-1.5">
      <Badge tone="accent" title="The same request came under the same idempotency key">
        {how}
      </Badge>
      <button type="button" className="text-accent-ink hover:underline" onClick={() => go('queue', job)}>
        from its job
      </button>
    </span>
  );
}

function Actions({ crossing, ask, onRun }: { crossing: Crossing; ask: Ask; onRun(ask: Ask): void }) {
  const front = useFront();
  const [taught, setTaught] = useState<string | null>(null);
  const text = ask.text ?? crossing.text;
  const teach = async (route: string) => {
    if (!text) return;
    try {
      await front.operate('OS.teach', { text: text.slice(0, 2000), route });
      setTaught(route);
      const now = await front.operate('OS.resolve', { text });
      if (now.route === route) toast('ok', 'Learned', `“${text.slice(0, 80)}” goes to ${route} now.`);
      else
        toast(
          'info',
          'Learned, but it does not decide yet',
          `It still goes to ${now.route ?? 'a question'}: ${now.why}. A rule wins over examples; change it in Routes.`,
        );
    } catch (caught) {
      toastError('It was not learned', caught);
    }
  };
  const named = crossing.route !== null && !crossing.route.startsWith('OS.');
  return (
    <div className="flex flex-wrap gap-1.5">
      <Button size="sm" icon={RotateCcw} onClick={() => onRun(ask)}>
        Run again
      </Button>
      {text && named && !crossing.error && (
        <Button size="sm" icon={Sprout} disabled={taught !== null} onClick={() => void teach(crossing.route!)}>
          Save as example
        </Button>
      )}
      {text && crossing.route && (
        <RoutePicker label="The right route" exclude={crossing.route} onPick={(route) => void teach(route)}>
          <Button size="sm" icon={Undo2}>
            Wrong route
          </Button>
        </RoutePicker>
      )}
      {taught !== null && taught !== crossing.route && (
        <Button size="sm" tone="primary" onClick={() => onRun({ ...ask, route: taught })}>
          Run at {taught}
        </Button>
      )}
    </div>
  );
}

/** Of errors that are no failures. */
const errorTones: Partial<Record<ErrorCode, Tone>> = { route_uncertain: 'warn', confirm_required: 'warn', cancelled: 'quiet' };

const outcomeColours: Record<Step['outcome'], string> = { passed: 'bg-accent', rewrote: 'bg-warn', refused: 'bg-bad' };

/** Boundaries one under the other, each where it began, to one scale. */
export function Waterfall({ steps, total, error = null }: { steps: readonly Step[]; total: number; error?: ErrorCode | null }) {
  const sum = Math.max(
    total,
    steps.reduce((all, step) => all + step.ms, 0),
    1e-6,
  );
  let before = 0;
  if (steps.length === 0) return <p className="text-ink-3 text-xs">It was refused before the first.</p>;
  return (
    <ol className="space-y-1">
      {steps.map((step) => {
        const start = before;
        before += step.ms;
        // What was called and went wrong was not refused at a boundary.
        const cancelled = step.boundary === 'execute' && error === 'cancelled';
        const word =
          step.outcome !== 'refused' ? step.outcome : cancelled ? 'cancelled' : step.boundary === 'execute' ? 'failed' : 'refused';
        return (
          <li key={step.boundary} className="grid grid-cols-[5.5rem_minmax(0,1fr)_4.5rem] items-center gap-2 text-xs">
            <span className="truncate text-ink-2">{step.boundary}</span>
            <span className="relative block h-1.5 rounded-full bg-raised" title={`${word} in ${formatMs(step.ms)}`}>
              <span
                className={`absolute inset-y-0 min-w-[3px] rounded-full ${cancelled ? 'bg-control' : outcomeColours[step.outcome]}`}
                style={{
                  left: `min(${(start / sum) * 100}%, calc(100% - 3px))`,
                  width: `${Math.min(100 - (start / sum) * 100, (step.ms / sum) * 100)}%`,
                }}
              />
            </span>
            <span className="text-right text-ink-2">
              {step.outcome !== 'passed' && (
                <span className={cancelled ? 'text-ink-3' : step.outcome === 'refused' ? 'text-bad-ink' : 'text-warn-ink'}>{word}</span>
              )}
              {step.outcome === 'passed' && formatMs(step.ms)}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

function Attempts({ crossing }: { crossing: Crossing }) {
  return (
    <ol className="space-y-2 text-xs">
      {crossing.attempts.map((attempt, index) => (
        <li key={attempt.id} className="space-y-0.5">
          <span className="flex items-center gap-2">
            <span className="w-3 shrink-0 text-ink-3">{index + 1}</span>
            {attempt.error ? (
              <Badge tone={attempt.error === 'cancelled' ? 'quiet' : 'bad'}>{attempt.error}</Badge>
            ) : (
              attempt.status !== null && <Badge tone={attempt.status < 400 ? 'ok' : 'bad'}>{attempt.status}</Badge>
            )}
            {attempt.route !== crossing.route && <span className="min-w-0 truncate text-warn-ink">fallback {attempt.route}</span>}
            <span className="ml-auto shrink-0 text-ink-2">{formatDuration(attempt.durationMs)}</span>
          </span>
          <span className="selectable block break-all pl-5 font-mono text-2xs text-ink-2 leading-4">
            {attempt.endpoint ?? 'inside this machine'}
          </span>
        </li>
      ))}
    </ol>
  );
}

function Proof({ crossing }: { crossing: Crossing }) {
  const front = useFront();
  const go = useUi((ui) => ui.go);
  const [verdict, setVerdict] = useState<{ ok: boolean; reason: string } | null>(null);
  const { audit, signature } = crossing;
  return (
    <div className="space-y-3">
      <Facts>
        <Fact name="Audit">
          {audit ? (
            <button type="button" className="text-accent-ink hover:underline" onClick={() => go('audit', String(audit.seq))}>
              #{audit.seq}
            </button>
          ) : (
            <Unknown what="not recorded" />
          )}
        </Fact>
        {audit && (
          <Fact name="Hash" mono>
            {audit.hash}
          </Fact>
        )}
        <Fact name="Signature" mono>
          {signature ? (
            <span className="line-clamp-2" title={signature.value}>
              {signature.alg} {signature.key} · {signature.value}
            </span>
          ) : (
            <Unknown what="not signed" />
          )}
        </Fact>
        <Fact name="Trace" mono>
          {crossing.traceparent}
        </Fact>
        {crossing.parent && (
          <Fact name="Parent" mono>
            {crossing.parent}
          </Fact>
        )}
      </Facts>
      {signature && (
        <div className="flex items-center gap-2">
          <Button
            size="sm"
            icon={Link2}
            onClick={() =>
              void front
                .operate('OS.crossings.verify', { crossing: crossing as unknown as Record<string, unknown> })
                .then(setVerdict, (caught) => toastError('The signature was not checked', caught))
            }
          >
            Check signature
          </Button>
          <CopyButton label="Copy hash" text={audit?.hash ?? ''} />
          {verdict && (
            <span role="status" className={`text-xs ${verdict.ok ? 'text-ok-ink' : 'text-bad-ink'}`}>
              {verdict.reason}
            </span>
          )}
        </div>
      )}
    </div>
  );
}
