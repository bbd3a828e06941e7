/** Everything by its name: views, actions, routes, recent jobs. */
import { Command } from 'cmdk';
import type { LucideIcon } from 'lucide-react';
import {
  ArrowDownToLine,
  Cpu,
  Keyboard,
  KeyRound,
  ListTree,
  Radar,
  RefreshCw,
  Route as RouteIcon,
  ScrollText,
  SendHorizontal,
  ShieldCheck,
  ShieldOff,
  SunMoon,
} from 'lucide-react';
import { Dialog as Radix } from 'radix-ui';
import type { ReactNode } from 'react';
import { useState } from 'react';
import type { ModelState } from '../shared/cortex.ts';
import { setSovereign, setTheme, toastError, toggleTheme, verifyAudit } from './actions.ts';
import { useFront, useLive } from './core.ts';
import { rank } from './fuzzy.ts';
import { KeyHint } from './parts/KeyHint.tsx';
import { JobStateMark } from './parts/Status.tsx';
import { gpuTabs, gpuTabWords, queueTabs, queueTabWords } from './place.ts';
import { openGpu, openGpuDialog, openQueue, toast, useUi } from './ui.ts';
import { entries } from './views.tsx';

interface Action {
  id: string;
  label: string;
  also: string;
  icon: LucideIcon;
  keys?: string;
  run(): void;
}

export function Palette() {
  const open = useUi((ui) => ui.palette);
  const set = useUi((ui) => ui.set);
  return (
    <Radix.Root open={open} onOpenChange={(next) => set({ palette: next })}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade bg-black/25" />
        <Radix.Content
          aria-describedby={undefined}
          className="fixed top-[14vh] left-1/2 z-50 w-[min(600px,calc(100vw-32px))] -translate-x-1/2 animate-fade overflow-hidden rounded-xl bg-overlay shadow-pop outline-none"
        >
          <Radix.Title className="sr-only">Search or run a command</Radix.Title>
          <Inside />
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

function Inside() {
  const front = useFront();
  const go = useUi((ui) => ui.go);
  const set = useUi((ui) => ui.set);
  const sovereign = useLive('sovereign');
  const routes = useLive('routes') ?? [];
  const jobs = useLive('jobs') ?? [];
  const models = useLive('cortex')?.models ?? [];
  const [query, setQuery] = useState('');

  const close = () => set({ palette: false });
  const then = (work: () => void) => () => {
    close();
    work();
  };
  const actions: Action[] = [
    ...(sovereign
      ? [
          {
            id: 'sovereign',
            label: sovereign.on ? 'Turn sovereign off' : 'Turn sovereign on',
            also: 'toggle local only remote privacy switch',
            icon: sovereign.on ? ShieldOff : ShieldCheck,
            run: () => void setSovereign(front, !sovereign.on),
          },
        ]
      : []),
    { id: 'verify', label: 'Verify audit chain', also: 'check tamper log hash', icon: ScrollText, run: () => void verifyAudit(front) },
    {
      id: 'probe',
      label: 'Probe every service now',
      also: 'health check ping',
      icon: RefreshCw,
      run: () =>
        void front.operate('OS.health', { probe: true }).then(
          ({ health }) =>
            toast(
              'ok',
              'Every service was probed',
              `${health.filter((one) => one.status === 'healthy').length} of ${health.length} healthy.`,
            ),
          (caught) => toastError('The services were not probed', caught),
        ),
    },
    { id: 'theme', label: 'Toggle theme', also: 'dark light system appearance', icon: SunMoon, run: toggleTheme },
    {
      id: 'system theme',
      label: 'Use the system theme',
      also: 'dark light appearance automatic',
      icon: SunMoon,
      run: () => setTheme('system'),
    },
    { id: 'keys', label: 'Show keys', also: 'shortcuts help', icon: Keyboard, keys: '?', run: () => set({ keys: true }) },
    {
      id: 'load',
      label: 'Load a model',
      also: 'gpu warm start vram evict cost',
      icon: ArrowDownToLine,
      run: () => openGpuDialog({ kind: 'load', provider: null, tier: null }),
    },
    { id: 'grant', label: 'New grant', also: 'key openai api models', icon: KeyRound, run: () => openGpuDialog({ kind: 'grant' }) },
    {
      id: 'discover',
      label: 'Look for model servers',
      also: 'discover ollama vllm llama providers add',
      icon: Radar,
      run: () => openGpu('servers', 'look'),
    },
    ...gpuTabs.map((tab) => ({
      id: `gpu ${tab}`,
      label: `GPU: ${gpuTabWords[tab].label}`,
      also: gpuTabWords[tab].also,
      icon: Cpu,
      run: () => openGpu(tab),
    })),
    ...queueTabs.map((tab) => ({
      id: `queue ${tab}`,
      label: `Queue: ${queueTabWords[tab].label}`,
      also: queueTabWords[tab].also,
      icon: ListTree,
      run: () => openQueue(tab),
    })),
  ];

  const words = query.trim();
  const views = rank(words, entries, (entry) => `${entry.label} ${entry.also}`, 7);
  const doable = rank(words, actions, (action) => `${action.label} ${action.also}`, 6);
  const matching = words ? rank(words, routes, (route) => `${route.name} ${route.description ?? ''}`, 8) : [];
  const providers = words ? rank(words, [...new Map(models.map((one) => [one.provider, one])).values()], nameOfModel, 4) : [];
  const recent = words ? rank(words, jobs.slice(0, 100), (job) => `${job.text ?? ''} ${job.route ?? ''} ${job.id}`, 4) : [];

  return (
    <Command shouldFilter={false} label="Commands" loop className="flex max-h-[60vh] flex-col">
      <Command.Input
        autoFocus
        value={query}
        onValueChange={setQuery}
        placeholder="Search views, actions, routes, jobs"
        className="h-12 shrink-0 border-b bg-transparent px-4 text-base outline-none"
      />
      <Command.List label="Results" className="min-h-0 overflow-auto p-1.5">
        <Command.Empty className="px-3 py-8 text-center text-ink-3 text-sm">Nothing has that name.</Command.Empty>
        {views.length > 0 && (
          <Group heading="Views">
            {views.map((entry) => (
              <Item
                key={entry.id}
                value={`view ${entry.id}`}
                icon={entry.icon}
                label={entry.label}
                keys={`mod+${entries.indexOf(entry) + 1}`}
                onSelect={then(() => go(entry.id))}
              />
            ))}
          </Group>
        )}
        {doable.length > 0 && (
          <Group heading="Actions">
            {doable.map((action) => (
              <Item
                key={action.id}
                value={`action ${action.id}`}
                icon={action.icon}
                label={action.label}
                keys={action.keys}
                onSelect={then(action.run)}
              />
            ))}
          </Group>
        )}
        {matching.length > 0 && (
          <Group heading="Routes">
            {matching.map((route) => (
              <Item
                key={route.name}
                value={`route ${route.name}`}
                icon={RouteIcon}
                label={route.name}
                note={route.description}
                onSelect={then(() => {
                  set({ draft: `@${route.name} ` });
                  go('dispatch');
                })}
              />
            ))}
          </Group>
        )}
        {providers.length > 0 && (
          <Group heading="Models">
            {providers.map((one) => (
              <Item
                key={one.provider}
                value={`model ${one.provider}`}
                icon={Cpu}
                label={one.provider}
                note={one.capabilities.join(', ')}
                onSelect={then(() => openGpu('models', one.provider))}
              />
            ))}
          </Group>
        )}
        {recent.length > 0 && (
          <Group heading="Jobs">
            {recent.map((job) => (
              <Item
                key={job.id}
                value={`job ${job.id}`}
                icon={ListTree}
                label={job.text ?? job.route ?? job.id}
                aside={<JobStateMark state={job.state} />}
                onSelect={then(() => go('queue', job.id))}
              />
            ))}
          </Group>
        )}
        {words && (
          <Group heading="Dispatch">
            <Item
              value="dispatch it"
              icon={SendHorizontal}
              label={`Dispatch “${words}”`}
              onSelect={then(() => {
                set({ draft: '', run: front.dispatch({ text: words, ask: true }) });
                go('dispatch');
              })}
            />
          </Group>
        )}
      </Command.List>
    </Command>
  );
}

function nameOfModel({ provider, capabilities }: ModelState): string {
  return `${provider} ${capabilities.join(' ')}`;
}

function Group({ heading, children }: { heading: string; children: ReactNode }) {
  return (
    <Command.Group
      heading={heading}
      className="[&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:font-medium [&_[cmdk-group-heading]]:text-2xs [&_[cmdk-group-heading]]:text-ink-3"
    >
      {children}
    </Command.Group>
  );
}

function Item({
  value,
  icon: Icon,
  label,
  note,
  aside,
  keys,
  onSelect,
}: {
  value: string;
  icon: LucideIcon;
  label: string;
  note?: string | null;
  aside?: ReactNode;
  keys?: string | undefined;
  onSelect(): void;
}) {
  return (
    <Command.Item
      value={value}
      onSelect={onSelect}
      className="flex h-9 items-center gap-2.5 rounded-md px-2.5 text-sm data-[selected=true]:bg-raised"
    >
      <Icon aria-hidden className="size-4 shrink-0 text-ink-3" strokeWidth={1.75} />
      <span className="min-w-0 shrink truncate">{label}</span>
      {note && <span className="min-w-0 flex-1 truncate text-ink-3 text-xs">{note}</span>}
      <span className="ml-auto flex shrink-0 items-center gap-2 text-xs">
        {aside}
        {keys && <KeyHint keys={keys} />}
      </span>
    </Command.Item>
  );
}
