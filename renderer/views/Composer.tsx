/** The one large input: says where the words would go while they are typed. */
import { Activity, ArrowRight, Clock, CornerDownLeft, Gauge, Globe, House, Network, ShieldX, Zap, ZapOff } from 'lucide-react';
import type { KeyboardEvent, ReactNode } from 'react';
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Ask } from '../../shared/contract.ts';
import type { Resolution } from '../../shared/model.ts';
import { askOf, mentionAt } from '../ask.ts';
import { useLive, useOperation } from '../core.ts';
import { formatDuration, formatPercent } from '../format.ts';
import { rank } from '../fuzzy.ts';
import { Button } from '../parts/Button.tsx';
import { KeyHint } from '../parts/KeyHint.tsx';
import { StatusDot } from '../parts/Status.tsx';
import { useUi } from '../ui.ts';
import { PlanDetails, PlanSentence } from './Plan.tsx';

const DEBOUNCE_MS = 60;

export function Composer({ onDispatch, onLeave, earlier }: { onDispatch(ask: Ask): void; onLeave(): void; earlier: readonly string[] }) {
  const draft = useUi((ui) => ui.draft);
  const set = useUi((ui) => ui.set);
  const routes = useLive('routes');
  const area = useRef<HTMLTextAreaElement>(null);
  const [caret, setCaret] = useState(0);
  const [closed, setClosed] = useState<string | null>(null);
  const [active, setActive] = useState(0);
  const [recalled, setRecalled] = useState(-1);
  const listId = useId();

  const ask = useMemo(() => askOf(draft), [draft]);
  const mention = mentionAt(draft, caret);
  const wanted = mention && closed !== draft ? mention.query : null;
  const matches = useMemo(
    () => (wanted !== null && routes ? rank(wanted, routes, (route) => `${route.name} ${route.description ?? ''}`, 7) : []),
    [wanted, routes],
  );
  const open = matches.length > 0 && !(matches.length === 1 && matches[0]!.name === mention?.query);
  const chosen = Math.min(active, matches.length - 1);

  useEffect(() => {
    area.current?.focus();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows the words
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    element.style.height = '0';
    element.style.height = `${Math.min(element.scrollHeight, 168)}px`;
  }, [draft]);

  const write = (text: string, at = text.length) => {
    set({ draft: text });
    requestAnimationFrame(() => {
      area.current?.setSelectionRange(at, at);
      setCaret(at);
    });
  };
  const complete = (name: string) => {
    if (!mention) return;
    const after = draft.slice(caret);
    const head = `${draft.slice(0, mention.start)}@${name} `;
    write(head + after.trimStart(), head.length);
  };
  const send = () => {
    if (!draft.trim()) return;
    setRecalled(-1);
    onDispatch(ask);
  };

  const pressed = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (open) {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        setActive((chosen + (event.key === 'ArrowDown' ? 1 : matches.length - 1)) % matches.length);
        return;
      }
      if (event.key === 'Enter' || event.key === 'Tab') {
        event.preventDefault();
        complete(matches[chosen]!.name);
        return;
      }
      if (event.key === 'Escape') {
        event.preventDefault();
        setClosed(draft);
        return;
      }
    }
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (draft) write('');
      else onLeave();
    } else if ((event.key === 'ArrowUp' || event.key === 'ArrowDown') && (draft === '' || draft === earlier[recalled])) {
      const next = recalled + (event.key === 'ArrowUp' ? 1 : -1);
      if (next < -1 || next >= earlier.length) return;
      event.preventDefault();
      setRecalled(next);
      write(next === -1 ? '' : earlier[next]!);
    }
  };

  return (
    <div className="relative z-20 shrink-0">
      <div className="rounded-xl border bg-surface shadow-card transition-shadow duration-100 focus-within:border-accent focus-within:shadow-focus">
        <div className="flex items-end gap-2 py-2 pr-2 pl-4">
          <textarea
            ref={area}
            rows={1}
            data-composer
            aria-label="Dispatch"
            aria-autocomplete="list"
            aria-controls={open ? listId : undefined}
            aria-activedescendant={open ? `${listId}-${chosen}` : undefined}
            aria-describedby={`${listId}-where`}
            dir="auto"
            maxLength={100_000}
            spellCheck={false}
            placeholder="What should happen?"
            value={draft}
            onChange={(event) => {
              set({ draft: event.target.value });
              setCaret(event.target.selectionStart);
              setActive(0);
            }}
            onSelect={(event) => setCaret(event.currentTarget.selectionStart)}
            onKeyDown={pressed}
            className="min-h-8 w-full min-w-0 resize-none bg-transparent py-1 text-lg leading-6 outline-none"
          />
          <Button tone="primary" onClick={send} disabled={!draft.trim()} icon={CornerDownLeft}>
            Dispatch
          </Button>
        </div>
        <div id={`${listId}-where`} className="flex min-h-9 items-center border-t px-4 py-1.5 text-xs">
          <Where ask={ask} typed={draft} onPick={(route) => onDispatch({ ...ask, route })} />
        </div>
      </div>
      {open && (
        <div className="absolute inset-x-0 top-14 mx-2 animate-fade overflow-hidden rounded-lg bg-overlay p-1 shadow-pop">
          <div role="listbox" id={listId} aria-label="Routes">
            {matches.map((route, index) => (
              <div
                key={route.name}
                id={`${listId}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === chosen}
                onMouseDown={(event) => {
                  event.preventDefault();
                  complete(route.name);
                }}
                onMouseMove={() => setActive(index)}
                className="flex h-8 items-center gap-3 rounded-md px-2.5 text-sm aria-selected:bg-raised"
              >
                <span className="shrink-0 font-medium">{route.name}</span>
                <span className="min-w-0 flex-1 truncate text-ink-3 text-xs">{route.description}</span>
                {index === chosen && <KeyHint keys="enter" />}
              </div>
            ))}
          </div>
        </div>
      )}
    </div>
  );
}

function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Where these words would go, as `OS.resolve` says; nothing is called for it. */
function Where({ ask, typed, onPick }: { ask: Ask; typed: string; onPick(route: string): void }) {
  const settled = useSettled(ask, DEBOUNCE_MS);
  const words = typed.trim();
  const query = useOperation('OS.resolve', settled.route ? { route: settled.route } : { text: settled.text ?? '' }, {
    enabled: words !== '' && Boolean(settled.route ?? settled.text),
    keep: true,
    staleMs: 2000,
  });
  if (words === '')
    return (
      <span className="flex min-w-0 flex-wrap items-center gap-x-4 gap-y-1 text-ink-3">
        <span className="flex items-center gap-1.5">
          <KeyHint keys="enter" /> dispatches
        </span>
        <span className="flex items-center gap-1.5">
          <KeyHint keys="@" /> names a route
        </span>
        <span className="hidden items-center gap-1.5 sm:flex">
          <KeyHint keys="up" /> brings earlier ones back
        </span>
      </span>
    );
  if (query.isError) return <span className="text-ink-2">Where it goes is not known: {query.error.message}</span>;
  if (!query.data) return <span className="text-ink-3">Looking…</span>;
  return <Decision resolution={query.data} onPick={onPick} />;
}

function Decision({ resolution, onPick }: { resolution: Resolution; onPick(route: string): void }) {
  const { route, confidence, why, abstained, usedFallback, ranked, refusal, plan } = resolution;
  const [details, setDetails] = useState(false);
  // The sentence of the plan says it then, with more to it.
  const refusedByPlan = plan?.outcome === 'refusal' && plan.error?.code === refusal?.code;
  if (abstained)
    return (
      <div className="flex min-w-0 flex-wrap items-center gap-2">
        <span className="text-warn-ink">Not sure which route is meant.</span>
        {ranked.slice(0, 3).map((one) => (
          <button
            key={one.route}
            type="button"
            title={one.reason}
            aria-label={`Dispatch to ${one.route}`}
            onClick={() => onPick(one.route)}
            className="inline-flex h-6 items-center gap-1.5 rounded-md bg-raised px-2 font-medium hover:bg-accent-soft hover:text-accent-ink"
          >
            {one.route}
            <span className="font-normal text-ink-2">{formatPercent(one.confidence)}</span>
          </button>
        ))}
        {usedFallback && route && (
          <button type="button" onClick={() => onPick(route)} className="h-6 rounded-md px-2 text-ink-2 hover:bg-raised hover:text-ink">
            or the fallback {route}
          </button>
        )}
      </div>
    );
  return (
    <div className="flex w-full min-w-0 flex-wrap items-center gap-x-4 gap-y-1">
      <span className="flex min-w-0 items-center gap-2">
        <ArrowRight aria-hidden className="size-3.5 shrink-0 text-accent-ink" />
        <span className="shrink-0 font-semibold text-accent-ink text-sm" data-testid="resolved-route">
          {route ?? 'Nowhere'}
        </span>
        {confidence !== null && <Confidence value={confidence} />}
        <span className="min-w-0 truncate text-ink-2" title={why}>
          {why}
        </span>
      </span>
      <span className="ml-auto flex min-w-0 flex-wrap items-center gap-x-3 gap-y-1 text-ink-2">
        {refusal && !refusedByPlan ? (
          <span className="flex items-center gap-1.5 text-bad-ink" title={refusal.hint ?? undefined}>
            <ShieldX aria-hidden className="size-3.5" />
            {refusal.message}
          </span>
        ) : (
          <Conditions resolution={resolution} />
        )}
      </span>
      {plan && (
        <div className="w-full min-w-0">
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
          {details && (
            <section
              aria-label="Plan"
              // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
              tabIndex={0}
              className="mt-2 max-h-72 overflow-auto rounded-md bg-canvas p-3 hairline"
            >
              <PlanDetails plan={plan} />
            </section>
          )}
        </div>
      )}
    </div>
  );
}

/** How sure, as a number and a short bar. */
export function Confidence({ value }: { value: number }) {
  return (
    <span className="flex shrink-0 items-center gap-1.5" title="How sure the operator is">
      <span aria-hidden className="h-1 w-8 overflow-hidden rounded-full bg-line">
        <span
          className={`block h-full rounded-full ${value >= 0.8 ? 'bg-ok' : value >= 0.5 ? 'bg-warn' : 'bg-bad'}`}
          style={{ width: `${value * 100}%` }}
        />
      </span>
      <span className="text-ink">{formatPercent(value)}</span>
    </span>
  );
}

const egressIcons = { local: House, lan: Network, remote: Globe };

function Conditions({ resolution }: { resolution: Resolution }) {
  const { egress, health, breaker, limits, expectedMs, plan } = resolution;
  // What leaves then, and where to, is in the plan.
  const away = plan?.assignments.some((one) => one.egress !== 'local') ?? false;
  return (
    <>
      {!away && <Reach egress={egress} />}
      {health && health !== 'healthy' && (
        <span className="flex items-center gap-1.5">
          <StatusDot tone={health === 'down' ? 'bad' : health === 'degraded' ? 'warn' : 'quiet'} />
          {health}
        </span>
      )}
      {health === 'healthy' && (
        <Condition icon={Activity} title="The last probe was good.">
          healthy
        </Condition>
      )}
      {breaker && breaker.state !== 'closed' && (
        <Condition icon={breaker.state === 'open' ? ZapOff : Zap} title={`Breaker of ${breaker.endpoint}`}>
          <span className="text-bad-ink">breaker {breaker.state}</span>
        </Condition>
      )}
      {limits && limits.remaining < limits.burst / 2 && (
        <Condition icon={Gauge} title={`${limits.perSecond} a second, bursts of ${limits.burst}`}>
          {limits.remaining} calls left
        </Condition>
      )}
      {expectedMs !== null && (
        <Condition icon={Clock} title="Median of its last calls">
          about {formatDuration(expectedMs)}
        </Condition>
      )}
    </>
  );
}

function Reach({ egress }: Pick<Resolution, 'egress'>) {
  if (!egress)
    return (
      <Condition icon={House} title="It is built in.">
        stays here
      </Condition>
    );
  return (
    <Condition icon={egressIcons[egress.egress]} title={egress.reason}>
      {egress.egress === 'local' ? 'stays here' : `leaves for ${egress.host ?? (egress.egress === 'lan' ? 'the network' : 'the internet')}`}
    </Condition>
  );
}

function Condition({ icon: Icon, title, children }: { icon: typeof House; title: string; children: ReactNode }) {
  return (
    <span className="flex items-center gap-1.5 whitespace-nowrap" title={title}>
      <Icon aria-hidden className="size-3.5 text-ink-3" strokeWidth={1.75} />
      {children}
    </span>
  );
}
