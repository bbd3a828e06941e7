/** The one large input: says where the words would go while they are typed. */
import { CornerDownLeft } from 'lucide-react';
import type { KeyboardEvent } from 'react';
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';
import type { Ask } from '../../shared/contract.ts';
import { askOf, mentionAt } from '../ask.ts';
import { useLive, useOperation } from '../core.ts';
import { rank } from '../fuzzy.ts';
import { Button } from '../parts/Button.tsx';
import { KeyHint } from '../parts/KeyHint.tsx';
import { useUi } from '../ui.ts';
import { Decision } from './Decision.tsx';

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
