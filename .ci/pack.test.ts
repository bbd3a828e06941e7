/** The packaged app has its JavaScript, its native module and its fuses: electron-builder's `--dir` target over a stand-in for Electron. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createPackage, extractAll, listPackage } from '@electron/asar';
import { buildElectron, buildRenderer } from '../bin/build.ts';

const project = fileURLToPath(new URL('..', import.meta.url));

/** Marks the fuses in Electron's binary; then a version, a count and one byte each (@electron/fuses, fuse wire 1). */
const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX';
const fuses = [
  'runAsNode',
  'cookieEncryption',
  'nodeOptions',
  'inspectArguments',
  'asarIntegrity',
  'onlyAsar',
  'v8Snapshot',
  'fileProtocol',
  'wasmTrap',
];

async function writeStandIn(folder: string): Promise<void> {
  const empty = join(folder, 'empty');
  mkdirSync(empty, { recursive: true });
  mkdirSync(join(folder, 'electron', 'resources'), { recursive: true });
  writeFileSync(join(empty, 'package.json'), '{"name": "default", "main": "main.js"}');
  writeFileSync(join(empty, 'main.js'), '');
  await createPackage(empty, join(folder, 'electron', 'resources', 'default_app.asar'));
  const binary = join(folder, 'electron', 'electron');
  writeFileSync(
    binary,
    Buffer.concat([Buffer.from(`#!/bin/sh\n# ${sentinel}`), Buffer.from([1, fuses.length]), Buffer.from('1'.repeat(fuses.length))]),
  );
  chmodSync(binary, 0o755);
  for (const name of ['LICENSE', 'version']) writeFileSync(join(folder, 'electron', name), '');
}

test('the packaged app runs on what is in it, with better-sqlite3 beside the archive and the fuses blown (E08)', async (t) => {
  if (process.platform !== 'linux') return t.skip('the stand-in for Electron has the layout of Linux');
  const folder = mkdtempSync(join(tmpdir(), 'pack-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  buildRenderer();
  buildElectron();
  await writeStandIn(folder);
  const builder = spawnSync(
    join(project, 'node_modules', '.bin', 'electron-builder'),
    ['--dir', '--publish', 'never', `-c.electronDist=${join(folder, 'electron')}`, `-c.directories.output=${join(folder, 'out')}`],
    { cwd: project, encoding: 'utf8', timeout: 120_000 },
  );
  const said = builder.stdout + builder.stderr;
  if (builder.status !== 0 && /ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|status code 40|net::/.test(said))
    return t.skip(`electron-builder wants something from the network: ${said.trim().split('\n').at(-1)}`);
  assert.equal(builder.status, 0, said);

  const resources = join(folder, 'out', 'linux-unpacked', 'resources');
  const archive = join(resources, 'app.asar');
  const files = listPackage(archive, { isPack: false });
  for (const file of [
    'main',
    'preload.c',
    'core/store/writer',
    'core/operator/train-worker',
    'core/audit/verify-thread',
    'core/cortex/schema-worker',
  ])
    assert.ok(
      files.some((path) => path.startsWith(`/dist/electron/electron/${file}`)),
      `${file} is in the archive`,
    );
  assert.ok(files.includes('/dist/renderer/index.html'));
  assert.deepEqual(
    files.filter((path) => /\.tsx?$|\.test\.|^\/(e2e|bench|\.ci|bin)\/|node_modules\/(react|vite|electron|typescript)\//.test(path)),
    [],
  );
  const native = `better-sqlite3/prebuilds/linux-${process.arch}.node`;
  assert.ok(existsSync(join(resources, 'app.asar.unpacked', 'node_modules', native)));

  const wire = readFileSync(join(folder, 'out', 'linux-unpacked', 'dispatcher-desktop'));
  const at = wire.indexOf(sentinel) + sentinel.length + 2;
  assert.deepEqual(Object.fromEntries(fuses.slice(0, 6).map((name, i) => [name, String.fromCharCode(wire[at + i]!)])), {
    runAsNode: '0',
    cookieEncryption: '1',
    nodeOptions: '0',
    inspectArguments: '0',
    asarIntegrity: '1',
    onlyAsar: '1',
  });

  // Electron reads the archive by itself; Node needs it unpacked to run the very same files.
  const unpacked = join(folder, 'app');
  extractAll(archive, unpacked);
  const script = `
    const { openHost } = await import(${JSON.stringify(join(unpacked, 'dist/electron/electron/host.js'))});
    await using host = await openHost({ home: ${JSON.stringify(join(folder, 'home'))}, demo: true, mock: false, env: {} });
    const door = await host.openDoor(0);
    const page = await fetch(door.url + '/health');
    const crossing = await host.core.dispatch({ text: 'sync salesforce contacts', door: 'app', principal: host.core.owner.principal });
    console.log(JSON.stringify([page.status, crossing.ok, crossing.route]));`;
  writeFileSync(join(folder, 'run.mjs'), script);
  const ran = spawnSync(process.execPath, [join(folder, 'run.mjs')], { cwd: folder, encoding: 'utf8', timeout: 60_000 });
  assert.equal(ran.stdout.trim(), '[200,true,"FND.salesforce"]', ran.stderr);
});
