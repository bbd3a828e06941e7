import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { admission, createSchedule, type ScheduleEvent, type State, step } from './schedule.ts';

/** Steps a schedule of its own; `ask` answers how long to wait, 0 for what was admitted. */
function open(settings: Partial<ScheduleEvent & { type: 'configure' }> = {}) {
  let state: State = createSchedule();
  function ask(event: ScheduleEvent): number {
    const { state: next, effects } = step(state, event);
    state = next;
    return effects.reduce((wait, effect) => (effect.type === 'refuse' ? effect.retryAfterMs : wait), 0);
  }
  const configure = (more: Partial<ScheduleEvent & { type: 'configure' }>) =>
    ask({
      type: 'configure',
      calls: null,
      actionsPerMinute: 10,
      cooldownMs: 5000,
      queueMost: 100,
      deliveryTries: 3,
      starveMs: 60_000,
      ...more,
    });
  configure(settings);
  return {
    ask,
    configure,
    call: (at: number, principal = 'ann') => ask({ type: 'admit', at, principal, action: false, subject: null }),
    action: (at: number, principal = 'ann') => ask({ type: 'admit', at, principal, action: true, subject: null }),
    /** Of somebody new each time, so that only the subject can be in the way. */
    subject: (at: number, subject = 'story:1') => ask({ type: 'admit', at, principal: `one ${at} ${subject}`, action: false, subject }),
    state: () => state,
  };
}

test('a burst passes, then the rate; each principal has its own', () => {
  const { call } = open({ calls: { perSecond: 10, burst: 3 } });
  assert.deepEqual([call(0), call(0), call(0), call(0), call(0, 'bob'), call(99), call(100), call(100)], [0, 0, 0, 100, 0, 1, 0, 100]);
});

test('what is left can be asked for without taking any', () => {
  const { call, state } = open({ calls: { perSecond: 10, burst: 3 } });
  const left = (at: number) => admission(state(), 'ann', at);
  const fresh = left(0);
  for (let i = 0; i < 3; i++) call(0);
  assert.deepEqual(
    [fresh, left(0), left(250)],
    [3, 0, 2].map((remaining) => ({ remaining, perSecond: 10, burst: 3, retryAfterMs: remaining > 0 ? 0 : 100 })),
  );
});

test('no limits means none; a new rate starts with full buckets, the same rate goes on', () => {
  const limits = open();
  const unlimited = [limits.call(0), admission(limits.state(), 'ann', 0)];
  const rate = { perSecond: 1, burst: 1 };
  limits.configure({ calls: rate });
  const first = limits.call(0);
  limits.configure({ calls: { ...rate } });
  const same = limits.call(0);
  limits.configure({ calls: { perSecond: 2, burst: 1 } });
  assert.deepEqual([unlimited, first, same, limits.call(0)], [[0, null], 0, 1000, 0]);
});

test('F27: ten actions pass in any minute, and the eleventh when the first is a minute old', () => {
  const { action, call } = open({ calls: { perSecond: 1, burst: 1 } });
  const tries = Array.from({ length: 50 }, (_, i) => action(i * 100));
  assert.deepEqual(tries.map((wait) => wait === 0).lastIndexOf(true), 9);
  assert.deepEqual(
    [tries[10], action(59_999), action(60_000), action(60_000), action(60_000, 'bob'), call(60_000)],
    [59_000, 1, 0, 100, 0, 0],
  );
});

test('fewer actions a minute count those that passed before', () => {
  const { action, configure } = open();
  for (const at of [0, 1000, 2000]) action(at);
  configure({ actionsPerMinute: 2 });
  assert.deepEqual([action(3000), action(61_000)], [58_000, 0]);
});

test('F27: the same story within five seconds waits for the rest of them, another does not', () => {
  const { subject } = open();
  assert.deepEqual([subject(0), subject(4000), subject(4000, 'story:2'), subject(4999), subject(5000)], [0, 1000, 0, 1, 0]);
});

test('limits survive a restart, and a clock that was set back shuts nobody out for longer', () => {
  const { ask, action, subject } = open({ actionsPerMinute: 2 });
  const actions = [
    { principal: 'ann', at: 99_000_000 },
    { principal: 'ann', at: 70_000 },
    { principal: 'ann', at: 1 },
  ];
  const subjects = [
    { subject: 'story:1', at: 99_000 },
    { subject: 'story:1', at: 97_000 },
    { subject: 'story:2', at: 99_000_000 },
  ];
  ask({ type: 'remember', at: 100_000, actions, subjects });
  assert.deepEqual([action(100_000), subject(100_000), subject(100_000, 'story:2')], [30_000, 4000, 5000]);
  assert.deepEqual([action(130_000), action(130_001)], [0, 29_999]);
});

const asks = fc.array(
  fc.record({
    gap: fc.constantFrom(0, 0, 1, 7, 90, 1000, 20_000),
    principal: fc.constantFrom('ann', 'bob'),
    action: fc.boolean(),
    subject: fc.constantFrom('s', 't'),
  }),
  { maxLength: 300, size: 'max' },
);

test('no window of any length has more than it may, whenever calls come', () => {
  fc.assert(
    fc.property(asks, fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 9 }), (asks, perSecond, burst) => {
      const { ask } = open({ calls: { perSecond, burst }, actionsPerMinute: 4, cooldownMs: 50 });
      const admitted = { calls: [] as number[], actions: [] as number[], subjects: [] as number[] };
      let at = 0;
      for (const [i, { gap, principal, action, subject }] of asks.entries()) {
        at += gap;
        if (ask({ type: 'admit', at, principal, action, subject: null }) === 0 && principal === 'ann')
          admitted[action ? 'actions' : 'calls'].push(at);
        if (ask({ type: 'admit', at, principal: `one ${i}`, action: false, subject }) === 0 && subject === 's') admitted.subjects.push(at);
      }
      const { calls, actions, subjects } = admitted;
      for (const [i, from] of calls.entries()) {
        for (const [j, to] of calls.entries()) if (j >= i) assert.ok((j - i + 1 - burst) * 1000 <= (to - from) * perSecond);
      }
      for (const [i, from] of actions.entries()) assert.ok(i + 4 >= actions.length || actions[i + 4]! - from >= 60_000);
      for (const [i, from] of subjects.entries()) assert.ok(i + 1 >= subjects.length || subjects[i + 1]! - from >= 50);
    }),
  );
});

test('who waits as long as it was told is admitted, and a millisecond earlier is not', () => {
  fc.assert(
    fc.property(asks, fc.integer({ min: 1, max: 300 }), (asks, perSecond) => {
      let state = step(createSchedule(), {
        type: 'configure',
        calls: { perSecond, burst: 3 },
        actionsPerMinute: 4,
        cooldownMs: 50,
        queueMost: 1,
        deliveryTries: 1,
        starveMs: 60_000,
      }).state;
      const refused = (event: ScheduleEvent) => step(state, event).effects.some(({ type }) => type === 'refuse');
      let at = 0;
      for (const [i, { gap, principal, action, subject }] of asks.entries()) {
        at += gap;
        const events = [
          { type: 'admit', at, principal, action, subject: null },
          { type: 'admit', at, principal: `one ${i}`, action: false, subject },
        ] as const;
        for (const event of events) {
          const { state: next, effects } = step(state, event);
          const [effect] = effects;
          if (effect?.type === 'refuse') {
            const then = at + effect.retryAfterMs;
            assert.deepEqual([refused({ ...event, at: then - 1 }), refused({ ...event, at: then })], [true, false]);
          }
          state = next;
        }
      }
    }),
  );
});

test('what is refused counts for nothing: neither a place among the actions nor the pause of a subject', () => {
  const { ask } = open({ actionsPerMinute: 1 });
  const enqueue = (at: number, principal: string, subject: string) => ask({ type: 'admit', at, principal, action: true, subject });
  assert.deepEqual([enqueue(0, 'ann', 's'), enqueue(1, 'bob', 's'), enqueue(2, 'ann', 't'), enqueue(3, 'bob', 't')], [0, 4999, 59_998, 0]);
});

test('names that came once are forgotten, and those that used theirs up are not', () => {
  const { call, subject, state, action } = open({ calls: { perSecond: 1, burst: 2 }, cooldownMs: 2000, actionsPerMinute: 1 });
  for (let at = 0; at < 200_000; at += 100) {
    call(at, `p${at}`);
    action(at, `p${at}`);
    subject(at, `s${at}`);
  }
  const kept = ({ young, old }: { young: { size: number }; old: { size: number } }) => young.size + old.size;
  const { calls, actions, subjects } = state().limits;
  assert.deepEqual([kept(calls) <= 80, kept(actions) <= 1200, kept(subjects) <= 40], [true, true, true]);
  assert.deepEqual(
    [call(199_901, 'p199900'), call(199_902, 'p199900') > 0, action(199_903, 'p180000') > 0, subject(199_904, 's199000')],
    [0, true, true, 1096],
  );
});
