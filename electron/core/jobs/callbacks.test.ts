import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { CallbackSettings, Crossing, Delivery } from '../../../shared/model.ts';
import { createIds } from '../crossing.ts';
import { createEgress } from '../egress.ts';
import { anIntent, anOutcome, createScratch } from '../store/scratch.ts';
import type { Store, TendedJob } from '../store/store.ts';
import { type CallbackParts, callbackBody, createCallbacks } from './callbacks.ts';
import { createSchedule, type Effect, type ScheduleEvent, step } from './schedule.ts';
import { createSeal } from './seal.ts';
import { newWebhookSecret, readWebhookSecrets, signWebhook, verifyWebhook } from './webhook-signature.ts';

const MINUTE = 60_000;
const start = 1_700_000_000_000;

interface Setup {
  names?: Record<string, string[]>;
  tries?: number;
  secrets?: Record<string, string>;
  timeoutMs?: number;
}

/** Callbacks over the real store, schedule and egress; time moves by `pass` only. */
async function setup(t: TestContext, { names = {}, tries = 8, secrets = {}, timeoutMs }: Setup = {}) {
  const scratch = createScratch(t);
  const world = { at: start, sovereign: false, wakeAt: null as number | null, looked: [] as string[], ownUrl: null as string | null };
  const settings: CallbackSettings = { signEnv: null, ingestEnv: null, hosts: [], attempts: tries };
  const egress = createEgress({
    sovereign: () => world.sovereign,
    lookup: (name, done) => {
      world.looked.push(name);
      const found = names[name];
      if (found === undefined) return done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
      done(
        null,
        found.map((address) => ({ address, family: 4 })),
      );
    },
  });
  t.after(() => egress[Symbol.asyncDispose]());
  const seal = createSeal(scratch.key);
  const ownSecret = newWebhookSecret();
  const published: Delivery[] = [];
  const news = new EventEmitter();

  /** One core: everything but the store's file is new. */
  async function open() {
    const store = await scratch.open({ now: () => world.at });
    let state = step(createSchedule(), {
      ...{ type: 'configure', calls: null, actionsPerMinute: 10, cooldownMs: 0, queueMost: 10, deliveryTries: tries, starveMs: 60_000 },
    }).state;
    const apply = (event: ScheduleEvent) => {
      const next = step(state, event);
      state = next.state;
      next.effects.forEach(perform);
    };
    const perform = (effect: Effect) => {
      if (effect.type === 'send') callbacks.send(effect.delivery);
      else if (effect.type === 'dead') callbacks.dead(effect.delivery);
      else if (effect.type === 'retry_delivery') callbacks.again(effect.delivery, effect.at);
      else if (effect.type === 'wake') world.wakeAt = effect.at;
    };
    const parts: CallbackParts = {
      ...{ store, egress, seal, ownSecret, timeoutMs },
      settings: () => settings,
      secret: (name) => secrets[name] ?? null,
      ownUrl: () => world.ownUrl,
      schedule: apply,
      now: () => world.at,
      clock: () => world.at,
      random: () => 0,
      publish: (delivery) => {
        published.push(delivery);
        news.emit('one');
      },
      newId: createIds(() => world.at).next,
    };
    const callbacks = createCallbacks(parts);
    t.after(() => callbacks[Symbol.asyncDispose]());
    return {
      store,
      callbacks,
      /** The clock goes to when the schedule wants to be woken. */
      pass() {
        assert.ok(world.wakeAt !== null, 'nothing waits');
        world.at = world.wakeAt;
        apply({ type: 'tick', at: world.at });
      },
      tick: (at: number) => apply({ type: 'tick', at }),
    };
  }

  /** The first delivery told from now on, or from `since` on, that fits. */
  async function until(fits: (delivery: Delivery) => boolean, since = 0): Promise<Delivery> {
    for (let at = since; ; at++) {
      while (at >= published.length) await once(news, 'one');
      if (fits(published[at]!)) return published[at]!;
    }
  }
  const tried = (attempts: number) => until((delivery) => delivery.attempts.length === attempts && delivery.nextAt !== null);

  return { ...(await open()), open, scratch, world, settings, egress, seal, ownSecret, published, until, tried };
}

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
}

/** A receiver on loopback that answers as it is told, one answer after the other and then the last one again. */
async function receiver(t: TestContext, ...answers: RequestListener[]) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    received.push({ headers: request.headers, body });
    answers[Math.min(received.length, answers.length) - 1]!(request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { received, host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}/done`, port };
}

const says =
  (status: number, headers: Record<string, string> = {}): RequestListener =>
  (_request, response) =>
    void response.writeHead(status, headers).end();

function aCrossing(more: Partial<Crossing> = {}): Crossing {
  return {
    ...{ id: 'x_1', ok: true, route: 'FND.gmail', result: { processed: 15 }, error: null, why: 'named', confidence: 1, job: 'job_1' },
    ...{ audit: null, durationMs: 45_000, at: start, door: 'http', caller: 'owner', text: 'gmail.triage', parent: null, traceparent: '' },
    ...{ boundaries: [], left: [], mock: false, signature: null },
    attempts: [{ id: 'att_1', route: 'FND.gmail', endpoint: null, startedAt: start, durationMs: 44_990, status: 200, error: null }],
    ...more,
  };
}

const local = (host: string) => ({ host, egress: 'local' as const });

test('a result arrives signed, in the shape of seed 003, and is delivered', async (t) => {
  const { callbacks, settings, until, ownSecret, store } = await setup(t);
  const { url, host, received } = await receiver(t, says(204));
  settings.hosts.push(local(host));
  assert.equal(callbacks.check(url), null);
  callbacks.begin(aCrossing(), url);
  const delivery = await until(({ state }) => state === 'delivered');
  const [{ headers, body }] = received as [Received];
  assert.deepEqual(JSON.parse(body), {
    ...{ job_id: 'job_1', intent: 'gmail.triage', status: 'succeeded', result: { processed: 15 }, error: null },
    metrics: { latency_ms: 45_000 },
    logs: ['2023-11-14T22:13:20.000Z FND.gmail: 200 in 44990 ms'],
  });
  assert.deepEqual([headers['content-type'], headers['webhook-id'], received.length], ['application/json', delivery.id, 1]);
  const message = {
    id: delivery.id,
    timestamp: String(headers['webhook-timestamp']),
    signature: String(headers['webhook-signature']),
    body,
  };
  assert.equal(verifyWebhook(readWebhookSecrets(ownSecret)!, message, start), null);
  assert.deepEqual(
    [delivery.attempts.map(({ status, error }) => ({ status, error })), delivery.nextAt, delivery.url],
    [[{ status: 204, error: null }], null, url],
  );
  assert.deepEqual(store.read.delivery(delivery.id)?.state, 'delivered');
});

test('C09: a receiver that fails gets the same message again, later each time, until it takes it', async (t) => {
  const { callbacks, settings, until, tried, pass, world, ownSecret } = await setup(t);
  const { url, host, received } = await receiver(t, says(500), says(404), says(200));
  settings.hosts.push(local(host));
  callbacks.begin(aCrossing(), url);
  const waits: number[] = [];
  for (const attempts of [1, 2]) {
    const before = world.at;
    waits.push((await tried(attempts)).nextAt! - before);
    pass();
  }
  const { attempts } = await until(({ state }) => state === 'delivered');
  assert.deepEqual(
    attempts.map(({ status, error }) => [status, error]),
    [
      [500, 'It answered 500.'],
      [404, 'It answered 404.'],
      [200, null],
    ],
  );
  assert.ok(waits[0]! >= 2500 && waits[1]! > waits[0]!, String(waits));
  assert.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 1);
  assert.equal(new Set(received.map(({ headers }) => headers['webhook-timestamp'])).size, 3);
  assert.equal(new Set(received.map(({ body }) => body)).size, 1);
  const { headers, body } = received[2]!;
  const last = { id: String(headers['webhook-id']), timestamp: String(headers['webhook-timestamp']), body };
  assert.equal(headers['webhook-signature'], signWebhook(readWebhookSecrets(ownSecret)!, last), 'each attempt is signed for itself');
});

test('C09: Retry-After is kept to, in seconds or as a date, up to an hour', async (t) => {
  const { callbacks, settings, tried, pass, world } = await setup(t);
  const date = new Date(start + 30 * MINUTE).toUTCString();
  const { url, host, received } = await receiver(
    t,
    says(429, { 'retry-after': '600' }),
    says(503, { 'retry-after': date }),
    says(429, { 'retry-after': '86400' }),
    says(429, { 'retry-after': 'soon' }),
  );
  settings.hosts.push(local(host));
  callbacks.begin(aCrossing(), url);
  const times: number[] = [];
  for (const attempts of [1, 2, 3, 4]) {
    const { nextAt } = await tried(attempts);
    times.push((nextAt! - (attempts === 2 ? start : world.at)) / MINUTE);
    if (attempts < 4) pass();
  }
  assert.deepEqual(times, [10, 30, 60, 18]);
  assert.equal(received.length, 4);
});

test('C09: whatever else goes wrong is tried again, and what was accepted is not', async (t) => {
  const { callbacks, settings, until, store } = await setup(t, { timeoutMs: 300 });
  const canary = await receiver(t, says(200));
  const halfBody: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half');
    setImmediate(() => response.destroy());
  };
  const long: RequestListener = (_request, response) => void response.end('x'.repeat(100_000));
  const closed = createTcpServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const nobody = `127.0.0.1:${(closed.address() as AddressInfo).port}`;
  closed.close();
  const cases: [what: string, host: string, error: RegExp | null][] = [
    ['half a body', (await receiver(t, halfBody)).host, /in the middle of its answer/],
    ['never', (await receiver(t, () => {})).host, /did not answer within 300 ms/],
    ['redirect', (await receiver(t, says(307, { location: canary.url }))).host, /answered 307: redirects are not followed/],
    ['refused', nobody, /refused the connection/],
    ['a long answer', (await receiver(t, long)).host, null],
  ];
  settings.hosts.push(local(canary.host));
  for (const [what, host, error] of cases) {
    settings.hosts.push(local(host));
    const job = `job_${what}`;
    callbacks.begin(aCrossing({ job }), `http://${host}/`);
    const { attempts, state } = await until((delivery) => delivery.job === job && delivery.attempts.length === 1);
    assert.equal(state, error === null ? 'delivered' : 'pending', what);
    if (error === null) assert.equal(attempts[0]!.error, null, what);
    else assert.match(attempts[0]!.error!, error);
  }
  assert.equal(canary.received.length, 0);
  assert.equal(store.read.deliveries({ state: 'delivered', limit: 10 }).deliveries.length, 1);
});

test('C09: after its last try a delivery is dead, and by hand it goes out once more under the same id', async (t) => {
  const { callbacks, settings, until, tried, pass, published } = await setup(t, { tries: 3 });
  const { url, host, received } = await receiver(t, says(500), says(500), says(500), says(200));
  settings.hosts.push(local(host));
  callbacks.begin(aCrossing(), url);
  const redeliver = (id: string) => callbacks.operations['OS.callbacks.redeliver']({ id }, ...admin);
  const { id } = await tried(1);
  await assert.rejects(async () => redeliver(id), isRefusal('conflict'));
  await assert.rejects(async () => redeliver('msg_none'), isRefusal('not_found'));
  pass();
  await tried(2);
  pass();
  const dead = await until(({ state }) => state === 'dead');
  assert.deepEqual([dead.attempts.length, dead.nextAt], [3, null]);
  for (const times of [1, 2]) {
    const since = published.length;
    assert.equal((await redeliver(id)).state, 'pending');
    const { attempts } = await until(({ state }) => state === 'delivered', since);
    assert.equal(attempts.length, 3 + times);
  }
  assert.deepEqual(new Set(received.map(({ headers }) => headers['webhook-id'])), new Set([id]));
});

test('a receiver that is gone is not asked again', async (t) => {
  const { callbacks, settings, until, world } = await setup(t);
  const { url, host } = await receiver(t, says(410));
  settings.hosts.push(local(host));
  callbacks.begin(aCrossing(), url);
  const { attempts } = await until(({ state }) => state === 'dead');
  assert.deepEqual([attempts.length, attempts[0]!.status, world.wakeAt], [1, 410, null]);
});

test('C08: callback URLs that are not public are refused when they are given, without looking anything up', async (t) => {
  const { callbacks, settings, world } = await setup(t);
  world.ownUrl = 'http://127.0.0.1:8000';
  const codeOf = (url: string) => callbacks.check(url)?.code ?? 'ok';
  const table: Record<string, string[]> = {
    input_invalid: [
      '',
      'nonsense',
      '/callback',
      'file:///etc/passwd',
      'gopher://x/',
      'unix:/run/x',
      'javascript:0',
      'http://a:b@example.com/',
      'http://a@x/',
    ],
    egress_refused: [
      ...['http://127.0.0.1:9/', 'http://localhost:9/', 'http://x.localhost/', 'http://[::1]/', 'http://2130706433/', 'http://0177.1/'],
      ...['http://10.0.0.1/', 'http://192.168.1.1/', 'http://[fd00::1]/', 'http://[::ffff:127.0.0.1]/', 'http://0.0.0.0/'],
      ...['http://169.254.169.254/latest', 'http://[fd00:ec2::254]/', 'http://100.100.100.200/', 'http://example.com:0/'],
      ...['http://127.0.0.1:8000/callbacks/ingest', 'http://localhost:8000/', 'http://[::1]:8000/'],
    ],
    ok: ['https://example.com/hook?x=1', 'http://93.184.216.34:8080/', 'http://n8n.test/webhook'],
  };
  for (const [code, urls] of Object.entries(table)) for (const url of urls) assert.equal(codeOf(url), code, url);
  settings.hosts.push(local('127.0.0.1'), local('localhost'), { host: '10.0.0.1', egress: 'lan' });
  assert.deepEqual(['http://127.0.0.1:9/', 'http://localhost:9/', 'http://10.0.0.1/'].map(codeOf), ['ok', 'ok', 'ok']);
  assert.deepEqual(
    ['http://127.0.0.1:8000/x', 'http://localhost:8000/x'].map(codeOf),
    ['egress_refused', 'egress_refused'],
    'itself, never',
  );
  world.sovereign = true;
  assert.deepEqual(['https://example.com/', 'http://127.0.0.1:9/'].map(codeOf), ['sovereign_refused', 'ok']);
  assert.deepEqual(world.looked, []);
});

test('C08: a name that has turned to a private address by then is refused when it is sent to', async (t) => {
  const canary = await receiver(t, says(200));
  const names = { 'flip.test': ['93.184.216.34'], 'mixed.test': ['93.184.216.34', '127.0.0.1'], 'meta.test': ['169.254.169.254'] };
  const { callbacks, until, world } = await setup(t, { names });
  const urls = ['flip.test', 'mixed.test', 'meta.test'].map((name) => `http://${name}:${canary.port}/`);
  assert.deepEqual(
    urls.map((url) => callbacks.check(url)),
    [null, null, null],
  );
  names['flip.test'] = ['127.0.0.1'];
  for (const [i, url] of urls.entries()) {
    callbacks.begin(aCrossing({ job: `job_${i}` }), url);
    const { attempts } = await until(({ job, attempts }) => job === `job_${i}` && attempts.length === 1);
    assert.match(attempts[0]!.error!, /only public ones may be called|which nothing may call/, url);
  }
  assert.deepEqual([canary.received.length, world.looked.length], [0, 3]);
});

test('sovereign holds a delivery back, and it goes out afterwards', async (t) => {
  const { callbacks, until, tried, pass, world, settings } = await setup(t, { names: { 'far.test': ['127.0.0.1'] } });
  const { url, host, received, port } = await receiver(t, says(200));
  settings.hosts.push({ host: `far.test:${port}`, egress: 'remote' }, local(host));
  world.sovereign = true;
  callbacks.begin(aCrossing(), `http://far.test:${port}/`);
  assert.match((await tried(1)).attempts[0]!.error!, /Sovereign is on/);
  callbacks.begin(aCrossing({ job: 'job_2' }), url);
  await until(({ job, state }) => job === 'job_2' && state === 'delivered');
  assert.deepEqual([world.looked, received.length], [[], 1]);
  world.sovereign = false;
  pass();
  await until(({ job, state }) => job === 'job_1' && state === 'delivered');
});

test('after a restart what was pending goes on under its id, and ended jobs nobody told of are told of', async (t) => {
  const at = await setup(t);
  const { url, host, received } = await receiver(t, says(500), says(200));
  at.settings.hosts.push(local(host));
  at.callbacks.begin(aCrossing(), url);
  const { id, nextAt } = await at.tried(1);
  await endedJob(at.store, 'job_ended', at.seal.seal(url));
  await tendedJob(at.store, 'job_cut', url);
  await at.callbacks[Symbol.asyncDispose]();
  await at.store[Symbol.asyncDispose]();

  const second = await at.open();
  await second.store.settleFound([{ id: 'job_cut', as: 'unknown' }], at.world.at);
  assert.equal(second.callbacks.resume(), 3);
  const ended = await at.until(({ job, state }) => job === 'job_ended' && state === 'delivered');
  assert.deepEqual([ended.url, JSON.parse(ended.body).status, JSON.parse(ended.body).result], [url, 'succeeded', { rows: 2 }]);
  const cut = await at.until(({ job, state }) => job === 'job_cut' && state === 'delivered');
  assert.deepEqual([JSON.parse(cut.body).status, JSON.parse(cut.body).error.code], ['unknown', 'unknown_outcome']);
  assert.equal(received.filter(({ headers }) => headers['webhook-id'] === id).length, 1, 'not before its time');
  at.world.at = nextAt!;
  second.tick(nextAt!);
  await at.until(({ job, state }) => job === 'job_1' && state === 'delivered');
  assert.equal(received.filter(({ headers }) => headers['webhook-id'] === id).length, 2);
});

test('A11: secrets in a result, an error or the URL are in no message, on no screen and not on the disk', async (t) => {
  const { callbacks, settings, until, scratch, store } = await setup(t);
  const { host, received } = await receiver(t, says(500));
  settings.hosts.push(local(host));
  const [planted, inUrl, inError] = ['sk-live-0123456789abcdef', 'ticket-4711-abcdef', 'hunter2-hunter2'];
  const url = `http://${host}/hooks/${inUrl}?token=${planted}`;
  const error = refuse('upstream_failed', `It said: password=${inError}`);
  callbacks.begin(aCrossing({ ok: false, result: { nested: [{ api_key: planted }], said: `Bearer ${planted}` }, error }), url);
  const delivery = await until(({ attempts }) => attempts.length === 1);
  const screens = JSON.stringify([delivery, callbacks.operations['OS.callbacks']({ limit: 10 }, ...admin)]);
  const disk = readdirSync(scratch.folder).map((file) => readFileSync(join(scratch.folder, file), 'latin1'));
  assert.equal(received.length, 1, 'the URL itself was called');
  for (const [what, text] of [['message', received[0]!.body], ['screens', screens], ...disk.map((text) => ['disk', text])])
    for (const secret of [planted, inError]) assert.equal(text!.includes(secret!), false, `${secret} in ${what}`);
  for (const text of disk) assert.equal(text.includes(inUrl!), false, 'a path can be as secret as a token');
  assert.ok(
    disk.some((text) => text.includes(delivery.id)),
    'the disk was looked at',
  );
  assert.equal(store.read.delivery(delivery.id)!.attempts.length, 1);
});

test('the body of a crossing is the same bytes whenever it is made, and a long result is cut and says so', () => {
  const record = aCrossing({ text: null, result: { b: 1, a: 'x'.repeat(300_000) } });
  const body = callbackBody(record, 'succeeded');
  assert.equal(body, callbackBody(structuredClone(record), 'succeeded'));
  const { result, intent } = JSON.parse(body);
  assert.deepEqual([result.cut, result.characters > 300_000, intent, body.length < 10_000], [true, true, 'FND.gmail', true]);
});

test('the registry may name another secret, or two of them; without it nothing is sent', async (t) => {
  const [old, young] = [newWebhookSecret(), newWebhookSecret()];
  const secrets: Record<string, string> = {};
  const { callbacks, settings, until, tried, pass } = await setup(t, { secrets });
  const { url, host, received } = await receiver(t, says(200));
  Object.assign(settings, { hosts: [local(host)], signEnv: 'HOOK_SECRET' });
  callbacks.begin(aCrossing(), url);
  assert.match((await tried(1)).attempts[0]!.error!, /HOOK_SECRET, which signs callbacks, is not set/);
  secrets.HOOK_SECRET = 'hunter2';
  pass();
  assert.match((await tried(2)).attempts[1]!.error!, /HOOK_SECRET does not hold a webhook secret/);
  assert.equal(received.length, 0);
  secrets.HOOK_SECRET = `${young} ${old}`;
  pass();
  const { id, attempts } = await until(({ state }) => state === 'delivered');
  const { headers, body } = received[0]!;
  const message = { id, timestamp: String(headers['webhook-timestamp']), signature: String(headers['webhook-signature']), body };
  for (const secret of [old, young]) assert.equal(verifyWebhook(readWebhookSecrets(secret)!, message, attempts[2]!.at), null);
});

test('the lab says what is wrong with a message, and signs nothing for who has no secret', async (t) => {
  const { callbacks, settings, until, ownSecret, world } = await setup(t);
  const { url, host, received } = await receiver(t, says(200));
  settings.hosts.push(local(host));
  callbacks.begin(aCrossing(), url);
  const { id } = await until(({ state }) => state === 'delivered');
  const { headers, body } = received[0]!;
  const good = { id, timestamp: String(headers['webhook-timestamp']), signature: String(headers['webhook-signature']), body };
  const check = (changed: Partial<typeof good> & { secret?: string }) =>
    callbacks.operations['OS.callbacks.check']({ ...good, ...changed }, ...admin) as {
      ok: boolean;
      reason: string;
      expected: string | null;
    };

  assert.deepEqual(check({}), { ok: true, reason: 'It was signed with this secret, within the last five minutes.', expected: null });
  const stranger = newWebhookSecret();
  const table: [Parameters<typeof check>[0], RegExp][] = [
    [{ id: 'msg_other' }, /^id: this core sent nothing under msg_other/],
    [{ body: body.replace('"processed":15', '"processed": 15') }, /^body: from character \d+ on .*Check the bytes/],
    [{ timestamp: String(Number(good.timestamp) + 1) }, /^timestamp or signature: id and body are as they were sent/],
    [{ timestamp: 'today' }, /^malformed: .*timestamp/],
    [{ signature: '' }, /^malformed: webhook-signature/],
    [{ secret: stranger }, /^secret: it was signed with another secret/],
    [{ secret: 'hunter2' }, /^malformed: the secret is not whsec_/],
  ];
  for (const [changed, reason] of table) {
    const { ok, reason: said } = check(changed);
    assert.deepEqual([ok, reason.test(said)], [false, true], said);
  }
  assert.equal(check({ secret: ownSecret, body: 'x' }).expected, signWebhook(readWebhookSecrets(ownSecret)!, { ...good, body: 'x' }));
  assert.equal(check({ body: 'x' }).expected, null);
  world.at += 5 * MINUTE + 1000;
  assert.match(check({}).reason, /^timestamp: The signature is right, but the timestamp is 301 s old/);
});

/** Who may have any result sent again. */
const admin = [{ id: 'owner', name: 'Owner', capabilities: ['admin'] }, null] as unknown as [never, never];

function isRefusal(code: string): (caught: unknown) => boolean {
  return (caught) => caught instanceof Refusal && caught.wire.code === code;
}

function tendedJob(store: Store, job: string, callbackUrl: string) {
  const more: TendedJob = { state: 'running', waits: null, lane: null, subject: null, call: null, key: null, callbackUrl };
  return store.begin(anIntent(job, { jobRow: { text: 'gmail.triage', params: '{}', confidence: 1, why: 'named', more } }));
}

async function endedJob(store: Store, job: string, callbackUrl: string) {
  await tendedJob(store, job, callbackUrl);
  const record = JSON.stringify(aCrossing({ job, id: `x_${job}`, result: { rows: 2 } }));
  const jobEnd = { state: 'succeeded' as const, durationMs: 40, errorCode: null, errorMessage: null, record };
  await store.finish(anOutcome(job, { jobEnd }));
}
