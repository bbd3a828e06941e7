import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { createPodium as createDemo } from '../../../resources/demo/podium.ts';
import { openService } from '../../../resources/demo/service.ts';
import type { EventBody } from '../../../shared/contract.ts';
import { refuse } from '../../../shared/errors.ts';
import type { PodiumState, Route } from '../../../shared/model.ts';
import { createBreakers } from '../breaker.ts';
import { Cutoff } from '../cutoff.ts';
import { createEgress } from '../egress.ts';
import { createPodium, type PodiumParts } from './podium.ts';
import type { Run } from './runner.ts';

const secret = 'not-a-real-secret';

function route(endpoint: string, more: Partial<Route> = {}): Route {
  return {
    ...{ name: 'ORC.podium', org: 'ORC', service: 'podium', kind: 'podium', description: null, type: 'internal', endpoint, health: null },
    ...{ method: 'POST', auth: null, egress: 'local', timeoutMs: 60_000, maxResponseBytes: 1_000_000, concurrency: null, lane: 'stories' },
    ...{ idempotent: false, retry: null, answer: 'response', grid: null, mcp: null, inputSchema: null, fallback: null },
    ...{ provider: null, model: null, need: null, nodes: [], examples: [], demo: false, line: null },
    ...more,
  };
}

/** The demo's Podium. */
async function upstream(t: TestContext, options: Parameters<typeof createDemo>[0] = {}) {
  const demo = createDemo({ storyMs: 60_000, ...options });
  const service = await openService({ handle: demo.handle, health: demo.health });
  demo.attach(service.server);
  t.after(async () => {
    demo.close();
    await service.stop();
  });
  const commands = () => service.ledger.filter(({ path }) => path === '/api/command').map(({ body }) => body as Record<string, unknown>);
  /** The story that is played, as it stands whoever can ask. */
  const current = () => demo.playing();
  return { ...service, commands, current };
}

function podiumOf(t: TestContext, routes: Route[], more: Partial<PodiumParts> = {}) {
  const events: EventBody[] = [];
  const waiting = new Set<() => void>();
  const egress = createEgress({ sovereign: () => false });
  const breakers = createBreakers({ clock: Date.now, onChange: () => {} });
  const podium = createPodium({
    ...{ routes: () => routes, egress, breakers, secret: () => null, clock: Date.now, random: () => 0, backoffMs: 1, backoffMaxMs: 20 },
    publish(body) {
      events.push(body);
      for (const look of waiting) look();
    },
    ...more,
  });
  t.after(async () => {
    await podium[Symbol.asyncDispose]();
    await egress[Symbol.asyncDispose]();
  });
  /** The newest state that is as wanted, once there is one. */
  const state = (wanted: (state: PodiumState) => boolean) =>
    new Promise<PodiumState>((resolve) => {
      const look = () => {
        const found = podium.states().find(wanted);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  let attempts = 0;
  const call = (params: Record<string, unknown>, text: string | null = null) => {
    const cutoff = new Cutoff();
    const notes: (string | null)[] = [];
    const shares: (number | null)[] = [];
    const attemptsMade: Run['attempts'] = [];
    const run: Run = {
      ...{
        route: routes[0]!,
        text,
        params,
        cutoff,
        signal: cutoff.signal,
        deadlineAt: Date.now() + routes[0]!.timeoutMs,
        door: 'library',
        job: 'job_1',
        models: [],
        start: 1,
      },
      ...{ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', attempts: attemptsMade, left: [] },
      ...{ principal: { id: 'mark', name: 'Mark', capabilities: ['dispatch'] }, runtime: null as unknown as Run['runtime'] },
      newAttemptId: () => `att_${++attempts}`,
      progress(share, note) {
        shares.push(share);
        notes.push(note);
      },
      chunk() {},
    };
    return { outcome: podium.run(run), cutoff, notes, shares, attempts: attemptsMade };
  };
  const ended = async (params: Record<string, unknown>) => {
    const outcome = await call(params).outcome;
    return outcome.ok ? outcome.result : `${outcome.error.code}: ${outcome.error.message}`;
  };
  return { podium, breakers, events, state, call, ended };
}

const storyIs = (id: string, status: string) => (state: PodiumState) =>
  (state.stories[id] as { status?: string } | undefined)?.status === status;
const enqueue = (id: string) => ({ action: 'enqueue_story', story_id: id });

test('a story that is enqueued lasts until it is done, under one attempt id, and what is said of it goes through unchanged', async (t) => {
  const at = await upstream(t, { storyMs: 40 });
  const { call, events } = podiumOf(t, [route(at.url)]);
  const run = call({ ...enqueue('STORY-001'), nonce: 'nonce-123' });
  const outcome = await run.outcome;
  assert.ok(outcome.ok);
  const { command, followed, stories } = outcome.result as {
    command: unknown;
    followed: boolean;
    stories: Record<string, { status: string }>;
  };
  assert.deepEqual([followed, stories['STORY-001']?.status, (command as { success: boolean }).success], [true, 'done', true]);
  assert.deepEqual([run.shares.at(-1), run.notes.at(-1), run.attempts.length], [1, 'STORY-001 is done', 1]);
  const [line] = at.ledger;
  assert.deepEqual([line?.body, line?.idempotencyKey], [{ nonce: 'nonce-123', type: 'ENQUEUE_STORY', storyId: 'STORY-001' }, 'att_1']);
  const told = events.flatMap((event) => (event.type === 'upstream' ? [event.message as Record<string, unknown>] : []));
  assert.deepEqual(new Set(told.map(({ type }) => type)), new Set(['QUEUE_UPDATE', 'AGENT_STATUS', 'STORY_STATUS']));
  const last = told.findLast(({ type }) => type === 'STORY_STATUS');
  assert.deepEqual(Object.keys(last!), ['type', 'storyId', 'status', 'title', 'timestamp']);
});

test('a plan lasts until the last of its stories is done', async (t) => {
  const at = await upstream(t, { storyMs: 20 });
  const { ended } = podiumOf(t, [route(at.url)]);
  const { stories } = (await ended({ action: 'enqueue_plan', plan_id: 'SKOREQ-001' })) as { stories: Record<string, { status: string }> };
  assert.deepEqual(
    Object.entries(stories).map(([id, { status }]) => `${id} ${status}`),
    ['STORY-001 done', 'STORY-002 done', 'STORY-003 done'],
  );
});

test('what the orchestrator refuses, and a story that fails, are told in its own words', async (t) => {
  const at = await upstream(t, { storyMs: 20 });
  const { ended } = podiumOf(t, [route(`${at.url}/api/command`)]);
  assert.deepEqual(
    await Promise.all(
      [
        enqueue('STORY-006'),
        enqueue('STORY-999'),
        { action: 'enqueue_plan', plan_id: 'SKOREQ-9' },
        { type: 'DANCE' },
        enqueue('STORY-005'),
      ].map(ended),
    ),
    [
      'upstream_failed: ORC.podium refused ENQUEUE_STORY: STORY-006 is done.',
      'upstream_failed: ORC.podium refused ENQUEUE_STORY: There is no story STORY-999.',
      'upstream_failed: ORC.podium refused ENQUEUE_PLAN: There is no plan SKOREQ-9.',
      'upstream_failed: ORC.podium refused DANCE: There is no command DANCE.',
      'upstream_failed: STORY-005 failed in ORC.podium: the singer has a cold',
    ],
  );
});

test('J09: cancelling takes the story back, waiting or running; a core that closes leaves it', async (t) => {
  const at = await upstream(t);
  const { call, state, podium } = podiumOf(t, [route(at.url)]);
  const [first, second, third] = ['STORY-001', 'STORY-002', 'STORY-003'].map((id) => call(enqueue(id)));
  await state(storyIs('STORY-003', 'queued'));
  await state(storyIs('STORY-001', 'in_progress'));
  second!.cutoff.cut(refuse('cancelled', 'Cancelled by Mark.'));
  first!.cutoff.cut(refuse('cancelled', 'Cancelled by Mark.'));
  for (const one of [first!, second!]) {
    const outcome = await one.outcome;
    assert.ok(!outcome.ok);
    assert.equal(outcome.error.code, 'cancelled');
  }
  assert.equal(first!.notes.at(-1), 'STORY-001 is cancelled.');
  await state(storyIs('STORY-003', 'in_progress'));
  third!.cutoff.cut(refuse('shutting_down', 'Dispatcher is shutting down.'));
  const left = await third!.outcome;
  assert.equal(left.ok ? '' : left.error.code, 'shutting_down');
  const { current } = (await podium.status(route(at.url))) as { current: string };
  assert.equal(current, 'STORY-003');
});

test('halt stops what runs and lets nothing new begin; the orchestrator then says that it is degraded', async (t) => {
  const at = await upstream(t);
  const { call, ended, state } = podiumOf(t, [route(at.url)]);
  const [first, second] = [call(enqueue('STORY-001')), call(enqueue('STORY-002'))];
  await state(storyIs('STORY-002', 'queued'));
  const { complete } = (await ended({ action: 'halt' })) as { complete: boolean };
  assert.equal(complete, true);
  const halted = await first!.outcome;
  assert.equal(halted.ok ? '' : halted.error.message, 'ORC.podium cancelled STORY-001.');
  const { current, queue } = (await ended({ action: 'status' })) as { current: null; queue: string[] };
  assert.deepEqual([current, queue], [null, ['STORY-002']]);
  const health = await fetch(`${at.url}/health/orchestrator`);
  assert.deepEqual([health.status, await health.json()], [503, { status: 'degraded', orchestrator: 'stopped' }]);
  second!.cutoff.cut(refuse('cancelled', 'Cancelled by Mark.'));
  await second!.outcome;
});

test('a breaker that is open holds orders back, but no halt', async (t) => {
  const at = await upstream(t);
  const { breakers, ended } = podiumOf(t, [route(at.url)]);
  breakers.trip(at.url);
  assert.match(String(await ended(enqueue('STORY-001'))), /^breaker_open: .* tripped by hand/);
  assert.equal(((await ended({ action: 'halt' })) as { complete: boolean }).complete, true);
  assert.deepEqual(
    at.commands().map(({ type }) => type),
    ['STOP_ORCHESTRATOR'],
  );
});

test('an end that was told while the stream was away is found when it is back', async (t) => {
  const at = await upstream(t, { storyMs: 200 });
  const { call, state } = podiumOf(t, [route(at.url)]);
  const run = call(enqueue('STORY-001'));
  await state(storyIs('STORY-001', 'in_progress'));
  await at.stop();
  await state(({ connected, retryAt, detail }) => !connected && retryAt !== null && detail?.includes('refused') === true);
  while (at.current() !== null) await new Promise(setImmediate);
  await at.start();
  const outcome = await run.outcome;
  assert.ok(outcome.ok);
  assert.equal((outcome.result as { stories: Record<string, { status: string }> }).stories['STORY-001']?.status, 'done');
});

/** A server that is Podium only as far as the test wants. */
async function odd(t: TestContext, commands: (body: string) => unknown): Promise<{ url: string; server: Server }> {
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    response.setHeader('content-type', 'application/json').end(JSON.stringify(commands(body)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

test('without a stream an order ends with its answer, and says that nobody followed it', async (t) => {
  const { url } = await odd(t, () => ({ type: 'COMMAND_RESULT', success: true }));
  const { ended, podium } = podiumOf(t, [route(url)]);
  const { followed, note } = (await ended(enqueue('STORY-001'))) as { followed: boolean; note: string };
  assert.deepEqual([followed, /accepted, not that it is done/.test(note)], [false, true]);
  assert.match(podium.states()[0]!.detail ?? '', /closed the connection|instead of opening a WebSocket/);
});

test('N01, N02: an orchestrator that is not there, or never answers, has its own code, within the deadline', async (t) => {
  const nobody = podiumOf(t, [route('http://127.0.0.1:1')]);
  for (const params of [enqueue('STORY-001'), { action: 'halt' }, { action: 'status' }])
    assert.match(String(await nobody.ended(params)), /^upstream_refused: /);
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const { ended } = podiumOf(t, [route(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`, { timeoutMs: 100 })]);
  assert.match(String(await ended({ type: 'PING' })), /^upstream_timeout: /);
});

test('messages that cannot be read are counted and shown, and one too large costs the connection only', async (t) => {
  const { url, server } = await odd(t, () => ({}));
  const sockets = new WebSocketServer({ server });
  t.after(() => {
    for (const client of sockets.clients) client.terminate();
  });
  let round = 0;
  sockets.on('connection', (socket) => {
    round += 1;
    for (const bad of ['{', '[]', 'null', `${'['.repeat(5000)}${']'.repeat(5000)}`, Buffer.from('{}')]) socket.send(bad);
    socket.send(
      JSON.stringify({
        type: 'AGENT_STATUS',
        agents: [
          { id: '__proto__', status: 'idle' },
          { id: 'two', status: 'idle' },
        ],
      }),
    );
    if (round === 1) socket.send(`"${'x'.repeat(1_048_577)}"`);
  });
  const { podium, state } = podiumOf(t, [route(url)]);
  podium.refresh();
  await state(({ connected, detail }) => !connected && detail?.includes('more than 1048576 bytes') === true);
  const { agents, detail } = await state(({ connected, detail }) => connected && detail?.startsWith('5 ') === true);
  assert.deepEqual([Object.keys(agents), detail], [['__proto__', 'two'], '5 of its messages could not be read; the last was binary.']);
});

test('streams are there for the routes of kind podium there are, and for no other', async (t) => {
  const at = await upstream(t);
  const routes: Route[] = [];
  const { podium, call, state } = podiumOf(t, routes);
  podium.refresh();
  assert.deepEqual(podium.states(), []);
  routes.push(route(at.url));
  podium.refresh();
  await state(({ connected }) => connected);
  podium.refresh();
  assert.equal(podium.states()[0]?.connected, true);
  const run = call(enqueue('STORY-001'));
  await state(storyIs('STORY-001', 'in_progress'));
  routes.pop();
  podium.refresh();
  const outcome = await run.outcome;
  assert.deepEqual([podium.states(), outcome.ok ? '' : outcome.error.code], [[], 'unknown_outcome']);
});

test('with a secret, orders and the stream carry a token that the orchestrator takes; without it they are refused', async (t) => {
  const at = await upstream(t, { secret, storyMs: 20 });
  const auth = { kind: 'bearer', env: 'PODIUM_JWT_SECRET', header: null } as const;
  const known = podiumOf(t, [route(at.url, { auth })], { secret: (name) => (name === 'PODIUM_JWT_SECRET' ? secret : null) });
  assert.equal(((await known.ended(enqueue('STORY-001'))) as { followed: boolean }).followed, true);
  assert.equal(((await known.ended({ action: 'status' })) as { running: boolean }).running, true);
  const unset = podiumOf(t, [route(at.url, { auth })]);
  assert.equal(await unset.ended(enqueue('STORY-002')), 'upstream_failed: ORC.podium answered 401: A valid token is needed.');
  await unset.state(({ detail }) => detail?.includes('401') === true);
});

test('C11: the orchestrator takes no token but the one that was meant for it', async (t) => {
  const at = await upstream(t, { secret });
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const exp = Math.floor(Date.now() / 1000) + 60;
  const good = { iss: 'dispatcher', aud: 'podium', sub: 'mark', role: 'admin', exp };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (claims: unknown, head: object = { alg: 'HS256', typ: 'JWT' }, key: string | Buffer = secret) => {
    const signed = `${part(head)}.${part(claims)}`;
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
  };
  const rsa = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(good)}`;
  const { exp: _, ...endless } = good;
  const table: [string, string | null, number][] = [
    ['good', token(good), 200],
    ['a viewer', token({ ...good, role: 'viewer' }), 403],
    ['none at all', null, 401],
    ['alg none', `${part({ alg: 'none', typ: 'JWT' })}.${part(good)}.`, 401],
    ['alg none, signed', token(good, { alg: 'none', typ: 'JWT' }), 401],
    ['alg HS512', token(good, { alg: 'HS512', typ: 'JWT' }), 401],
    ['alg RS256', `${rsa}.${createSign('RSA-SHA256').update(rsa).sign(privateKey).toString('base64url')}`, 401],
    ['HS256 with the public key', token(good, undefined, publicKey.export({ type: 'spki', format: 'pem' })), 401],
    ['kid of a file', token(good, { alg: 'HS256', typ: 'JWT', kid: '../../dev/null' }), 401],
    ['jku', token(good, { alg: 'HS256', typ: 'JWT', jku: 'https://evil.test/' }), 401],
    ['another key', token(good, undefined, 'guess'), 401],
    ['no exp', token(endless), 401],
    ['exp in the past', token({ ...good, exp: exp - 120 }), 401],
    ['exp as text', token({ ...good, exp: String(exp) }), 401],
    ['exp in a year', token({ ...good, exp: exp + 31_536_000 }), 401],
    ['another aud', token({ ...good, aud: 'bank' }), 401],
    ['aud in a list', token({ ...good, aud: ['podium', 'bank'] }), 401],
    ['another role', token({ ...good, role: 'owner' }), 401],
    ['claims that are no object', token('admin'), 401],
  ];
  for (const [name, bearer, status] of table) {
    const headers = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
    const answer = await fetch(`${at.url}/api/command`, { method: 'POST', body: '{"type":"PING"}', headers });
    assert.deepEqual([name, answer.status], [name, status]);
  }
  assert.equal(at.commands().length, table.length);
});
