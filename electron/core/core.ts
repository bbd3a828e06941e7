import { join } from 'node:path';
import type { Call, Event, Settings } from '../../shared/contract.ts';
import { type Refusal, refuse, toWire } from '../../shared/errors.ts';
import type { BootReport, CallLimits, Crossing, Delivery, GpuDevice, JobDetail, Route, Snapshot, Sovereign } from '../../shared/model.ts';
import { type Begun, beginCore } from './begin.ts';
import { limitsBoundary, sovereignBoundary } from './boundaries.ts';
import { type Breakers, createBreakers } from './breaker.ts';
import type { Cortex } from './cortex/cortex.ts';
import { openCortex } from './cortex/open.ts';
import { createIds } from './crossing.ts';
import { createSeam } from './dispatch.ts';
import { createEgress } from './egress.ts';
import { createJournal } from './events.ts';
import { createHealth } from './health.ts';
import { takeStock } from './jobs/boot.ts';
import { createCallbacks } from './jobs/callbacks.ts';
import { createIngest, type Ingest } from './jobs/ingest.ts';
import type { Accepted } from './jobs/life.ts';
import { createLoop } from './jobs/loop.ts';
import { jobOperations } from './jobs/operations.ts';
import { orchestrateOperations } from './jobs/orchestrate.ts';
import { createSeal } from './jobs/seal.ts';
import { newWebhookSecret } from './jobs/webhook-signature.ts';
import { createOperationRunner, dangers } from './operations.ts';
import { createModels } from './operator/models.ts';
import { orchestratorOperations } from './podium/operations.ts';
import { createPrincipals, type Principals } from './principals.ts';
import { discover } from './providers/discover.ts';
import { openRegistry } from './registry/registry.ts';
import { createRejections, type Reject } from './rejections.ts';
import { createRouting, learnOperator } from './routing.ts';
import { ingestAddress } from './runners/flow.ts';
import { createGridRunner } from './runners/grid.ts';
import { createHttpRunner } from './runners/http.ts';
import { createMcpHub } from './runners/mcp.ts';
import { createMockRunner } from './runners/mock.ts';
import { createModelRunner } from './runners/model.ts';
import { createPodium } from './runners/podium.ts';
import type { Runner } from './runners/runner.ts';
import { createToolRunner } from './runners/tool.ts';
import { keepSecret } from './secret-file.ts';
import { createStats } from './stats.ts';
import { redact } from './store/redact.ts';
import { findRoute, type Table } from './table.ts';
import { createToolbox, toolNames } from './tools/toolbox.ts';
import { createView } from './view.ts';

export { textOf } from './crossing.ts';
export type { Ingested, ReceivedCallback } from './jobs/ingest.ts';
export { type Accepted, reportBug } from './jobs/life.ts';
export { storyIn } from './podium/stories.ts';

export interface CoreOptions {
  /** The one folder for configuration and data. */
  home: string;
  /** Default: registry.yaml in home. */
  registryFile?: string;
  /** Text of the registry that is copied there at first start. */
  template: string;
  version: string;
  /** What was begun in `home` while this module was still to be loaded; whoever began it disposes it, after the core. Default: begun here. */
  begun?: Begun;
  /** Nothing is called: every service answers as its mock. With responses: by endpoint. */
  mock?: boolean | { responses: Record<string, unknown> };
  demo?: boolean;
  /** Devices of the demo, in place of those of the machine. */
  gpus?: () => GpuDevice[];
  /** False only in the benchmark that shows what the record costs. */
  audit?: boolean;
  /** Value of an environment variable that a service's auth names. */
  secret?(name: string): string | null;
  clock?: () => number;
}

export interface Core extends AsyncDisposable {
  dispatch(call: Call, signal?: AbortSignal, accepted?: Accepted): Promise<Crossing>;
  /** A snapshot, or the events since `since` where they are still kept; then every event, in batches of one turn. */
  watch(since: number, listener: { snapshot(snapshot: Snapshot): void; events(batch: Event[]): void }): () => void;
  /** Whose secret this is; null for nobody's. */
  authenticate: Principals['authenticate'];
  readonly owner: Principals['owner'];
  /** A callback that came in, with the bytes it was signed over. */
  ingest: Ingest;
  /** What the model door asks: whose key a grant's is, and which models there are. */
  readonly cortex: Pick<Cortex, 'authenticate' | 'endedGrant' | 'state' | 'under'>;
  /** Records a request that was refused before it was a call: wrong host, no token, not JSON. */
  reject: Reject;
  readonly home: string;
  readonly databaseFile: string;
  setUrl(url: string | null): void;
}

const TICK_MS = 2000;
const DAY_MS = 86_400_000;
const PRUNE_MS = 3_600_000;
/** Jobs in line or waiting; more are refused. */
const QUEUE_MOST = 100_000;

/**
 * Opens the core on a home folder.
 * Throws `Refusal` database_newer or store_unavailable (another core has the folder, disk, permissions).
 */
export async function createCore(options: CoreOptions): Promise<Core> {
  const { home, clock = Date.now, version, secret = () => null } = options;
  const mock = options.mock !== undefined && options.mock !== false;
  await using stack = new AsyncDisposableStack();
  const registryFile = options.registryFile ?? join(home, 'registry.yaml');
  // The writer's thread and the learning of the registry take their time and need nothing of each other, so both begin now.
  const begun = options.begun ?? stack.use(beginCore(home, clock));
  const { databaseFile, signer } = begun;
  const registry = stack.use(
    openRegistry({
      file: registryFile,
      template: options.template,
      tools: toolNames,
      onChange: (changed) => {
        // Before the first table there is nothing to swap; it takes what is newest then.
        if (routing.table === null) return;
        const { state } = registry;
        const errors = state.problems.filter((problem) => problem.severity === 'error').length;
        const signal =
          errors > 0
            ? `❌ OS → OS : registry_rejected, errors=${errors}, line=${state.problems[0]!.line}, serving=${state.serving}`
            : `📖 OS → OS : registry_loaded, services=${state.services}, rules=${state.rules}`;
        if (errors > 0 || !changed) journal.publish({ type: 'registry', registry: state }, signal);
        else serve(signal);
        void recordChange('registry', {
          file: registryFile,
          revision: registry.revision,
          errors,
          services: state.services,
          rules: state.rules,
        });
      },
    }),
  );
  const operators = createModels(join(home, 'models'));
  const first = { registry: registry.registry, operator: learnOperator(registry.registry, operators) };
  stack.defer(async () => (await first.operator.catch(() => null))?.[Symbol.dispose]());
  const store = await begun.store;
  const seal = createSeal(signer.key);
  const ids = createIds(clock);
  const startedAt = clock();
  const journal = createJournal(clock);
  const loop = stack.use(
    createLoop({
      random: Math.random,
      deliveries: {
        send: (delivery) => callbacks.send(delivery),
        dead: (delivery) => callbacks.dead(delivery),
        again: (delivery, at) => callbacks.again(delivery, at),
      },
      onLanes: (lanes) => journal.publish({ type: 'lanes', lanes: lanes.map(view.lane) }),
      models: {
        animate: (lease, plan) => cortex.animate(lease, plan),
        evict: (provider, tier) => cortex.evict(provider, tier),
        used: (provider, how) => cortex.used(provider, how),
      },
      onLeases: () => cortex.changed(),
    }),
  );
  const stats = createStats(store.read.routeStats());

  // --- state that the built-in routes change ---------------------------------------------------------------------------

  let sovereign: Sovereign = readSetting('sovereign', { on: false, since: null, by: null });
  let chosenLimits: CallLimits | null | undefined = readSetting('limits', undefined);
  let chosenInterval: number | undefined = readSetting('healthIntervalMs', undefined);
  let retentionDays: number = readSetting('retentionDays', 90);
  let jobsKeptDays: number = readSetting('jobsKeptDays', 90);
  let jobsKeptMost: number = readSetting('jobsKeptMost', 1_000_000);
  let url: string | null = null;
  let boot: BootReport | null = null;

  function readSetting<T>(key: string, otherwise: T): T {
    const text = store.read.setting(key);
    return text === null ? otherwise : (JSON.parse(text) as T);
  }

  // --- parts -----------------------------------------------------------------------------------------------------------

  const egress = stack.use(createEgress({ sovereign: () => sovereign.on }));
  const breakers: Breakers = createBreakers({
    clock,
    onChange: (breaker) => journal.publish({ type: 'breaker', breaker }, `⚡ OS → OS : breaker, ${breaker.endpoint}=${breaker.state}`),
  });
  const health = stack.use(
    createHealth({
      routes: () => (mock ? [] : (routing.table?.registry.routes ?? [])),
      egress,
      clock,
      random: Math.random,
      intervalMs: () => chosenInterval ?? routing.table?.registry.healthIntervalMs ?? 30_000,
      history: (route, since) => view.readOr([], () => store.read.healthHistory(route, since)),
      save: (route, sample) => store.saveHealth(route, sample),
      onChange: (state, changed) =>
        journal.publish(
          { type: 'health', health: state },
          changed ? `${iconOf[state.status]} OS → OS : health_check, ${state.route}=${state.status}` : null,
        ),
    }),
  );
  let serving = registry.registry;
  const http = createHttpRunner({
    egress,
    breakers,
    clock,
    secret,
    resolveRoute: (name) => table().routes.get(name)?.spec ?? null,
    ingestAddress: () => ingestAddress(table().registry.callbacks, { url, secret }),
  });
  const model = createModelRunner({
    egress,
    breakers,
    clock,
    secret,
    granted: (grant, model) => cortex.granted(grant, model),
    under: (grant, cut) => cortex.under(grant, cut),
    calling: (provider) => cortex.calling(provider),
  });
  const tools = createToolbox({ store, egress, settings: () => table().registry.tools, clock });
  const tool = createToolRunner(tools, clock);
  const grid = createGridRunner({ clock });
  const mocked = createMockRunner({ ...(typeof options.mock === 'object' && options.mock), clock });

  const callbacks = stack.use(
    createCallbacks({
      ...{ store, egress, seal, secret, clock },
      settings: () => table().registry.callbacks,
      ownSecret: keepSecret(join(home, 'webhook.secret'), newWebhookSecret),
      ownUrl: () => url,
      schedule: loop.schedule,
      now: loop.now,
      random: Math.random,
      publish: (delivery) => journal.publish({ type: 'delivery', delivery }, deliverySignal(delivery)),
      newId: ids.next,
    }),
  );
  const hub = stack.use(
    createMcpHub({
      ...{ egress, secret, clock },
      specs: () => registry.registry.mcp,
      approvals: {
        get: () => readSetting('mcp.approvals', {}),
        set: (approvals) => store.setSetting('mcp.approvals', JSON.stringify(approvals)),
      },
      sovereign: () => sovereign.on,
      onChange: (servers) => journal.publish({ type: 'mcp', servers }),
      onRoutes: () => serve('📖 OS → OS : mcp_tools_changed'),
    }),
  );
  const podium = stack.use(
    createPodium({
      ...{ egress, breakers, secret, clock },
      routes: () => podiumRoutes(),
      random: Math.random,
      publish: journal.publish,
    }),
  );
  const podiumRoutes = () => (mock ? [] : (routing.table?.registry.routes ?? []).filter(({ kind }) => kind === 'podium'));

  // --- registry, operator, table ----------------------------------------------------------------------------------------

  function runnerOf(spec: Route): Runner {
    if (spec.kind === 'grid') return grid;
    if (spec.kind === 'tool' && !(mock && tools.get(spec.service)?.outward)) return tool;
    if (mock) return mocked;
    if (spec.kind === 'mcp') return hub.runner;
    if (spec.need !== null) return model;
    return spec.kind === 'podium' ? podium.run : http;
  }

  const routing = stack.use(
    createRouting(
      {
        registry,
        models: operators,
        tools: hub.routes,
        compiler: {
          limits: limitsBoundary(loop),
          sovereign: sovereignBoundary((spec) =>
            mock
              ? null
              : spec.kind === 'mcp'
                ? hub.refusal(spec)
                : spec.endpoint === null
                  ? null
                  : egress.check(spec.endpoint, spec.egress),
          ),
          operationRunner: (run) => operationRunner(run),
          runnerOf,
          dangers,
        },
        onSwap({ registry: next }, isFirst) {
          const { orgs, routes, rules } = next;
          serving = next;
          breakers.assign(routes);
          configureLoop();
          health.refresh();
          hub.configure();
          podium.refresh();
          models.configure();
          if (!isFirst) journal.publish({ type: 'routes', orgs, routes: view.summaries(), rules });
        },
      },
      first,
    ),
  );
  /** There is one from before the core answers its first call. */
  const table = (): Table => routing.table!;

  const models = stack.use(
    openCortex({
      ...{ store, egress, loop, secret, clock, discover },
      pretended: options.gpus,
      served: () => serving,
      sovereign: () => sovereign.on,
      publish: journal.publish,
      watched: () => journal.kept,
      hasRoute: (name) => findRoute(table(), name) !== null,
      job: (id) => jobNow(id),
      url: () => url,
      async record(what, detail) {
        await store.append({
          at: clock(),
          kind: 'change',
          caller: 'core',
          door: 'core',
          route: null,
          outcome: what,
          detail: redact(detail),
        });
      },
      registry: {
        text: () => registry.text(),
        revision: () => registry.revision,
        async save(text, revision) {
          registry.save(text, revision);
          await routing.refresh();
        },
      },
    }),
  );
  const { cortex, gpu } = models;

  /** Whatever the registry and the MCP servers say now serves soon; what came of it is an event. */
  function serve(signal: string): void {
    routing.refresh().then(
      () => journal.publish({ type: 'registry', registry: registry.state }, signal),
      (caught: unknown) =>
        journal.publish({ type: 'registry', registry: registry.state }, `❌ OS → OS : registry_rejected, error=${toWire(caught).code}`),
    );
  }

  function configureLoop(): void {
    const { orchestrator, callbacks, cortex } = table().registry;
    loop.configure({
      calls: limitsNow().limits,
      actionsPerMinute: orchestrator.actionsPerMinute,
      cooldownMs: orchestrator.cooldownMs,
      queueMost: QUEUE_MOST,
      deliveryTries: callbacks.attempts,
      starveMs: cortex.starveMs,
    });
    loop.capacities(
      new Map(table().registry.routes.flatMap(({ name, concurrency }) => (concurrency === null ? [] : [[name, concurrency]]))),
    );
  }

  function limitsNow(): Pick<Settings, 'limits' | 'limitsFrom'> {
    if (chosenLimits !== undefined) return { limits: chosenLimits, limitsFrom: 'settings' };
    return { limits: registry.registry.limits, limitsFrom: 'registry' };
  }

  // --- what fronts draw --------------------------------------------------------------------------------------------------

  const view = createView({
    about: { version, startedAt, home, demo: options.demo ?? false, mock },
    ...{ journal, store, loop, stats, table },
    url: () => url,
    live: (most) => seam.live(most),
    boot: () => boot,
    others: () => ({
      sovereign,
      registry: registry.state,
      health: health.all(),
      breakers: breakers.all(),
      gpu: gpu.state(),
      mcp: hub.servers(),
      podium: podium.states(),
      cortex: cortex.state(),
    }),
  });

  // --- changes that are audited without being a call ---------------------------------------------------------------------

  async function recordChange(what: string, detail: Record<string, unknown>, by = 'core'): Promise<void> {
    await store
      .append({ at: clock(), kind: 'change', caller: by, door: 'core', route: null, outcome: what, detail: redact(detail) })
      .catch((caught: unknown) => {
        journal.publish(
          { type: 'rejected', door: 'core', error: (caught as Refusal).wire ?? refuse('store_unavailable', String(caught)) },
          `❌ OS → OS : audit_failed, change=${what}`,
        );
      });
  }

  let sovereignAsked = 0;
  async function setSovereign(on: boolean, by: string): Promise<Sovereign> {
    const mine = ++sovereignAsked;
    const next = { on, since: clock(), by };
    // Turning it on holds from now, whatever the disk says; turning it off holds only once it is on record, and nobody turned it on meanwhile.
    if (on) {
      const recorded = sovereign.on ? null : switchSovereign(next);
      await store.setSetting('sovereign', JSON.stringify(sovereign));
      await recorded;
    } else if (sovereign.on) {
      await store.setSetting('sovereign', JSON.stringify(next));
      if (mine === sovereignAsked) await switchSovereign(next);
    }
    return sovereign;
  }

  function switchSovereign(next: Sovereign): Promise<void> {
    const { on, by } = next;
    sovereign = next;
    const cut = on
      ? egress.cutRemote(
          refuse('sovereign_refused', 'Sovereign was switched on while this ran.', { hint: 'Nothing leaves the machine until it is off.' }),
        )
      : 0;
    journal.publish(
      { type: 'sovereign', sovereign },
      `${on ? '🔒' : '🔓'} OS → OS : sovereign=${on ? 'on' : 'off'}, by=${by}${on ? `, cut=${cut}` : ''}`,
    );
    health.refresh();
    hub.configure();
    podium.refresh();
    models.configure();
    return recordChange('sovereign', { on, cut }, by ?? 'core');
  }

  const settings = (): Settings => ({
    registryFile,
    home,
    databaseFile,
    ...limitsNow(),
    retentionDays,
    jobsKeptDays,
    jobsKeptMost,
    callbacks: callbacks.names(),
    healthIntervalMs: chosenInterval ?? registry.registry.healthIntervalMs,
    publicKey: signer.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  });

  const principals = createPrincipals({ store, clock });

  // --- the seam --------------------------------------------------------------------------------------------------------

  function jobNow(id: string): JobDetail | null {
    const job = store.read.job(id);
    return job && { ...job, ...seam.job(id), deliveries: job.deliveries.map(callbacks.shown) };
  }

  const operationRunner = createOperationRunner({
    table,
    seam: () => seam,
    store,
    signer,
    journal,
    health,
    breakers,
    gpu,
    registry: {
      state: () => registry.state,
      text: () => registry.text(),
      revision: () => registry.revision,
      check: (text) => registry.check(text).problems,
      async save(text, revision) {
        registry.save(text, revision);
        await routing.refresh();
      },
      async teach(route, example) {
        const { addExample } = await import('./registry/edit.ts');
        registry.save(addExample(registry.text(), route, example), registry.revision);
        await routing.refresh();
      },
      async operatorOf(text) {
        const parsed = registry.check(text).registry;
        return parsed && learnOperator(parsed, operators);
      },
    },
    tokens: principals,
    self: view.self,
    counts: view.counts,
    summaries: view.summaries,
    sovereign: () => sovereign,
    setSovereign,
    settings,
    clock,
    more: {
      ...jobOperations({ seam: () => seam, read: store.read, job: jobNow, lanes: loop.lanes, cancelWaitMs: 3000 }),
      ...callbacks.operations,
      ...hub.operations,
      ...orchestratorOperations({
        podium,
        settings: () => table().registry.orchestrator,
        routes: podiumRoutes,
        job: jobNow,
        jobs: (route) => store.read.jobs({ route, limit: 100 }).jobs.map((job) => seam.job(job.id) ?? job),
        url: () => url,
      }),
      ...orchestrateOperations({ table, job: jobNow, clock }),
      ...cortex.operations,
      async 'OS.mcp.add'({ name, command, url: address, egress: reach }) {
        const { addMcpServer } = await import('./registry/edit.ts');
        registry.save(addMcpServer(registry.text(), { name, command, url: address, egress: reach }), registry.revision);
        await routing.refresh();
        return { server: hub.servers().find((server) => server.name === name)!, revision: registry.revision };
      },
    },
    async changeSettings(changes) {
      for (const [key, value] of Object.entries(changes)) if (value !== undefined) await store.setSetting(key, JSON.stringify(value));
      if (changes.limits !== undefined) chosenLimits = changes.limits;
      if (changes.healthIntervalMs !== undefined) chosenInterval = changes.healthIntervalMs;
      if (changes.retentionDays !== undefined) retentionDays = changes.retentionDays;
      if (changes.jobsKeptDays !== undefined) jobsKeptDays = changes.jobsKeptDays;
      if (changes.jobsKeptMost !== undefined) jobsKeptMost = changes.jobsKeptMost;
      prune();
      configureLoop();
      health.refresh();
      return settings();
    },
  });

  const seam = createSeam({
    table,
    sovereign: () => sovereign,
    store: options.audit === false ? null : store,
    signer,
    seal,
    journal,
    loop,
    egress,
    breakers,
    health,
    stats,
    models: {
      need: (ask, route) => (mock ? null : ask === null ? route.need : cortex.need(ask)),
      bound: cortex.bound,
      ended: cortex.ended,
    },
    sidecar: models.sidecar,
    callbacks,
    principal: principals.of,
    clock,
    mock,
  });
  stack.defer(() => seam.close());

  await routing.refresh();
  const { services, rules } = registry.state;
  journal.publish({ type: 'registry', registry: registry.state }, `📖 OS → OS : registry_loaded, services=${services}, rules=${rules}`);
  const found = await takeStock({ store, table: table(), at: clock() });
  const now = loop.now();
  loop.schedule({
    type: 'remember',
    at: now,
    actions: store.read.recentActions(clock() - 60_000).map(({ principal, at }) => ({ principal, at: now - (clock() - at) })),
    subjects: store.read.recentSubjects(clock() - 3_600_000).map(({ subject, at }) => ({ subject, at: now - (clock() - at) })),
  });
  const lost = seam.resume(found.jobs, found.cutOff);
  const goesOn = (id: string) => !lost.includes(id);
  const { report } = found;
  const went = { restored: report.restored.filter(goesOn), again: report.again.filter(goesOn), lost };
  boot = { ...report, ...went, deliveries: callbacks.resume() };
  if (boot.crashed || found.jobs.length > 0) journal.publish({ type: 'self', self: view.self(), counts: view.counts() }, bootSignal(boot));
  if (!mock) health.start();
  models.start();

  // Nobody looks: nobody is told. The figures are made only while somebody watches.
  let watchers = 0;
  const tick = setInterval(() => {
    if (watchers === 0) return;
    for (const name of stats.changed(200)) {
      const spec = table().routes.get(name)?.spec;
      if (spec) journal.publish({ type: 'route', route: view.summary(spec) });
    }
    journal.publish({ type: 'self', self: view.self(), counts: view.countsShown() });
  }, TICK_MS);
  tick.unref();
  stack.defer(() => clearInterval(tick));
  const keepAudit = () => store.keepAudit(clock(), retentionDays);
  const prune = () => {
    keepAudit();
    store.prune({ before: clock() - jobsKeptDays * DAY_MS, most: jobsKeptMost });
  };
  keepAudit();
  const pruning = setInterval(prune, PRUNE_MS).unref();
  stack.defer(() => clearInterval(pruning));

  const owned = stack.move();
  return {
    home,
    databaseFile,
    owner: principals.owner,
    dispatch: seam.dispatch,
    ingest: createIngest({
      ...{ store, secret, clock },
      settings: () => table().registry.callbacks,
      arrived: seam.arrived,
      recorded: seam.recorded,
    }),
    watch(since, listener) {
      const kept = since > 0 ? journal.after(since) : null;
      // Before it watches: a snapshot that cannot be made leaves no watcher behind.
      const state = kept ? null : view.snapshot();
      const stop = journal.watch(listener.events);
      watchers++;
      if (kept) listener.events(kept);
      else if (state) listener.snapshot(state);
      return () => {
        if (stop()) watchers--;
      };
    },
    authenticate: principals.authenticate,
    cortex,
    reject: createRejections({ store, journal, clock }),
    setUrl(next) {
      url = next;
    },
    [Symbol.asyncDispose]: async () => {
      cortex.closing();
      await seam.close();
      await recordChange('stopped', { running: 0 });
      await owned.disposeAsync();
    },
  };
}

function bootSignal({ crashed, restored, again, unknown, dead, lost }: BootReport): string {
  const counts = { restored, again, unknown, dead, lost };
  const words = Object.entries(counts).flatMap(([word, jobs]) => (jobs.length > 0 ? [`${word}=${jobs.length}`] : []));
  return `🧾 OS → OS : boot_report, crashed=${crashed}${words.length > 0 ? `, ${words.join(', ')}` : ''}`;
}

function deliverySignal({ job, state, attempts }: Delivery): string | null {
  const last = attempts.at(-1);
  if (last === undefined) return null;
  const icon = state === 'delivered' ? '📮' : state === 'dead' ? '❌' : '⏳';
  return `${icon} OS → OS : callback_${state}, job=${job}, tries=${attempts.length}, status=${last.status ?? last.error ?? 'none'}`;
}

const iconOf = { healthy: '🟢', degraded: '🟡', down: '🔴', unknown: '⚪' } as const;
