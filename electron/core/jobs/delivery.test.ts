/** Callbacks as a caller of the whole core sees them. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Delivery, JobDetail } from '../../../shared/model.ts';
import type { Core } from '../core.ts';
import { json, openCore, operate, startService, tempFolder } from '../testing.ts';
import { readWebhookSecrets, verifyWebhook } from './webhook-signature.ts';

/** A core with a service that echoes, and a receiver that answers with `status`. */
async function setup(status: number) {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService((seen, response) => json({ echo: JSON.parse(seen.body) })(seen, response)));
  const news = new EventEmitter();
  const receiver = stack.use(
    await startService((_seen, response) => {
      response.writeHead(status).end();
      news.emit('heard');
    }),
  );
  const heard = async (count: number) => {
    while (receiver.ledger.length < count) await once(news, 'heard');
  };
  const template = `
orgs:
  W: {name: Works, services: {echo: {endpoint: "${service.url}/echo", egress: local}}}
callbacks: {hosts: [{host: "${new URL(receiver.url).host}", egress: local}]}
`;
  // Kept when the core ends, for the one after it.
  const home = stack.use(tempFolder()).path;
  const core = stack.use(await openCore(template, { home }));
  const owned = stack.move();
  return { core, template, service, receiver, heard, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The first delivery told that fits. */
function delivery(core: Core, fits: (delivery: Delivery) => boolean): Promise<Delivery> {
  const { promise, resolve } = Promise.withResolvers<Delivery>();
  const stop = core.watch(0, {
    snapshot() {},
    events: (batch) => {
      const found = batch.find((event) => event.type === 'delivery' && fits(event.delivery));
      if (found?.type === 'delivery') resolve(found.delivery);
    },
  });
  return promise.finally(stop);
}

test('the result of a call goes to its callback URL, signed with the secret in the home folder', async () => {
  await using at = await setup(200);
  const url = `${at.receiver.url}/hooks/ticket-4711?token=sk-live-0123456789abcdef`;
  const delivered = delivery(at.core, ({ state }) => state === 'delivered');
  const { job, ok } = await at.core.ask({ route: 'W.echo', params: { n: 1 }, callbackUrl: url });
  const { id, attempts, url: shown } = await delivered;
  assert.deepEqual([ok, attempts.length, shown], [true, 1, `${at.receiver.url}/hooks/ticket-4711?token=[redacted]`]);
  const [{ body, headers, url: path }] = at.receiver.ledger as [(typeof at.receiver.ledger)[number]];
  const message = { id, timestamp: String(headers['webhook-timestamp']), signature: String(headers['webhook-signature']), body };
  const secret = readWebhookSecrets(readFileSync(join(at.core.home, 'webhook.secret'), 'utf8'))!;
  assert.equal(verifyWebhook(secret, message, Date.now()), null);
  assert.equal(path, '/hooks/ticket-4711?token=sk-live-0123456789abcdef');
  const { job_id, status, result } = JSON.parse(body);
  assert.deepEqual({ job_id, status, result }, { job_id: job, status: 'succeeded', result: { echo: { n: 1 } } });

  const detail = (await operate(at.core, 'OS.jobs.get', { id: job })) as JobDetail;
  assert.deepEqual(
    detail.deliveries.map(({ id: of, state, url: seen }) => [of, state, seen]),
    [[id, 'delivered', shown]],
  );
  const disk = readdirSync(at.core.home, { withFileTypes: true })
    .filter((file) => file.isFile())
    .map(({ name }) => readFileSync(join(at.core.home, name), 'latin1'));
  assert.ok(disk.some((text) => text.includes(id)));
  for (const text of disk) assert.doesNotMatch(text, /ticket-4711|sk-live-0123/);
});

test('C09: what the receiver answers does not change the job', async () => {
  await using at = await setup(500);
  const tried = delivery(at.core, ({ nextAt, attempts }) => attempts.length === 1 && nextAt !== null);
  const { job } = await at.core.ask({ route: 'W.echo', callbackUrl: at.receiver.url });
  const { state, attempts } = await tried;
  assert.deepEqual([state, attempts[0]!.status], ['pending', 500]);
  assert.equal(((await operate(at.core, 'OS.jobs.get', { id: job })) as JobDetail).state, 'succeeded');
});

test('only its caller or an admin may have a result sent again: the answer has it', async () => {
  await using at = await setup(410);
  const principalOf = (id: string) => ({ id, name: id, capabilities: ['dispatch' as const] });
  const dead = delivery(at.core, ({ state }) => state === 'dead');
  await at.core.ask({ route: 'W.echo', callbackUrl: at.receiver.url }, { principal: principalOf('tok_caller') });
  const { id } = await dead;
  const again = (principal: ReturnType<typeof principalOf>) =>
    at.core.ask({ route: 'OS.callbacks.redeliver', params: { id } }, { principal });
  const stranger = await again(principalOf('tok_other'));
  assert.deepEqual([stranger.error?.code, stranger.result], ['forbidden', null]);
  assert.equal((await again(principalOf('tok_caller'))).ok, true);
  await at.heard(2);
});

test('C08: with a callback URL that may not be called nothing is called at all', async () => {
  await using at = await setup(200);
  for (const [callbackUrl, code] of [
    ['http://169.254.169.254/latest', 'egress_refused'],
    ['http://localhost:9/', 'egress_refused'],
    ['http://a:b@example.com/', 'input_invalid'],
    ['file:///etc/passwd', 'input_invalid'],
  ] as const) {
    const { error, job } = await at.core.ask({ route: 'W.echo', callbackUrl });
    assert.deepEqual([error?.code, job], [code, null], callbackUrl);
  }
  assert.deepEqual([at.service.ledger, at.receiver.ledger], [[], []]);
});

test('deliveries that were not over when the core ended go on under the next one', async () => {
  await using first = await setup(500);
  const tried = delivery(first.core, ({ nextAt, attempts }) => attempts.length === 1 && nextAt !== null);
  await first.core.ask({ route: 'W.echo', callbackUrl: first.receiver.url });
  const { id } = await tried;
  const { home } = first.core;
  await first.core[Symbol.asyncDispose]();
  await using _again = await openCore(first.template, { home, clock: () => Date.now() + 60_000 });
  await first.heard(2);
  assert.deepEqual(
    first.receiver.ledger.map(({ headers }) => headers['webhook-id']),
    [id, id],
  );
});
