/** The hands of a grant: the routes that were granted beside its models, named as OpenAI's clients name functions. */
import type { Grant } from '../../shared/cortex.ts';
import { refuse, type WireError } from '../../shared/errors.ts';
import type { Crossing, Principal, RouteSummary } from '../../shared/model.ts';
import type { Core } from '../core/core.ts';

export interface ToolCall {
  grant: Grant;
  principal: Principal;
  /** As it was asked for: `OS.memory.search`, or `OS_memory_search`. */
  name: string;
  params: Record<string, unknown>;
  signal: AbortSignal;
}

/** OpenAI allows letters, digits, `_` and `-` in the name of a function. */
const functionName = (route: string) => route.replaceAll(/[^a-zA-Z0-9_-]/g, '_').slice(0, 64);

/** `{object: 'list', data}`: each as OpenAI's `tools` have it, with its route. Those whose model is not warm now are not there. */
export async function listTools(core: Core, { tools }: Grant): Promise<unknown> {
  const { result } = await core.dispatch({ route: 'OS.routes', door: 'core', principal: core.owner.principal });
  const routes = new Map((result as { routes: RouteSummary[] }).routes.map((route) => [route.name, route]));
  const data = tools.map((name) => ({
    type: 'function',
    route: name,
    function: {
      name: functionName(name),
      description: routes.get(name)?.description ?? name,
      parameters: routes.get(name)?.inputSchema ?? { type: 'object', additionalProperties: true },
    },
  }));
  return { object: 'list', data };
}

/** Calls one for the grant's caller, cut off when the grant ends. `forbidden`: it was not granted, or its model is not warm now. */
export async function callTool(core: Core, { grant, principal, name, params, signal }: ToolCall): Promise<Crossing | WireError> {
  const route = grant.tools.find((tool) => tool === name || functionName(tool) === name);
  if (route === undefined)
    return refuse('forbidden', `${name.slice(0, 200)} is no tool of the grant ${grant.id} now.`, {
      hint: grant.tools.length > 0 ? `Its tools are ${grant.tools.join(', ')}.` : 'It has none; tools go when their model does.',
    });
  const ending = new AbortController();
  const leave = core.cortex.under(grant.id, (reason) => ending.abort(reason));
  try {
    // What a tool keeps or finds is the caller's, whoever asks for them.
    const by = { ...principal, id: grant.caller };
    return await core.dispatch({ route, params, door: 'openai', principal: by }, AbortSignal.any([signal, ending.signal]));
  } finally {
    leave();
  }
}
