/** llama-swap: a proxy that starts a server program for each model when it is asked for, and ends those that are in its way. */
import type { Provider, Tier } from '../../../shared/cortex.ts';
import { Refusal, refuse } from '../../../shared/errors.ts';
import { inert } from '../mcp/display.ts';
import { redactText } from '../store/redact.ts';
import type { Controller, ControllerParts, Listing } from './controller.ts';
import { pulseServer, wordsFor } from './openai.ts';
import { createServer, exhausted, isObject, modelName, objectsOf, outOfMemory } from './server.ts';
import { until } from './until.ts';

export function createLlamaSwap(provider: Provider, parts: ControllerParts): Controller {
  const { name } = provider;
  const server = createServer(provider, parts);

  async function running(signal: AbortSignal): Promise<{ model: string; state: unknown }[]> {
    const told = await server.object({ path: '/running', method: 'GET', signal });
    return objectsOf(told, 'running').flatMap(({ model, state }) => {
      const known = modelName(model);
      return known === null ? [] : [{ model: known, state }];
    });
  }

  async function list(signal: AbortSignal): Promise<Listing> {
    const [told, processes] = await Promise.all([server.object({ path: '/v1/models', method: 'GET', signal }), running(signal)]);
    const models = objectsOf(told, 'data').flatMap((item) => {
      const model = modelName(item.id);
      if (model === null) return [];
      const meta = isObject(item.meta) && isObject(item.meta.llamaswap) ? item.meta.llamaswap : {};
      const remote = typeof meta.peerID === 'string';
      return [{ model, capabilities: wordsFor(meta.capabilities), vram: null, context: null, remote }];
    });
    const resident: Listing['resident'] = [];
    for (const { model, state } of processes) {
      // What is stopping, or stopped, is nothing that can be used any more.
      if (state === 'ready' || state === 'starting')
        resident.push({ model, phase: state === 'ready' ? 'warm' : 'warming', vram: null, idleAt: null });
    }
    return { resident, models, usage: null };
  }

  async function load(tier: Tier, signal: AbortSignal): Promise<void> {
    const { model } = tier;
    const before = await log(signal);
    // Whatever is asked of the program behind it starts it first.
    const asked = { path: `/upstream/${pathOf(name, model)}/health`, method: 'GET', timeoutMs: provider.warmMs, signal } as const;
    const reply = await server.ask(asked);
    if (reply.status < 300) return;
    if (reply.status === 404 && /model not found|no router for model/i.test(reply.text)) throw unknown(model);
    // A server without /health is none the worse for it.
    if ((await running(signal)).some((one) => one.model === model && one.state === 'ready')) return;
    const line = outOfMemoryIn(addedTo(before, await log(signal)));
    if (line !== null) throw new Refusal(exhausted(name, line));
    throw server.failed(asked, reply);
  }

  /** What the programs wrote last: why one did not start stands nowhere else. null where it is not to be had. */
  async function log(signal: AbortSignal): Promise<string | null> {
    try {
      const reply = await server.ask({ path: '/logs', method: 'GET', timeoutMs: 2000, signal });
      return reply.status < 300 ? reply.text : null;
    } catch (caught) {
      if (signal.aborted || !(caught instanceof Refusal)) throw caught;
      return null;
    }
  }

  async function unload({ model }: Tier, signal: AbortSignal): Promise<void> {
    const asked = { path: `/api/models/unload/${pathOf(name, model)}`, method: 'POST', timeoutMs: provider.drainMs, signal } as const;
    const reply = await server.ask(asked);
    if (reply.status === 404) await unloadAll(model, signal);
    else if (reply.status >= 300) throw server.failed(asked, reply);
    const isGone = async () => !(await running(signal)).some((one) => one.model === model && one.state !== 'stopped');
    await until({ check: isGone, withinMs: provider.drainMs, failure: () => `${name} did not end ${model}`, signal });
  }

  /** Of a version that cannot end one model, which is as good as long as there is no other. */
  async function unloadAll(model: string, signal: AbortSignal): Promise<void> {
    const processes = await running(signal);
    if (!processes.some((one) => one.model === model)) return;
    if (processes.length > 1) {
      throw new Refusal(
        refuse('upstream_failed', `${name} can only end all its models at once, and ${processes.length} are running.`, {
          hint: 'Install a newer llama-swap, one that has POST /api/models/unload/<model>.',
        }),
      );
    }
    const asked = { path: '/unload', method: 'GET', timeoutMs: provider.drainMs, signal } as const;
    const reply = await server.ask(asked);
    if (reply.status >= 300) throw server.failed(asked, reply);
  }

  const unknown = (model: string) =>
    new Refusal(
      refuse('not_found', `${name} has no model ${model}.`, { hint: 'Correct the model of the tier, or the config of llama-swap.' }),
    );

  return {
    list,
    load,
    unload,
    pulse: (tier, signal) => pulseServer({ provider, server, tier, signal }),
    async restart(signal) {
      const processes = await running(signal);
      const ours = provider.tiers.filter((tier) => processes.some(({ model }) => model === tier.model));
      for (const tier of ours) await unload(tier, signal);
      return ours.length > 0;
    },
  };
}

/** A model's name in a path: its slashes stay, and none of its parts can lead elsewhere. */
function pathOf(provider: string, model: string): string {
  const segments = model.split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..'))
    throw new Refusal(refuse('not_found', `${provider} has no model ${inert(model, 100)}: that is no name of one.`));
  return segments.map(encodeURIComponent).join('/');
}

/** What a log that keeps only its end has gained. */
function addedTo(before: string | null, after: string | null): string {
  if (before === null || after === null || before === '') return after ?? '';
  const end = before.slice(-400);
  const at = after.lastIndexOf(end);
  return at < 0 ? after : after.slice(at + end.length);
}

function outOfMemoryIn(log: string): string | null {
  const line = log.split('\n').find(outOfMemory);
  return line === undefined ? null : inert(redactText(line), 300);
}
