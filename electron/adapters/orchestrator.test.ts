import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WebSocket } from 'ws';
import { createPodium } from '../../resources/demo/podium.ts';
import { openService } from '../../resources/demo/service.ts';
import type { Capability, Job } from '../../shared/model.ts';
import { openCore, operate } from '../core/testing.ts';
import { createHttpDoor } from './http.ts';
import { raw } from './testing.ts';

type Message = { type: string; storyId?: string; status?: string; job?: Job } & Record<string, unknown>;

/** The whole of it: the demo's Podium, the core, its door on loopback, and a command center. */
async function open(t: TestContext, { storyMs = 60_000, orchestrator = 'actions_per_minute: 1000, cooldown: 0' } = {}) {
  const demo = createPodium({ storyMs });
  const upstream = await openService({ handle: demo.handle, health: demo.health });
  demo.attach(upstream.server);
  const core = await openCore(`
limits: off
orchestrator: {${orchestrator}}
orgs:
  ORC:
    services:
      podium: {kind: podium, endpoint: "${upstream.url}", egress: local, lane: stories, timeout: 10m}
      status: {endpoint: "${upstream.url}/api/status", egress: local, method: GET}
`);
  const door = await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' });
  t.after(async () => {
    await door[Symbol.asyncDispose]();
    await core[Symbol.asyncDispose]();
    demo.close();
    await upstream.stop();
  });
  const issue = async (name: string, capabilities: Capability[]) =>
    ((await operate(core, 'OS.tokens.create', { name, capabilities })) as { secret: string }).secret;
  const ask = async (method: string, path: string, { body, token = core.owner.secret }: { body?: unknown; token?: string } = {}) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const response = await fetch(door.url + path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
    return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
  };
  const dispatch = (action: string, payload: Record<string, unknown> = {}, token?: string) =>
    ask('POST', '/api/orchestrator/dispatch', { body: { action, payload, source: 'command-center', auth: { user_id: 'mark' } }, token });
  const enqueue = async (story_id: string, token?: string) => String((await dispatch('enqueue_story', { story_id }, token)).body.job_id);
  const commands = () => upstream.ledger.filter(({ path }) => path === '/api/command').map(({ body }) => body as Record<string, unknown>);

  /** A stream, read as it comes. */
  const listen = async (path: string, token: string = core.owner.secret) => {
    const socket = new WebSocket(door.url.replace('http', 'ws') + path);
    const heard: Message[] = [];
    const looking = new Set<() => void>();
    socket.on('message', (data) => {
      heard.push(JSON.parse(String(data)) as Message);
      for (const look of looking) look();
    });
    const closed = new Promise<[number, string]>((resolve) => socket.on('close', (code, reason) => resolve([code, String(reason)])));
    t.after(() => socket.terminate());
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    socket.send(JSON.stringify({ t: 'auth', token }));
    /** The first message, old or new, that is as wanted. */
    const first = (wanted: (message: Message) => boolean) =>
      new Promise<Message>((resolve) => {
        const look = () => {
          const found = heard.find(wanted);
          if (found === undefined) return;
          looking.delete(look);
          resolve(found);
        };
        looking.add(look);
        look();
      });
    const job = (id: string, state: Job['state']) => first((message) => message.job?.id === id && message.job.state === state);
    const story = (id: string, status: string) => first((message) => message.storyId === id && message.status === status);
    return { socket, heard, closed, first, job, story };
  };
  return { core, door, upstream, issue, ask, dispatch, enqueue, commands, listen, say: demo.say };
}

test('seed 004: a story is dispatched, on record, forwarded, and told on its stream until it is done', async (t) => {
  const at = await open(t, { storyMs: 100 });
  const { status, body } = await at.dispatch('enqueue_story', { story_id: 'STORY-001', nonce: 'nonce-0001' });
  const { job_id: id, audit_id: audit, stream_url: url, ...answer } = body;
  assert.deepEqual([status, answer.success, answer.error, answer.podium_result], [200, true, null, null]);
  assert.match(String(audit), /^AUD-\d+$/);
  assert.equal(url, `${at.door.url.replace('http', 'ws')}/api/orchestrator/stream/${id}`);
  const stream = await at.listen(`/api/orchestrator/stream/${id}`);
  await stream.job(String(id), 'succeeded');
  assert.deepEqual(await stream.closed, [1000, 'The job has ended.']);
  assert.deepEqual(at.commands(), [{ nonce: 'nonce-0001', type: 'ENQUEUE_STORY', storyId: 'STORY-001' }]);
  const { entries } = (await at.ask('GET', `/audit?job=${id}`)).body as { entries: { seq: number; kind: string; detail: string }[] };
  assert.deepEqual(entries.map(({ kind }) => kind).toSorted(), ['intent', 'outcome']);
  const intent = entries.find(({ kind }) => kind === 'intent')!;
  assert.equal(audit, `AUD-${intent.seq}`);
  assert.deepEqual(JSON.parse(intent.detail).params, {
    action: 'enqueue_story',
    nonce: 'nonce-0001',
    source: 'command-center',
    story_id: 'STORY-001',
    user_id: 'mark',
  });
  const {
    job_id,
    status: state,
    story,
  } = (await at.ask('GET', `/api/orchestrator/status/${id}`)).body as Record<string, { status?: string }>;
  assert.deepEqual([job_id, state, story?.status], [id, 'succeeded', 'done']);
});

test('J10: stories are played one after the other, each from its order to its end', async (t) => {
  const at = await open(t, { storyMs: 50 });
  const stream = await at.listen('/api/orchestrator/stream');
  const ids = await Promise.all(['STORY-001', 'STORY-002', 'STORY-003'].map((story) => at.enqueue(story)));
  await stream.job(ids[2]!, 'succeeded');
  const told = stream.heard.filter(({ type, status }) => type === 'STORY_STATUS' && (status === 'queued' || status === 'done'));
  assert.deepEqual(
    told.map(({ storyId, status }) => `${storyId} ${status}`),
    ['STORY-001', 'STORY-002', 'STORY-003'].flatMap((id) => [`${id} queued`, `${id} done`]),
  );
  assert.deepEqual(new Set(stream.heard.map(({ type }) => type)), new Set(['QUEUE_UPDATE', 'AGENT_STATUS', 'STORY_STATUS', 'JOB_UPDATE']));
});

test('halt stops the story that runs at once, with what the orchestrator said to it', async (t) => {
  const at = await open(t);
  const stream = await at.listen('/api/orchestrator/stream');
  const id = await at.enqueue('STORY-001');
  await stream.story('STORY-001', 'in_progress');
  const { status, body } = await at.dispatch('halt');
  const { complete, commands } = body.podium_result as { complete: boolean; commands: { command: string; story: string | null }[] };
  assert.deepEqual(
    [status, body.success, complete, commands.map(({ command, story }) => `${command} ${story}`)],
    [200, true, true, ['STOP_ORCHESTRATOR null', 'CANCEL_STORY STORY-001']],
  );
  const { job } = await stream.job(id, 'cancelled');
  assert.equal(job?.errorMessage, 'ORC.podium cancelled STORY-001.');
});

test('J09: a job that is cancelled takes its story back, in line or playing, and never succeeds afterwards', async (t) => {
  const at = await open(t);
  const stream = await at.listen('/api/orchestrator/stream');
  const [first, second] = [await at.enqueue('STORY-001'), await at.enqueue('STORY-002')];
  await stream.story('STORY-001', 'in_progress');
  for (const id of [second, first]) assert.equal((await at.ask('POST', `/jobs/${id}/cancel`, { body: {} })).body.state, 'cancelled');
  await stream.story('STORY-001', 'cancelled');
  assert.deepEqual(
    at.commands().map(({ type, storyId }) => `${type} ${storyId}`),
    ['ENQUEUE_STORY STORY-001', 'CANCEL_STORY STORY-001'],
  );
  for (const id of [first, second]) await stream.job(id, 'cancelled');
  for (const id of [first, second])
    assert.deepEqual(
      stream.heard
        .filter(({ job }) => job?.id === id)
        .map(({ job }) => job?.state)
        .at(-1),
      'cancelled',
    );
});

test('F27: ten actions a minute and five seconds between equal stories, whichever door they come through', async (t) => {
  const at = await open(t, { storyMs: 1, orchestrator: 'actions_per_minute: 10, cooldown: 5' });
  const first = await Promise.all(Array.from({ length: 5 }, () => at.dispatch('enqueue_story', { story_id: 'STORY-001' })));
  assert.deepEqual(first.map(({ status }) => status).toSorted(), [200, 429, 429, 429, 429]);
  assert.ok(first.every(({ status, headers }) => status === 200 || Number(headers.get('retry-after')) >= 1));
  const mixed = await Promise.all(
    Array.from({ length: 50 }, (_, index) => {
      const story_id = `STORY-${100 + index}`;
      if (index % 2 === 0) return at.dispatch('enqueue_story', { story_id });
      return at.ask('POST', '/dispatch/ORC/podium', { body: { action: 'enqueue_story', story_id } });
    }),
  );
  const limited = mixed.filter(({ status }) => status === 429).length;
  assert.equal(mixed.length - limited, 9);
});

test('the same nonce by the same principal is the same dispatch, however often and soon it comes', async (t) => {
  const at = await open(t, { orchestrator: 'actions_per_minute: 3, cooldown: 5' });
  const stream = await at.listen('/api/orchestrator/stream');
  const send = (story_id: string, token?: string) => at.dispatch('enqueue_story', { story_id, nonce: 'nonce-0001' }, token);
  const { body: one } = await send('STORY-001');
  await stream.story('STORY-001', 'in_progress');
  const again = await Promise.all([send('STORY-001'), send('STORY-001'), send('STORY-001')]);
  for (const { body } of again) assert.deepEqual([body.job_id, body.audit_id, body.success], [one.job_id, one.audit_id, true]);
  assert.equal((await send('STORY-002')).status, 422);
  const other = await at.issue('other', ['read', 'dispatch']);
  assert.notEqual((await send('STORY-003', other)).body.job_id, one.job_id);
  assert.equal(at.commands().length, 1);
});

test('what the orchestrator refuses is its job’s failure; without an orchestrator there is none to ask', async (t) => {
  const at = await open(t);
  const id = await at.enqueue('STORY-006');
  const stream = await at.listen(`/api/orchestrator/stream/${id}`);
  const { job } = await stream.job(id, 'failed');
  assert.equal(job?.errorMessage, 'ORC.podium refused ENQUEUE_STORY: STORY-006 is done.');
  const { body: status } = await at.dispatch('status');
  assert.deepEqual((status.podium_result as { queue: unknown[] }).queue, []);
  await at.upstream.stop();
  const { body } = await at.ask('GET', '/api/orchestrator/status');
  assert.equal((body.status as { error: { code: string } }).error.code, 'upstream_refused');
  assert.equal((await at.dispatch('halt')).body.success, false);
});

test('a dispatch that is no order is refused before it is a job', async (t) => {
  const at = await open(t);
  const bodies = [
    { action: 'enqueue_story', payload: {} },
    { action: 'enqueue_plan', payload: { story_id: 'STORY-001' } },
    { action: 'dance' },
    { action: 'halt', payload: { nonce: 'short' } },
    { action: 'halt', payload: { nonce: 'with spaces in it' } },
  ];
  const answers = await Promise.all(bodies.map((body) => at.ask('POST', '/api/orchestrator/dispatch', { body })));
  assert.deepEqual(
    answers.map(({ status, body }) => `${status} ${body.code}`),
    bodies.map(() => '400 input_invalid'),
  );
  assert.deepEqual([at.commands(), (await at.ask('GET', '/jobs')).body.total], [[], 0]);
});

test('W01, W02: a stream opens for whom the rules of every WebSocket let in, and takes no messages', async (t) => {
  const at = await open(t);
  const { port, url } = at.door;
  const handshake = (path: string, more = '') =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
  const bearer = `Authorization: Bearer ${at.core.owner.secret}\r\n`;
  const root = '/api/orchestrator/stream';
  const tries: [string, string][] = [
    ['403', handshake(root, `${bearer}Origin: http://evil.test\r\n`)],
    ['401', handshake(`${root}?token=${at.core.owner.secret}`)],
    ['404', handshake(`${root}/../../ws`, bearer)],
    ['404', handshake(`${root}/%2e%2e`, bearer)],
    ['404', handshake(`${root}/*`, bearer)],
    ['404', handshake(`${root}/`, bearer)],
    ['404', handshake(`${root}/a/b`, bearer)],
  ];
  for (const [status, bytes] of tries) assert.equal((await raw(port, bytes)).slice(9, 12), status, bytes);
  assert.deepEqual((await (await at.listen(root, 'wrong')).closed)[0], 1008);
  const chatty = await at.listen(root);
  await chatty.first(() => true);
  chatty.socket.send('{}');
  assert.deepEqual(await chatty.closed, [1003, 'This stream takes no messages.']);
  assert.equal((await fetch(url + root, { headers: { authorization: `Bearer ${at.core.owner.secret}` } })).status, 404);
});

test('W07: who may not read hears of its own jobs and their stories, and of no other', async (t) => {
  const at = await open(t, { storyMs: 200 });
  const token = await at.issue('guest', ['dispatch']);
  const guest = await at.listen('/api/orchestrator/stream', token);
  const reader = await at.listen('/api/orchestrator/stream');
  const theirs = await at.enqueue('STORY-001');
  const own = await at.enqueue('STORY-002', token);
  const mine = await at.listen(`/api/orchestrator/stream/${own}`, token);
  await guest.job(own, 'succeeded');
  await mine.closed;
  await reader.job(own, 'succeeded');
  for (const { heard } of [guest, mine]) {
    assert.deepEqual(new Set(heard.map(({ type }) => type)), new Set(['JOB_UPDATE', 'STORY_STATUS']));
    assert.deepEqual(new Set(heard.map(({ job, storyId }) => storyId ?? job?.id)), new Set([own, 'STORY-002']));
  }
  for (const path of [theirs, 'job_unknown']) {
    const denied = await at.listen(`/api/orchestrator/stream/${path}`, token);
    assert.deepEqual([(await denied.closed)[0], denied.heard], [1008, []]);
  }
  const { job: elsewhere } = (await at.ask('POST', '/dispatch/ORC/status', { body: {} })).body;
  const other = await at.listen(`/api/orchestrator/stream/${elsewhere}`);
  assert.deepEqual([(await other.closed)[0], other.heard], [1008, []]);
  const ended = await at.listen(`/api/orchestrator/stream/${theirs}`);
  assert.deepEqual([await ended.closed, ended.heard.map(({ job }) => job?.state)], [[1000, 'The job has ended.'], ['succeeded']]);
});

/** Bytes in use once the garbage is gone. */
function kept(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('a stream that is not read costs no memory, and says how everything stands when it is read again', async (t) => {
  const at = await open(t);
  const stream = await at.listen('/api/orchestrator/stream');
  await stream.first(({ type }) => type === 'QUEUE_UPDATE');
  stream.socket.pause();
  const before = kept();
  const busy = await at.enqueue('STORY-001');
  let passed = 0;
  let enough = Promise.withResolvers<void>();
  const stop = at.core.watch(0, {
    snapshot() {},
    events(batch) {
      passed += batch.filter(({ type }) => type === 'upstream').length;
      if (passed >= 100) enough.resolve();
    },
  });
  for (let round = 0; round < 30; round++) {
    passed = 0;
    enough = Promise.withResolvers();
    for (let index = 0; index < 100; index++)
      at.say({ type: 'STORY_STATUS', storyId: 'STORY-002', status: `blocked ${round * 100 + index}`, note: 'x'.repeat(20_000) });
    await enough.promise;
  }
  stop();
  // 60 MB were said; the journal keeps 32 MiB of it, the stream nothing.
  const grown = kept() - before;
  assert.ok(grown < 50_000_000, `${grown} bytes are kept`);
  stream.heard.length = 0;
  stream.socket.resume();
  await stream.first(({ storyId, status }) => storyId === 'STORY-002' && status === 'blocked 2999');
  await stream.job(busy, 'running');
  assert.ok(stream.heard.length < 2500, `${stream.heard.length} messages`);
});
