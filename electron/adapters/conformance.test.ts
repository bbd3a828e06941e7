/** One suite over every front: the same call leaves the same crossing, the same error and the same audit entries, whatever door it came through. */
import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import type { Ask, DownFrame, UpFrame } from '../../shared/contract.ts';
import { catalogue } from '../../shared/errors.ts';
import type { AuditEntry, Crossing, Door } from '../../shared/model.ts';
import { createClient, createPortPair, type Port } from '../../shared/port.ts';
import type { Core } from '../core/core.ts';
import { createStandIn, FakeContents, openPagePort } from '../testing.ts';
import { origin } from '../window.ts';
import { runCommand } from './cli.ts';
import { parseCommand } from './cli-words.ts';
import { createHttpDoor } from './http.ts';
import { createIpcDoor } from './ipc.ts';
import { serve } from './serve.ts';
import { openCore } from './testing.ts';

interface Front {
  name: string;
  /** What the crossings and audit entries that come through it name as their door. */
  door: Door;
  /** Why it has no words for a call; null when it has. */
  lacks?(ask: Ask): string | null;
  open(core: Core): Promise<{ call(ask: Ask): Promise<Crossing>; close(): Promise<void> }>;
}

const library: Front = {
  name: 'library',
  door: 'library',
  async open(core) {
    return { call: (ask) => core.dispatch({ ...ask, door: 'library', principal: core.owner.principal }), async close() {} };
  },
};

const webSocket: Front = {
  name: 'WebSocket',
  door: 'ws',
  async open(core) {
    const door = await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' });
    const socket = new WebSocket(`${door.url.replace('http', 'ws')}/ws`, { headers: { authorization: `Bearer ${core.owner.secret}` } });
    await new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject));
    const port: Port<UpFrame, DownFrame> = {
      send: (frame) => socket.send(JSON.stringify(frame)),
      onFrame: (listener) => socket.on('message', (data) => listener(JSON.parse(String(data)))),
      onClose: (listener) => socket.on('close', listener),
      close: () => socket.close(),
    };
    const client = createClient(port);
    return {
      call: (ask) => client.call(ask).answer,
      async close() {
        client.close();
        await door[Symbol.asyncDispose]();
      },
    };
  },
};

const http: Front = {
  name: 'HTTP',
  door: 'http',
  async open(core) {
    const door = await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' });
    return {
      async call({ text, traceparent, ...ask }) {
        const response = await fetch(`${door.url}/dispatch`, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${core.owner.secret}`,
            'content-type': 'application/json',
            accept: 'application/json',
            ...(traceparent !== undefined && { traceparent }),
          },
          body: JSON.stringify({ query: text, ...ask }),
        });
        const { type: _type, title: _title, status, detail: _detail, ...crossing } = (await response.json()) as Record<string, unknown>;
        assert.equal(status ?? 200, response.status);
        return crossing as unknown as Crossing;
      },
      async close() {
        await door[Symbol.asyncDispose]();
      },
    };
  },
};

/** The page of Electron's window, with a stand-in for Electron's two ends. */
const window: Front = {
  name: 'IPC',
  door: 'app',
  async open(core) {
    const { electron, ipcMain } = createStandIn();
    const door = createIpcDoor(core, { ipcMain: electron.ipcMain, origin });
    const contents = new FakeContents();
    door.attach(contents as never);
    const client = createClient(openPagePort(ipcMain, contents));
    return { call: (ask) => client.call(ask).answer, close: async () => door[Symbol.dispose]() };
  },
};

const commandLine: Front = {
  name: 'CLI',
  door: 'cli',
  lacks({ route, text, parent, traceparent }) {
    if (parent !== undefined || traceparent !== undefined) return 'no flag for a parent or a trace';
    return (route === undefined) === (text === undefined) ? 'dispatch takes a text, dispatch-to a route' : null;
  },
  async open(core) {
    const [near, far] = createPortPair<DownFrame, UpFrame>();
    serve(core, near, { principal: core.owner.principal, door: 'cli' });
    const client = createClient(far);
    return {
      async call({ route, text, params, ask, deadlineMs, confirm }) {
        const words = route === undefined ? ['dispatch', text as string] : ['dispatch-to', ...route.split(/\.(.*)/).slice(0, 2)];
        const flags = [
          '--json',
          ...(params ? ['--data', JSON.stringify(params)] : []),
          ...(ask ? ['--ask'] : []),
          ...(deadlineMs ? ['--deadline', String(deadlineMs)] : []),
          ...(confirm ? ['--yes'] : []),
        ];
        const [stdin, stdout, stderr] = [Readable.from(['']), new PassThrough(), new PassThrough()];
        const terminal = { stdin, stdout, stderr, historyFile: null };
        const exit = await runCommand(parseCommand([...words, ...flags]), { client, terminal, signal: new AbortController().signal });
        const crossing = JSON.parse(await readAll(stdout.end())) as Crossing;
        assert.equal(exit, crossing.error ? catalogue[crossing.error.code].exit : 0);
        return crossing;
      },
      close: async () => client.close(),
    };
  },
};

/** A new front is one more entry here. */
const fronts: Front[] = [library, webSocket, http, window, commandLine];

const parent = 'x_parent';
const calls: Record<string, Ask[]> = {
  'a named route': [{ route: 'T.echo', params: { action: 'sync', objects: ['Contact', 'Lead'], nested: { é: '😀' } } }],
  'a text by its rule': [{ text: 'repeat this please' }],
  'a text the operator is not sure of': [{ text: 'zzz qqq' }],
  'a text, asking back': [{ text: 'zzz qqq', ask: true }],
  'a route and a text': [{ route: 'T.echo', text: 'as the person typed it', params: { a: 1 } }],
  'an unknown route': [{ route: 'T.ecko' }],
  'an unknown org': [{ route: 'X.y' }],
  'neither route nor text': [{}],
  'a parent and a trace': [{ route: 'T.echo', parent, traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }],
  'a service that fails': [{ route: 'T.fail' }],
  'a service that halts': [{ route: 'T.halt' }],
  'a service that answers a page': [{ route: 'T.page' }],
  'a service that answers bytes': [{ route: 'T.bytes' }],
  'a service that is too slow': [{ route: 'T.slow', deadlineMs: 100 }],
  'a service that is down': [{ route: 'T.down', deadlineMs: 300 }],
  'names that reach a prototype': [{ route: 'T.echo', params: { a: { constructor: { prototype: {} } } } }],
  'a built-in route': [{ route: 'OS.routes', params: { org: 'T' } }],
  'a built-in route with the wrong input': [{ route: 'OS.jobs', params: { limit: 'many' } }],
  'a built-in route with a field too many': [{ route: 'OS.gpu', params: { colour: 1 } }],
  'a built-in route that finds nothing': [{ route: 'OS.jobs.get', params: { id: 'nobody' } }],
  'a switch, unconfirmed and confirmed, and a route it refuses': [
    { route: 'OS.sovereign.set', params: { on: true } },
    { route: 'T.far' },
    { route: 'OS.sovereign.set', params: { on: false } },
    { route: 'OS.sovereign.set', params: { on: false }, confirm: true },
  ],
};

/** What must be equal: everything but ids, times, and the name of the door. */
function essence(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(essence);
  if (typeof value === 'string')
    return value
      .replace(/latency=\d+ms/, 'latency=')
      .replace(/\b\d+(\.\d+)? ?ms\b/g, 'ms')
      .replace(/127\.0\.0\.1:\d+/g, 'loopback');
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !differs.has(key))
      // The seam's clock and the connection's ring at the same deadline; either may say it, in its own words.
      .filter(([key]) => !('code' in value && value.code === 'upstream_timeout') || (key !== 'message' && key !== 'hint'))
      .map(([key, child]) => [key, essence(child)]),
  );
}
const differs = new Set(
  'id job crossing audit at door durationMs startedAt ms signature hash previous digest seq since loadedAt calls p50Ms p95Ms lastCallAt lastError file'.split(
    ' ',
  ),
);

interface Stage {
  front: Front;
  play(asks: Ask[]): Promise<{ crossings: Crossing[]; entries: AuditEntry[] }>;
  close(): Promise<void>;
}

/** A front before a core of its own. */
async function stageOf(front: Front): Promise<Stage> {
  const at = await openCore();
  const opened = await front.open(at.core);
  const audit = async () => {
    const { result } = await at.core.dispatch({
      route: 'OS.audit',
      params: { limit: 500 },
      door: 'library',
      principal: at.core.owner.principal,
    });
    return (result as { entries: AuditEntry[] }).entries;
  };
  return {
    front,
    async play(asks) {
      const last = (await audit())[0]?.seq ?? 0;
      const crossings: Crossing[] = [];
      for (const ask of asks) crossings.push(await opened.call(ask));
      return { crossings, entries: (await audit()).filter(({ seq }) => seq > last).reverse() };
    },
    async close() {
      await opened.close();
      await at[Symbol.asyncDispose]();
    },
  };
}

/** A crossing as it is after JSON, with the trace cut to what the caller gave. */
const comparable = (crossing: Crossing, ask: Ask) =>
  essence({ ...JSON.parse(JSON.stringify(crossing)), traceparent: ask.traceparent ? crossing.traceparent.slice(0, 36) : '' });
const comparableEntry = ({ kind, caller, route, outcome, detail }: AuditEntry) =>
  essence({ kind, caller, route, outcome, detail: { ...JSON.parse(detail), traceparent: '' } });

test('every front leaves the same record', async (suite) => {
  const stages = await Promise.all(fronts.map(stageOf));
  suite.after(() => Promise.all(stages.map((stage) => stage.close())));
  for (const [name, asks] of Object.entries(calls)) {
    await suite.test(name, async (run) => {
      const able = stages.filter(({ front }) => {
        const reason = asks.map((ask) => front.lacks?.(ask) ?? null).find((one) => one !== null);
        if (reason) run.diagnostic(`not through ${front.name}: ${reason}`);
        return !reason;
      });
      const played = await Promise.all(able.map((stage) => stage.play(asks)));
      const records = played.map(({ crossings, entries }) => ({
        crossings: crossings.map((crossing, index) => comparable(crossing, asks[index] as Ask)),
        entries: entries.map(comparableEntry),
      }));
      for (const [index, { front }] of able.entries()) {
        const { crossings, entries } = played[index] as (typeof played)[number];
        assert.deepEqual(records[index], records[0], front.name);
        for (const { door, audit } of crossings) {
          assert.equal(door, front.door);
          assert.ok(
            audit === null || entries.some(({ seq, hash }) => seq === audit.seq && hash === audit.hash),
            'the entry it names is there',
          );
        }
        for (const { door, kind } of entries) assert.ok(door === front.door || kind === 'change', `${kind} by ${door}`);
      }
    });
  }
});
