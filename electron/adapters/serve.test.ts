import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Call, DownFrame, Event, UpFrame } from '../../shared/contract.ts';
import { Refusal, refuse } from '../../shared/errors.ts';
import type { Crossing, Principal, Snapshot } from '../../shared/model.ts';
import { createClient, createPortPair } from '../../shared/port.ts';
import type { Core } from '../core/core.ts';
import { serve } from './serve.ts';

interface StandIn {
  core: Pick<Core, 'dispatch' | 'watch'>;
  calls: Call[];
  watchers: Set<Parameters<Core['watch']>[1]>;
  /** What T.long does. */
  onLong(signal?: AbortSignal): void;
}

/** A stand-in for the core that answers at once, never, or when it is told to stop: what serve does with each is the question here. */
function createStandIn(): StandIn {
  const stand: StandIn = {
    calls: [],
    watchers: new Set(),
    onLong() {},
    core: {
      watch(_since, listener) {
        stand.watchers.add(listener);
        listener.snapshot({ seq: 0 } as Snapshot);
        return () => stand.watchers.delete(listener);
      },
      async dispatch(call, signal, accepted) {
        stand.calls.push(call);
        const { route = '', params, door, principal } = call;
        accepted?.({ job: 'j', route, audit: { seq: 1, hash: '' } });
        if (route === 'T.long') {
          stand.onLong(signal);
          await new Promise(() => {});
        }
        if (route === 'T.slow') await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        const error = signal?.aborted ? refuse('cancelled', 'Cancelled.') : null;
        return { ok: error === null, route, result: params, error, door, caller: principal.id } as Crossing;
      },
    },
  };
  return stand;
}

const owner: Principal = { id: 'owner', name: 'owner', capabilities: ['read', 'dispatch', 'admin'] };

/** A served port, the frames that came down it, and the way to wait for the next of a kind. */
function open(options: { principal?: Principal; congested?: () => boolean } = {}) {
  const stand = createStandIn();
  const [front, back] = createPortPair<UpFrame, DownFrame>();
  const frames: DownFrame[] = [];
  const waiting: { wanted: DownFrame['t']; resolve(frame: DownFrame): void }[] = [];
  serve(stand.core, back, { principal: owner, door: 'ws', ...options });
  front.onFrame((frame) => {
    frames.push(frame);
    const at = waiting.findIndex(({ wanted }) => wanted === frame.t);
    if (at >= 0) waiting.splice(at, 1)[0]?.resolve(frame);
  });
  const next = (wanted: DownFrame['t']) => new Promise<DownFrame>((resolve) => waiting.push({ wanted, resolve }));
  return { ...stand, stand, front, frames, next, send: (frame: unknown) => front.send(frame as UpFrame) };
}

const event = (seq: number) => ({ type: 'chunk', job: 'j', text: String(seq), seq, at: 0, signal: null }) as Event;
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

test('a call is accepted, then answered, for the principal and door of the port', async () => {
  const at = open();
  at.send({ t: 'call', id: 7, ask: { route: 'T.echo', params: { a: 1 } } });
  const answer = await at.next('answer');
  assert.deepEqual(
    at.frames.map(({ t }) => t),
    ['accepted', 'answer'],
  );
  assert.deepEqual(answer.t === 'answer' && [answer.id, answer.crossing.result, answer.crossing.door, answer.crossing.caller], [
    7,
    { a: 1 },
    'ws',
    'owner',
  ]);
});

test('a frame that does not fit is answered with the path that does not', async () => {
  const at = open();
  const faults: Record<string, [unknown, number | null, string]> = {
    'not an object': [17, null, ''],
    'unknown verb': [{ t: 'shout' }, null, 't'],
    'wrong type': [{ t: 'call', id: 1, ask: { text: 5 } }, 1, 'ask.text'],
    'unknown field': [{ t: 'call', id: 2, ask: { route: 'a', colour: 1 } }, 2, 'ask.colour'],
    'a principal of its own': [{ t: 'call', id: 3, ask: { route: 'a' }, principal: {} }, 3, 'principal'],
    'wrong id': [{ t: 'call', id: -1, ask: {} }, -1, 'id'],
    'watch from nowhere': [{ t: 'watch' }, null, 'since'],
  };
  for (const [name, [frame, id, path]] of Object.entries(faults)) {
    const fault = at.next('fault');
    at.send(frame);
    const got = await fault;
    assert.deepEqual(got.t === 'fault' && [name, got.id, got.error.code, got.error.issues?.[0]?.path], [name, id, 'input_invalid', path]);
  }
  assert.equal(at.calls.length, 0);
});

test('an id in use is refused without harm to the call that has it; cancel aborts that call', async () => {
  const at = open();
  at.send({ t: 'call', id: 1, ask: { route: 'T.slow' } });
  at.send({ t: 'call', id: 1, ask: { route: 'T.echo' } });
  const fault = await at.next('fault');
  assert.deepEqual(fault.t === 'fault' && [fault.id, fault.error.code], [null, 'input_invalid']);
  at.send({ t: 'cancel', id: 1 });
  at.send({ t: 'cancel', id: 99 });
  const answer = await at.next('answer');
  assert.deepEqual(answer.t === 'answer' && [answer.id, answer.crossing.error?.code], [1, 'cancelled']);
});

test('more than a thousand calls under way on one port are refused', async () => {
  const at = open();
  for (let id = 0; id <= 1000; id++) at.send({ t: 'call', id, ask: { route: 'T.slow' } });
  const fault = await at.next('fault');
  assert.deepEqual(fault.t === 'fault' && [fault.id, fault.error.code, at.calls.length], [1000, 'limited', 1000]);
});

test('closing the port aborts nothing that was accepted, and frees the watcher', async () => {
  const at = open();
  let aborted = false;
  at.stand.onLong = (signal) =>
    signal?.addEventListener('abort', () => {
      aborted = true;
    });
  at.send({ t: 'watch', since: 0 });
  at.send({ t: 'call', id: 1, ask: { route: 'T.long' } });
  await at.next('accepted');
  assert.equal(at.watchers.size, 1);
  at.front.close();
  await turn();
  assert.deepEqual([at.watchers.size, aborted], [0, false]);
});

test('a bug in the core is a fault without its stack', async () => {
  const at = open();
  at.core.dispatch = () => {
    throw new TypeError('secret path');
  };
  await assert.rejects(createClientOf(at).call({ route: 'a' }).answer, (error: Refusal) => {
    assert.deepEqual([error.wire.code, JSON.stringify(error.wire).includes('secret')], ['internal', false]);
    return error instanceof Refusal;
  });
});

function createClientOf(at: ReturnType<typeof open>) {
  const [front, back] = createPortPair<UpFrame, DownFrame>();
  serve(at.core, back, { principal: owner, door: 'ws' });
  return createClient(front);
}

test('the events of one turn come in one frame, in order; unwatch ends them', async () => {
  const at = open();
  at.send({ t: 'watch', since: 0 });
  await at.next('snapshot');
  const [watcher] = at.watchers;
  for (let seq = 1; seq <= 5; seq++) watcher?.events([event(seq)]);
  const frame = await at.next('events');
  assert.deepEqual(frame.t === 'events' && frame.events.map(({ seq }) => seq), [1, 2, 3, 4, 5]);
  at.send({ t: 'watch', since: 5 });
  await at.next('snapshot');
  assert.equal(at.watchers.size, 1, 'one watcher a port');
  at.send({ t: 'unwatch' });
  await turn();
  assert.deepEqual([at.watchers.size, at.frames.filter(({ t }) => t === 'events').length], [0, 1]);
});

test('a snapshot that cannot be made is a fault, at the start and after a lag', async () => {
  let slow = false;
  const at = open({ congested: () => slow });
  const { watch } = at.core;
  const broken = () => {
    throw new Refusal(refuse('store_unavailable', 'The database is damaged.'));
  };
  at.core.watch = broken;
  at.send({ t: 'watch', since: 0 });
  const first = await at.next('fault');
  at.core.watch = watch;
  at.send({ t: 'watch', since: 0 });
  await at.next('snapshot');
  slow = true;
  for (const watcher of at.watchers) watcher.events([event(1)]);
  await turn();
  at.core.watch = broken;
  slow = false;
  const second = await at.next('fault');
  assert.deepEqual(
    [first, second].map((frame) => frame.t === 'fault' && [frame.id, frame.error.code]),
    Array(2).fill([null, 'store_unavailable']),
  );
});

test('W07: watching needs the capability read', async () => {
  const at = open({ principal: { id: 'hand', name: 'hand', capabilities: ['dispatch'] } });
  at.send({ t: 'watch', since: 0 });
  const fault = await at.next('fault');
  assert.deepEqual(fault.t === 'fault' && [fault.error.code, fault.error.needed, at.watchers.size], ['forbidden', ['read'], 0]);
});

test('a watcher that reads too slowly gets nothing while it lags, then one fresh snapshot', async () => {
  let slow = false;
  const at = open({ congested: () => slow });
  at.send({ t: 'watch', since: 0 });
  await at.next('snapshot');
  slow = true;
  for (let seq = 1; seq <= 10_000; seq++) for (const watcher of at.watchers) watcher.events([event(seq)]);
  await turn();
  assert.deepEqual([at.watchers.size, at.frames.some(({ t }) => t === 'events')], [0, false], 'nothing is kept for it');
  slow = false;
  await at.next('snapshot');
  for (const watcher of at.watchers) watcher.events([event(10_001)]);
  const frame = await at.next('events');
  assert.deepEqual(frame.t === 'events' && frame.events.map(({ seq }) => seq), [10_001]);
});
