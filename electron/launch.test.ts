import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('./launch.ts', import.meta.url));

function openHome() {
  const path = mkdtempSync(join(tmpdir(), 'launch-'));
  const start = (...args: string[]) => {
    const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, DISPATCHER_HOME: path, CI: '1' } });
    let out = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        out += text;
      });
    const ended = once(child, 'close').then(([exit]) => ({ exit: exit as number, out }));
    const until = async (words: string) => {
      while (!out.includes(words)) {
        const ran = await Promise.race([once(child.stdout, 'data').then(() => null), ended]);
        if (ran && !ran.out.includes(words)) throw new Error(`it ended with ${ran.exit}: ${ran.out}`);
      }
      return out;
    };
    return { child, ended, until };
  };
  return { path, start, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test('npm start without a display says so in one line, prints an address that opens the page once, and ends on Ctrl-C', async () => {
  using home = openHome();
  const app = home.start('--mock', '--port', '0');
  const out = await app.until('Ctrl-C stops it.');
  assert.match(out, /^No own window \(there is no display\): the same command center is served to your browser\.$/m);
  const [link, base] = /Open ((http:\/\/127\.0\.0\.1:\d+)\/session\/\S+) in a browser/.exec(out)!.slice(1) as [string, string];
  const entered = await fetch(link, { redirect: 'manual' });
  assert.equal(entered.status, 303);
  const cookie = entered.headers.get('set-cookie')!.split(';')[0]!;
  const page = await fetch(`${base}/`, { headers: { cookie, accept: 'text/html' } });
  assert.match(await page.text(), /<title>Dispatcher<\/title>[\s\S]*<script type="module"/);
  assert.equal((await fetch(link, { redirect: 'manual' })).status, 401);

  const again = await home.start().ended;
  assert.equal(again.exit, 0);
  assert.match(again.out, new RegExp(`running already at ${base}\\. Open ${base}/session/`));

  app.child.kill('SIGINT');
  assert.equal((await app.ended).exit, 0);
  assert.equal(existsSync(join(home.path, 'runtime.json')), false);
});

test('npm start goes to another port when 8000 is taken, and says so', async (t) => {
  using home = openHome();
  const squatter = createServer().listen(8000, '127.0.0.1');
  const taken = await Promise.race([once(squatter, 'listening').then(() => true), once(squatter, 'error').then(() => false)]);
  // Somebody else has it, which serves just as well.
  t.after(() => taken && squatter.close());
  const app = home.start('--mock');
  const out = await app.until('Ctrl-C stops it.');
  assert.match(out, /port 8000 is taken by another program; serving on (?!8000)\d+ instead/);
  app.child.kill('SIGTERM');
  assert.equal((await app.ended).exit, 0);
});

test('a flag that npm start does not know is refused', async () => {
  using home = openHome();
  const { exit, out } = await home.start('--dmeo').ended;
  assert.equal(exit, 2);
  assert.match(out, /--dmeo[\s\S]*npm start takes -- --demo/);
});
