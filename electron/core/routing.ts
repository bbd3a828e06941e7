/** What serves now: the registry with its operator as one table. A new one is made aside and swapped in. */
import type { Org, Registry, RegistryState, Route } from '../../shared/model.ts';
import type { Models } from './operator/models.ts';
import { createOperator, type Operator } from './operator/operator.ts';
import { type Compiler, compileTable, type Table } from './table.ts';

export interface RoutingParts {
  registry: { readonly registry: Registry; readonly state: RegistryState };
  models: Models;
  /** Routes that are not in the registry's file: the tools of MCP servers. The same array while they are the same. */
  tools(): Route[];
  compiler: Compiler;
  /** The table was swapped; `first` for the one before which there was none. */
  onSwap(table: Table, first: boolean): void;
}

export interface Routing extends AsyncDisposable {
  /** Null until the first one is learned. */
  readonly table: Table | null;
  /** The registry and tools as they are now, or newer ones, serve once this resolves. One is learned at a time, however many are asked for. */
  refresh(): Promise<void>;
}

/** `first`: the operator of the registry as it was found, which began to learn before anything else was there. */
export function createRouting(parts: RoutingParts, first: { registry: Registry; operator: Promise<Operator> }): Routing {
  const { registry, models, tools, compiler, onSwap } = parts;
  let table: Table | null = null;
  let early: Promise<Operator> | null = first.operator;
  let learning: Promise<void> = Promise.resolve();
  let merged: { from: Registry; tools: Route[]; registry: Registry } | null = null;

  /** The registry with the tools of its MCP servers; the same object for the same two. */
  function withTools(from: Registry, added: Route[]): Registry {
    if (merged?.from === from && merged.tools === added) return merged.registry;
    const orgs = from.orgs.some(({ code }) => code === MCP.code) ? from.orgs : [...from.orgs, MCP];
    const made = added.length === 0 ? from : { ...from, orgs, routes: [...from.routes, ...added] };
    merged = { from, tools: added, registry: made };
    return made;
  }

  async function swap(): Promise<void> {
    const next = withTools(registry.registry, tools());
    if (table?.registry === next) return;
    const operator = await (early !== null && next === first.registry ? early : learnOperator(next, models));
    if (early !== null && next !== first.registry)
      void early.then(
        (unused) => unused[Symbol.dispose](),
        () => {},
      );
    early = null;
    const old = table;
    table = compileTable(next, operator, compiler);
    old?.operator[Symbol.dispose]();
    onSwap(table, old === null);
  }

  return {
    get table() {
      return table;
    },
    refresh() {
      learning = learning.catch(() => {}).then(swap);
      return learning;
    },
    async [Symbol.asyncDispose]() {
      await learning.catch(() => {});
      (await early?.catch(() => null))?.[Symbol.dispose]();
      table?.operator[Symbol.dispose]();
    },
  };
}

/** An operator for this registry. */
export function learnOperator({ routes, rules }: Registry, models: Models): Promise<Operator> {
  const ruled = new Map<string, Registry['rules']>();
  for (const rule of rules) {
    const list = ruled.get(rule.route);
    if (list) list.push(rule);
    else ruled.set(rule.route, [rule]);
  }
  return createOperator(
    routes.map(({ name, examples }) => ({ name, examples, rules: ruled.get(name) ?? [] })),
    { models },
  );
}

/** The org of the tools of MCP servers. */
const MCP: Org = {
  code: 'MCP',
  name: 'MCP servers',
  status: 'active',
  description: 'Tools of the MCP servers that the registry names',
  primaryNode: null,
  repos: [],
  defaultService: null,
};
