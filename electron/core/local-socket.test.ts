import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, Server } from 'node:http';
import { createServer as createRawServer, type Server as RawServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { requestLocal } from './local-socket.ts';
import { createController } from './providers/controllers.ts';
import { openParts, providerOf, refusal } from './providers/testing.ts';
import { startService, tempFolder } from './testing.ts';

const never = new AbortController().signal;
const asked = { method: 'GET', path: '/', timeoutMs: 5000, maxBytes: 1000, signal: never };

async function listen(path: string, server: RawServer) {
  server.listen(path);
  await once(server, 'listening');
  return {
    async [Symbol.asyncDispose]() {
      if (server instanceof Server) server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

test('only a socket in the file system is spoken to, and what is wrong with it is said', async () => {
  using folder = tempFolder();
  const file = join(folder.path, 'file');
  writeFileSync(file, '');
  const said = [];
  for (const path of ['api.sock', join(folder.path, 'none'), file, 'http://127.0.0.1:1/'])
    said.push(await refusal(requestLocal(path, asked)));
  assert.deepEqual(said, [
    ['upstream_unreachable', 'api.sock is not an absolute path.'],
    ['upstream_unreachable', `There is no ${folder.path}/none.`],
    ['upstream_unreachable', `${file} is no socket.`],
    ['upstream_unreachable', 'http://127.0.0.1:1/ is not an absolute path.'],
  ]);
});

test('an answer is bounded in bytes and time, and a request ends when it is given up', async () => {
  using folder = tempFolder();
  const path = join(folder.path, 'api.sock');
  await using _ = await listen(
    path,
    createServer((request, response) => {
      if (request.url === '/endless') response.write('x'.repeat(2000));
      if (request.url === '/') response.writeHead(201).end('made');
    }),
  );
  const { status, body } = await requestLocal(path, asked);
  const gone = new AbortController();
  const given = refusal(requestLocal(path, { ...asked, path: '/mute', signal: gone.signal }));
  gone.abort();
  const codes = [
    refusal(requestLocal(path, { ...asked, path: '/endless' })),
    refusal(requestLocal(path, { ...asked, path: '/mute', timeoutMs: 100 })),
    given,
    refusal(requestLocal(path, { ...asked, signal: gone.signal })),
  ];
  assert.deepEqual(
    [status, body.toString(), (await Promise.all(codes)).map(([code]) => code)],
    [201, 'made', ['upstream_too_large', 'upstream_timeout', 'cancelled', 'cancelled']],
  );
  const raw = join(folder.path, 'raw.sock');
  await using __ = await listen(
    raw,
    createRawServer((socket) => socket.resume().end('no HTTP\r\n\r\n')),
  );
  assert.equal((await refusal(requestLocal(raw, asked)))[0], 'upstream_failed');
});

test('neither DOCKER_HOST nor a redirect leads the controller of a container to another place', async () => {
  using folder = tempFolder();
  const path = join(folder.path, 'api.sock');
  await using trap = await startService((_, response) => response.end('{}'));
  await using _ = await listen(
    path,
    createServer((_request, response) => void response.writeHead(302, { location: `${trap.url}/containers/speech/json` }).end()),
  );
  await using parts = openParts();
  const before = process.env.DOCKER_HOST;
  process.env.DOCKER_HOST = trap.url.replace('http', 'tcp');
  try {
    const controller = { kind: 'container', container: 'speech', socket: path } as const;
    const provider = providerOf('http://127.0.0.1:9', { models: ['tiny'], controller });
    const [code] = await refusal(createController(provider, parts).list(never));
    assert.deepEqual([code, trap.ledger], ['upstream_failed', []]);
  } finally {
    if (before === undefined) delete process.env.DOCKER_HOST;
    else process.env.DOCKER_HOST = before;
  }
});
