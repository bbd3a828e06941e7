/** The views of the app in rail order: add one here and it has its rail entry, key, palette entry and address. */
import type { LucideIcon } from 'lucide-react';
import { Cpu, HeartPulse, ListTree, ScrollText, SendHorizontal, Settings2, Waypoints } from 'lucide-react';
import type { ComponentType } from 'react';
import { lazy } from 'react';
import type { Live } from './pump.ts';
import type { View } from './ui.ts';
import { Dispatch } from './views/Dispatch.tsx';

interface Entry {
  id: View;
  label: string;
  icon: LucideIcon;
  /** Other words people look for it by. */
  also: string;
  component: ComponentType;
  load?: () => Promise<unknown>;
  /** The number beside it in the rail, from slices of the core's state; null shows none. */
  count?(live: Partial<Live>): { value: number; tone: 'quiet' | 'accent' | 'warn' | 'bad'; label: string } | null;
}

function later<K extends string>(load: () => Promise<Record<K, ComponentType>>, name: K) {
  return { load, component: lazy(() => load().then((module) => ({ default: module[name] }))) };
}

export const entries: readonly Entry[] = [
  { id: 'dispatch', label: 'Dispatch', icon: SendHorizontal, also: 'run call send ask', component: Dispatch },
  {
    id: 'queue',
    label: 'Queue',
    icon: ListTree,
    also: 'jobs history signals running',
    ...later(() => import('./views/Queue.tsx'), 'Queue'),
    count: ({ counts }) =>
      counts && counts.running > 0 ? { value: counts.running, tone: 'accent', label: `${counts.running} running` } : null,
  },
  {
    id: 'routes',
    label: 'Routes',
    icon: Waypoints,
    also: 'services registry rules orgs',
    ...later(() => import('./views/Routes.tsx'), 'Routes'),
    count({ routes, registry }) {
      const errors = registry?.problems.filter((problem) => problem.severity === 'error').length ?? 0;
      if (errors > 0) return { value: errors, tone: 'bad', label: `${errors} ${errors === 1 ? 'error' : 'errors'} in the registry` };
      return routes ? { value: routes.length, tone: 'quiet', label: `${routes.length} routes` } : null;
    },
  },
  {
    id: 'health',
    label: 'Health',
    icon: HeartPulse,
    also: 'services breakers down latency incidents',
    ...later(() => import('./views/Health.tsx'), 'Health'),
    count: ({ health }) => {
      const down = health?.filter((one) => one.status === 'down').length ?? 0;
      return down > 0 ? { value: down, tone: 'bad', label: `${down} down` } : null;
    },
  },
  {
    id: 'gpu',
    label: 'GPU',
    icon: Cpu,
    also: 'memory vram models devices grants line',
    ...later(() => import('./views/Gpu.tsx'), 'Gpu'),
    count({ gpu, cortex }) {
      const alerts = cortex?.alerts.length ?? 0;
      if (alerts > 0)
        return {
          value: alerts,
          tone: cortex?.alerts.some(({ level }) => level === 'critical') ? 'bad' : 'warn',
          label: `${alerts} ${alerts === 1 ? 'alert' : 'alerts'}`,
        };
      const waiting = cortex === undefined || cortex === null ? 0 : cortex.queue.length + cortex.unlisted.queue;
      if (waiting > 0) return { value: waiting, tone: 'accent', label: `${waiting} waiting` };
      return gpu && gpu.devices.length > 0
        ? { value: gpu.devices.length, tone: 'quiet', label: `${gpu.devices.length} ${gpu.devices.length === 1 ? 'device' : 'devices'}` }
        : null;
    },
  },
  {
    id: 'audit',
    label: 'Audit',
    icon: ScrollText,
    also: 'chain verify log record tamper',
    ...later(() => import('./views/Audit.tsx'), 'Audit'),
    count: ({ counts }) => (counts ? { value: counts.audit, tone: 'quiet', label: `${counts.audit} entries` } : null),
  },
  {
    id: 'settings',
    label: 'Settings',
    icon: Settings2,
    also: 'tokens limits retention folder',
    ...later(() => import('./views/Settings.tsx'), 'Settings'),
  },
];
