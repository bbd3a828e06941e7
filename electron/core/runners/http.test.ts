import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { Route } from '../../../shared/model.ts';
import { createBreakers } from '../breaker.ts';
import { Cutoff } from '../cutoff.ts';
import { createEgress } from '../egress.ts';
import { createHttpRunner, type HttpRunnerOptions } from './http.ts';
import { createMockRunner } from './mock.ts';
import type { Run } from './runner.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: unknown };

/** A service that keeps what it saw and answers as told. */
async function service(t: TestContext, answer: (seen: Seen, response: ServerResponse, count: number) => unknown, port = 0) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const one = {
      method: request.method!,
      url: request.url!,
      headers: request.headers,
      body: body === '' ? null : (JSON.parse(body) as unknown),
    };
    seen.push(one);
    const value = answer(one, response, seen.length);
    if (value !== undefined) response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function route(endpoint: string | null, more: Partial<Route> = {}): Route {
  return {
    ...{
      name: 'FND.crm',
      org: 'FND',
      service: 'crm',
      kind: 'http',
      description: null,
      type: 'internal',
      endpoint,
      health: null,
      method: 'POST',
    },
    ...{
      auth: null,
      egress: 'local',
      timeoutMs: 30_000,
      maxResponseBytes: 1_000_000,
      concurrency: null,
      lane: null,
      idempotent: false,
      fallback: null,
    },
    ...{ retry: null, answer: 'response', grid: null, mcp: null, inputSchema: null },
    ...{ provider: null, model: null, need: null, nodes: [], examples: [], demo: false, line: null },
    ...more,
  };
}

function setup(t: TestContext, options: Partial<HttpRunnerOptions> & { sovereign?: boolean; routes?: Route[] } = {}) {
  let now = 1_000_000;
  const slept: number[] = [];
  const egress = createEgress({ sovereign: () => options.sovereign ?? false });
  t.after(() => egress[Symbol.asyncDispose]());
  const breakers = createBreakers({ clock: () => now, onChange: () => {} });
  breakers.assign(options.routes ?? []);
  const runner = createHttpRunner({
    ...{ egress, breakers, clock: () => now, resolveRoute: (name) => options.routes?.find((each) => each.name === name) ?? null },
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      slept.push(ms);
      now += ms;
    },
    ...options,
  });
  let attempts = 0;
  const call = async (to: Route, more: Partial<Run> = {}) => {
    const heard: unknown[] = [];
    const { cutoff = new Cutoff() } = more;
    const run: Run = {
      ...{
        job: null,
        start: 1,
        models: [],
        route: to,
        text: null,
        params: {},
        cutoff,
        signal: cutoff.signal,
        deadlineAt: now + 30_000,
        traceparent,
        attempts: [],
        left: [],
      },
      principal: { id: 'p', name: 'owner', capabilities: [] },
      door: 'library',
      runtime: {} as Run['runtime'],
      newAttemptId: () => `att_${++attempts}`,
      progress: (progress, note) => heard.push([progress, note]),
      chunk: (text) => heard.push(text),
      ...more,
    };
    const outcome = await runner(run);
    return { outcome, heard, attempts: run.attempts, left: run.left, summary: outcome.ok ? outcome.result : outcome.error.code };
  };
  return { call, slept, breakers };
}

// --- what is sent ---------------------------------------------------------------------------------------------------

test('seed 000: a text goes as query and context, params as they are, both together merged', async (t) => {
  const { url, seen } = await service(t, () => ({ success: true, synced: 150 }));
  const { call } = setup(t);
  const to = route(`${url}/v1/salesforce`);
  const { outcome } = await call(to, { text: 'sync salesforce contacts' });
  await call(to, { params: { action: 'sync' } });
  await call(to, { text: 'sync', params: { action: 'sync' } });
  await call(to, { text: 'sync', params: { query: 'mine' } });
  assert.deepEqual(outcome, { ok: true, result: { success: true, synced: 150 } });
  assert.deepEqual(
    seen.map(({ method, url: path, body }) => [method, path, body]),
    [
      ['POST', '/v1/salesforce', { query: 'sync salesforce contacts', context: {} }],
      ['POST', '/v1/salesforce', { action: 'sync' }],
      ['POST', '/v1/salesforce', { query: 'sync', action: 'sync' }],
      ['POST', '/v1/salesforce', { query: 'mine' }],
    ],
  );
});

test('GET puts the same into the query string', async (t) => {
  const { url, seen } = await service(t, () => ({}));
  const { call } = setup(t);
  const to = route(`${url}/find?v=1`, { method: 'GET' });
  await call(to, { text: 'a & b' });
  await call(to, { params: { n: 3, list: ['x', 'y'], deep: { a: 1 }, none: null } });
  assert.deepEqual(
    seen.map(({ method, url: path, body }) => [method, path, body]),
    [
      ['GET', '/find?v=1&query=a+%26+b', null],
      ['GET', '/find?v=1&n=3&list=x&list=y&deep=%7B%22a%22%3A1%7D', null],
    ],
  );
});

test('every try carries the trace, its attempt id and the secret, which is in no record', async (t) => {
  const { url, seen } = await service(t, () => ({}));
  const secrets: Record<string, string> = { CRM_KEY: 's3cret\n' };
  const { call } = setup(t, { secret: (name) => secrets[name] ?? null });
  const bearer = await call(route(url, { auth: { kind: 'bearer', env: 'CRM_KEY', header: null } }));
  await call(route(url, { auth: { kind: 'header', env: 'CRM_KEY', header: 'X-Token' } }));
  const unset = await call(route(url, { auth: { kind: 'bearer', env: 'UNSET', header: null } }));
  const [first, second] = seen.map(({ headers }) => headers);
  assert.deepEqual(
    [first?.traceparent, first?.['idempotency-key'], first?.['user-agent'], first?.['content-type'], first?.authorization],
    [traceparent, 'att_1', 'dispatcher', 'application/json', 'Bearer s3cret'],
  );
  assert.equal(second?.['x-token'], 's3cret');
  assert.equal(JSON.stringify(bearer).includes('s3cret'), false);
  assert.equal(unset.summary, 'registry_invalid');
  assert.equal(seen.length, 2, 'without its secret nothing is sent');
  assert.deepEqual(unset.attempts, []);
});

// --- what comes back -----------------------------------------------------------------------------------------------

test('answers are read by their type', async (t) => {
  const bodies: Record<string, [number, string, string | Buffer]> = {
    '/json': [200, 'application/json', '{"a":1}'],
    '/problem+json': [200, 'application/vnd.x+json; charset=utf-8', '[1]'],
    '/text': [200, 'text/plain', 'hello'],
    '/untyped': [200, '', '{"a":2}'],
    '/untyped-text': [200, '', 'hello'],
    '/png': [200, 'image/png', Buffer.from([0x89, 0x50])],
    '/empty': [204, '', ''],
    '/moved': [301, 'text/plain', 'there'],
    '/liar': [200, 'application/json', '<html>'],
  };
  const { url } = await service(t, (seen, response) => {
    const [status, type, body] = bodies[seen.url]!;
    response
      .writeHead(status, { ...(type === '' ? {} : { 'content-type': type }), ...(status === 301 ? { location: 'http://8.8.8.8/' } : {}) })
      .end(body);
  });
  const { call } = setup(t);
  const outcomes = await Promise.all(Object.keys(bodies).map(async (path) => (await call(route(url + path))).outcome));
  assert.deepEqual(outcomes, [
    { ok: true, result: { a: 1 } },
    { ok: true, result: [1] },
    { ok: true, result: 'hello' },
    { ok: true, result: { a: 2 } },
    { ok: true, result: 'hello' },
    { ok: true, result: { contentType: 'image/png', bytes: 2 }, directives: { raw: { contentType: 'image/png', base64: 'iVA=' } } },
    { ok: true, result: null },
    { ok: true, result: { status: 301, location: 'http://8.8.8.8/' } },
    {
      ok: false,
      error: { code: 'upstream_failed', message: 'FND.crm answered 200: what it calls JSON is not JSON', hint: null, status: 200 },
    },
  ]);
});

test('a failure carries the status and a short excerpt, and is not tried again', async (t) => {
  const { url, seen } = await service(t, (one, response) => {
    if (one.url === '/json')
      response.writeHead(422, { 'content-type': 'application/problem+json' }).end('{"title":"Bad","detail":"no such contact"}');
    else if (one.url === '/html')
      response.writeHead(500, { 'content-type': 'text/html' }).end(`<style>b{}</style><h1>Oops</h1>\n\u001b[31m${'x'.repeat(9000)}`);
    else response.writeHead(503, { 'content-type': 'image/png' }).end(Buffer.alloc(10));
  });
  const { call, slept } = setup(t);
  const errors = await Promise.all(['/json', '/html', '/png'].map(async (path) => (await call(route(url + path))).outcome));
  const [json, html, png] = errors.map((outcome) => (outcome.ok ? null : outcome.error));
  assert.deepEqual([json?.code, json?.status, json?.message], ['upstream_failed', 422, 'FND.crm answered 422: no such contact']);
  assert.match(html!.message, /^FND\.crm answered 500: Oops \[31mx+…$/);
  assert.ok(html!.message.length < 250);
  assert.equal(png?.message, 'FND.crm answered 503');
  assert.deepEqual([seen.length, slept], [3, []]);
});

test('_halt, _html and _raw become directives', async (t) => {
  const answers: Record<string, unknown> = {
    '/halt': { _halt: 418, message: 'teapot' },
    '/halt-object': { _halt: { status: 409, message: 'taken' } },
    '/halt-odd': { _halt: 200 },
    '/html': { _html: '<b>hi</b>', rest: 1 },
    '/raw': { _raw: { contentType: 'text/csv', text: 'a,b' } },
    '/raw-evil': { _raw: { contentType: 'text/html\r\nset-cookie: a=b', base64: 'YQ==' } },
  };
  const { url } = await service(t, ({ url: path }) => answers[path]);
  const { call } = setup(t);
  const outcomes = await Promise.all(Object.keys(answers).map(async (path) => (await call(route(url + path))).outcome));
  assert.deepEqual(outcomes, [
    { ok: false, error: { code: 'halted', message: 'FND.crm halted: teapot', hint: null, status: 418 } },
    { ok: false, error: { code: 'halted', message: 'FND.crm halted: taken', hint: null, status: 409 } },
    { ok: false, error: { code: 'halted', message: 'FND.crm halted with 422.', hint: null, status: 422 } },
    { ok: true, result: { rest: 1 }, directives: { html: '<b>hi</b>' } },
    { ok: true, result: {}, directives: { raw: { contentType: 'text/csv', base64: 'YSxi' } } },
    { ok: true, result: {}, directives: { raw: { contentType: 'application/octet-stream', base64: 'YQ==' } } },
  ]);
});

test('streams of lines and of events give progress, chunks and the result', async (t) => {
  const streams: Record<string, [string, string]> = {
    '/lines': [
      'application/x-ndjson',
      '{"progress":0.1,"note":"Build"}\n{"progress":7}\n\n{"chunk":"a"}\n{"result":{"done":true}}\n{"chunk":"late"}\n',
    ],
    '/events': [
      'text/event-stream',
      ': hi\r\nevent: x\r\ndata: {"progress":0.5,\r\ndata: "note":"Half"}\r\n\r\ndata: {"delta":"b"}\r\n\r\ndata: {"result":2}',
    ],
    '/spoken': ['text/event-stream', 'data: one\n\ndata: two\n\ndata: [DONE]\n\n'],
    '/last': ['application/jsonl', '{"row":1}\n{"row":2}'],
    '/fails': ['application/x-ndjson', '{"progress":0.2}\n{"error":{"message":"disk full"}}\n'],
    '/halts': ['application/x-ndjson', '{"result":{"_halt":403,"message":"no"}}'],
  };
  const { url } = await service(t, ({ url: path }, response) => {
    const [type, text] = streams[path]!;
    response.writeHead(200, { 'content-type': type });
    for (const piece of text.match(/.{1,3}/gs)!) response.write(piece);
    response.end();
  });
  const { call } = setup(t);
  const calls = await Promise.all(Object.keys(streams).map((path) => call(route(url + path))));
  assert.deepEqual(
    calls.map(({ heard, outcome }) => [
      // What one piece of the network holds is told as one, so where it is cut is chance.
      heard.filter((each) => Array.isArray(each)).at(-1),
      heard.filter((each) => typeof each === 'string').join(''),
      outcome.ok ? outcome.result : outcome.error.message,
    ]),
    [
      [[1, null], 'a', { done: true }],
      [[0.5, 'Half'], 'b', 2],
      [undefined, 'onetwo', 'onetwo'],
      [undefined, '', { row: 2 }],
      [[0.2, null], '', 'FND.crm answered 200: disk full'],
      [undefined, '', 'FND.crm halted: no'],
    ],
  );
});

test('a flood of progress and chunks is told once a piece, in one line each', async (t) => {
  const { url } = await service(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(`${'{"progress":0.5,"note":"a\\nb\\u001b[2J"}\n{"chunk":"y"}\n'.repeat(10_000)}{"result":1}\n`);
  });
  const { call } = setup(t);
  const { heard, outcome } = await call(route(url));
  assert.deepEqual(outcome, { ok: true, result: 1 });
  assert.ok(heard.length < 200, `${heard.length} events`);
  assert.equal(heard.filter((each) => typeof each === 'string').join('').length, 10_000);
  assert.deepEqual(heard[0], [0.5, 'a b [2J']);
});

test('F13: an answer nested 100,000 deep, plain, streamed or streamed compressed, is a failure of the service and nothing else', async (t) => {
  const deep = `${'{"message":'.repeat(100_000)}"no"${'}'.repeat(100_000)}`;
  const answers: Record<string, [Record<string, string>, string | Buffer]> = {
    '/halt': [{ 'content-type': 'application/json' }, `{"_halt":${deep}}`],
    '/stream': [{ 'content-type': 'application/x-ndjson' }, `{"error":${deep}}\n`],
    '/gzip': [{ 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' }, gzipSync(`{"error":${deep}}\n`)],
  };
  const { url } = await service(t, ({ url: path }, response) => {
    response.writeHead(200, answers[path]![0]).end(answers[path]![1]);
  });
  const { call } = setup(t);
  const calls = await Promise.all(Object.keys(answers).map((path) => call(route(url + path, { maxResponseBytes: 10_000_000 }))));
  assert.deepEqual(
    calls.map(({ outcome }) => outcome.ok || outcome.error.code),
    ['halted', 'upstream_failed', 'upstream_failed'],
  );
});

// --- tries, breakers, fallbacks ------------------------------------------------------------------------------------

test('a refused connection is tried three times, 1 s and 2 s apart, each an attempt', async (t) => {
  const port = await freePort();
  const { call, slept } = setup(t);
  const { summary, attempts, left } = await call(route(`http://127.0.0.1:${port}/`));
  assert.equal(summary, 'upstream_refused');
  assert.deepEqual(slept, [1000, 2000]);
  assert.deepEqual(
    attempts.map(({ id, error, status }) => [id, error, status]),
    [
      ['att_1', 'upstream_refused', null],
      ['att_2', 'upstream_refused', null],
      ['att_3', 'upstream_refused', null],
    ],
  );
  assert.deepEqual(left, []);
});

test('a service that comes up between two tries is found', async (t) => {
  const port = await freePort();
  const { call } = setup(t, {
    sleep: async () => {
      if (!up) await service(t, () => 'here', port);
      up = true;
    },
  });
  let up = false;
  const { summary, attempts } = await call(route(`http://127.0.0.1:${port}/`));
  assert.deepEqual([summary, attempts.map(({ error }) => error)], ['here', ['upstream_refused', null]]);
});

test('a request that may have been acted on is never sent again', async (t) => {
  let connections = 0;
  const server = createTcpServer((socket) => {
    connections += 1;
    socket.on('error', () => {}).once('data', () => socket.resetAndDestroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const backup = await service(t, () => 'backup');
  const routes = [
    route(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { fallback: 'FND.backup' }),
    route(backup.url, { name: 'FND.backup' }),
  ];
  const { call, slept } = setup(t, { routes });
  const { summary, attempts } = await call(routes[0]!);
  assert.deepEqual([summary, connections, slept, attempts.length, backup.seen.length], ['upstream_failed', 1, [], 1, 0]);
});

test('with no time left for another try the answer comes now', async (t) => {
  const { call, slept } = setup(t);
  const to = route(`http://127.0.0.1:${await freePort()}/`);
  const { summary, attempts } = await call(to, { deadlineAt: 1_000_000 + 2500 });
  assert.deepEqual([summary, slept, attempts.length], ['upstream_refused', [1000], 2]);
});

test('five failures open the breaker of an endpoint, and then nothing is sent to it', async (t) => {
  const { url, seen } = await service(t, (_seen, response) => void response.writeHead(500).end());
  const { call, breakers } = setup(t);
  for (let i = 0; i < 5; i++) assert.equal((await call(route(`${url}/a`))).summary, 'upstream_failed');
  const { outcome, attempts } = await call(route(`${url}/b`));
  assert.deepEqual([outcome.ok ? null : outcome.error.code, outcome.ok ? null : outcome.error.retryAfterMs], ['breaker_open', 10_000]);
  assert.deepEqual([attempts, seen.length, breakers.state(url).state], [[], 5, 'open']);
});

test('4xx answers are no illness of the endpoint', async (t) => {
  const { url } = await service(t, (_seen, response) => void response.writeHead(404).end());
  const { call, breakers } = setup(t);
  for (let i = 0; i < 6; i++) await call(route(url));
  assert.equal(breakers.state(url).state, 'closed');
});

test('the fallback answers when the endpoint cannot be reached or its breaker is open', async (t) => {
  const backup = await service(t, () => 'backup');
  const dead = `http://127.0.0.1:${await freePort()}/`;
  const routes = [route(dead, { fallback: 'FND.backup' }), route(backup.url, { name: 'FND.backup' })];
  const { call, breakers, slept } = setup(t, { routes });
  const first = await call(routes[0]!, { text: 'hi' });
  assert.deepEqual(
    [first.summary, first.attempts.map(({ route: name, error }) => [name, error])],
    [
      'backup',
      [
        ['FND.crm', 'upstream_refused'],
        ['FND.crm', 'upstream_refused'],
        ['FND.crm', 'upstream_refused'],
        ['FND.backup', null],
      ],
    ],
  );
  breakers.trip(new URL(dead).origin);
  slept.length = 0;
  const second = await call(routes[0]!, { text: 'hi' });
  assert.deepEqual([second.summary, second.attempts.map(({ route: name }) => name), slept], ['backup', ['FND.backup'], []]);
  assert.deepEqual(backup.seen.at(-1)?.body, { query: 'hi', context: {} });
});

test('when the fallback fails too the error is the first one and names both; loops end', async (t) => {
  const routes = [
    route(`http://127.0.0.1:${await freePort()}/`, { fallback: 'FND.b' }),
    route(`http://127.0.0.1:${await freePort()}/`, { name: 'FND.b', fallback: 'FND.c' }),
    route('https://api.example.com/', { name: 'FND.c', egress: 'remote', fallback: 'FND.crm' }),
  ];
  const { call } = setup(t, { routes, sovereign: true });
  const { outcome, attempts } = await call(routes[0]!);
  if (outcome.ok) throw new Error('it answered');
  assert.equal(outcome.error.code, 'upstream_refused');
  assert.match(
    outcome.error.hint!,
    /^Start the service.* Also tried FND\.b, its fallback: .* Also tried FND\.c, its fallback: Sovereign is on/,
  );
  assert.equal(attempts.length, 6);
  const missing = await call(route(`http://127.0.0.1:${await freePort()}/`, { fallback: 'FND.gone' }));
  assert.match(missing.outcome.ok ? '' : missing.outcome.error.hint!, /FND\.gone, its fallback, does not exist/);
});

test('cancelling during a try, and while waiting for the next one, ends it with the reason given', async (t) => {
  const waiting = Promise.withResolvers<void>();
  const { url } = await service(t, () => void waiting.resolve());
  const { call, breakers } = setup(t);
  const during = new Cutoff();
  const call1 = call(route(url), { cutoff: during });
  await waiting.promise;
  during.cut({ code: 'cancelled', message: 'The caller cancelled.', hint: null });
  assert.deepEqual((await call1).outcome, { ok: false, error: { code: 'cancelled', message: 'The caller cancelled.', hint: null } });
  assert.equal(breakers.state(url).failures, 0);

  const between = new Cutoff();
  const paused = setup(t, {
    sleep: async (_ms, signal) => {
      between.cut({ code: 'cancelled', message: 'Stop.', hint: null });
      signal.throwIfAborted();
    },
  });
  const { outcome, attempts } = await paused.call(route(`http://127.0.0.1:${await freePort()}/`), { cutoff: between });
  assert.deepEqual([outcome.ok ? null : outcome.error.message, attempts.length], ['Stop.', 1]);
});

test('N02: the deadline ends a call whatever the signal does', async (t) => {
  const { url } = await service(t, () => undefined);
  const { call } = setup(t);
  const { summary, attempts } = await call(route(url), { deadlineAt: 1_000_000 + 100 });
  assert.deepEqual([summary, attempts.map(({ error }) => error)], ['upstream_timeout', ['upstream_timeout']]);
});

test('what left the machine is told, and local calls leave nothing', async (t) => {
  const { url } = await service(t, () => ({}));
  const { call } = setup(t);
  const { left } = await call(route(`${url}/v1`, { egress: 'lan' }), { params: { a: 1 } });
  assert.deepEqual(left, [{ host: new URL(url).host, egress: 'lan', bytes: '/v1'.length + '{"a":1}'.length }]);
  assert.deepEqual((await call(route(url))).left, []);
});

test('a route without an endpoint says so', async (t) => {
  const { call } = setup(t);
  assert.equal((await call(route(null))).summary, 'registry_invalid');
});

// --- models ----------------------------------------------------------------------------------------------------------

const model = { name: 'AI.ollama', kind: 'model', model: 'tiny' } as const;

test('a model streams its deltas and answers text, model and usage', async (t) => {
  const usage = { prompt_tokens: 3, completion_tokens: 2 };
  const { url, seen } = await service(t, (_seen, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const say = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
    say({ model: 'tiny:1b', choices: [{ delta: { role: 'assistant', content: '' } }] });
    say({ model: 'tiny:1b', choices: [{ delta: { content: 'Hel' } }] });
    say({ choices: [{ delta: { content: 'lo' }, finish_reason: 'stop' }] });
    say({ choices: [], usage });
    response.end('data: [DONE]\n\n');
  });
  const { call } = setup(t);
  const { outcome, heard } = await call(route(url, model), {
    text: 'hi',
    params: { temperature: 0, system: 'Be brief.', prompt: undefined },
  });
  assert.deepEqual(outcome, { ok: true, result: { text: 'Hello', model: 'tiny:1b', usage, finishReason: 'stop' } });
  assert.equal(heard.join(''), 'Hello');
  assert.equal(seen[0]?.url, '/v1/chat/completions');
  assert.deepEqual(seen[0]?.body, {
    model: 'tiny',
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'hi' },
    ],
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });
});

test('a model server that answers whole, that fails, and that fails in the middle', async (t) => {
  const { url, seen } = await service(t, (one, response) => {
    if (one.url === '/v1/chat/completions') return { model: 'm', choices: [{ message: { content: 'whole' } }] };
    if (one.url === '/none') return { object: 'list' };
    if (one.url === '/broken')
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"error":{"message":"out of memory"}}\n\n');
    else response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"model not found"}}');
    return undefined;
  });
  const { call } = setup(t);
  const messages = [{ role: 'user', content: 'x' }];
  const calls = await Promise.all(
    ['/v1', '/none', '/broken', '/missing'].map((path) => call(route(url + path, model), { params: { messages } })),
  );
  assert.deepEqual(
    calls.map(({ outcome }) => (outcome.ok ? outcome.result : outcome.error.message)),
    [
      { text: 'whole', model: 'm', usage: null, finishReason: null },
      'AI.ollama answered 200: no completion in the answer',
      'AI.ollama answered 200: out of memory',
      'AI.ollama answered 404: model not found',
    ],
  );
  assert.deepEqual((seen[0]!.body as { messages: unknown }).messages, messages);
});

test('an HTTP route may fall back to a model', async (t) => {
  const { url } = await service(t, () => ({ choices: [{ message: { content: 'from the model' } }] }));
  const routes = [route(`http://127.0.0.1:${await freePort()}/`, { fallback: 'AI.ollama' }), route(url, model)];
  const { call } = setup(t, { routes });
  const { outcome } = await call(routes[0]!, { text: 'hi' });
  assert.equal(outcome.ok && (outcome.result as { text: string }).text, 'from the model');
});

// --- mock --------------------------------------------------------------------------------------------------------------

test('the mock answers as the seed does, by endpoint when told, and sends nothing', async () => {
  const endpoint = 'http://lucidia:8091/v1/salesforce';
  const runner = createMockRunner({ responses: { [endpoint]: { synced: 100 } } });
  const run = (to: Route) => {
    const attempts: Run['attempts'] = [];
    return runner({ route: to, text: 'sync', params: {}, attempts, newAttemptId: () => 'att_1' } as unknown as Run).then((outcome) => [
      outcome,
      attempts.length,
    ]);
  };
  assert.deepEqual(await run(route(endpoint)), [{ ok: true, result: { synced: 100 } }, 1]);
  assert.deepEqual(await run(route('http://lucidia:8092/')), [
    { ok: true, result: { success: true, mock: true, route: 'FND.crm', query: 'sync' } },
    1,
  ]);
});
