import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { HealthSample, Health as HealthState, Route } from '../../shared/model.ts';
import { createEgress } from './egress.ts';
import { createHealth } from './health.ts';

async function serve(t: TestContext, listener: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closedPort(): Promise<string> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `http://127.0.0.1:${port}`;
}

function route(name: string, health: string | null, more: Partial<Route> = {}): Route {
  return { name, kind: 'http', endpoint: health ?? 'http://127.0.0.1:1/', health, egress: 'local', ...more } as Route;
}

function setup(
  t: TestContext,
  routes: Route[],
  { history = [], ...more }: { timeoutMs?: number; slowMs?: number; intervalMs?: number | (() => number); history?: HealthSample[] } = {},
) {
  const state = { now: 1_000_000_000, routes, sovereign: false };
  const events: string[] = [];
  const saved: [string, HealthSample][] = [];
  const listeners: (() => void)[] = [];
  const egress = createEgress({
    sovereign: () => state.sovereign,
    lookup: (_name, done) => done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []),
  });
  t.after(() => egress[Symbol.asyncDispose]());
  const health = createHealth({
    ...{ routes: () => state.routes, egress, clock: () => state.now, random: () => 0, intervalMs: 30_000, timeoutMs: 2000 },
    history: () => history,
    save: (name, sample) => saved.push([name, sample]),
    onChange: ({ route: name, status }: HealthState, changed) => {
      if (changed) events.push(`${name} ${status}`);
      for (const listener of listeners.splice(0)) listener();
    },
    ...more,
  });
  t.after(() => health[Symbol.dispose]());
  const next = () => new Promise<void>((go) => listeners.push(go));
  return { health, state, events, saved, next };
}

const short = (health: HealthState | null) => health && `${health.status}: ${health.reason}`.replace(/\d+ ms/, 'N ms');

test('healthy, degraded and down are told apart, each with its reason', async (t) => {
  const url = await serve(t, (request, response) => {
    const json = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    switch (request.url) {
      case '/ok':
        return response.end('ok');
      case '/none':
        return response.writeHead(204).end();
      case '/paused':
        return json(503, { status: 'degraded', message: 'queue paused' });
      case '/says':
        return json(200, { status: 'unhealthy', reason: 'disk full' });
      case '/missing':
        return response.writeHead(404).end();
      case '/moved':
        return response.writeHead(301, { location: '/ok' }).end();
      case '/large':
        return response.end(Buffer.alloc(100_000));
      case '/hangs':
        return;
      default:
        return request.socket.destroy();
    }
  });
  const dead = await closedPort();
  const paths = ['/ok', '/none', '/paused', '/says', '/missing', '/moved', '/large', '/hangs', '/drops'];
  const routes = [
    ...paths.map((path) => route(`X${path}`, url + path)),
    route('X/dead', `${dead}/health`),
    route('X/name', 'http://nobody.test/health', { egress: 'lan' }),
  ];
  const { health } = setup(t, routes, { timeoutMs: 300 });
  assert.deepEqual(short(health.of('X/ok')), 'unknown: not probed yet');
  const states = await health.probeAll();
  assert.deepEqual(
    states.map((each) => `${each.route} ${short(each)}`),
    [
      'X/ok healthy: 200 in N ms',
      'X/none healthy: 204 in N ms',
      'X/paused degraded: 503: queue paused',
      'X/says degraded: 200: disk full',
      'X/missing degraded: 404 in N ms',
      'X/moved degraded: 301: redirects to /ok',
      'X/large degraded: answers more than 64 KiB',
      'X/hangs down: no answer in N ms',
      'X/drops down: closed the connection without an answer',
      'X/dead down: connection refused',
      'X/name down: name does not resolve',
    ],
  );
  assert.deepEqual(
    states.map(({ latencyMs }) => latencyMs === null),
    [false, false, false, false, false, false, false, true, true, true, true],
  );
  const slow = setup(t, routes, { slowMs: -1 });
  assert.match(short(await slow.health.probe('X/ok'))!, /^degraded: slow: 200 in/);
});

test('what is not to be probed is unknown and says why, and nothing is sent', async (t) => {
  let hits = 0;
  const url = await serve(t, (_request, response) => response.end(String(++hits)));
  const { health, state } = setup(t, [
    route('R.remote', url, { egress: 'remote' }),
    route('L.local', url),
    route('N.none', null),
    route('T.tool', null, { kind: 'tool' }),
  ]);
  await health.probeAll();
  assert.deepEqual([health.of('R.remote')?.status, hits], ['healthy', 2]);
  state.sovereign = true;
  await health.probeAll();
  assert.equal(short(health.of('R.remote')), 'unknown: not probed: sovereign');
  assert.equal(hits, 3);
  assert.equal(short(await health.probe('N.none')), 'unknown: no health URL, and no call yet');
  assert.deepEqual([health.of('T.tool'), await health.probe('X.x')], [null, null]);
});

test('services with one health URL share one probe, and never more than 16 run at once', async (t) => {
  let open = 0;
  let most = 0;
  let hits = 0;
  const held: ServerResponse[] = [];
  const url = await serve(t, (_request, response) => {
    hits += 1;
    most = Math.max(most, ++open);
    response.on('close', () => open--);
    held.push(response);
    if (open === 16 || hits > 48)
      setImmediate(() => {
        for (const each of held.splice(0)) each.end();
      });
  });
  const routes = Array.from({ length: 48 }, (_, index) => [
    route(`A.${index}`, `${url}/${index}`),
    route(`B.${index}`, `${url}/${index}`),
  ]).flat();
  const { health } = setup(t, routes);
  const [all, again] = await Promise.all([health.probeAll(), health.probeAll()]);
  assert.equal(all.length, 96);
  assert.deepEqual(again, all);
  assert.deepEqual([hits, most], [48, 16]);
});

test('a status changes when it was seen twice; by hand it changes at once', async (t) => {
  let status = 200;
  const url = await serve(t, (_request, response) => response.writeHead(status).end());
  const { health, state, events, next } = setup(t, [route('X.a', url)], { intervalMs: 10 });
  health.start();
  const turn = async () => {
    state.now += 20_000;
    await next();
    return health.of('X.a')!;
  };
  assert.equal((await turn()).status, 'healthy', 'the first counts at once');
  status = 500;
  const doubted = await turn();
  assert.equal(doubted.status, 'healthy');
  assert.match(doubted.reason, /^200 in \d+ ms \(now: 500 in \d+ ms\)$/);
  status = 200;
  assert.match((await turn()).reason, /^200 in \d+ ms$/);
  status = 500;
  await turn();
  assert.equal((await turn()).status, 'degraded');
  status = 200;
  assert.equal((await health.probe('X.a'))?.status, 'healthy');
  assert.deepEqual(events, ['X.a healthy', 'X.a degraded', 'X.a healthy']);
});

test('one dead host is one incident, and ends when one of them answers', async (t) => {
  const dead = await closedPort();
  const url = await serve(t, (_request, response) => response.end());
  const place = new URL(dead).host;
  const { health, state } = setup(t, [
    route('X.a', `${dead}/a`),
    route('X.b', `${dead}/b`),
    route('X.c', `${await closedPort()}/c`),
    route('X.d', url),
  ]);
  await health.probe('X.a');
  assert.equal(health.of('X.a')?.incident, null, 'one alone is no incident');
  const states = await health.probeAll();
  assert.deepEqual(
    states.map(({ incident }) => incident),
    [`${place}: connection refused`, `${place}: connection refused`, null, null],
  );
  state.routes = [route('X.a', `${dead}/a`), route('X.b', url)];
  await health.probeAll();
  assert.deepEqual(
    health.all().map(({ route: name, incident }) => [name, incident]),
    [
      ['X.a', null],
      ['X.b', null],
    ],
  );
});

test('calls tell of services without a health URL, and go stale', async (t) => {
  const { health, state, saved } = setup(t, [route('X.a', null)]);
  health.note('X.a', { ok: true, durationMs: 12, error: null });
  assert.equal(short(health.of('X.a')), 'healthy: last call answered in N ms');
  for (let i = 0; i < 1000; i++) health.note('X.a', { ok: true, durationMs: 13, error: null });
  assert.equal(saved.length, 1, 'many calls are one sample');
  health.note('X.a', { ok: false, durationMs: 3000, error: 'upstream_refused' });
  assert.equal(short(health.of('X.a')), 'down: connection refused');
  health.note('X.a', { ok: false, durationMs: 1, error: 'breaker_open' });
  assert.equal(health.of('X.a')?.status, 'down', 'a call that was not made tells nothing');
  health.note('X.a', { ok: false, durationMs: 300, error: 'upstream_timeout' });
  assert.equal(health.of('X.a')?.reason, 'no answer in 300 ms');
  state.now += 5 * 30_000 + 1;
  assert.match(short(health.of('X.a'))!, /^unknown: last looked at 150 s ago: no answer/);
});

test('a failed call brings the next probe forward', async (t) => {
  let up = true;
  const url = await serve(t, (request, response) => (up ? response.end() : request.socket.destroy()));
  const { health, state, next } = setup(t, [route('X.a', url)], { intervalMs: 60_000 });
  health.start();
  await next();
  up = false;
  state.now += 2000;
  health.note('X.a', { ok: false, durationMs: 1, error: 'upstream_refused' });
  await next();
  assert.match(health.of('X.a')!.reason, /now: closed the connection/);
});

test('calls that keep bringing a probe forward do not keep it from coming', { timeout: 10_000 }, async (t) => {
  let up = false;
  const url = await serve(t, (request, response) => (up ? response.end() : request.socket.destroy()));
  const { health, state, next } = setup(t, [route('X.a', url)], { intervalMs: 60_000 });
  await health.probe('X.a');
  health.start();
  up = true;
  state.now += 2000;
  const busy = setInterval(() => {
    state.now += 10;
    health.note('X.a', { ok: true, durationMs: 1, error: null });
  }, 10);
  t.after(() => clearInterval(busy));
  await next();
  assert.match(health.of('X.a')!.reason, /now: 200 in/);
});

test('a shorter interval counts from now, and a new registry probes nobody sooner', async (t) => {
  const url = await serve(t, (_request, response) => response.end());
  let intervalMs = 3_600_000;
  const { health, state, saved, next } = setup(t, [route('X.a', url, { egress: 'remote' })], { intervalMs: () => intervalMs });
  await health.probe('X.a');
  health.start();
  state.routes = [...state.routes];
  state.now += 1000;
  health.refresh();
  intervalMs = 1000;
  health.refresh();
  state.now += 1000;
  await next();
  assert.deepEqual(
    saved.map(([, { at }]) => at - 1_000_000_000),
    [0, 2000],
  );
});

test('a service that is gone is told nothing of the probe that was under way', async (t) => {
  const asked = Promise.withResolvers<() => void>();
  const url = await serve(t, (_request, response) => asked.resolve(() => response.end()));
  const { health, state, saved, events } = setup(t, [route('X.a', url)]);
  const probe = health.probe('X.a');
  const answer = await asked.promise;
  state.routes = [];
  health.refresh();
  answer();
  await probe;
  assert.deepEqual([saved, events, health.all()], [[], [], []]);
});

test('percentiles come from the kept day and the probes since', async (t) => {
  const url = await serve(t, (_request, response) => response.end());
  const history = Array.from(
    { length: 100 },
    (_, index): HealthSample => ({ at: index, status: 'healthy', latencyMs: index === 50 ? null : 1000 + index }),
  );
  const { health, saved } = setup(t, [route('X.a', url)], { history });
  const { p50Ms, p95Ms, latencyMs } = (await health.probe('X.a'))!;
  assert.deepEqual([p50Ms, p95Ms], [1048, 1095]);
  assert.deepEqual(saved, [['X.a', { at: 1_000_000_000, status: 'healthy', latencyMs }]]);
});

test('a new registry keeps what is known of services that stayed', async (t) => {
  const url = await serve(t, (_request, response) => response.end());
  const { health, state } = setup(t, [route('X.a', url), route('X.b', url)]);
  await health.probeAll();
  state.routes = [route('X.a', url), route('X.b', `${url}/other`), route('X.c', url)];
  health.refresh();
  assert.deepEqual(
    health.all().map(({ route: name, status }) => `${name} ${status}`),
    ['X.a healthy', 'X.b unknown', 'X.c unknown'],
  );
});
