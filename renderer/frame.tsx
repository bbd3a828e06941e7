/** What stands around every view: rail, top bar, keys. */
import { Keyboard, PlugZap, Search, ShieldCheck, ShieldOff } from 'lucide-react';
import { Switch } from 'radix-ui';
import { Suspense, useEffect } from 'react';
import { setSovereign } from './actions.ts';
import { useConnection, useFront, useLive } from './core.ts';
import { formatBytes, formatShort } from './format.ts';
import { isFree, isPlain } from './keys.ts';
import { Palette } from './palette.tsx';
import { Button, Hint, IconButton } from './parts/Button.tsx';
import { Dialog, QuestionDialog } from './parts/Dialog.tsx';
import { KeyHint } from './parts/KeyHint.tsx';
import { Sparkline } from './parts/Sparkline.tsx';
import { LoadingView } from './parts/States.tsx';
import { StatusDot } from './parts/Status.tsx';
import { Toasts } from './parts/Toasts.tsx';
import { useNow } from './parts/Values.tsx';
import { useUi } from './ui.ts';
import { entries } from './views.tsx';

export function Frame() {
  const view = useUi((ui) => ui.view);
  const entry = entries.find((one) => one.id === view) ?? entries[0]!;
  useKeys();
  useEffect(() => {
    document.title = `${entry.label} · Dispatcher`;
  }, [entry]);
  useEffect(() => {
    // Views that are not on screen are fetched once the first one stands.
    const idle = setTimeout(() => entries.forEach((one) => void one.load?.()), 800);
    return () => clearTimeout(idle);
  }, []);
  const View = entry.component;
  return (
    <div className="grid h-full grid-cols-[3.5rem_minmax(0,1fr)] grid-rows-[3rem_minmax(0,1fr)] md:grid-cols-[12rem_minmax(0,1fr)]">
      <button
        type="button"
        className="sr-only focus:not-sr-only focus:absolute focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-overlay focus:px-3 focus:py-2 focus:shadow-pop"
        onClick={() => document.getElementById('main')?.focus()}
      >
        Skip to the view
      </button>
      <Rail />
      <TopBar />
      <main
        id="main"
        tabIndex={-1}
        aria-label={entry.label}
        className="relative flex min-h-0 min-w-0 flex-col overflow-hidden border-t border-l bg-canvas md:rounded-tl-lg"
      >
        <ConnectionBar />
        <Suspense fallback={<LoadingView title={entry.label} what={`Opening ${entry.label}`} />}>
          <View key={entry.id} />
        </Suspense>
      </main>
      <Palette />
      <Keys />
      <QuestionDialog />
      <Toasts />
      <section id="hints" aria-label="Hints" />
    </div>
  );
}

function Rail() {
  const view = useUi((ui) => ui.view);
  const go = useUi((ui) => ui.go);
  const live = {
    counts: useLive('counts'),
    routes: useLive('routes'),
    registry: useLive('registry'),
    health: useLive('health'),
    gpu: useLive('gpu'),
    cortex: useLive('cortex'),
  };
  const known = Object.fromEntries(Object.entries(live).filter(([, value]) => value !== undefined));
  return (
    <aside aria-label="Dispatcher" className="row-span-2 flex min-h-0 flex-col px-2 pb-2">
      <div className="flex h-12 items-center gap-2 px-2">
        <img src="./icon.svg" alt="" width={20} height={20} />
        <span className="hidden font-semibold text-ink text-sm tracking-tight md:inline">Dispatcher</span>
      </div>
      <nav aria-label="Views" className="flex min-h-0 flex-1 flex-col gap-0.5 overflow-y-auto pt-1">
        {entries.map((entry, index) => {
          const count = entry.count?.(known) ?? null;
          const here = entry.id === view;
          return (
            <Hint key={entry.id} side="right" text={entry.label} keys={`mod+${index + 1}`}>
              <button
                type="button"
                aria-current={here ? 'page' : undefined}
                aria-label={count ? `${entry.label}, ${count.label}` : entry.label}
                onClick={() => go(entry.id)}
                className={`relative flex h-8 shrink-0 items-center justify-center gap-2.5 rounded-md px-2 font-medium text-sm transition-colors duration-75 focus-visible:-outline-offset-2 md:justify-start ${
                  here ? 'bg-surface text-ink shadow-card hairline' : 'text-ink-2 hover:bg-raised hover:text-ink'
                }`}
              >
                <entry.icon aria-hidden className={`size-4 shrink-0 ${here ? 'text-accent-ink' : 'text-ink-3'}`} strokeWidth={1.75} />
                <span className="hidden min-w-0 flex-1 truncate text-left md:inline">{entry.label}</span>
                {count && (
                  <span
                    aria-hidden
                    className={`absolute top-0.5 right-0.5 rounded-full px-1 text-[10px] leading-4 md:static md:min-w-5 md:px-1.5 md:text-center md:text-2xs ${
                      count.tone === 'accent'
                        ? 'bg-accent-soft text-accent-ink'
                        : count.tone === 'bad'
                          ? 'bg-bad-soft text-bad-ink'
                          : count.tone === 'warn'
                            ? 'bg-warn-soft text-warn-ink'
                            : 'hidden text-ink-3 md:inline'
                    }`}
                  >
                    {formatShort(count.value)}
                  </span>
                )}
              </button>
            </Hint>
          );
        })}
      </nav>
      <RailFoot />
    </aside>
  );
}

function RailFoot() {
  const self = useLive('self');
  const set = useUi((ui) => ui.set);
  return (
    <div className="flex items-center justify-center gap-1 pt-2 md:justify-between">
      {self && (
        <span className="hidden truncate pl-2 text-2xs text-ink-3 md:inline" title={`Process ${self.pid}, data in ${self.home}`}>
          v{self.version}
          {self.demo && ' · demo'}
          {self.mock && ' · mock'}
        </span>
      )}
      <IconButton label="Keys" keys="?" icon={Keyboard} onClick={() => set({ keys: true })} />
    </div>
  );
}

function TopBar() {
  const set = useUi((ui) => ui.set);
  return (
    <header className="flex min-w-0 items-center gap-3 pr-3 md:pr-4">
      <button
        type="button"
        aria-label="Search or run a command"
        aria-keyshortcuts="Control+K Meta+K"
        onClick={() => set({ palette: true })}
        className="flex h-8 min-w-0 max-w-96 flex-1 items-center gap-2 rounded-md px-2.5 text-ink-3 text-sm transition-colors hairline hover:bg-surface hover:text-ink-2"
      >
        <Search aria-hidden className="size-3.5 shrink-0" />
        <span className="min-w-0 flex-1 truncate text-left">Search or run a command</span>
        <KeyHint keys="mod+k" />
      </button>
      <div className="ml-auto" />
      <OwnUse />
      <ConnectionState />
      <SovereignSwitch />
    </header>
  );
}

/** What this app itself takes, always on screen: it should be next to nothing. */
function OwnUse() {
  const self = useLive('self');
  const history = useLive('selfHistory');
  if (!self) return null;
  const cpu = `${self.cpuPercent < 10 ? self.cpuPercent.toFixed(1) : Math.round(self.cpuPercent)} %`;
  return (
    <div
      className="hidden items-center gap-2 text-2xs text-ink-3 lg:flex"
      title={`The core's own processor and memory use · process ${self.pid}`}
    >
      <Sparkline
        values={(history ?? []).slice(-40).map((one) => one.cpuPercent)}
        label="Processor use over the last minutes"
        width={40}
        height={14}
        max={20}
        className="text-ink-3"
      />
      <span>
        <span className="sr-only">Processor </span>
        <span className="inline-block min-w-9 text-right text-ink-2">{cpu}</span>
      </span>
      <span>
        <span className="sr-only">Memory </span>
        <span className="inline-block min-w-12 text-right text-ink-2">{formatBytes(self.memoryBytes)}</span>
      </span>
    </div>
  );
}

function ConnectionState() {
  const connection = useConnection();
  const words = { connecting: 'Connecting', open: 'Connected', lost: 'Disconnected' }[connection.state];
  const tone = ({ connecting: 'quiet', open: 'ok', lost: 'bad' } as const)[connection.state];
  return (
    <span role="status" className="flex items-center gap-1.5 text-2xs text-ink-2">
      <StatusDot tone={tone} live={connection.state !== 'open'} />
      <span className="hidden sm:inline">{words}</span>
    </span>
  );
}

function SovereignSwitch() {
  const front = useFront();
  const sovereign = useLive('sovereign');
  if (!sovereign) return null;
  const { on } = sovereign;
  const Icon = on ? ShieldCheck : ShieldOff;
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the switch inside is the control
    <label
      className={`flex h-8 shrink-0 items-center gap-2 rounded-md pr-2 pl-2.5 font-medium text-xs transition-colors ${
        on ? 'bg-ok-soft text-ok-ink' : 'text-ink-2 hairline'
      }`}
      title={on ? 'Nothing leaves this machine: remote routes are refused.' : 'Remote routes may be called.'}
    >
      <Icon aria-hidden className="size-4" strokeWidth={1.75} />
      <span className="hidden sm:inline">{on ? 'Sovereign: local only' : 'Remote allowed'}</span>
      <Switch.Root
        aria-label="Sovereign"
        checked={on}
        onCheckedChange={(next) => void setSovereign(front, next)}
        className="relative h-4 w-7 rounded-full bg-control transition-colors data-[state=checked]:bg-ok"
      >
        <Switch.Thumb className="block size-3 translate-x-0.5 rounded-full bg-white transition-transform duration-100 data-[state=checked]:translate-x-3.5" />
      </Switch.Root>
    </label>
  );
}

function ConnectionBar() {
  const connection = useConnection();
  const front = useFront();
  const now = useNow();
  if (connection.state !== 'lost') return null;
  // A blink of the connection is not worth a bar.
  if (now - connection.since < 1000) return null;
  return (
    <div role="alert" className="flex shrink-0 items-center gap-3 border-b bg-warn-soft px-4 py-2 text-sm lg:px-6">
      <PlugZap aria-hidden className="size-4 shrink-0 text-warn-ink" />
      <p className="min-w-0 flex-1">
        <span className="font-medium text-warn-ink">{connection.error.message}</span>{' '}
        <span className="text-ink-2">
          {connection.error.hint ?? 'What it had accepted is on record. What you see is the last it said.'}
        </span>
      </p>
      <Button size="sm" onClick={() => front.reconnect()}>
        Reconnect
      </Button>
    </div>
  );
}

const keyGroups: readonly { title: string; keys: readonly { keys: string; what: string }[] }[] = [
  {
    title: 'Anywhere',
    keys: [
      { keys: 'mod+k', what: 'Search or run a command' },
      { keys: '/', what: 'Go to the search field' },
      { keys: 'esc', what: 'Close what is open' },
      { keys: '?', what: 'This list' },
    ],
  },
  { title: 'Views', keys: entries.map((entry, index) => ({ keys: `mod+${index + 1}`, what: entry.label })) },
  {
    title: 'Dispatch',
    keys: [
      { keys: 'enter', what: 'Dispatch' },
      { keys: 'shift+enter', what: 'New line' },
      { keys: '@', what: 'Name a route' },
      { keys: 'up', what: 'Earlier ones, when it is empty' },
    ],
  },
  {
    title: 'Lists',
    keys: [
      { keys: 'j', what: 'The next' },
      { keys: 'k', what: 'The one before' },
      { keys: 'enter', what: 'Open what is selected' },
    ],
  },
  {
    title: 'Queue and GPU',
    keys: [
      { keys: 'x', what: 'Cancel the job that is open' },
      { keys: 'l', what: 'Load the model that is open' },
      { keys: 'e', what: 'Evict the model that is open' },
      { keys: 'g', what: 'New grant, in Grants' },
    ],
  },
];

function Keys() {
  const open = useUi((ui) => ui.keys);
  const set = useUi((ui) => ui.set);
  return (
    <Dialog open={open} onClose={() => set({ keys: false })} title="Keys" width={640}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: where the list is longer than the window, it is scrolled by keyboard */}
      <section aria-label="List of keys" tabIndex={0} className="gap-x-8 sm:columns-2">
        {keyGroups.map((group) => (
          <div key={group.title} className="mb-4 break-inside-avoid">
            <h3 className="mb-1 font-medium text-2xs text-ink-3">{group.title}</h3>
            <dl className="space-y-0.5">
              {group.keys.map(({ keys, what }) => (
                <div key={keys} className="flex h-7 items-center justify-between gap-3">
                  <dt className="min-w-0 truncate text-ink-2" title={what}>
                    {what}
                  </dt>
                  <dd className="shrink-0">
                    <KeyHint keys={keys} />
                    <span className="sr-only">{keys}</span>
                  </dd>
                </div>
              ))}
            </dl>
          </div>
        ))}
      </section>
    </Dialog>
  );
}

function useKeys() {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { set, go, palette, view, item } = useUi.getState();
      const command = (event.metaKey || event.ctrlKey) && !event.altKey;
      if (command && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        set({ palette: !palette });
        return;
      }
      const place = command && !event.shiftKey ? Number.parseInt(event.key, 10) : Number.NaN;
      const entry = Number.isNaN(place) ? undefined : entries[place - 1];
      if (entry) {
        event.preventDefault();
        set({ palette: false, keys: false });
        go(entry.id);
        return;
      }
      if (event.key === 'Escape' && item !== null && isFree(event)) {
        // What is typed into a form is not thrown away by one key: the first press leaves the field.
        const target = event.target as HTMLElement;
        if (target.closest('form') && target.matches('input, textarea')) target.blur();
        else go(view);
        return;
      }
      if (!isPlain(event)) return;
      if (event.key === '/') {
        const field =
          document.querySelector<HTMLElement>('main [data-search]') ?? document.querySelector<HTMLElement>('main [data-composer]');
        if (field) {
          event.preventDefault();
          field.focus();
        }
      }
      if (event.key === '?') set({ keys: true });
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, []);
}
