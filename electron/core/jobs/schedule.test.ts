import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  counts,
  createSchedule,
  type Effect,
  lanesOf,
  type Resource,
  type ScheduleEvent,
  type State,
  type Submitted,
  step,
  waitsOf,
} from './schedule.ts';

const stories: Resource = { key: 'lane:stories', kind: 'lane', name: 'stories', capacity: 1 };
const two: Resource = { key: 'service:FND.two', kind: 'concurrency', name: 'FND.two', capacity: 2 };
const retry = { times: 3, backoffMs: 100, maxMs: 300 };

function submit(id: string, resources: readonly Resource[] = [], more: Partial<Submitted> = {}, at = 0): ScheduleEvent {
  return { type: 'submit', at, job: { id, resources, retry: null, expiresAt: null, starts: 0, ...more } };
}

function done(job: string, at = 0): ScheduleEvent {
  return { type: 'finished', at, job, ok: true, again: false, retryAfterMs: null, random: 0 };
}

function failed(
  job: string,
  at = 0,
  { retryAfterMs = null, random = 0 }: { retryAfterMs?: number | null; random?: number } = {},
): ScheduleEvent {
  return { type: 'finished', at, job, ok: false, again: true, retryAfterMs, random };
}

function handed(job: string, until: number, at = 0): ScheduleEvent {
  return { type: 'handed', at, job, until };
}

function cancel(job: string, at = 0): ScheduleEvent {
  return { type: 'cancel', at, job };
}

function arrived(job: string, at = 0): ScheduleEvent {
  return { type: 'arrived', at, job };
}

function tick(at: number): ScheduleEvent {
  return { type: 'tick', at };
}

function restore(jobs: (ScheduleEvent & { type: 'restore' })['jobs'], at = 0): ScheduleEvent {
  return { type: 'restore', at, jobs };
}

function found(id: string, resources: readonly Resource[], more: Partial<(ScheduleEvent & { type: 'restore' })['jobs'][number]> = {}) {
  return { id, resources, retry: null, expiresAt: null, starts: 0, waits: null, suspect: false, ...more };
}

function deliver(delivery: string, at = 0, notBefore = 0, tries = 0): ScheduleEvent {
  return { type: 'deliver', at, delivery, tries, notBefore };
}

function delivered(delivery: string, at: number, more: Partial<ScheduleEvent & { type: 'delivered' }> = {}): ScheduleEvent {
  return { type: 'delivered', at, delivery, ok: false, again: true, retryAfterMs: null, random: 0, ...more };
}

function configure(more: Partial<ScheduleEvent & { type: 'configure' }>): ScheduleEvent {
  return {
    type: 'configure',
    calls: null,
    actionsPerMinute: 10,
    cooldownMs: 5000,
    queueMost: 1000,
    deliveryTries: 3,
    starveMs: 60_000,
    ...more,
  };
}

/** What is decided about jobs and deliveries, in words; lanes, wakes and leases have stories of their own. */
function words(effect: Effect): string | null {
  switch (effect.type) {
    case 'start':
      return effect.start === 1 ? `start ${effect.job}` : `start ${effect.job} again (${effect.start})`;
    case 'wait': {
      const { kind, until, position } = effect.waits;
      return `${effect.job} ${effect.state} (${kind}${until === null ? '' : ` until ${until}`}${position === null ? '' : `, ${position} before it`})`;
    }
    case 'refuse':
      return `refuse, again in ${effect.retryAfterMs}`;
    case 'stop':
      return `stop ${effect.job}`;
    case 'end':
      return `end ${effect.job} ${effect.how}`;
    case 'send':
      return `send ${effect.delivery} (${effect.attempt})`;
    case 'dead':
      return `dead ${effect.delivery}`;
    case 'retry_delivery':
      return `${effect.delivery} again at ${effect.at}`;
    default:
      return null;
  }
}

function run(events: readonly ScheduleEvent[], state = createSchedule()): { state: State; effects: Effect[] } {
  const all: Effect[] = [];
  for (const event of events) {
    const { state: next, effects } = step(state, event);
    state = next;
    all.push(...effects);
  }
  return { state, effects: all };
}

function play(events: readonly ScheduleEvent[]): string[] {
  return run(events)
    .effects.map(words)
    .filter((word) => word !== null);
}

// --- stories: lanes and places --------------------------------------------------------------------------------------

test('a job that needs nothing starts and ends', () => {
  assert.deepEqual(play([submit('a'), submit('b'), done('a'), done('b')]), ['start a', 'start b', 'end a done', 'end b done']);
});

test('J10: one story at a time, in the order they came', () => {
  assert.deepEqual(play([submit('a', [stories]), submit('b', [stories]), submit('c', [stories]), done('a'), done('b'), done('c')]), [
    'start a',
    'b queued (lane, 0 before it)',
    'c queued (lane, 1 before it)',
    'end a done',
    'start b',
    'end b done',
    'start c',
    'end c done',
  ]);
});

test('a service takes as many as it may', () => {
  assert.deepEqual(play([submit('a', [two]), submit('b', [two]), submit('c', [two]), done('b')]), [
    'start a',
    'start b',
    'c queued (concurrency, 0 before it)',
    'end b done',
    'start c',
  ]);
});

test('a bound that is raised or lifted lets in who stands in line, at once; one that is lowered lets nobody in until there is room', () => {
  const four = ['a', 'b', 'c', 'd'].map((id) => submit(id, [two]));
  const services = (...bounds: [string, number][]): ScheduleEvent => ({ type: 'capacities', at: 0, services: new Map(bounds) });
  const line = ['start a', 'start b', 'c queued (concurrency, 0 before it)', 'd queued (concurrency, 1 before it)'];
  assert.deepEqual(play([...four, services(['FND.two', 3])]), [...line, 'start c']);
  assert.deepEqual(play([...four, services()]), [...line, 'start c', 'start d']);
  assert.deepEqual(play([...four, services(['FND.two', 1]), done('a'), done('b')]), [...line, 'end a done', 'end b done', 'start c']);
});

test('nobody overtakes: who needs a full lane and a free service keeps those behind it in the service', () => {
  assert.deepEqual(play([submit('a', [stories]), submit('b', [stories, two]), submit('c', [two]), submit('d', []), cancel('b')]), [
    'start a',
    'b queued (lane, 0 before it)',
    'c queued (concurrency, 1 before it)',
    'start d',
    'end b cancelled',
    'start c',
  ]);
});

test('a larger capacity counts from the next job on', () => {
  assert.deepEqual(play([submit('a', [stories]), submit('b', [stories]), submit('c', [{ ...stories, capacity: 3 }])]), [
    'start a',
    'b queued (lane, 0 before it)',
    'start b',
    'start c',
  ]);
});

test('a job that is tried again does not bring its old capacity back', () => {
  const wider = { ...stories, capacity: 2 };
  assert.deepEqual(play([submit('a', [stories], { retry }), submit('b', [wider]), failed('a'), tick(100)]), [
    'start a',
    'start b',
    'a waiting (retry until 100)',
    'start a again (2)',
  ]);
});

test('a full queue refuses whoever would have to stand in it', () => {
  assert.deepEqual(
    play([configure({ queueMost: 1 }), submit('a', [stories]), submit('b', [stories, two]), submit('c', [two]), submit('d')]),
    ['start a', 'b queued (lane, 0 before it)', 'refuse, again in 1000', 'start d'],
  );
});

test('every job that does not run says why, as it is now', () => {
  const { state } = run([
    submit('a', [stories]),
    submit('b', [stories]),
    submit('c', [two, stories]),
    submit('d', [two]),
    handed('a', 500),
    cancel('b'),
  ]);
  const reasons = ['a', 'c', 'd', 'gone'].map((job) => waitsOf(state, job));
  assert.deepEqual(reasons, [
    { kind: 'callback', reason: 'it was handed over and ends with a callback', until: 500, position: null },
    { kind: 'lane', reason: 'a waits for its callback in the lane stories', until: null, position: 0 },
    { kind: 'concurrency', reason: 'c is next for FND.two', until: null, position: 1 },
    null,
  ]);
});

test('the reason names who is in the way', () => {
  const one = { ...two, capacity: 1 };
  const { state } = run([
    restore([found('s', [], { suspect: true }), found('t', [], { suspect: true })]),
    submit('a', [stories]),
    submit('b', [one]),
    submit('c', [stories]),
    submit('d', [one]),
  ]);
  assert.deepEqual(
    ['t', 'c', 'd'].map((job) => waitsOf(state, job)!.reason),
    [
      'jobs that ran when the core crashed start one at a time, and it is the turn of s',
      'a runs in the lane stories',
      'FND.two takes 1 at a time',
    ],
  );
});

test('a job is taken once', () => {
  assert.deepEqual(play([submit('a'), submit('a'), restore([found('a', [])]), done('a'), done('a')]), ['start a', 'end a done']);
});

test('lanes tell who runs and who stands in them, and when that changed', () => {
  const first = run([submit('a', [stories]), submit('b', [stories, two])]);
  assert.deepEqual(lanesOf(first.state), [
    { name: 'stories', kind: 'lane', capacity: 1, running: ['a'], queued: ['b'] },
    { name: 'FND.two', kind: 'concurrency', capacity: 2, running: [], queued: ['b'] },
  ]);
  const second = run([done('a'), submit('c'), done('b')], first.state);
  const told = second.effects.filter((effect) => effect.type === 'lanes').map(({ keys }) => [...keys].sort());
  assert.deepEqual(
    [told, lanesOf(second.state)],
    [
      [
        [stories.key, two.key],
        [stories.key, two.key],
      ],
      [],
    ],
  );
});

// --- stories: retries, callbacks, ends ------------------------------------------------------------------------------

test('a failure that can pass is tried again after a growing pause, and ends with the last try', () => {
  assert.deepEqual(
    play([submit('a', [], { retry }), failed('a'), tick(100), failed('a', 100), tick(300), failed('a', 300), tick(600), failed('a', 600)]),
    [
      'start a',
      'a waiting (retry until 100)',
      'start a again (2)',
      'a waiting (retry until 300)',
      'start a again (3)',
      'a waiting (retry until 600)',
      'start a again (4)',
      'end a done',
    ],
  );
});

test('chance takes up to half of a pause away, and never what the service asked for', () => {
  const pause = (more: { retryAfterMs?: number; random: number }) => play([submit('a', [], { retry }), failed('a', 0, more)])[1];
  assert.deepEqual(
    [pause({ random: 0.5 }), pause({ random: 0.999 }), pause({ random: 0.5, retryAfterMs: 5000 })],
    ['a waiting (retry until 75)', 'a waiting (retry until 50)', 'a waiting (retry until 5000)'],
  );
});

test('whoever waits for its next try gives its place back and stands in line again', () => {
  assert.deepEqual(play([submit('a', [stories], { retry }), submit('b', [stories]), failed('a'), tick(100), done('b', 150)]), [
    'start a',
    'b queued (lane, 0 before it)',
    'a waiting (retry until 100)',
    'start b',
    'a queued (lane, 0 before it)',
    'end b done',
    'start a again (2)',
  ]);
});

test('a try that would come after the job is given up is not waited for', () => {
  assert.deepEqual(play([submit('a', [], { retry, expiresAt: 100 }), failed('a')]), ['start a', 'end a done']);
});

test('a job that did not start in time expires, and those behind it move up', () => {
  assert.deepEqual(
    play([submit('a', [stories]), submit('b', [stories], { expiresAt: 50 }), submit('c', [stories]), tick(49), tick(50), done('a', 60)]),
    ['start a', 'b queued (lane, 0 before it)', 'c queued (lane, 1 before it)', 'end b expired', 'end a done', 'start c'],
  );
});

test('handed over, it keeps its lane and gives back its service; the callback ends it once', () => {
  const both = [stories, { ...two, capacity: 1 }];
  assert.deepEqual(
    play([
      submit('a', both),
      submit('b', both.slice(1)),
      submit('c', [stories]),
      handed('a', 1000),
      arrived('a', 5),
      arrived('a', 6),
      done('a', 7),
    ]),
    [
      'start a',
      'b queued (concurrency, 0 before it)',
      'c queued (lane, 0 before it)',
      'a waiting (callback until 1000)',
      'start b',
      'end a done',
      'start c',
    ],
  );
});

test('a callback that does not come is given up, and one that comes later changes nothing', () => {
  assert.deepEqual(play([submit('a', [stories]), submit('b', [stories]), handed('a', 1000), tick(1000), arrived('a', 1001)]), [
    'start a',
    'b queued (lane, 0 before it)',
    'a waiting (callback until 1000)',
    'end a callback_expired',
    'start b',
  ]);
});

test('J09: cancel ends what is queued, in retry wait or waits for a callback at once, and what runs as soon as it stopped', () => {
  const events = [submit('a', [stories]), submit('b', [stories]), submit('c', [], { retry }), submit('d'), failed('c'), handed('d', 100)];
  const cancels = [cancel('b'), cancel('c'), cancel('d'), cancel('a'), cancel('a'), done('a'), cancel('a'), cancel('nobody'), tick(1000)];
  assert.deepEqual(play([...events, ...cancels]).slice(6), [
    'end b cancelled',
    'end c cancelled',
    'end d cancelled',
    'stop a',
    'end a cancelled',
  ]);
});

test('J09: what was cancelled does not succeed, retry or wait for a callback afterwards', () => {
  const after = (event: ScheduleEvent) => play([submit('a', [], { retry }), cancel('a'), event]).slice(2);
  assert.deepEqual(
    [after(done('a')), after(failed('a')), after(handed('a', 9))],
    [['end a cancelled'], ['end a cancelled'], ['end a cancelled']],
  );
});

// --- stories: after a restart ---------------------------------------------------------------------------------------

test('after a restart a job that waits for its callback still has its lane, and the others their order', () => {
  const waits = (kind: 'retry' | 'callback', until: number) => ({ kind, reason: '', until, position: null });
  const jobs = [
    found('a', [stories], { starts: 1 }),
    found('b', [stories, two], { starts: 1, waits: waits('callback', 500) }),
    found('c', [stories], { starts: 2, waits: waits('retry', 300) }),
    found('d', [stories], { expiresAt: 99 }),
  ];
  assert.deepEqual(play([restore(jobs, 100), tick(300), arrived('b', 400), done('a', 450)]), [
    'b waiting (callback until 500)',
    'c waiting (retry until 300)',
    'a queued (lane, 0 before it)',
    'end d expired',
    'c queued (lane, 1 before it)',
    'end b done',
    'start a again (2)',
    'end a done',
    'start c again (3)',
  ]);
});

test('a retry that was to come after the job is given up does not come, however late that is noticed', () => {
  const waits = { kind: 'retry' as const, reason: '', until: 300, position: null };
  assert.deepEqual(play([restore([found('a', [], { waits, expiresAt: 200 })]), tick(400)]), [
    'a waiting (retry until 300)',
    'end a expired',
  ]);
});

test('J11: those that ran when the core crashed start one at a time while others go on, and are ordinary afterwards', () => {
  const suspects = ['a', 'b', 'c'].map((id) => found(id, [], { suspect: true, starts: 1, retry }));
  assert.deepEqual(play([restore([...suspects, found('d', [])]), done('a'), failed('b'), tick(200), handed('c', 900)]), [
    'start a again (2)',
    'b queued (suspect, 0 before it)',
    'c queued (suspect, 1 before it)',
    'start d',
    'end a done',
    'start b again (2)',
    'b waiting (retry until 200)',
    'start c again (2)',
    'start b again (3)',
    'c waiting (callback until 900)',
  ]);
});

// --- stories: deliveries --------------------------------------------------------------------------------------------

test('a delivery is sent when it may be, again after growing pauses, and is dead after its last try', () => {
  assert.deepEqual(
    play([
      configure({}),
      deliver('d', 0, 10),
      tick(10),
      delivered('d', 10),
      tick(5010),
      delivered('d', 5010),
      tick(35_010),
      delivered('d', 35_010),
    ]),
    ['send d (1)', 'd again at 5010', 'send d (2)', 'd again at 35010', 'send d (3)', 'dead d'],
  );
});

test('a delivery waits as long as the receiver asks, and is dead at once when it never wants it', () => {
  const answers = [delivered('d', 0, { retryAfterMs: 90_000 }), tick(89_999), tick(90_000), delivered('d', 90_001, { again: false })];
  assert.deepEqual(play([deliver('d'), ...answers]), ['send d (1)', 'd again at 90000', 'send d (2)', 'dead d']);
});

test('a delivery that arrived is over; one that waits is sent at once when somebody asks for it', () => {
  assert.deepEqual(
    play([
      deliver('d'),
      deliver('d'),
      delivered('d', 1),
      delivered('d', 1),
      deliver('d', 2, 0, 1),
      delivered('d', 3, { ok: true }),
      tick(10_000),
    ]),
    ['send d (1)', 'd again at 5001', 'send d (2)'],
  );
});

// --- stories: the wake ----------------------------------------------------------------------------------------------

test('one wake for the earliest timer, told when it changes and after each tick', () => {
  const told = (events: ScheduleEvent[]) =>
    events.length === 0 ? [] : run(events).effects.flatMap((effect) => (effect.type === 'wake' ? [effect.at] : []));
  const events = [
    submit('a'),
    submit('b'),
    submit('c'),
    handed('a', 500),
    handed('b', 300),
    handed('c', 400),
    tick(299),
    tick(300),
    arrived('c', 310),
  ];
  assert.deepEqual(told([...events, cancel('a', 320), tick(330)]), [500, 300, 300, 400, 500, null]);
});

test('time does not go back', () => {
  assert.deepEqual(play([tick(1000), submit('a', [], { retry }, 400), failed('a', 500)]), ['start a', 'a waiting (retry until 1100)']);
});

// --- random schedules -----------------------------------------------------------------------------------------------

const capacities: readonly Resource[] = [stories, { ...stories, key: 'lane:other', name: 'other' }, two];

/** Events one after another; each is about one of the jobs submitted so far, mostly a recent one. */
const schedules = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 0, max: 40 }),
      what: fc.constantFrom(
        'submit',
        'submit',
        'done',
        'done',
        'failed',
        'handed',
        'arrived',
        'cancel',
        'tick',
        'deliver',
        'delivered',
        'restore',
      ),
      back: fc.nat({ max: 9 }),
      needs: fc.subarray([...capacities]),
      span: fc.option(fc.integer({ min: 1, max: 120 }), { nil: null }),
      random: fc.constantFrom(0, 0.5, 1),
    }),
    { maxLength: 120, size: 'max' },
  )
  .map((picks) => {
    let at = 0;
    let jobs = 0;
    return picks.map(({ gap, what, back, needs, span, random }): ScheduleEvent => {
      at += gap;
      const job = `j${Math.max(0, jobs - 1 - back)}`;
      const retried = random === 0 ? null : { times: 2, backoffMs: 20, maxMs: 30 };
      const expiresAt = span === null || span > 100 ? null : at + span;
      switch (what) {
        case 'submit':
          return submit(`j${jobs++}`, needs, { retry: retried, expiresAt }, at);
        case 'restore':
          return restore(
            Array.from({ length: 3 }, () => found(`j${jobs++}`, needs, { suspect: random === 1, retry: retried, expiresAt, starts: 1 })),
            at,
          );
        case 'done':
          return done(job, at);
        case 'failed':
          return failed(job, at, { random, retryAfterMs: span });
        case 'handed':
          return handed(job, at + (span ?? 50), at);
        case 'arrived':
          return arrived(job, at);
        case 'cancel':
          return cancel(job, at);
        case 'deliver':
          return deliver(`d${back}`, at, at + (span ?? 0));
        case 'delivered':
          return delivered(`d${back}`, at, { random, retryAfterMs: span });
        default:
          return tick(at);
      }
    });
  });

/** The same rules over plain arrays, without thought for speed. */
function createModel() {
  type Phase = 'queued' | 'running' | 'stopping' | 'retry' | 'callback';
  interface Known extends Submitted {
    phase: Phase;
    holds: readonly Resource[];
    due: number | null;
    order: number;
  }
  const jobs = new Map<string, Known>();
  let line: Known[] = [];
  let said: string[] = [];
  let orders = 0;

  const end = (job: Known, how: string) => {
    jobs.delete(job.id);
    line = line.filter((other) => other !== job);
    said.push(`end ${job.id} ${how}`);
  };
  const pause = (job: Known, phase: 'retry' | 'callback', due: number) => {
    Object.assign(job, { phase, due, order: orders++, holds: phase === 'retry' ? [] : job.holds.filter(({ kind }) => kind === 'lane') });
    said.push(`${job.id} ${phase}`);
  };
  const enter = (job: Known, now: number) => {
    if (job.expiresAt !== null && job.expiresAt <= now) return end(job, 'expired');
    Object.assign(job, { phase: 'queued', due: job.expiresAt, order: orders++ });
    line.push(job);
    pump();
  };
  const pump = () => {
    const blocked = new Set<string>();
    for (const job of [...line]) {
      const taken = ({ key }: Resource) => [...jobs.values()].filter(({ holds }) => holds.some((held) => held.key === key)).length;
      const may = job.resources.every((need) => !blocked.has(need.key) && taken(need) < need.capacity);
      for (const { key } of may ? [] : job.resources) blocked.add(key);
      if (!may) continue;
      line = line.filter((other) => other !== job);
      job.starts++;
      Object.assign(job, { phase: 'running', due: null, holds: job.resources });
      said.push(`start ${job.id} ${job.starts}`);
    }
  };
  const pass = (at: number) => {
    for (;;) {
      const due = [...jobs.values()].filter((job) => job.due !== null && job.due <= at);
      const [job] = due.sort((a, b) => a.due! - b.due! || a.order - b.order);
      if (job === undefined) return;
      if (job.phase === 'retry') enter(job, job.due!);
      else end(job, job.phase === 'callback' ? 'callback_expired' : 'expired');
      pump();
    }
  };
  const finish = (job: Known, event: ScheduleEvent & { type: 'finished' }) => {
    const { ok, random, retryAfterMs, at } = event;
    if (job.phase === 'stopping') return end(job, 'cancelled');
    const whole = Math.min(job.retry?.maxMs ?? 0, (job.retry?.backoffMs ?? 0) * 2 ** (job.starts - 1));
    const due = at + Math.max(Math.round(whole - (whole / 2) * random), retryAfterMs ?? 0);
    const again = !ok && job.retry !== null && job.starts <= job.retry.times && (job.expiresAt === null || due < job.expiresAt);
    if (again) pause(job, 'retry', due);
    else end(job, 'done');
  };
  const apply = (event: ScheduleEvent) => {
    if (event.type === 'submit') {
      const job: Known = { ...event.job, phase: 'queued', holds: [], due: null, order: 0 };
      jobs.set(job.id, job);
      return enter(job, event.at);
    }
    const job = 'job' in event ? jobs.get(event.job) : undefined;
    if (job === undefined) return;
    const ran = job.phase === 'running' || job.phase === 'stopping';
    if (event.type === 'finished' && ran) finish(job, event);
    if (event.type === 'handed' && job.phase === 'stopping') end(job, 'cancelled');
    if (event.type === 'handed' && job.phase === 'running') pause(job, 'callback', event.until);
    if (event.type === 'arrived' && job.phase === 'callback') end(job, 'done');
    if (event.type === 'cancel' && !ran) end(job, 'cancelled');
    if (event.type === 'cancel' && job.phase === 'running') {
      job.phase = 'stopping';
      said.push(`stop ${job.id}`);
    }
  };
  return {
    jobs,
    /** What is done about it, in alphabetical order. */
    step(event: ScheduleEvent & { at: number }): string[] {
      said = [];
      pass(event.at);
      apply(event);
      pump();
      return said.sort();
    },
  };
}

function comparable(effect: Effect): string[] {
  if (effect.type === 'start') return [`start ${effect.job} ${effect.start}`];
  if (effect.type === 'wait') return effect.state === 'waiting' ? [`${effect.job} ${effect.waits.kind}`] : [];
  if (effect.type === 'stop') return [`stop ${effect.job}`];
  return effect.type === 'end' ? [`end ${effect.job} ${effect.how}`] : [];
}

test('any schedule: starts, waits and ends as the plain rules say, within every capacity, and each wait has its reason', () => {
  fc.assert(
    fc.property(schedules, (events) => {
      const model = createModel();
      let state = createSchedule();
      for (const event of events.filter(({ type }) => type !== 'restore')) {
        const { state: next, effects } = step(state, event);
        assert.deepEqual(effects.flatMap(comparable).sort(), model.step(event as ScheduleEvent & { at: number }));
        for (const { name, running, capacity } of lanesOf(next)) assert.ok(running.length <= capacity, name);
        const states = { queued: 0, waiting: 0, running: 0 };
        for (const { id, phase } of model.jobs.values()) {
          const runs = phase === 'running' || phase === 'stopping';
          states[runs ? 'running' : phase === 'queued' ? 'queued' : 'waiting']++;
          const waits = waitsOf(next, id);
          assert.equal(waits === null, runs, id);
          assert.ok(runs || (phase === 'queued' ? ['lane', 'concurrency'].includes(waits!.kind) : waits!.kind === phase), id);
        }
        assert.deepEqual({ ...counts(next), deliveries: 0 }, { ...states, deliveries: 0 });
        state = next;
      }
    }),
    { numRuns: 300 },
  );
});

test('any schedule: each start number once, at most one suspect at a time, and one end for each job when places keep being freed', () => {
  fc.assert(
    fc.property(schedules, (events) => {
      const starts: string[] = [];
      const ends: string[] = [];
      const suspects = new Set(
        events.flatMap((event) => (event.type === 'restore' ? event.jobs.filter((job) => job.suspect).map(({ id }) => id) : [])),
      );
      const running = new Set<string>();
      let state = createSchedule();
      let at = 0;
      const take = (event: ScheduleEvent) => {
        if ('at' in event) at = event.at;
        const { state: next, effects } = step(state, event);
        state = next;
        if (event.type === 'finished' || event.type === 'handed') {
          running.delete(event.job);
          suspects.delete(event.job);
        }
        for (const effect of effects) {
          if (effect.type === 'start') {
            starts.push(`${effect.job} ${effect.start}`);
            running.add(effect.job);
          }
          if (effect.type === 'end') ends.push(effect.job);
        }
        assert.ok([...running].filter((job) => suspects.has(job)).length <= 1);
      };
      for (const event of events) take(event);
      for (let round = 0; state.jobs.size > 0 && round < 10_000; round++) {
        const [job] = running;
        take(job === undefined ? tick(at + 1000) : done(job, at + 1));
      }
      const all = events.flatMap((event) =>
        event.type === 'submit' ? [event.job.id] : event.type === 'restore' ? event.jobs.map(({ id }) => id) : [],
      );
      assert.deepEqual([ends.sort(), new Set(starts).size, lanesOf(state)], [all.sort(), starts.length, []]);
    }),
    { numRuns: 300 },
  );
});

test('any schedule: the state passed in is not changed, and gives the same again', () => {
  fc.assert(
    fc.property(schedules, (events) => {
      let state = createSchedule();
      const steps = events.map((event) => {
        const before = state;
        const { state: after, effects } = step(before, event);
        state = after;
        return { before, event, effects, lanes: lanesOf(before), counts: counts(before) };
      });
      for (const { before, event, effects, lanes, counts: counted } of steps.reverse()) {
        assert.deepEqual([lanesOf(before), counts(before)], [lanes, counted]);
        assert.deepEqual(step(before, event).effects, effects);
      }
    }),
  );
});

test('any schedule: it does not matter when ticks come', () => {
  const told = (events: readonly ScheduleEvent[]) => run(events).effects.filter(({ type }) => type !== 'wake' && type !== 'lanes');
  const punctual = (events: readonly ScheduleEvent[]): ScheduleEvent[] => {
    let state = createSchedule();
    return events.flatMap((event) => {
      const taken: ScheduleEvent[] = [];
      const take = (next: ScheduleEvent) => {
        taken.push(next);
        state = step(state, next).state;
      };
      while (state.wakeAt !== null && 'at' in event && state.wakeAt < event.at) take(tick(state.wakeAt));
      take(event);
      return taken;
    });
  };
  fc.assert(
    fc.property(schedules, (events) => {
      const end = tick(1_000_000);
      assert.deepEqual(told([...punctual(events), end]), told([...events.filter(({ type }) => type !== 'tick'), end]));
    }),
  );
});

test('a line of 100,000 is joined, left in the middle and worked through', () => {
  const ids = Array.from({ length: 100_000 }, (_, i) => `job_${i}`);
  let { state } = run([configure({ queueMost: 200_000 }), ...ids.map((id) => submit(id, [stories]))]);
  state = run(
    ids.filter((_, i) => i % 2 === 1).map((id) => cancel(id)),
    state,
  ).state;
  assert.deepEqual([waitsOf(state, 'job_50000')!.position, counts(state).queued], [24_999, 49_999]);
  const { effects } = run(
    ids.filter((_, i) => i % 2 === 0).map((id) => done(id)),
    state,
  );
  assert.equal(effects.filter(({ type }) => type === 'start').length, 49_999);
});
