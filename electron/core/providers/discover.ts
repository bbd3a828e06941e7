/** Model servers on the well-known ports of this machine, and how the registry would name them. */
import type { ControllerSpec, Discovered, Provider } from '../../../shared/cortex.ts';
import { Refusal } from '../../../shared/errors.ts';
import { reasonOf } from '../mcp/abort.ts';
import { inert } from '../mcp/display.ts';
import { yaml } from '../yaml.ts';
import type { ControllerParts, Discover, ListedModel, Listing } from './controller.ts';
import { createController } from './controllers.ts';
import { guessOf, sameModel, tagsOf } from './ollama.ts';
import { wordsFor } from './openai.ts';
import { createServer, isObject, modelName, type Reply, type Server } from './server.ts';

type Found = Omit<Discovered, 'known' | 'proposal'>;
type Listed = { resident: Listing['resident']; models: Pick<ListedModel, 'model' | 'capabilities' | 'vram'>[] | null };

/**
 * Ollama (and FACTS.md's second), llama.cpp and llama-swap, vLLM and SGLang, LM Studio, TabbyAPI and text-generation-webui, KoboldCpp, Jan,
 * GPT4All, Xinference, LocalAI beside others.
 */
export const wellKnownPorts = [11434, 11435, 8080, 8081, 9292, 8000, 8001, 30000, 1234, 5000, 5001, 1337, 4891, 8888, 9000, 9997];

/** For everything, so that a server that hangs holds up nobody. */
const LOOK_MS = 2000;

/**
 * Asks every port at once, with GET alone and no body, and takes what answers as a model server does; the rest is left out. Bounded to two
 * seconds. Rejects with Refusal only when `signal` was aborted.
 */
export const discover = async (
  parts: ControllerParts,
  signal: AbortSignal,
  ports: readonly number[] = wellKnownPorts,
): ReturnType<Discover> => {
  const looked = ports.map((port) => `http://127.0.0.1:${port}`);
  const within = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
  const found = await Promise.all(looked.map((endpoint) => look({ endpoint, parts, within })));
  if (signal.aborted) throw new Refusal(reasonOf(signal));
  return { found: found.filter((one) => one !== null), looked };
};

async function look(asked: { endpoint: string; parts: ControllerParts; within: AbortSignal }): Promise<Found | null> {
  const { endpoint, parts, within } = asked;
  const kind = await orNull(identify(createServer(providerAt(endpoint, { kind: 'openai' }), parts), within));
  if (kind === null) return null;
  const provider = providerAt(endpoint, controllerFor(kind));
  // What Ollama's models can do would have to be asked for with POST.
  const listing =
    kind === 'ollama' ? listOllama(createServer(provider, parts), parts.clock(), within) : createController(provider, parts).list(within);
  return { endpoint, kind, models: modelsOf((await orNull(listing)) ?? { resident: [], models: null }) };
}

async function listOllama(server: Server, now: number, signal: AbortSignal): Promise<Listed> {
  const { listed, resident } = await tagsOf(server, now, signal);
  const models = listed.map(({ model, item }) => ({ model, capabilities: wordsFor(item.capabilities), vram: guessOf(item) }));
  return { resident, models };
}

/** By what it answers, from what only one of them has to what all have. null: it is no model server. */
async function identify(server: Server, signal: AbortSignal): Promise<Found['kind'] | null> {
  const get = (path: string): Promise<Reply> => server.ask({ path, method: 'GET', signal });
  const object = async (path: string) => {
    const { status, json } = await get(path);
    return status < 300 && isObject(json) ? json : {};
  };
  // Before Ollama: llama-swap has /api/version, too.
  if (Array.isArray((await object('/running')).running)) return 'llama-swap';
  if (typeof (await object('/api/version')).version === 'string' && Array.isArray((await object('/api/tags')).models)) return 'ollama';
  const props = await object('/props');
  if (isObject(props.default_generation_settings) || props.role === 'router') return 'llama.cpp';
  const { object: type, data } = await object('/v1/models');
  if (type !== 'list' || !Array.isArray(data) || !data.every((item) => isObject(item) && modelName(item.id) !== null)) return null;
  const { status, text } = await get('/metrics');
  return status < 300 && /^vllm:/m.test(text) ? 'vllm' : 'openai';
}

/** What a stranger's server answers is no failure of ours. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (caught) {
    if (!(caught instanceof Refusal)) throw caught;
    return null;
  }
}

function modelsOf({ models, resident }: Listed): Found['models'] {
  const listed = (models ?? []).map(({ model, capabilities, vram }) => {
    const loaded = resident.find((one) => sameModel(one.model, model));
    return { model, capabilities, vram: loaded?.vram ?? vram, resident: loaded !== undefined };
  });
  const unlisted = resident.filter(({ model }) => !listed.some((one) => sameModel(one.model, model)));
  return [...listed, ...unlisted.map(({ model, vram }) => ({ model, capabilities: [], vram, resident: true }))];
}

const controllerFor = (kind: Found['kind']): Extract<ControllerSpec, { kind: 'ollama' | 'llama-swap' | 'openai' }> =>
  kind === 'ollama' || kind === 'llama-swap' ? { kind } : { kind: 'openai' };

/** Enough of a provider to ask its server. */
function providerAt(endpoint: string, controller: ControllerSpec): Provider {
  return {
    name: new URL(endpoint).host,
    description: null,
    controller,
    endpoint,
    egress: 'local',
    auth: null,
    capabilities: [],
    tiers: [{ name: 'unknown', model: 'unknown', vram: null, context: null, loadMs: 0 }],
    tools: [],
    groups: [],
    devices: [],
    priority: 50,
    pinned: false,
    concurrency: null,
    idleMs: null,
    drainMs: LOOK_MS,
    warmMs: LOOK_MS,
    stopMs: 0,
    settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
    origin: { kind: 'running', file: null, line: null },
    demo: false,
  };
}

const SHOWN_MODELS = 10;

/**
 * One provider in YAML, as it stands below `providers:`. A server that says what its models can do is asked for them, so none is named; of
 * one that does not, the models are its tiers, and what they can do is a guess that is marked as one.
 */
export function proposalOf({ endpoint, kind, models }: Found): string {
  const name = `${kind.replaceAll('.', '-')}-${new URL(endpoint).port || '80'}`;
  const base = { controller: controllerFor(kind).kind, endpoint, egress: 'local' };
  // Ollama does, when it is asked for each.
  const told = kind === 'ollama' || models.length === 0 || models.some(({ capabilities }) => capabilities.length > 0);
  const shown = models.slice(0, SHOWN_MODELS).map(({ model }) => inert(model, 60));
  const comment = `  # It has ${shown.join(', ')}${models.length > shown.length ? ` and ${models.length - shown.length} more` : ''}.\n`;
  if (told) return `${indented(name, base)}${shown.length > 0 ? comment : ''}`;
  const guess = /embed|bge-|e5-|gte-/i.test(models[0]!.model) ? 'embedding' : 'text-generation';
  const guessed = `  # It does not say what it can do: correct this where it is wrong.\n  capabilities: [${guess}]\n`;
  const tiers =
    models.length === 1
      ? { model: models[0]!.model }
      : { tiers: Object.fromEntries(models.slice(0, 50).map(({ model }) => [model, { model }])) };
  return `${indented(name, base)}${guessed}${indented(null, tiers)}`;
}

/** Below `name`, or what stands below one. */
function indented(name: string | null, value: Record<string, unknown>): string {
  const { stringify } = yaml();
  const lines = stringify(value, { lineWidth: 0 }).replace(/^(?=.)/gm, '  ');
  return name === null ? lines : `${name}:\n${lines}`;
}
