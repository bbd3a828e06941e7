import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DownFrame } from '../../shared/contract.ts';
import { createClient } from '../../shared/port.ts';
import { createStandIn, FakeContents, FakeFrame, openPagePort } from '../testing.ts';
import { origin } from '../window.ts';
import { createIpcDoor } from './ipc.ts';
import { openCore } from './testing.ts';

async function openDoor() {
  const opened = await openCore();
  const { electron, ipcMain } = createStandIn();
  const door = createIpcDoor(opened.core, { ipcMain: electron.ipcMain, origin });
  const contents = new FakeContents();
  door.attach(contents as never);
  return { ...opened, door, ipcMain, contents, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

test('a page dispatches and watches over IPC, and again after it was loaded anew (E14)', async () => {
  await using app = await openDoor();
  for (const round of ['first', 'reloaded']) {
    const client = createClient(openPagePort(app.ipcMain, app.contents));
    const snapshot = new Promise((resolve) => client.watch(0, { snapshot: resolve, events: () => {} }));
    const crossing = await client.call({ route: 'T.echo', params: { round } }).answer;
    assert.deepEqual([crossing.ok, crossing.door, crossing.result], [true, 'app', { round }]);
    await snapshot;
    assert.equal(app.watchers.size, 1, 'the port of the page before is closed');
    app.contents.toPage.removeAllListeners();
  }
  app.contents.emit('render-process-gone');
  assert.equal(app.watchers.size, 0);
});

test('E02: frames of anybody else are refused, recorded, and never reach the core', async () => {
  await using app = await openDoor();
  openPagePort(app.ipcMain, app.contents);
  const frame = { t: 'call', id: 1, ask: { route: 'T.echo', params: {} } };
  const child = Object.assign(new FakeFrame(), { parent: app.contents.mainFrame, routingId: 2 });
  const other = new FakeContents();
  const senders: [string, object][] = [
    ['no frame', { sender: app.contents, senderFrame: null }],
    ['about:blank', { sender: app.contents, senderFrame: new FakeFrame('null') }],
    ['http://evil.test', { sender: app.contents, senderFrame: new FakeFrame('http://evil.test') }],
    ['lookalike origin', { sender: app.contents, senderFrame: new FakeFrame('app://dispatcher.evil') }],
    ['child frame', { sender: app.contents, senderFrame: child }],
    ['detached frame', { sender: app.contents, senderFrame: Object.assign(new FakeFrame(), { detached: true }) }],
    ['frame of another process', { sender: app.contents, senderFrame: Object.assign(new FakeFrame(), { processId: 8 }) }],
    ['another window', { sender: other, senderFrame: other.mainFrame }],
    ['another window with our id', { sender: Object.assign(new FakeContents(), { id: app.contents.id }), senderFrame: new FakeFrame() }],
  ];
  for (const [, event] of senders) {
    app.ipcMain.emit('dispatcher:open', event);
    app.ipcMain.emit('dispatcher:frame', event, frame);
  }
  const rows = await app.entries('rejected', senders.length * 2);
  assert.equal(rows.length, senders.length * 2);
  assert.ok(rows.every(({ door, outcome }) => door === 'app' && outcome === 'origin_refused'));
  assert.deepEqual([app.calls, app.contents.sent, other.sent], [[], [], []]);
});

test('E03: whatever a page sends is answered with a fault that shows nothing of the inside', async () => {
  await using app = await openDoor();
  openPagePort(app.ipcMain, app.contents);
  const event = { sender: app.contents, senderFrame: app.contents.mainFrame };
  const frames = fc.sample(
    fc.oneof(fc.anything(), fc.record({ t: fc.constantFrom('call', 'cancel', 'watch', 'auth'), id: fc.anything(), ask: fc.anything() })),
    {
      numRuns: 300,
      seed: 1,
    },
  );
  for (const frame of [...frames, { t: 'call', id: 5, ask: JSON.parse('{"__proto__": {"route": "T.echo"}, "route": 5}') }])
    app.ipcMain.emit('dispatcher:frame', event, frame);
  await new Promise(setImmediate);
  const faults = app.contents.sent.map(({ frame }) => frame as DownFrame);
  assert.ok(faults.length > 250, `${faults.length} answers`);
  for (const fault of faults) {
    assert.equal(fault.t, 'fault');
    assert.doesNotMatch(JSON.stringify(fault), /node_modules|\.ts\b|file:\/\/| at .*:\d+:\d+/);
  }
  assert.equal(app.calls.length, 0);
});

test('closing the door ends the ports and says so to the page', async () => {
  await using app = await openDoor();
  const client = createClient(openPagePort(app.ipcMain, app.contents));
  const closed = new Promise<void>((resolve) => client.onClose(resolve));
  const accepted = Promise.withResolvers<unknown>();
  const { answer } = client.call({ route: 'T.slow' }, accepted.resolve);
  await accepted.promise;
  app.door[Symbol.dispose]();
  await closed;
  await assert.rejects(answer, { name: 'Refusal' });
  assert.equal(app.ipcMain.listenerCount('dispatcher:frame'), 0);
});
