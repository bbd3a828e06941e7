/** A cortex over real parts, and servers that pretend to hold models. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import type { EventBody } from '../../../shared/contract.ts';
import type { Lease, Provider, Resolved, Tier } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { CortexSettings, JobState, Principal, Registry } from '../../../shared/model.ts';
import { Cutoff } from '../cutoff.ts';
import { createEgress } from '../egress.ts';
import { createGpu } from '../gpu.ts';
import { createLoop } from '../jobs/loop.ts';
import type { Discover } from '../providers/controller.ts';
import { createController } from '../providers/controllers.ts';
import { defaultCortex } from '../registry/providers.ts';
import type { Run } from '../runners/runner.ts';
import { createScratch } from '../store/scratch.ts';
import { createBudget } from './budget.ts';
import { type Cortex, createCortex } from './cortex.ts';
import type { Patience } from './pulse.ts';
import { createWorldSource } from './world.ts';

export const GiB = 1024 ** 3;

/** A stand-in for Ollama, whose answers can be held up and made to fail. */
export interface OllamaStandIn extends AsyncDisposable {
  url: string;
  port: number;
  /** Models in memory. */
  loaded: Set<string>;
  /** `load big`, `unload big`, `pulse big`. */
  seen: string[];
  /** What a load, unload or pulse waits for. */
  hold: { load?: Promise<unknown>; unload?: Promise<unknown>; pulse?: Promise<unknown> };
  /** The next of them fail so: a status and the words with it, or its socket is cut. */
  fail: { load: Failure[]; unload: Failure[]; pulse: Failure[] };
  /** Ends without a word, as if killed. */
  die(): Promise<void>;
  holds(): number;
}

export type Failure = 'cut' | 'die' | { status: number; error: string };

export const outOfMemory: Failure = { status: 500, error: 'cudaMalloc failed: out of memory' };

/** `models`: what each takes, in bytes. */
export async function startOllamaStandIn(models: Record<string, number>, port = 0): Promise<OllamaStandIn> {
  const send = (response: ServerResponse, status: number, value: unknown) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  const entry = (model: string) => ({ name: model, model, size: models[model], digest: model });

  async function act(what: 'load' | 'unload' | 'pulse', model: string, response: ServerResponse): Promise<void> {
    self.seen.push(`${what} ${model}`);
    await self.hold[what];
    const failure = self.fail[what].shift();
    if (failure === 'die') return self.die();
    if (failure === 'cut') return void response.destroy();
    if (failure !== undefined) return void send(response, failure.status, { error: failure.error });
    if (what === 'unload') self.loaded.delete(model);
    else self.loaded.add(model);
    if (what === 'pulse') send(response, 200, { model, choices: [{ index: 0, message: { role: 'assistant', content: 'o' } }] });
    else send(response, 200, { model, response: '', done: true });
  }

  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
    request.on('end', () => {
      const body = (text === '' ? {} : JSON.parse(text)) as { model?: string; keep_alive?: number };
      if (request.url === '/api/tags') return void send(response, 200, { models: Object.keys(models).map(entry) });
      if (request.url === '/api/ps')
        return void send(response, 200, {
          models: [...self.loaded].map((model) => ({ ...entry(model), size_vram: models[model], expires_at: '2318-01-01T00:00:00Z' })),
        });
      if (request.url === '/api/show') return void send(response, 200, { capabilities: ['completion'], model_info: {} });
      if (body.model === undefined || !(body.model in models)) return void send(response, 404, { error: 'model not found' });
      if (request.url === '/api/generate') return void act(body.keep_alive === 0 ? 'unload' : 'load', body.model, response);
      if (request.url === '/v1/chat/completions') return void act('pulse', body.model, response);
      send(response, 404, { error: '404 page not found' });
    });
  });
  const die = async () => {
    self.loaded.clear();
    server.closeAllConnections();
    if (!server.listening) return;
    server.close();
    await once(server, 'close');
  };
  const self: OllamaStandIn = {
    url: '',
    port: 0,
    loaded: new Set(),
    seen: [],
    hold: {},
    fail: { load: [], unload: [], pulse: [] },
    die,
    holds: () => [...self.loaded].reduce((bytes, model) => bytes + models[model]!, 0),
    [Symbol.asyncDispose]: die,
  };
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  self.port = (server.address() as AddressInfo).port;
  self.url = `http://127.0.0.1:${self.port}`;
  return self;
}

/** Tiers by name, best first: how much memory each is thought to take. Its model is called like its provider and tier: `big:70B`. */
export function aProvider(name: string, server: { url: string }, more: Partial<Provider> & { sizes: Record<string, number> }): Provider {
  const { sizes, ...rest } = more;
  const tier = ([size, bytes]: [string, number]): Tier => ({
    name: size,
    model: `${name}:${size}`,
    vram: { bytes, source: 'estimated' },
    context: null,
    loadMs: 1000,
  });
  return {
    ...{ name, description: null, controller: { kind: 'ollama' }, endpoint: server.url, egress: 'local', auth: null },
    capabilities: ['text-generation'],
    tiers: Object.entries(sizes).map(tier),
    ...{ tools: [], groups: [], devices: [], priority: 0, pinned: false, concurrency: null, idleMs: null },
    ...{ drainMs: 5000, warmMs: 5000, stopMs: 100 },
    settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
    origin: { kind: 'registry', file: null, line: null },
    demo: false,
    ...rest,
  };
}

export interface Asking {
  id: string;
  /** Rejects with what it was refused with. */
  leased: Promise<Resolved>;
  /** Of a lease that was held: what took it back. */
  lost: Promise<WireError>;
}

export interface Scene {
  cortex: Cortex;
  settings: CortexSettings;
  providers: Provider[];
  jobs: Map<string, JobState>;
  /** Steps, as they went on record. */
  rows: { what: string; detail: Record<string, unknown> }[];
  signals: string[];
  events: EventBody[];
  /** Of the clock of the wall, which stands still unless it is moved. */
  time: { at: number };
  sovereign: { on: boolean };
  /** The file. */
  registry: { text: string };
  loop: ReturnType<typeof createLoop>;
  store: Awaited<ReturnType<ReturnType<typeof createScratch>['open']>>;
  /** The steps that were told, without their details. */
  steps(): string[];
  step(what: string): Promise<Record<string, unknown>>;
  lease(need: Parameters<Cortex['need']>[0], id?: string): Asking;
  held(): Lease[];
  /** Says that what is declared or what is switched is another. */
  turn(): void;
  /** Asks the provider's server again. */
  refresh(provider: string): Promise<void>;
}

export interface SceneOptions {
  providers: Provider[];
  /** Of the one card there is. */
  totalBytes?: number;
  servers: { holds(): number }[];
  /** What other programs hold. */
  others?: { bytes: number };
  settings?: Partial<CortexSettings>;
  patience?: Partial<Patience>;
  scratch?: ReturnType<typeof createScratch>;
  routes?: string[];
  /** What answers on the well-known ports. */
  found?: Awaited<ReturnType<Discover>>['found'];
}

/** A cortex with one card, real in all but the servers behind it and the card. */
export async function openScene(t: TestContext, options: SceneOptions): Promise<Scene> {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  const { servers, others = { bytes: 0 }, totalBytes = 24 * GiB } = options;
  const scratch = options.scratch ?? createScratch(t);
  const store = stack.use(await scratch.open());
  const time = { at: Date.now() };
  const clock = () => time.at;
  const sovereign = { on: false };
  const settings: CortexSettings = { ...defaultCortex, inertiaMs: 0, pulseFreshMs: 0, ...options.settings };
  const egress = stack.use(createEgress({ sovereign: () => sovereign.on }));
  const gpu = stack.use(
    createGpu({
      onChange: () => world.sensed(),
      pretended: () => [
        {
          ...{ id: 'card', name: 'Pretended card', vendor: 'nvidia', source: 'test', memoryTotalBytes: totalBytes, demo: true },
          ...{ memorySource: { total: 'measured', used: 'measured' }, utilization: null, temperatureC: null, powerW: null, processes: [] },
          memoryUsedBytes: others.bytes + servers.reduce((bytes, server) => bytes + server.holds(), 0),
        },
      ],
    }),
  );
  const budget = createBudget({ store, clock });
  const rows: Scene['rows'] = [];
  const waiting = new Map<string, ((detail: Record<string, unknown>) => void)[]>();
  const signals: string[] = [];
  const events: EventBody[] = [];
  const jobs = new Map<string, JobState>();
  const registry = { text: 'orgs: {}\n' };
  const providers = [...options.providers];
  const loop = stack.use(
    createLoop({
      random: () => 0.5,
      deliveries: { send() {}, dead() {}, again() {} },
      onLanes() {},
      onLeases: () => cortex.changed(),
      models: {
        animate: (lease, plan) => cortex.animate(lease, plan),
        evict: (provider, tier) => cortex.evict(provider, tier),
        used: (provider, about) => cortex.used(provider, about),
      },
    }),
  );
  const world = stack.use(
    createWorldSource({
      ...{ createController, budget, gpu, now: loop.now },
      registry: () => ({ providers, cortex: settings }) as Registry,
      parts: { egress, secret: () => null, clock },
      sovereign: () => sovereign.on,
      onChange: (next) => cortex.moved(next),
      onUsage: () => cortex.changed(),
    }),
  );
  const cortex: Cortex = createCortex({
    ...{ world, budget, loop, store, gpu, clock },
    alerts: () => [],
    settings: () => settings,
    registry: {
      text: () => registry.text,
      revision: () => 'r1',
      async save(next) {
        registry.text = next;
      },
    },
    discover: async () => ({ found: options.found ?? [], looked: ['11434'] }),
    hasRoute: (name) => (options.routes ?? []).includes(name),
    job: (id) => (jobs.has(id) ? { state: jobs.get(id)! } : null),
    url: () => 'http://127.0.0.1:7777',
    async record(what, detail) {
      await store.append({
        at: clock(),
        kind: 'change',
        caller: 'core',
        door: 'core',
        route: null,
        outcome: what,
        detail: JSON.stringify(detail),
      });
      rows.push({ what, detail });
      for (const tell of waiting.get(what)?.splice(0) ?? []) tell(detail);
    },
    publish(event, signal) {
      events.push(event);
      if (signal !== null) signals.push(signal);
    },
    patience: { pulseMs: 2000, pauseMs: 1, restMs: 0, goneMs: 500, ...options.patience },
  });
  // Before what it stands on.
  stack.defer(() => cortex[Symbol.asyncDispose]());
  await gpu.probe();
  world.start();
  await world.ready();
  loop.world(world.world());
  cortex.start();
  let leases = 0;
  return {
    ...{ cortex, settings, providers, jobs, rows, signals, events, time, sovereign, registry, loop, store },
    steps: () => rows.map(({ what }) => what),
    step: (what) =>
      new Promise((resolve) => {
        waiting.set(what, [...(waiting.get(what) ?? []), resolve]);
      }),
    lease(ask, id = `lease_${++leases}`) {
      const leased = Promise.withResolvers<Resolved>();
      const lost = Promise.withResolvers<WireError>();
      leased.promise.catch(() => undefined);
      loop.lease(
        { id, holder: { kind: 'load', id }, caller: 'tester', task: null, need: cortex.need(ask), expiresAt: null, lastsMs: null },
        {
          held() {},
          leased: leased.resolve,
          unleased(error) {
            leased.reject(error);
            lost.resolve(error);
          },
        },
      );
      return { id, leased: leased.promise, lost: lost.promise };
    },
    held: () => loop.leases().leases,
    turn: () => world.configure(),
    refresh: world.refresh,
  };
}

export const owner: Principal = { id: 'owner', name: 'Owner', capabilities: ['read', 'dispatch', 'admin'] };

/** What an operation is told of how it was asked. */
export function aRun(scene: Scene, { confirmed = false } = {}): Run {
  const cutoff = new Cutoff();
  const run = { cutoff, deadlineAt: scene.time.at + 60_000, runtime: { confirmed }, progress() {} };
  return Object.defineProperty(run, 'signal', { get: () => cutoff.signal }) as unknown as Run;
}

/** The code it is refused with, and the words. */
export async function refusedWith(work: unknown): Promise<WireError> {
  const caught = await Promise.resolve(work).then(
    () => null,
    (reason: unknown) => reason,
  );
  if (caught instanceof Refusal) return caught.wire;
  return (caught as WireError | null) ?? refuse('internal', 'It was not refused.');
}
