import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createClient } from '../shared/port.ts';
import { tempFolder } from './core/testing.ts';
import { startDesktop } from './desktop.ts';
import { findRunning } from './home.ts';
import { createStandIn as makeStandIn, openPagePort } from './testing.ts';

const made: ReturnType<typeof makeStandIn>[] = [];
function createStandIn() {
  const standIn = makeStandIn();
  made.push(standIn);
  return standIn;
}
// What a failed test leaves open would keep the whole run from ending.
after(() => {
  for (const { app } of made) if (app.exited === null) app.quit();
});

const optionsOf = (home: string) => ({
  home,
  demo: false,
  mock: true,
  env: {},
  port: 0,
  rendererFolder: '/nowhere',
  preload: '/preload.cjs',
  icon: '/icon.png',
});

test('the app opens a window that works over IPC, is found by the CLI, and ends without a trace of itself', async () => {
  using home = tempFolder();
  const { electron, app, ipcMain, windows, shortcuts } = createStandIn();
  await startDesktop(electron, optionsOf(home.path));
  assert.equal(windows.length, 1);
  assert.ok(windows[0]!.shown > 0);
  const client = createClient(openPagePort(ipcMain, windows[0]!.webContents));
  const crossing = await client.call({ text: 'sync salesforce contacts' }).answer;
  assert.deepEqual([crossing.route, crossing.door, crossing.mock], ['FND.salesforce', 'app', true]);
  assert.equal((await findRunning(home.path))?.pid, process.pid);

  windows[0]!.webContents.url = 'app://dispatcher/#queue';
  [...shortcuts.values()][0]!();
  assert.equal(windows[0]!.loaded.at(-1), 'app://dispatcher/#dispatch');
  const { length } = windows[0]!.loaded;
  [...shortcuts.values()][0]!();
  assert.equal(windows[0]!.loaded.length, length, 'the view is there already: the page is not loaded anew');

  const exited = once(app, 'exited');
  app.quit();
  await exited;
  assert.equal(app.exited, 0);
  assert.deepEqual([existsSync(join(home.path, 'runtime.json')), shortcuts.size], [false, 0]);
});

test('E13: a second instance ends with 0 and opens nothing; the first comes to the front', async () => {
  using home = tempFolder();
  const first = createStandIn();
  await startDesktop(first.electron, optionsOf(home.path));
  const before = first.windows[0]!.shown;
  const second = createStandIn();
  second.app.lock = false;
  await startDesktop(second.electron, optionsOf(home.path));
  assert.deepEqual([second.app.exited, second.windows.length], [0, 0]);
  assert.equal(second.app.paths.userData, first.app.paths.userData);
  first.app.emit('second-instance', {}, ['dispatcher', '--demo'], '/');
  assert.equal(first.windows[0]!.shown, before + 1);
  const exited = once(first.app, 'exited');
  first.app.quit();
  await exited;
});

test('a home that another core has is told in words, and the app ends', async () => {
  using home = tempFolder();
  const first = createStandIn();
  await startDesktop(first.electron, optionsOf(home.path));
  const second = createStandIn();
  await startDesktop(second.electron, optionsOf(home.path));
  assert.equal(second.app.exited, 4);
  assert.match(second.errors.join(), /Another Dispatcher has .*dispatcher-/);
  assert.equal((await findRunning(home.path))?.pid, process.pid, 'the first is unharmed');
  const exited = once(first.app, 'exited');
  first.app.quit();
  await exited;
});

test('a job that took a while is notified of, unless the window has the focus', async () => {
  using home = tempFolder();
  const { electron, app, ipcMain, windows, notifications } = createStandIn();
  const service = createServer((_request, response) =>
    setTimeout(() => response.setHeader('content-type', 'application/json').end('{}'), 3100),
  );
  service.listen(0, '127.0.0.1').unref();
  await once(service, 'listening');
  writeFileSync(
    join(home.path, 'registry.yaml'),
    `orgs: {T: {name: Test, services: {slow: {endpoint: "http://127.0.0.1:${(service.address() as AddressInfo).port}/", egress: local}}}}\n`,
  );
  await startDesktop(electron, { ...optionsOf(home.path), mock: false });
  const client = createClient(openPagePort(ipcMain, windows[0]!.webContents));
  windows[0]!.focused = false;
  assert.equal((await client.call({ route: 'T.slow' }).answer).ok, true);
  // Events follow the answer by a turn or two.
  for (const end = Date.now() + 5000; notifications.length === 0 && Date.now() < end; ) await new Promise(setImmediate);
  assert.deepEqual(
    notifications.map(({ title }) => title),
    ['T.slow is done'],
  );
  windows[0]!.focused = true;
  await client.call({ route: 'OS.status' }).answer;
  assert.equal(notifications.length, 1);
  const exited = once(app, 'exited');
  app.quit();
  await exited;
  service.close();
});

test('the preload script exposes one frame port and nothing else', () => {
  const text = readFileSync(new URL('./preload.cjs', import.meta.url), 'utf8');
  const exposed: Record<string, unknown> = {};
  const listened: string[] = [];
  const sent: string[] = [];
  const ipcRenderer = {
    send: (channel: string) => sent.push(channel),
    on: (channel: string) => listened.push(channel),
    removeAllListeners: () => {},
  };
  const load = new Function('require', text) as (require: (name: string) => unknown) => void;
  load((name) => {
    assert.equal(name, 'electron');
    return { contextBridge: { exposeInMainWorld: (key: string, api: unknown) => Object.assign(exposed, { [key]: api }) }, ipcRenderer };
  });
  const api = exposed.dispatcher as { port: Record<string, (given: unknown) => void> };
  assert.deepEqual(
    [Object.keys(exposed), Object.keys(api), Object.keys(api.port)],
    [['dispatcher'], ['port'], ['send', 'onFrame', 'onClose']],
  );
  api.port.send!({});
  api.port.onFrame!(() => {});
  api.port.onClose!(() => {});
  assert.deepEqual(
    [sent, listened],
    [
      ['dispatcher:open', 'dispatcher:frame'],
      ['dispatcher:frame', 'dispatcher:close'],
    ],
  );
});
