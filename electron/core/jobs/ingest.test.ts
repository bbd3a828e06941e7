import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { CallbackSettings } from '../../../shared/model.ts';
import type { Outcome } from '../runners/runner.ts';
import { anIntent, anOutcome, createScratch } from '../store/scratch.ts';
import type { TendedJob } from '../store/store.ts';
import { createIngest, type Ingested } from './ingest.ts';
import { newWebhookSecret, readWebhookSecrets, signPlainly, signWebhook } from './webhook-signature.ts';

const start = 1_700_000_000_000;
const variable = 'FLOW_SECRET';

/** Over the real store, with jobs that wait until something arrives for them. */
async function setup(t: TestContext) {
  const scratch = createScratch(t);
  const world = { at: start, disk: Promise.resolve() };
  const environment: Record<string, string> = { [variable]: newWebhookSecret() };
  const settings: CallbackSettings = { signEnv: null, ingestEnv: variable, hosts: [], attempts: 8 };
  const waiting = new Set<string>();
  const outcomes: [job: string, outcome: Outcome][] = [];

  async function open() {
    const store = await scratch.open({ now: () => world.at });
    const ingest = createIngest({
      store,
      settings: () => settings,
      secret: (name) => environment[name] ?? null,
      arrived(job, outcome) {
        if (!waiting.delete(job)) return null;
        outcomes.push([job, outcome]);
        return world.disk.then(() => store.finish(anOutcome(job)));
      },
      recorded: async () => {},
      clock: () => world.at,
    });
    return { store, ingest };
  }
  const first = await open();

  async function begin(job: string, state: TendedJob['state']) {
    const more: TendedJob = { state, waits: null, lane: null, subject: null, call: null, key: null, callbackUrl: null };
    await first.store.begin(anIntent(job, { jobRow: { text: 'digest', params: '{}', confidence: 1, why: 'named', more } }));
    if (state === 'waiting') waiting.add(job);
  }

  const secret = () => readWebhookSecrets(environment[variable]!)!;
  /** A message as a sender makes it, in the standard form. */
  function message(body: string | Buffer, { id = 'msg_1', at = world.at } = {}) {
    const timestamp = String(Math.floor(at / 1000));
    const signature = signWebhook(secret(), { id, timestamp, body });
    return {
      headers: { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature } as Record<string, string>,
      body: Buffer.from(body),
    };
  }
  function plain(body: string | Buffer) {
    const timestamp = String(Math.floor(world.at / 1000));
    const signature = signPlainly(secret()[0]!, { timestamp, body });
    return { headers: { 'x-dispatcher-timestamp': timestamp, 'x-dispatcher-signature': signature }, body: Buffer.from(body) };
  }
  return { ...first, open, begin, waiting, world, environment, settings, outcomes, message, plain };
}

const codeOf = (answer: Ingested) => (answer.ok ? (answer.replayed ? 'replayed' : 'taken') : answer.error.code);
const success = (job: string) => JSON.stringify({ job_id: job, status: 'success', result: { rows: 3 } });

test('a signed callback brings the result of the job that waits for it, in either form', async (t) => {
  const { ingest, begin, message, plain, outcomes, store } = await setup(t);
  for (const job of ['job_a', 'job_b', 'job_c', 'job_d']) await begin(job, 'waiting');
  assert.deepEqual(await ingest(message(success('job_a'))), { ok: true, job: 'job_a', replayed: false });
  assert.equal(store.read.job('job_a')?.state, 'succeeded', 'on record before it is answered');
  const failed = { job_id: 'job_b', status: 'failed', error: { message: 'no such label', code: 7 }, more: 'than we ask' };
  assert.equal(codeOf(await ingest(plain(JSON.stringify(failed)))), 'taken');
  assert.equal(codeOf(await ingest(plain('{"job_id":"job_c","status":"succeeded"}'))), 'taken');
  assert.equal(codeOf(await ingest(plain('{"job_id":"job_d","status":"failed"}'))), 'taken');
  assert.deepEqual(
    outcomes.map(([job, outcome]) => [job, outcome.ok ? outcome.result : [outcome.error.code, outcome.error.message]]),
    [
      ['job_a', { rows: 3 }],
      ['job_b', ['upstream_failed', 'no such label']],
      ['job_c', null],
      ['job_d', ['upstream_failed', 'The flow failed and did not say why.']],
    ],
  );
});

test('a callback is answered once its outcome is on record, and not before', async (t) => {
  const { ingest, begin, message, world, store } = await setup(t);
  await begin('job_a', 'waiting');
  const slow = Promise.withResolvers<void>();
  world.disk = slow.promise;
  let answered = false;
  const answer = ingest(message(success('job_a'))).then((ingested) => {
    answered = true;
    return ingested;
  });
  // What is written after it is durable, so nothing but the outcome is left to wait for.
  await store.sawCallback('another', start);
  await new Promise(setImmediate);
  assert.equal(answered, false);
  slow.resolve();
  assert.equal(codeOf(await answer), 'taken');
});

test('without a secret nobody is believed, however well it is signed', async (t) => {
  const { ingest, begin, message, plain, settings, environment, outcomes } = await setup(t);
  await begin('job_a', 'waiting');
  const signed = [message(success('job_a')), plain(success('job_a'))];
  const refusals: [why: RegExp, () => void][] = [
    [/No secret for callbacks is configured/, () => Object.assign(settings, { ingestEnv: null })],
    [/The secret for callbacks is not set/, () => Object.assign(settings, { ingestEnv: 'UNSET' })],
    [/The secret for callbacks is none/, () => Object.assign(settings, { ingestEnv: variable })],
    [/The secret for callbacks is none/, () => Object.assign(environment, { [variable]: '' })],
  ];
  environment[variable] = 'hunter2';
  for (const [why, change] of refusals) {
    change();
    for (const received of signed) {
      const answer = await ingest(received);
      assert.ok(!answer.ok && answer.error.code === 'forbidden' && why.test(answer.error.message), JSON.stringify(answer));
      assert.match(answer.error.hint!, /callbacks\.ingest/);
    }
  }
  assert.deepEqual(outcomes, []);
});

test('C01, C04: a wrong signature, other bytes or another time is unauthenticated, and touches nothing', async (t) => {
  const { ingest, begin, message, plain, outcomes, world } = await setup(t);
  await begin('job_a', 'waiting');
  const body = success('job_a');
  const good = message(body);
  const simple = plain(body);
  const stranger = readWebhookSecrets(newWebhookSecret())!;
  const signature = good.headers['webhook-signature']!;
  const plainSignature = simple.headers['x-dispatcher-signature'];
  const timestamp = simple.headers['x-dispatcher-timestamp'];
  const standard = (changed: Record<string, string>) => ({ ...good, headers: { ...good.headers, ...changed } });
  const simply = (changed: string) => ({ ...simple, headers: { ...simple.headers, 'x-dispatcher-signature': changed } });
  const table: [what: string, Parameters<typeof ingest>[0]][] = [
    ['no headers', { headers: {}, body: good.body }],
    ['empty', standard({ 'webhook-signature': '' })],
    ['short', standard({ 'webhook-signature': signature.slice(0, 20) })],
    ['long', standard({ 'webhook-signature': `${signature}AAAA` })],
    ['wrong', standard({ 'webhook-signature': signWebhook(stranger, { id: 'msg_1', timestamp, body }) })],
    ['as hex', standard({ 'webhook-signature': `v1,${Buffer.from(signature.slice(3), 'base64').toString('hex')}` })],
    ['other id', standard({ 'webhook-id': 'msg_2' })],
    ['no id', { ...good, headers: { 'webhook-timestamp': timestamp, 'webhook-signature': signature } }],
    ['plain: empty', simply('')],
    ['plain: upper case', simply(`sha256=${plainSignature.slice(7).toUpperCase()}`)],
    ['plain: base64', simply(`sha256=${Buffer.from(plainSignature.slice(7), 'hex').toString('base64')}`)],
    ['plain: wrong', simply(signPlainly(stranger[0]!, { timestamp, body }))],
    ['plain: the standard signature', simply(signature)],
    ['serialised again', { ...good, body: Buffer.from(JSON.stringify(JSON.parse(body), null, 2)) }],
    ['one byte more', { ...good, body: Buffer.from(`${body}\n`) }],
    ['gzip', { headers: { ...good.headers, 'content-encoding': 'gzip' }, body: gzipSync(body) }],
    ['another charset', { ...good, body: Buffer.from(body, 'utf16le') }],
    ['301 s old', message(body, { at: world.at - 301_000 })],
    ['301 s ahead', message(body, { at: world.at + 301_000 })],
  ];
  for (const [what, received] of table) assert.equal(codeOf(await ingest(received)), 'unauthenticated', what);
  assert.deepEqual(outcomes, []);
  assert.equal(codeOf(await ingest(good)), 'taken', 'the one that is right is taken');
});

test('C02: a replay has no second effect, is told so, also after a restart, and after five minutes is refused', async (t) => {
  const { ingest, begin, message, plain, outcomes, world, store, open } = await setup(t);
  await begin('job_a', 'waiting');
  await begin('job_b', 'waiting');
  const [standard, simple] = [message(success('job_a')), plain(success('job_b'))];
  const both = async (take: typeof ingest) => [codeOf(await take(standard)), codeOf(await take(simple))];
  assert.deepEqual(await both(ingest), ['taken', 'taken']);
  assert.deepEqual(await both(ingest), ['replayed', 'replayed']);
  assert.equal(codeOf(await ingest(message(success('job_a'), { at: world.at + 5000 }))), 'replayed', 'sent again, signed for its new time');
  await store[Symbol.asyncDispose]();
  const { ingest: after } = await open();
  assert.deepEqual(await both(after), ['replayed', 'replayed']);
  world.at += 301_000;
  assert.deepEqual(await both(after), ['unauthenticated', 'unauthenticated']);
  assert.equal(outcomes.length, 2);
});

test('C06: unknown jobs are not found; a job that has ended or does not wait is in conflict, and stays as it is', async (t) => {
  const { ingest, begin, message, outcomes, store } = await setup(t);
  await begin('job_done', 'waiting');
  await begin('job_cancelled', 'running');
  await begin('job_running', 'running');
  await store.finish(
    anOutcome('job_cancelled', {
      outcome: 'cancelled',
      jobEnd: { state: 'cancelled', durationMs: 1, errorCode: 'cancelled', errorMessage: 'by hand', record: '{}' },
    }),
  );
  assert.equal(codeOf(await ingest(message(success('job_done'), { id: 'msg_first' }))), 'taken');
  const failure = JSON.stringify({ job_id: 'job_done', status: 'failed', error: 'changed my mind' });
  const table: [what: string, body: string, code: string][] = [
    ['failure after success', failure, 'conflict'],
    ['the same failure once more', failure, 'conflict'],
    ['cancelled', success('job_cancelled'), 'conflict'],
    ['still running', success('job_running'), 'conflict'],
    ['unknown', success('job_none'), 'not_found'],
  ];
  for (const [what, body, code] of table) assert.equal(codeOf(await ingest(message(body, { id: 'msg_second' }))), code, what);
  const states = ['job_done', 'job_cancelled', 'job_running'].map((job) => store.read.job(job)?.state);
  assert.deepEqual([states, outcomes.length], [['succeeded', 'cancelled', 'running'], 1]);
});

test('a callback that came too early may come again', async (t) => {
  const { ingest, begin, message, waiting } = await setup(t);
  await begin('job_a', 'running');
  const early = message(success('job_a'));
  assert.equal(codeOf(await ingest(early)), 'conflict');
  waiting.add('job_a');
  assert.equal(codeOf(await ingest(early)), 'taken');
});

test('what is signed but no result of a job is invalid', async (t) => {
  const { ingest, message, outcomes } = await setup(t);
  const deep = `{"job_id":"job_a","status":"success","result":${'['.repeat(50_000)}${']'.repeat(50_000)}}`;
  const bodies: (string | Buffer)[] = [
    ...['', 'null', '[]', '"job_a"', '{', '{"job_id":"job_a"}', '{"status":"success"}', '{"job_id":7,"status":"success"}'],
    ...['{"job_id":"job_a","status":"running"}', '{"job_id":"","status":"success"}', '\ufeff{"job_id":"job_a","status":"success"}', deep],
    Buffer.from([...Buffer.from('{"job_id":"job_a","status":"success","result":"'), 0xff, ...Buffer.from('"}')]),
  ];
  for (const body of bodies) assert.equal(codeOf(await ingest(message(body))), 'input_invalid', body.toString().slice(0, 60));
  assert.deepEqual(outcomes, []);
});
