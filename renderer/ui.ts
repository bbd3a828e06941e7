/** What this window alone knows: view, filters, theme, what is open. Never anything the core said. */
import { create } from 'zustand';
import { persist } from 'zustand/middleware';
import type { JobState } from '../shared/model.ts';
import { type GpuTab, gpuPlaceOf, itemOf, placeOf, type QueueTab } from './place.ts';

export const views = ['dispatch', 'queue', 'routes', 'health', 'gpu', 'audit', 'settings'] as const;
export type View = (typeof views)[number];
export type Theme = 'system' | 'light' | 'dark';

export interface Toast {
  id: number;
  tone: 'ok' | 'bad' | 'info';
  title: string;
  detail: string | null;
}

export interface Question {
  title: string;
  /** What will happen, in full sentences. */
  body: string;
  action: string;
  /** What not doing it is called, where `Cancel` could be either. */
  keep?: string;
  tone: 'danger' | 'primary';
  answer(yes: boolean): void;
}

/** What lies over the GPU view: the cost of a load or an eviction before it is done, or a new grant. */
export type GpuDialog =
  | { kind: 'load'; provider: string | null; tier: string | null }
  | { kind: 'evict'; provider: string }
  | { kind: 'grant' };

export interface Ui {
  view: View;
  /** What is open inside the view, as the address says it: a job id, a route name. */
  item: string | null;
  theme: Theme;
  queue: {
    tab: QueueTab;
    q: string;
    state: JobState | null;
    route: string | null;
    lane: string | null;
    signals: boolean;
    /** The start whose report has been read. */
    bootSeen: number | null;
  };
  /** The tab of GPU that was last open. */
  gpuTab: GpuTab;
  history: { open: boolean };
  /** Any view may keep its own filters here under its name; they come back after a restart. */
  filters: Record<string, unknown>;

  draft: string;
  run: number | null;
  palette: boolean;
  keys: boolean;
  toasts: Toast[];
  question: Question | null;
  gpuDialog: GpuDialog | null;

  go(view: View, item?: string | null): void;
  set(change: Partial<Ui>): void;
  setFilter(name: string, value: unknown): void;
  setQueue(change: Partial<Ui['queue']>): void;
}

const fromAddress = (): Pick<Ui, 'view' | 'item'> | null => {
  const [name, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  const view = views.find((one) => one === name);
  return view ? { view, item: rest.length > 0 ? decodeURIComponent(rest.join('/')) : null } : null;
};

/** Going somewhere in Queue or GPU opens its tab, and keeps it open. */
function rememberTab(view: View, item: string | null, { queue, gpuTab }: Ui): Pick<Ui, 'queue'> | Pick<Ui, 'gpuTab'> | null {
  if (view === 'gpu') return { gpuTab: gpuPlaceOf(item, gpuTab).tab };
  if (view !== 'queue') return null;
  const { tab } = placeOf(item, queue.tab);
  return tab === queue.tab ? null : { queue: { ...queue, tab } };
}

/** Opens something in Queue, or only the tab. */
export function openQueue(tab: QueueTab, open: string | null = null): void {
  useUi.getState().go('queue', itemOf(tab, open));
}

/** Opens something in GPU, or only the tab. */
export function openGpu(tab: GpuTab, open: string | null = null): void {
  useUi.getState().go('gpu', open === null ? tab : `${tab}/${open}`);
}

/** Shows what it costs, over the GPU view. */
export function openGpuDialog(dialog: GpuDialog): void {
  const { view, go, set } = useUi.getState();
  if (view !== 'gpu') go('gpu');
  set({ gpuDialog: dialog });
}

export const useUi = create<Ui>()(
  persist(
    (set, get) => ({
      view: 'dispatch',
      item: null,
      theme: 'system',
      queue: { tab: 'jobs', q: '', state: null, route: null, lane: null, signals: true, bootSeen: null },
      gpuTab: 'overview',
      history: { open: true },
      filters: {},
      draft: '',
      run: null,
      palette: false,
      keys: false,
      toasts: [],
      question: null,
      gpuDialog: null,
      go(view, item = null) {
        if (get().view === view && get().item === item) return;
        set({ view, item, ...rememberTab(view, item, get()) });
        history.pushState(null, '', `#${view}${item === null ? '' : `/${item.split('/').map(encodeURIComponent).join('/')}`}`);
      },
      set: (change) => set(change),
      setFilter: (name, value) => set({ filters: { ...get().filters, [name]: value } }),
      setQueue: (change) => set({ queue: { ...get().queue, ...change } }),
    }),
    {
      name: 'dispatcher',
      version: 1,
      merge: (kept, fresh) => {
        const { queue, ...rest } = (kept ?? {}) as Partial<Ui>;
        return { ...fresh, ...rest, queue: { ...fresh.queue, ...queue } };
      },
      partialize: ({ view, theme, queue, gpuTab, history: past, filters }) => ({ view, theme, queue, gpuTab, history: past, filters }),
    },
  ),
);

/** Keeps address and theme in step with the state. Call once. */
export function startUi(): void {
  const follow = () => {
    const there = fromAddress();
    if (there) useUi.setState({ ...there, ...rememberTab(there.view, there.item, useUi.getState()) });
  };
  follow();
  addEventListener('popstate', follow);
  addEventListener('hashchange', follow);
  const paint = ({ theme }: Ui) => {
    if (theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  paint(useUi.getState());
  useUi.subscribe(paint);
}

let nextToast = 1;

/** Says something in the corner for a few seconds; failures stay a little longer. */
export function toast(tone: Toast['tone'], title: string, detail: string | null = null): void {
  const id = nextToast++;
  const { toasts, set } = useUi.getState();
  set({ toasts: [...toasts.slice(-3), { id, tone, title, detail }] });
  setTimeout(() => dismissToast(id), tone === 'bad' ? 9000 : 5000);
}

export function dismissToast(id: number): void {
  const { toasts, set } = useUi.getState();
  set({ toasts: toasts.filter((one) => one.id !== id) });
}

/** Asks once, saying what will happen. */
export function ask(question: Omit<Question, 'answer'>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  useUi.getState().set({
    question: {
      ...question,
      answer: (yes) => {
        useUi.getState().set({ question: null });
        resolve(yes);
      },
    },
  });
  return promise;
}
