import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { Departure, Route, ToolSettings } from '../../../shared/model.ts';
import { createEgress } from '../egress.ts';
import type { Run } from '../runners/runner.ts';
import { createToolRunner } from '../runners/tool.ts';
import { createFetchTool } from './fetch.ts';

interface Answer {
  code: string;
  message: string;
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at field by field.
  result: any;
  left: Departure[];
}

async function setup(t: TestContext, listener: RequestListener, names: Record<string, string[]> = {}) {
  const state = { sovereign: false };
  const looked: string[] = [];
  const egress = createEgress({
    sovereign: () => state.sovereign,
    lookup: (name, done) => {
      looked.push(name);
      const found = names[name];
      if (!found) return done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
      done(
        null,
        found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    },
  });
  t.after(() => egress[Symbol.asyncDispose]());
  const hosts: ToolSettings['fetchHosts'] = [];
  const serve = async (listen: RequestListener) => {
    const server = createServer(listen).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const declare = (host: string) => {
    hosts.push({ host, egress: 'local' });
    return `http://${host}`;
  };
  const url = declare(await serve(listener));
  const runner = createToolRunner(new Map([['fetch', createFetchTool({ egress, hosts: () => hosts })]]), () => 0);
  async function ask(params: Record<string, unknown>, { text = null as string | null, withinMs = 5000 } = {}): Promise<Answer> {
    const route = { name: 'OS.fetch', service: 'fetch', endpoint: null, maxResponseBytes: 8e6 } as Route;
    const left: Departure[] = [];
    const outcome = await runner({
      ...({ route, text, params, attempts: [], left, deadlineAt: Date.now() + withinMs } as unknown as Run),
      signal: new AbortController().signal,
      newAttemptId: () => 'att_1',
    });
    return outcome.ok ? { code: 'ok', message: '', result: outcome.result, left } : { ...outcome.error, result: null, left };
  }
  return { ask, url, serve, declare, state, looked, hosts };
}

const bodyOf = async (request: IncomingMessage) => Buffer.concat(await request.toArray()).toString();

test('gets and posts, in words or in parameters, and answers text or base64', async (t) => {
  const { ask, url } = await setup(t, async (request, response) => {
    if (request.url === '/raw') return void response.end(Buffer.from([0xff, 0]));
    if (request.url === '/gone') return void response.writeHead(410, { 'content-type': 'text/plain' }).end('gone');
    response.end(
      `${request.method} ${request.headers['content-type'] ?? '-'} ${request.headers.authorization ?? '-'} ${await bodyOf(request)}`,
    );
  });
  assert.equal((await ask({}, { text: `fetch ${url}/x.` })).result.text, 'GET - - ');
  assert.equal(
    (await ask({ url, json: { a: 1 }, headers: { Authorization: 'Bearer x' } })).result.text,
    'POST application/json Bearer x {"a":1}',
  );
  assert.equal((await ask({ url: `${url}/raw` })).result.base64, '/wA=');
  const gone = await ask({ url: `${url}/gone` });
  assert.deepEqual([gone.result.status, gone.result.text, gone.left], [410, 'gone', []]);
  for (const params of [
    { url: 'file:///etc/passwd' },
    { url: 'http://a:b@c/' },
    { url: 'nonsense' },
    {},
    { url, body: 'x', method: 'GET' },
  ])
    assert.equal((await ask(params)).code, 'input_invalid', JSON.stringify(params));
  for (const name of ['Host', 'Transfer-Encoding', 'X-Forwarded-For', 'Metadata-Flavor', 'a b'])
    assert.equal((await ask({ url, headers: { [name]: 'x' } })).code, 'input_invalid', name);
  assert.equal((await ask({ url, headers: { a: 'x\r\nb: c' } })).code, 'input_invalid');
});

test('T14: what is not public is not called, however it is written and whatever the name resolves to', async (t) => {
  let hits = 0;
  const { ask, url, looked, hosts } = await setup(t, (_request, response) => void response.end(String(++hits)), {
    'inside.test': ['127.0.0.1'],
    'mixed.test': ['93.184.216.34', '10.0.0.1'],
    'meta.test': ['169.254.169.254'],
  });
  hosts.length = 0;
  const { port } = new URL(url);
  const literals = [
    ...['169.254.169.254', '[fd00:ec2::254]', '100.100.100.200', '[::ffff:127.0.0.1]', '2130706433', '0177.0.0.1', '127.1'],
    ...[
      '[64:ff9b::a9fe:a9fe]',
      '[64:ff9b::7f00:1]',
      '１２７.０.０.１',
      '127。0。0。1',
      '0x7f000001',
      '10.0.0.1',
      '192.168.1.1',
      '[::1]',
      '[::]',
    ],
    ...['0.0.0.0', '[fe80::1]', '[fd00::1]', '[2002:7f00:1::]', 'localhost', 'a.localhost', '127.0.0.1'],
  ];
  for (const host of literals) assert.equal((await ask({ url: `http://${host}:${port}/` })).code, 'egress_refused', host);
  assert.deepEqual(looked, []);
  for (const name of ['inside.test', 'mixed.test', 'meta.test']) {
    const { code, left } = await ask({ url: `http://${name}:${port}/` });
    assert.deepEqual([code, left], ['egress_refused', []], name);
  }
  assert.equal(hits, 0);
  hosts.push({ host: 'inside.test', egress: 'local' });
  assert.equal((await ask({ url: `http://inside.test:${port}/` })).result.text, '1', 'a declared host is called');
  assert.equal((await ask({ url: `http://127.0.0.1:${port}/` })).code, 'egress_refused', 'by its declared name only');
});

test('T14: in a network of its own, no spelling of a metadata service reaches the canary that a plain request does', {
  timeout: 30_000,
}, (t) => {
  const script = `
    import { once } from 'node:events';
    import { request } from 'node:http';
    import { createServer } from 'node:net';
    import { createEgress } from ${JSON.stringify(new URL('../egress.ts', import.meta.url).href)};
    import { createFetchTool } from ${JSON.stringify(new URL('./fetch.ts', import.meta.url).href)};
    const heard = [];
    const addresses = ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '127.0.0.1', '10.0.0.1'];
    for (const address of addresses) {
      const server = createServer((socket) => { heard.push(address); socket.on('error', () => {}).end('HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n'); }).listen(80, address);
      await once(server, 'listening');
    }
    const lookup = (name, done) => done(null, [{ address: name === 'rebind.test' ? '169.254.169.254' : '10.0.0.1', family: 4 }]);
    const tool = createFetchTool({ egress: createEgress({ sovereign: () => false, lookup }), hosts: () => [] });
    const spellings = ['169.254.169.254', '2852039166', '0xa9fea9fe', '0251.0376.0251.0376', '169.254.43518', '[::ffff:169.254.169.254]',
      '[::ffff:a9fe:a9fe]', '[fd00:ec2::254]', '100.100.100.200', '127.1', '2130706433', '0177.0.0.1', '[::ffff:127.0.0.1]',
      '[64:ff9b::169.254.169.254]', '１６９.２５４.１６９.２５４', '169。254。169。254', '10.0.0.1', 'rebind.test', 'private.test', 'localhost'];
    const codes = new Set();
    for (const host of spellings) {
      const run = { text: null, left: [], deadlineAt: Date.now() + 3000, signal: new AbortController().signal, route: { maxResponseBytes: 1e6 } };
      const params = tool.input.parse({ url: 'http://' + host + '/' });
      codes.add(await tool.run(params, run).then(() => 'ok', (caught) => caught.wire?.code ?? String(caught)));
    }
    const guarded = heard.splice(0);
    for (const host of addresses) await new Promise((done) => request({ host, port: 80, timeout: 2000 }, (answer) => answer.resume().on('end', done)).on('error', done).end());
    console.log(JSON.stringify({ codes: [...codes], guarded, control: heard }));
    process.exit();`;
  const network = [
    ...[
      'ip link set lo up',
      'ip addr add 169.254.169.254/32 dev lo',
      'ip addr add 100.100.100.200/32 dev lo',
      'ip addr add 10.0.0.1/32 dev lo',
    ],
    'ip -6 addr add fd00:ec2::254/128 dev lo nodad',
  ].join(' && ');
  if (spawnSync('unshare', ['-rn', 'sh', '-c', network], { timeout: 10_000 }).status !== 0) return t.skip('no network namespaces here');
  const run = spawnSync('unshare', ['-rn', 'sh', '-c', `${network}; exec "$0" --input-type=module -e "$1"`, process.execPath, script], {
    encoding: 'utf8',
    timeout: 25_000,
  });
  assert.deepEqual(JSON.parse(run.stdout || JSON.stringify(run.stderr)), {
    codes: ['egress_refused'],
    guarded: [],
    control: ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '127.0.0.1', '10.0.0.1'],
  });
});

test('T15: redirects are judged at each hop, and secrets and bodies stay where they were meant for', async (t) => {
  const seen: string[] = [];
  const { ask, url, serve, declare } = await setup(t, async (request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://x');
    seen.push(`${request.method} ${pathname} ${request.headers.authorization ?? '-'} ${await bodyOf(request)}`);
    const to = searchParams.get('to');
    if (to === null) return void response.end('end');
    response.writeHead(Number(searchParams.get('status') ?? 302), { location: to }).end();
  });
  const other = await serve(async (request, response) => {
    response.end(`${request.method} ${request.headers.authorization ?? '-'} ${request.headers['x-key'] ?? '-'} ${await bodyOf(request)}`);
  });
  const redirect = (to: string, status = 302) => `${url}/hop?status=${status}&to=${encodeURIComponent(to)}`;
  for (const to of [
    `http://${other}/`,
    'http://169.254.169.254/latest',
    'http://[::1]/',
    'file:///etc/passwd',
    'gopher://x/',
    'http://a:b@example.com/',
  ]) {
    const { code, message } = await ask({ url: redirect(to) });
    assert.equal(code, 'egress_refused', `${to} ${message}`);
  }
  declare(other);
  const headers = { authorization: 'Bearer SECRET', 'x-key': 'SECRET' };
  assert.equal((await ask({ url: redirect(`http://${other}/`), headers })).result.text, 'GET - - ');
  assert.equal((await ask({ url: redirect('/here'), headers })).result.text, 'end');
  assert.equal(seen.at(-1), 'GET /here Bearer SECRET ', 'the same origin keeps its headers');
  assert.equal((await ask({ url: redirect(`http://${other}/`, 307), body: 'BODY' })).code, 'egress_refused');
  assert.equal((await ask({ url: redirect('/here', 307), body: 'BODY' })).result.text, 'end');
  assert.equal(seen.at(-1), 'POST /here - BODY');
  assert.equal((await ask({ url: redirect('/here', 303), body: 'BODY' })).result.text, 'end');
  assert.equal(seen.at(-1), 'GET /here - ');
  const circle = await ask({ url: redirect('/hop?to=/hop'), redirects: 10 });
  assert.equal(circle.code, 'ok');
  assert.equal((await ask({ url: redirect('/here'), redirects: 0 })).result.status, 302);
});

test('T15: thirty hops end at the bound', async (t) => {
  let hops = 0;
  const { ask, url } = await setup(t, (_request, response) => void response.writeHead(302, { location: `/${++hops}` }).end());
  const { code } = await ask({ url, redirects: 10 });
  assert.deepEqual([code, hops], ['upstream_failed', 11]);
});

test('T17: bombs, endless bodies, slow drips and floods of headers end at their bounds', async (t) => {
  const zeros = Buffer.alloc(64 * 1024 ** 2);
  const bombs: Record<string, Buffer> = { gzip: gzipSync(zeros), br: brotliCompressSync(zeros) };
  const { ask, url, declare } = await setup(t, (request, response) => {
    const name = request.url!.slice(1);
    if (bombs[name]) return void response.writeHead(200, { 'content-encoding': name }).end(bombs[name]);
    if (name === 'drip') {
      const timer = setInterval(() => response.write('.'), 20);
      response.on('close', () => clearInterval(timer));
      return;
    }
    const more = () => {
      while (response.writable && response.write(Buffer.alloc(65_536)));
      response.once('drain', more);
    };
    more();
  });
  const before = process.memoryUsage.rss();
  assert.equal((await ask({ url: `${url}/gzip` })).code, 'upstream_too_large');
  assert.equal((await ask({ url: `${url}/br` })).code, 'upstream_too_large');
  assert.equal((await ask({ url: `${url}/endless` })).code, 'upstream_too_large');
  assert.ok(process.memoryUsage.rss() - before < 60e6, `grew by ${process.memoryUsage.rss() - before}`);
  const began = performance.now();
  assert.equal((await ask({ url: `${url}/drip` }, { withinMs: 200 })).code, 'upstream_timeout');
  assert.ok(performance.now() - began < 2000);
  const open = new Set<Socket>();
  const raw = createTcpServer((socket) => {
    open.add(socket.on('error', () => {}));
    socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${'x-h: 1\r\n'.repeat(100_000)}\r\n`));
  }).listen(0, '127.0.0.1');
  await once(raw, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    raw.close();
  });
  assert.equal((await ask({ url: declare(`127.0.0.1:${(raw.address() as AddressInfo).port}`) })).code, 'upstream_too_large');
});

test('S02: sovereign refuses public addresses before a name is looked up, and lets declared local hosts be', async (t) => {
  const { ask, url, state, looked } = await setup(t, (_request, response) => void response.end('here'), { 'far.test': ['93.184.216.34'] });
  state.sovereign = true;
  assert.equal((await ask({ url: 'https://far.test/' })).code, 'sovereign_refused');
  assert.deepEqual(looked, []);
  assert.equal((await ask({ url })).result.text, 'here');
});
