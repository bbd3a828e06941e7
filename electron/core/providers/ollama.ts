/** Ollama (docs/api.md): it keeps what it loaded for as long as `keep_alive` says, and unloads at 0. */
import type { Figure, Provider, Tier } from '../../../shared/cortex.ts';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Controller, ControllerParts, ListedModel, Listing } from './controller.ts';
import { pulseServer, wordsFor } from './openai.ts';
import { countOf, createServer, fails, isObject, modelName, objectsOf, type Server } from './server.ts';
import { until } from './until.ts';

type Shown = Pick<ListedModel, 'capabilities' | 'context' | 'remote'>;

/** Models asked for at a time with /api/show. */
const SHOWN_AT_ONCE = 4;
const KEPT = 500;
/** `keep_alive: -1` is told as an end in three centuries. */
const FOREVER_MS = 50 * 365 * 24 * 3600_000;
/** A model's weights on disk, with the cache and buffers of a context of some thousand tokens: until a load has been measured. */
const MEMORY_PER_WEIGHT = 1.2;

export function createOllama(provider: Provider, parts: ControllerParts): Controller {
  const server = createServer(provider, parts);
  /** By name and digest: what a model can do changes only with it. */
  const known = new Map<string, Shown>();

  async function list(signal: AbortSignal): Promise<Listing> {
    const { listed, resident } = await tagsOf(server, parts.clock(), signal);
    const models: ListedModel[] = new Array(listed.length);
    let next = 0;
    const worker = async () => {
      for (let at = next++; at < listed.length; at = next++) {
        const { model, item } = listed[at]!;
        const shown = await show({ model, item, signal });
        const vram = shown.remote ? ({ bytes: 0, source: 'reported' } as const) : guessOf(item);
        models[at] = { model, vram, ...shown };
      }
    };
    await Promise.all(Array.from({ length: SHOWN_AT_ONCE }, worker));
    return { resident, models, usage: null };
  }

  /** What it cannot say of one model leaves the others as they are. */
  async function show(asked: { model: string; item: Record<string, unknown>; signal: AbortSignal }): Promise<Shown> {
    const { model, item, signal } = asked;
    const key = JSON.stringify([model, item.digest]);
    const found = known.get(key);
    if (found !== undefined) return found;
    let told: Record<string, unknown>;
    try {
      told = await server.object({ path: '/api/show', method: 'POST', body: { model }, signal });
    } catch (caught) {
      if (signal.aborted || !(caught instanceof Refusal)) throw caught;
      return { capabilities: wordsFor(item.capabilities), context: null, remote: isRemote(model, item) };
    }
    const info = isObject(told.model_info) ? told.model_info : {};
    const context = Object.entries(info).find(([name]) => name.endsWith('.context_length'))?.[1];
    const shown = { capabilities: wordsFor(told.capabilities), context: countOf(context), remote: isRemote(model, item, told) };
    if (known.size >= KEPT) known.clear();
    known.set(key, shown);
    return shown;
  }

  /** The server is here, but what it is asked for would be passed on: not even to load is such a model asked for under sovereign. */
  function allowed(model: string): void {
    const told = [...known].some(([key, { remote }]) => remote && sameModel((JSON.parse(key) as string[])[0]!, model));
    if (!told && !isRemote(model)) return;
    if (parts.egress.check(provider.endpoint, 'remote')?.code !== 'sovereign_refused') return;
    throw new Refusal(
      refuse('sovereign_refused', `Sovereign is on: ${model} runs on another machine, wherever ${provider.name} is, so nothing was sent.`, {
        hint: 'Turn sovereign off, or use a model that runs here.',
      }),
    );
  }

  async function load({ model }: Tier, signal: AbortSignal): Promise<void> {
    allowed(model);
    const bounds = { method: 'POST', timeoutMs: provider.warmMs, signal } as const;
    // Without `num_ctx`: a later request without it would load the model again.
    const asked = { ...bounds, path: '/api/generate', body: { model, keep_alive: -1, stream: false } };
    const reply = await server.ask(asked);
    if (reply.status < 300 && isObject(reply.json) && !fails(reply.json)) return;
    if (reply.status === 400 && /does not support generate/.test(reply.text)) {
      await server.object({ ...bounds, path: '/api/embed', body: { model, input: '', keep_alive: -1 } });
      return;
    }
    throw refusalOf(asked, reply);
  }

  function refusalOf(asked: { method: 'POST'; path: string; body: { model: string } }, reply: Awaited<ReturnType<typeof server.ask>>) {
    const { model } = asked.body;
    if (reply.status !== 404) return server.failed(asked, reply);
    return new Refusal(
      refuse('not_found', `${provider.name} has no model ${model}.`, {
        hint: `Run ollama pull ${model}, or correct the model of the tier.`,
      }),
    );
  }

  async function unload({ model }: Tier, signal: AbortSignal): Promise<void> {
    const asked = {
      path: '/api/generate',
      method: 'POST' as const,
      body: { model, keep_alive: 0, stream: false },
      timeoutMs: provider.drainMs,
      signal,
    };
    const reply = await server.ask(asked);
    if (reply.status >= 300 || !isObject(reply.json) || fails(reply.json)) throw refusalOf(asked, reply);
    // It answers at once and ends the program after, when nobody waits for it any more.
    const isGone = async () => {
      const running = await server.object({ path: '/api/ps', method: 'GET', signal });
      return !objectsOf(running, 'models').some((one) => sameModel(modelName(one.model) ?? modelName(one.name) ?? '', model));
    };
    await until({ check: isGone, withinMs: provider.drainMs, failure: () => `${provider.name} did not unload ${model}`, signal });
  }

  return {
    list,
    load,
    unload,
    async pulse(tier, signal) {
      allowed(tier.model);
      await pulseServer({ provider, server, tier, signal });
    },
    /** Ends the programs that run its models; the server itself is not ours to start. */
    async restart(signal) {
      const { resident } = await list(signal);
      const ours = provider.tiers.filter(({ model }) => resident.some((one) => sameModel(one.model, model)));
      for (const tier of ours) await unload(tier, signal);
      return ours.length > 0;
    },
  };
}

/** What GET alone tells: what it has, as it lists it, and what is in memory. `now` in milliseconds since the epoch. */
export async function tagsOf(
  server: Server,
  now: number,
  signal: AbortSignal,
): Promise<{ listed: { model: string; item: Record<string, unknown> }[]; resident: Listing['resident'] }> {
  const [tags, running] = await Promise.all([
    server.object({ path: '/api/tags', method: 'GET', signal }),
    server.object({ path: '/api/ps', method: 'GET', signal }),
  ]);
  const listed = objectsOf(tags, 'models').flatMap((item) => {
    const model = modelName(item.model) ?? modelName(item.name);
    return model === null ? [] : [{ model, item }];
  });
  const resident: Listing['resident'] = [];
  for (const item of objectsOf(running, 'models')) {
    const model = modelName(item.model) ?? modelName(item.name);
    if (model === null) continue;
    const bytes = countOf(item.size_vram);
    const ends = typeof item.expires_at === 'string' ? Date.parse(item.expires_at) : Number.NaN;
    const idleAt = ends > 0 && ends - now < FOREVER_MS ? ends : null;
    resident.push({ model, phase: 'warm', vram: bytes === null ? null : { bytes, source: 'reported' }, idleAt });
  }
  return { listed, resident };
}

/** Of what it takes in memory, by its size on disk. */
export function guessOf(item: Record<string, unknown>): Figure | null {
  const size = countOf(item.size);
  return size === null ? null : { bytes: Math.round(size * MEMORY_PER_WEIGHT), source: 'estimated' };
}

/** `llama3` is `llama3:latest`. */
export const fullName = (model: string): string => (/:[^/]*$/.test(model) ? model : `${model}:latest`);
export const sameModel = (one: string, other: string): boolean => fullName(one) === fullName(other);

/** Cloud models run on ollama.com: they say so, or are called so (`gpt-oss:120b-cloud`, `glm-4.6:cloud`). */
function isRemote(model: string, ...told: Record<string, unknown>[]): boolean {
  return /[:-]cloud$/.test(model) || told.some(({ remote_host: host, remote_model: name }) => Boolean(host) || Boolean(name));
}
