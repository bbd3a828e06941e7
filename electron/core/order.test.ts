import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const strace = spawnSync('strace', ['-V']).status === 0;

test('A09: the intent is on the disk before the first byte goes to the service', {
  skip: strace ? false : 'strace is not installed',
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'order-'));
  const server = createServer((request, response) => request.resume().on('end', () => response.end('{}'))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const home = join(folder, 'home');
  mkdirSync(home);
  const template = `orgs:\n  T:\n    name: T\n    services:\n      one: {endpoint: "http://127.0.0.1:${(server.address() as AddressInfo).port}/marker-upstream", egress: local}\n`;
  writeFileSync(join(folder, 'template.yaml'), template);
  writeFileSync(
    join(folder, 'run.ts'),
    `import { readFileSync, writeSync } from 'node:fs';
     const { createCore } = await import(${JSON.stringify(new URL('./core.ts', import.meta.url).href)});
     const core = await createCore({ home: ${JSON.stringify(home)}, version: 't', template: readFileSync(${JSON.stringify(join(folder, 'template.yaml'))}, 'utf8') });
     writeSync(2, 'marker-start\\n');
     const crossing = await core.dispatch({ route: 'T.one', params: { note: 'marker-intent' }, door: 'library', principal: core.owner.principal });
     writeSync(2, 'marker-answer ' + crossing.ok + '\\n');
     await core[Symbol.asyncDispose]();`,
  );
  const trace = join(folder, 'trace');
  const child = spawn(
    'strace',
    [
      '-f',
      '-tt',
      '-y',
      '-s',
      '20000',
      '-e',
      'trace=fdatasync,fsync,pwrite64,write,writev,sendto,sendmsg',
      '-o',
      trace,
      process.execPath,
      join(folder, 'run.ts'),
    ],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  );
  await once(child, 'exit');
  server.closeAllConnections();
  server.close();
  const lines = readFileSync(trace, 'utf8').split('\n');
  rmSync(folder, { recursive: true });

  const start = lines.findIndex((line) => line.includes('marker-start'));
  const after = (from: number, fits: (line: string) => boolean) => lines.findIndex((line, at) => at > from && fits(line));
  const written = after(start, (line) => line.includes('sqlite-wal') && line.includes('pwrite64') && line.includes('marker-intent'));
  const thread = lines[written]!.split(' ')[0]!;
  // A call that another thread's line cuts in two ends at its "resumed" line.
  const began = after(written, (line) => /f(data)?sync\(/.test(line) && line.startsWith(thread) && line.includes('sqlite-wal'));
  const synced = lines[began]!.includes('unfinished')
    ? after(began, (line) => line.startsWith(thread) && line.includes('sync resumed'))
    : began;
  const sent = after(start, (line) => line.includes('POST /marker-upstream'));
  const answered = lines.findIndex((line) => line.includes('marker-answer true'));
  assert.ok(start >= 0 && written > start, 'the intent was seen on its way to the disk');
  assert.deepEqual(
    [written < began, began <= synced, synced < sent, sent < answered],
    [true, true, true, true],
    lines
      .slice(start, answered + 1)
      .map((line) => line.slice(0, 160))
      .join('\n'),
  );
});
