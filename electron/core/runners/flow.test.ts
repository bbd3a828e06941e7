import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { Job } from '../../../shared/model.ts';
import { newWebhookSecret } from '../jobs/webhook-signature.ts';
import { openCore, startService } from '../testing.ts';

const secret = newWebhookSecret();

/** One flow of Node-RED: http in, the nodes between, http response. */
function flow(url: string, between: Record<string, unknown>[]): Record<string, unknown>[] {
  const id = (place: number) => `${url.slice(1)}${place}`;
  const nodes = [{ type: 'http in', url, method: 'post', upload: false }, ...between, { type: 'http response' }];
  return nodes.map((node, place) => ({
    wires: place + 1 < nodes.length ? [[id(place + 1)]] : [],
    ...node,
    id: id(place),
    z: 'tab',
    name: '',
  }));
}
const code = (func: string) => ({ type: 'function', func, outputs: 1 });

const flows = [
  { id: 'tab', type: 'tab', label: 'flows' },
  ...flow('/echo', [
    code(
      'msg.payload = { got: msg.payload, job: msg.req.headers["x-dispatcher-job"], callback: msg.req.headers["x-dispatcher-callback"] ?? null }; return msg;',
    ),
  ]),
  ...flow('/slow', [
    { type: 'delay', pauseType: 'delay', timeout: '50', timeoutUnits: 'milliseconds' },
    code('msg.payload = { slept: true }; return msg;'),
  ]),
  ...flow('/fail', [code('msg.statusCode = 422; msg.payload = { message: "no such mailbox" }; return msg;')]),
  // Answers at once as n8n does, and brings the result later.
  ...flow('/later', [
    {
      type: 'function',
      outputs: 2,
      func: `const { 'x-dispatcher-job': job, 'x-dispatcher-callback': url } = msg.req.headers;
        msg.payload = { message: 'Workflow was started' };
        return [msg, url ? { job, url } : null];`,
      wires: [['later2'], ['sign']],
    },
  ]),
  {
    ...code(`const crypto = global.get('crypto');
      const t = String(Math.floor(Date.now() / 1000));
      msg.payload = JSON.stringify({ job_id: msg.job, status: 'succeeded', result: { archived: 8 } });
      const hex = crypto.createHmac('sha256', env.get('SECRET')).update(t + '.' + msg.payload).digest('hex');
      msg.headers = { 'content-type': 'application/json', 'x-dispatcher-timestamp': t, 'x-dispatcher-signature': 'sha256=' + hex };
      return msg;`),
    ...{ id: 'sign', z: 'tab', wires: [['post']] },
  },
  { id: 'post', z: 'tab', type: 'http request', method: 'POST', ret: 'txt', wires: [[]] },
];

/** A real Node-RED in a folder of its own; answers its address once its flows run. */
async function startNodeRed() {
  const folder = mkdtempSync(join(tmpdir(), 'node-red-'));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  writeFileSync(join(folder, 'flows.json'), JSON.stringify(flows));
  writeFileSync(
    join(folder, 'settings.js'),
    `module.exports = { uiHost: '127.0.0.1', uiPort: ${port}, flowFile: 'flows.json', httpAdminRoot: false, disableEditor: true, telemetry: { enabled: false },
      credentialSecret: false, functionGlobalContext: { crypto: require('node:crypto') } };`,
  );
  const script = createRequire(import.meta.url).resolve('node-red/red.js');
  const child = spawn(process.execPath, [script, '-s', join(folder, 'settings.js'), '-u', folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, HOME: folder, SECRET: secret },
  });
  const started = Promise.withResolvers<void>();
  const said: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.push(line);
    if (line.includes('Started flows')) started.resolve();
  });
  child.once('exit', () => started.reject(new Error(`Node-RED did not start:\n${said.join('\n')}`)));
  await started.promise;
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

let nodeRed: Awaited<ReturnType<typeof startNodeRed>>;
before(async () => {
  nodeRed = await startNodeRed();
});
after(() => nodeRed[Symbol.asyncDispose]());

const registry = () => `
orgs: {}
flows:
  echo: { endpoint: "${nodeRed.url}/echo", egress: local }
  slow: { endpoint: "${nodeRed.url}/slow", egress: local }
  fail: { endpoint: "${nodeRed.url}/fail", egress: local }
  started: { endpoint: "${nodeRed.url}/later", egress: local }
  later: { endpoint: "${nodeRed.url}/later", egress: local, answer: callback }
  silent: { endpoint: "${nodeRed.url}/echo", egress: local, answer: callback, timeout: 10s }
  hasty: { endpoint: "${nodeRed.url}/echo", egress: local, answer: callback, timeout: 2s }
  broken: { endpoint: "${nodeRed.url}/fail", egress: local, answer: callback }
callbacks: { ingest: INGEST_SECRET }
`;
const open = (text = registry()) => openCore(text, { secret: (name) => (name === 'INGEST_SECRET' ? secret : null) });

test('a Node-RED flow gets the inputs and its job, and what it answers, at once or late, is the result', async () => {
  await using core = await open();
  const echo = await core.ask({ route: 'FLOW.echo', params: { since: '1 hour ago', labels: ['inbox'] } });
  assert.deepEqual(echo.result, { got: { since: '1 hour ago', labels: ['inbox'] }, job: echo.job, callback: null });
  assert.deepEqual((await core.ask({ route: 'FLOW.slow' })).result, { slept: true });
  const failed = await core.ask({ route: 'FLOW.fail' });
  assert.deepEqual([failed.error?.code, failed.error?.message], ['upstream_failed', 'FLOW.fail answered 422: no such mailbox']);
  // Without `answer: callback` an immediate answer is the answer.
  assert.deepEqual((await core.ask({ route: 'FLOW.started' })).result, { message: 'Workflow was started' });
});

test('a flow that answers by callback leaves its job waiting, is told where to, and brings the result, signed', async () => {
  await using core = await open();
  const came = Promise.withResolvers<void>();
  const letIn = Promise.withResolvers<void>();
  await using door = await startService(async ({ headers, body }, response) => {
    came.resolve();
    await letIn.promise;
    const taken = await core.ingest({ headers, body: Buffer.from(body) });
    response.writeHead(taken.ok ? 200 : 400).end();
  });
  core.setUrl(door.url);
  const running = core.ask({ route: 'FLOW.later' });
  await came.promise;
  const [{ url, body } = { url: '', body: '{}' }] = door.ledger;
  const told = JSON.parse(body) as { job_id: string };
  assert.deepEqual([url, told], ['/callbacks/ingest', { job_id: told.job_id, status: 'succeeded', result: { archived: 8 } }]);
  const job = await waiting(core, told.job_id);
  assert.deepEqual([job.waits?.kind, job.waits?.until !== null], ['callback', true]);
  letIn.resolve();
  const crossing = await running;
  assert.deepEqual([crossing.job, crossing.result, crossing.attempts.length], [told.job_id, { archived: 8 }, 1]);
});

test('a job that waits for a callback can be cancelled', async () => {
  await using core = await open();
  core.setUrl('http://127.0.0.1:1');
  const caller = new AbortController();
  const running = core.dispatch({ route: 'FLOW.silent', door: 'library', principal: core.owner.principal }, caller.signal);
  await waiting(core);
  caller.abort();
  assert.equal((await running).error?.code, 'cancelled');
});

test('a callback that does not come ends the job; a flow that refuses is no job that waits', async () => {
  await using core = await open();
  core.setUrl('http://127.0.0.1:1');
  const [hasty, broken] = await Promise.all([core.ask({ route: 'FLOW.hasty' }), core.ask({ route: 'FLOW.broken' })]);
  assert.equal(hasty.error?.code, 'upstream_timeout');
  assert.match(hasty.error.message, /callback/);
  assert.equal(broken.error?.message, 'FLOW.broken answered 422: no such mailbox');
});

test('nothing is started whose callback could not come in', async () => {
  await using closed = await open();
  const noDoor = await closed.ask({ route: 'FLOW.later' });
  assert.deepEqual([noDoor.error?.code, noDoor.attempts], ['registry_invalid', []]);
  assert.match(noDoor.error?.message ?? '', /no HTTP door/);
  await using unset = await open(registry().replace('INGEST_SECRET', 'OTHER'));
  unset.setUrl('http://127.0.0.1:1');
  assert.match((await unset.ask({ route: 'FLOW.later' })).error?.message ?? '', /OTHER, the secret for callbacks, is not set/);
  await using none = await open(registry().replace(/callbacks: .*/, ''));
  none.setUrl('http://127.0.0.1:1');
  assert.match((await none.ask({ route: 'FLOW.later' })).error?.message ?? '', /no secret for callbacks is configured/);
});

/** The job once it waits; any that does when none is named. */
async function waiting(core: Awaited<ReturnType<typeof open>>, id?: string): Promise<Job> {
  const { promise, resolve } = Promise.withResolvers<Job>();
  const look = (jobs: Job[]) => {
    const found = jobs.find((job) => job.state === 'waiting' && (id === undefined || job.id === id));
    if (found) resolve(found);
  };
  const stop = core.watch(0, {
    snapshot: ({ jobs }) => look(jobs),
    events: (batch) => look(batch.flatMap((event) => (event.type === 'job' ? [event.job] : []))),
  });
  const job = await promise;
  stop();
  return job;
}
