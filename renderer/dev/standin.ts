/** An imitation of the core for building views without one. Never part of a production build; see main.tsx. */

import type { Ask, DownFrame, Event, EventBody, UpFrame } from '../../shared/contract.ts';
import { refuse, type WireError } from '../../shared/errors.ts';
import type {
  Attempt,
  AuditEntry,
  Crossing,
  Egress,
  Health,
  Job,
  JobState,
  Org,
  Resolution,
  RouteSummary,
  Snapshot,
} from '../../shared/model.ts';
import { createPortPair, type Port } from '../../shared/port.ts';
import { imitateCortex, type Scene } from './cortex.ts';
import { imitateWork, type World } from './work.ts';

/**
 * `?standin` has a full house, `&empty` a fresh one, `&jobs=100000` as many jobs as said, `&slow` answers late; `&gpu=none`, `&gpu=halted`,
 * `&gpu=many` have another cortex.
 */
export async function openStandin(options: URLSearchParams): Promise<Port<UpFrame, DownFrame>> {
  const [front, core] = createPortPair<UpFrame, DownFrame>();
  imitate(core, {
    jobs: options.has('empty') ? 0 : Number(options.get('jobs') ?? 420),
    slow: options.has('slow') ? 2500 : 0,
    scene: options.has('empty') ? 'empty' : ((options.get('gpu') ?? 'full') as Scene),
  });
  return front;
}

let random = 7;
const rnd = () => {
  random = (random * 1103515245 + 12345) & 0x7fffffff;
  return random / 0x7fffffff;
};
const pick = <T>(items: readonly T[]) => items[Math.floor(rnd() * items.length)]!;
const hex = (length: number) => Array.from({ length }, () => Math.floor(rnd() * 16).toString(16)).join('');

function route(name: string, more: Partial<RouteSummary> = {}): RouteSummary {
  const [org, service] = name.split('.') as [string, string];
  const p50 = 20 + rnd() * 400;
  return {
    name,
    org,
    service,
    kind: 'http',
    description: null,
    type: 'internal',
    endpoint: `http://127.0.0.1:8${Math.floor(100 + rnd() * 800)}/v1/${service}`,
    health: 'http://127.0.0.1:8091/health',
    method: 'POST',
    auth: null,
    egress: 'local',
    timeoutMs: 30_000,
    maxResponseBytes: 8e6,
    concurrency: null,
    lane: null,
    idempotent: false,
    retry: null,
    answer: 'response',
    grid: null,
    mcp: null,
    inputSchema: null,
    fallback: null,
    provider: null,
    model: null,
    need: null,
    nodes: [],
    examples: [],
    demo: true,
    line: Math.floor(10 + rnd() * 200),
    calls: Math.floor(rnd() * 900),
    p50Ms: p50,
    p95Ms: p50 * 2.4,
    lastError: null,
    lastCallAt: Date.now() - rnd() * 4e6,
    ...more,
  };
}

function imitate(port: Port<DownFrame, UpFrame>, { jobs: count, slow, scene }: { jobs: number; slow: number; scene: Scene }): void {
  const t0 = Date.now();
  const orgs: Org[] = [
    ['FND', 'BlackRoad Foundation', 'CRM, billing and back office'],
    ['AI', 'BlackRoad AI', 'Models and agents'],
    ['OPS', 'Operations', 'Deploys and machines'],
    ['HW', 'Hardware', 'Devices at the edge'],
    ['OS', 'Dispatcher', 'What is built in'],
  ].map(([code, name, description]) => ({
    code: code!,
    name: name!,
    status: 'active',
    description: description!,
    primaryNode: 'lucidia',
    repos: [],
    defaultService: null,
  }));
  const routes: RouteSummary[] = [
    route('FND.salesforce', { description: 'Contacts, leads and accounts', examples: ['sync salesforce contacts', 'export leads'] }),
    route('FND.stripe', {
      description: 'Payments and invoices',
      egress: 'remote',
      type: 'external',
      endpoint: 'https://api.stripe.com/v1',
    }),
    route('FND.crm', { description: 'Customer records' }),
    route('AI.router', { kind: 'model', description: 'Picks a model and completes', model: 'demo-7b' }),
    route('AI.ollama', { kind: 'model', description: 'The local model', model: 'llama3.2' }),
    route('AI.agents', { description: 'Agents with tools', egress: 'lan' }),
    route('AI.vision', { kind: 'model', description: 'Describes pictures', endpoint: null, health: null }),
    route('AI.coder', { kind: 'model', description: 'Writes code, 32B', endpoint: null, health: null }),
    route('AI.swap', { kind: 'model', description: 'Writes code, 14B', endpoint: null, health: null }),
    route('AI.big', { kind: 'model', description: 'The largest there is', endpoint: null, health: null }),
    route('AI.chat', { kind: 'model', description: 'Talks', endpoint: null, health: null }),
    route('AI.cloud', { kind: 'model', description: 'Somebody else', endpoint: null, health: null, egress: 'remote' }),
    route('OPS.deploy', { description: 'Deploys a service, about 20 s', examples: ['deploy my cloudflare worker'] }),
    route('OPS.flaky', { description: 'Fails one time in three', lastError: 'upstream_failed' }),
    route('OPS.slow', { description: 'Answers after a while', concurrency: 2 }),
    route('OPS.podium', { kind: 'podium', description: 'The orchestrator of stories', lane: 'stories' }),
    route('OPS.flow', { kind: 'flow', description: 'Webhook flow' }),
    route('HW.hailo', { description: 'Vision at the edge', egress: 'lan' }),
    route('HW.printer', { description: 'Is down', lastError: 'upstream_refused' }),
    route('OS.fs.list', { kind: 'tool', description: 'Lists a folder', endpoint: null, health: null, line: null }),
    route('MCP.everything.echo', { kind: 'mcp', description: 'Echoes back the input string', mcp: { server: 'everything', tool: 'echo' } }),
    route('OS.memory.search', { kind: 'tool', description: 'Searches the memory', endpoint: null, health: null, line: null }),
    route('OS.status', { kind: 'operation', description: 'What this core is and does', endpoint: null, health: null, line: null }),
  ];
  const texts: [string, string][] = [
    ['sync salesforce contacts', 'FND.salesforce'],
    ['deploy my cloudflare worker', 'OPS.deploy'],
    ['what is the weather in Lisbon', 'AI.ollama'],
    ['refund invoice 1042', 'FND.stripe'],
    ['list the files in ~/reports', 'OS.fs.list'],
    ['summarise the incident from last night and say who should look at it first thing in the morning', 'AI.router'],
    ['webhook:github.push', 'OPS.flow'],
    ['تحديث جهات الاتصال في المبيعات', 'FND.salesforce'],
    ['detect people on camera 2 🎥', 'HW.hailo'],
    ['start the chart report', 'OPS.slow'],
    ['print the label', 'HW.printer'],
  ];
  const doors = ['app', 'cli', 'http', 'ws', 'webhook'] as const;
  let seq = 100;
  let audit = 1200 + count * 2;
  let sovereign: Snapshot['sovereign'] = { on: false, since: t0 - 9e6, by: 'owner' };
  let watching = false;
  const jobs: Job[] = [];
  const records = new Map<string, Crossing>();
  const signals: Snapshot['signals'] = [];
  const stops = new Map<string, () => void>();
  let serial = 0;

  const makeJob = (text: string | null, to: string, at: number, door: Job['door'] = 'app'): Job => ({
    id: `job_${(++serial).toString(36).padStart(4, '0')}${hex(6)}`,
    crossing: `x_${hex(10)}`,
    state: 'running',
    route: to,
    text,
    door,
    caller: door === 'app' ? 'owner' : pick(['owner', 'ci-bot', 'n8n']),
    createdAt: at,
    startedAt: at + 2,
    finishedAt: null,
    durationMs: null,
    progress: null,
    progressNote: null,
    confidence: 0.82 + rnd() * 0.17,
    why: `The rule "${text?.split(' ')[1] ?? to}" matches.`,
    errorCode: null,
    errorMessage: null,
    auditSeq: ++audit,
    cancelRequestedAt: null,
    waits: null,
    lane: routes.find((one) => one.name === to)?.lane ?? null,
    subject: null,
    starts: 1,
  });
  for (let i = 0; i < count; i++) {
    const [text, to] = pick(texts);
    const at = t0 - (count - i) * 61_000 - rnd() * 30_000;
    const job = makeJob(text, to, at, pick(doors));
    const state: JobState = rnd() < 0.86 ? 'succeeded' : pick(['failed', 'failed', 'cancelled', 'unknown'] as const);
    const durationMs = 8 + rnd() ** 3 * 9000;
    Object.assign(job, { state, durationMs, finishedAt: at + durationMs });
    if (state === 'failed') Object.assign(job, { errorCode: 'upstream_refused', errorMessage: 'Nothing listens at 127.0.0.1:8093.' });
    if (state === 'cancelled') job.errorCode = 'cancelled';
    if (state === 'unknown') Object.assign(job, { errorCode: 'unknown_outcome', errorMessage: 'Dispatcher stopped while it ran.' });
    jobs.push(job);
    if (count - i < 60)
      signals.push({
        seq: 0,
        at: at + durationMs,
        signal:
          state === 'succeeded'
            ? `🎯 OS → ${to.split('.')[0]} : dispatched, service=${to.split('.')[1]}, latency=${Math.round(durationMs)}ms`
            : `❌ OS → ${to.split('.')[0]} : dispatch_failed, error=${job.errorCode}`,
      });
  }
  jobs.reverse();
  const health: Health[] = routes
    .filter((one) => one.health)
    .map((one, index) => {
      const status =
        one.name === 'HW.printer' ? 'down' : one.name === 'OPS.slow' ? 'degraded' : one.name === 'AI.agents' ? 'unknown' : 'healthy';
      return {
        route: one.name,
        status,
        reason: status === 'down' ? 'connection refused' : status === 'unknown' ? 'not probed yet' : `200 in ${12 + index} ms`,
        latencyMs: status === 'down' ? null : 12 + index,
        checkedAt: t0 - 4000,
        since: t0 - 3e6,
        p50Ms: 14,
        p95Ms: 40,
        lastError: status === 'down' ? 'upstream_refused' : null,
        incident: null,
      };
    });

  const events: Event[] = [];
  const emit = (body: EventBody, signal: string | null = null) => {
    events.push({ ...body, seq: ++seq, at: Date.now(), signal } as Event);
    if (signal) signals.push({ seq, at: Date.now(), signal });
    if (events.length === 1)
      setTimeout(() => {
        const batch = events.splice(0);
        if (watching) port.send({ t: 'events', events: batch });
      }, 4);
  };
  const change = (job: Job, more: Partial<Job>) => {
    const next = { ...job, ...more };
    const at = jobs.findIndex((one) => one.id === job.id);
    if (at >= 0) jobs[at] = next;
    emit({ type: 'job', job: next });
    return next;
  };
  const self = () => ({
    pid: 4242,
    version: '0.1.0',
    startedAt: t0 - 5e6,
    cpuPercent: 0.3 + rnd() * 1.1,
    memoryBytes: 88e6 + rnd() * 3e6,
    home: '/home/ada/.config/dispatcher',
    demo: true,
    mock: false,
    url: 'http://127.0.0.1:8000',
  });
  const counts = () => ({
    running: jobs.filter((job) => job.finishedAt === null).length,
    queued: jobs.filter((job) => job.state === 'queued' || job.state === 'waiting').length,
    jobs: jobs.length,
    audit,
  });
  const world: World = {
    hex,
    emit,
    add(text, to, more) {
      const job = { ...makeJob(text, to, Date.now()), ...more };
      jobs.push(job);
      jobs.sort((a, b) => b.createdAt - a.createdAt);
      emit({ type: 'job', job });
      return job;
    },
    change,
    job: (id) => jobs.find((one) => one.id === id),
  };
  const work = imitateWork(world, [...jobs]);
  const cortex = imitateCortex(world, scene);
  setInterval(() => watching && emit({ type: 'self', self: self(), counts: counts() }), 2000);

  const guess = (text: string): { to: string | null; confidence: number; ranked: Resolution['ranked'] } => {
    const named = /@([\w.]+)/.exec(text)?.[1];
    const found = routes.find((one) => one.name.toLowerCase() === named?.toLowerCase());
    if (found)
      return {
        to: found.name,
        confidence: 1,
        ranked: [{ route: found.name, confidence: 1, reason: `The mention @${found.name} names it.` }],
      };
    const lower = text.toLowerCase();
    const by: [RegExp, string, string][] = [
      [/salesforce|contact|lead/, 'FND.salesforce', 'salesforce'],
      [/stripe|refund|invoice|pay/, 'FND.stripe', 'refund'],
      [/deploy|release/, 'OPS.deploy', 'deploy'],
      [/weather|write|poem|why|what/, 'AI.ollama', 'what'],
      [/file|folder/, 'OS.fs.list', 'files'],
      [/print|label/, 'HW.printer', 'print'],
      [/flaky/, 'OPS.flaky', 'flaky'],
      [/slow|report/, 'OPS.slow', 'report'],
      [/table|customers/, 'FND.crm', 'customers'],
    ];
    const hit = by.find(([pattern]) => pattern.test(lower));
    if (hit)
      return {
        to: hit[1],
        confidence: 0.95,
        ranked: [
          { route: hit[1], confidence: 0.95, reason: `The rule "${hit[2]}" matches.` },
          { route: 'AI.router', confidence: 0.03, reason: 'Like “summarise this”.' },
        ],
      };
    return {
      to: null,
      confidence: 0.3,
      ranked: [
        { route: 'FND.crm', confidence: 0.34, reason: 'Like “find the customer”.' },
        { route: 'AI.router', confidence: 0.29, reason: 'Like “summarise this”.' },
        { route: 'FND.salesforce', confidence: 0.21, reason: 'Like “export leads”.' },
      ],
    };
  };
  const resolve = (ask: { text?: string; route?: string }): Resolution => {
    const { to, confidence, ranked } = ask.route ? { to: ask.route, confidence: 1, ranked: [] } : guess(ask.text ?? '');
    const found = routes.find((one) => one.name === to);
    const egress: Egress = found?.egress ?? 'local';
    const barred = sovereign.on && egress === 'remote';
    const plan = to === null ? null : cortex.plan(to);
    return {
      route: to,
      confidence,
      why: ranked[0]?.reason ?? 'It was named.',
      abstained: to === null,
      usedFallback: false,
      ranked,
      rules: to ? [{ pattern: 'salesforce', route: to, priority: 100, order: 3, line: 88, matched: 'salesforce', won: true }] : [],
      breaker: found?.endpoint
        ? {
            endpoint: found.endpoint,
            state: found.name === 'HW.printer' ? 'open' : 'closed',
            forced: false,
            failures: 0,
            openedAt: null,
            retryAt: t0 + 30_000,
            routes: [found.name],
          }
        : null,
      health: health.find((one) => one.route === to)?.status ?? null,
      plan,
      limits: { remaining: 198, perSecond: 100, burst: 200, retryAfterMs: 0 },
      egress: found?.endpoint
        ? {
            egress,
            host: new URL(found.endpoint).host,
            allowed: !barred,
            reason: barred ? 'Sovereign is on.' : egress === 'remote' ? 'Remote routes are allowed.' : 'It stays on this machine.',
          }
        : null,
      refusal: barred
        ? refuse('sovereign_refused', `${to} is remote and sovereign is on.`, { hint: 'Turn sovereign off, or choose a local route.' })
        : (plan?.error ?? null),
      expectedMs: found?.p50Ms ?? null,
    };
  };

  const resultOf = (to: string, text: string): unknown => {
    if (to === 'FND.salesforce') return { success: true, synced: 150, objects: ['Contact'] };
    if (to === 'FND.crm')
      return {
        customers: Array.from({ length: 40 }, (_, i) => ({
          id: 1000 + i,
          name: pick(['Ada Lovelace', 'Grace Hopper', 'Edsger Dijkstra', 'ليلى', 'Barbara Liskov']),
          city: pick(['Lisbon', 'Turin', 'Kyoto']),
          revenue: Math.round(rnd() * 90000),
          active: rnd() > 0.3,
        })),
        next: null,
      };
    if (to.startsWith('AI.'))
      return {
        id: 'chatcmpl-1',
        object: 'chat.completion',
        model: 'demo-7b',
        choices: [
          {
            index: 0,
            message: {
              role: 'assistant',
              content: `Here is what I found about “${text}”.\n\n- It is sunny, 24 °C.\n- Tomorrow brings wind from the north.\n\n\`\`\`sh\ncurl wttr.in/Lisbon\n\`\`\`\n\nAsk again for the week.`,
            },
            finish_reason: 'stop',
          },
        ],
        usage: { prompt_tokens: 12, completion_tokens: 48 },
      };
    if (to === 'OPS.deploy')
      return { deployed: true, version: '2026.11.20', url: 'http://127.0.0.1:8443', log: ['build', 'upload', 'switch'] };
    return { ok: true };
  };

  async function run(id: number, ask: Ask): Promise<void> {
    const started = performance.now();
    const text = ask.text ?? null;
    const plan = resolve({ ...(ask.route ? { route: ask.route } : {}), ...(text ? { text } : {}) });
    const crossing = (more: Partial<Crossing>): Crossing => ({
      id: `x_${hex(10)}`,
      ok: true,
      route: plan.route,
      result: null,
      error: null,
      why: plan.why,
      confidence: plan.confidence,
      job: null,
      audit: null,
      durationMs: performance.now() - started,
      at: Date.now(),
      door: 'app',
      caller: 'owner',
      text,
      parent: null,
      traceparent: `00-${hex(32)}-${hex(16)}-01`,
      boundaries: [
        ['identity', 0.01],
        ['limits', 0.02],
        ['input', 0.08],
        ['danger', 0.01],
        ['sovereign', 0.02],
        ['audit', 3.1],
      ].map(([boundary, ms]) => ({ boundary: boundary as string, outcome: 'passed', ms: (ms as number) * (0.7 + rnd()) })),
      attempts: [],
      left: [],
      mock: false,
      signature: { alg: 'Ed25519', key: hex(16), value: hex(86), leaf: 0, size: 1, path: [] },
      ...more,
    });
    const fail = (error: WireError, more: Partial<Crossing> = {}) =>
      port.send({ t: 'answer', id, crossing: crossing({ ok: false, error, ...more }) });
    if (plan.route === null)
      return fail(
        refuse('route_uncertain', 'Three routes are about as likely.', {
          hint: 'Choose one; Dispatcher can remember it.',
          choices: plan.ranked,
        }),
      );
    const found = routes.find((one) => one.name === plan.route);
    if (!found)
      return fail(
        refuse('route_unknown', `There is no route ${plan.route}.`, {
          hint: 'Look at the routes, or choose one of these.',
          choices: [{ route: 'FND.salesforce', confidence: null, reason: 'similar name' }],
        }),
        { route: null },
      );
    if (plan.refusal) return fail(plan.refusal);
    let job = makeJob(text, plan.route, Date.now());
    jobs.unshift(job);
    emit({ type: 'job', job });
    port.send({ t: 'accepted', id, job: job.id, route: plan.route, audit: { seq: job.auditSeq!, hash: hex(64) } });
    let cancelled = false;
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>();
    stops.set(job.id, () => {
      cancelled = true;
      stop();
    });
    calls.set(id, () => {
      cancelled = true;
      stop();
    });
    const wait = (ms: number) => Promise.race([new Promise((done) => setTimeout(done, ms)), stopped]);
    const attempts: Attempt[] = [];
    const at = Date.now();
    let error: WireError | null = null;
    if (plan.route === 'OPS.deploy')
      for (let step = 1; step <= 40 && !cancelled; step++) {
        await wait(500);
        job = change(job, {
          progress: step / 40,
          progressNote: ['Building', 'Uploading', 'Switching traffic', 'Watching'][Math.floor(step / 10.1)]!,
        });
      }
    else if (plan.route.startsWith('AI.'))
      for (const word of `Here is what I found about “${text}”. It is sunny, 24 °C. Tomorrow brings wind from the north.`.split(/(?<= )/)) {
        await wait(60);
        if (cancelled) break;
        emit({ type: 'chunk', job: job.id, text: word });
      }
    else if (plan.route === 'HW.printer') {
      for (const ms of [300, 600]) {
        attempts.push({
          id: hex(8),
          route: plan.route,
          endpoint: found.endpoint,
          startedAt: Date.now(),
          durationMs: 2,
          status: null,
          error: 'upstream_refused',
        });
        await wait(ms);
      }
      error = refuse('upstream_refused', 'Nothing listens at 127.0.0.1:8093.', {
        hint: 'Start the service, or look at its endpoint in the registry.',
      });
    } else await wait(plan.route === 'OPS.slow' ? 6000 : 180);
    if (cancelled) error = refuse('cancelled', 'Cancelled while the service was working; its connection was closed.');
    attempts.push({
      id: hex(8),
      route: plan.route,
      endpoint: found.endpoint,
      startedAt: at,
      durationMs: Date.now() - at,
      status: error ? null : 200,
      error: error?.code ?? null,
    });
    const done = crossing({
      job: job.id,
      audit: { seq: ++audit, hash: hex(64) },
      ok: !error,
      error,
      result: error ? null : resultOf(plan.route, text ?? ''),
      attempts,
      left: found.egress === 'local' ? [] : [{ host: new URL(found.endpoint!).host, egress: found.egress, bytes: 412 }],
    });
    done.boundaries.push({ boundary: 'execute', outcome: error ? 'refused' : 'passed', ms: Date.now() - at });
    records.set(job.id, done);
    change(job, {
      state: cancelled ? 'cancelled' : error ? 'failed' : 'succeeded',
      finishedAt: Date.now(),
      durationMs: done.durationMs,
      errorCode: error?.code ?? null,
      errorMessage: error?.message ?? null,
    });
    const [org, service] = plan.route.split('.');
    emit(
      { type: 'crossing', crossing: done },
      error
        ? `❌ OS → ${org} : dispatch_failed, error=${error.code}`
        : `🎯 OS → ${org} : dispatched, service=${service}, latency=${Math.round(done.durationMs)}ms`,
    );
    port.send({ t: 'answer', id, crossing: done });
  }
  const calls = new Map<number, () => void>();

  const operations: Record<string, (params: Record<string, unknown>) => unknown> = {
    'OS.resolve': (params) => resolve(params),
    'OS.teach': ({ route: to }) => ({ route: to, examples: 5 }),
    ...work.answers,
    ...cortex.answers,
    'OS.jobs': ({ q, state, route: of, lane, cursor, limit = 100 }) => {
      const words = String(q ?? '').toLowerCase();
      const all = jobs.filter(
        (job) =>
          (!state || job.state === state) &&
          (!of || job.route === of) &&
          (!lane || job.lane === lane) &&
          (!words || `${job.text} ${job.route}`.toLowerCase().includes(words)),
      );
      const from = cursor ? all.findIndex((job) => job.id === cursor) + 1 : 0;
      const part = all.slice(from, from + Number(limit));
      return { jobs: part, total: all.length, cursor: from + part.length < all.length ? part.at(-1)!.id : null };
    },
    'OS.jobs.get': ({ id }) => {
      const job = jobs.find((one) => one.id === id);
      if (!job) return refuse('not_found', 'No such job.');
      const record = records.get(job.id) ?? null;
      return {
        ...job,
        ...work.detail(job),
        ...(record && { result: record.result }),
        params: {},
        attempts:
          job.finishedAt === null
            ? []
            : (record?.attempts ?? [
                {
                  id: hex(8),
                  route: job.route!,
                  endpoint: 'http://127.0.0.1:8091/v1',
                  startedAt: job.createdAt + 4,
                  durationMs: job.durationMs ?? 0,
                  status: job.state === 'succeeded' ? 200 : null,
                  error: job.errorCode,
                },
              ]),
        record,
      };
    },
    'OS.jobs.cancel': ({ id }) => {
      const job = jobs.find((one) => one.id === id)!;
      if (job.finishedAt !== null) return refuse('conflict', 'It had ended already.');
      const asked = change(job, { cancelRequestedAt: Date.now() });
      if (!stops.has(job.id)) change(asked, { state: 'cancelled', waits: null, finishedAt: Date.now(), errorCode: 'cancelled' });
      stops.get(job.id)?.();
      return { id, state: 'cancelled', outcome: 'The connection to the service was closed; it had not answered.' };
    },
    'OS.health': () => ({ health, breakers: [] }),
    'OS.health.history': ({ route: of }) => ({
      route: of,
      samples: Array.from({ length: 60 }, (_, i) => ({ at: t0 - (60 - i) * 180_000, status: 'healthy', latencyMs: 10 + rnd() * 20 })),
    }),
    'OS.audit': ({ limit = 100 }) => ({
      entries: Array.from(
        { length: Number(limit) },
        (_, i): AuditEntry => ({
          seq: audit - i,
          at: t0 - i * 20_000,
          kind: i % 2 ? 'intent' : 'outcome',
          crossing: `x_${hex(10)}`,
          job: jobs[i >> 1]?.id ?? null,
          caller: 'owner',
          door: 'app',
          route: jobs[i >> 1]?.route ?? null,
          outcome: i % 2 ? null : 'ok',
          detail: '{"text":"sync"}',
          digest: hex(64),
          previous: hex(64),
          hash: hex(64),
        }),
      ),
      cursor: null,
      total: audit,
    }),
    'OS.audit.verify': () => ({
      ok: true,
      rows: audit,
      firstSeq: 1,
      lastSeq: audit,
      head: hex(64),
      checkpoints: 12,
      segments: 3,
      pruned: null,
      durationMs: 14,
      fault: null,
    }),
    'OS.sovereign.set': ({ on }) => {
      sovereign = { on: Boolean(on), since: Date.now(), by: 'owner' };
      emit({ type: 'sovereign', sovereign }, on ? '🛡 OS → OS : sovereign, on' : '🛡 OS → OS : sovereign, off');
      return sovereign;
    },
    'OS.rules.test': ({ text }) => ({ ranked: guess(String(text)).ranked, abstained: false, rules: resolve({ text: String(text) }).rules }),
    'OS.registry': () => ({ text: 'orgs:\n  FND:\n    name: BlackRoad Foundation\n', revision: 'r1', state: registry }),
    'OS.settings': () => ({
      jobsKeptDays: 30,
      jobsKeptMost: 1_000_000,
      callbacks: { signs: 'the key of this core', checks: null },
      registryFile: '/home/ada/.config/dispatcher/registry.yaml',
      home: '/home/ada/.config/dispatcher',
      databaseFile: '/home/ada/.config/dispatcher/dispatcher.sqlite',
      limits: { perSecond: 100, burst: 200 },
      limitsFrom: 'default',
      retentionDays: 90,
      healthIntervalMs: 15_000,
      publicKey: hex(64),
    }),
    'OS.tokens': () => ({ tokens: [] }),
  };
  const registry = {
    file: '/home/ada/.config/dispatcher/registry.yaml',
    loadedAt: t0 - 4e6,
    generation: 3,
    orgs: 5,
    services: 11,
    rules: 25,
    problems: [],
    serving: 'current' as const,
  };

  port.onFrame((frame) => {
    if (frame.t === 'watch') {
      watching = true;
      port.send({
        t: 'snapshot',
        snapshot: {
          seq,
          self: self(),
          sovereign,
          registry,
          orgs,
          routes,
          rules: [],
          health,
          breakers: [],
          gpu: cortex.gpu(),
          jobs: jobs.filter((job, index) => index < 200 || job.finishedAt === null),
          lanes: work.lanes(),
          mcp: work.mcp(),
          podium: work.podium(),
          cortex: cortex.state(),
          boot: work.boot,
          counts: counts(),
          signals: signals.slice(-200),
        },
      });
    } else if (frame.t === 'cancel') calls.get(frame.id)?.();
    else if (frame.t === 'call') {
      const operation = frame.ask.route ? operations[frame.ask.route] : undefined;
      if (!operation) return void run(frame.id, frame.ask);
      void Promise.resolve(operation(frame.ask.params ?? {}) as { code?: string }).then((answer) => {
        const error = answer && typeof answer === 'object' && 'message' in answer && 'code' in answer ? (answer as WireError) : null;
        const crossing = { ok: !error, error, result: error ? null : answer } as unknown as Crossing;
        setTimeout(() => port.send({ t: 'answer', id: frame.id, crossing }), slow);
      });
    }
  });
}
