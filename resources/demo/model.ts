/** An OpenAI-compatible model server with a very small model of its own: word n-grams learned at start from `corpus.txt`. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { type Handler, pause, Status } from './service.ts';

const modelName = 'porter-ngram';

export interface TextModel {
  /** Tokens that follow `prompt`, ending at a sentence once half of `max` is used; the same for the same `seed`. */
  generate(prompt: string, options: { max: number; temperature: number; seed: number }): Generator<string>;
}

const tokenize = (text: string) => text.match(/[\p{L}\p{N}']+|[.,!?]/gu) ?? [];

/** Counts of what follows one, two and three words; generation backs off from three to one (stupid backoff). */
export function trainTextModel(text: string): TextModel {
  const order = 3;
  const followers = new Map<string, Map<string, number>>();
  const sentences = text
    .split(/(?<=[.!?])\s+/)
    .map(tokenize)
    .filter((tokens) => tokens.length > 2);
  for (const tokens of sentences) {
    const padded = ['<s>', ...tokens];
    for (let at = 1; at < padded.length; at += 1) {
      for (let length = 1; length <= Math.min(order, at); length += 1) {
        const context = padded.slice(at - length, at).join(' ');
        const counts = followers.get(context) ?? new Map<string, number>();
        followers.set(context, counts.set(padded[at]!, (counts.get(padded[at]!) ?? 0) + 1));
      }
    }
  }

  function next(history: readonly string[], temperature: number, random: () => number): string {
    for (let length = order; length >= 1; length -= 1) {
      const counts = followers.get(history.slice(-length).join(' '));
      // A context with one follower only repeats the text: sometimes look at a shorter one.
      if (!counts || (length > 1 && counts.size === 1 && temperature > 0 && random() < 0.35)) continue;
      const weighted = [...counts].map(([token, count]) => [token, temperature > 0 ? count ** (1 / temperature) : count] as const);
      if (temperature <= 0) return weighted.reduce((best, each) => (each[1] > best[1] ? each : best))[0];
      let left = random() * weighted.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [token, weight] of weighted) {
        left -= weight;
        if (left <= 0) return token;
      }
    }
    return '.';
  }

  return {
    *generate(prompt, { max, temperature, seed }) {
      const random = mulberry32(seed);
      // Begins with the sentence whose words are nearest to the prompt, so that the answer has something to do with it.
      const asked = new Set(tokenize(prompt.toLowerCase()).filter((word) => word.length > 3));
      const scored = sentences.map((tokens) => ({
        tokens,
        score: tokens.filter((token) => asked.has(token.toLowerCase())).length + random() * 0.9,
      }));
      const first = scored.reduce((best, each) => (each.score > best.score ? each : best)).tokens;
      const history = ['<s>', ...first.slice(0, 2)];
      yield* first.slice(0, Math.min(2, max));
      for (let count = 2; count < max; count += 1) {
        const ended = /^[.!?]$/.test(history.at(-1)!);
        if (ended && count >= max / 2) return;
        if (ended) history.push('<s>');
        const token = next(history, temperature, random);
        history.push(token);
        yield token;
      }
    },
  };
}

/** What a whole answer and its pieces are called; `say` puts words where this API has them. */
interface Dialect {
  prefix: string;
  whole: string;
  piece: string;
  say(text: string): object;
  /** Of a stream: its beginning, each token, its end. */
  delta(text: string | null): object;
}

const chat: Dialect = {
  prefix: 'chatcmpl',
  whole: 'chat.completion',
  piece: 'chat.completion.chunk',
  say: (content) => ({ message: { role: 'assistant', content } }),
  delta: (content) => ({ delta: content === null ? {} : { content } }),
};

const completion: Dialect = {
  prefix: 'cmpl',
  whole: 'text_completion',
  piece: 'text_completion',
  say: (text) => ({ text }),
  delta: (text) => ({ text: text ?? '' }),
};

const dialects: Record<string, Dialect> = { '/v1/chat/completions': chat, '/v1/completions': completion };

interface ChatRequest {
  dialect: Dialect;
  model: string;
  prompt: string;
  stream: boolean;
  max: number;
  temperature: number;
  seed: number;
}

/** `/v1/models`, `/v1/chat/completions` and `/v1/completions`, whole or as server-sent events; `tokenMs` is the time between two tokens of a stream. */
export function createModelServer(
  text: string,
  { tokenMs = 20, names = [modelName] }: { tokenMs?: number; names?: string[] } = {},
): Handler {
  const model = trainTextModel(text);
  return async ({ method, path, fields, signal }, response) => {
    if (path === '/v1/models')
      return { object: 'list', data: names.map((id) => ({ id, object: 'model', created: 0, owned_by: 'dispatcher-demo' })) };
    const dialect = method === 'POST' ? dialects[path] : undefined;
    if (dialect === undefined) throw new Status(404, `There is no ${method} ${path} here.`);
    const request = parse(fields, { names, dialect });
    const id = `${dialect.prefix}-${createHash('sha256').update(`${request.seed} ${request.prompt}`).digest('hex').slice(0, 24)}`;
    const created = Math.floor(Date.now() / 1000);
    const tokens = model.generate(request.prompt, request);
    if (request.stream) return stream(response, { tokens, request, id, created, tokenMs, signal });
    const words = [...tokens];
    const prompt_tokens = tokenize(request.prompt).length;
    return {
      id,
      object: dialect.whole,
      created,
      model: request.model,
      choices: [{ index: 0, ...dialect.say(join(words)), finish_reason: words.length >= request.max ? 'length' : 'stop' }],
      usage: { prompt_tokens, completion_tokens: words.length, total_tokens: prompt_tokens + words.length },
    };
  };
}

async function stream(
  response: ServerResponse,
  run: { tokens: Generator<string>; request: ChatRequest; id: string; created: number; tokenMs: number; signal: AbortSignal },
): Promise<undefined> {
  const { dialect } = run.request;
  const say = (words: object, finish_reason: string | null) => {
    const chunk = {
      id: run.id,
      object: dialect.piece,
      created: run.created,
      model: run.request.model,
      choices: [{ index: 0, ...words, finish_reason }],
    };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  if (dialect === chat) say({ delta: { role: 'assistant', content: '' } }, null);
  let count = 0;
  for (const token of run.tokens) {
    say(dialect.delta(count === 0 || /^[.,!?]$/.test(token) ? token : ` ${token}`), null);
    count += 1;
    if (!(await pause(run.tokenMs, run.signal))) return;
  }
  say(dialect.delta(null), count >= run.request.max ? 'length' : 'stop');
  response.end('data: [DONE]\n\n');
}

function parse(fields: Record<string, unknown>, { names, dialect }: { names: string[]; dialect: Dialect }): ChatRequest {
  const prompt = dialect === chat ? wordsOf(fields.messages) : [fields.prompt ?? ''].flat().join('\n');
  const hashed = createHash('sha256').update(prompt).digest().readUInt32LE(0);
  const number = (value: unknown, fallback: number) => (typeof value === 'number' && Number.isFinite(value) ? value : fallback);
  return {
    dialect,
    model: names.find((name) => name === fields.model) ?? names[0]!,
    prompt,
    stream: fields.stream === true,
    max: Math.max(1, Math.min(2000, Math.floor(number(fields.max_completion_tokens ?? fields.max_tokens, 60)))),
    temperature: Math.max(0, Math.min(2, number(fields.temperature, 0.8))),
    seed: number(fields.seed, hashed) >>> 0,
  };
}

function wordsOf(messages: unknown): string {
  if (!Array.isArray(messages) || messages.length === 0) throw new Status(400, 'messages must be a list with at least one message.');
  return messages
    .map((message: { content?: unknown }) => {
      if (typeof message?.content === 'string') return message.content;
      if (!Array.isArray(message?.content)) throw new Status(400, 'Every message needs content.');
      return message.content.map((part: { text?: unknown }) => (typeof part?.text === 'string' ? part.text : '')).join(' ');
    })
    .join('\n');
}

function join(tokens: string[]): string {
  return tokens.reduce((text, token) => (text === '' || /^[.,!?]$/.test(token) ? text + token : `${text} ${token}`), '');
}

/** Mulberry32 (Tommy Ettinger, public domain): a small generator with a fixed seed. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
