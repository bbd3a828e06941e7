/** This window's side of the core: client, query cache and the event pump, the only writer of server state. */
import {
  type InfiniteData,
  keepPreviousData,
  QueryClient,
  type UseInfiniteQueryResult,
  type UseQueryResult,
  useInfiniteQuery,
  useQuery,
} from '@tanstack/react-query';
import { createContext, useContext } from 'react';
import type { Ask, DownFrame, Event, InputOf, OperationName, OutputOf, UpFrame } from '../shared/contract.ts';
import { Refusal, refuse, toWire, type WireError } from '../shared/errors.ts';
import { jobStates } from '../shared/job.ts';
import type { Crossing, Delivery, JobState } from '../shared/model.ts';
import { type Client, createClient, type Pending, type Port } from '../shared/port.ts';
import { appendPage, applyEvents, emptyFeed, type JobFeed, type JobFilter, type Live, liveFrom, releaseFeed, updateFeed } from './pump.ts';

export type Connection =
  | { state: 'connecting' }
  | { state: 'open'; since: number }
  | { state: 'lost'; since: number; error: WireError; retryAt: number };

/** One dispatch made from this window, from key press to crossing. */
export interface Run {
  id: number;
  ask: Ask;
  sentAt: number;
  accepted: { job: string; route: string; audit: { seq: number; hash: string } } | null;
  crossing: Crossing | null;
  /** Set when no crossing came at all: the frame was refused or the core went away. */
  fault: WireError | null;
  finishedAt: number | null;
  cancelRequested: boolean;
}

export interface Front {
  readonly queries: QueryClient;
  /** Dispatches and gives the run's id; the run lives in the cache (`useRun`). */
  dispatch(ask: Ask): number;
  cancel(run: number): void;
  operate<N extends OperationName>(name: N, params: InputOf<N>, more?: Pick<Ask, 'confirm'>): Promise<OutputOf<N>>;
  /** Calls a route that is no operation, such as a tool, and gives what it answered. Rejects with a Refusal. */
  call(ask: Ask): Promise<unknown>;
  /** Writes or deletes a kept text by its tool route, and gives the text's id; the lists of texts are read again. */
  remember(ask: Ask): Promise<string>;
  /** Loads the next page of a job feed; does nothing while one is on its way or none is left. */
  loadJobs(filter: JobFilter): Promise<void>;
  releaseJobs(filter: JobFilter): void;
  reconnect(): void;
  close(): void;
}

const FIRST_PAGE = 200;
const NEXT_PAGE = 500;
/** States are counted again at most this often, while jobs move. */
const COUNT_EVERY_MS = 1500;
/** What would be loaded is asked again at most this often, while models come and go. */
const PLAN_EVERY_MS = 400;

export interface FrontOptions {
  connect(): Promise<Port<UpFrame, DownFrame>>;
  /** Runs the work before the next picture is drawn: events of one frame are applied together. */
  nextFrame(work: () => void): void;
  /** The first wait before it connects again, milliseconds; it doubles up to 5 s. */
  retryMs?: number;
}

/** A window's front over `connect`. It reconnects by itself until `close`. */
export function createFront({ connect, nextFrame, retryMs = 250 }: FrontOptions): Front {
  const queries = new QueryClient({
    defaultOptions: {
      queries: { retry: false, refetchOnWindowFocus: false, refetchOnReconnect: false, staleTime: 5000, networkMode: 'always' },
    },
  });
  const pending = new Map<number, Pending>();
  let client: Client | null = null;
  let opening: PromiseWithResolvers<Client> = Promise.withResolvers();
  opening.promise.catch(() => {});
  let live: Live | null = null;
  let waiting: Event[] = [];
  let scheduled = false;
  let nextRun = 1;
  let failures = 0;
  let closed = false;
  let retryTimer: ReturnType<typeof setTimeout> | null = null;

  const setConnection = (connection: Connection) => queries.setQueryData(['connection'], connection);
  setConnection({ state: 'connecting' });

  function show(next: Live): void {
    const before = live;
    live = next;
    for (const key of Object.keys(next) as (keyof Live)[]) {
      if (!before || before[key] !== next[key]) queries.setQueryData(['live', key], next[key]);
    }
  }

  function flush(): void {
    scheduled = false;
    const events = waiting;
    waiting = [];
    if (!live || events.length === 0) return;
    const fresh = events.filter((event) => event.seq > live!.seq);
    show(applyEvents(live, fresh));
    const changed = new Map(fresh.flatMap((event) => (event.type === 'job' ? [[event.job.id, event.job] as const] : [])));
    if (changed.size > 0) {
      const jobs = [...changed.values()];
      for (const query of queries.getQueryCache().findAll({ queryKey: ['feed'] })) {
        const filter = query.queryKey[1] as JobFilter;
        queries.setQueryData<JobFeed>(query.queryKey, (feed) => (feed ? updateFeed(feed, jobs, filter) : feed));
      }
      countSoon();
    }
    refresh(fresh);
  }

  /** What was asked for and has changed since is asked for again, only where something on screen shows it. */
  function refresh(events: readonly Event[]): void {
    const stale = new Set<OperationName>();
    const touched = new Set<string>();
    for (const event of events) {
      if (event.type === 'crossing' || event.type === 'rejected') stale.add('OS.audit');
      if (event.type === 'registry') stale.add('OS.registry').add('OS.audit');
      if (event.type === 'sovereign') stale.add('OS.resolve').add('OS.resolve.need').add('OS.audit');
      if (event.type === 'routes' || event.type === 'breaker') stale.add('OS.resolve').add('OS.rules.test');
      if (event.type === 'cortex') planSoon();
      if (event.type === 'delivery') stale.add('OS.callbacks');
      if (event.type === 'job') touched.add(event.job.id);
      if (event.type === 'delivery') touched.add(event.delivery.job);
      if (event.type === 'crossing' && event.crossing.job) touched.add(event.crossing.job);
    }
    for (const query of queries.getQueryCache().findAll({ queryKey: ['op', 'OS.jobs.get'] })) {
      const { id } = query.queryKey[2] as InputOf<'OS.jobs.get'>;
      if (touched.has(id)) void queries.invalidateQueries({ queryKey: query.queryKey });
    }
    for (const name of stale) void queries.invalidateQueries({ queryKey: ['op', name] });
  }

  let counting: ReturnType<typeof setTimeout> | null = null;
  function countSoon(): void {
    counting ??= setTimeout(() => {
      counting = null;
      void queries.invalidateQueries({ queryKey: ['states'] });
    }, COUNT_EVERY_MS);
  }

  let planning: ReturnType<typeof setTimeout> | null = null;
  function planSoon(): void {
    planning ??= setTimeout(() => {
      planning = null;
      for (const name of ['OS.resolve', 'OS.resolve.need'] as const) void queries.invalidateQueries({ queryKey: ['op', name] });
    }, PLAN_EVERY_MS);
  }

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    nextFrame(flush);
  }

  function open(): void {
    retryTimer = null;
    connect().then(
      (port) => {
        failures = 0;
        const opened = createClient(port);
        client = opened;
        opened.onClose(() => lose(opened, refuse('core_unreachable', 'The connection to the core closed.')));
        opened.watch(0, {
          snapshot(snapshot) {
            waiting = [];
            show(liveFrom(snapshot, live));
            setConnection({ state: 'open', since: Date.now() });
            opening.resolve(opened);
            for (const query of queries.getQueryCache().findAll({ queryKey: ['feed'] })) void reloadFeed(query.queryKey[1] as JobFilter);
            void queries.invalidateQueries({ queryKey: ['op'] });
            void queries.invalidateQueries({ queryKey: ['states'] });
          },
          events(events) {
            waiting.push(...events);
            schedule();
          },
        });
      },
      (caught) => lose(null, toWire(caught)),
    );
  }

  function lose(which: Client | null, error: WireError): void {
    if (which !== client || closed) return;
    if (client) {
      client = null;
      opening = Promise.withResolvers();
      opening.promise.catch(() => {});
    }
    const delay = Math.min(5000, retryMs * 2 ** failures++);
    const before = queries.getQueryData<Connection>(['connection']);
    setConnection({ state: 'lost', since: before?.state === 'lost' ? before.since : Date.now(), error, retryAt: Date.now() + delay });
    retryTimer = setTimeout(open, delay);
  }

  const setRun = (id: number, change: Partial<Run>) => queries.setQueryData<Run>(['run', id], (run) => (run ? { ...run, ...change } : run));

  const operate: Front['operate'] = async (name, params, more) => {
    const ready = client ?? (await opening.promise);
    return await ready.operate(name, params, more);
  };
  const call: Front['call'] = async (ask) => {
    const ready = client ?? (await opening.promise);
    const crossing = await ready.call(ask).answer;
    if (crossing.error) throw new Refusal(crossing.error);
    return crossing.result;
  };

  const loading = new Set<string>();
  async function loadJobs(filter: JobFilter): Promise<void> {
    const key = ['feed', filter];
    const name = JSON.stringify(filter);
    const feed = queries.getQueryData<JobFeed>(key);
    if (loading.has(name) || (feed && feed.cursor === null)) return;
    loading.add(name);
    try {
      const page = await operate('OS.jobs', {
        limit: NEXT_PAGE,
        ...inputOf(filter),
        ...(feed?.cursor && { cursor: feed.cursor }),
      });
      queries.setQueryData<JobFeed>(key, (now) => appendPage(now ?? emptyFeed, page));
    } finally {
      loading.delete(name);
    }
  }
  async function reloadFeed(filter: JobFilter): Promise<void> {
    queries.removeQueries({ queryKey: ['feed', filter], exact: true, type: 'inactive' });
    if (queries.getQueryData(['feed', filter])) await queries.resetQueries({ queryKey: ['feed', filter], exact: true });
  }

  open();

  return {
    queries,
    operate,
    call,
    async remember(ask) {
      const { item_id: id } = (await call(ask)) as { item_id: string };
      await queries.invalidateQueries({ queryKey: ['memory'] });
      return id;
    },
    loadJobs,
    releaseJobs: (filter) => queries.setQueryData<JobFeed>(['feed', filter], (feed) => (feed ? releaseFeed(feed, filter) : feed)),
    dispatch(ask) {
      const id = nextRun++;
      queries.setQueryDefaults(['run', id], { gcTime: Number.POSITIVE_INFINITY });
      queries.setQueryData<Run>(['run', id], {
        id,
        ask,
        sentAt: Date.now(),
        accepted: null,
        crossing: null,
        fault: null,
        finishedAt: null,
        cancelRequested: false,
      });
      if (!client) {
        setRun(id, {
          fault: refuse('core_unreachable', 'The core is not connected; nothing was sent.', { hint: 'Try again once it is back.' }),
          finishedAt: Date.now(),
        });
        return id;
      }
      const sent = client.call(ask, ({ job, route, audit }) => setRun(id, { accepted: { job, route, audit } }));
      pending.set(id, sent);
      sent.answer
        .then(
          (crossing) => setRun(id, { crossing, finishedAt: Date.now() }),
          (caught) => setRun(id, { fault: toWire(caught), finishedAt: Date.now() }),
        )
        .finally(() => pending.delete(id));
      return id;
    },
    cancel(run) {
      pending.get(run)?.cancel();
      setRun(run, { cancelRequested: true });
    },
    reconnect() {
      if (client || retryTimer === null) return;
      clearTimeout(retryTimer);
      open();
    },
    close() {
      closed = true;
      if (retryTimer !== null) clearTimeout(retryTimer);
      if (counting !== null) clearTimeout(counting);
      if (planning !== null) clearTimeout(planning);
      client?.close();
      queries.clear();
    },
  };
}

// --- what views use ---------------------------------------------------------------------------------------------------

export const FrontContext = createContext<Front | null>(null);

export function useFront(): Front {
  const front = useContext(FrontContext);
  if (!front) throw new Error('useFront outside of FrontContext');
  return front;
}

const forever = { staleTime: Number.POSITIVE_INFINITY, gcTime: Number.POSITIVE_INFINITY } as const;
const never = () => new Promise<never>(() => {});

/** One slice of what the core last said, kept up to date by events; undefined until the first snapshot. */
export function useLive<K extends keyof Live>(key: K): Live[K] | undefined {
  return useQuery<Live[K]>({ queryKey: ['live', key], queryFn: never, ...forever }).data;
}

/** The text a job has streamed so far. */
export function useChunks(job: string | null): string {
  const chunks = useQuery<Live['chunks'], Error, string>({
    queryKey: ['live', 'chunks'],
    queryFn: never,
    ...forever,
    select: (all) => (job === null ? '' : (all[job] ?? '')),
  });
  return chunks.data ?? '';
}

export function useConnection(): Connection {
  return useQuery<Connection>({ queryKey: ['connection'], queryFn: never, ...forever }).data ?? { state: 'connecting' };
}

export function useRun(id: number | null): Run | null {
  return useQuery<Run>({ queryKey: ['run', id], queryFn: never, enabled: id !== null, ...forever }).data ?? null;
}

/**
 * The answer of a read operation; asked again by itself when an event says it changed. `error` is a value of the
 * catalogue (`wireOf`). `keep` shows the last answer while the next one is on its way.
 */
export function useOperation<N extends OperationName>(
  name: N,
  params: InputOf<N>,
  options: { enabled?: boolean; keep?: boolean; staleMs?: number } = {},
): UseQueryResult<OutputOf<N>> {
  const front = useFront();
  return useQuery<OutputOf<N>>({
    queryKey: ['op', name, params],
    queryFn: () => front.operate(name, params),
    enabled: options.enabled ?? true,
    ...(options.staleMs !== undefined && { staleTime: options.staleMs }),
    ...(options.keep && { placeholderData: keepPreviousData as never }),
  });
}

/** A long, filtered list of jobs, newest first. */
export function useJobs(filter: JobFilter): UseQueryResult<JobFeed> {
  const front = useFront();
  return useQuery<JobFeed>({
    queryKey: ['feed', filter],
    queryFn: async () => {
      const page = await front.operate('OS.jobs', {
        limit: FIRST_PAGE,
        ...inputOf(filter),
      });
      return appendPage(emptyFeed, page);
    },
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    placeholderData: keepPreviousData,
  });
}

/** How many jobs of each state fit the rest of a filter; counted again while jobs move. */
export function useStateCounts(filter: JobFilter): Record<JobState, number> | undefined {
  const front = useFront();
  const rest: JobFilter = { ...filter, state: null };
  return useQuery({
    queryKey: ['states', rest],
    queryFn: async () => {
      const totals = await Promise.all(
        jobStates.map(async (state) => {
          const { total } = await front.operate('OS.jobs', { limit: 1, ...inputOf({ ...rest, state }) });
          return [state, total] as const;
        }),
      );
      return Object.fromEntries(totals) as Record<JobState, number>;
    },
    placeholderData: keepPreviousData,
  }).data;
}

/** Deliveries, newest first, page after page. */
export function useDeliveries(state: Delivery['state'] | null): UseInfiniteQueryResult<Delivery[]> {
  const front = useFront();
  return useInfiniteQuery({
    queryKey: ['op', 'OS.callbacks', { state }],
    queryFn: ({ pageParam }) =>
      front.operate('OS.callbacks', { limit: FIRST_PAGE, ...(state && { state }), ...(pageParam && { cursor: pageParam }) }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor,
    select: ({ pages }: InfiniteData<OutputOf<'OS.callbacks'>>) => pages.flatMap((page) => page.deliveries),
    placeholderData: keepPreviousData,
  });
}

/** One kept text, as OS.memory.list answers it: `text` is the whole, or its first 4000 characters in a list. */
export interface Memory {
  id: string;
  namespace: string;
  text: string;
  textLength: number;
  tags: string[];
  at: number;
}

interface MemoryPage {
  items: Memory[];
  /** Not of a search. */
  cursor?: string | null;
  /** Of a first page. */
  namespaces?: { namespace: string; count: number }[];
}

/** Kept texts, newest first, or best first for a search. Its tools are routes like any other, so each page is a call. */
export function useMemories({ q, namespace, tag }: { q: string; namespace: string | null; tag: string | null }): UseInfiniteQueryResult<{
  items: Memory[];
  namespaces: NonNullable<MemoryPage['namespaces']>;
}> {
  const front = useFront();
  const params = { ...(namespace !== null && { namespace }), ...(tag !== null && { tags: [tag] }), limit: 100 };
  return useInfiniteQuery({
    queryKey: ['memory', 'list', { q, ...params }],
    queryFn: ({ pageParam: cursor }) =>
      front.call(
        q === ''
          ? { route: 'OS.memory.list', params: { ...params, ...(cursor && { cursor }) } }
          : { route: 'OS.memory.search', params: { ...params, query: q } },
      ) as Promise<MemoryPage>,
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.cursor ?? null,
    select: ({ pages }: InfiniteData<MemoryPage>) => ({
      items: pages.flatMap((page) => page.items),
      namespaces: pages[0]?.namespaces ?? [],
    }),
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
  });
}

/** One kept text, whole. */
export function useMemory(id: string, enabled: boolean): UseQueryResult<Memory> {
  const front = useFront();
  return useQuery<Memory>({
    queryKey: ['memory', 'one', id],
    queryFn: async () => ((await front.call({ route: 'OS.memory.list', params: { id } })) as MemoryPage).items[0]!,
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
  });
}

function inputOf({ q, state, route, lane }: JobFilter): Partial<InputOf<'OS.jobs'>> {
  return { ...(q.trim() && { q: q.trim() }), ...(state && { state }), ...(route && { route }), ...(lane && { lane }) };
}

/** Whatever an operation threw, as a value of the catalogue. */
export function wireOf(caught: unknown): WireError {
  return caught instanceof Refusal ? caught.wire : toWire(caught);
}
