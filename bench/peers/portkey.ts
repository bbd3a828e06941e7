/**
 * Peer: `@portkey-ai/gateway`, its own server as published, told by headers to send to our upstream. Published for
 * `@hono/node-server` 1.14; the package is pinned at the top level, which npm then gives the gateway too.
 */
import { fork } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { announce, upstream } from './announce.ts';

const start = createRequire(import.meta.url).resolve('@portkey-ai/gateway/build/start-server.js');

// It takes a port, not 0: ask for a free one and leave it.
const probe = createServer();
await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
const { port } = probe.address() as { port: number };
await new Promise((resolve) => probe.close(resolve));

const gateway = fork(start, [`--port=${port}`, '--headless'], { silent: true, env: { ...process.env, NODE_ENV: 'production' } });
gateway.on('exit', (code) => process.exit(code ?? 1));
process.on('exit', () => gateway.kill());
process.on('SIGTERM', () => process.exit());

for (const end = Date.now() + 15_000; ; ) {
  const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
  if (answer) break;
  if (Date.now() > end) throw new Error('the Portkey gateway did not start within 15 s');
  await new Promise((resolve) => setTimeout(resolve, 100));
}
announce({ address: () => ({ port }) } as never, {
  'x-portkey-provider': 'openai',
  'x-portkey-custom-host': `${upstream}/v1`,
  authorization: 'Bearer none',
});
