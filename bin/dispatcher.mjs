#!/usr/bin/env node
// Plain JavaScript for any Node: the sources are TypeScript, which Node 24 reads by itself. An older Node hands over to the one in node_modules.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

if (Number(process.versions.node.split('.')[0]) >= 24) {
  // Beside the code: compiled code is run as it is found, so it must not lie where others may write, and a restart of the machine empties /tmp.
  const cache = fileURLToPath(new URL('../node_modules/.cache/code', import.meta.url));
  module.enableCompileCache(cache);
  // The worker threads read it here.
  process.env.NODE_COMPILE_CACHE ??= cache;
  await import('../electron/cli.ts');
} else {
  const require = module.createRequire(import.meta.url);
  let node;
  try {
    const folder = join(dirname(require.resolve('node/package.json')), 'bin');
    node = [join(folder, 'node.exe'), join(folder, 'node')].find((file) => existsSync(file));
  } catch {}
  if (!node) {
    console.error(`dispatcher needs Node 24 (this is ${process.version}) and its own is not installed.\nRun \`npm ci\` in the checkout.`);
    process.exit(7);
  }
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  // A terminal sends Ctrl-C to the child as well, so that one is not passed on twice.
  for (const signal of signals) process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  child.on('error', (error) => {
    console.error(`dispatcher could not start ${node}: ${error.message}`);
    process.exit(7);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}
