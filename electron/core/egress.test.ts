import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { type WebSocket, WebSocketServer } from 'ws';
import { Refusal, refuse } from '../../shared/errors.ts';
import type { Egress as EgressClass } from '../../shared/model.ts';
import { createEgress, type EgressOptions, EgressRefusal, type EgressRequest, type SocketRequest } from './egress.ts';
import { addressKind } from './reach.ts';

function setup(t: TestContext, options: Partial<EgressOptions> = {}) {
  const state = { sovereign: false };
  const looked: string[] = [];
  const { lookup } = options;
  const egress = createEgress({
    sovereign: () => state.sovereign,
    ...options,
    lookup: (name, done) => {
      looked.push(name);
      if (lookup === undefined) done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
      else lookup(name, done);
    },
  });
  t.after(() => egress[Symbol.asyncDispose]());
  const get = (url: string, more: Partial<EgressRequest> = {}) =>
    egress.request({ url, method: 'GET', headers: [], body: null, egress: 'local', maxBytes: 1_000_000, timeoutMs: 5000, ...more });
  return { egress, get, looked, state };
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function serveRaw(t: TestContext, onSocket: (socket: Socket) => void): Promise<string> {
  const open = new Set<Socket>();
  const server = createTcpServer((socket) => {
    open.add(socket);
    socket.on('error', () => {}).on('close', () => open.delete(socket));
    onSocket(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function refused(promise: Promise<unknown>): Promise<{ code: string; sent: boolean; message: string }> {
  try {
    await promise;
  } catch (caught) {
    assert.ok(caught instanceof EgressRefusal, String(caught));
    return { code: caught.wire.code, sent: caught.sent, message: caught.wire.message };
  }
  throw new Error('it was not refused');
}

const codeOf = async (promise: Promise<unknown>) => (await refused(promise)).code;

// --- what may be called ---------------------------------------------------------------------------------------------

test('T14: addresses in every spelling are judged by what they are', (t) => {
  const { egress, looked } = setup(t);
  const verdicts = (url: string) =>
    (['local', 'lan', 'remote'] as EgressClass[]).map((each) => egress.check(url, each)?.code ?? 'ok').join(' ');
  const loopback = 'ok ok ok';
  const lan = 'egress_refused ok ok';
  const open = 'egress_refused egress_refused ok';
  const never = 'egress_refused egress_refused egress_refused';
  const table: [string, string][] = [
    ['http://127.0.0.1:8091/v1', loopback],
    ['http://127.1/', loopback],
    ['http://0177.1/', loopback],
    ['http://0x7f.0.0.1/', loopback],
    ['http://2130706433/', loopback],
    ['http://１２７.０.０.１/', loopback],
    ['http://127。0。0。1/', loopback],
    ['http://[::1]:8091/', loopback],
    ['http://[::ffff:127.0.0.1]/', loopback],
    ['http://localhost:8091/', loopback],
    ['http://lucidia:8091/', loopback],
    ['http://10.1.2.3/', lan],
    ['http://172.31.255.255/', lan],
    ['http://192.168.0.1/', lan],
    ['http://[fd12:3456::1]/', lan],
    ['http://[::ffff:192.168.0.1]/', lan],
    ['http://100.64.0.1/', lan],
    ['http://8.8.8.8/', open],
    ['http://172.32.0.1/', open],
    ['http://[2606:4700::1111]/', open],
    ['http://[::ffff:8.8.8.8]/', open],
    ['http://134744072/', open],
    ['http://[64:ff9b::8.8.8.8]/', open],
    ['http://169.254.169.254/latest/meta-data', never],
    ['http://2852039166/', never],
    ['http://0xa9fea9fe/', never],
    ['http://[::ffff:169.254.169.254]/', never],
    ['http://[fd00:ec2::254]/', never],
    ['http://100.100.100.200/', never],
    ['http://[64:ff9b::169.254.169.254]/', never],
    ['http://[64:ff9b::7f00:1]/', never],
    ['http://[2002:7f00:1::]/', never],
    ['http://[fe80::1]/', never],
    ['http://0.0.0.0/', never],
    ['http://0/', never],
    ['http://[::]/', never],
    ['http://[::7f00:1]/', never],
    ['http://224.0.0.1/', never],
    ['http://255.255.255.255/', never],
    ['http://user:pw@127.0.0.1/', never],
    ['http://127.0.0.1:0/', never],
    ['https://[fe80::1%25eth0]/', never],
    ['file:///etc/passwd', never],
    ['gopher://127.0.0.1/', never],
    ['unix:/run/docker.sock', never],
    ['nonsense', never],
  ];
  for (const [url, expected] of table) assert.equal(verdicts(url), expected, url);
  assert.deepEqual(looked, []);
});

test('S02: sovereign refuses remote before any name is looked up, and leaves local and lan alone', async (t) => {
  const { egress, get, looked, state } = setup(t);
  const url = await serve(t, (_request, response) => response.end('here'));
  state.sovereign = true;
  assert.equal(egress.check('https://api.example.com/v1', 'remote')?.code, 'sovereign_refused');
  assert.deepEqual(await refused(get('https://api.example.com/v1', { egress: 'remote' })), {
    code: 'sovereign_refused',
    sent: false,
    message: 'Sovereign is on: api.example.com is remote, so nothing was sent and no name looked up.',
  });
  assert.equal(await codeOf(get(url, { egress: 'remote' })), 'sovereign_refused', 'declared remote is remote, wherever it points');
  assert.deepEqual(looked, []);
  assert.equal((await get(url)).body.toString(), 'here');
  assert.equal((await get(url, { egress: 'lan' })).body.toString(), 'here');
  state.sovereign = false;
  assert.equal((await get(url, { egress: 'remote' })).body.toString(), 'here');
});

test('S03: a name is refused when any of its addresses is outside the class, and nothing connects', async (t) => {
  let hits = 0;
  const url = new URL(await serve(t, (_request, response) => response.end(String(++hits))));
  const answers: Record<string, string[]> = {
    'public.test': ['93.184.216.34'],
    'mixed.test': ['127.0.0.1', '93.184.216.34'],
    'private.test': ['192.168.7.7'],
    'metadata.test': ['169.254.169.254'],
    'mdns.test': ['fe80::1', '127.0.0.1'],
    'good.test': ['127.0.0.1'],
  };
  const { get, looked } = setup(t, {
    lookup: (name, done) =>
      done(
        null,
        (answers[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
  });
  const call = (name: string, egress: EgressClass) => get(`http://${name}:${url.port}/`, { egress });
  assert.equal(await codeOf(call('public.test', 'local')), 'egress_refused');
  assert.equal(await codeOf(call('public.test', 'lan')), 'egress_refused');
  assert.equal(await codeOf(call('mixed.test', 'local')), 'egress_refused');
  assert.equal(await codeOf(call('mixed.test', 'lan')), 'egress_refused');
  assert.equal(await codeOf(call('private.test', 'local')), 'egress_refused');
  assert.equal(await codeOf(call('metadata.test', 'remote')), 'egress_refused');
  assert.equal(await codeOf(call('empty.test', 'remote')), 'upstream_name_unknown');
  assert.equal(hits, 0);
  assert.equal((await call('good.test', 'local')).body.toString(), '1');
  assert.equal((await call('mdns.test', 'lan')).body.toString(), '2', 'a link-local address beside a good one is passed over');
  assert.equal(new Set(looked).size, 7);
});

test('S01: a public host in a network of its own hears nothing until it may', { timeout: 30_000 }, (t) => {
  const script = `
    import { once } from 'node:events';
    import { createServer } from 'node:net';
    import { createEgress } from ${JSON.stringify(new URL('./egress.ts', import.meta.url).href)};
    const heard = [];
    let sovereign = true;
    const canary = createServer((socket) => { heard.push('tcp'); socket.on('error', () => {}).end('HTTP/1.1 204 No Content\\r\\n\\r\\n'); }).listen(80, '93.184.216.34');
    const metadata = createServer((socket) => { heard.push('metadata'); socket.destroy(); }).listen(80, '169.254.169.254');
    await Promise.all([once(canary, 'listening'), once(metadata, 'listening')]);
    const lookup = (name, done) => { heard.push('dns ' + name); done(null, [{ address: '93.184.216.34', family: 4 }]); };
    const egress = createEgress({ sovereign: () => sovereign, lookup });
    const call = (url, egressClass) => egress.request({ url, method: 'GET', headers: [], body: null, egress: egressClass, maxBytes: 100, timeoutMs: 2000 }).then(({ status }) => status, ({ wire }) => wire.code);
    const vectors = [];
    for (const host of ['93.184.216.34', '1572395042', '0x5db8d822', '[::ffff:93.184.216.34]', 'canary.test']) for (const each of ['remote', 'lan', 'local']) vectors.push(['http://' + host + '/', each]);
    const walled = new Set();
    for (const [url, each] of vectors) walled.add(await call(url, each));
    const during = heard.splice(0);
    sovereign = false;
    const open = [];
    for (const [url, each] of vectors.filter(([, each]) => each === 'remote')) open.push(await call(url, each));
    const after = heard.splice(0);
    const never = await call('http://169.254.169.254/', 'remote');
    console.log(JSON.stringify({ walled: [...walled].sort(), during, open, after: after.filter((each) => each === 'tcp').length, never, metadata: heard }));
    process.exit();`;
  const setupNetwork = 'ip link set lo up && ip addr add 93.184.216.34/32 dev lo && ip addr add 169.254.169.254/32 dev lo';
  if (spawnSync('unshare', ['-rn', 'sh', '-c', setupNetwork], { timeout: 10_000 }).status !== 0)
    return t.skip('no network namespaces here');
  const run = spawnSync(
    'unshare',
    ['-rn', 'sh', '-c', `${setupNetwork}; exec "$0" --input-type=module -e "$1"`, process.execPath, script],
    {
      encoding: 'utf8',
      timeout: 20_000,
    },
  );
  assert.deepEqual(JSON.parse(run.stdout || JSON.stringify(run.stderr)), {
    walled: ['egress_refused', 'sovereign_refused'],
    // A name declared lan or local is looked up, and its public address refused.
    during: ['dns canary.test', 'dns canary.test'],
    open: [204, 204, 204, 204, 204],
    after: 5,
    never: 'egress_refused',
    metadata: [],
  });
});

test('T14: public reaches public addresses only, and sovereign refuses it whole', async (t) => {
  const names: Record<string, string[]> = { 'out.test': ['93.184.216.34'], 'in.test': ['10.0.0.1'], 'mix.test': ['93.184.216.34', '::1'] };
  const { egress, looked, state } = setup(t, {
    lookup: (name, done) =>
      done(
        null,
        (names[name] ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      ),
  });
  const verdict = (host: string) => egress.check(`http://${host}/`, 'public')?.code ?? 'ok';
  assert.deepEqual(['8.8.8.8', '127.0.0.1', '10.0.0.1', '169.254.169.254', '[::1]', '[2606:4700::1]', 'x.test'].map(verdict), [
    ...['ok', 'egress_refused', 'egress_refused', 'egress_refused', 'egress_refused', 'ok', 'ok'],
  ]);
  for (const host of ['localhost', 'a.localhost', 'LOCALHOST.']) assert.equal(verdict(host), 'egress_refused', host);
  const located = (host: string, reach: 'public' | 'lan' | 'local') => egress.locate(host, reach).catch(({ wire }) => wire.code);
  assert.deepEqual(await located('out.test', 'public'), ['93.184.216.34']);
  assert.deepEqual(await located('in.test', 'lan'), ['10.0.0.1']);
  assert.deepEqual(await located('::1', 'local'), ['::1']);
  for (const [host, reach] of [
    ['in.test', 'public'],
    ['mix.test', 'public'],
    ['in.test', 'local'],
    ['out.test', 'lan'],
    ['localhost', 'public'],
  ] as const)
    assert.equal(await located(host, reach), 'egress_refused', host);
  assert.equal(await located('none.test', 'public'), 'upstream_name_unknown');
  looked.length = 0;
  const cut: string[] = [];
  const over = egress.hold('public', ({ code }) => cut.push(`over ${code}`));
  egress.hold('public', ({ code }) => cut.push(code));
  egress.hold('lan', ({ code }) => cut.push(`lan ${code}`));
  over();
  state.sovereign = true;
  assert.equal(egress.cutRemote(refuse('sovereign_refused', 'Sovereign was switched on.')), 1);
  assert.deepEqual(cut, ['sovereign_refused']);
  assert.equal(await located('out.test', 'public'), 'sovereign_refused');
  assert.deepEqual(looked, []);
});

test('localhost is this machine without asking a name server', async (t) => {
  const { get, looked } = setup(t);
  const url = new URL(await serve(t, (request, response) => response.end(request.headers.host)));
  assert.equal((await get(`http://localhost:${url.port}/`)).body.toString(), `localhost:${url.port}`);
  assert.equal((await get(`http://app.localhost:${url.port}/`)).body.toString(), `app.localhost:${url.port}`);
  assert.deepEqual(looked, []);
});

test('a connection opened for a remote route is not reused by one that says it is local', async (t) => {
  const { get } = setup(t);
  const ports: number[] = [];
  const url = await serve(t, (request, response) => {
    ports.push(request.socket.remotePort!);
    response.end();
  });
  for (const egress of ['remote', 'remote', 'local', 'local', 'lan'] as const) {
    await get(url, { egress });
    // undici offers a connection again one turn of the event loop after its answer.
    await new Promise((go) => setImmediate(go));
  }
  assert.deepEqual(
    [ports[0] === ports[1], ports[1] === ports[2], ports[2] === ports[3], ports[3] === ports[4]],
    [true, false, true, false],
  );
});

test('S04: redirects are answers, proxy variables are nothing to it', async (t) => {
  const { get } = setup(t);
  const url = await serve(t, (_request, response) =>
    response.writeHead(302, { location: 'http://169.254.169.254/', link: '<http://8.8.8.8>' }).end(),
  );
  process.env.HTTP_PROXY = process.env.http_proxy = 'http://127.0.0.1:9';
  t.after(() => {
    delete process.env.HTTP_PROXY;
    delete process.env.http_proxy;
  });
  const { status, headers } = await get(url);
  assert.deepEqual([status, headers.location], [302, 'http://169.254.169.254/']);
});

test('what it sends is what was asked for, with no accept-encoding of its own', async (t) => {
  const { get } = setup(t);
  const url = await serve(t, async (request, response) => {
    const body = await request.toArray();
    response.setHeader('set-cookie', ['a=1', 'b=2']);
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body: String(Buffer.concat(body)) }));
  });
  const answer = await get(`${url}/v1/x?y=ä`, {
    method: 'POST',
    headers: ['content-type', 'application/json', 'x-one', '1'],
    body: '{"a":"ü"}',
  });
  const seen = JSON.parse(answer.body.toString());
  assert.equal(answer.headers['set-cookie'], 'a=1, b=2');
  assert.deepEqual(seen, {
    method: 'POST',
    url: '/v1/x?y=%C3%A4',
    headers: {
      host: new URL(url).host,
      connection: 'keep-alive',
      'content-type': 'application/json',
      'x-one': '1',
      'content-length': '10',
    },
    body: '{"a":"ü"}',
  });
  assert.equal(await codeOf(get(url, { headers: ['x-one', 'a\r\nx-two: b'] })), 'input_invalid');
});

// --- failures -------------------------------------------------------------------------------------------------------

test('N01: refused, unknown name, reset before and after bytes, and nonsense each have their own code', async (t) => {
  const { get } = setup(t);
  const closed = createTcpServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const port = (closed.address() as AddressInfo).port;
  closed.close();
  await once(closed, 'close');
  assert.deepEqual(await refused(get(`http://127.0.0.1:${port}/`)), {
    code: 'upstream_refused',
    sent: false,
    message: '127.0.0.1 refused the connection.',
  });
  assert.equal(await codeOf(get(`http://localhost:${port}/`)), 'upstream_refused', 'both addresses of localhost refused');
  assert.deepEqual(await refused(get('http://nobody.test/', { egress: 'remote' })), {
    code: 'upstream_name_unknown',
    sent: false,
    message: 'The name nobody.test does not resolve.',
  });
  const reset = await serveRaw(t, (socket) => socket.once('data', () => socket.resetAndDestroy()));
  assert.deepEqual(await refused(get(reset)), {
    code: 'upstream_failed',
    sent: true,
    message: '127.0.0.1 closed the connection after the request was sent, without an answer.',
  });
  const half = await serveRaw(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')));
  const broken = await refused(get(half));
  assert.deepEqual([broken.code, broken.sent], ['upstream_failed', true]);
  const ssh = await serveRaw(t, (socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'));
  assert.equal(await codeOf(get(ssh)), 'upstream_failed');
  assert.match((await refused(get(ssh))).message, /not valid HTTP|closed the connection/);
  const plain = await serveRaw(t, (socket) => socket.once('data', () => socket.end('HTTP/1.1 400 no\r\n\r\n')));
  const tls = await refused(get(plain.replace('http:', 'https:')));
  assert.deepEqual([tls.code, tls.sent], ['upstream_failed', false]);
});

test('N01: unreachable and blackholed addresses, in a network of their own', { timeout: 30_000 }, (t) => {
  const script = `
    import { createEgress } from ${JSON.stringify(new URL('./egress.ts', import.meta.url).href)};
    await using egress = createEgress({ sovereign: () => false });
    const codes = [];
    for (const url of ['http://10.99.0.1/', 'http://10.50.0.1/', 'http://nobody.invalid/']) {
      const began = performance.now();
      try {
        await egress.request({ url, method: 'GET', headers: [], body: null, egress: 'remote', maxBytes: 100, timeoutMs: 4000, connectTimeoutMs: 300 });
      } catch (caught) { codes.push([caught.wire.code, caught.sent, performance.now() - began < 3000]); }
    }
    console.log(JSON.stringify(codes));`;
  // A cable whose other end has no address and answers nothing, not even ARP.
  const setupNetwork =
    'ip link set lo up && ip link add far type veth peer name near && ip addr add 10.50.0.2/24 dev near && ip link set near arp off && ip link set near up && ip link set far up';
  if (spawnSync('unshare', ['-rn', 'sh', '-c', setupNetwork], { timeout: 10_000 }).status !== 0)
    return t.skip('no network namespaces here');
  const run = spawnSync(
    'unshare',
    ['-rn', 'sh', '-c', `${setupNetwork}; exec "$0" --input-type=module -e "$1"`, process.execPath, script],
    { encoding: 'utf8', timeout: 20_000 },
  );
  assert.deepEqual(JSON.parse(run.stdout || JSON.stringify(run.stderr)), [
    ['upstream_unreachable', false, true],
    ['upstream_timeout', false, true],
    ['upstream_name_unknown', false, true],
  ]);
});

test('N02: silence, headers that never end and one byte at a time all end at the total deadline', async (t) => {
  const { get } = setup(t);
  const drip = (first: string) => (socket: Socket) => {
    socket.write(first);
    const timer = setInterval(() => socket.write('a'), 5);
    socket.on('close', () => clearInterval(timer));
  };
  const servers = {
    silent: await serveRaw(t, () => {}),
    headers: await serveRaw(t, drip('HTTP/1.1 200 OK\r\nx-long: ')),
    body: await serveRaw(t, drip('HTTP/1.1 200 OK\r\n\r\n')),
  };
  for (const [name, url] of Object.entries(servers)) {
    const began = performance.now();
    const { code, sent } = await refused(get(url, { timeoutMs: 150 }));
    assert.deepEqual([code, sent], ['upstream_timeout', true], name);
    assert.ok(performance.now() - began < 1500, name);
  }
});

test('T17: answers are capped by bytes after decoding, by count of headers, and before they are read where they say their size', async (t) => {
  const { get } = setup(t);
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  const brotli = brotliCompressSync(Buffer.alloc(5_000_000));
  const url = await serve(t, (request, response) => {
    switch (request.url) {
      case '/gzip':
        return response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
      case '/br':
        return response.writeHead(200, { 'content-encoding': 'br' }).end(brotli);
      case '/odd':
        return response.writeHead(200, { 'content-encoding': 'constructor' }).end('x');
      case '/cut':
        return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000)).subarray(0, 60));
      case '/fits':
        return response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('x'.repeat(100_000)));
      case '/says':
        return response.writeHead(200, { 'content-length': '1000001' }).write('x');
      case '/headers':
        for (let i = 0; i < 5000; i++) response.setHeader(`x-${i}`, 'y');
        return response.end();
      default: {
        const more = () => {
          while (response.write(Buffer.alloc(65_536))) if (response.destroyed) return;
          response.once('drain', more);
        };
        more();
      }
    }
  });
  const before = process.memoryUsage().rss;
  assert.equal(await codeOf(get(`${url}/gzip`)), 'upstream_too_large');
  assert.equal(await codeOf(get(`${url}/br`)), 'upstream_too_large');
  assert.equal(await codeOf(get(`${url}/endless`)), 'upstream_too_large');
  assert.equal(await codeOf(get(`${url}/says`)), 'upstream_too_large');
  assert.equal(await codeOf(get(`${url}/headers`)), 'upstream_too_large');
  assert.equal(await codeOf(get(`${url}/odd`)), 'upstream_failed');
  assert.equal(await codeOf(get(`${url}/cut`)), 'upstream_failed');
  assert.ok(process.memoryUsage().rss - before < 60_000_000, 'memory stays flat');
  assert.equal((await get(`${url}/fits`)).body.length, 100_000);
});

// --- ends ---------------------------------------------------------------------------------------------------------------

test('an aborted call ends at once with the reason it was given, connected or not', async (t) => {
  const { get } = setup(t, { lookup: () => {} });
  const seen: string[] = [];
  const url = await serve(t, (request) => void request.socket.on('close', () => seen.push('closed')));
  const reason = refuse('upstream_timeout', 'Too late.');
  for (const [abort, code] of [
    [reason, 'upstream_timeout'],
    [new Refusal(refuse('shutting_down', 'Bye.')), 'shutting_down'],
    [undefined, 'cancelled'],
  ] as const) {
    for (const target of [url, 'http://never-resolves.test/']) {
      const controller = new AbortController();
      const call = get(target, { signal: controller.signal, egress: 'remote' });
      setImmediate(() => controller.abort(abort));
      assert.equal(await codeOf(call), code);
    }
  }
  const before = new AbortController();
  before.abort(reason);
  assert.deepEqual(await refused(get(url, { signal: before.signal })), { code: 'upstream_timeout', sent: false, message: 'Too late.' });
  assert.equal(await codeOf(get(url, { timeoutMs: 0 })), 'upstream_timeout');
});

test('S06: sovereign cuts remote requests under way, streams and idle sockets within a second, and local ones go on', async (t) => {
  const { egress, get, state } = setup(t);
  const closed: string[] = [];
  const answers: (() => void)[] = [];
  const url = await serve(t, (request, response) => {
    request.socket.setMaxListeners(50).once('close', () => closed.push(request.url!));
    if (request.url === '/idle') return response.end();
    response.write('{');
    answers.push(() => response.end('}'));
  });
  await get(`${url}/idle`, { egress: 'remote' });
  const remote = Array.from({ length: 3 }, () => refused(get(`${url}/remote`, { egress: 'remote' })));
  const local = get(`${url}/local`);
  while (answers.length < 4) await new Promise((go) => setImmediate(go));
  state.sovereign = true;
  const began = performance.now();
  assert.equal(egress.cutRemote(refuse('sovereign_refused', 'Switched on.')), 3);
  for (const each of await Promise.all(remote)) assert.deepEqual(each, { code: 'sovereign_refused', sent: true, message: 'Switched on.' });
  while (closed.length < 4) await new Promise((go) => setImmediate(go));
  assert.ok(performance.now() - began < 1000);
  assert.equal(closed.filter((path) => path === '/local').length, 0);
  for (const answer of answers) answer();
  assert.equal((await local).body.toString(), '{}');
  state.sovereign = false;
  await get(`${url}/idle`, { egress: 'remote' });
});

test('S06: a remote connection still being made is cut too', async (t) => {
  const { egress, get } = setup(t);
  const ends = Promise.withResolvers<void>();
  const begins = Promise.withResolvers<void>();
  const url = await serveRaw(t, (socket) => {
    socket.once('data', () => begins.resolve()).once('close', () => ends.resolve());
  });
  const call = refused(get(url.replace('http:', 'https:'), { egress: 'remote' }));
  await begins.promise;
  assert.equal(egress.cutRemote(refuse('sovereign_refused', 'Switched on.')), 1);
  assert.deepEqual(await call, { code: 'sovereign_refused', sent: false, message: 'Switched on.' });
  await ends.promise;
});

test('answers go to onBytes as they came, status and headers first, whatever they are', async (t) => {
  const packed = gzipSync('{"a":1}');
  const { get } = setup(t);
  const url = await serve(t, (request, response) => {
    if (request.url === '/gzip') response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed);
    else response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '2' }).end('{"error":1}');
  });
  const told: unknown[] = [];
  const onHead = (status: number, headers: Record<string, string>) =>
    told.push([status, headers['content-encoding'] ?? headers['retry-after']]);
  const onBytes = (bytes: Buffer) => {
    told.push(bytes.toString('latin1'));
    return null;
  };
  const kept = [await get(`${url}/gzip`, { onHead, onBytes }), await get(url, { onHead, onBytes })].map(({ body }) => body.length);
  assert.deepEqual(
    [told, kept],
    [
      [[200, 'gzip'], packed.toString('latin1'), [503, '2'], '{"error":1}'],
      [0, 0],
    ],
  );
  assert.equal(await codeOf(get(url, { onBytes, maxBytes: 5 })), 'upstream_too_large');
  for (const broken of [() => Promise.reject(new TypeError('bug')), () => assert.fail()])
    await assert.rejects(get(url, { onBytes: broken }), (caught) => !(caught instanceof EgressRefusal));
});

test('a reader that is not ready holds the service back, and one that gives up ends it at once', async (t) => {
  const { get } = setup(t);
  const whole = 64 * 1_048_576;
  let written = 0;
  const { promise: closed, resolve: close } = Promise.withResolvers<void>();
  const { promise: stuck, resolve: stick } = Promise.withResolvers<void>();
  const url = await serve(t, (_request, response) => {
    const piece = Buffer.alloc(65_536);
    const more = () => {
      while (written < whole) {
        written += piece.length;
        if (!response.write(piece)) return stick();
      }
      response.end();
    };
    response.on('drain', more).on('close', close);
    more();
  });
  let taken = 0;
  const ready = Promise.withResolvers<void>();
  const { promise: first, resolve: came } = Promise.withResolvers<void>();
  const abort = new AbortController();
  const onBytes = (bytes: Buffer) => {
    taken += bytes.length;
    came();
    return ready.promise;
  };
  const answer = get(url, { onBytes, maxBytes: whole, signal: abort.signal, timeoutMs: 20_000 });
  answer.catch(() => {});
  await Promise.all([first, stuck]);
  // What the sockets between hold is a few megabytes; nothing of the rest is read.
  for (let turn = 0; turn < 200; turn += 1) await new Promise(setImmediate);
  assert.ok(taken < 1_048_576 && written < whole / 2, `${taken} taken of ${written}`);
  const before = taken;
  ready.resolve();
  while (taken === before) await new Promise(setImmediate);
  abort.abort();
  assert.equal(await codeOf(answer), 'cancelled');
  await closed;
});

test('streams go to onChunk as text, whole characters only, and are not kept', async (t) => {
  const { get } = setup(t);
  const bytes = Buffer.from('data: é\n\n');
  const url = await serve(t, (request, response) => {
    response.writeHead(request.url === '/fails' ? 500 : 200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(bytes.subarray(0, 7));
    setImmediate(() => response.end(bytes.subarray(7)));
  });
  const pieces: string[] = [];
  const onChunk = (text: string, type: string) => void pieces.push(text, type);
  const { body } = await get(url, { onChunk });
  assert.equal(pieces.filter((_, index) => index % 2 === 0).join(''), 'data: é\n\n');
  assert.equal(body.length, 0);
  pieces.length = 0;
  assert.equal((await get(`${url}/fails`, { onChunk })).body.toString(), 'data: é\n\n');
  assert.deepEqual(pieces, [], 'a failure is no stream');
  assert.equal(await codeOf(get(url, { onChunk, maxBytes: 5 })), 'upstream_too_large');
});

test('a listener that throws rejects its own request and nothing else, encoded or not', async (t) => {
  const { get } = setup(t);
  const url = await serve(t, (request, response) => {
    const encoded = request.url === '/gzip';
    response.writeHead(200, { 'content-type': 'application/x-ndjson', ...(encoded && { 'content-encoding': 'gzip' }) });
    response.end(encoded ? gzipSync('{}\n') : '{}\n');
  });
  const onChunk = () => {
    throw new TypeError('mine');
  };
  for (const path of ['/plain', '/gzip']) await assert.rejects(get(url + path, { onChunk }), TypeError);
  assert.equal((await get(`${url}/plain`)).status, 200);
});

test('an empty body is empty, whatever encoding its header names', async (t) => {
  const { get } = setup(t);
  const url = await serve(t, (request, response) => {
    response.writeHead(request.url === '/204' ? 204 : 200, { 'content-encoding': 'gzip' }).end();
  });
  for (const status of [204, 200]) {
    const answer = await get(`${url}/${status}`);
    assert.deepEqual([answer.status, answer.body.length], [status, 0]);
  }
});

test('disposing ends what is open with shutting_down', async () => {
  const egress = createEgress({ sovereign: () => false, lookup: () => {} });
  const open = refused(egress.request({ url: 'http://x.test/', method: 'GET', headers: [], body: null, egress: 'lan', maxBytes: 1 }));
  await egress[Symbol.asyncDispose]();
  assert.equal((await open).code, 'shutting_down');
  assert.equal(
    await codeOf(egress.request({ url: 'http://127.0.0.1:1/', method: 'GET', headers: [], body: null, egress: 'lan', maxBytes: 1 })),
    'shutting_down',
  );
});

test('addressKind knows text that is no address', () => {
  assert.deepEqual(['', 'lucidia', '1.2.3', '::g', 'fe80::1%eth0', '::ffff:10.0.0.1'].map(addressKind), [
    'never',
    'never',
    'never',
    'never',
    'never',
    'private',
  ]);
});

// --- WebSockets -------------------------------------------------------------------------------------------------------

async function serveSockets(t: TestContext, onSocket: (socket: WebSocket) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }).on('connection', onSocket);
  await once(server, 'listening');
  t.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/ws`;
}

const listen = (more: Partial<SocketRequest>): SocketRequest => ({
  url: '',
  headers: {},
  egress: 'local',
  maxBytes: 1000,
  beatMs: 15_000,
  onMessage: () => {},
  onEnd: () => {},
  ...more,
});

test('a WebSocket brings its messages in order and then its end; one too long, or silence, is its end', async (t) => {
  const { egress } = setup(t);
  const url = await serveSockets(t, (socket) => {
    socket.send('one');
    socket.send(Buffer.from('binary'));
    socket.send('x'.repeat(1001));
  });
  const heard: (string | null)[] = [];
  const ended = new Promise<string>((resolve) => {
    void egress.socket(listen({ url, onMessage: (text) => heard.push(text), onEnd: ({ code }) => resolve(code) }));
  });
  assert.deepEqual([await ended, heard], ['upstream_too_large', ['one', null]]);

  const silent = await serveSockets(t, (socket) => socket.pause());
  const died = new Promise<string>((resolve) => {
    void egress.socket(listen({ url: silent, beatMs: 30, onEnd: ({ code }) => resolve(code) }));
  });
  assert.equal(await died, 'upstream_timeout');
});

test('a WebSocket is judged like a request, and its failures have the same codes', async (t) => {
  const { egress, looked, state } = setup(t, { lookup: (_name, done) => done(null, [{ address: '10.0.0.1', family: 4 }]) });
  const url = await serve(t, (_request, response) => response.writeHead(401).end());
  const codes = await Promise.all(
    [
      listen({ url }),
      listen({ url, egress: 'public' }),
      listen({ url: 'http://inside.test/' }),
      listen({ url: 'http://127.0.0.1:1/' }),
      listen({ url: 'ftp://127.0.0.1/' }),
    ].map((request) => codeOf(egress.socket(request))),
  );
  assert.deepEqual(codes, ['upstream_failed', 'egress_refused', 'egress_refused', 'upstream_refused', 'egress_refused']);
  state.sovereign = true;
  assert.equal(await codeOf(egress.socket(listen({ url: 'https://far.test/', egress: 'remote' }))), 'sovereign_refused');
  assert.deepEqual(looked, ['inside.test']);
});

test('S06: sovereign cuts a remote WebSocket with its reason and leaves a local one', async (t) => {
  const { egress, state } = setup(t);
  const url = await serveSockets(t, (socket) => socket.on('message', () => {}));
  const ends: string[] = [];
  const open = (reach: EgressClass) => egress.socket(listen({ url, egress: reach, onEnd: ({ code }) => ends.push(`${reach} ${code}`) }));
  const [, local] = await Promise.all([open('remote'), open('local')]);
  state.sovereign = true;
  assert.equal(egress.cutRemote(refuse('sovereign_refused', 'on')), 1);
  local.close();
  await egress[Symbol.asyncDispose]();
  assert.deepEqual(ends, ['remote sovereign_refused']);
});
