import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { AuditEntry, JobDetail } from '../../shared/model.ts';
import type { Core } from '../core/core.ts';
import { openCore, operate, startService } from '../core/testing.ts';
import { createHttpDoor } from './http.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

/** A core behind its HTTP door, and a flow that is handed work and, unless told otherwise, says nothing about it until the test does. */
async function setup({
  environment = { FLOW_SECRET: secret } as Record<string, string>,
  ingest = 'FLOW_SECRET',
  flows = ((_seen, response) => void response.writeHead(202).end()) as Parameters<typeof startService>[0],
} = {}) {
  await using stack = new AsyncDisposableStack();
  const flow = stack.use(await startService(flows));
  const template = `
orgs:
  F: {name: Flows, services: {digest: {kind: flow, answer: callback, endpoint: "${flow.url}/webhook/digest", egress: local}}}
${ingest === '' ? '' : `callbacks: {ingest: ${ingest}}`}
`;
  const core = stack.use(await openCore(template, { secret: (name) => environment[name] ?? null }));
  const door = stack.use(await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' }));

  /** Starts the flow; `job` once it has the work, `answer` when the job is over. */
  async function begin() {
    const { promise: accepted, resolve } = Promise.withResolvers<string>();
    const call = { route: 'F.digest', door: 'library' as const, principal: core.owner.principal };
    const answer = core.dispatch(call, undefined, ({ job }) => resolve(job));
    const job = await accepted;
    const { promise: waits, resolve: waiting } = Promise.withResolvers<void>();
    const see = (state: string | undefined) => state === 'waiting' && waiting();
    const stop = core.watch(0, {
      snapshot: ({ jobs }) => see(jobs.find(({ id }) => id === job)?.state),
      events: (batch) => see(batch.filter((event) => event.type === 'job').findLast((event) => event.job.id === job)?.job.state),
    });
    await waits;
    stop();
    return { job, answer };
  }
  const owned = stack.move();
  return { core, door, flow, begin, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

interface Sent {
  status: number;
  json: Record<string, unknown>;
}

/** Unlike fetch this sends any header, and no Content-Type of its own. */
async function post(port: number, body: string | Buffer, headers: Record<string, string>): Promise<Sent> {
  const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', path: '/callbacks/ingest', headers, agent: false });
  request.on('error', () => {}).end(body);
  const [response] = await once(request, 'response');
  const text = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode, json: JSON.parse(text) };
}

/** As the documentation of Standard Webhooks has it, without a line of ours. */
function sign(body: string | Buffer, { id = 'msg_1', at = Date.now() } = {}): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const hmac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
    .update(`${id}.${timestamp}.`)
    .update(body);
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${hmac.digest('base64')}` };
}

/** As a function node of Node-RED or the Crypto node of n8n does it. */
function signPlainly(body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const hmac = createHmac('sha256', secret).update(`${timestamp}.${body}`);
  return { 'x-dispatcher-timestamp': timestamp, 'x-dispatcher-signature': `sha256=${hmac.digest('hex')}` };
}

/** The rows of what was refused, once there are so many; they are written without anybody waiting for them. */
async function rejected(core: Core, count: number): Promise<AuditEntry[]> {
  for (;;) {
    const { entries } = (await operate(core, 'OS.audit', { limit: 100 })) as { entries: AuditEntry[] };
    const found = entries.filter(({ kind }) => kind === 'rejected');
    if (found.length >= count) return found;
    await new Promise(setImmediate);
  }
}

const success = (job: string) => JSON.stringify({ job_id: job, status: 'success', result: { rows: 3 } });

test('a flow brings its result with a signature in place of a token, whatever content type it says', async () => {
  await using at = await setup();
  const forms: [type: string | null, signed: (body: string) => Record<string, string>][] = [
    ['application/json', sign],
    ['text/plain;charset=UTF-8', signPlainly],
    ['application/x-www-form-urlencoded', signPlainly],
    ['application/octet-stream', signPlainly],
    [null, signPlainly],
  ];
  for (const [type, signed] of forms) {
    const { job, answer } = await at.begin();
    const body = success(job);
    const sent = await post(at.door.port, body, { ...signed(body), ...(type !== null && { 'content-type': type }) });
    assert.deepEqual(sent, { status: 200, json: { job_id: job, replayed: false } }, String(type));
    const { ok, result } = await answer;
    assert.deepEqual([ok, result], [true, { rows: 3 }]);
    const detail = (await operate(at.core, 'OS.jobs.get', { id: job })) as JobDetail;
    assert.deepEqual([detail.state, detail.waits], ['succeeded', null]);
  }
  assert.ok(at.flow.ledger.every(({ headers }) => headers['x-dispatcher-callback'] === `${at.door.url}/callbacks/ingest`));
});

test('a flow may call back before it answers the call; then that counts, however it answers', async () => {
  const sent: Promise<Sent>[] = [];
  let status = 0;
  await using at = await setup({
    flows: async ({ headers }, response) => {
      const body = success(String(headers['x-dispatcher-job']));
      const { port } = new URL(String(headers['x-dispatcher-callback']));
      sent.push(post(Number(port), body, sign(body, { id: `msg_${sent.length}` })));
      await sent.at(-1);
      response.writeHead(status).end();
    },
  });
  for (status of [202, 500]) {
    const { ok, result } = await at.core.ask({ route: 'F.digest' });
    assert.deepEqual([ok, result], [true, { rows: 3 }]);
  }
  assert.deepEqual(
    (await Promise.all(sent)).map((answer) => answer.status),
    [200, 200],
  );
});

test('C01, C04: wrong signatures and other bytes are 401, on record, and the job waits on', async () => {
  await using at = await setup();
  const { job, answer } = await at.begin();
  const body = success(job);
  const good = sign(body);
  const signature = good['webhook-signature']!;
  const hex = Buffer.from(signature.slice(3), 'base64').toString('hex');
  const table: [what: string, body: string | Buffer, headers: Record<string, string>][] = [
    ['none', body, {}],
    ['a token', body, { authorization: `Bearer ${at.core.owner.secret}` }],
    ['empty', body, { ...good, 'webhook-signature': '' }],
    ['short', body, { ...good, 'webhook-signature': signature.slice(0, 10) }],
    ['long', body, { ...good, 'webhook-signature': `${signature}=` }],
    ['upper-case hex', body, { ...good, 'webhook-signature': `v1,${hex.toUpperCase()}` }],
    ['bare base64', body, { ...good, 'webhook-signature': signature.slice(3) }],
    ['other id', body, { ...good, 'webhook-id': 'msg_2' }],
    ['not of this form', body, { ...good, 'webhook-signature': 'v1,é' }],
    ['empty body', '', good],
    ['serialised again', JSON.stringify(JSON.parse(body), null, 1), good],
    ['gzip', gzipSync(body), { ...good, 'content-encoding': 'gzip', 'content-type': 'application/json' }],
    ['charset', Buffer.from(body, 'utf16le'), { ...good, 'content-type': 'application/json; charset=utf-16' }],
  ];
  for (const [what, bytes, headers] of table) {
    const { status, json } = await post(at.door.port, bytes, headers);
    assert.deepEqual([status, json.code], [401, 'unauthenticated'], what);
  }
  const rows = await rejected(at.core, table.length);
  assert.ok(rows.every(({ outcome, detail }) => outcome === 'unauthenticated' && detail.includes('/callbacks/ingest')));
  assert.equal((await post(at.door.port, body, good)).status, 200, 'the right one is taken');
  assert.equal((await answer).ok, true);
});

test('C02, C06: replays have no second effect, the first end stands, and what nobody waits for is 404 or 409', async () => {
  await using at = await setup();
  const { job, answer } = await at.begin();
  const body = success(job);
  const good = sign(body);
  assert.deepEqual((await post(at.door.port, body, good)).json, { job_id: job, replayed: false });
  await answer;
  assert.deepEqual(await post(at.door.port, body, good), { status: 200, json: { job_id: job, replayed: true } });
  const old = sign(body, { at: Date.now() - 301_000 });
  assert.equal((await post(at.door.port, body, old)).status, 401);

  const failure = JSON.stringify({ job_id: job, status: 'failed', error: 'after all' });
  const cancelled = await at.begin();
  await operate(at.core, 'OS.jobs.cancel', { id: cancelled.job });
  const table: [body: string, status: number][] = [
    [failure, 409],
    [success(cancelled.job), 409],
    [success('job_none'), 404],
    ['{"job_id":"x"}', 400],
    ['not JSON', 400],
  ];
  for (const [i, [bytes, status]] of table.entries())
    assert.equal((await post(at.door.port, bytes, sign(bytes, { id: `msg_other_${i}` }))).status, status, bytes);
  const states = await Promise.all(
    [job, cancelled.job].map(async (id) => ((await operate(at.core, 'OS.jobs.get', { id })) as JobDetail).state),
  );
  assert.deepEqual(states, ['succeeded', 'cancelled']);
  assert.equal((await cancelled.answer).error?.code, 'cancelled');
});

test('no secret, no callbacks; another Host, another Origin, a GET or a megabyte too much is refused as anywhere', async () => {
  await using at = await setup({ environment: {}, ingest: '' });
  const body = success('job_a');
  const closed = await post(at.door.port, body, sign(body));
  assert.deepEqual([closed.status, closed.json.code], [403, 'forbidden']);
  assert.match(JSON.stringify(closed.json), /callbacks\.ingest/);
  assert.equal((await post(at.door.port, body, { ...sign(body), host: 'evil.test' })).status, 421);
  assert.equal((await post(at.door.port, body, { ...sign(body), origin: 'http://evil.test' })).status, 403);
  const large = 'x'.repeat(1_048_577);
  assert.equal((await post(at.door.port, large, sign(large))).status, 413);
  const get = await fetch(`${at.door.url}/callbacks/ingest`, { headers: { authorization: `Bearer ${at.core.owner.secret}` } });
  assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST']);
});
