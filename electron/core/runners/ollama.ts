/**
 * Ollama's own words for a provider that only has OpenAI's: chat, generate and embed, streamed or whole. What has no counterpart there (`keep_alive`,
 * `think`, `raw`, most of `options`) is left out.
 */
import type { Exchange } from '../../../shared/contract.ts';
import { refuse, type WireError } from '../../../shared/errors.ts';
import { createMessages } from './lines.ts';
import type { Put } from './model.ts';
import { errorLine, type Facts, type Reader } from './passage.ts';
import { parseJson, wordsOf } from './protocol.ts';

type Words = Record<string, unknown>;

export interface About {
  base: string;
  model: string;
  clock(): number;
}

/** Codes: not_found for what cannot be said in OpenAI's words. */
export function translated(exchange: Exchange, about: About): Put | WireError {
  const asked = parseJson(Buffer.from(exchange.body.buffer, exchange.body.byteOffset, exchange.body.byteLength).toString()) as Words;
  const { base, model } = about;
  const put = (path: string, body: Words, reader: Reader): Put => ({
    url: `${base}/v1${path}`,
    body: Buffer.from(JSON.stringify({ model, ...body })),
    reader,
  });
  switch (exchange.path) {
    case '/chat':
    case '/generate': {
      const generate = exchange.path === '/generate';
      const messages = generate ? promptOf(asked) : messagesOf(asked.messages);
      const stream = exchange.stream ? { stream: true, stream_options: { include_usage: true } } : {};
      const tools = Array.isArray(asked.tools) ? { tools: asked.tools } : {};
      const body = { messages, ...tools, ...optionsOf(asked), ...stream };
      return put('/chat/completions', body, createCompletion(exchange, { ...about, generate }));
    }
    case '/embed':
      return put('/embeddings', { input: asked.input ?? '' }, createEmbedding(exchange, about));
    case '/embeddings':
      return put('/embeddings', { input: asked.prompt ?? '' }, createEmbedding(exchange, about));
    default:
      return refuse('not_found', `Only Ollama has /api${exchange.path}, and ${model} is served by another.`, {
        hint: 'Use /api/chat, /api/generate or /api/embed.',
      });
  }
}

// --- what is asked -------------------------------------------------------------------------------------------------------

function optionsOf({ options, format }: Words): Words {
  const given = (options ?? {}) as Words;
  const said: Words = {};
  for (const name of ['temperature', 'top_p', 'seed', 'stop', 'presence_penalty', 'frequency_penalty'])
    if (given[name] !== undefined) said[name] = given[name];
  if (typeof given.num_predict === 'number' && given.num_predict > 0) said.max_tokens = given.num_predict;
  if (format === 'json') said.response_format = { type: 'json_object' };
  else if (typeof format === 'object' && format !== null)
    said.response_format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema: format } };
  return said;
}

function promptOf({ prompt, system, images }: Words): Words[] {
  const said = { role: 'user', content: contentOf(prompt ?? '', images) };
  return typeof system === 'string' && system !== '' ? [{ role: 'system', content: system }, said] : [said];
}

/** Images come as bare base64, which OpenAI's words have as data URLs. */
function contentOf(text: unknown, images: unknown): unknown {
  if (!Array.isArray(images) || images.length === 0) return text;
  const kind = (data: string) =>
    data.startsWith('/9j/') ? 'jpeg' : data.startsWith('R0lG') ? 'gif' : data.startsWith('UklG') ? 'webp' : 'png';
  return [
    { type: 'text', text },
    ...images.map((image) => ({ type: 'image_url', image_url: { url: `data:image/${kind(String(image))};base64,${image}` } })),
  ];
}

/** Ollama's tool calls have no ids: an answer belongs to the first call of its name that has none yet. */
function messagesOf(messages: unknown): Words[] {
  const open: { id: string; name: unknown }[] = [];
  let calls = 0;
  return (Array.isArray(messages) ? (messages as Words[]) : []).map((message) => {
    const { role, content, images, tool_calls, tool_name } = message;
    if (role === 'tool') {
      const at = Math.max(
        0,
        open.findIndex(({ name }) => name === tool_name),
      );
      const [call] = open.splice(at, 1);
      return { role, content, tool_call_id: call?.id ?? 'call_0' };
    }
    if (!Array.isArray(tool_calls) || tool_calls.length === 0) return { role, content: contentOf(content ?? '', images) };
    const made = (tool_calls as { function?: { name?: unknown; arguments?: unknown } }[]).map(({ function: call }) => {
      const id = `call_${calls++}`;
      open.push({ id, name: call?.name });
      return { id, type: 'function', function: { name: call?.name, arguments: JSON.stringify(call?.arguments ?? {}) } };
    });
    return { role, content: content ?? '', tool_calls: made };
  });
}

// --- what is answered ----------------------------------------------------------------------------------------------------

interface Piece {
  content?: unknown;
  tool_calls?: { index?: number; function?: { name?: string; arguments?: string } }[];
}

interface Completion {
  error?: unknown;
  usage?: { prompt_tokens?: number; completion_tokens?: number } | null;
  choices?: { delta?: Piece; message?: Piece; finish_reason?: string | null }[];
}

/** Reads an answer whole; `say` makes Ollama's of it, or null where it is not what was expected. A failure keeps its status. */
function createWhole(
  exchange: Exchange,
  say: (answer: Words) => { words: Words; usage: unknown; finishReason: string | null } | null,
): Reader {
  const pieces: Buffer[] = [];
  const facts: Facts = { bytes: 0, usage: null, finishReason: null, withheld: null };
  let status = 0;
  return {
    head(code) {
      status = code;
    },
    bytes(bytes) {
      facts.bytes += bytes.length;
      pieces.push(bytes);
      return null;
    },
    end() {
      const text = Buffer.concat(pieces).toString();
      const answer = parseJson(text) as Words | undefined;
      if ((status >= 300 && status < 400) || status === 401 || status === 403) {
        facts.withheld = text.slice(0, 4096);
        return;
      }
      const said = status < 300 && typeof answer === 'object' && answer !== null ? say(answer) : null;
      if (said !== null) Object.assign(facts, { usage: said.usage, finishReason: said.finishReason });
      const words = said?.words ?? { error: wordsOf(answer) || `The provider answered ${status}.` };
      exchange.head(said === null && status < 300 ? 502 : status, { 'content-type': 'application/json; charset=utf-8' });
      void exchange.write(Buffer.from(JSON.stringify(words)));
    },
    // Nothing is out yet: the door says what went wrong.
    fail() {},
    facts: () => facts,
  };
}

function createEmbedding(exchange: Exchange, { model }: About): Reader {
  return createWhole(exchange, ({ data, usage }) => {
    if (!Array.isArray(data)) return null;
    const embeddings = data.map(({ embedding }) => embedding);
    const tokens = (usage as { prompt_tokens?: number } | undefined)?.prompt_tokens ?? 0;
    const words = exchange.path === '/embeddings' ? { embedding: embeddings[0] ?? [] } : { model, embeddings, prompt_eval_count: tokens };
    return { words, usage: usage ?? null, finishReason: null };
  });
}

function createCompletion(exchange: Exchange, { model, clock, generate }: About & { generate: boolean }): Reader {
  const startedAt = clock();
  const line = (content: string, more: Words): Words => ({
    model,
    created_at: new Date(clock()).toISOString(),
    ...(generate ? { response: content } : { message: { role: 'assistant', content, ...callsIn(more) } }),
    ...withoutCalls(more),
  });
  const last = (usage: Completion['usage'], reason: string | null): Words => ({
    done: true,
    done_reason: reason === 'length' ? 'length' : 'stop',
    total_duration: (clock() - startedAt) * 1_000_000,
    prompt_eval_count: usage?.prompt_tokens ?? 0,
    eval_count: usage?.completion_tokens ?? 0,
  });
  const whole = createWhole(exchange, (answer) => {
    const { choices, usage } = answer as Completion;
    const message = choices?.[0]?.message;
    if (message === undefined) return null;
    const finishReason = choices?.[0]?.finish_reason ?? null;
    const content = typeof message.content === 'string' ? message.content : '';
    const calls = message.tool_calls === undefined ? {} : { tool_calls: message.tool_calls.map(callOf) };
    return { words: line(content, { ...calls, ...last(usage, finishReason) }), usage: usage ?? null, finishReason };
  });
  if (!exchange.stream) return whole;

  const facts: Facts = { bytes: 0, usage: null, finishReason: null, withheld: null };
  const calls: { name: string; arguments: string }[] = [];
  const decoder = new TextDecoder();
  let reading: Reader | null = null;
  let out = '';
  let failed = false;
  let headed = false;
  const messages = createMessages('events', (data) => {
    if (data === '[DONE]' || failed) return;
    const chunk = parseJson(data) as Completion | undefined;
    if (typeof chunk !== 'object' || chunk === null) return;
    if (chunk.error) {
      failed = true;
      out += errorLine(refuse('upstream_failed', wordsOf(chunk.error)));
      return;
    }
    if (chunk.usage) facts.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (choice?.finish_reason) facts.finishReason = choice.finish_reason;
    for (const { index = 0, function: call } of choice?.delta?.tool_calls ?? []) {
      calls[index] ??= { name: '', arguments: '' };
      calls[index].name += call?.name ?? '';
      calls[index].arguments += call?.arguments ?? '';
    }
    const said = choice?.delta?.content;
    if (typeof said === 'string' && said !== '') out += `${JSON.stringify(line(said, { done: false }))}\n`;
  });
  /** One write for all that one piece brought. */
  function tell(): Promise<void> | null {
    const text = out;
    out = '';
    return text === '' ? null : exchange.write(Buffer.from(text));
  }
  return {
    head(status, headers) {
      // Servers that cannot stream answer whole, and so do failures.
      if (status >= 300 || !/^text\/event-stream\b/i.test(headers['content-type'] ?? '')) {
        reading = whole;
        return whole.head(status, headers);
      }
      headed = true;
      exchange.head(status, { 'content-type': 'application/x-ndjson' });
    },
    bytes(bytes) {
      if (reading !== null) return reading.bytes(bytes);
      facts.bytes += bytes.length;
      messages.push(decoder.decode(bytes, { stream: true }));
      return tell();
    },
    end() {
      if (reading !== null) return reading.end();
      messages.push(decoder.decode());
      messages.end();
      if (calls.length > 0)
        out += `${JSON.stringify(line('', { tool_calls: calls.map((call) => callOf({ function: call })), done: false }))}\n`;
      if (!failed) out += `${JSON.stringify(line('', last(facts.usage as Completion['usage'], facts.finishReason)))}\n`;
      void tell();
    },
    fail(error) {
      if (!headed) return;
      out += errorLine(error);
      void tell();
    },
    facts: () => (reading === null ? facts : reading.facts()),
  };
}

const callsIn = ({ tool_calls }: Words): Words => (tool_calls === undefined ? {} : { tool_calls });
const withoutCalls = ({ tool_calls: _calls, ...rest }: Words): Words => rest;

/** Arguments are an object here; those that are no JSON go along as they are. */
const callOf = ({ function: call }: { function?: { name?: string; arguments?: string } }): Words => ({
  function: { name: call?.name ?? '', arguments: parseJson(call?.arguments === '' ? '{}' : (call?.arguments ?? '{}')) ?? call?.arguments },
});
