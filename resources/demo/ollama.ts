/** A model server shaped like Ollama: its models pretend to hold memory of a pretended card, and all write like the demo's small language model. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Card } from './card.ts';
import { createModelServer, trainTextModel } from './model.ts';
import { type Handler, pause, type Request, Status } from './service.ts';

const GIB = 2 ** 30;

export interface DemoModel {
  name: string;
  bytes: number;
  /** In Ollama's words: completion, vision, embedding, tools. */
  capabilities: string[];
  parameters: string;
  context: number;
  /** How long it thinks before its first token. */
  thinkMs: number;
}

export const demoModels: readonly DemoModel[] = [
  { name: 'demo-vl:7b', bytes: 8 * GIB, capabilities: ['completion', 'vision'], parameters: '7B', context: 32_768, thinkMs: 40 },
  { name: 'demo-llama:70b', bytes: 20 * GIB, capabilities: ['completion', 'tools'], parameters: '70B', context: 32_768, thinkMs: 120 },
  { name: 'demo-llama:8b', bytes: 6 * GIB, capabilities: ['completion', 'tools'], parameters: '8B', context: 32_768, thinkMs: 40 },
  { name: 'demo-eye:3b', bytes: 6 * GIB, capabilities: ['vision'], parameters: '3B', context: 8192, thinkMs: 40 },
  { name: 'demo-coder:32b', bytes: 18 * GIB, capabilities: ['completion', 'insert'], parameters: '32B', context: 65_536, thinkMs: 80 },
  { name: 'demo-voice:1b', bytes: 2 * GIB, capabilities: ['completion'], parameters: '1B', context: 4096, thinkMs: 1500 },
  { name: 'demo-embed', bytes: 1 * GIB, capabilities: ['embedding'], parameters: '0.3B', context: 2048, thinkMs: 10 },
];

interface Loaded {
  model: DemoModel;
  ready: Promise<void>;
  warm: boolean;
  expiresAt: number;
}

/** `loadMs`: for each GiB. Memory of the card is given back when `close` is called, as by a process that ends. */
export function createOllama(
  text: string,
  { card, loadMs = 120 }: { card: Card; loadMs?: number },
): { handle: Handler /** Its process ends: what it held is free. */; end(): void; close(): void } {
  const words = trainTextModel(text);
  const speak = createModelServer(text, { names: demoModels.map(({ name }) => name) });
  const loaded = new Map<string, Loaded>();
  const closing = new AbortController();

  const find = (name: unknown): DemoModel => {
    const model = demoModels.find((one) => one.name === name || one.name === `${name}:latest`);
    if (!model) throw new Status(404, `model '${String(name)}' not found, try pulling it first`);
    return model;
  };

  /** Loads once, however many ask for it. */
  async function load(model: DemoModel, keepAlive: unknown): Promise<Loaded> {
    let one = loaded.get(model.name);
    if (one === undefined) {
      if (!card.take(model.name, model.bytes))
        throw new Status(
          500,
          `model requires more system memory (${(model.bytes / GIB).toFixed(1)} GiB) than is available (${(card.freeBytes / GIB).toFixed(1)} GiB)`,
        );
      const made: Loaded = { model, warm: false, expiresAt: 0, ready: Promise.resolve() };
      made.ready = pause((model.bytes / GIB) * loadMs, closing.signal).then((waited) => {
        made.warm = true;
        if (!waited) throw new Status(503, 'the server is shutting down');
      });
      made.ready.catch(() => {});
      loaded.set(model.name, made);
      one = made;
    }
    one.expiresAt = Date.now() + keepMs(keepAlive);
    await one.ready;
    return one;
  }

  function unload(name: string): void {
    loaded.delete(name);
    card.give(name);
  }

  /** A call of a model: it is loaded for it, thinks, and the card is busy meanwhile. */
  async function use<T>(name: unknown, { signal }: Request, run: (model: DemoModel) => Promise<T> | T): Promise<T> {
    const { model } = await load(find(name), undefined);
    const rest = card.work();
    try {
      if (!(await pause(model.thinkMs, signal))) throw new Status(499, 'the caller went away');
      return await run(model);
    } finally {
      rest();
    }
  }

  async function generate(request: Request, response: ServerResponse): Promise<unknown> {
    const { fields, signal } = request;
    const model = find(fields.model);
    if (fields.keep_alive === 0 || fields.keep_alive === '0') {
      unload(model.name);
      return { model: model.name, created_at: now(), response: '', done: true, done_reason: 'unload' };
    }
    const chat = Array.isArray(fields.messages) ? (fields.messages as { content?: unknown }[]) : null;
    const prompt = chat ? chat.map(({ content }) => String(content ?? '')).join('\n') : String(fields.prompt ?? '');
    await load(model, fields.keep_alive);
    if (prompt === '') return { model: model.name, created_at: now(), response: '', done: true, done_reason: 'load' };
    const options = (fields.options ?? {}) as { num_predict?: unknown };
    const max = typeof options.num_predict === 'number' ? Math.max(1, Math.min(2000, options.num_predict)) : 60;
    const tokens = words.generate(prompt, { max, temperature: 0.8, seed: seedOf(prompt) });
    const said = (content: string, more: object) => ({
      model: model.name,
      created_at: now(),
      ...(chat ? { message: { role: 'assistant', content } } : { response: content }),
      ...more,
    });
    return use(model.name, request, async () => {
      if (fields.stream === false) {
        const all = [...tokens];
        return said(all.join(' '), {
          done: true,
          done_reason: 'stop',
          prompt_eval_count: prompt.split(/\s+/).length,
          eval_count: all.length,
        });
      }
      response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      let count = 0;
      for (const token of tokens) {
        response.write(`${JSON.stringify(said(count === 0 ? token : ` ${token}`, { done: false }))}\n`);
        count += 1;
        if (!(await pause(20, signal))) return;
      }
      response.end(`${JSON.stringify(said('', { done: true, done_reason: 'stop', eval_count: count }))}\n`);
      return undefined;
    });
  }

  const routes: Record<string, (request: Request, response: ServerResponse) => unknown> = {
    'GET /api/version': () => ({ version: '0.13.0-demo' }),
    'GET /api/tags': () => ({ models: demoModels.map(described) }),
    'GET /api/ps': () => ({
      models: [...loaded.values()]
        .filter(({ warm }) => warm)
        .map(({ model, expiresAt }) => ({
          ...described(model),
          size_vram: model.bytes,
          expires_at: new Date(expiresAt).toISOString(),
          context_length: model.context,
        })),
    }),
    'POST /api/show': ({ fields }) => {
      const model = find(fields.model ?? fields.name);
      return {
        details: described(model).details,
        capabilities: model.capabilities,
        model_info: { 'general.architecture': 'demo', 'demo.context_length': model.context },
      };
    },
    'POST /api/generate': generate,
    'POST /api/chat': generate,
    'POST /api/embed': async (request) => {
      const input = [request.fields.input].flat();
      if (request.fields.keep_alive === 0) {
        unload(find(request.fields.model).name);
        return { model: request.fields.model, embeddings: [] };
      }
      if (request.fields.input === undefined || input.length === 0 || input[0] === '') {
        await load(find(request.fields.model), request.fields.keep_alive);
        return { model: request.fields.model, embeddings: [] };
      }
      return use(request.fields.model, request, ({ name }) => ({ model: name, embeddings: input.map((one) => embed(String(one))) }));
    },
    'GET /v1/models': () => ({
      object: 'list',
      data: demoModels.map(({ name }) => ({ id: name, object: 'model', created: 0, owned_by: 'dispatcher-demo' })),
    }),
    'POST /v1/chat/completions': (request, response) =>
      use(request.fields.model, request, () => speak(request, response) as Promise<unknown>),
    'POST /v1/completions': (request, response) => use(request.fields.model, request, () => speak(request, response) as Promise<unknown>),
    'POST /v1/embeddings': (request) =>
      use(request.fields.model, request, ({ name }) => ({
        object: 'list',
        model: name,
        data: [request.fields.input].flat().map((one, index) => ({ object: 'embedding', index, embedding: embed(String(one)) })),
        usage: { prompt_tokens: 1, total_tokens: 1 },
      })),
  };

  function end(): void {
    for (const name of [...loaded.keys()]) unload(name);
  }

  return {
    handle(request, response) {
      const route = routes[`${request.method} ${request.path}`];
      if (!route) throw new Status(404, `There is no ${request.method} ${request.path} here.`);
      return route(request, response);
    },
    end,
    close() {
      closing.abort();
      end();
    },
  };
}

function described({ name, bytes, parameters }: DemoModel) {
  const digest = createHash('sha256').update(name).digest('hex');
  return {
    name,
    model: name,
    modified_at: '2026-01-01T00:00:00Z',
    size: bytes,
    digest,
    details: { format: 'demo', family: 'demo', parameter_size: parameters, quantization_level: 'Q4_K_M' },
  };
}

/** Ollama's keep_alive: seconds, `5m`, negative for ever. */
function keepMs(value: unknown): number {
  if (value === undefined || value === null) return 300_000;
  const [, amount = '300', unit = 's'] = /^(-?\d+)(ms|s|m|h)?$/.exec(String(value)) ?? [];
  const ms = Number(amount) * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit as 's']!;
  return ms < 0 ? 365 * 86_400_000 : ms;
}

/** 64 numbers that say nothing but are the same for the same text. */
function embed(text: string): number[] {
  const bytes = Buffer.concat([createHash('sha256').update(text).digest(), createHash('sha256').update(`${text}.`).digest()]);
  return [...bytes].map((byte) => (byte - 127.5) / 1024);
}

const now = () => new Date().toISOString();
const seedOf = (text: string) => createHash('sha256').update(text).digest().readUInt32LE(0);
