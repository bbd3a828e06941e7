/** Which models may be named at the model door, what each name needs of the cortex, and the lists that clients ask for. */
import type { NeedAsk } from '../../shared/contract.ts';
import type { CortexState, ModelState } from '../../shared/cortex.ts';
import { refuse, type WireError } from '../../shared/errors.ts';

/** How old the list may be that names are looked up in. */
const FRESH_MS = 250;

interface Known {
  /** Names of models and providers. */
  models: ReadonlySet<string>;
  tiers: ReadonlySet<string>;
  list: ModelState[];
}

export interface ModelNames {
  /** What `model` asks of the cortex. Codes: not_found, input_invalid. */
  need(model: string, path: string): NeedAsk | WireError;
  /** Every model that may be named, in no grant. */
  all(): ModelState[];
}

/** Asking how everything stands costs more than a call may, so the names are looked at now and then. */
export function createModelNames(state: () => CortexState): ModelNames {
  let known: Known | null = null;
  let at = 0;

  function look(): Known {
    const now = performance.now();
    if (known !== null && now - at < FRESH_MS) return known;
    const list = state().models;
    at = now;
    known = {
      models: new Set(list.flatMap(({ model, provider }) => [model, provider])),
      tiers: new Set(list.map(({ tier }) => tier)),
      list,
    };
    return known;
  }

  return {
    all: () => look().list,
    need(model, path) {
      if (model.startsWith('cap:')) return capabilitiesOf(model);
      const { models, tiers } = look();
      if (models.has(model)) return { model };
      if (tiers.has(model)) return { tier: model, capabilities: [usualOf(path)] };
      // As Ollama has it.
      if (models.has(`${model}:latest`)) return { model: `${model}:latest` };
      return refuse('not_found', `There is no model ${JSON.stringify(model)}.`, {
        hint: 'GET /v1/models lists them all.',
        issues: [{ path: 'model', message: 'unknown' }],
      });
    },
  };
}

function capabilitiesOf(model: string): NeedAsk | WireError {
  const capabilities = model.slice(4).split('+');
  if (capabilities.length <= 16 && capabilities.every((name) => /^[a-z0-9][a-z0-9_-]{0,59}$/.test(name))) return { capabilities };
  return refuse('input_invalid', `${JSON.stringify(model)} is no set of capabilities.`, {
    hint: 'Write cap:text-generation+vision-analysis, for example.',
    issues: [{ path: 'model', message: 'no set of capabilities' }],
  });
}

const usualOf = (path: string) => (path.startsWith('/embed') ? 'embedding' : 'text-generation');

// --- lists -------------------------------------------------------------------------------------------------------------------

export type Nameable = Pick<ModelState, 'model' | 'provider' | 'tier' | 'capabilities'>;

export interface OpenAiModel {
  id: string;
  object: 'model';
  created: number;
  owned_by: string;
}

/** Everything that `model` may be: models, providers, tiers, and single capabilities, each once and in this order. */
export function openAiModels(models: readonly Nameable[]): OpenAiModel[] {
  const owners = new Map<string, string>();
  const add = (id: string, owner: string) => {
    if (!owners.has(id)) owners.set(id, owner);
  };
  for (const { model, provider } of models) add(model, provider);
  for (const { provider } of models) add(provider, provider);
  for (const { tier } of models) add(tier, 'dispatcher');
  for (const { capabilities } of models) for (const capability of capabilities) add(`cap:${capability}`, 'dispatcher');
  return Array.from(owners, ([id, owner]) => ({ id, object: 'model', created: 0, owned_by: owner }));
}

const ollamaWords: Record<string, string> = { 'text-generation': 'completion', 'vision-analysis': 'vision', embedding: 'embedding' };

/** A model as /api/tags has it; what only Ollama's own disk knows is empty. */
export function ollamaModel({ model, tier }: Nameable): Record<string, unknown> {
  const details = { parent_model: '', format: '', family: '', families: [], parameter_size: tier, quantization_level: '' };
  return { name: model, model, modified_at: new Date(0).toISOString(), size: 0, digest: '', details };
}

export function ollamaShown(found: Nameable): Record<string, unknown> {
  const { details } = ollamaModel(found);
  const capabilities = found.capabilities.map((name) => ollamaWords[name] ?? name);
  return { license: '', modelfile: '', parameters: '', template: '', details, model_info: {}, capabilities };
}

export function ollamaResident(found: ModelState): Record<string, unknown> {
  const size = found.vram?.bytes ?? 0;
  const until = found.idleAt === null ? null : new Date(found.idleAt).toISOString();
  return { ...ollamaModel(found), size, size_vram: size, expires_at: until };
}
