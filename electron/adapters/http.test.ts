import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Operation, operations } from '../../shared/contract.ts';
import { Refusal } from '../../shared/errors.ts';
import { createHttpDoor } from './http.ts';
import { attack, openCore, openDoor, raw } from './testing.ts';

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: Record<string, unknown>;
}

/** Unlike fetch this sends any Host and Origin. */
function ask(port: number, what: string, headers: Record<string, string> = {}, body?: string): Promise<Answer> {
  const [method, path] = what.split(' ') as [string, string];
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk) => (text += chunk));
    response.on('end', () => {
      const json = /json/.test(response.headers['content-type'] ?? '') && text ? JSON.parse(text) : {};
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
    });
  });
  request.on('error', reject);
  request.end(body);
  return promise;
}

const json = { 'content-type': 'application/json' };
const paths = [
  ...(Object.values(operations) as Operation[]).map(({ http }) => http.replace(/\{\w+\}/g, 'x')),
  'POST /dispatch',
  'POST /dispatch/T/echo',
  'POST /hooks/push',
  'GET /openapi.json',
  'POST /session',
  'GET /',
];

test('every operation is served at its path with query, captures and body as params', async () => {
  await using at = await openDoor();
  const { port } = at.door;
  await ask(port, 'GET /jobs?limit=5&q=a', at.bearer);
  await ask(port, 'GET /services/health?probe=false', at.bearer);
  await ask(port, 'DELETE /tokens/abc?confirm=true', at.bearer);
  await ask(port, 'POST /jobs/j1/cancel', at.bearer);
  const answer = await ask(port, 'POST /teach', { ...at.bearer, ...json }, '{"text":"say it again","route":"T.echo"}');
  assert.deepEqual(
    at.calls.map(({ route, params, confirm }) => ({ route, params: { ...params }, confirm })),
    [
      { route: 'OS.jobs', params: { limit: 5, q: 'a' }, confirm: false },
      { route: 'OS.health', params: { probe: false }, confirm: false },
      { route: 'OS.tokens.revoke', params: { id: 'abc' }, confirm: true },
      { route: 'OS.jobs.cancel', params: { id: 'j1' }, confirm: false },
      { route: 'OS.teach', params: { text: 'say it again', route: 'T.echo' }, confirm: false },
    ],
  );
  assert.deepEqual([answer.status, answer.json.route], [200, 'T.echo']);
});

test('POST /dispatch, /dispatch/{org}/{service} and /hooks/{event} answer the crossing', async () => {
  await using at = await openDoor();
  const { port } = at.door;
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const first = await ask(
    port,
    'POST /dispatch',
    { ...at.bearer, ...json, traceparent },
    '{"query":"repeat this","params":{"a":1},"ask":true}',
  );
  await ask(port, 'POST /dispatch/T/echo', { ...at.bearer, ...json }, '{"b":2}');
  await ask(port, 'POST /hooks/push', { ...at.bearer, 'content-type': 'application/cloudevents+json' }, '[1]');
  assert.deepEqual([first.status, first.json.ok, first.json.route], [200, true, 'T.echo']);
  assert.match(String(first.json.traceparent), /^00-4bf92f3577b34da6a3ce929d0e0e4736-/);
  assert.deepEqual(
    at.calls.map(({ route, text, params, ask, door, traceparent }) => ({ route, text, params, ask, door, traceparent })),
    [
      { route: undefined, text: 'repeat this', params: { a: 1 }, ask: true, door: 'http', traceparent },
      { route: 'T.echo', text: undefined, params: { b: 2 }, ask: undefined, door: 'http', traceparent: undefined },
      { route: undefined, text: 'webhook:push', params: { body: [1] }, ask: undefined, door: 'webhook', traceparent: undefined },
    ],
  );
  assert.equal(JSON.stringify(at.calls).includes(at.core.owner.secret), false, 'the credential stays in the door');
});

test('a failed crossing is a problem with the status of the catalogue, merged with the crossing', async () => {
  await using at = await openDoor({ limits: '{calls: {per_second: 1, burst: 2}}' });
  const send = (body: string) => ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json }, body);
  const halt = await send('{"route":"T.halt"}');
  const unknown = await send('{"route":"T.ecko"}');
  const fail = await send('{"route":"T.fail"}');
  const busy = await send('{"route":"T.echo"}');
  assert.deepEqual([halt.status, halt.json.code, halt.json.title], [418, undefined, 'The route halted']);
  assert.deepEqual([unknown.status, (unknown.json.error as { choices: { route: string }[] }).choices[0]?.route], [404, 'T.echo']);
  assert.deepEqual(
    [fail.status, fail.headers['content-type'], fail.json.ok, fail.json.route, fail.json.detail],
    [502, 'application/problem+json; charset=utf-8', false, 'T.fail', (fail.json.error as { message: string }).message],
  );
  assert.deepEqual([busy.status, busy.headers['retry-after']], [429, '1']);
});

test('F23: a page or bytes from a service are honoured, sandboxed, and a client that wants JSON gets the crossing', async () => {
  await using at = await openDoor();
  const send = (body: string, more = {}) => ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json, ...more }, body);
  const page = await send('{"route":"T.page"}');
  const bytes = await send('{"route":"T.bytes"}');
  const crossing = await send('{"route":"T.page"}', { accept: 'application/json' });
  assert.deepEqual([page.status, page.headers['content-type'], page.text], [200, 'text/html; charset=utf-8', attack]);
  assert.match(String(page.headers['content-security-policy']), /default-src 'none'.*sandbox/);
  assert.deepEqual([bytes.headers['content-type'], bytes.text], ['image/png', '\0\u0001\u0002']);
  assert.deepEqual(
    [crossing.headers['content-type'], crossing.headers['x-content-type-options'], crossing.json.result],
    ['application/json; charset=utf-8', 'nosniff', { story: attack, big: '😀\u202e'.repeat(500) }],
  );
});

test('F01: another Host is refused on every route, recorded, and nothing is called', async () => {
  await using at = await openDoor();
  for (const what of [...paths, 'GET /health', 'GET /nothing', 'GET /session/x']) {
    for (const host of ['evil.test:8000', `evil.test:${at.door.port}`, '127.0.0.1', `127.0.0.1:${at.door.port}.evil.test`]) {
      const answer = await ask(at.door.port, what, { ...at.bearer, host });
      assert.deepEqual([what, answer.status, answer.json.code, answer.headers['set-cookie']], [what, 421, 'host_refused', undefined]);
    }
  }
  const absolute = await raw(
    at.door.port,
    `GET http://evil.test/status HTTP/1.1\r\nHost: 127.0.0.1:${at.door.port}\r\nAuthorization: ${at.bearer.authorization}\r\nConnection: close\r\n\r\n`,
  );
  const none = await raw(at.door.port, 'GET /health HTTP/1.0\r\n\r\n');
  assert.match(absolute, /^HTTP\/1.1 400 /);
  assert.match(none, /^HTTP\/1.1 421 /);
  assert.equal(at.calls.length, 0);
  const rows = await at.entries('rejected', 1);
  assert.deepEqual([rows.at(-1)?.outcome, rows.at(-1)?.door, (await at.entries('intent', 0)).length], ['host_refused', 'http', 0]);
  assert.ok(rows.length < 3 * paths.length, 'a flood of them is bounded');
});

test('F02: two Host headers are refused, as is any header that decides something', async () => {
  await using at = await openDoor();
  const { port } = at.door;
  const good = `Host: 127.0.0.1:${port}\r\n`;
  const tries = [
    `${good}Host: evil.test\r\nAuthorization: ${at.bearer.authorization}\r\n`,
    `${good}HOST: 127.0.0.1:${port}\r\nAuthorization: ${at.bearer.authorization}\r\n`,
    `${good}Authorization: ${at.bearer.authorization}\r\nauthorization: Bearer x\r\n`,
    `${good}Authorization: ${at.bearer.authorization}\r\nOrigin: http://127.0.0.1:${port}\r\nOrigin: http://evil.test\r\n`,
  ];
  for (const headers of tries)
    assert.match(await raw(port, `GET /status HTTP/1.1\r\n${headers}Connection: close\r\n\r\n`), /^HTTP\/1.1 400 /);
  assert.equal(at.calls.length, 0);
});

test('F05: a simple cross-site POST with a valid cookie calls nothing', async () => {
  await using at = await openDoor();
  const { port, url } = at.door;
  const cookie = await signIn(at.door.openUrl());
  const body = '{"query":"deploy"}';
  const text = { cookie, 'content-type': 'text/plain' };
  const answers = [
    await ask(port, 'POST /dispatch', { ...text, origin: 'https://evil.test' }, body),
    await ask(port, 'POST /dispatch', { ...text, origin: 'null' }, body),
    await ask(port, 'POST /dispatch', { ...text, origin: 'http://localhost:3000' }, body),
    await ask(port, 'POST /dispatch', text, body),
    await ask(port, 'POST /dispatch', { ...text, origin: url }, body),
    await ask(port, 'POST /dispatch', { cookie, 'content-type': 'application/x-www-form-urlencoded', origin: url }, 'query=deploy'),
  ];
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403, 403, 403, 403, 415, 415],
  );
  assert.equal(at.calls.length, 0);
  const same = await ask(port, 'POST /dispatch', { cookie, origin: url, ...json }, body);
  assert.deepEqual([same.status, at.calls.length], [200, 1]);
});

test('F07: without a token every method of every route is refused, but /health, which says only ok', async () => {
  await using at = await openDoor();
  const tried = new Set(paths.map((what) => what.split(' ')[1] as string));
  for (const path of [...tried, '/nothing']) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
      for (const credential of [
        {},
        { authorization: 'Bearer wrong' },
        { authorization: 'Basic b3duZXI6' },
        { cookie: `dispatcher_${at.door.port}=wrong`, origin: at.door.url },
      ])
        assert.equal((await ask(at.door.port, `${method} ${path}`, credential as Record<string, string>)).status, 401, `${method} ${path}`);
    }
  }
  const health = await ask(at.door.port, 'GET /health');
  assert.deepEqual([health.status, health.text], [200, '{"ok":true}']);
  assert.equal(at.calls.length, 0);
});

test('F08: a token in the query opens nothing and is not kept', async () => {
  await using at = await openDoor();
  const { secret } = at.core.owner;
  for (const query of [`token=${secret}`, `access_token=${secret}`, `authorization=Bearer%20${secret}`])
    assert.equal((await ask(at.door.port, `GET /status?${query}`)).status, 401);
  await at.entries('rejected', 3);
  for (const entry of readdirSync(at.core.home, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) assert.equal(readFileSync(join(entry.parentPath, entry.name)).includes(secret), false, entry.name);
});

test('F09: a preflight gets no CORS header, from whatever origin', async () => {
  await using at = await openDoor();
  for (const origin of ['https://evil.test', at.door.url]) {
    const answer = await ask(at.door.port, 'OPTIONS /dispatch', {
      origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization',
      'access-control-request-private-network': 'true',
    });
    assert.equal(answer.status >= 400, true);
    assert.deepEqual(
      Object.keys(answer.headers).filter((name) => name.startsWith('access-control')),
      [],
    );
  }
});

test('F11: only loopback is bound, and nothing else can be', async () => {
  await using at = await openDoor();
  const hex = at.door.port.toString(16).toUpperCase().padStart(4, '0');
  const listeners = ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'))
    .filter((line) => / 0A /.test(line) && line.includes(`:${hex} `) && line.indexOf(`:${hex} `) < 60)
    .map((line) => line.trim().split(/\s+/)[1]?.split(':')[0]);
  assert.deepEqual(listeners, ['0100007F']);
  for (const { address } of Object.values(networkInterfaces())
    .flat()
    .filter((one) => one !== undefined && !one.internal) as { address: string }[]) {
    const { promise, resolve } = Promise.withResolvers<string>();
    connect(at.door.port, address)
      .on('error', (error) => resolve(error.name))
      .on('connect', () => resolve('connected'));
    assert.equal(await promise, 'Error', address);
  }
  await assert.rejects(createHttpDoor(at.core, { port: 0, host: '0.0.0.0' }), (error: Refusal) => error.wire.code === 'usage');
});

test('F12: a port that is taken is a refusal that says so, and the squatter gets no byte', async () => {
  let bytes = 0;
  const squatter = createServer((socket) => socket.on('data', (data) => (bytes += data.length)));
  await new Promise<void>((resolve) => squatter.listen(0, '127.0.0.1', resolve));
  const { port } = squatter.address() as { port: number };
  await using at = await openCore();
  await assert.rejects(createHttpDoor(at.core, { port }), (error: Refusal) => {
    assert.ok(error instanceof Refusal);
    assert.deepEqual([error.wire.code, error.wire.message], ['port_taken', `Port ${port} is used by another program.`]);
    assert.match(String(error.wire.hint), /--port/);
    return true;
  });
  squatter.close();
  assert.equal(bytes, 0);
});

test('F13: JSON nested 100,000 deep is refused fast and on record, and the door lives on', async () => {
  await using at = await openDoor();
  const deep = `{"params":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`;
  const lists = `{"params":{"a":${'['.repeat(100_000)}`;
  const flat = JSON.stringify({ paramz: 'x'.repeat(deep.length - 20) });
  const best = new Map([deep, lists, flat].map((body) => [body, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < 5; round++)
    for (const body of best.keys()) {
      const start = performance.now();
      const answer = await ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json }, body);
      best.set(body, Math.min(best.get(body)!, performance.now() - start));
      assert.deepEqual([answer.status, answer.json.code], [400, 'input_invalid']);
    }
  for (const body of [deep, lists]) assert.ok(best.get(body)! < 20 * best.get(flat)!, `${best.get(body)} ms, flat ${best.get(flat)} ms`);
  assert.deepEqual([(await at.entries('rejected', 15)).length, at.calls.length], [15, 0]);
  const brackets = await ask(
    at.door.port,
    'POST /dispatch',
    { ...at.bearer, ...json },
    JSON.stringify({ query: `${'[{'.repeat(500)}\\"` }),
  );
  assert.equal(brackets.status, 200, 'brackets in a string are not depth');
});

test('F15: keys that reach a prototype are refused or inert', async () => {
  await using at = await openDoor();
  const send = (body: string) => ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json }, body);
  const bad = '{"polluted":1}';
  const answers = [
    await send(`{"route":"T.echo","__proto__":${bad}}`),
    await send(`{"route":"T.echo","params":{"__proto__":${bad}}}`),
    await send(`{"route":"T.echo","params":{"x":[{"\\u005f_proto__":${bad}}]}}`),
    await send(`{"route":"T.echo","params":{"constructor":{"prototype":${bad}}}}`),
    await ask(at.door.port, 'POST /dispatch/T/echo', { ...at.bearer, ...json }, `{"__proto__":${bad}}`),
    await ask(at.door.port, 'POST /hooks/repeat', { ...at.bearer, ...json }, `{"a":{"__proto__":${bad}}}`),
    await ask(at.door.port, 'POST /teach', { ...at.bearer, ...json }, `{"text":"a","route":"T.echo","__proto__":${bad}}`),
  ];
  for (const [index, { status, text }] of answers.entries())
    assert.ok(status === 400 || (status === 200 && !text.includes('polluted')), `${index}: ${status} ${text}`);
  assert.deepEqual(
    answers.slice(2, 4).map(({ status }) => status),
    [400, 400],
  );
  assert.equal(({} as { polluted?: number }).polluted, undefined);
  assert.deepEqual((await send('{"route":"T.echo","params":{"toString":"x"}}')).json.result, { toString: 'x' });
});

test('F16: a body that is too large is refused before it is read', async () => {
  await using at = await openDoor();
  const head = (more: string) =>
    `POST /dispatch HTTP/1.1\r\nHost: 127.0.0.1:${at.door.port}\r\nAuthorization: ${at.bearer.authorization}\r\nContent-Type: application/json\r\n${more}\r\n\r\n`;
  const before = process.memoryUsage().rss;
  for (const length of ['100000000', '1000000000000000', '1048577'])
    assert.match(await raw(at.door.port, head(`Content-Length: ${length}`)), /^HTTP\/1.1 413 .*"code":"input_too_large"/s);
  const endless = await pour(at.door.port, head('Transfer-Encoding: chunked'), `10000\r\n${'a'.repeat(65_536)}\r\n`);
  assert.match(endless.received, /^HTTP\/1.1 413 /);
  assert.ok(endless.sent < 40_000_000, `the connection is cut: ${endless.sent}`);
  const sent = await ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json }, 'a'.repeat(20_000_000)).catch((error) => error.code);
  assert.equal(sent.status, 413, 'a client that is still sending hears why');
  assert.ok(process.memoryUsage().rss - before < 120_000_000);
  assert.deepEqual([at.calls.length, (await at.entries('rejected', 5))[0]?.outcome], [0, 'input_too_large']);
  const registry = await ask(
    at.door.port,
    'PUT /registry',
    { ...at.bearer, ...json },
    JSON.stringify({ text: 'a'.repeat(3_000_000), revision: '1' }),
  );
  assert.equal(registry.json.code, 'registry_invalid', 'the registry may be larger, and is read');
});

/** Sends `chunk` until the other side closes. */
function pour(port: number, head: string, chunk: string): Promise<{ received: string; sent: number }> {
  const { promise, resolve } = Promise.withResolvers<{ received: string; sent: number }>();
  const socket = connect(port, '127.0.0.1');
  let received = '';
  let sent = 0;
  socket.on('data', (data) => (received += data));
  socket.on('error', () => {});
  socket.on('close', () => resolve({ received, sent }));
  socket.write(head);
  const more = () => {
    if (socket.destroyed) return;
    sent += chunk.length;
    socket.write(chunk) ? setImmediate(more) : socket.once('drain', more);
  };
  more();
  return promise;
}

test('F17: slow senders are closed in time while others are served', async () => {
  await using at = await openDoor({ requestMs: 400 });
  const { port } = at.door;
  const start = performance.now();
  const beginnings = [
    '',
    'GET /health HTTP/1.1\r\nHost: 127.0.0.1',
    `POST /dispatch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: ${at.bearer.authorization}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"q`,
  ];
  const slow = Array.from({ length: 51 }, (_, index) => raw(port, beginnings[index % 3] as string));
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const asked = performance.now();
    assert.equal((await ask(port, 'GET /health')).status, 200);
    times.push(performance.now() - asked);
  }
  await Promise.all(slow);
  assert.ok(performance.now() - start < 2000, 'closed at the given time');
  assert.ok(Math.max(...times) < 500, `others wait ${Math.max(...times)} ms`);
  assert.equal(at.calls.length, 0);
});

test('F18: requests two readers could read as two get one 400 and a closed connection', async () => {
  await using at = await openDoor();
  const { port } = at.door;
  const start = `POST /dispatch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: ${at.bearer.authorization}\r\nContent-Type: application/json\r\n`;
  const second = `GET /health HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  const requests: Record<string, string> = {
    'CL and TE': `${start}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${second}`,
    'TE xchunked': `${start}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${second}`,
    'two CL': `${start}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ${second}`,
    'two equal CL': `${start}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}${second}`,
    'obs-fold': `${start}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}${second}`,
    'bare LF': `${start.replaceAll('\r\n', '\n')}Content-Length: 2\n\n{}${second}`,
    NUL: `${start}X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}${second}`,
    'space before colon': `${start}Content-Length : 2\r\n\r\n{}${second}`,
    'negative chunk': `${start}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n${second}`,
    'bad version': `GET /health HTTP/9.9\r\nHost: 127.0.0.1:${port}\r\n\r\n${second}`,
    'headers too large': `${start}X-A: ${'a'.repeat(20_000)}\r\n\r\n${second}`,
  };
  for (const [name, bytes] of Object.entries(requests)) {
    const received = await raw(port, bytes);
    assert.match(received, /^HTTP\/1.1 4(00|13) /, name);
    assert.equal(received.match(/^HTTP\/1\.1 \d/gm)?.length, 1, `${name}: one response only`);
    assert.match(received, /application\/problem\+json/, name);
  }
  assert.equal(at.calls.length, 0);
});

test('F21: headers that claim another method, host or sender are ignored', async () => {
  await using at = await openDoor();
  const claims = {
    'x-http-method-override': 'DELETE',
    'x-forwarded-host': 'evil.test',
    'x-forwarded-for': '6.6.6.6',
    forwarded: 'for=6.6.6.6;host=evil.test',
    'x-forwarded-proto': 'https',
  };
  assert.equal((await ask(at.door.port, 'POST /tokens/abc', { ...at.bearer, ...claims })).status, 405);
  assert.equal((await ask(at.door.port, 'GET /status', claims)).status, 401);
  assert.equal(JSON.parse((await at.entries('rejected', 1))[0]?.detail ?? '').from, '127.0.0.1');
  const answer = await ask(at.door.port, 'POST /session', { ...at.bearer, ...claims });
  assert.match(String(answer.json.url), /^http:\/\/127\.0\.0\.1:/);
});

test('F25: the security headers are on every answer, and the page has a policy of its own', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'renderer-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html>');
  writeFileSync(join(folder, 'assets', 'index-BxT3k9_a.js'), 'export {}');
  await using at = await openDoor({ rendererFolder: folder });
  rmSync(folder, { recursive: true });
  const { port, url } = at.door;
  const cookie = await signIn(at.door.openUrl());
  const answers: Record<string, Answer> = {
    api: await ask(port, 'GET /status', at.bearer),
    page: await ask(port, 'GET /', { cookie }),
    script: await ask(port, 'GET /assets/index-BxT3k9_a.js', { cookie }),
    health: await ask(port, 'GET /health'),
    session: await ask(port, new URL(at.door.openUrl()).pathname.replace(/^/, 'GET ')),
    400: await ask(port, 'POST /dispatch', { ...at.bearer, ...json }, '{"a":'),
    401: await ask(port, 'GET /status'),
    signIn: await ask(port, 'GET /', { accept: 'text/html' }),
    403: await ask(port, 'GET /status', { ...at.bearer, origin: 'http://evil.test' }),
    404: await ask(port, 'GET /nothing', at.bearer),
    405: await ask(port, 'PATCH /dispatch', at.bearer),
    415: await ask(port, 'POST /dispatch', { ...at.bearer, 'content-type': 'text/xml' }, '<a/>'),
    421: await ask(port, 'GET /status', { ...at.bearer, host: 'evil.test' }),
    badUrl: await ask(port, 'GET /%zz', at.bearer),
    longUrl: await ask(port, `GET /jobs/${'a'.repeat(600)}`, at.bearer),
    expect: await ask(port, 'GET /status', { ...at.bearer, expect: 'miracles' }),
    broken: parseRaw(await raw(port, 'NOT HTTP\r\n\r\n')),
    upgrade: parseRaw(await raw(port, `GET /ws HTTP/1.1\r\nHost: evil.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n`)),
  };
  for (const [name, { headers }] of Object.entries(answers)) {
    const policy = String(headers['content-security-policy']);
    for (const part of ["default-src '", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"])
      assert.ok(policy.includes(part), `${name}: ${policy}`);
    assert.equal(headers['x-content-type-options'], 'nosniff', name);
    assert.equal(headers['cross-origin-resource-policy'], 'same-origin', name);
    assert.equal(headers['cross-origin-opener-policy'], 'same-origin', name);
    assert.equal(headers['referrer-policy'], 'no-referrer', name);
    assert.equal(headers['cache-control'], name === 'script' ? 'private, max-age=31536000, immutable' : 'no-store', name);
    assert.equal(headers.server ?? headers['x-powered-by'], undefined, name);
  }
  assert.match(
    String(answers.page?.headers['content-security-policy']),
    new RegExp(`default-src 'self'; script-src 'self'; .*connect-src 'self' ws://127.0.0.1:${port}`),
  );
  assert.deepEqual([answers.script?.status, answers.script?.headers['content-type']], [200, 'text/javascript; charset=utf-8']);
  for (const problem of Object.values(answers).filter(
    ({ status, headers }) => status >= 400 && !headers['content-type']?.startsWith('text/html'),
  )) {
    assert.equal(problem.headers['content-type'], 'application/problem+json; charset=utf-8');
    assert.match(String((problem.json.error as { hint: string }).hint), /\.$/, JSON.stringify(problem.json));
    assert.equal(/node_modules|\.ts:|Error:|\\n/.test(problem.text), false, problem.text);
  }
  assert.equal((await ask(port, 'GET /../package.json', { cookie })).status, 404);
  assert.equal((await ask(port, 'GET /assets/..%2f..%2fpackage.json', { cookie })).status, 404);
  assert.equal((await ask(port, 'GET /index.html', { cookie, 'sec-fetch-site': 'same-origin', origin: url })).status, 404);
});

test('a browser gets its session for a code that works once, and loses it with the token', async () => {
  await using at = await openDoor();
  const { port, url } = at.door;
  const guest = await at.issue('guest', ['read']);
  const { json: issued } = await ask(port, 'POST /session', { authorization: `Bearer ${guest.secret}` });
  const opened = new URL(String(issued.url));
  const first = await ask(port, `GET ${opened.pathname}`);
  const again = await ask(port, `GET ${opened.pathname}`);
  assert.deepEqual([first.status, first.headers.location, again.status], [303, '/', 401]);
  const [set = ''] = first.headers['set-cookie'] ?? [];
  assert.match(set, new RegExp(`^dispatcher_${port}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200$`));
  assert.equal(`${set}${opened}`.includes(guest.secret), false);
  const [cookie = ''] = set.split(';');

  const stale = `dispatcher_${port}=of-a-core-that-is-gone`;
  const reopened = await ask(port, `GET ${new URL(at.door.openUrl()).pathname}`, { cookie: stale });
  const page = await ask(port, 'GET /', { cookie: stale, accept: 'text/html' });
  assert.deepEqual([reopened.status, page.status, page.headers['content-type']], [303, 401, 'text/html; charset=utf-8']);

  assert.equal((await ask(port, 'GET /status', { cookie })).status, 200);
  assert.equal(at.calls[0]?.principal.name, 'guest');
  assert.equal((await ask(port, 'GET /status', { cookie: `other=1; ${cookie}; more=2` })).status, 200);
  assert.equal((await ask(port, 'GET /status', { cookie, 'sec-fetch-site': 'same-site' })).status, 401, 'another port of this host');
  assert.equal((await ask(port, 'POST /resolve', { cookie, ...json }, '{}')).status, 403, 'without Origin');
  assert.equal(
    (await ask(port, 'POST /resolve', { cookie, origin: `http://localhost:${port}`, ...json }, '{}')).status,
    403,
    'Origin of another Host',
  );
  assert.equal((await ask(port, 'POST /resolve', { cookie, origin: url, ...json }, '{"text":"a"}')).status, 200);
  await at.revoke(guest.id);
  assert.equal((await ask(port, 'GET /status', { cookie })).status, 401);
});

test('Expect: 100-continue asks only for a body that will be read', async () => {
  await using at = await openDoor();
  const { port } = at.door;
  const head = (credential: string, length: number) =>
    `POST /dispatch HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${credential}Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n`;
  const token = `Authorization: ${at.bearer.authorization}\r\n`;
  assert.match(await raw(port, head('', 10)), /^HTTP\/1.1 401 /);
  assert.match(await raw(port, head(token, 100_000_000)), /^HTTP\/1.1 413 /);
  assert.match(await raw(port, head(token, 10), (received) => received.includes('100')), /^HTTP\/1.1 100 /);
});

test('closing the door ends its connections; what was accepted goes on in the core', async () => {
  const at = await openDoor();
  const waiting = ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...json }, '{"route":"T.slow"}').catch((error) => error.code);
  await at.entries('intent', 1);
  const start = performance.now();
  await at.door[Symbol.asyncDispose]();
  assert.ok(performance.now() - start < 3000);
  assert.equal(await waiting, 'ECONNRESET');
  const { result } = await at.core.dispatch({ route: 'OS.status', door: 'library', principal: at.core.owner.principal });
  assert.equal((result as { counts: { running: number } }).counts.running, 1);
  await at[Symbol.asyncDispose]();
});

test('an Idempotency-Key header is the key, quoted or bare; one that is none is refused', async () => {
  await using at = await openDoor();
  const send = async (key: string, n: number) => {
    const { status, json: answer } = await ask(
      at.door.port,
      'POST /dispatch/T/echo',
      { ...at.bearer, ...json, 'idempotency-key': key },
      JSON.stringify({ n }),
    );
    return [status, (answer.error as { code: string } | null)?.code ?? (answer.replayed as { how: string } | undefined)?.how ?? 'ran'];
  };
  const first = await send('"8e03978e-40d5-43dd-bc93-6894a57f9324"', 1);
  await at.entries('outcome', 1);
  assert.deepEqual(
    [
      first,
      await send('8e03978e-40d5-43dd-bc93-6894a57f9324', 1),
      await send('8e03978e-40d5-43dd-bc93-6894a57f9324', 2),
      await send('a b', 1),
    ],
    [
      [200, 'ran'],
      [200, 'replayed'],
      [422, 'key_mismatch'],
      [400, 'input_invalid'],
    ],
  );
});

test('unreadable input names the field and says what to write', async () => {
  await using at = await openDoor();
  const send = async (body: string, more: Record<string, string> = json) => {
    const { status, json } = await ask(at.door.port, 'POST /dispatch', { ...at.bearer, ...more }, body);
    return [status, json.code, (json.error as { issues?: { path: string }[] }).issues?.[0]?.path];
  };
  assert.deepEqual(await send('{"query":1}'), [400, 'input_invalid', 'query']);
  assert.deepEqual(await send('{"query":"a","params":[]}'), [400, 'input_invalid', 'params']);
  assert.deepEqual(await send('{"query":"a","colour":1}'), [400, 'input_invalid', 'colour']);
  assert.deepEqual(await send('{"query":'), [400, 'input_invalid', '']);
  assert.deepEqual(await send('[]'), [400, 'input_invalid', '']);
  assert.deepEqual(await send('{}', { 'content-type': 'application/jsonp' }), [415, 'media_refused', undefined]);
  const flag = await ask(at.door.port, 'GET /services/health?probe=banana', at.bearer);
  assert.deepEqual([flag.status, (flag.json.error as { hint: string }).hint], [400, 'Write probe=true or probe=false.']);
  assert.equal(at.calls.length, 0);
});

test('the OpenAPI document lists every operation and how to write it', async () => {
  await using at = await openDoor();
  const { json: document } = await ask(at.door.port, 'GET /openapi.json', at.bearer);
  const listed = Object.entries(document.paths as Record<string, Record<string, { operationId: string }>>).flatMap(([path, items]) =>
    Object.entries(items).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
  );
  for (const { http, name } of Object.values(operations)) assert.ok(listed.includes(`${http} ${name}`), name);
  assert.ok(listed.includes('POST /callbacks/ingest ingest'));
  const paths = document.paths as Record<
    string,
    Record<string, { parameters?: { name: string; in: string; required?: boolean }[]; requestBody?: unknown }>
  >;
  assert.deepEqual(
    paths['/jobs']?.get?.parameters?.map(({ name, required }) => `${name} ${required}`),
    ['q false', 'state false', 'route false', 'lane false', 'cursor false', 'limit false'],
  );
  assert.deepEqual(
    paths['/tokens/{id}']?.delete?.parameters?.map((one) => `${one.name} ${one.in}`),
    ['id path', 'confirm query'],
  );
  assert.equal(document.openapi, '3.1.0');
});

/** The session cookie a browser gets from a one-time URL. */
async function signIn(url: string): Promise<string> {
  const { port, pathname } = new URL(url);
  const { headers } = await ask(Number(port), `GET ${pathname}`);
  return headers['set-cookie']?.[0]?.split(';')[0] ?? '';
}

function parseRaw(received: string): Answer {
  const [head = '', text = ''] = received.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map((one) => [one.slice(0, one.indexOf(':')).toLowerCase(), one.slice(one.indexOf(':') + 2)]));
  return { status: Number(line.split(' ')[1]), headers, text, json: JSON.parse(text) };
}
