/**
 * The model server behind every proxy of the benchmark of the model door: answers at once, or streams. A stream has `max_tokens` chunks, the first
 * after `gap` milliseconds and each of the others after as many more; each says when it left, in microseconds of the machine's own clock.
 */
import { createServer, type ServerResponse } from 'node:http';
import { announce } from './announce.ts';

const chat = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'porter-ngram',
    choices: [{ index: 0, message: { role: 'assistant', content: 'There is one door.' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  }),
);
const models = JSON.stringify({ object: 'list', data: [{ id: 'porter-ngram', object: 'model', created: 0, owned_by: 'bench' }] });

const sse = { 'content-type': 'text/event-stream', 'cache-control': 'no-store' };
const chunk = () =>
  `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"porter-ngram","choices":[{"index":0,"delta":{"content":" door"},"finish_reason":null}],"t":${process.hrtime.bigint() / 1000n}}\n\n`;
const last = 'data: [DONE]\n\n';

function stream(response: ServerResponse, { count, gap }: { count: number; gap: number }): void {
  let sent = 0;
  response.writeHead(200, sse);
  if (gap === 0) {
    while (sent++ < count) response.write(chunk());
    response.end(last);
    return;
  }
  const timer = setInterval(() => {
    response.write(chunk());
    if (++sent < count) return;
    clearInterval(timer);
    response.end(last);
  }, gap);
  response.on('close', () => clearInterval(timer));
}

const server = createServer(async (request, response) => {
  if (request.method === 'GET') {
    response.writeHead(request.url === '/v1/models' ? 200 : 404, { 'content-type': 'application/json' }).end(models);
    return;
  }
  const body = Buffer.concat(await request.toArray()).toString();
  const asked = body.includes('"stream":true') ? (JSON.parse(body) as { max_tokens: number; gap: number }) : null;
  if (asked) return stream(response, { count: asked.max_tokens, gap: asked.gap });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': chat.length });
  response.end(chat);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => announce(server, {}));
