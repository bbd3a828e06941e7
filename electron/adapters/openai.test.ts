import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { z } from 'zod';
import type { Grant } from '../../shared/cortex.ts';
import type { AuditEntry, Job } from '../../shared/model.ts';
import { openCore, tempFolder } from '../core/testing.ts';
import { createHttpDoor } from './http.ts';
import { startModelServer, words } from './model-testing.ts';

const said = words.join('');

const registry = (url: string) => `orgs:
  T: { name: Test, services: {} }
limits: off
providers:
  writer:
    controller: openai
    endpoint: ${url}
    egress: local
    auth: { kind: bearer, env: WRITER_KEY }
    capabilities: [text-generation, vision-analysis, tool-use]
    tiers:
      big: { model: "org/writer:70b", vram: 0 }
      small: { model: "writer:8b", vram: 0 }
  vectors:
    controller: openai
    endpoint: ${url}
    egress: local
    capabilities: [embedding]
    tiers: { base: { model: vectors, vram: 0 } }
  llama:
    controller: ollama
    endpoint: ${url}
    egress: local
    capabilities: [ocr]
    tiers: { 3B: { model: "llama:latest", vram: 0 } }
  far:
    controller: openai
    endpoint: ${url}
    egress: remote
    capabilities: [tts]
    tiers: { 1B: { model: far-1, vram: 0 } }
`;

/** The door before a real core, whose models are those of a stand-in. */
async function openModels(say: Parameters<typeof startModelServer>[0] = {}) {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.use(await startModelServer(say));
  const home = stack.use(tempFolder()).path;
  const core = stack.use(await openCore(registry(upstream.url), { home, secret: () => 'the-providers-key' }));
  // Until their servers have said that they are there.
  while (core.cortex.state().models.some(({ phase }) => phase === 'unknown')) await new Promise(setImmediate);
  const door = stack.use(await createHttpDoor(core, { port: 0, rendererFolder: '/nowhere' }));
  const key = core.owner.secret;
  const owned = stack.move();
  const ask = (path: string, { body, headers = {}, as = key }: { body?: unknown; headers?: Record<string, string>; as?: string } = {}) =>
    fetch(`${door.url}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${as}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  const operate = async <T>(route: string, params: object = {}): Promise<T> => {
    const { result, error } = await core.ask({ route, params: params as Record<string, unknown>, confirm: true });
    if (error) throw new Error(error.message);
    return result as T;
  };
  return {
    upstream,
    core,
    door,
    ask,
    operate,
    /** What was asked through the door; the core's own questions have no trace. */
    chats: () => upstream.ledger.filter(({ headers }) => headers.traceparent !== undefined),
    openai: (apiKey = key) => new OpenAI({ baseURL: `${door.url}/v1`, apiKey, maxRetries: 0 }),
    grant: (need: object) => operate<Grant>('OS.grants.create', { need, task: 'a test' }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const chat = (content: string, more: object = {}) => ({ model: 'writer:8b', messages: [{ role: 'user' as const, content }], ...more });

test('openai: whole and streamed completions, their tools and usage, embeddings and responses', async () => {
  await using at = await openModels();
  const client = at.openai();

  const whole = await client.chat.completions.create(chat('hello'));
  assert.deepEqual([whole.choices[0]?.message.content, whole.usage?.total_tokens, whole.model], [said, 7, 'writer:8b']);

  let text = '';
  let total: number | undefined;
  for await (const chunk of await client.chat.completions.create({
    ...chat('hello'),
    stream: true,
    stream_options: { include_usage: true },
  })) {
    text += chunk.choices[0]?.delta.content ?? '';
    total = chunk.usage?.total_tokens ?? total;
  }
  assert.deepEqual([text, total], [said, 7]);

  const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: { type: 'object', properties: {} } } }];
  const asked = await client.chat.completions.create(chat('what weather?', { tools }));
  const { message } = asked.choices[0]!;
  const called = message.tool_calls![0]!;
  const last = { role: 'tool' as const, tool_call_id: called.id, content: 'sunny' };
  const told = await client.chat.completions.create({
    model: 'writer:8b',
    messages: [{ role: 'user', content: 'what weather?' }, message, last],
  });
  assert.equal(told.choices[0]?.message.content, 'It is sunny.');

  const legacy = await client.completions.create({ model: 'writer:8b', prompt: 'hello' });
  const vectors = await client.embeddings.create({ model: 'vectors', input: ['a', 'b'], encoding_format: 'float' });
  const response = await client.responses.create({ model: 'writer:8b', input: 'hello' });
  let streamed = '';
  for await (const event of await client.responses.create({ model: 'writer:8b', input: 'hello', stream: true }))
    if (event.type === 'response.output_text.delta') streamed += event.delta;
  assert.deepEqual(
    [legacy.choices[0]?.text, vectors.data.map(({ embedding }) => embedding), response.output_text, streamed],
    [said, [[0, 0.5], [1, 0.5]], said, said], // biome-ignore format: one line
  );

  const models = (await client.models.list()).data.map(({ id }) => id);
  assert.deepEqual(
    models.sort(),
    [
      ...['org/writer:70b', 'writer:8b', 'vectors', 'llama:latest', 'far-1', 'writer', 'llama', 'far', 'big', 'small', 'base', '3B', '1B'],
      ...['cap:text-generation', 'cap:tool-use', 'cap:vision-analysis', 'cap:embedding', 'cap:ocr', 'cap:tts'],
    ].sort(),
  );
  assert.equal((await client.models.retrieve('org/writer:70b')).owned_by, 'writer');
});

test('ai: text, a stream, and a tool that the model calls', async () => {
  await using at = await openModels();
  const provider = createOpenAICompatible({ name: 'dispatcher', baseURL: `${at.door.url}/v1`, apiKey: at.core.owner.secret });
  const model = provider('cap:text-generation+vision-analysis');
  const whole = await generateText({ model, prompt: 'hello' });
  const stream = streamText({ model, prompt: 'hello' });
  let text = '';
  for await (const piece of stream.textStream) text += piece;
  const weather = tool({
    description: 'the weather',
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => `cold in ${city}`,
  });
  const steps = await generateText({ model, prompt: 'what weather?', tools: { weather }, stopWhen: stepCountIs(3) });
  assert.deepEqual([whole.text, text, steps.text], [said, said, 'It is cold in Bern.']);
});

test('ollama: chat, generate, embed and its lists, from its own server and from one that speaks OpenAI', async () => {
  await using at = await openModels();
  const client = new Ollama({ host: at.door.url, headers: { authorization: `Bearer ${at.core.owner.secret}` } });
  const messages = [{ role: 'user', content: 'hello' }];
  for (const model of ['llama', 'writer:8b']) {
    let text = '';
    let counted = 0;
    for await (const part of await client.chat({ model, messages, stream: true })) {
      text += part.message.content;
      counted = part.eval_count ?? counted;
    }
    assert.deepEqual([model, text, counted], [model, said, 4]);
  }
  const chatted = await client.chat({ model: 'writer:8b', messages, options: { num_predict: 9 } });
  const generated = await client.generate({ model: 'writer:8b', prompt: 'hello' });
  const embedded = await client.embed({ model: 'vectors', input: ['a', 'b'] });
  assert.deepEqual(
    [chatted.message.content, chatted.done_reason, generated.response, embedded.embeddings],
    [said, 'stop', said, [[0, 0.5], [1, 0.5]]], // biome-ignore format: one line
  );
  const tools = [{ type: 'function', function: { name: 'weather', description: 'it', parameters: { type: 'object', properties: {} } } }];
  const called = await client.chat({ model: 'writer:8b', messages, tools });
  const call = called.message.tool_calls![0]!;
  const answered = await client.chat({
    model: 'writer:8b',
    messages: [...messages, called.message, { role: 'tool', tool_name: 'weather', content: 'sunny' }],
  });
  assert.deepEqual([call.function.arguments, answered.message.content], [{ city: 'Bern' }, 'It is sunny.']);
  assert.equal(at.upstream.ledger.find(({ url }) => url === '/api/chat')?.json.model, 'llama:latest');
  assert.equal(at.chats().find(({ json }) => json.max_tokens === 9)?.url, '/v1/chat/completions');
  const { models } = await client.list();
  const shown = await client.show({ model: 'vectors' });
  assert.deepEqual([models.map(({ name }) => name).includes('llama:latest'), shown.capabilities], [true, ['embedding']]);
  await assert.rejects(client.chat({ model: 'nobody', messages }), /There is no model "nobody"/);
});

test('bytes go through as they are but for the name of the model, and nothing of the caller goes with them', async () => {
  const answer = '{ "id":"x",  "choices":[], "usage": {"total_tokens": 2}, "é":1 }';
  await using at = await openModels({
    odd: (response) => response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'a=b', server: 'x' }).end(answer),
  });
  const body =
    '{ "messages":[{"role":"user","content":"odd"}],\n "mod\\u0065l" : "cap:text-generation+vision-analysis" ,"x":1e400, "z":[] }';
  const headers = { cookie: 'a=b', 'x-mine': '1', 'openai-organization': 'org', accept: 'application/json' };
  const named = await at.ask('/v1/chat/completions', { body, headers });
  assert.deepEqual([await named.text(), named.headers.get('set-cookie'), named.headers.get('server')], [answer, null, null]);
  const [sent] = at.chats();
  assert.equal(sent?.body, body.replace('"cap:text-generation+vision-analysis"', '"org/writer:70b"'));
  assert.deepEqual(
    [sent?.headers.authorization, sent?.headers.cookie, sent?.headers['x-mine'], sent?.headers['openai-organization']],
    ['Bearer the-providers-key', undefined, undefined, undefined],
  );
  const same = JSON.stringify(chat('hello', { model: 'org/writer:70b' }));
  await (await at.ask('/v1/chat/completions', { body: same })).text();
  assert.equal(at.chats()[1]?.body, same);

  const { jobs } = await at.operate<{ jobs: Job[] }>('OS.jobs');
  const { record } = await at.operate<{ record: { result: unknown; left: unknown[] } }>('OS.jobs.get', { id: jobs.at(-1)!.id });
  assert.deepEqual(
    [record.result, record.left],
    [
      {
        ...{ status: 200, model: 'org/writer:70b', provider: 'writer', tier: 'big', bytes: Buffer.byteLength(answer) },
        ...{ usage: { total_tokens: 2 }, finishReason: null },
      },
      [],
    ],
  );
  const { entries } = await at.operate<{ entries: AuditEntry[] }>('OS.audit', { job: jobs[0]!.id });
  assert.deepEqual(entries.map(({ kind }) => kind).sort(), ['intent', 'outcome']);
  assert.ok(!JSON.stringify(entries).includes('hello'), 'what is said to a model is not on record');
});

test('C15: names that no model has, and tool calls that are not JSON, go no further', async () => {
  await using at = await openModels();
  const names = ['a\r\nx-evil: 1', '../admin', 'a/../b', 'x'.repeat(10_240), '', 7, null, 'a\u0000', 'cap:', 'cap:a+../b', 'nobody'];
  for (const model of names) {
    const answer = await at.ask('/v1/chat/completions', { body: chat('hi', { model }) });
    const { error } = (await answer.json()) as { error: { type: string; code: string; param: string; message: string } };
    const status = model === 'nobody' ? 404 : 400;
    assert.deepEqual([model, answer.status, error.param, answer.headers.get('x-evil')], [model, status, 'model', null]);
    const named = await at.ask(`/v1/models/${encodeURIComponent(String(model)).slice(0, 400)}`);
    if (model !== '') assert.equal(named.status, 404);
  }
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{"a":' } };
  const broken = [
    chat('hi', { messages: [{ role: 'assistant', tool_calls: [call] }] }),
    { model: 'writer', input: [{ type: 'function_call', call_id: 'c', name: 'f', arguments: 'x' }] },
    '{"model":"writer","model":"llama"}',
    '{"model":"writer","stream":true,"stre\\u0061m":false}',
    '{"model":"writer"',
    '[]',
    `{"model":"writer","a":${'['.repeat(5000)}${']'.repeat(5000)}}`,
    '{"model":"writer","stream":"yes"}',
  ];
  for (const body of broken) assert.deepEqual([body, (await at.ask('/v1/responses', { body })).status], [body, 400]);
  assert.deepEqual(at.chats(), []);
});

test('failures have the shape that clients read, before an answer and in it', async () => {
  await using at = await openModels({
    busy: (response) =>
      response
        .writeHead(429, { 'content-type': 'application/json', 'retry-after': '3' })
        .end('{"error":{"message":"slow down","code":"rate"}}'),
    stranger: (response) => response.writeHead(401, { 'content-type': 'application/json' }).end('{"error":{"message":"key the-prov…"}}'),
    dies: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"There "}}]}\n\ndata: {"choi', () => response.destroy());
    },
    stops: (response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
      response.write('{"choices":', () => response.destroy());
    },
  });
  const client = at.openai();
  const failure = async (promise: Promise<unknown>) => {
    const caught = (await promise.then(
      () => assert.fail('it did not fail'),
      (error: unknown) => error,
    )) as InstanceType<typeof OpenAI.APIError>;
    return [caught.status, caught.code, caught.type];
  };
  const create = (content: string, more: object = {}) => client.chat.completions.create(chat(content, more));
  assert.deepEqual(await failure(create('busy')), [429, 'rate', undefined]);
  assert.deepEqual(await failure(create('stranger')), [502, 'upstream_failed', 'server_error']);
  assert.deepEqual(await failure(create('hi', { model: 'nobody' })), [404, 'not_found', 'not_found_error']);
  assert.deepEqual(await failure(create('hi', { model: 'cap:telepathy' })), [503, 'no_capability', 'server_error']);
  assert.deepEqual(await failure(at.openai('wrong').models.list()), [401, 'unauthenticated', 'authentication_error']);
  let heard = '';
  const read = async () => {
    const stream = await client.chat.completions.create({ ...chat('dies'), stream: true });
    for await (const chunk of stream) heard += chunk.choices[0]?.delta.content;
  };
  assert.deepEqual([await failure(read()), heard], [[undefined, 'upstream_failed', 'server_error'], 'There ']);
  await assert.rejects(create('stops'), 'an answer that broke off is not taken for whole');
  const { token, secret } = await at.operate<{ token: { id: string }; secret: string }>('OS.tokens.create', {
    name: 'reader',
    capabilities: ['read'],
  });
  assert.ok(token.id);
  assert.deepEqual(await failure(at.openai(secret).models.list()), [403, 'forbidden', 'permission_error']);
  assert.deepEqual(await failure(at.openai(secret).chat.completions.create(chat('hi'))), [403, 'forbidden', 'permission_error']);
});

test('a client that goes away ends the request at the model, streamed or not', async () => {
  const { promise: began, resolve: begin } = Promise.withResolvers<void>();
  await using at = await openModels({
    endless: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n');
    },
    never: () => begin(),
  });
  const client = at.openai();
  const stream = await client.chat.completions.create({ ...chat('endless'), stream: true });
  for await (const _ of stream) break;
  await at.chats()[0]!.gone;
  const abort = new AbortController();
  const whole = client.chat.completions.create(chat('never'), { signal: abort.signal });
  await began;
  abort.abort();
  await assert.rejects(whole);
  await at.chats()[1]!.gone;
});

test('C12: the key of a grant is good for its models at this door, while it lasts, and for nothing else', async () => {
  const { promise: began, resolve: begin } = Promise.withResolvers<void>();
  await using at = await openModels({
    endless: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\ndata: {"half', () => begin());
    },
  });
  const grant = await at.grant({ capabilities: ['text-generation'] });
  const as = grant.api_key!;
  const client = at.openai(as);
  const whole = await client.chat.completions.create(
    chat('hello', { model: grant.models[0]!.model, max_tokens: grant.settings.max_tokens }),
  );
  assert.equal(whole.choices[0]?.message.content, said);
  assert.deepEqual(
    (await client.models.list()).data.map(({ id }) => id),
    [grant.models[0]!.model, 'writer', grant.models[0]!.tier, 'cap:text-generation'],
  );
  const status = async (path: string, more: Parameters<typeof at.ask>[1] = {}) => (await at.ask(path, { as, ...more })).status;
  assert.equal(await status('/v1/embeddings', { body: { model: 'vectors', input: 'a' } }), 403);
  assert.equal(
    await status('/v1/chat/completions', { body: chat('hi', { model: 'writer', max_tokens: grant.settings.max_tokens + 1 }) }),
    400,
  );
  for (const path of [
    '/status',
    '/jobs',
    '/v1/../jobs',
    '/v1/%2e%2e/jobs',
    '/grants',
    '/openapi.json',
    '/api/orchestrator/status',
    '/v1/nothing',
    '/',
  ])
    assert.deepEqual([path, await status(path)], [path, 401]);
  assert.equal(await status('/dispatch', { body: { route: 'OS.model', query: 'hi' } }), 401);
  const otherHost = httpRequest(`${at.door.url}/v1/models`, { headers: { authorization: `Bearer ${as}`, host: 'evil.test' } }).end();
  const [refused] = (await once(otherHost, 'response')) as [{ statusCode: number; resume(): void }];
  refused.resume();
  assert.equal(refused.statusCode, 421);

  const stream = await client.chat.completions.create({ ...chat('endless', { model: 'writer' }), stream: true });
  await began;
  await at.operate('OS.grants.revoke', { id: grant.id });
  const caught = await (async () => {
    for await (const _ of stream);
  })().catch((error: unknown) => error as { code: string; message: string });
  assert.equal(caught?.code, 'unauthenticated');
  await at.chats().findLast(({ json }) => json.stream === true)!.gone;
  assert.equal(await status('/v1/models'), 401);
});

test('C12: once sovereign is on nothing goes to a remote model, and what went is cut off in words', async () => {
  await using at = await openModels({
    endless: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n');
    },
  });
  const grant = await at.grant({ model: 'far' });
  const streams = [at.openai(), at.openai(grant.api_key!)].map((client) =>
    client.chat.completions.create({ ...chat('endless', { model: 'far-1' }), stream: true }),
  );
  const read = (await Promise.all(streams)).map(async (stream) => {
    for await (const _ of stream);
  });
  const codes = Promise.allSettled(read).then((all) =>
    all.map((one) => one.status === 'rejected' && (one.reason as { code: string }).code),
  );
  await at.operate('OS.sovereign.set', { on: true });
  assert.deepEqual(await codes, ['sovereign_refused', 'sovereign_refused']);
  await Promise.all(at.chats().map(({ gone }) => gone));
  const status = async (as: string) => (await at.ask('/v1/chat/completions', { as, body: chat('hi', { model: 'far-1' }) })).status;
  assert.deepEqual([await status(at.core.owner.secret), await status(grant.api_key!), at.chats().length], [403, 401, 2]);
});

test('F01, F07: every path of this door wants its own Host and a key, and says so in its own words', async () => {
  await using at = await openModels();
  const paths = ['GET /v1/models', 'GET /v1/models/x', 'POST /v1/chat/completions', 'POST /v1/completions', 'POST /v1/embeddings'];
  const others = [
    'POST /v1/responses',
    'POST /api/chat',
    'POST /api/generate',
    'POST /api/embed',
    'GET /api/tags',
    'GET /api/ps',
    'POST /api/show',
  ];
  for (const what of [...paths, ...others, 'GET /api/version']) {
    const [method, path] = what.split(' ') as [string, string];
    for (const [headers, status, code] of [
      [{ authorization: `Bearer ${at.core.owner.secret}`, host: 'evil.test:8000' }, 421, 'host_refused'],
      [{}, 401, 'unauthenticated'],
      [{ authorization: 'Bearer wrong' }, 401, 'unauthenticated'],
      [{ authorization: `Bearer ${at.core.owner.secret}`, origin: 'https://evil.test' }, 403, 'origin_refused'],
    ] as const) {
      const request = httpRequest(`${at.door.url}${path}`, { method, headers, agent: false }).end();
      const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
      const body = JSON.parse(Buffer.concat(await response.toArray()).toString());
      assert.deepEqual([what, response.statusCode, body.code ?? body.error.code], [what, status, code]);
      assert.match(String(response.headers['content-security-policy']), /default-src 'none'/);
    }
  }
  assert.deepEqual(at.chats(), []);
});

test('F16: what is too large is refused before it is read', async () => {
  await using at = await openModels();
  const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${at.door.port}\r\nAuthorization: Bearer ${at.core.owner.secret}\r\nContent-Type: application/json\r\n`;
  const before = process.memoryUsage().rss;
  const answer = async (first: string, more: Buffer | null) => {
    const socket = connect(at.door.port, '127.0.0.1');
    let heard = '';
    socket.setEncoding('latin1').on('data', (text) => {
      heard += text;
    });
    socket.on('error', () => {});
    socket.write(first);
    for (let sent = 0; more !== null && sent < 100 && heard === '' && !socket.destroyed; sent++)
      await new Promise((resolve) => socket.write(more, resolve));
    if (!socket.destroyed) await once(socket, 'close');
    return heard;
  };
  const huge = await answer(`${head}Content-Length: 1000000000000000\r\n\r\n{`, null);
  const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1_048_576, 32), Buffer.from('\r\n')]);
  const endless = await answer(`${head}Transfer-Encoding: chunked\r\n\r\n`, piece);
  for (const text of [huge, endless]) assert.match(text, /^HTTP\/1.1 413 [\s\S]*"code":"input_too_large"/);
  assert.ok(process.memoryUsage().rss - before < 50 * 1_048_576, 'memory does not grow with it');
});

test('a reader that is slow holds the model back instead of filling memory', async () => {
  let written = 0;
  let stuck = false;
  const event = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'x'.repeat(65_000) } }] })}\n\n`;
  const most = 60 * 1_048_576;
  await using at = await openModels({
    flood: (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const more = () => {
        while (written < most) {
          written += event.length;
          stuck = !response.write(event);
          if (stuck) return;
        }
        response.end();
      };
      response.on('drain', more);
      more();
    },
  });
  const body = JSON.stringify(chat('flood', { stream: true }));
  const socket = connect(at.door.port, '127.0.0.1').pause();
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${at.door.port}\r\nAuthorization: Bearer ${at.core.owner.secret}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  // Until the model has been stuck at the same byte for as many turns as it would take to send all of it.
  for (let still = 0, last = -1; still < 2000; still = stuck && written === last ? still + 1 : 0) {
    last = written;
    await new Promise(setImmediate);
  }
  assert.ok(written < most / 2, `${written} were written with nobody reading`);
  let received = 0;
  socket.on('data', (bytes) => {
    received += bytes.length;
  });
  socket.resume();
  await once(socket, 'close');
  assert.ok(received > most);
});
