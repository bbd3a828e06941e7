import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { readWebhookSecrets, verifyPlainly } from '../../electron/core/jobs/webhook-signature.ts';
import { parseRegistry } from '../../electron/core/registry/parse.ts';
import { type Demo, startDemo } from './demo.ts';
import { trainTextModel } from './model.ts';
import type { LedgerLine } from './service.ts';

let demo: Demo;
before(async () => {
  demo = await startDemo();
});
after(() => demo[Symbol.asyncDispose]());

async function post(url: string, body: unknown, init: RequestInit = {}) {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), ...init });
  const text = await response.text();
  return { status: response.status, text, json: () => JSON.parse(text) };
}

async function ledger(name: string): Promise<LedgerLine[]> {
  return ((await (await fetch(`${demo.urls[name]}/__ledger`)).json()) as { requests: LedgerLine[] }).requests;
}

test('the CRM answers a sync as seed 000 shows, finds contacts and keeps a ledger', async () => {
  const url = `${demo.urls.crm}/v1/salesforce`;
  const sync = await post(url, { query: 'sync salesforce contacts', context: {} }, { headers: { 'idempotency-key': 'attempt-1' } });
  assert.deepEqual(sync.json(), { success: true, synced: 150, objects: ['Contact'] });
  const found = (await post(url, { query: 'find the contact Ada Birch' })).json();
  assert.deepEqual([found.total, found.contacts[0].email], [1, 'ada.birch@example.com']);
  const [line] = await ledger('crm');
  assert.deepEqual([line?.idempotencyKey, line?.path, line?.outcome], ['attempt-1', '/v1/salesforce', 'answered']);
});

test('the registry it gives has no problem and names every service, marked as demo', () => {
  const { registry, problems } = parseRegistry(demo.registryText);
  assert.deepEqual(problems, []);
  const routes = registry!.routes.filter((route) => route.org !== 'OS');
  assert.deepEqual(
    routes.filter((route) => !route.demo || route.examples.length < 5).map((route) => route.name),
    [],
  );
  assert.deepEqual(
    registry!.providers.filter((provider) => !provider.demo),
    [],
  );
  const named = [...routes, ...registry!.providers];
  const served = Object.values(demo.urls).filter((url) => named.some(({ endpoint }) => endpoint?.startsWith(url)));
  assert.equal(served.length, Object.keys(demo.urls).length);
  assert.ok(registry!.routes.some((route) => route.name === 'OS.calc' && route.kind === 'tool'));
});

test('a deploy reports progress line by line and then its result', async () => {
  const { text } = await post(`${demo.urls.deploy}/v1/deploy`, { params: { seconds: 0.7, target: 'staging' } });
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines.at(-1).result.target, 'staging');
  const progress = lines.slice(0, -1).map((line) => line.progress);
  assert.ok(progress.length >= 3 && progress[0] < 0.2 && progress.at(-1) === 1, String(progress));
});

test('a deploy whose caller goes away stops and says so in its ledger', async () => {
  const caller = new AbortController();
  const response = await fetch(`${demo.urls.deploy}/v1/deploy`, { method: 'POST', body: '{"seconds":60}', signal: caller.signal });
  const reader = response.body!.getReader();
  await reader.read();
  caller.abort();
  await reader.read().catch(() => {});
  const aborted = async () => (await ledger('deploy')).findLast((line) => line.outcome === 'aborted');
  let line = await aborted();
  for (const end = Date.now() + 3000; !line && Date.now() < end; ) line = await aborted();
  assert.match(line?.note ?? '', /^stopped at \d+ % while building/);
});

test('payments fail every third time', async () => {
  const statuses = [];
  for (let count = 0; count < 6; count += 1) statuses.push((await post(`${demo.urls.payments}/v1/stripe`, {})).status);
  assert.deepEqual(statuses, [200, 200, 500, 200, 200, 500]);
});

test('the archive is down, and control brings services up and down', async () => {
  await assert.rejects(fetch(`${demo.urls.archive}/health`));
  const control = `${demo.urls.control}/control`;
  assert.deepEqual((await post(control, { query: 'start the archive' })).json(), { started: 'archive' });
  assert.equal((await fetch(`${demo.urls.archive}/health`)).status, 200);
  assert.deepEqual((await post(control, { stop: 'archive' })).json(), { stopped: 'archive' });
  await assert.rejects(fetch(`${demo.urls.archive}/health`));
  assert.equal((await post(control, { stop: 'moon' })).status, 422);
});

test('the model answers whole and as a stream with the same words, and writes more than it copies', async () => {
  const url = `${demo.urls.model}/v1/chat/completions`;
  const messages = [{ role: 'user', content: 'tell me a story about the porter' }];
  const whole = (await post(url, { messages, max_tokens: 40 })).json();
  assert.deepEqual([whole.object, whole.choices[0].message.role], ['chat.completion', 'assistant']);
  const { text } = await post(url, { messages, max_tokens: 40, stream: true });
  const events = text.trim().split('\n\n');
  assert.equal(events.at(-1), 'data: [DONE]');
  const streamed = events.slice(0, -1).map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? '');
  assert.equal(streamed.join(''), whole.choices[0].message.content);
  // The older words for it.
  const plain = { prompt: messages[0]!.content, max_tokens: 40 };
  const older = (await post(`${demo.urls.model}/v1/completions`, plain)).json();
  const pieces = (await post(`${demo.urls.model}/v1/completions`, { ...plain, stream: true })).text.trim().split('\n\n').slice(0, -1);
  assert.deepEqual(
    [older.object, older.choices[0].text, pieces.map((piece) => JSON.parse(piece.slice(6)).choices[0].text).join('')],
    ['text_completion', whole.choices[0].message.content, whole.choices[0].message.content],
  );

  const corpus = await readFile(new URL('corpus.txt', import.meta.url), 'utf8');
  const model = trainTextModel(corpus);
  const texts = Array.from({ length: 20 }, (_, seed) => [...model.generate('the machine', { max: 60, temperature: 0.8, seed })].join(' '));
  assert.equal(new Set(texts).size, 20);
  const flat = corpus.replace(/([.,!?])/g, ' $1').replace(/\s+/g, ' ');
  const own = texts.filter((each) => each.split(' . ').some((sentence) => !flat.includes(sentence.replace(/ \.$/, ''))));
  assert.ok(own.length >= 15, `${own.length} of 20 texts have a sentence of their own`);
  assert.equal((await post(url, { messages: [] })).status, 400);
});

test('flows answer on their webhook and nowhere else', async () => {
  assert.equal((await post(`${demo.urls.flows}/webhook/daily-digest`, {})).json().workflow, 'daily-digest');
  assert.equal((await post(`${demo.urls.flows}/webhook/constructor`, {})).status, 404);
});

test('the flows to try things out: one takes its time, one echoes, one fails, one calls back, signed', async () => {
  const url = (name: string) => `${demo.urls.flows}/webhook/demo-${name}`;
  const { text } = await post(url('slow'), { seconds: 0.6 });
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    [lines[0].note, lines.at(-2).progress, lines.at(-1)],
    ['Opening the mailbox', 1, { result: { done: true, seconds: 0.6 } }],
  );
  assert.deepEqual((await post(url('echo'), { a: [1], b: null })).json(), { a: [1], b: null });
  assert.equal((await post(url('fail'), {})).status, 500);
  assert.equal((await post(url('slow'), { seconds: 'soon' })).status, 422);
  assert.equal((await post(url('callback'), {})).status, 422);

  const came = Promise.withResolvers<{ headers: IncomingHttpHeaders; body: string }>();
  const door = createServer(async (request, response) => {
    came.resolve({ headers: request.headers, body: Buffer.concat(await request.toArray()).toString() });
    response.end();
  }).listen(0, '127.0.0.1');
  await once(door, 'listening');
  const address = `http://127.0.0.1:${(door.address() as AddressInfo).port}/callbacks/ingest`;
  const headers = { 'x-dispatcher-job': 'job_1', 'x-dispatcher-callback': address };
  assert.deepEqual((await post(url('callback'), { seconds: 0.01 }, { headers })).json(), { message: 'Workflow was started' });
  const { headers: given, body } = await came.promise;
  assert.deepEqual(JSON.parse(body), { job_id: 'job_1', status: 'succeeded', result: { called_back: true, seconds: 0.01 } });
  const message = { timestamp: String(given['x-dispatcher-timestamp']), signature: String(given['x-dispatcher-signature']), body };
  assert.equal(verifyPlainly(readWebhookSecrets(demo.secrets.DEMO_CALLBACK_SECRET!)!, message, Date.now()), null);
  door.close();
});

test('the inbox shows what came, newest first', async () => {
  const url = `${demo.urls.inbox}/results`;
  for (const n of [1, 2]) await post(url, { n }, { headers: { 'webhook-id': `msg_${n}` } });
  const { results } = (await (await fetch(url)).json()) as { results: { id: string; body: unknown }[] };
  assert.deepEqual(
    results.map(({ id, body }) => [id, body]),
    [
      ['msg_2', { n: 2 }],
      ['msg_1', { n: 1 }],
    ],
  );
});

test('Podium plays one story at a time and tells it on its stream', async () => {
  const url = demo.urls.podium!;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
  const seen: Record<string, unknown>[] = [];
  const finished = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      seen.push(message);
      if (message.status === 'cancelled') resolve();
    });
  });
  await new Promise((resolve) => socket.once('open', resolve));
  const command = async (body: unknown) => (await post(`${url}/api/command`, body)).json();
  assert.deepEqual(await command({ type: 'PING' }), { type: 'PONG' });
  assert.equal((await command({ type: 'ENQUEUE_STORY', storyId: 'STORY-001' })).success, true);
  assert.equal((await command({ type: 'ENQUEUE_STORY', storyId: 'STORY-002' })).position, 1);
  assert.equal((await command({ type: 'ENQUEUE_STORY', storyId: 'STORY-006' })).success, false);
  const status = (await (await fetch(`${url}/api/status`)).json()) as { current: string; queue: string[] };
  assert.deepEqual([status.current, status.queue], ['STORY-001', ['STORY-002']]);
  await command({ type: 'CANCEL_STORY', storyId: 'STORY-002' });
  await finished;
  assert.deepEqual(new Set(seen.map((message) => message.type)), new Set(['QUEUE_UPDATE', 'AGENT_STATUS', 'STORY_STATUS']));
  await command({ type: 'STOP_ORCHESTRATOR' });
  assert.equal((await fetch(`${url}/health/orchestrator`)).status, 503);
  assert.equal((await fetch(`${url}/health`)).status, 200);
  socket.terminate();
});

test('ports are kept in the home folder, so that addresses stay true over a restart', async () => {
  const home = await mkdtemp(join(tmpdir(), 'demo-'));
  const first = await startDemo({ home, only: ['crm'] });
  await first[Symbol.asyncDispose]();
  const second = await startDemo({ home, only: ['crm'] });
  try {
    assert.deepEqual(second.urls, first.urls);
    await assert.rejects(fetch(`${second.urls.deploy}/health`));
    assert.ok(!second.registryText.includes('{{'));
  } finally {
    await second[Symbol.asyncDispose]();
    await rm(home, { recursive: true });
  }
});
