/** An OpenAI-compatible server: what it lists, and the smallest call that shows that a model answers. llama.cpp and vLLM say more of themselves. */
import type { Provider, Tier, Usage } from '../../../shared/cortex.ts';
import { Refusal, refuse, toWire } from '../../../shared/errors.ts';
import type { Controller, ControllerParts, ListedModel, Listing } from './controller.ts';
import { countOf, createServer, isObject, modelName, objectsOf, type Server } from './server.ts';

/** Always warm: `load` and `unload` do nothing, and it cannot be restarted. */
export function createOpenai(provider: Provider, parts: ControllerParts): Controller {
  const server = createServer(provider, parts);
  return {
    list: (signal) => listServer(provider, server, signal),
    load: () => Promise.resolve(),
    unload: () => Promise.resolve(),
    pulse: (tier, signal) => pulseServer({ provider, server, tier, signal }),
    restart: () => Promise.resolve(false),
  };
}

/**
 * `GET /v1/models`, and of servers on this machine or in its network llama.cpp's `/props` and the counters of `/metrics` that llama.cpp and vLLM
 * give. Rejects with Refusal when `/v1/models` cannot be had.
 */
export async function listServer(provider: Provider, server: Server, signal: AbortSignal): Promise<Listing> {
  const asked = { path: '/v1/models', method: 'GET' as const, signal };
  const reply = await server.ask(asked);
  // llama.cpp, while it loads.
  if (reply.status === 503 && /loading model/i.test(reply.text)) {
    return { resident: firstOf(provider, 'warming'), models: null, usage: null };
  }
  if (reply.status >= 300 || !isObject(reply.json)) throw server.failed(asked, reply);
  const listed = objectsOf(reply.json, 'data');
  const near = provider.egress !== 'remote';
  const [props, usage] = near ? await Promise.all([propsOf(server, signal), usageOf(server, signal)]) : [null, null];
  // Beside `data` llama.cpp gives what each can do.
  const told = new Map(objectsOf(reply.json, 'models').map((model) => [model.model ?? model.name, wordsFor(model.capabilities)]));
  const models: ListedModel[] = [];
  const resident: Listing['resident'] = [];
  for (const item of listed) {
    const model = modelName(item.id);
    if (model === null) continue;
    const meta = isObject(item.meta) ? item.meta : {};
    const status = isObject(item.status) ? item.status.value : 'loaded';
    models.push({
      model,
      capabilities: [...new Set([...(told.get(model) ?? []), ...(props?.capabilities ?? [])])].sort(),
      vram: null,
      context: props?.context ?? countOf(item.max_model_len) ?? countOf(item.context_length) ?? countOf(meta.n_ctx_train),
      remote: false,
    });
    // llama.cpp in router mode lists what it could load, too.
    if (status === 'loaded' || status === 'loading')
      resident.push({ model, phase: status === 'loaded' ? 'warm' : 'warming', vram: null, idleAt: null });
  }
  return { resident, models, usage };
}

/**
 * Of a server that runs all the time its model is in memory: warm when it is ready, in the words of its tiers where it names its model in others
 * or not at all.
 */
export async function listServing(provider: Provider, server: Server, signal: AbortSignal): Promise<Listing> {
  const { tiers } = provider;
  if ((await unready(provider, server, signal)) !== null) return { resident: firstOf(provider, 'warming'), models: null, usage: null };
  try {
    const listing = await listServer(provider, server, signal);
    const ours = listing.resident.filter(({ model }) => tiers.some((tier) => tier.model === model));
    return { ...listing, resident: ours.length > 0 ? ours : firstOf(provider, 'warm') };
  } catch (caught) {
    if (signal.aborted || !(caught instanceof Refusal)) throw caught;
    return { resident: firstOf(provider, 'warm'), models: null, usage: null };
  }
}

/** What is in the memory of a server that does not name it. */
function firstOf({ tiers }: Provider, phase: 'warming' | 'warm'): Listing['resident'] {
  return tiers.slice(0, 1).map(({ model }) => ({ model, phase, vram: null, idleAt: null }));
}

/** llama.cpp: the context it was started with and what else than text it takes. null where there is no such thing. */
async function propsOf(server: Server, signal: AbortSignal): Promise<{ context: number | null; capabilities: string[] } | null> {
  const reply = await server.optional('/props', signal);
  if (reply === null || !isObject(reply.json)) return null;
  const { default_generation_settings: settings, modalities } = reply.json;
  if (!isObject(settings) && !isObject(modalities)) return null;
  const can = isObject(modalities) ? modalities : {};
  return {
    context: isObject(settings) ? countOf(settings.n_ctx) : null,
    capabilities: [...(can.vision === true ? ['vision-analysis'] : []), ...(can.audio === true ? ['stt'] : [])],
  };
}

/** Prometheus text of vLLM (`vllm:num_requests_running`...) or llama.cpp (`llamacpp:requests_processing`...). */
async function usageOf(server: Server, signal: AbortSignal): Promise<Usage | null> {
  const reply = await server.optional('/metrics', signal);
  if (reply === null) return null;
  const sums = new Map<string, number>();
  for (const [, name, value] of reply.text.matchAll(/^((?:vllm|llamacpp):\w+)(?:\{[^\n]{0,2000}?\})? (\S+)/gm)) {
    const number = Number(value);
    if (Number.isFinite(number)) sums.set(name!, (sums.get(name!) ?? 0) + number);
  }
  if (sums.size === 0) return null;
  const first = (...names: string[]) => names.map((name) => sums.get(name)).find((value) => value !== undefined) ?? null;
  return {
    running: first('vllm:num_requests_running', 'llamacpp:requests_processing'),
    waiting: first('vllm:num_requests_waiting', 'llamacpp:requests_deferred'),
    cacheShare: first('vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'llamacpp:kv_cache_usage_ratio'),
  };
}

// --- capabilities -----------------------------------------------------------------------------------------------------

/** What servers call a capability, in this project's words. Others are taken as they are. */
const words = new Map(
  Object.entries({
    completion: 'text-generation',
    chat: 'text-generation',
    multimodal: 'vision-analysis',
    vision: 'vision-analysis',
    image: 'vision-analysis',
    embeddings: 'embedding',
    tools: 'tool-use',
    thinking: 'reasoning',
    insert: 'infill',
    audio: 'stt',
  }),
);

/** Sorted, without repetition. */
export function wordsFor(told: unknown): string[] {
  if (!Array.isArray(told)) return [];
  const known = told.slice(0, 50).filter((word): word is string => typeof word === 'string' && /^[a-z0-9][a-z0-9-]{0,63}$/.test(word));
  return [...new Set(known.map((word) => words.get(word) ?? word))].sort();
}

// --- pulse ------------------------------------------------------------------------------------------------------------

const talks = new Set(['text-generation', 'vision-analysis', 'reasoning', 'tool-use', 'ocr', 'chat', 'code-generation', 'summarization']);

/**
 * One token of a model that talks, one embedding of one that only embeds, the server's own readiness of any other. Bounded by `warmMs`.
 * Rejects with Refusal.
 */
export async function pulseServer(pulse: { provider: Provider; server: Server; tier: Tier; signal: AbortSignal }): Promise<void> {
  const { provider, server, tier, signal } = pulse;
  const bounds = { method: 'POST', timeoutMs: provider.warmMs, signal } as const;
  const { model } = tier;
  if (provider.capabilities.some((capability) => talks.has(capability))) {
    const body = { model, messages: [{ role: 'user', content: 'ok' }], max_tokens: 1, stream: false };
    const answer = await server.object({ ...bounds, path: '/v1/chat/completions', body });
    if (objectsOf(answer, 'choices').length > 0) return;
    throw new Refusal(
      refuse('upstream_failed', `${provider.name} answered with no completion when it was asked for one token of ${model}.`),
    );
  }
  if (provider.capabilities.includes('embedding')) {
    const answer = await server.object({ ...bounds, path: '/v1/embeddings', body: { model, input: 'ok' } });
    if (objectsOf(answer, 'data').some(({ embedding }) => Array.isArray(embedding) || typeof embedding === 'string')) return;
    throw new Refusal(refuse('upstream_failed', `${provider.name} answered with no embedding when it was asked for one of ${model}.`));
  }
  await readyServer(provider, server, signal);
}

/** Resolves when `/health`, or where there is none `/v1/models`, answers with a 2xx. Rejects with Refusal. */
export async function readyServer(provider: Provider, server: Server, signal: AbortSignal): Promise<void> {
  for (const path of ['/health', '/v1/models']) {
    const asked = { path, method: 'GET', signal } as const;
    const reply = await server.ask(asked);
    if (reply.status < 300) return;
    if (path === '/v1/models' || ![404, 405, 501].includes(reply.status)) throw server.failed(asked, reply);
  }
  throw new Refusal(refuse('upstream_failed', `${provider.name} is not ready.`));
}

/** null when it is ready, else why not. Rejects when the signal was aborted. */
export async function unready(provider: Provider, server: Server, signal: AbortSignal): Promise<string | null> {
  try {
    await readyServer(provider, server, signal);
    return null;
  } catch (caught) {
    if (signal.aborted || !(caught instanceof Refusal)) throw caught;
    return toWire(caught).message;
  }
}
