import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cpSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { Ask } from '../../../shared/contract.ts';
import type { Job } from '../../../shared/model.ts';
import { createCore } from '../core.ts';
import { openCore, operate, startService, tempFolder } from '../testing.ts';
import type { StepReport } from './grid.ts';

type Body = Record<string, unknown>;

/** Services of one org G that answer by their path, and a ledger of what they heard in its order. */
async function openGrids(grids: string, { mock = false }: { mock?: boolean } = {}) {
  await using stack = new AsyncDisposableStack();
  const ledger: { path: string; body: Body; parent: string }[] = [];
  /** Answers that are held until somebody lets them go. */
  const holding: ServerResponse[] = [];
  const heard = new Map<string, PromiseWithResolvers<void>>();
  const hears = (path: string) => {
    const entry = heard.get(path) ?? Promise.withResolvers<void>();
    heard.set(path, entry);
    return entry;
  };
  const server = createServer(async (request, response) => {
    const body = JSON.parse(Buffer.concat(await request.toArray()).toString()) as Body;
    const path = request.url!.slice(1);
    ledger.push({ path, body, parent: String(request.headers.traceparent).split('-')[1]! });
    response.setHeader('content-type', 'application/json');
    if (path === 'echo') response.end(JSON.stringify({ said: body, items: [{ id: 7 }, { id: 8 }], 'odd key': null }));
    else if (path === 'fail') response.writeHead(500).end('{"message": "out of order"}');
    else holding.push(response);
    hears(path).resolve();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const home = stack.use(tempFolder()).path;
  const services = ['echo', 'fail', 'hold', 'wait'].map((name) => `      ${name}: {endpoint: "${url}/${name}", egress: local}\n`);
  const template = `orgs:\n  G:\n    services:\n${services.join('')}${grids}`;
  const core = stack.use(await createCore({ home, version: 'test', template, mock }));
  const owned = stack.move();
  const call = (ask: Ask, signal?: AbortSignal) => core.dispatch({ ...ask, door: 'library', principal: core.owner.principal }, signal);
  return {
    ledger,
    holding,
    hears: (path: string) => hears(path).promise,
    call,
    run: (params: Body = {}, signal?: AbortSignal) => call({ route: 'G.grid', params }, signal),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const grid = (policy: string, steps: string) => `      grid:\n        kind: grid\n        policy: ${policy}\n        steps:\n${steps}`;

/** ok, the code of the error, or `skipped`. */
const told = (result: unknown) =>
  Object.fromEntries(
    Object.entries((result as { steps: Record<string, StepReport> }).steps).map(([name, report]) => [
      name,
      report.ok ? 'ok' : (report.error?.code ?? 'skipped'),
    ]),
  );

test('steps run side by side, and what they read comes first: whole values keep their type, others become text', async () => {
  await using grids = await openGrids(
    grid(
      'all',
      `          last:
            route: echo
            after: [slow]
            params: {id: "$.steps.first.result.items[1].id", all: $.steps.first.result.items, say: "$.params.name has $.steps.first.result.items[0] for $$.5", none: "$.steps.first.result['odd key']"}
          first: {route: echo, params: {n: $.params.deep.n, text: $.text}}
          slow: {route: hold}
          slower: {route: wait}
`,
    ),
  );
  const { ledger, holding } = grids;
  const running = grids.call({ route: 'G.grid', text: 'hello', params: { name: 'Ada', deep: { n: 3 } } });
  await Promise.all([grids.hears('echo'), grids.hears('hold'), grids.hears('wait')]);
  for (const response of holding) response.end('{}');
  const crossing = await running;
  assert.equal(crossing.error, null);
  assert.deepEqual(told(crossing.result), { last: 'ok', first: 'ok', slow: 'ok', slower: 'ok' });
  assert.deepEqual(
    ledger.filter(({ path }) => path === 'echo').map(({ body }) => body),
    [
      { n: 3, text: 'hello' },
      { id: 8, all: [{ id: 7 }, { id: 8 }], say: 'Ada has {"id":7} for $.5', none: null },
    ],
  );
  assert.equal(ledger.at(-1)?.path, 'echo');

  const { steps } = crossing.result as { steps: Record<string, StepReport> };
  const jobs = await grids.call({ route: 'OS.jobs', params: {} });
  const listed = (jobs.result as { jobs: { id: string; crossing: string; state: string }[] }).jobs;
  assert.deepEqual(
    new Set(listed.map(({ crossing: id, state }) => `${id} ${state}`)),
    new Set([crossing.id, ...Object.values(steps).map((step) => step.crossing)].map((id) => `${id} succeeded`)),
  );
  const details = await Promise.all(Object.values(steps).map((step) => grids.call({ route: 'OS.jobs.get', params: { id: step.job! } })));
  assert.deepEqual(
    details.map(({ result }) => (result as { record: { parent: string } }).record.parent),
    details.map(() => crossing.id),
  );
  assert.deepEqual(new Set(ledger.map(({ parent }) => parent)), new Set([crossing.traceparent.split('-')[1]]));
  assert.deepEqual(crossing.attempts.length, 1);
});

test('all: the first failure cuts off what runs, starts nothing more, and names every step that did not succeed', async () => {
  await using grids = await openGrids(
    grid(
      'all',
      '          bad: {route: fail, after: [ok], params: {x: $.steps.ok.result.said}}\n          ok: {route: echo}\n          runs: {route: hold}\n          next: {route: echo, after: [runs]}\n',
    ),
  );
  const crossing = await grids.run();
  assert.deepEqual([crossing.ok, crossing.error?.code, crossing.error?.status], [false, 'upstream_failed', 500]);
  assert.equal(crossing.error?.message, 'The step bad of G.grid failed: G.fail answered 500: out of order');
  assert.deepEqual(crossing.error?.issues, [
    { path: 'steps.bad', message: 'G.fail answered 500: out of order' },
    { path: 'steps.runs', message: 'The step bad had failed.' },
    { path: 'steps.next', message: 'not started: The step bad had failed.' },
  ]);
  assert.deepEqual(
    grids.ledger.map(({ path }) => path).filter((path) => path !== 'hold'),
    ['echo', 'fail'],
  );
});

test('any: the first success is the answer and cuts the others off; with none, the grid fails', async () => {
  await using grids = await openGrids(
    grid(
      'any',
      '          bad: {route: fail}\n          runs: {route: hold}\n          late: {route: echo, after: [bad]}\n          won: {route: wait}\n',
    ),
  );
  const running = grids.run();
  await Promise.all([grids.hears('hold'), grids.hears('wait'), grids.hears('fail')]);
  grids.holding.find((response) => response.req.url === '/wait')!.end('{"mine": true}');
  const crossing = await running;
  assert.equal((crossing.result as { winner: string }).winner, 'won');
  assert.deepEqual(told(crossing.result), { bad: 'upstream_failed', runs: 'cancelled', late: 'skipped', won: 'ok' });

  await using none = await openGrids(grid('any', '          one: {route: fail}\n          two: {route: fail}\n'));
  const failed = await none.run();
  assert.equal(failed.error?.message, 'No step of G.grid succeeded; one: G.fail answered 500: out of order');
});

test('best: what succeeded is the answer, also at the deadline; only when nothing did it fails', async () => {
  await using grids = await openGrids(
    `${grid(
      'best',
      '          ok: {route: echo}\n          bad: {route: fail}\n          after-bad: {route: echo, after: [bad]}\n          odd: {route: echo, params: {x: "$.steps.ok.result.items[9].id"}}\n',
    )}      late: {kind: grid, policy: best, timeout: 1s, steps: {ok: {route: echo}, never: {route: hold}}}\n`,
  );
  const crossing = await grids.run();
  assert.deepEqual(told(crossing.result), { ok: 'ok', bad: 'upstream_failed', 'after-bad': 'skipped', odd: 'input_invalid' });
  const { odd, 'after-bad': after } = (crossing.result as { steps: Record<string, StepReport> }).steps;
  assert.equal(odd?.error?.message, 'The step odd reads $.steps.ok.result.items[9].id, and there is nothing there.');
  assert.equal(after?.skipped, 'The step bad did not succeed.');

  const late = await grids.call({ route: 'G.late' });
  assert.deepEqual([late.ok, told(late.result)], [true, { ok: 'ok', never: 'cancelled' }]);
});

test('a parameter that was not sent is refused before anything starts', async () => {
  await using grids = await openGrids(
    grid('best', '          one: {route: echo}\n          two: {route: echo, params: {x: [$.params.a.b], y: $.text}}\n'),
  );
  const { error } = await grids.run({ a: {} });
  assert.deepEqual(
    [error?.code, error?.issues],
    [
      'input_invalid',
      [
        { path: 'params.a.b', message: 'the step two reads $.params.a.b' },
        { path: 'text', message: 'the step two reads $.text' },
      ],
    ],
  );
  assert.deepEqual(grids.ledger, []);
});

test('a cancel reaches every step, through grids in grids, and nothing more is started', async () => {
  await using grids = await openGrids(
    `${grid('best', '          ok: {route: echo}\n          a: {route: inner}\n          b: {route: hold}\n          c: {route: echo, after: [b]}\n')}      inner: {kind: grid, steps: {deep: {route: wait}}}\n`,
  );
  const caller = new AbortController();
  const running = grids.run({}, caller.signal);
  await Promise.all([grids.hears('hold'), grids.hears('wait'), grids.hears('echo')]);
  caller.abort();
  const crossing = await running;
  assert.equal(crossing.error?.code, 'cancelled');
  const { result } = await grids.call({ route: 'OS.jobs', params: {} });
  const states = (result as { jobs: { route: string; state: string }[] }).jobs.map(({ route, state }) => `${route} ${state}`);
  assert.deepEqual(states.sort(), ['G.echo succeeded', 'G.grid cancelled', 'G.hold cancelled', 'G.inner cancelled', 'G.wait cancelled']);
  assert.deepEqual(grids.ledger.map(({ path }) => path).sort(), ['echo', 'hold', 'wait']);
});

test('of a grid that was cut off nothing goes on: neither after a clean stop nor after a crash is a step of it started', async () => {
  const heard = Promise.withResolvers<void>();
  await using service = await startService(() => heard.resolve());
  const template = `orgs:
  G:
    services:
      one: {endpoint: "${service.url}/one", egress: local, lane: narrow}
      grid: {kind: grid, steps: {first: {route: one}, second: {route: one}}}
`;
  using stack = new DisposableStack();
  const [home, copy] = [stack.use(tempFolder()).path, stack.use(tempFolder()).path];
  const statesIn = async (folder: string) => {
    await using core = await openCore(template, { home: folder });
    const { jobs } = (await operate(core, 'OS.jobs')) as { jobs: Job[] };
    return jobs.map(({ route, state }) => `${route} ${state}`).sort();
  };
  {
    await using core = await openCore(template, { home });
    const standing = Promise.withResolvers<void>();
    core.watch(0, {
      snapshot: () => {},
      events: (batch) => batch.some((event) => event.type === 'job' && event.job.state === 'queued') && standing.resolve(),
    });
    void core.ask({ route: 'G.grid' });
    await Promise.all([standing.promise, heard.promise]);
    // What a power cut would leave.
    cpSync(home, copy, { recursive: true });
  }
  assert.deepEqual(await statesIn(copy), ['G.grid unknown', 'G.one cancelled', 'G.one unknown']);
  assert.deepEqual(await statesIn(home), ['G.grid failed', 'G.one cancelled', 'G.one cancelled']);
  assert.equal(service.ledger.length, 1);
});

test('with --mock a grid runs, and its steps answer as their mocks', async () => {
  await using grids = await openGrids(
    grid('all', '          one: {route: hold}\n          two: {route: fail, params: {x: $.steps.one.result.mock}}\n'),
    { mock: true },
  );
  assert.deepEqual(told((await grids.run()).result), { one: 'ok', two: 'ok' });
  assert.deepEqual(grids.ledger, []);
});
