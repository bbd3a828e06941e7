import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../shared/model.ts';
import { type Breakers, createBreakers, endpointKey } from './breaker.ts';

const A = 'http://127.0.0.1:1';
const B = 'http://127.0.0.1:2';

function route(name: string, endpoint: string, fallback: string | null = null): Route {
  return { name, endpoint, fallback } as Route;
}

function setup() {
  let now = 1_000_000;
  const seen: string[] = [];
  const breakers = createBreakers({ clock: () => now, onChange: ({ endpoint, state }) => seen.push(`${endpoint.slice(-1)} ${state}`) });
  const pass = (ms: number) => {
    now += ms;
  };
  return { breakers, seen, pass };
}

function call(breakers: Breakers, endpoint: string, success: boolean | null): string {
  const permit = breakers.permit(endpoint);
  if (!permit.ok) return `refused, again in ${permit.retryAfterMs} ms`;
  permit.done(success);
  return success === null ? 'cancelled' : success ? 'ok' : 'failed';
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

test('N04: five failures open it, one of 100 parallel calls probes, success closes it', () => {
  const { breakers, seen, pass } = setup();
  times(4, () => call(breakers, A, false));
  call(breakers, A, true);
  times(4, () => call(breakers, A, false));
  assert.equal(breakers.state(A).state, 'closed', 'a success in between starts the count again');
  call(breakers, A, false);
  assert.equal(call(breakers, A, true), 'refused, again in 10000 ms');
  pass(9_999);
  assert.equal(call(breakers, A, true), 'refused, again in 1 ms');
  pass(1);
  const permits = times(100, () => breakers.permit(A));
  const admitted = permits.filter((permit) => permit.ok);
  assert.equal(admitted.length, 1);
  admitted[0]!.ok && admitted[0]!.done(true);
  assert.equal(call(breakers, A, true), 'ok');
  assert.deepEqual(seen, ['1 open', '1 half-open', '1 closed']);
});

test('N04: a failed probe doubles the cool-down up to a minute; a success sets it back', () => {
  const { breakers, pass } = setup();
  times(5, () => call(breakers, A, false));
  const waits: number[] = [];
  for (let round = 0; round < 5; round++) {
    const { retryAt, openedAt } = breakers.state(A);
    assert.ok(retryAt! > openedAt!);
    const refused = breakers.permit(A);
    if (refused.ok) throw new Error('admitted');
    waits.push(refused.retryAfterMs);
    pass(refused.retryAfterMs);
    call(breakers, A, false);
  }
  assert.deepEqual(waits, [10_000, 20_000, 40_000, 60_000, 60_000]);
  pass(60_000);
  call(breakers, A, true);
  times(5, () => call(breakers, A, false));
  assert.equal(call(breakers, A, false), 'refused, again in 10000 ms');
});

test('a cancelled probe neither closes it nor lengthens the cool-down, and leaves room for the next', () => {
  const { breakers, pass } = setup();
  times(5, () => call(breakers, A, false));
  pass(10_000);
  assert.equal(call(breakers, A, null), 'cancelled');
  assert.equal(breakers.state(A).state, 'open');
  assert.equal(call(breakers, A, true), 'ok');
  assert.equal(breakers.state(A).state, 'closed');
});

test('a permit handed back twice counts once', () => {
  const { breakers } = setup();
  const permit = breakers.permit(A);
  times(9, () => permit.ok && permit.done(false));
  assert.equal(breakers.state(A).failures, 1);
});

test('N05: of a route and its fallback the one that cools down first stays admitted when both are open', () => {
  const { breakers, pass } = setup();
  breakers.assign([route('X.a', `${A}/v1`, 'X.b'), route('X.b', `${B}/v1`)]);
  times(5, () => call(breakers, A, false));
  assert.match(call(breakers, A, true), /^refused/, 'the fallback still stands');
  pass(3000);
  times(5, () => call(breakers, B, false));
  assert.match(call(breakers, B, true), /^refused, again in 10000 ms/);
  assert.equal(call(breakers, A, false), 'failed', 'A cools down first, so it is the last one standing');
  assert.equal(breakers.state(A).state, 'open');
  assert.equal(call(breakers, A, true), 'ok');
  assert.equal(breakers.state(A).state, 'closed');
});

test('N05: a route with one endpoint is refused with a time and probed for ever', () => {
  const { breakers, pass } = setup();
  breakers.assign([route('X.a', A)]);
  times(5, () => call(breakers, A, false));
  for (let day = 0; day < 100; day++) {
    assert.match(call(breakers, A, false), /^refused, again in/);
    pass(60_000);
    assert.equal(call(breakers, A, false), 'failed');
  }
  pass(60_000);
  assert.equal(call(breakers, A, true), 'ok');
});

test('tripped by hand it stays open until reset, and what was under way says nothing about it', () => {
  const { breakers, pass, seen } = setup();
  breakers.assign([route('X.a', A, 'X.b'), route('X.b', B)]);
  const before = breakers.permit(A);
  breakers.trip(A);
  pass(3_600_000);
  assert.match(call(breakers, A, true), /^refused/);
  if (before.ok) before.done(true);
  assert.deepEqual(
    { ...breakers.state(A), openedAt: null },
    { endpoint: A, state: 'open', forced: true, failures: 0, openedAt: null, retryAt: null, routes: ['X.a'] },
  );
  breakers.reset(A);
  assert.equal(call(breakers, A, true), 'ok');
  assert.deepEqual(seen, ['1 open', '1 closed']);
});

test('a new registry names the routes of an endpoint and forgets endpoints nobody uses', () => {
  const { breakers } = setup();
  breakers.assign([route('X.a', `${A}/a`), route('X.b', `${A}/b?x=1`), route('X.c', B)]);
  assert.deepEqual(
    breakers.all().map(({ endpoint, routes }) => [endpoint, routes]),
    [
      [A, ['X.a', 'X.b']],
      [B, ['X.c']],
    ],
  );
  times(5, () => call(breakers, A, false));
  breakers.assign([]);
  assert.deepEqual(
    breakers.all().map(({ endpoint, state }) => [endpoint, state]),
    [[A, 'open']],
  );
  assert.equal(endpointKey('http://LUCIDIA:80/x'), 'http://lucidia');
});
