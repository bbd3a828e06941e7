import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { harmlessJson, redact, redactText } from './redact.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const jwt = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('{"sub":"ada"}').toString('base64url')}.c2lnbmF0dXJlLW9mLWl0`;

/** Where a secret was planted: the value, and the part of it that must not be found afterwards. */
const planted: [where: string, value: unknown, secret: string][] = [
  ['authorization header', { headers: { Authorization: 'Bearer canary-1f2e3d4c5b' } }, 'canary-1f2e3d4c5b'],
  ['basic header', { headers: { authorization: `Basic ${base64('ada:canary-pass')}` } }, base64('ada:canary-pass')],
  ['custom key header', { headers: { 'X-Api-Key': 'canary-77' } }, 'canary-77'],
  ['cookie header', { headers: { cookie: 'sid=canary-88; theme=dark' } }, 'canary-88'],
  ['header list', [['set-cookie', 'canary-89; HttpOnly']], 'canary-89'],
  ['flat header list', { rawHeaders: ['Host', 'a', 'Authorization', 'canary-90'] }, 'canary-90'],
  ['named header', { headers: [{ name: 'X-Auth-Token', value: 'canary-91' }] }, 'canary-91'],
  ['raw header text', 'GET / HTTP/1.1\r\nAuthorization: Digest canary-92\r\nHost: a', 'canary-92'],
  ['body field', { body: { user: 'ada', password: 'canary-93' } }, 'canary-93'],
  ['camel case', { clientSecret: 'canary-94', privateKey: 'canary-94' }, 'canary-94'],
  ['number', { pin: 948271, otp: 948271 }, '948271'],
  ['object', { credentials: { user: 'ada', value: 'canary-95' } }, 'canary-95'],
  ['deep', { a: [{ b: [{ c: { access_token: 'canary-96' } }] }] }, 'canary-96'],
  ['url credentials', 'GET https://ada:canary-97@crm.test/contacts', 'canary-97'],
  ['url query', 'https://crm.test/contacts?limit=5&api_key=canary-98&sort=name', 'canary-98'],
  ['url query code', 'https://crm.test/cb?code=canary-99&state=1', 'canary-99'],
  ['database url', { url: 'postgres://ada:canary@100@db:5432/x' }, 'canary@100'],
  ['error text', new Error('401 from upstream: token=canary-101 is not valid'), 'canary-101'],
  ['error inside', { error: { message: 'password is canary-102' } }, 'canary-102'],
  ['shell', 'deploy --token canary103abc --dry-run', 'canary103abc'],
  ['nested JSON', { body: JSON.stringify({ password: 'canary-104', a: 1 }) }, 'canary-104'],
  ['JSON in JSON in text', { body: JSON.stringify({ inner: JSON.stringify({ secret: 'canary-105' }) }) }, 'canary-105'],
  ['cut JSON', { body: '{"a":1,"password":"canary-106' }, 'canary-106'],
  ['escaped JSON in a text', { log: 'sent {\\"password\\":\\"canary-107\\"} to crm' }, 'canary-107'],
  ['escaped key', { body: String.raw`{"pass\u0077ord":"canary-108"}` }, 'canary-108'],
  ['base64 of JSON', { body: base64('{"password":"canary-109"}') }, base64('{"password":"canary-109"}').slice(4, 24)],
  [
    'base64 of a header',
    { data: `x=${base64('Authorization: Bearer canary-110')}` },
    base64('Authorization: Bearer canary-110').slice(4, 30),
  ],
  ['base64url in a path', `https://a.test/cb/${Buffer.from('api_key=canary-111?').toString('base64url')}`, 'YXBpX2tleT1jYW5hcnktMTEx'],
  ['base64 of base64', { data: base64(base64('client_secret=canary-112')) }, base64(base64('client_secret=canary-112')).slice(0, 30)],
  ['base64 behind a newline', { data: `line\n${base64('password=canary-113')}` }, base64('password=canary-113').slice(0, 20)],
  ['bytes', { body: Buffer.from('{"password":"canary-114"}') }, 'canary-114'],
  ['typed array', { body: new TextEncoder().encode('token=canary-115') }, 'canary-115'],
  ['jwt', { note: `sent ${jwt} along` }, jwt.slice(0, 40)],
  ['aws', { note: 'key AKIAIOSFODNN7EXAMPLE used' }, 'AKIAIOSFODNN7EXAMPLE'],
  ['openai', { note: 'sk-proj-abcdefgh12345678' }, 'abcdefgh12345678'],
  ['github', { note: 'ghp_abcdefghijklmnop1234567890' }, 'abcdefghijklmnop'],
  ['own token', { note: 'dsp_abcdefghijklmnop1234567890' }, 'abcdefghijklmnop'],
  ['key of a grant', { note: 'dgk_abcdefghijklmnop1234567890' }, 'abcdefghijklmnop'],
  ['private key', `-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----`, 'MC4CAQAwBQYDK2Vw'],
  ['key of an object', { 'Bearer canary-116': 1 }, 'canary-116'],
  ['map', new Map([['password', 'canary-117']]), 'canary-117'],
  ['cause', new Error('failed', { cause: new Error('token: canary-118') }), 'canary-118'],
];

for (const [where, value, secret] of planted)
  test(`A11: a secret in ${where} is redacted`, () => {
    const json = redact(value);
    assert.ok(!json.includes(secret), json);
    assert.ok(json.includes('[redacted]') || where === 'error inside', json);
    JSON.parse(json);
  });

test('A11: what is no secret stays', () => {
  const value = {
    text: 'sync the monkey keyboard of the author, max tokens 5',
    params: { max_tokens: 4096, keyboard: 'de', author: 'Ada', passed: 3, token: null, authenticated: true, secretary: 'Bob' },
    ids: ['job_01hx3q8z7k4m5n6p7q8r9s0t1v', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    url: 'https://crm.test/contacts?limit=5&sort=name',
    base64: base64('just a text of nobody, nothing in it'),
    path: '/hooks/sync-salesforce-contacts-every-night',
    unicode: 'Grüße, 你好 🎯',
  };
  assert.deepEqual(JSON.parse(redact(value)), value);
});

test('A10: every character comes back, and the text is one printable line', () => {
  const value = { text: 'a\nb\r\u001b[31m\u2028\u2029\u0000\u007f\u009b\ud800","result":"ok' };
  const json = redact(value);
  assert.deepEqual(JSON.parse(json), value);
  assert.match(json, /^[\x20-\x7e]*$/);
});

test('values that JSON cannot say do not throw', () => {
  const cycle: Record<string, unknown> = { a: 1, token: 'canary' };
  cycle.self = cycle;
  const deep: unknown[] = [];
  let inner = deep;
  for (let i = 0; i < 100_000; i++) {
    const next: unknown[] = [];
    inner.push(next);
    inner = next;
  }
  const thrower = {
    get x() {
      throw new Error('no');
    },
    y: 2,
  };
  assert.equal(redact(cycle), '{"a":1,"token":"[redacted]","self":"[circular]"}');
  assert.equal(redact({ n: 12345678901234567890n }), '{"n":"12345678901234567890"}');
  assert.equal(redact(thrower), '{"x":"[unreadable]","y":2}');
  assert.ok(redact(deep).includes('[too deep]'));
  assert.equal(redact(undefined), 'null');
  assert.equal(
    redact({ f: () => 1, u: undefined, at: new Date(0), list: [undefined, Number.NaN] }),
    '{"at":"1970-01-01T00:00:00.000Z","list":[null,null]}',
  );
  assert.equal(
    redact(JSON.parse('{"__proto__":{"token":"x"},"constructor":{"prototype":1}}')),
    '{"__proto__":{"token":"[redacted]"},"constructor":{"prototype":1}}',
  );
  assert.equal(({} as Record<string, unknown>).token, undefined);
});

test('what is given out is JSON and what has no secret is unchanged', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const plain = JSON.parse(JSON.stringify(value));
      const text = redact(value);
      if (!text.includes('[redacted]')) assert.deepEqual(JSON.parse(text), plain);
      else JSON.parse(text);
    }),
    { numRuns: 300 },
  );
});

test('a hostile text ten times as long takes ten times as long, not a hundred', () => {
  const hostile = [
    'eyJ-----',
    'token',
    'password=',
    'http://a:',
    '"password":"',
    'SGVsbG8gd29ybGQh-',
    '-----BEGIN PRIVATE KEY-----',
    'bearer ',
    '\\"',
    '[{',
    '--token ',
  ];
  const cost = (piece: string, length: number) => {
    const text = piece.repeat(Math.ceil(length / piece.length));
    const before = process.threadCpuUsage();
    redactText(text);
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1000;
  };
  for (const piece of hostile) {
    const short = Math.max(2, cost(piece, 100_000));
    const long = cost(piece, 1_000_000);
    assert.ok(long < 40 * short, `${piece}: ${short} ms of processor for 100 kB, ${long} ms for 1 MB`);
  }
});

test('text made to be looked at again and again holds the thread for less than a second a megabyte', () => {
  const wrap = (text: string, size: number) => {
    let out = '';
    for (let i = 0; i < text.length; i += size - 1) out += `${text.slice(i, i + size - 1).padEnd(size - 1, 'a')}?`;
    return Buffer.from(out).toString('base64').replace(/=+$/, '');
  };
  // Base64 of base64 of base64, with places to begin in every run of it.
  const nested = [18, 240, 2400, 24_000].reduce(wrap, 'some quiet words '.repeat(20_000)).slice(0, 1_000_000);
  for (const text of [nested, 'eyJ-'.repeat(250_000), `token ${'--'.repeat(500_000)}`]) {
    const before = process.threadCpuUsage();
    redactText(text);
    const { user, system } = process.threadCpuUsage(before);
    assert.ok((user + system) / 1000 < 900, `${text.slice(0, 20)}: ${(user + system) / 1000} ms of processor`);
  }
});

test('A11: a web token is found behind a dash, with a header of any length, and not where there is none', () => {
  const header = 'eyJhbGciOiJIUzI1NiJ9';
  assert.equal(redactText(`of-${header}.eyJzdWIiOiIxIn0.c2ln and more`), 'of-[redacted] and more');
  assert.equal(redactText(`eyJ-${header}.e30.`), '[redacted]');
  assert.equal(redactText(`${header}${'A'.repeat(3000)}.eyJzdWIiOiIxIn0.c2ln`), '[redacted]');
  assert.equal(redactText(`keyJ ${header}x and eyJab.c`), `keyJ ${header}x and eyJab.c`);
});

test('counts of tokens are no secrets, and need no closer look', () => {
  const usage = { prompt_tokens: 3, prompt_tokens_details: { cached_tokens: 0 }, completion_tokens_details: null };
  assert.equal(harmlessJson({ usage }), JSON.stringify({ usage }));
  for (const value of [{ tokens: 'x' }, { token: 3 }, { text: 'tokens":3' }, { token_details: {} }])
    assert.equal(harmlessJson(value), null);
});
