import { Play, X, Zap, ZapOff } from 'lucide-react';
import { useMemo, useState } from 'react';
import type { BreakerState, Health, RouteSummary } from '../../shared/model.ts';
import { useFront, useLive, useOperation, wireOf } from '../core.ts';
import { formatCount } from '../format.ts';
import { Button, IconButton } from '../parts/Button.tsx';
import { CodeBlock } from '../parts/CodeBlock.tsx';
import { DemoBadge } from '../parts/Model.tsx';
import { Fact, Facts } from '../parts/Panel.tsx';
import { Badge, EgressBadge, HealthDot, JobStateMark } from '../parts/Status.tsx';
import { Duration, Time, Unknown } from '../parts/Values.tsx';
import { toast, useUi } from '../ui.ts';
import { BreakerActions } from './Breaker.tsx';

/** One service: what it is, how it does, what it was asked lately, and the lines of the registry it comes from. */
export function RouteDetail({ route, health, breaker }: { route: RouteSummary; health: Health | null; breaker: BreakerState | null }) {
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const front = useFront();
  const rules = (useLive('rules') ?? []).filter((rule) => rule.route === route.name);
  const [probing, setProbing] = useState(false);
  const tryIt = (text: string) => {
    set({ draft: text });
    go('dispatch');
  };
  const probe = async () => {
    setProbing(true);
    await front.operate('OS.health', { route: route.name, probe: true }).then(
      ({ health: [found] }) => found && toast(found.status === 'healthy' ? 'ok' : 'bad', `${route.name} is ${found.status}`, found.reason),
      (caught) => toast('bad', `${route.name} could not be probed`, wireOf(caught).message),
    );
    setProbing(false);
  };

  return (
    <div className="space-y-5 p-4">
      <header className="space-y-2">
        <div className="flex items-start gap-2">
          <h2 className="min-w-0 flex-1 break-words font-semibold text-lg leading-7">
            <span className="text-ink-3">{route.org}.</span>
            {route.service}
          </h2>
          <IconButton label="Close route" icon={X} onClick={() => go('routes', null)} />
        </div>
        {route.description && <p className="foreign text-ink-2 text-sm">{route.description}</p>}
        <div className="flex flex-wrap gap-1.5">
          <Badge>{route.kind}</Badge>
          <EgressBadge egress={route.egress} />
          {route.type === 'external' && <Badge title="Not run by us">external</Badge>}
          {route.idempotent && <Badge title="Calling it twice does no more than calling it once">idempotent</Badge>}
          {route.demo && <DemoBadge />}
        </div>
        <div className="flex flex-wrap gap-2 pt-1">
          <Button tone="primary" size="sm" icon={Play} onClick={() => tryIt(`@${route.name} `)}>
            Try it
          </Button>
          {route.health && (
            <Button size="sm" busy={probing} onClick={probe}>
              Probe now
            </Button>
          )}
          {breaker && <BreakerActions breaker={breaker} />}
        </div>
      </header>

      <Facts>
        {route.health && (
          <Fact name="Health">
            <HealthDot status={health?.status ?? 'unknown'} words /> <span className="foreign text-ink-3">{health?.reason}</span>
          </Fact>
        )}
        {breaker && (
          <Fact name="Breaker">
            <span className="inline-flex items-center gap-1.5">
              {breaker.state === 'closed' ? (
                <Zap aria-hidden className="size-3 text-ink-3" />
              ) : (
                <ZapOff aria-hidden className="size-3 text-bad-ink" />
              )}
              {breaker.state}
              {breaker.forced && ' by hand'}
              {breaker.failures > 0 && `, ${breaker.failures} ${breaker.failures === 1 ? 'failure' : 'failures'} in a row`}
            </span>
          </Fact>
        )}
        <Fact name="Calls">
          {formatCount(route.calls)}
          {route.calls > 0 && (
            <>
              {', p50 '}
              <Duration ms={route.p50Ms} />
              {', p95 '}
              <Duration ms={route.p95Ms} />
            </>
          )}
        </Fact>
        {route.lastCallAt !== null && (
          <Fact name="Last call">
            <Time at={route.lastCallAt} />
            {route.lastError && <span className="text-bad-ink">, {route.lastError}</span>}
          </Fact>
        )}
        {route.endpoint && (
          <Fact name="Endpoint" mono>
            {route.method} {route.endpoint}
          </Fact>
        )}
        {route.health && (
          <Fact name="Health URL" mono>
            {route.health}
          </Fact>
        )}
        <Fact name="Timeout">
          <Duration ms={route.timeoutMs} />
        </Fact>
        {route.lane && <Fact name="Lane">{route.lane}, one at a time</Fact>}
        {route.concurrency !== null && <Fact name="At a time">{formatCount(route.concurrency)}</Fact>}
        {route.retry && (
          <Fact name="Retries">
            {formatCount(route.retry.times)}, the first after <Duration ms={route.retry.backoffMs} />, then longer up to{' '}
            <Duration ms={route.retry.maxMs} />
          </Fact>
        )}
        {route.fallback && <Fact name="Fallback">{route.fallback}</Fact>}
        {route.model && <Fact name="Model">{route.model}</Fact>}
        {route.auth && (
          <Fact name="Auth">
            {route.auth.kind} from the environment variable {route.auth.env}
          </Fact>
        )}
      </Facts>

      <Section title="Rules" empty={rules.length === 0 ? 'No rule names it; it is found by its examples or by its name.' : null}>
        <ul className="space-y-1">
          {rules.map((rule) => (
            <li key={`${rule.order}`} className="flex items-baseline gap-2 text-xs">
              <code className="foreign min-w-0 flex-1 font-mono text-ink">{rule.pattern}</code>
              <span className="shrink-0 text-ink-3">
                priority {rule.priority}
                {rule.line !== null && `, line ${rule.line}`}
              </span>
            </li>
          ))}
        </ul>
      </Section>

      <Section title="Examples" empty={route.examples.length === 0 ? 'It has none; with a few, free text finds it.' : null}>
        <ul className="space-y-0.5">
          {route.examples.map((example) => (
            <li key={example}>
              <button
                type="button"
                onClick={() => tryIt(example)}
                className="foreign -mx-1.5 w-full rounded-md px-1.5 py-0.5 text-left text-ink-2 text-xs hover:bg-raised hover:text-ink"
              >
                {example}
              </button>
            </li>
          ))}
        </ul>
      </Section>

      <RecentCalls route={route.name} />
      {route.line !== null && <Source line={route.line} name={route.service} />}
    </div>
  );
}

function Section({ title, empty = null, children }: { title: string; empty?: string | null; children: React.ReactNode }) {
  return (
    <section className="space-y-1.5">
      <h3 className="font-medium text-2xs text-ink-3">{title}</h3>
      {empty === null ? children : <p className="text-ink-3 text-xs">{empty}</p>}
    </section>
  );
}

function RecentCalls({ route }: { route: string }) {
  const go = useUi((ui) => ui.go);
  const live = useLive('jobs') ?? [];
  const recent = useOperation('OS.jobs', { route, limit: 8 }, { keep: true });
  const jobs = useMemo(() => {
    const merged = new Map((recent.data?.jobs ?? []).map((job) => [job.id, job]));
    for (const job of live) if (job.route === route) merged.set(job.id, job);
    return [...merged.values()].sort((a, b) => b.createdAt - a.createdAt).slice(0, 8);
  }, [recent.data, live, route]);
  return (
    <Section title="Recent calls" empty={recent.isSuccess && jobs.length === 0 ? 'None yet.' : null}>
      <ul>
        {jobs.map((job) => (
          <li key={job.id}>
            <button
              type="button"
              onClick={() => go('queue', job.id)}
              className="-mx-1.5 flex h-7 w-[calc(100%+12px)] items-center gap-2 rounded-md px-1.5 text-left text-xs hover:bg-raised"
            >
              <JobStateMark state={job.state} words={false} />
              <span className="min-w-0 flex-1 truncate">{job.text ?? <span className="text-ink-3">by name, from {job.door}</span>}</span>
              <span className="shrink-0 text-ink-3">
                {job.durationMs === null ? <Unknown what="not finished" /> : <Duration ms={job.durationMs} />}
              </span>
              <span className="w-16 shrink-0 text-right text-ink-3">
                <Time at={job.createdAt} />
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Section>
  );
}

/** The lines of the file that say it: from its own line to the next one that is not further in. */
function Source({ line, name }: { line: number; name: string }) {
  const registry = useOperation('OS.registry', {}, { staleMs: Number.POSITIVE_INFINITY });
  const text = useMemo(() => {
    const lines = registry.data?.text.split('\n') ?? [];
    const first = lines[line - 1];
    if (first === undefined) return null;
    const depth = first.search(/\S/);
    let end = line;
    while (end < lines.length && (lines[end]!.trim() === '' || lines[end]!.search(/\S/) > depth)) end++;
    return lines
      .slice(line - 1, end)
      .map((one) => one.slice(depth))
      .join('\n')
      .trimEnd();
  }, [registry.data, line]);
  if (text === null) return null;
  return (
    <Section title={`Registry, line ${line}`}>
      <CodeBlock text={text} label={`YAML of ${name}`} />
    </Section>
  );
}
