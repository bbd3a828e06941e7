import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { BootReport, Job, JobDetail, Lane } from '../../../shared/model.ts';
import type { Core } from '../core.ts';
import { openCore, operate, type Seen, startService, tempFolder } from '../testing.ts';

/** A service that answers when the test says so, in any order, and keeps what it saw. */
async function startHeld() {
  const held: { seen: Seen; response: ServerResponse }[] = [];
  const arrivals: (() => void)[] = [];
  const service = await startService((seen, response) => {
    held.push({ seen, response });
    arrivals.shift()?.();
  });
  return Object.assign(service, {
    /** Answers the oldest request that is held, once there is one. */
    async answer(status = 200, body: unknown = { done: true }, headers: Record<string, string> = {}): Promise<string> {
      if (held.length === 0) await new Promise<void>((resolve) => arrivals.push(resolve));
      const { seen, response } = held.shift()!;
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
      return seen.body;
    },
    arrived: () => (held.length > 0 ? Promise.resolve() : new Promise<void>((resolve) => arrivals.push(resolve))),
    waiting: () => held.length,
  });
}

const registryOf = (url: string) => `
orgs:
  W:
    name: Works
    services:
      lane: {endpoint: "${url}/lane", egress: local, lane: stories}
      two: {endpoint: "${url}/two", egress: local, concurrency: 2}
      safe: {endpoint: "${url}/safe", egress: local, idempotent: true}
      line: {endpoint: "${url}/line", egress: local, idempotent: true, concurrency: 1}
      once: {endpoint: "${url}/once", egress: local}
      retry: {endpoint: "${url}/retry", egress: local, idempotent: true, retry: {times: 3, backoff: 10ms, max: 20ms}}
limits: off
`;

/** Resolves with the id once the call is accepted; `answer` when it is over. */
function submit(core: Core, route: string, more: Record<string, unknown> = {}) {
  const { promise: job, resolve } = Promise.withResolvers<string>();
  const answer = core.dispatch({ route, door: 'library', principal: core.owner.principal, ...more }, undefined, (accepted) =>
    resolve(accepted.job),
  );
  return { job, answer };
}

const get = (core: Core, id: string) => operate(core, 'OS.jobs.get', { id }) as Promise<JobDetail>;

test('J10: jobs in one lane run one after the other, in the order they came; the others stand in line and say behind whom', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const calls = ['a', 'b', 'c'].map((name) => submit(core, 'W.lane', { params: { name } }));
  const [first, second, third] = await Promise.all(calls.map(({ job }) => job));
  const jobs = await Promise.all([first!, second!, third!].map((id) => get(core, id)));
  assert.deepEqual(
    jobs.map(({ state, waits }) => [state, waits?.kind ?? null, waits?.position ?? null]),
    [
      ['running', null, null],
      ['queued', 'lane', 0],
      ['queued', 'lane', 1],
    ],
  );
  const { lanes } = (await operate(core, 'OS.lanes')) as { lanes: Lane[] };
  assert.deepEqual(lanes, [{ name: 'stories', kind: 'lane', capacity: 1, running: [first], queued: [second, third] }]);
  const order: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    await service.arrived();
    assert.equal(service.waiting(), 1);
    order.push(JSON.parse(await service.answer()).name);
  }
  await Promise.all(calls.map(({ answer }) => answer));
  assert.deepEqual(order, ['a', 'b', 'c']);
});

test('a service gets no more calls at one time than it takes, and all of them in the end', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const calls = Array.from({ length: 7 }, () => submit(core, 'W.two'));
  await Promise.all(calls.map(({ job }) => job));
  let most = 0;
  for (let i = 0; i < 7; i++) {
    await service.arrived();
    most = Math.max(most, service.waiting());
    await service.answer();
  }
  const ended = await Promise.all(calls.map(({ answer }) => answer));
  assert.deepEqual([most <= 2, ended.every(({ ok }) => ok), service.ledger.length], [true, true, 7]);
});

test('a failure that can pass is tried again as often as the registry says, each time under a new attempt id', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const { job, answer } = submit(core, 'W.retry');
  const id = await job;
  await service.answer(503, { error: 'busy' });
  await service.answer(500, { error: 'broken' });
  await service.answer(200, { done: true });
  const crossing = await answer;
  const keys = service.ledger.map(({ headers }) => headers['idempotency-key']);
  const detail = await get(core, id);
  assert.deepEqual(
    [crossing.ok, new Set(keys).size, crossing.attempts.map(({ status }) => status), detail.state, detail.starts],
    [true, 3, [503, 500, 200], 'succeeded', 3],
  );
  assert.deepEqual(
    detail.events.map(({ kind }) => kind),
    ['started', 'retried', 'started', 'retried', 'started', 'ended'],
  );
});

test('J09: cancelling ends what waits at once and cuts off what runs; nothing of it starts later', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const [running, waiting] = [submit(core, 'W.lane'), submit(core, 'W.lane')];
  const [first, second] = await Promise.all([running.job, waiting.job]);
  await service.arrived();
  const cancel = (id: string) => operate(core, 'OS.jobs.cancel', { id }) as Promise<{ state: string; outcome: string }>;
  assert.equal((await cancel(second)).state, 'cancelled');
  assert.equal((await cancel(first)).state, 'cancelled');
  const ended = await Promise.all([running.answer, waiting.answer]);
  assert.deepEqual(
    [ended.map(({ error }) => error?.code), service.ledger.length, ((await operate(core, 'OS.lanes')) as { lanes: Lane[] }).lanes],
    [['cancelled', 'cancelled'], 1, []],
  );
});

test('a job that stands in line beyond its deadline is given up, and says what it stood behind', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const running = submit(core, 'W.lane');
  await running.job;
  const late = await submit(core, 'W.lane', { deadlineMs: 30 }).answer;
  assert.deepEqual([late.ok, late.error?.code, service.ledger.length <= 1], [false, 'wait_expired', true]);
  await service.answer();
  assert.equal((await running.answer).ok, true);
});

test('J01: one key, one execution: a hundred at once attach to it, later ones get its answer and are told so', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const calls = Array.from({ length: 100 }, () => submit(core, 'W.once', { params: { n: 1 }, key: 'k-1' }));
  await service.answer(200, { n: 1 });
  const ended = await Promise.all(calls.map(({ answer }) => answer));
  const [first] = ended.filter(({ replayed }) => replayed === undefined);
  await operate(core, 'OS.status');
  const later = await submit(core, 'W.once', { params: { n: 1 }, key: 'k-1' }).answer;
  assert.deepEqual(
    [
      service.ledger.length,
      ended.filter(({ replayed }) => replayed?.how === 'attached' && replayed.job === first!.job).length,
      later.replayed,
      later.result,
      new Set(ended.map(({ id }) => id)).size,
    ],
    [1, 99, { job: first!.job, crossing: first!.id, how: 'replayed' }, { n: 1 }, 100],
  );
  const { key } = await get(core, first!.job!);
  assert.deepEqual([key?.key, key?.content, key?.uses.length], ['k-1', false, 100]);
});

test('who attached to a job may leave, or have no more time: its own wait ends, and the job goes on', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const first = submit(core, 'W.once', { key: 'k' });
  const id = await first.job;
  const leaving = new AbortController();
  const left = core.dispatch({ route: 'W.once', key: 'k', door: 'library', principal: core.owner.principal }, leaving.signal, () =>
    leaving.abort(),
  );
  const hurried = submit(core, 'W.once', { key: 'k', deadlineMs: 1 });
  const ended = await Promise.all([left, hurried.answer]);
  assert.deepEqual(
    ended.map(({ error, job }) => [error?.code, job]),
    [
      ['cancelled', id],
      ['wait_expired', id],
    ],
  );
  await service.answer();
  assert.deepEqual([(await first.answer).ok, service.ledger.length], [true, 1]);
});

test('J02: another body under a key is refused with what differed; another principal has keys of its own', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const ask = (n: number, principal = core.owner.principal) =>
    core.dispatch({ route: 'W.once', params: { n, same: [1] }, key: 'k', door: 'library', principal });
  const first = ask(1);
  await service.answer(200, { n: 1 });
  await first;
  const other = await ask(2);
  assert.deepEqual([other.error?.code, other.error?.issues?.map(({ path }) => path)], ['key_mismatch', ['params.n']]);
  const stranger = ask(2, { id: 'tok_x', name: 'x', capabilities: ['dispatch'] });
  await service.answer(200, { n: 2 });
  assert.deepEqual([(await stranger).ok, service.ledger.length], [true, 2]);
});

test('a failure is not replayed: the key is free again; a key can be made from the content', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const ask = (more: Record<string, unknown>) => submit(core, 'W.once', { params: { b: 1, a: 2 }, ...more }).answer;
  const failed = ask({ key: 'k' });
  await service.answer(500);
  assert.equal((await failed).ok, false);
  // At once, while the failure is still on its way to the disk.
  const again = ask({ key: 'k' });
  await service.answer();
  assert.equal((await again).ok, true);
  const one = ask({ content: true });
  await service.answer();
  await one;
  await operate(core, 'OS.status');
  const two = await submit(core, 'W.once', { params: { a: 2, b: 1 }, content: true }).answer;
  assert.deepEqual([two.replayed?.how, service.ledger.length], ['replayed', 3]);
});

test('a clean stop loses nothing: what stands in line, and what may run twice, goes on at the next start', async () => {
  await using service = await startHeld();
  using home = tempFolder();
  const ids: string[] = [];
  {
    await using core = await openCore(registryOf(service.url), { home: home.path });
    const calls = [
      submit(core, 'W.line', { params: { n: 1 } }),
      submit(core, 'W.line', { params: { n: 2, password: 'hunter2' } }),
      submit(core, 'W.once'),
    ];
    ids.push(...(await Promise.all(calls.map(({ job }) => job))));
    await service.arrived();
    void Promise.all(calls.map(({ answer }) => answer));
  }
  const before = service.ledger.length;
  await using core = await openCore(registryOf(service.url), { home: home.path });
  const bodies: unknown[] = [];
  while (service.waiting() > 0) bodies.push(await service.answer());
  const last = [JSON.parse(await service.answer()), JSON.parse(await service.answer())];
  await Promise.all(ids.map((id) => ended(core, id)));
  const states = await Promise.all(ids.map(async (id) => (await get(core, id)).state));
  assert.deepEqual(states, ['succeeded', 'succeeded', 'failed']);
  // The secret was not on record, and still went where it belongs.
  assert.ok(JSON.stringify([...bodies, last]).includes('hunter2'));
  assert.ok(!readFileSync(join(home.path, 'dispatcher.sqlite')).includes('hunter2'));
  assert.ok(service.ledger.length >= before + 2);
});

/** Resolves with the job once it has ended. */
async function ended(core: Core, id: string): Promise<Job> {
  const { promise, resolve } = Promise.withResolvers<Job>();
  const look = (job: Job) => job.id === id && job.finishedAt !== null && resolve(job);
  const stop = core.watch(0, {
    snapshot: ({ jobs }) => jobs.forEach(look),
    events: (events) => {
      for (const event of events) if (event.type === 'job') look(event.job);
    },
  });
  const job = await promise;
  stop();
  return job;
}

/** A core in a process of its own, which dispatches what it is told and can be killed. */
async function startProcess(home: string, template: string, asks: { route: string; params?: Record<string, unknown> }[]) {
  const file = join(home, 'template.yaml');
  writeFileSync(file, template);
  const here = new URL('../core.ts', import.meta.url).href;
  const script = join(home, 'run.ts');
  writeFileSync(
    script,
    `const { createCore } = await import(${JSON.stringify(here)});
     const { readFileSync } = await import('node:fs');
     const core = await createCore({ home: ${JSON.stringify(home)}, version: 't', template: readFileSync(${JSON.stringify(file)}, 'utf8') });
     const accepted = [];
     const asks = ${JSON.stringify(asks)};
     if (asks.length === 0) console.log('[]');
     for (const ask of asks)
       core.dispatch({ ...ask, door: 'library', principal: core.owner.principal }, undefined, ({ job }) => {
         accepted.push(job);
         if (accepted.length === asks.length) console.log(JSON.stringify(accepted));
       });
     setInterval(() => {}, 1000);`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { ids: JSON.parse(line.toString()) as string[], kill: () => kill(child) };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('after a crash: in line goes on, idempotent runs again, the rest is unknown; the boot report says so and the chain verifies', async () => {
  await using service = await startHeld();
  using home = tempFolder();
  const template = registryOf(service.url);
  const dying = await startProcess(home.path, template, [{ route: 'W.safe' }, { route: 'W.lane' }, { route: 'W.lane' }]);
  const [safe, running, line] = dying.ids;
  while (service.waiting() < 2) await new Promise((resolve) => setImmediate(resolve));
  await dying.kill();
  await service.answer();
  await service.answer();
  await using core = await openCore(template, { home: home.path });
  let boot: BootReport | null = null;
  core.watch(0, {
    snapshot: (snapshot) => {
      boot = snapshot.boot;
    },
    events: () => {},
  })();
  assert.deepEqual(boot && { ...(boot as BootReport), at: 0 }, {
    at: 0,
    crashed: true,
    restored: [line],
    again: [safe],
    unknown: [running],
    dead: [],
    lost: [],
    deliveries: 0,
  });
  await service.answer();
  await service.answer();
  await Promise.all([ended(core, safe!), ended(core, line!)]);
  const states = await Promise.all([safe, running, line].map(async (id) => (await get(core, id!)).state));
  assert.deepEqual(states, ['succeeded', 'unknown', 'succeeded']);
  const ids = service.ledger.map(({ headers }) => headers['idempotency-key']);
  assert.deepEqual([new Set(ids).size, ids.length], [4, 4]);
  assert.equal(((await operate(core, 'OS.audit.verify')) as { ok: boolean }).ok, true);
});

test('J11: a job that runs at three crashes is given up, and others go on', async () => {
  await using service = await startHeld();
  using home = tempFolder();
  const template = registryOf(service.url);
  let dying = await startProcess(home.path, template, [
    { route: 'W.safe', params: { n: 1 } },
    { route: 'W.safe', params: { n: 2 } },
  ]);
  const [first, second] = dying.ids;
  while (service.waiting() < 2) await new Promise((resolve) => setImmediate(resolve));
  // The first crash had both running; the ones after it only the first, because suspects run one at a time.
  for (let i = 0; i < 2; i++) {
    await dying.kill();
    while (service.waiting() > 0) await service.answer();
    dying = await startProcess(home.path, template, []);
    await service.arrived();
    assert.equal(service.waiting(), 1);
  }
  await dying.kill();
  while (service.waiting() > 0) await service.answer();
  await using core = await openCore(template, { home: home.path });
  await service.answer();
  await ended(core, second!);
  const [dead, well] = await Promise.all([get(core, first!), get(core, second!)]);
  assert.deepEqual([dead.state, dead.errorCode, well.state], ['failed', 'dead_letter', 'succeeded']);
});

test('limits of orders survive a restart, and a clock that was set back grants nothing', async () => {
  await using service = await startService(({ url }, response) => {
    response.writeHead(url === '/api/command' ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ type: 'COMMAND_RESULT', success: true }));
  });
  using home = tempFolder();
  const template = `
orchestrator: {actions_per_minute: 2, cooldown: 50s}
orgs:
  ORC:
    services:
      podium: {kind: podium, endpoint: "${service.url}", egress: local}
`;
  const order = (core: Core, story_id: string) => core.dispatch(orderOf(core, story_id)).then(({ error }) => error?.code ?? 'taken');
  const orderOf = (core: Core, story_id: string) =>
    ({ route: 'ORC.podium', params: { action: 'enqueue_story', story_id }, door: 'library', principal: core.owner.principal }) as const;
  {
    await using core = await openCore(template, { home: home.path });
    assert.equal(await order(core, 'S-1'), 'taken');
  }
  await using core = await openCore(template, { home: home.path, clock: () => Date.now() - 3_600_000 });
  const codes: string[] = [];
  for (const story of ['S-1', 'S-2', 'S-3']) codes.push(await order(core, story));
  assert.deepEqual(codes, ['limited', 'taken', 'limited']);
});

test('what stands in line is called as the registry says when its turn comes, and not at all when its route is gone', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const { promise: served, resolve: serve } = Promise.withResolvers<void>();
  const first = submit(core, 'W.lane', { params: { n: 1 } });
  await service.arrived();
  const moved = submit(core, 'W.lane', { params: { n: 2 } });
  const one = submit(core, 'W.line', { params: { n: 3 } });
  await one.job;
  const gone = submit(core, 'W.line', { params: { n: 4 } });
  await Promise.all([moved.job, gone.job]);
  const { revision } = (await operate(core, 'OS.registry')) as { revision: string };
  const text = registryOf(service.url)
    .replace('/lane"', '/elsewhere"')
    .replace(/ +line: .*\n/, '');
  core.watch(0, { snapshot: () => {}, events: (batch) => batch.some(({ type }) => type === 'routes') && serve() });
  await operate(core, 'OS.registry.save', { text, revision });
  await served;
  for (let i = 0; i < 3; i++) await service.answer();
  const answers = await Promise.all([first, moved, one, gone].map(({ answer }) => answer));
  assert.deepEqual(
    answers.map(({ error }) => error?.code ?? null),
    [null, null, null, 'route_unknown'],
  );
  assert.deepEqual(service.ledger.map(({ url }) => url).sort(), ['/elsewhere', '/lane', '/line']);
});

test('a clock that jumps neither takes the time away that a job in line has left, nor holds up what waits', async () => {
  await using service = await startHeld();
  using home = tempFolder();
  const template = registryOf(service.url).replace('max: 20ms', 'max: 1h').replace('backoff: 10ms', 'backoff: 20m');
  let ahead = 0;
  const clock = () => Date.now() + ahead;
  let waiting: Promise<string>;
  {
    await using core = await openCore(template, { home: home.path, clock });
    const first = submit(core, 'W.lane');
    await service.arrived();
    const second = submit(core, 'W.lane', { deadlineMs: 60_000 });
    await second.job;
    ahead = 3_600_000;
    for (const { answer } of [first, second]) {
      await service.answer();
      assert.equal((await answer).error, null);
    }
    const held = Promise.withResolvers<void>();
    core.watch(0, {
      snapshot: () => {},
      events: (batch) => batch.some((event) => event.type === 'job' && event.job.state === 'waiting') && held.resolve(),
    });
    waiting = submit(core, 'W.retry').job;
    await service.answer(503);
    await held.promise;
  }
  ahead = -86_400_000;
  await using core = await openCore(template, { home: home.path, clock });
  const { state: now, waits } = await get(core, await waiting);
  assert.deepEqual([now, waits !== null && waits.until! - Date.now() <= 3_600_000], ['waiting', true]);
});

test('a key still stands for its job after a restart: the same request attaches to it', async () => {
  await using service = await startHeld();
  using home = tempFolder();
  const ask = { params: { n: 1 }, key: 'k' };
  let id: string;
  {
    await using core = await openCore(registryOf(service.url), { home: home.path });
    const call = submit(core, 'W.line', ask);
    id = await call.job;
    await service.arrived();
    void call.answer;
  }
  await using core = await openCore(registryOf(service.url), { home: home.path });
  const again = submit(core, 'W.line', ask).answer;
  while (service.waiting() > 0) await service.answer();
  await service.answer(200, { n: 1 });
  const { replayed, result } = await again;
  assert.deepEqual([replayed?.job, replayed?.how, result], [id, 'attached', { n: 1 }]);
});

test('who may only dispatch sees its own jobs, and no other is there for it', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const mine = { id: 'tok_mine', name: 'mine', capabilities: ['dispatch'] } as const;
  const own = submit(core, 'W.once', { principal: mine });
  const other = submit(core, 'W.once');
  const [first, second] = await Promise.all([own.job, other.job]);
  const look = async (id: string) => {
    const { error, result } = await core.dispatch({ route: 'OS.jobs.get', params: { id }, door: 'library', principal: mine });
    return error?.code ?? (result as Job).id;
  };
  assert.deepEqual([await look(first), await look(second)], [first, 'not_found']);
  await service.answer();
  await service.answer();
  await Promise.all([own.answer, other.answer]);
});

test('only its caller or an admin may cancel a job', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const { job, answer } = submit(core, 'W.once');
  const id = await job;
  const cancel = (capabilities: ('dispatch' | 'admin')[]) =>
    core.dispatch({
      route: 'OS.jobs.cancel',
      params: { id },
      door: 'library',
      principal: { id: 'tok_other', name: 'other', capabilities },
    });
  assert.equal((await cancel(['dispatch'])).error?.code, 'forbidden');
  assert.equal((await cancel(['dispatch', 'admin'])).ok, true);
  assert.equal((await answer).error?.code, 'cancelled');
});

test('an ended job runs again as a new one, unless secrets were left out of its record', async () => {
  await using service = await startHeld();
  await using core = await openCore(registryOf(service.url));
  const run = async (more: { params?: Record<string, unknown>; text?: string }) => {
    const call = submit(core, 'W.once', more);
    await service.answer();
    return (await call.answer).job!;
  };
  const plain = await run({ params: { n: 1 } });
  const retried = core.dispatch({ route: 'OS.jobs.retry', params: { id: plain }, door: 'library', principal: core.owner.principal });
  assert.deepEqual(JSON.parse(await service.answer()), { n: 1 });
  const { result } = await retried;
  assert.notEqual((result as { job: string }).job, plain);
  for (const secret of [await run({ params: { password: 'hunter2' } }), await run({ text: 'log in with password=hunter2' })]) {
    const refused = await core.dispatch({
      route: 'OS.jobs.retry',
      params: { id: secret },
      door: 'library',
      principal: core.owner.principal,
    });
    assert.equal(refused.error?.code, 'conflict');
  }
});
