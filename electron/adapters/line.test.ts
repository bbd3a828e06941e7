/** The line for the GPU through the doors: whoever swaps, waits, goes away or comes in crowds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import WebSocket from 'ws';
import { createCard, GiB, only, openHouse, provider, seen, startBox } from './card-testing.ts';

const within = { timeout: 90_000 };
const oneOf = (name: string, server: { url: string }, more: object = {}) =>
  provider(name, server, { sizes: { '8B': 8 }, capabilities: [name], ...more });
const sizes = (...names: string[]) => Object.fromEntries(names.map((name) => [`${name}:8B`, 8 * GiB]));

/** A card with room for one of the models, which is warm and in use until it is let go. */
async function open(names: string[], cortex = '{ inertia: 0s, starvation: 30s }') {
  await using stack = new AsyncDisposableStack();
  const card = createCard(12);
  const box = stack.use(await startBox(sizes(...names), { card }));
  const house = stack.use(await openHouse({ providers: names.map((name) => oneOf(name, box)).join('\n'), cortex }, { card }));
  const owned = stack.move();
  return Object.assign(house, { box, card, [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

test('ABCABC at the door becomes AABBCC at the server', within, async () => {
  await using house = await open(['a', 'b', 'c', 'z']);
  const { body: busy } = await house.grant({ capabilities: ['z'] });
  const answers: Promise<Response>[] = [];
  for (const name of ['a', 'b', 'c', 'a', 'b', 'c']) {
    answers.push(house.chat(`${name}:8B`));
    await seen(async () => (await house.standing()).queue.length === answers.length);
  }
  house.box.log.length = 0;
  await house.revoke(busy.id);
  const statuses = (await Promise.all(answers)).map(({ status }) => status);
  assert.deepEqual(
    [
      statuses,
      only(house.box.log, 'load'),
      only(house.box.log, 'call')
        .map((model) => model[0])
        .join(''),
    ],
    [Array(6).fill(200), ['a:8B', 'b:8B', 'c:8B'], 'aabbcc'],
  );
});

test('whoever is overtaken is overtaken for the starvation bound and no longer', within, async () => {
  await using house = await open(['a', 'b'], '{ inertia: 1h, starvation: 1s }');
  assert.equal((await house.chat('a:8B')).status, 200);
  let stop = false;
  const crowd = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!stop) await (await house.chat('a:8B')).text();
    }),
  );
  await seen(() => only(house.box.log, 'call').length > 20);
  const startedAt = performance.now();
  const { status } = await house.chat('b:8B');
  const tookMs = performance.now() - startedAt;
  stop = true;
  await crowd;
  assert.deepEqual([status, tookMs < 8000], [200, true], `${tookMs} ms`);
});

test('a client that goes away leaves the line, and nothing is loaded for it', within, async () => {
  await using house = await open(['a', 'b']);
  const { body: busy } = await house.grant({ capabilities: ['a'] });
  const gone = new AbortController();
  const asked = house.chat('b:8B', { signal: gone.signal }).catch((caught: Error) => caught.name);
  const granted = house
    .http('POST', '/grants', { body: { need: { capabilities: ['b'] }, task: 'b' }, signal: gone.signal })
    .catch((caught: Error) => caught.name);
  await seen(async () => (await house.standing()).queue.length === 2);
  gone.abort();
  assert.deepEqual(await Promise.all([asked, granted]), ['AbortError', 'AbortError']);
  await seen(async () => (await house.standing()).queue.length === 0);
  await house.revoke(busy.id);
  assert.equal((await house.chat('a:8B')).status, 200);
  assert.deepEqual([only(house.box.log, 'load'), (await house.standing()).leases], [['a:8B'], []]);
});

test('whoever waits for a grant does not keep the core from ending', within, async () => {
  const house = await open(['a', 'b']);
  await house.grant({ capabilities: ['a'] });
  const asked = house.http('POST', '/grants', { body: { need: { capabilities: ['b'] }, task: 'b', wait_ms: 1_800_000 } }).then(
    ({ status }) => status,
    () => 'cut',
  );
  const loaded = house.http('POST', '/models/load?confirm=true', { body: { provider: 'b' } }).then(
    ({ status }) => status,
    () => 'cut',
  );
  await seen(async () => (await house.standing()).queue.length === 2);
  const startedAt = performance.now();
  await house[Symbol.asyncDispose]();
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 10_000, `${tookMs} ms`);
  await Promise.all([asked, loaded]);
});

test('a thousand in line: the core answers, what watchers hear is bounded, and everybody is served', within, async () => {
  await using house = await open(['a', 'b', 'c']);
  const { body: busy } = await house.grant({ capabilities: ['a'] });
  const socket = new WebSocket(house.door.url.replace('http', 'ws').concat('/ws'), { headers: { authorization: `Bearer ${house.owner}` } });
  const cortex: { at: number; bytes: number }[] = [];
  let bytes = 0;
  let longest = 0;
  socket.on('message', (data: Buffer) => {
    bytes += data.length;
    longest = Math.max(longest, data.length);
    const frame = JSON.parse(data.toString()) as { events?: { type: string }[] };
    for (const event of frame.events ?? [])
      if (event.type === 'cortex') cortex.push({ at: performance.now(), bytes: JSON.stringify(event).length });
  });
  await new Promise((resolve) => socket.once('open', resolve));
  socket.send(JSON.stringify({ t: 'watch', since: 0 }));
  await seen(() => bytes > 0);
  const startedAt = performance.now();
  const answers = Array.from({ length: 1000 }, async (_, index) => {
    const response = await house.chat(index % 2 === 0 ? 'b:8B' : 'c:8B');
    await response.arrayBuffer();
    return response.status;
  });
  await seen(() => {
    const { queue, unlisted } = house.core.cortex.state();
    return queue.length + unlisted.queue === 1000;
  });
  const took: number[] = [];
  for (const path of ['/health', '/cortex', '/health', '/cortex']) {
    const at = performance.now();
    await (await house.http('GET', path)).arrayBuffer();
    took.push(performance.now() - at);
  }
  await house.revoke(busy.id);
  const statuses = new Set(await Promise.all(answers));
  const passedMs = performance.now() - startedAt;
  socket.terminate();
  assert.ok(Math.max(...took) < 2000, `answers took ${took.map(Math.round).join(', ')} ms`);
  const largest = Math.max(...cortex.map((event) => event.bytes));
  assert.ok(largest < 256 * 1024, `an event of ${largest} bytes`);
  assert.ok(longest < 4 * 1024 ** 2, `a frame of ${longest} bytes`);
  // Each step of a load or an unload is told at once, besides what is gathered.
  assert.ok(cortex.length < passedMs / 200 + 40, `${cortex.length} events of the cortex in ${Math.round(passedMs)} ms`);
  assert.deepEqual([[...statuses], only(house.box.log, 'load')], [[200], ['a:8B', 'b:8B', 'c:8B']]);
});
