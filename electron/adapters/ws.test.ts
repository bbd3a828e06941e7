import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import type { DownFrame } from '../../shared/contract.ts';
import { openDoor, raw } from './testing.ts';

type At = Awaited<ReturnType<typeof openDoor>>;

const handshake = (at: At, more = '', path = '/ws', host = `127.0.0.1:${at.door.port}`) =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
const tokenOf = (at: At) => `Authorization: ${at.bearer.authorization}\r\n`;

/** A WebSocket that speaks JSON and collects what it hears. */
async function dial(at: At, headers: Record<string, string> = at.bearer) {
  const socket = new WebSocket(`ws://127.0.0.1:${at.door.port}/ws`, { headers });
  const frames: DownFrame[] = [];
  const waiting: ((frame: DownFrame) => void)[] = [];
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as DownFrame;
    const first = waiting.shift();
    if (first) first(frame);
    else frames.push(frame);
  });
  const closed = new Promise<[number, string]>((resolve) => socket.on('close', (code, reason) => resolve([code, String(reason)])));
  await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
  return {
    socket,
    closed,
    send: (frame: unknown) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    next: () => new Promise<DownFrame>((resolve) => (frames.length ? resolve(frames.shift() as DownFrame) : waiting.push(resolve))),
  };
}

/** A client frame (RFC 6455, 5.2), masked with zeros unless told otherwise. */
function frame(first: number, payload: Buffer, mask = true): Buffer {
  const length = payload.length < 126 ? Buffer.from([payload.length]) : payload.length < 65_536 ? Buffer.alloc(3) : Buffer.alloc(9);
  if (length.length === 3) {
    length[0] = 126;
    length.writeUInt16BE(payload.length, 1);
  } else if (length.length === 9) {
    length[0] = 127;
    length.writeBigUInt64BE(BigInt(payload.length), 1);
  }
  if (mask) length[0] = (length[0] as number) | 0x80;
  return Buffer.concat([Buffer.from([first]), length, Buffer.alloc(mask ? 4 : 0), payload]);
}

/** Opens an authenticated socket by hand, sends the bytes, and gives the code of the close frame that came back. */
async function closeCode(at: At, bytes: Buffer): Promise<number | null> {
  const received = Buffer.from(await raw(at.door.port, Buffer.concat([Buffer.from(handshake(at, tokenOf(at))), bytes])), 'latin1');
  const body = received.subarray(received.indexOf('\r\n\r\n') + 4);
  const at88 = body.lastIndexOf(0x88);
  return at88 < 0 ? null : body.readUInt16BE(at88 + 2);
}

test('W01: an upgrade from another Origin or Host, or with a cookie and no Origin, is refused before it happens', async () => {
  await using at = await openDoor();
  const cookie = `Cookie: dispatcher_${at.door.port}=x\r\n`;
  const tries: [string, string][] = [
    ['403', handshake(at, `${tokenOf(at)}Origin: http://evil.test\r\n`)],
    ['403', handshake(at, `${tokenOf(at)}Origin: null\r\n`)],
    ['403', handshake(at, `${tokenOf(at)}Origin: http://127.0.0.1:3000\r\n`)],
    ['421', handshake(at, tokenOf(at), '/ws', 'evil.test')],
    ['400', handshake(at, `${tokenOf(at)}Host: evil.test\r\n`)],
    ['403', handshake(at, cookie)],
    ['401', handshake(at, `${cookie}Origin: ${at.door.url}\r\n`)],
    ['401', handshake(at, 'Authorization: Bearer wrong\r\n')],
    ['404', handshake(at, tokenOf(at), '/other')],
    ['400', handshake(at, tokenOf(at)).replace('13', '12')],
  ];
  for (const [status, bytes] of tries) assert.equal((await raw(at.door.port, bytes)).slice(9, 12), status, bytes);
  assert.ok((await at.entries('rejected', tries.length - 1)).some(({ door, outcome }) => door === 'ws' && outcome === 'origin_refused'));
});

test('a session cookie with the exact Origin opens a socket, as does a token in the header or the first message', async () => {
  await using at = await openDoor();
  const { headers } = await fetch(at.door.openUrl(), { redirect: 'manual' });
  const cookie = headers.get('set-cookie')?.split(';')[0] ?? '';
  for (const [more, first] of [
    [{ cookie, origin: at.door.url }, null],
    [at.bearer, null],
    [{}, { t: 'auth', token: at.core.owner.secret }],
  ] as const) {
    const peer = await dial(at, more);
    if (first) peer.send(first);
    peer.send({ t: 'call', id: 1, ask: { route: 'T.echo', params: { a: 1 } } });
    const [accepted, answer] = [await peer.next(), await peer.next()];
    assert.deepEqual([accepted.t, answer.t === 'answer' && answer.crossing.ok], ['accepted', true]);
    peer.socket.close();
    assert.deepEqual((await peer.closed)[0], 1005);
  }
});

test('W02: without a token in time, with one in the URL or with another first message there is no service and no trace of it', async () => {
  await using at = await openDoor();
  assert.equal((await raw(at.door.port, handshake(at, '', `/ws?token=${at.core.owner.secret}`))).slice(9, 12), '401');
  for (const first of [
    { t: 'auth', token: 'wrong' },
    { t: 'call', id: 1, ask: { route: 'T.echo' } },
    { t: 'auth' },
    at.core.owner.secret,
    '{"t":',
  ]) {
    const peer = await dial(at, {});
    peer.send(first);
    assert.equal((await peer.closed)[0], 1008, JSON.stringify(first));
  }
  assert.equal(at.calls.length, 0);
  for (const { detail } of await at.entries('rejected', 6)) assert.equal(detail.includes(at.core.owner.secret), false);
});

test('W02: a socket that stays silent is closed with 1008 in time', async () => {
  await using at = await openDoor({ authMs: 100 });
  const peer = await dial(at, {});
  assert.deepEqual(await peer.closed, [1008, 'No token came in the first message.']);
});

test('W03: messages, fragments and control frames over the bounds close the connection, and memory stays flat', async () => {
  await using at = await openDoor();
  const before = process.memoryUsage().rss;
  const fragments = Buffer.concat([frame(0x01, Buffer.from('a')), ...Array.from({ length: 100_000 }, () => frame(0x00, Buffer.from('a')))]);
  assert.equal(await closeCode(at, frame(0x81, Buffer.alloc(10_000_000, 'a'))), 1009);
  assert.equal(await closeCode(at, fragments), 1008);
  assert.equal(await closeCode(at, frame(0x89, Buffer.alloc(126))), 1002);
  assert.ok(process.memoryUsage().rss - before < 120_000_000);
  assert.equal((await dial(at)).socket.readyState, WebSocket.OPEN);
});

test('W05: sockets are capped per principal and together, and others are still served', async () => {
  await using at = await openDoor();
  const mine = await Promise.all(Array.from({ length: 64 }, () => dial(at)));
  await assert.rejects(dial(at), /429/);
  const strangers = await Promise.all(Array.from({ length: 64 }, () => dial(at, {})));
  await assert.rejects(dial(at, {}), /429/);
  const token = await at.issue('guest', ['read', 'dispatch']);
  const guest = await dial(at, { authorization: `Bearer ${token.secret}` });
  guest.send({ t: 'call', id: 1, ask: { route: 'T.echo' } });
  assert.equal((await guest.next()).t, 'accepted');
  mine[0]?.socket.close();
  await mine[0]?.closed;
  await dial(at);
  assert.equal(strangers.length, 64);
});

test('W05: a flood of pings ends its own connection only', async () => {
  await using at = await openDoor();
  const [flood, other] = [await dial(at), await dial(at)];
  for (let i = 0; i < 1000; i++) flood.socket.ping();
  assert.equal((await flood.closed)[0], 1008);
  other.socket.ping();
  await new Promise((resolve) => other.socket.on('pong', resolve));
});

test('W09: broken frames are answered with the close code of RFC 6455, and the door lives on', async () => {
  await using at = await openDoor();
  const text = Buffer.from('{}');
  const cases: Record<string, [Buffer, number]> = {
    'invalid UTF-8': [frame(0x81, Buffer.from([0xc3, 0x28])), 1007],
    'reserved opcode': [frame(0x83, text), 1002],
    'reserved control opcode': [frame(0x8b, text), 1002],
    RSV1: [frame(0xc1, text), 1002],
    unmasked: [frame(0x81, text, false), 1002],
    'fragmented ping': [frame(0x09, text), 1002],
    'continuation of nothing': [frame(0x80, text), 1002],
    'close code 1005': [frame(0x88, Buffer.from([0x03, 0xed])), 1002],
    'close of one byte': [frame(0x88, Buffer.from([0x03])), 1002],
    'close reason not UTF-8': [frame(0x88, Buffer.from([0x03, 0xe8, 0xc3, 0x28])), 1007],
    'noise with a mask': [frame(0xff, randomBytes(20)), 1002],
  };
  for (const [name, [bytes, code]] of Object.entries(cases)) assert.deepEqual([name, await closeCode(at, bytes)], [name, code]);
  assert.equal((await dial(at)).socket.readyState, WebSocket.OPEN);
});

test('text that is not JSON, too deep or binary is answered with a fault, and the connection stays', async () => {
  await using at = await openDoor();
  const peer = await dial(at);
  for (const bad of ['{"t":', `{"t":"call","id":1,"ask":${'['.repeat(5000)}`, Buffer.from('{}')]) {
    peer.socket.send(bad);
    const fault = await peer.next();
    assert.deepEqual(fault.t === 'fault' && [fault.id, fault.error.code], [null, 'input_invalid']);
  }
  peer.send({ t: 'call', id: 1, ask: { route: 'T.echo' } });
  assert.equal((await peer.next()).t, 'accepted');
});

test('a revoked token ends the socket at its next word', async () => {
  await using at = await openDoor();
  const token = await at.issue('guest', ['read', 'dispatch']);
  const peer = await dial(at, { authorization: `Bearer ${token.secret}` });
  await at.revoke(token.id);
  peer.send({ t: 'call', id: 1, ask: { route: 'T.echo' } });
  assert.deepEqual(await peer.closed, [1008, 'The token was revoked.']);
  assert.equal(at.calls.length, 0);
});

test('a revoked token ends a socket that only listens, within a second or so', async () => {
  await using at = await openDoor();
  const token = await at.issue('guest', ['read']);
  const peer = await dial(at, { authorization: `Bearer ${token.secret}` });
  peer.send({ t: 'watch', since: 0 });
  await peer.next();
  await at.revoke(token.id);
  const start = performance.now();
  assert.deepEqual(await peer.closed, [1008, 'The token was revoked.']);
  assert.ok(performance.now() - start < 3000);
});

test('a registry of thousands of services fits into a message, and nothing else of that size', async () => {
  await using at = await openDoor();
  const peer = await dial(at);
  const text = `#${'x'.repeat(2_000_000)}`;
  peer.send({ t: 'call', id: 1, ask: { route: 'T.echo', params: { text } } });
  const fault = await peer.next();
  assert.deepEqual(fault.t === 'fault' && [fault.id, fault.error.code], [1, 'input_too_large']);
  peer.send({ t: 'call', id: 2, ask: { route: 'OS.registry.check', params: { text } } });
  const answer = await peer.next();
  assert.deepEqual([answer.t, at.calls.map(({ route }) => route)], ['answer', ['OS.registry.check']]);
  const stranger = await dial(at, {});
  stranger.send({ t: 'auth', token: text });
  assert.equal((await stranger.closed)[0], 1009);
});

test('W03: a peer that asks for more than it reads is cut off', async () => {
  await using at = await openDoor();
  const pad = 'x'.repeat(7000);
  for (let i = 0; i < 80; i++)
    await at.core.dispatch({ route: 'T.echo', params: { pad }, door: 'library', principal: at.core.owner.principal });
  const peer = await dial(at);
  let answers = 0;
  const all = new Promise<string>((resolve) => peer.socket.on('message', () => ++answers === 400 && resolve('all answered')));
  peer.socket.pause();
  for (let id = 1; id <= 400; id++) peer.send({ t: 'call', id, ask: { route: 'OS.audit', params: { limit: 500 } } });
  // Until no more of them are read.
  for (let quiet = 0, seen = 0; quiet < 200 || seen === 80; quiet++) {
    await new Promise(setImmediate);
    if (at.calls.length !== seen) quiet = 0;
    seen = at.calls.length;
  }
  peer.socket.resume();
  assert.deepEqual(await Promise.race([peer.closed, all]), [1006, '']);
  assert.ok(answers < 200, `${answers} answers`);
});

test('a peer that does not answer pings is cut, one that does stays', async () => {
  await using at = await openDoor({ beatMs: 50 });
  const alive = await dial(at);
  const dead = connect(at.door.port, '127.0.0.1');
  const cut = new Promise((resolve) => dead.on('close', resolve));
  dead
    .on('error', () => {})
    .resume()
    .write(handshake(at, tokenOf(at)));
  await cut;
  assert.equal(alive.socket.readyState, WebSocket.OPEN);
});

test('a watcher that does not read costs no memory and gets a snapshot when it reads again', async () => {
  await using at = await openDoor();
  const peer = await dial(at);
  peer.send({ t: 'watch', since: 0 });
  assert.equal((await peer.next()).t, 'snapshot');
  peer.socket.pause();
  const before = process.memoryUsage().rss;
  const text = 'x'.repeat(10_000);
  for (let seq = 1; at.watchers.size > 0; seq++) {
    for (const watcher of at.watchers) watcher.events([{ type: 'chunk', job: 'j', text, seq, at: 0, signal: null }]);
    await new Promise(setImmediate);
    assert.ok(seq < 5000, 'the watcher is let go');
  }
  assert.ok(process.memoryUsage().rss - before < 100_000_000);
  peer.socket.resume();
  let frame = await peer.next();
  while (frame.t === 'events') frame = await peer.next();
  assert.equal(frame.t, 'snapshot');
});
