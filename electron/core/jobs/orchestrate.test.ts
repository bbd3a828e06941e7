import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import type { InputOf, Orchestrated } from '../../../shared/contract.ts';
import type { WireError } from '../../../shared/errors.ts';
import type { JobDetail } from '../../../shared/model.ts';
import { Cutoff } from '../cutoff.ts';
import { createOperator } from '../operator/operator.ts';
import { parseRegistry } from '../registry/parse.ts';
import type { Run } from '../runners/runner.ts';
import { compileTable, type Table } from '../table.ts';
import { openCore, operate, startService } from '../testing.ts';
import { choose, orchestrateOperations } from './orchestrate.ts';

/** Services that echo, fail, or hold until they are let go. */
async function openFlows(more = '') {
  await using stack = new AsyncDisposableStack();
  const held: ServerResponse[] = [];
  let asked = Promise.withResolvers<void>();
  const service = stack.use(
    await startService(({ url, body }, response) => {
      response.setHeader('content-type', 'application/json');
      if (url === '/hold') held.push(response);
      else if (url === '/fail') response.writeHead(500).end('{"message":"out of order"}');
      else response.end(body);
      asked.resolve();
      asked = Promise.withResolvers();
    }),
  );
  const at = (path: string) => `{endpoint: "${service.url}/${path}", egress: local}`;
  const core = stack.use(
    await openCore(`fallback_org: T
limits: off
orgs:
  T: {default_service: crm, services: {crm: {endpoint: "${service.url}/echo", egress: local, examples: [sync the contacts, find a customer]}}}
  OS: {services: {calc: {kind: tool, examples: [what is 2+2]}, memory.write: {kind: tool}}}
flows: {mail.sort: ${at('echo')}, mail.fail: ${at('fail')}, mail.hold: ${at('hold')}}
callbacks: {hosts: [{host: "127.0.0.1:9", egress: local}]}
${more}`),
  );
  const owned = stack.move();
  return {
    core,
    service,
    held,
    /** The next request has reached the service. */
    asked: () => asked.promise,
    async orchestrate(params: InputOf<'OS.orchestrate'>): Promise<Orchestrated | WireError> {
      const crossing = await core.ask({ route: 'OS.orchestrate', params });
      return crossing.error ?? (crossing.result as Orchestrated);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const answer = (given: Orchestrated | WireError) => {
  assert.ok('job_id' in given, JSON.stringify(given));
  return given;
};
const refusal = (given: Orchestrated | WireError) => {
  assert.ok('code' in given, JSON.stringify(given));
  return given;
};

test('seed 003: what ends in time is the answer, with its mode; a failure that ran is an answer too', async () => {
  await using flows = await openFlows();
  const sorted = answer(await flows.orchestrate({ intent: 'mail.sort', inputs: { since: 'today' }, mode: 'flow', trace: 'mine' }));
  const { job_id, crossing, duration_ms, ...told } = sorted;
  assert.deepEqual(told, {
    ...{ status: 'succeeded', result: { since: 'today' }, error: null, will_callback: false, mode: 'flow', route: 'FLOW.mail.sort' },
    ...{ replayed: false, trace: 'mine' },
  });
  const job = (await operate(flows.core, 'OS.jobs.get', { id: job_id })) as JobDetail;
  assert.deepEqual([job.state, job.crossing, job.starts], ['succeeded', crossing, 1]);
  assert.ok(duration_ms > 0);

  const failed = answer(await flows.orchestrate({ intent: 'mail.fail' }));
  assert.deepEqual([failed.status, failed.result, failed.error?.code, failed.mode], ['failed', null, 'upstream_failed', 'flow']);
  const tool = answer(await flows.orchestrate({ intent: 'calc', inputs: { text: '2+2' }, mode: 'agent' }));
  assert.deepEqual([tool.status, tool.mode, tool.route], ['succeeded', 'agent', 'OS.calc']);
});

test('what takes longer is answered with its job, which goes on, is not started again and ends once', async () => {
  await using flows = await openFlows();
  const reached = flows.asked();
  const early = answer(await flows.orchestrate({ intent: 'mail.hold', wait_ms: 0, callback_url: 'http://127.0.0.1:9/' }));
  assert.deepEqual([early.status, early.result, early.error, early.will_callback, early.mode], ['running', null, null, true, 'flow']);
  await reached;
  const ended = Promise.withResolvers<void>();
  const stop = flows.core.watch(0, {
    snapshot: () => {},
    events: (batch) => {
      if (batch.some((event) => event.type === 'job' && event.job.id === early.job_id && event.job.state === 'succeeded')) ended.resolve();
    },
  });
  flows.held[0]!.end('{"done": true}');
  await ended.promise;
  stop();
  const job = (await operate(flows.core, 'OS.jobs.get', { id: early.job_id })) as JobDetail;
  assert.deepEqual([job.state, job.result, job.starts, job.crossing], ['succeeded', { done: true }, 1, early.crossing]);
  assert.equal(flows.service.ledger.length, 1);
});

test('under one key one run: while it goes on a second call is told its job, afterwards its result, and no one is called back twice', async () => {
  await using flows = await openFlows();
  const call = { intent: 'mail.hold', inputs: { a: 1 }, idempotency_key: 'k1', wait_ms: 0 };
  const reached = flows.asked();
  const first = answer(await flows.orchestrate(call));
  await reached;
  const second = answer(await flows.orchestrate({ ...call, callback_url: 'http://127.0.0.1:9/' }));
  assert.deepEqual([second.job_id, second.replayed, second.will_callback, second.status], [first.job_id, true, false, 'running']);
  const third = flows.orchestrate({ ...call, wait_ms: 30_000 });
  flows.held[0]!.end('{"done": true}');
  assert.deepEqual([answer(await third).result, answer(await third).replayed], [{ done: true }, true]);
  const later = answer(await flows.orchestrate(call));
  assert.deepEqual([later.job_id, later.status, later.result, later.replayed], [first.job_id, 'succeeded', { done: true }, true]);
  assert.equal(refusal(await flows.orchestrate({ ...call, inputs: { a: 2 } })).code, 'key_mismatch');
  assert.equal(flows.service.ledger.length, 1);
});

test('what is refused before there is a job is a refusal; what nobody knows names the nearest', async () => {
  await using flows = await openFlows();
  const unknown = refusal(await flows.orchestrate({ intent: 'mail.srot', mode: 'flow' }));
  assert.deepEqual(
    [unknown.code, unknown.message, unknown.choices?.[0]?.route],
    ['route_unknown', 'There is no flow mail.srot.', 'FLOW.mail.sort'],
  );
  assert.equal(refusal(await flows.orchestrate({ intent: 'memory.wirte' })).choices?.[0]?.route, 'OS.memory.write');
  assert.equal(refusal(await flows.orchestrate({ intent: 'mail.sort', mode: 'agent' })).code, 'route_unknown');
  assert.equal(refusal(await flows.orchestrate({ intent: 'mail.sort', callback_url: 'http://169.254.169.254/' })).code, 'egress_refused');
  for (const call of [{ intent: '' }, { intent: 'mail.sort', callback_url: '' }])
    assert.equal(refusal(await flows.orchestrate(call)).code, 'input_invalid');
  assert.equal(flows.service.ledger.length, 0);
});

test('a caller who leaves stops waiting, and the job goes on', async () => {
  await using flows = await openFlows();
  const caller = new AbortController();
  const reached = flows.asked();
  const { core } = flows;
  const call = { route: 'OS.orchestrate', params: { intent: 'mail.hold' }, door: 'library', principal: core.owner.principal } as const;
  const leaving = core.dispatch(call, caller.signal);
  await reached;
  caller.abort();
  assert.equal((await leaving).error?.code, 'cancelled');
  const jobs = (await operate(core, 'OS.jobs', {})) as { jobs: { state: string }[] };
  assert.deepEqual(
    jobs.jobs.map(({ state }) => state),
    ['running'],
  );
});

/** The table of a registry on which nothing runs. */
async function openTable(text: string): Promise<Table & Disposable> {
  const { registry, problems } = parseRegistry(text);
  assert.ok(registry, JSON.stringify(problems));
  const operator = await createOperator(registry.routes.map(({ name, examples }) => ({ name, examples, rules: [] })));
  const passes = { name: 'passes', cross: () => null };
  const runs = () => Promise.reject(new Error('nothing runs here'));
  const table = compileTable(registry, operator, {
    limits: passes,
    sovereign: passes,
    operationRunner: runs,
    runnerOf: () => runs,
    dangers: {},
  });
  return { ...table, [Symbol.dispose]: () => operator[Symbol.dispose]() };
}

test('auto goes by the declared kind of a service, then by seed 003\u2019s heuristics, then leaves words to the operator', async () => {
  const at = '{endpoint: "http://a:81/", egress: lan}';
  using table = await openTable(`orgs:
  OS: {services: {memory.search: {kind: tool}, fs.read: {kind: tool}, fs.list: {kind: tool}, ssh.exec: {kind: tool}}}
  A: {services: {report: ${at}, both: ${at}, hook: {kind: flow, endpoint: "http://a:81/", egress: lan}}}
  B: {services: {both: ${at}}}
flows: {gmail.triage: "http://a:81/", fs.read: "http://a:81/", fs.list: "http://a:81/", ssh.exec: "http://a:81/"}
`);
  const chosen = (intent: string, mode: 'auto' | 'flow' | 'mcp' | 'agent' = 'auto') => {
    const choice = choose(table, { intent, mode });
    return 'code' in choice ? choice.code : 'route' in choice ? choice.route : `words: ${choice.text}`;
  };
  assert.deepEqual(
    ['A.report', 'a.REPORT', 'report', 'FLOW.gmail.triage', 'gmail.triage', 'memory.search', 'hook'].map((intent) => chosen(intent)),
    ['A.report', 'A.report', 'A.report', 'FLOW.gmail.triage', 'FLOW.gmail.triage', 'OS.memory.search', 'A.hook'],
  );
  assert.deepEqual(
    ['fs.read', 'fs.list', 'ssh.exec'].map((intent) => chosen(intent)),
    ['OS.fs.read', 'FLOW.fs.list', 'OS.ssh.exec'],
  );
  assert.deepEqual(
    ['fs.read', 'hook', 'A.hook', 'report'].map((intent) => chosen(intent, 'flow')),
    ['FLOW.fs.read', 'A.hook', 'A.hook', 'route_unknown'],
  );
  assert.deepEqual(
    ['fs.list', 'OS.fs.list', 'status', 'gmail.triage'].map((intent) => chosen(intent, 'agent')),
    ['OS.fs.list', 'OS.fs.list', 'route_unknown', 'route_unknown'],
  );
  assert.deepEqual(
    ['both', 'sort my mail', 'deploy', 'gmail.trige', 'OS.status', 'OS.orchestrate'].map((intent) => chosen(intent)),
    ['route_uncertain', 'words: sort my mail', 'words: deploy', ...['route_unknown', 'route_unknown', 'route_unknown']],
  );
  assert.equal(chosen('anything', 'mcp'), 'route_unknown');
  const nearest = (intent: string) => {
    const choice = choose(table, { intent, mode: 'auto' });
    return 'choices' in choice ? choice.choices?.[0]?.route : null;
  };
  assert.deepEqual(['gmail.trige', 'FLOW.gmail.trige', 'memory.read', 'A.reprot'].map(nearest), [
    ...['FLOW.gmail.triage', 'FLOW.gmail.triage', 'OS.memory.search', 'A.report'],
  ]);
});

test('at the boundary there is exactly one outcome: the result, or the job that goes on to it', async () => {
  await using flows = await openFlows();
  using table = await openTable(`orgs: {}\nflows: {mail.hold: "http://a:81/"}\n`);
  const { core, held } = flows;
  const jobs = new Map<string, JobDetail>();
  const ends = new Map<string, PromiseWithResolvers<void>>();
  const endOf = (id: string) => {
    const end = ends.get(id) ?? Promise.withResolvers<void>();
    ends.set(id, end);
    return end;
  };
  const stop = core.watch(0, {
    snapshot: () => {},
    events(batch) {
      for (const event of batch) {
        if (event.type !== 'job') continue;
        jobs.set(event.job.id, event.job as JobDetail);
        if (event.job.state === 'succeeded') endOf(event.job.id).resolve();
      }
    },
  });
  const { principal } = core.owner;
  const answers: Orchestrated[] = [];
  for (let turn = 0; turn < 60; turn++) {
    const time = Promise.withResolvers<void>();
    const reached = flows.asked();
    const cutoff = new Cutoff();
    const operations = orchestrateOperations({
      table: () => table,
      job: (id) => jobs.get(id) ?? null,
      clock: Date.now,
      sleep: () => time.promise,
    });
    const run = {
      deadlineAt: Date.now() + 60_000,
      ...{ cutoff, signal: cutoff.signal },
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      runtime: {
        confirmed: false,
        dispatch: (ask: object, how: { accepted: Parameters<typeof core.dispatch>[2] }) =>
          core.dispatch({ ...ask, door: 'library', principal }, undefined, how.accepted),
      },
    } as unknown as Run;
    const answering = operations['OS.orchestrate']({ intent: 'mail.hold', inputs: { turn }, mode: 'auto', content: false }, principal, run);
    await reached;
    // The time runs out before the answer is sent, with it, or a turn of the loop later.
    if (turn % 3 === 0) time.resolve();
    held[turn]!.end(`{"turn": ${turn}}`);
    if (turn % 3 === 1) time.resolve();
    if (turn % 3 === 2) held[turn]!.once('close', () => time.resolve());
    answers.push(await answering);
    await endOf(answers[turn]!.job_id!).promise;
    time.resolve();
  }
  stop();
  assert.deepEqual(
    flows.service.ledger.map(({ body }) => JSON.parse(body)),
    answers.map((_, turn) => ({ turn })),
  );
  assert.equal(new Set(answers.map((each) => each.job_id)).size, 60);
  for (const [turn, { job_id, status, result }] of answers.entries()) {
    const job = (await operate(core, 'OS.jobs.get', { id: job_id })) as JobDetail;
    assert.deepEqual([job.state, job.result, job.starts], ['succeeded', { turn }, 1]);
    assert.deepEqual(result, status === 'succeeded' ? { turn } : null);
    assert.ok(status === 'succeeded' || status === 'running', status);
  }
  assert.equal(answers[0]?.status, 'running');
});
