/** The one table of everything that can be called. A new registry means a new table; the swap is one assignment. */
import { needOf, type Operation, operations } from '../../shared/contract.ts';
import type { Registry, Route } from '../../shared/model.ts';
import type { Boundary, CompiledRoute, Standing } from './boundaries.ts';
import { danger, identity, schemaInput, serviceInput, underGrant } from './boundaries.ts';
import type { Resource } from './jobs/schedule.ts';
import { editDistance } from './nearest.ts';
import type { Operator } from './operator/operator.ts';
import { weigh } from './podium/order.ts';
import type { Runner } from './runners/runner.ts';

export interface Table {
  registry: Registry;
  routes: Map<string, CompiledRoute>;
  /** Lower-cased name to name: people do not type capitals. */
  names: Map<string, string>;
  operator: Operator;
}

export interface Compiler {
  limits: Boundary;
  sovereign: Boundary;
  operationRunner: Runner;
  runnerOf(spec: Route): Runner;
  dangers: Record<string, (params: Record<string, unknown>) => string | null>;
}

/** What is built in: in this process, with nothing of its own to call. */
function builtIn(name: string): Route {
  const dot = name.indexOf('.');
  return {
    name,
    org: name.slice(0, dot),
    service: name.slice(dot + 1),
    kind: 'operation',
    description: null,
    type: 'internal',
    endpoint: null,
    health: null,
    method: 'POST',
    auth: null,
    egress: 'local',
    timeoutMs: 60_000,
    maxResponseBytes: Number.MAX_SAFE_INTEGER,
    concurrency: null,
    lane: null,
    idempotent: false,
    retry: null,
    answer: 'response',
    grid: null,
    mcp: null,
    inputSchema: null,
    fallback: null,
    provider: null,
    model: null,
    need: null,
    nodes: [],
    examples: [],
    demo: false,
    line: null,
  };
}

export function operationRoute(name: string): Route {
  const { summary, timeoutMs = 60_000, effect }: Operation = operations[name as keyof typeof operations];
  return { ...builtIn(name), description: summary, timeoutMs, idempotent: effect === 'read' };
}

/** Any model that fits: what is needed comes with the call, else it is one that writes text. */
const modelRoute: Route = {
  ...builtIn('OS.model'),
  kind: 'model',
  description: 'A completion by whichever model has the capabilities that the call needs',
  timeoutMs: 600_000,
  maxResponseBytes: 64 * 1024 * 1024,
  need: needOf({ capabilities: ['text-generation'] }),
};

/**
 * A completion under a grant. It is on record like any other, and no job of its own: the grant has its lease, and what is asked under it is a part of
 * the task that the grant is for.
 */
const grantedRoute: Route = {
  ...modelRoute,
  name: 'OS.granted',
  service: 'granted',
  description: 'A completion by a model of a grant; the door for models asks for it',
};

export function compileTable(registry: Registry, operator: Operator, compiler: Compiler): Table {
  const routes = new Map<string, CompiledRoute>();
  const service = [identity, compiler.limits, serviceInput, compiler.sovereign];
  for (const spec of [modelRoute, ...registry.routes]) {
    routes.set(spec.name, {
      spec,
      chain: service,
      run: compiler.runnerOf(spec),
      needs: 'dispatch',
      ownToo: false,
      audited: true,
      tracked: true,
      standing: standingOf(spec),
    });
  }
  routes.set(grantedRoute.name, {
    spec: grantedRoute,
    chain: [identity, compiler.limits, serviceInput, underGrant],
    run: compiler.runnerOf(grantedRoute),
    needs: 'dispatch',
    ownToo: false,
    audited: true,
    tracked: false,
    standing: () => plain,
  });
  for (const operation of Object.values(operations)) {
    const write = operation.effect === 'write';
    const describe = compiler.dangers[operation.name];
    routes.set(operation.name, {
      spec: operationRoute(operation.name),
      // Cancelling and switching must work for somebody who has used up the limit, so built-in routes do not count.
      chain: [identity, schemaInput(operation.input), ...(describe ? [danger(describe)] : [])],
      run: compiler.operationRunner,
      needs: operation.needs,
      ownToo: (operation as Operation).ownToo === true,
      audited: write,
      tracked: false,
      standing: () => plain,
    });
  }
  const names = new Map<string, string>();
  for (const name of routes.keys()) names.set(name.toLowerCase(), name);
  return { registry, routes, names, operator };
}

const plain: Standing = { resources: [], subject: null, action: false };

function standingOf({ name, kind, lane, concurrency }: Route): CompiledRoute['standing'] {
  const own: Resource[] = concurrency === null ? [] : [{ key: `service:${name}`, kind: 'concurrency', name, capacity: concurrency }];
  const all: Resource[] = lane === null ? own : [{ key: `lane:${lane}`, kind: 'lane', name: lane, capacity: 1 }, ...own];
  const usual = all.length === 0 ? plain : { ...plain, resources: all };
  if (kind !== 'podium') return () => usual;
  return (asked) => {
    const { subject, action } = weigh(asked);
    return { resources: subject === null ? own : all, subject, action };
  };
}

export function findRoute(table: Table, name: string): CompiledRoute | null {
  return table.routes.get(name) ?? table.routes.get(table.names.get(name.toLowerCase()) ?? '') ?? null;
}

/** The three names nearest to a mistyped one: those that contain it, then by edit distance, then by how far they begin alike. */
export function nearestNames(table: Table, name: string): string[] {
  const wanted = name.toLowerCase().slice(0, 100);
  // Beyond a third of its letters no typing error is left; the bound also keeps this short among thousands of names.
  let most = Math.max(2, Math.floor(wanted.length / 3));
  let best: { name: string; distance: number; alike: number }[] = [];
  for (const [lower, full] of table.names) {
    const service = lower.slice(lower.indexOf('.') + 1);
    const contained = service === wanted || lower.includes(wanted);
    const distance = contained ? 0 : Math.min(editDistance(wanted, lower, most), editDistance(wanted, service, most - 1) + 1);
    const entry = { name: full, distance, alike: alike(wanted, lower) };
    if (best.length === 3 && nearerFirst(best[2]!, entry) <= 0) continue;
    best = [...best, entry].sort(nearerFirst).slice(0, 3);
    if (best.length === 3) most = Math.max(1, Math.min(most, best[2]!.distance));
  }
  return best.map((entry) => entry.name);
}

function nearerFirst(a: { name: string; distance: number; alike: number }, b: { name: string; distance: number; alike: number }): number {
  return a.distance - b.distance || b.alike - a.alike || (a.name < b.name ? -1 : 1);
}

/** How many letters two words have in common at their start. */
function alike(a: string, b: string): number {
  let count = 0;
  while (count < a.length && a[count] === b[count]) count++;
  return count;
}
