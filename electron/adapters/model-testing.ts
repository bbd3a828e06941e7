/** A model server for the tests of the model door: strict about what it is sent, OpenAI's shapes in what it says, and what it saw in a ledger. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Heard {
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
  json: Record<string, unknown>;
  /** Resolves when its connection is gone before it was answered. */
  gone: Promise<void>;
}

interface Message {
  role: string;
  content?: unknown;
  tool_call_id?: string;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
}

const llama = { name: 'llama:latest', model: 'llama:latest', details: {} };
const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
export const words = ['There ', 'is ', 'one ', 'door.'];

/** What it makes of a conversation: a tool is called once, its result is repeated, anything else gets the same four words. */
function answerTo(messages: Message[], tools: unknown): { content: string | null; tool_calls?: unknown[]; finish_reason: string } {
  const last = messages.at(-1)!;
  if (last.role === 'tool') {
    const asked = messages.findLast(({ tool_calls }) => tool_calls !== undefined)?.tool_calls?.[0];
    if (asked?.id !== last.tool_call_id) throw new Error('this answers no call');
    return { content: `It is ${String(last.content)}.`, finish_reason: 'stop' };
  }
  if (Array.isArray(tools)) {
    const call = { id: 'call_7', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } };
    return { content: null, tool_calls: [call], finish_reason: 'tool_calls' };
  }
  return { content: words.join(''), finish_reason: 'stop' };
}

/** `say` may answer in its place, by the first user message; a promise holds it up. */
export async function startModelServer(say: Record<string, (response: ServerResponse, heard: Heard) => void> = {}) {
  const ledger: Heard[] = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    response.on('close', () => {
      if (!response.writableFinished) resolve();
    });
    const json = (body === '' ? {} : JSON.parse(body)) as Record<string, unknown>;
    const heard: Heard = { url: request.url!, headers: request.headers, body, json, gone };
    ledger.push(heard);
    const send = (status: number, value: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json', 'x-request-id': 'req_1' }).end(JSON.stringify(value));
    const events = (list: unknown[]) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const one of list) response.write(typeof one === 'string' ? one : `data: ${JSON.stringify(one)}\n\n`);
      response.end();
    };
    const messages = (json.messages ?? []) as Message[];
    const first = String(messages.find(({ role }) => role === 'user')?.content ?? json.prompt ?? json.input ?? '');
    const own = say[first];
    if (own) return own(response, heard);
    const head = { id: 'x-1', created: 1, model: json.model };
    switch (request.url) {
      case '/v1/chat/completions': {
        const { content, tool_calls, finish_reason } = answerTo(messages, json.tools);
        const message = { role: 'assistant', content, ...(tool_calls && { tool_calls }) };
        if (json.stream !== true)
          return send(200, { ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason }], usage });
        const piece = (delta: unknown, finish: string | null = null) => ({
          ...head,
          object: 'chat.completion.chunk',
          choices: [{ index: 0, delta, finish_reason: finish }],
        });
        const calls = tool_calls?.map((call, index) => ({ index, ...(call as object) }));
        return events([
          piece({ role: 'assistant', content: '' }),
          ...(calls ? [piece({ tool_calls: calls })] : (content?.split(/(?<= )/) ?? []).map((word) => piece({ content: word }))),
          piece({}, finish_reason),
          ...((json.stream_options as { include_usage?: boolean })?.include_usage ? [{ ...piece({}), choices: [], usage }] : []),
          'data: [DONE]\n\n',
        ]);
      }
      case '/v1/completions':
        return send(200, {
          ...head,
          object: 'text_completion',
          choices: [{ index: 0, text: words.join(''), finish_reason: 'stop' }],
          usage,
        });
      case '/v1/embeddings': {
        const input = [json.input].flat();
        const data = input.map((_, index) => ({ object: 'embedding', index, embedding: [index, 0.5] }));
        return send(200, { object: 'list', data, model: json.model, usage: { prompt_tokens: 5, total_tokens: 5 } });
      }
      case '/v1/responses': {
        const item = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed' };
        const output = [{ ...item, content: [{ type: 'output_text', text: words.join(''), annotations: [] }] }];
        const whole = {
          ...head,
          object: 'response',
          status: 'completed',
          output,
          usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
        };
        if (json.stream !== true) return send(200, whole);
        const named = (type: string, more: object) => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: 1, ...more })}\n\n`;
        return events([
          ...words.map((delta) => named('response.output_text.delta', { delta, item_id: 'msg_1', output_index: 0, content_index: 0 })),
          named('response.completed', { response: whole }),
        ]);
      }
      case '/v1/models':
        return send(200, {
          object: 'list',
          data: ['org/writer:70b', 'writer:8b', 'vectors', 'far-1'].map((id) => ({ id, object: 'model' })),
        });
      case '/api/tags':
        return send(200, { models: [llama] });
      case '/api/ps':
        return send(200, { models: [{ ...llama, size_vram: 0, expires_at: '2999-01-01T00:00:00Z' }] });
      case '/api/show':
        return send(200, { details: {}, capabilities: ['completion'], model_info: {} });
      case '/api/generate':
        return send(200, { model: json.model, response: '', done: true });
      case '/api/chat': {
        const line = (content: string, more: object) => ({ model: json.model, message: { role: 'assistant', content }, ...more });
        response.writeHead(200, { 'content-type': 'application/x-ndjson' });
        for (const word of words) response.write(`${JSON.stringify(line(word, { done: false }))}\n`);
        return response.end(`${JSON.stringify(line('', { done: true, done_reason: 'stop', prompt_eval_count: 3, eval_count: 4 }))}\n`);
      }
      default:
        return send(404, { error: { message: `no ${request.url}`, type: 'invalid_request_error', param: null, code: null } });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    ledger,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
