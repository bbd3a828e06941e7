/**
 * Stand-ins for model servers, which cannot be had where tests run. Each answers what is documented of the API it is named after, and nothing
 * else; and what controllers are made of in tests.
 */

import type { ServerResponse } from 'node:http';
import type { Provider, Tier } from '../../../shared/cortex.ts';
import { Refusal } from '../../../shared/errors.ts';
import { createEgress } from '../egress.ts';
import type { ControllerParts } from './controller.ts';
import { failsLoad, type Handler, list, openaiRoutes, type Routes, type StandIn, send, start } from './standin/testing.ts';

// --- Ollama -----------------------------------------------------------------------------------------------------------

export interface OllamaModel {
  name: string;
  size: number;
  vram: number;
  capabilities: string[];
  context: number;
  remote_host?: string;
}

/** Ollama's docs/api.md. */
export function startOllama(models: OllamaModel[], options: { port?: number } = {}): Promise<StandIn> {
  const kept = new Map<string, number | string>();
  const full = (name: unknown) => (typeof name !== 'string' ? '' : name.includes(':') ? name : `${name}:latest`);
  const find = (name: unknown) => models.find((model) => full(model.name) === full(name));
  const missing = (response: ServerResponse, name: unknown) => send(response, 404, { error: `model '${String(name)}' not found` });
  const entry = ({ name, size, remote_host }: OllamaModel) => ({
    name,
    model: name,
    modified_at: '2026-01-01T00:00:00Z',
    size,
    digest: `${name}-1`,
    details: { format: 'gguf', family: 'llama', parameter_size: '8B', quantization_level: 'Q4_0' },
    ...(remote_host === undefined ? {} : { remote_host, remote_model: name }),
  });
  const embeds = (model: OllamaModel) => !model.capabilities.includes('completion');
  const take = (model: OllamaModel, keep: unknown, self: StandIn) => {
    self.loaded.add(model.name);
    kept.set(model.name, (keep as number | string | undefined) ?? kept.get(model.name) ?? '5m');
  };
  const run: Handler = ({ path, body }, response, self) => {
    const model = find(body.model);
    if (model === undefined) return missing(response, body.model);
    if (body.stream !== false && path === '/api/generate') return send(response, 400, { error: 'this stand-in does not stream' });
    const done = { model: model.name, created_at: '2026-01-01T00:00:00Z', response: '', done: true };
    if (path === '/api/generate' && body.keep_alive === 0 && !body.prompt) {
      // It answers before the program has ended.
      if (!self.keeps) setImmediate(() => self.loaded.delete(model.name));
      return send(response, 200, { ...done, done_reason: 'unload' });
    }
    if (path === '/api/generate' && embeds(model)) return send(response, 400, { error: `"${model.name}" does not support generate` });
    if (path === '/api/embed' && !embeds(model)) return send(response, 400, { error: 'this model does not support embeddings' });
    if (failsLoad(self, response)) return;
    take(model, body.keep_alive, self);
    send(response, 200, path === '/api/embed' ? { model: model.name, embeddings: [] } : { ...done, done_reason: 'load' });
  };
  return start(
    {
      'GET /api/version': (_, response) => send(response, 200, { version: '0.12.6' }),
      'GET /api/tags': (_, response) => send(response, 200, { models: models.map(entry) }),
      'GET /api/ps': (_, response, self) =>
        send(response, 200, {
          models: models
            .filter(({ name }) => self.loaded.has(name))
            .map((model) => ({
              ...entry(model),
              size_vram: model.vram,
              expires_at: kept.get(model.name) === -1 ? '2318-06-04T14:38:31.83753-07:00' : '2030-06-04T14:38:31.83753-07:00',
            })),
        }),
      'POST /api/show': ({ body }, response) => {
        const model = find(body.model);
        if (model === undefined) return missing(response, body.model);
        send(response, 200, {
          details: entry(model).details,
          model_info: { 'general.architecture': 'llama', 'llama.context_length': model.context },
          capabilities: model.capabilities,
          ...(model.remote_host === undefined ? {} : { remote_host: model.remote_host }),
        });
      },
      'POST /api/generate': run,
      'POST /api/embed': run,
      'GET /v1/models': (_, response) => send(response, 200, list(models.map(({ name }) => ({ id: name })))),
      ...openaiRoutes(
        () => models.map(({ name }) => name),
        (name, response, self) => {
          if (failsLoad(self, response)) return true;
          take(find(name)!, undefined, self);
          return false;
        },
      ),
    },
    options.port,
  );
}

// --- llama-swap -------------------------------------------------------------------------------------------------------

/** llama-swap's README and its own routes; `old`: as before it could end one model alone. */
export function startLlamaSwap(
  models: { id: string; peerID?: string }[],
  options: { old?: boolean; noHealth?: boolean } = {},
): Promise<StandIn> {
  let log = 'llama-swap listening\nCUDA error: out of memory, of another day\n';
  const states = new Map<string, string>();
  const isLocal = (id: string) => models.some((model) => model.id === id && model.peerID === undefined);
  const load = (id: string, response: ServerResponse, self: StandIn): boolean => {
    if (self.fault === 'out-of-memory') {
      self.fault = null;
      log += 'ggml_backend_cuda_buffer_type_alloc_buffer: allocating 9000.00 MiB on device 0: cudaMalloc failed: out of memory\n';
      send(response, 502, 'unable to start process: upstream command exited prematurely but successfully');
      return true;
    }
    if (failsLoad(self, response)) return true;
    states.set(id, 'ready');
    self.loaded.add(id);
    return false;
  };
  const stop = (id: string, self: StandIn) => {
    states.set(id, 'stopping');
    self.loaded.delete(id);
    setImmediate(() => states.delete(id));
  };
  const routes: Routes = {
    'GET /health': (_, response) => send(response, 200, 'OK'),
    'GET /api/version': (_, response) => send(response, 200, { version: '216', commit: 'abc', build_date: '2026-01-01' }),
    'GET /v1/models': (_, response) =>
      send(response, 200, list(models.map(({ id, peerID }) => ({ id, ...(peerID ? { meta: { llamaswap: { peerID } } } : {}) })))),
    'GET /running': (_, response) =>
      send(response, 200, { running: [...states].map(([model, state]) => ({ model, state, cmd: 'llama-server', proxy: '', ttl: 0 })) }),
    'GET /logs': (_, response) => send(response, 200, log),
    'GET /unload': (_, response, self) => {
      for (const id of states.keys()) stop(id, self);
      send(response, 200, 'OK');
    },
    'GET /upstream/*': ({ path }, response, self) => {
      const parts = decodeURIComponent(path.slice('/upstream/'.length)).split('/');
      const at = parts.findIndex((_, index) => isLocal(parts.slice(0, index + 1).join('/')));
      if (at < 0) return send(response, 404, 'model not found');
      if (load(parts.slice(0, at + 1).join('/'), response, self)) return;
      const rest = `/${parts.slice(at + 1).join('/')}`;
      if (rest !== '/health' || options.noHealth === true) return send(response, 404, 'File Not Found');
      send(response, 200, { status: 'ok' });
    },
    ...openaiRoutes(() => models.map(({ id }) => id), load),
  };
  if (options.old !== true) {
    routes['POST /api/models/unload/*'] = ({ path }, response, self) => {
      const id = decodeURIComponent(path.slice('/api/models/unload/'.length));
      if (!isLocal(id)) return send(response, 404, { error: 'Model not found' });
      if (states.has(id)) stop(id, self);
      send(response, 200, 'OK');
    };
  }
  return start(routes);
}

// --- llama.cpp and vLLM -----------------------------------------------------------------------------------------------

/** llama.cpp's tools/server/README.md, with one model; `loading`: as long as it loads. */
export function startLlamaCpp(options: { model: string; context: number; vision?: boolean }): Promise<StandIn & { loading: boolean }> {
  const { model, context, vision = false } = options;
  const whenLoaded =
    (handler: Handler): Handler =>
    (request, response, self) =>
      (self as StandIn & { loading?: boolean }).loading === true
        ? send(response, 503, { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } })
        : handler(request, response, self);
  const routes: Routes = {
    'GET /health': (_, response) => send(response, 200, { status: 'ok' }),
    'GET /props': (_, response) =>
      send(response, 200, {
        default_generation_settings: { id: 0, n_ctx: context, params: {} },
        total_slots: 4,
        model_path: `/models/${model}`,
        modalities: { vision, audio: false },
        build_info: 'b8681',
      }),
    'GET /v1/models': (_, response) =>
      send(
        response,
        200,
        list([{ id: model, owned_by: 'llamacpp', meta: { n_ctx_train: 131_072, n_params: 8e9, size: 5e9 } }], {
          models: [{ name: model, model, capabilities: ['completion', ...(vision ? ['multimodal'] : [])] }],
        }),
      ),
    'GET /metrics': (_, response) =>
      send(response, 501, { error: { code: 501, message: 'This server does not support metrics endpoint.' } }),
    ...openaiRoutes(
      () => [model],
      () => false,
    ),
  };
  for (const [key, handler] of Object.entries(routes)) routes[key] = whenLoaded(handler);
  return start(routes).then((server) => Object.assign(server, { loading: false }));
}

/** vLLM's OpenAI-compatible server. */
export function startVllm(model: string): Promise<StandIn> {
  const metrics = [
    '# HELP vllm:num_requests_running Number of requests in model execution batches.',
    '# TYPE vllm:num_requests_running gauge',
    `vllm:num_requests_running{engine="0",model_name="${model}"} 3.0`,
    `vllm:num_requests_waiting{engine="0",model_name="${model}"} 1.0`,
    `vllm:kv_cache_usage_perc{engine="0",model_name="${model}"} 0.25`,
    'process_resident_memory_bytes 1e9',
  ].join('\n');
  return start({
    'GET /health': (_, response) => void response.writeHead(200).end(),
    'GET /version': (_, response) => send(response, 200, { version: '0.11.0' }),
    'GET /metrics': (_, response) => send(response, 200, `${metrics}\n`),
    'GET /v1/models': (_, response) => send(response, 200, list([{ id: model, owned_by: 'vllm', max_model_len: 32_768 }])),
    ...openaiRoutes(
      () => [model],
      () => false,
    ),
  });
}

/** A server that is none for models. */
export const startStranger = () =>
  start({
    'GET /': (_, response) => send(response, 200, '<html>a printer</html>'),
    'GET /version': (_, response) => send(response, 200, { version: '3.1' }),
    'GET /v1/models': (_, response) => send(response, 200, { models: ['T-800'] }),
    'GET /metrics': (_, response) => send(response, 200, 'go_goroutines 12\n'),
  });

// --- for the tests ----------------------------------------------------------------------------------------------------

export const tierOf = (model: string, more: Partial<Tier> = {}): Tier => ({
  name: model,
  model,
  vram: null,
  context: null,
  loadMs: 1000,
  ...more,
});

export function providerOf(endpoint: string, more: Partial<Provider> & { models: string[] }): Provider {
  const { models, ...rest } = more;
  return {
    name: 'box',
    description: null,
    controller: { kind: 'openai' },
    endpoint,
    egress: 'local',
    auth: null,
    capabilities: ['text-generation'],
    tiers: models.map((model) => tierOf(model)),
    tools: [],
    groups: [],
    devices: [],
    priority: 50,
    pinned: false,
    concurrency: null,
    idleMs: null,
    drainMs: 5000,
    warmMs: 5000,
    stopMs: 1000,
    settings: { temperature: 0.7, top_p: 0.9, max_tokens: 4096 },
    origin: { kind: 'registry', file: null, line: null },
    demo: false,
    ...rest,
  };
}

/** Parts with an egress of their own, which goes with them. */
export function openParts(more: Partial<ControllerParts> & { sovereign?(): boolean } = {}): ControllerParts & AsyncDisposable {
  const egress = createEgress({ sovereign: more.sovereign ?? (() => false) });
  return {
    egress,
    secret: () => null,
    clock: () => Date.parse('2026-11-21T12:00:00Z'),
    ...more,
    [Symbol.asyncDispose]: () => egress[Symbol.asyncDispose](),
  };
}

/** The code and message of what it is refused with; throws where it is not. */
export async function refusal(work: Promise<unknown>): Promise<[string, string]> {
  const caught = await work.then(
    () => {
      throw new Error('it was not refused');
    },
    (reason: unknown) => reason,
  );
  if (!(caught instanceof Refusal)) throw caught;
  return [caught.wire.code, caught.wire.message];
}
