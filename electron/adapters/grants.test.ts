/** C12: what the key of a grant is good for, through the real door, and when it stops being good for anything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import type { Grant } from '../../shared/cortex.ts';
import { GiB, openHouse, provider, raw, seen, startBox } from './card-testing.ts';

const within = { timeout: 60_000 };

const services = (url: string) => `orgs:
  T:
    name: Test
    services:
      slow: { endpoint: "${url}/slow", egress: local }`;

/** A house with two models at hand and one far away, and a job that goes on until somebody ends it. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await startBox({ 'a:8B': GiB, 'b:8B': GiB }));
  const far = stack.use(await startBox({ 'far:8B': GiB }));
  const list = [
    provider('a', box, { sizes: { '8B': 1 } }),
    provider('b', box, { sizes: { '8B': 1 }, capabilities: ['b'] }),
    provider('far', far, { sizes: { '8B': 1 }, capabilities: ['far'], egress: 'remote', controller: 'openai' }),
  ].join('\n');
  const house = stack.use(await openHouse({ providers: list, more: services(box.url) }));
  const owned = stack.move();
  return Object.assign(house, { box, far, list, [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

type Open = Awaited<ReturnType<typeof open>>;

const endings: Record<
  string,
  { need?: string; ask?: (house: Open) => Promise<object>; end(house: Open, grant: Grant): Promise<unknown>; why: RegExp }
> = {
  'its job is cancelled': {
    ask: async (house) => {
      const job = await house.send<{ job_id: string }>('POST', '/orchestrate', { intent: 'T.slow', inputs: {}, wait_ms: 0 });
      assert.equal(typeof job.body.job_id, 'string', JSON.stringify(job));
      return { task: job.body.job_id };
    },
    end: (house, grant) => house.send('POST', `/jobs/${grant.task}/cancel`, {}),
    why: /its task \S+ ended/,
  },
  'its time is over': {
    ask: async () => ({ ttl_ms: 1000 }),
    end: (house, { id }) => seen(async () => (await house.standing()).grants.find((one) => one.id === id)?.revoked),
    why: /its time was over/,
  },
  'somebody revokes it': { end: (house, { id }) => house.revoke(id), why: /revoked it/ },
  'sovereign is switched on': { need: 'far', end: (house) => house.sovereign(true), why: /sovereign was switched on/ },
  'its provider leaves the registry': { end: (house) => house.edit(house.list.split('\n').slice(1).join('\n')), why: /not .*any more/ },
};

for (const [name, { need = 'text-generation', ask, end, why }] of Object.entries(endings))
  test(`C12: once ${name} its stream is cut off, its key opens nothing, and both say why`, within, async () => {
    await using house = await open();
    const server = need === 'far' ? house.far : house.box;
    const { status, body: grant } = await house.grant({ capabilities: [need] }, await ask?.(house));
    assert.equal(status, 200, JSON.stringify(grant));
    const as = grant.api_key!;
    const stream = await house.chat(grant.models[0]!.model, { as, stream: true });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let heard = (await reader.read()).value ?? '';
    await end(house, grant);
    const startedAt = performance.now();
    await server.streams[0]!.gone;
    const goneMs = performance.now() - startedAt;
    for (let next = await reader.read(); !next.done; next = await reader.read()) heard += next.value;
    const before = server.received;
    const late = await house.chat(grant.models[0]!.model, { as });
    const words = await late.text();
    const [kept] = (await house.standing()).grants;
    assert.match(heard, /data: \{"error"/);
    assert.match(words, why);
    assert.match(kept!.revoked!.why, why);
    assert.ok(goneMs < 1000, `${goneMs} ms`);
    assert.deepEqual(
      [late.status, server.received, kept!.tools, (await house.standing()).leases, (await house.audit('grant_ended')).length],
      [401, before, [], [], 1],
    );
  });

test('C12: a key of a grant is worth nothing at any other path, by any method, in any place where a token may be', within, async () => {
  await using house = await open();
  const { body: grant } = await house.grant({ capabilities: ['text-generation'] });
  const as = grant.api_key!;
  assert.equal((await house.chat('a:8B', { as })).status, 200);
  const described = (await (await house.http('GET', '/openapi.json')).json()) as { paths: Record<string, Record<string, unknown>> };
  const doors = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const),
  );
  const strange: (readonly [string, string, number])[] = [];
  let asked = 0;
  for (const [method, path] of doors) {
    // What takes no token at all is another matter: it has its own signature, or says nothing.
    if (path === '/health' || path === '/callbacks/ingest') continue;
    if (/^\/(v1\/|api\/(tags|ps|version|show|chat|generate|embed|embeddings)$)/.test(path)) continue;
    asked++;
    const at = path.replace(/\{\w+\}/g, 'x');
    const { status } = await house.http(method, at, { as, ...(method !== 'GET' && method !== 'HEAD' && { body: {} }) });
    if (status !== 401) strange.push([method, path, status]);
  }
  assert.deepEqual(strange, []);
  assert.ok(asked > 50, `${asked} doors`);
  const paths = [
    '/v1/../status',
    '/v1/..%2fstatus',
    '/v1/%2e%2e/status',
    '/v1/models/..%2f..%2fstatus',
    '/v1//../status',
    '//v1/models/../../status',
    '/v1/models;/../status',
  ];
  const statuses = await Promise.all(
    paths.map(async (path) => {
      const answer = await raw(
        house.door.port,
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${house.door.port}\r\nAuthorization: Bearer ${as}\r\nConnection: close\r\n\r\n`,
      );
      assert.doesNotMatch(answer, /databaseFile|"home"|uptime/);
      return Number(answer.slice(9, 12));
    }),
  );
  assert.deepEqual(
    statuses.map((status) => status === 401 || status === 404 || status === 400),
    paths.map(() => true),
    statuses.join(),
  );
  const status = async (path: string, headers: Record<string, string>) => (await house.http('GET', path, { as: null, headers })).status;
  assert.deepEqual(
    [
      await status(`/v1/models?token=${as}`, {}),
      await status(`/v1/models?api_key=${as}`, {}),
      await status('/status', { cookie: `dispatcher=${as}` }),
      await status('/v1/models', { cookie: `dispatcher=${as}; session=${as}; token=${as}` }),
      await status('/v1/models', { authorization: `Bearer ${as}`, origin: 'https://evil.test' }),
      await status('/v1/models', { authorization: `Bearer ${as} ` }),
      await status('/v1/models', { authorization: `Bearer ${as}x` }),
    ],
    [401, 401, 401, 401, 403, 200, 401],
  );
  const otherHost = await raw(
    house.door.port,
    `GET /v1/models HTTP/1.1\r\nHost: evil.test\r\nAuthorization: Bearer ${as}\r\nConnection: close\r\n\r\n`,
  );
  assert.match(otherHost, /^HTTP\/1.1 421 /);
  assert.doesNotMatch(otherHost, /a:8B/);
  const socket = new WebSocket(house.door.url.replace('http', 'ws').concat('/ws'), { headers: { authorization: `Bearer ${as}` } });
  const refused = await new Promise<number | string>((resolve) => {
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode!));
    socket.on('close', (code) => resolve(code));
    socket.on('message', () => resolve('let in'));
    socket.on('error', () => undefined);
  });
  socket.terminate();
  assert.ok(refused === 401 || refused === 4401 || refused === 1008, String(refused));
});

test('C12: tokens that may only read use no models, and nobody ends the grant of another', within, async () => {
  await using house = await open();
  const [reader, one, other] = [
    await house.token('reader', ['read']),
    await house.token('one', ['read', 'dispatch']),
    await house.token('other', ['read', 'dispatch']),
  ];
  const { body: grant } = await house.grant({ capabilities: ['text-generation'] }, {}, one);
  const statuses = [
    (await house.chat('a:8B', { as: reader })).status,
    (await house.http('GET', '/v1/models', { as: reader })).status,
    (await house.grant({ capabilities: ['b'] }, {}, reader)).status,
    (await house.revoke(grant.id, reader)).status,
    (await house.revoke(grant.id, other)).status,
    (await house.send<{ grants: Grant[] }>('GET', '/grants', undefined, other)).body.grants.length,
    (await house.chat('a:8B', { as: grant.api_key! })).status,
    (await house.chat('b:8B', { as: grant.api_key! })).status,
    (await house.revoke(grant.id, one)).status,
    (await house.chat('a:8B', { as: grant.api_key! })).status,
    (await house.revoke(grant.id, one)).status,
  ];
  assert.deepEqual(statuses, [403, 403, 403, 403, 404, 0, 200, 403, 200, 401, 200]);
});

test('what is absurd in a request for a grant is refused before anything is loaded', within, async () => {
  await using house = await open();
  const need = { capabilities: ['text-generation'] };
  const long = 'x'.repeat(10_240);
  const ask = async (wanted: unknown, about: object = {}) => {
    const { status, body } = await house.grant(wanted as object, about);
    return status === 200 ? status : `${status} ${body.code}`;
  };
  const many = Array.from({ length: 16 }, (_, index) => `unknown-${index}`);
  assert.deepEqual(
    [
      await ask(need, { ttl_ms: 999 }),
      await ask(need, { ttl_ms: 86_400_001 }),
      await ask(need, { ttl_ms: 1e300 }),
      await ask(need, { wait_ms: -1 }),
      await ask(need, { wait_ms: 1_800_001 }),
      await ask(need, { task: '' }),
      await ask(need, { task: long }),
      await ask({ capabilities: [long] }),
      await ask({ capabilities: ['../../etc'] }),
      await ask({ capabilities: ['a\r\nX-Evil: 1'] }),
      await ask({ capabilities: [...many, 'one-more'] }),
      await ask({ capabilities: many }),
      await ask({ capabilities: ['__proto__'] }),
      await ask({ capabilities: ['constructor'] }),
      await ask({}),
      await ask({ model: long }),
      await ask({ model: 'nothing-like-it' }),
      await ask({ ...need, priority: 1e9 }),
      await ask({ ...need, contextTokens: -1 }),
      await ask({ ...need, contextTokens: Number.MAX_SAFE_INTEGER + 2 }),
      await ask({ ...need, egress: 'moon' }),
    ],
    [
      ...Array<string>(11).fill('400 input_invalid'),
      ...['503 no_capability', '400 input_invalid', '503 no_capability', '400 input_invalid', '400 input_invalid', '503 no_capability'],
      ...Array<string>(4).fill('400 input_invalid'),
    ],
  );
  assert.deepEqual(house.box.log, []);
  const bounds = [
    { ttl_ms: 1000, wait_ms: 0 },
    { ttl_ms: 86_400_000, wait_ms: 1_800_000 },
    { ttl_ms: 1000, wait_ms: 0 },
  ];
  const made: unknown[] = [];
  for (const about of bounds) {
    const { status, body } = await house.grant(need, about);
    made.push([status, status === 200 && body.expires_at - body.created_at]);
  }
  // Whoever waits for no time at all has only what is warm.
  assert.deepEqual(made, [
    [504, false],
    [200, 86_400_000],
    [200, 1000],
  ]);
});

test('the name of a task is shown as text: no control characters in signals, and none in the record', within, async () => {
  await using house = await open();
  const task = '\u001b[31mred\r\nX-Evil: 1\u0007 \u202e<img src=x onerror=alert(1)>';
  const { status, body } = await house.grant({ capabilities: ['text-generation'] }, { task });
  await house.revoke(body.id);
  const { signals } = (await house.send<{ signals: { signal?: string; text?: string }[] }>('GET', '/signals?limit=100')).body;
  const shown = signals.map((one) => JSON.stringify(one)).filter((line) => line.includes('grant_'));
  assert.deepEqual([status, shown.length, shown.filter((line) => /\\u00(0|1)|\\[rn]|\u202e/.test(line))], [200, 2, []]);
});

test('a hundred grants of one caller are the most; made and revoked as fast as can be, they leave nothing', within, async () => {
  await using house = await open();
  const make = async () => (await house.grant({ capabilities: ['text-generation'] })).body;
  const made = await Promise.all(Array.from({ length: 120 }, make));
  const good = made.filter(({ id }) => id?.startsWith('grant_'));
  assert.deepEqual([good.length, new Set(made.filter((one) => !good.includes(one)).map(({ code }) => code))], [100, new Set(['limited'])]);
  await Promise.all(good.map(({ id }) => house.revoke(id)));
  for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 10 }, async () => house.revoke((await make()).id)));
  const { grants, leases, queue } = await house.standing();
  assert.deepEqual(
    [
      grants.length <= 50,
      grants.every(({ revoked }) => revoked !== null),
      leases,
      queue,
      house.box.log.filter((line) => line.startsWith('load')),
    ],
    [true, true, [], [], ['load a:8B']],
  );
  assert.ok(JSON.stringify(await house.cortex()).length < 200_000);
});

test('a core that ends tells who streams under a grant, and does not wait for them', within, async () => {
  const house = await open();
  const { body: grant } = await house.grant({ capabilities: ['text-generation'] });
  const stream = await house.chat('a:8B', { as: grant.api_key!, stream: true });
  const heard = stream.text().catch((caught: Error) => `broke: ${caught.message}`);
  await seen(() => house.box.streams.length === 1);
  const startedAt = performance.now();
  await house[Symbol.asyncDispose]();
  const tookMs = performance.now() - startedAt;
  const words = await heard;
  assert.ok(tookMs < 5000, `${tookMs} ms`);
  assert.doesNotMatch(words, /\[DONE\]/);
  assert.match(words, /data: \{"error"|broke/);
});

test('readings of the card are asked for within bounds', within, async () => {
  await using house = await open();
  const status = async (query: string) => (await house.http('GET', `/gpu/history${query}`)).status;
  const wrong = [
    '?hours=0',
    '?hours=-1',
    '?hours=25',
    '?hours=1e9',
    '?hours=NaN',
    '?hours=Infinity',
    '?hours=x',
    `?device=${'x'.repeat(501)}`,
    '?limit=5',
    '?hours=1&hours=2',
  ];
  assert.deepEqual(
    await Promise.all(wrong.map(status)),
    wrong.map(() => 400),
  );
  assert.deepEqual(await Promise.all(['', '?hours=0.1', '?hours=24', '?device=nothing'].map(status)), [200, 200, 200, 200]);
});
