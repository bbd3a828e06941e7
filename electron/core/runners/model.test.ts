import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { Exchange } from '../../../shared/contract.ts';
import type { Crossing } from '../../../shared/model.ts';
import { openCore, type Seen, startService } from '../testing.ts';

const registry = (url: string, egress: string) => `orgs:
  T:
    name: Test
    services:
      look: { kind: model, need: [vision-analysis, text-generation], examples: [look at this] }
limits: off
providers:
  writer:
    controller: openai
    endpoint: ${url}
    egress: ${egress}
    auth: { kind: header, env: WRITER_KEY, header: x-key }
    capabilities: [text-generation, vision-analysis]
    tiers: { one: { model: "org/writer:70b", vram: 0 } }
  vectors:
    controller: openai
    endpoint: ${url}/v1
    egress: local
    capabilities: [embedding]
    tiers: { base: { model: vectors, vram: 0 } }
`;

const models = { object: 'list', data: ['org/writer:70b', 'vectors'].map((id) => ({ id, object: 'model' })) };
const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };

/** A core whose models are at a service that answers what is asked through the core with `answer`; the core's own questions are answered well. */
async function openModels(
  t: TestContext,
  answer: (seen: Seen, response: ServerResponse) => void,
  { egress = 'local', secret = 'the-key' } = {},
) {
  const service = await startService((seen, response) => {
    if (seen.headers.traceparent !== undefined) return answer(seen, response);
    response.setHeader('content-type', 'application/json');
    const embedding = [{ object: 'embedding', index: 0, embedding: [1] }];
    response.end(JSON.stringify(seen.url === '/v1/models' ? models : { choices: [{ message: { content: 'a' } }], data: embedding, usage }));
  });
  t.after(() => service[Symbol.asyncDispose]());
  const core = await openCore(registry(service.url, egress), { secret: () => secret });
  t.after(() => core[Symbol.asyncDispose]());
  while (core.cortex.state().models.some(({ phase }) => phase === 'unknown')) await new Promise(setImmediate);
  return { core, asked: () => service.ledger.filter(({ headers }) => headers.traceparent !== undefined) };
}

/** A chat completion as bytes, and what came back. */
function exchangeOf(body: string, model: string) {
  const heard: { status: number; text: string } = { status: 0, text: '' };
  const start = body.indexOf(JSON.stringify(model));
  const exchange: Exchange = {
    ...{ dialect: 'openai', path: '/chat/completions', method: 'POST', body: Buffer.from(body), stream: false },
    headers: { accept: 'application/json', 'openai-beta': 'a\r\nx-evil: 1', cookie: 'a=b', authorization: 'Bearer mine' },
    model: { start, end: start + JSON.stringify(model).length },
    head(status) {
      heard.status = status;
    },
    write(bytes) {
      heard.text += Buffer.from(bytes).toString();
      return null;
    },
    broken() {},
  };
  return { exchange, heard };
}

test('a model route is answered through any door, in chat completions or embeddings', async (t) => {
  const { core, asked } = await openModels(t, ({ url }, response) => {
    if (url === '/v1/embeddings') response.setHeader('content-type', 'application/json').end('{"data":[{"embedding":[1,2]}]}');
    else {
      response.setHeader('content-type', 'text/event-stream');
      response.end(
        `data: {"choices":[{"delta":{"content":"There"}}]}\n\ndata: {"choices":[],"usage":${JSON.stringify(usage)}}\n\ndata: [DONE]\n\n`,
      );
    }
  });
  const looked = await core.ask({ route: 'T.look', text: 'what is it?' });
  const written = await core.ask({ route: 'OS.model', params: { prompt: 'hello', max_tokens: 5 } });
  const embedded = await core.ask({ route: 'OS.model', params: { input: ['a'] }, need: { capabilities: ['embedding'] } });
  const said = { text: 'There', model: 'org/writer:70b', usage, finishReason: null };
  assert.deepEqual([looked.result, written.result, embedded.result], [said, said, { data: [{ embedding: [1, 2] }] }]);
  assert.deepEqual(
    asked().map(({ url, headers, body }) => [url, headers['x-key'], JSON.parse(body).model, JSON.parse(body).max_tokens]),
    [
      ['/v1/chat/completions', 'the-key', 'org/writer:70b', undefined],
      ['/v1/chat/completions', 'the-key', 'org/writer:70b', 5],
      ['/v1/embeddings', undefined, 'vectors', undefined],
    ],
  );
});

test('an exchange leaves figures, an attempt, and what left the machine; its headers are not the caller’s', async (t) => {
  const text = `{"choices":[{"finish_reason":"stop"}],"usage":${JSON.stringify(usage)}}`;
  const { core, asked } = await openModels(t, (_, response) => response.setHeader('content-type', 'application/json').end(text), {
    egress: 'remote',
  });
  const { exchange, heard } = exchangeOf('{"messages":[],"model":"writer"}', 'writer');
  const call = { route: 'OS.model', params: { model: 'writer' }, need: { model: 'writer' }, exchange } as const;
  const { result, left, attempts }: Crossing = await core.dispatch({ ...call, door: 'openai', principal: core.owner.principal });
  const [seen] = asked();
  assert.deepEqual(
    [result, heard, left.map(({ egress, bytes }) => [egress, bytes]), attempts.map(({ id, status, error }) => [id, status, error])],
    [
      {
        ...{ status: 200, model: 'org/writer:70b', provider: 'writer', tier: 'one', bytes: text.length },
        ...{ usage, finishReason: 'stop' },
      },
      { status: 200, text },
      [['remote', '{"messages":[],"model":"org/writer:70b"}'.length + '/v1/chat/completions'.length]],
      [[seen?.headers['idempotency-key'], 200, null]],
    ],
  );
  const { accept, cookie, authorization, 'x-evil': evil, 'openai-beta': beta, 'x-key': key } = seen!.headers;
  assert.deepEqual(
    [accept, cookie, authorization, evil, beta, key],
    ['application/json', undefined, undefined, undefined, undefined, 'the-key'],
  );
});

test('a server that fails five times is left alone, whoever asks', async (t) => {
  const { core, asked } = await openModels(t, (_, response) => response.destroy());
  const codes: (string | undefined)[] = [];
  for (let i = 0; i < 7; i++) {
    const { exchange } = exchangeOf('{"model":"writer"}', 'writer');
    const call = { route: 'OS.model', params: {}, need: { model: 'writer' }, exchange } as const;
    codes.push((await core.dispatch({ ...call, door: 'openai', principal: core.owner.principal })).error?.code);
  }
  const tried = asked().length;
  assert.deepEqual(codes, [...Array(tried).fill('upstream_failed'), ...Array(7 - tried).fill('breaker_open')]);
  assert.ok(tried < 7, `${tried} were sent`);
});
