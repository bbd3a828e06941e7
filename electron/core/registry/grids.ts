/** Grids as the registry declares them: every step and reference is checked when it loads, so that no grid fails on them while it runs. */
import type { Grid, Route } from '../../../shared/model.ts';
import { type Hint, nearest, type Report } from './readers.ts';
import { readReferences } from './references.ts';
import type { ServiceShape } from './shape.ts';

/** A grid of the file, before it is known what its steps name. */
export interface Draft {
  route: Route;
  at: number;
  path: (string | number)[];
  steps: Exclude<ServiceShape['steps'], undefined>['value'];
  /** A service of the grid's own org, or ORG.name, as ORG.name. */
  qualify(name: string): string;
}

export interface Known {
  /** Whether a name is a route that a step may run. */
  isRoute(name: string): boolean;
  /** The route of the registry with this name; undefined for a tool of an MCP server. */
  route(name: string): Route | undefined;
  /** Some of them, to name the one that was probably meant. */
  routes(): string[];
  report: Report;
}

/** Grids inside grids, and the calls that one call of a grid comes to. */
const maxDepth = 8;
const maxCalls = 500;

/** Gives the route of each draft its steps and reports what is wrong with them. `report.path` is empty. */
export function compileGrids(drafts: Draft[], known: Known): void {
  for (const draft of drafts) draft.route.grid!.steps = compileSteps(draft, known);
  const { report } = known;
  const { sorted, circle } = sort(
    drafts.map((draft) => ({
      draft,
      name: draft.route.name,
      after: draft.route.grid!.steps.map(({ route }) => route),
    })),
  );
  for (const { draft, name, after } of circle) {
    under(report, draft.path, () =>
      report.error(
        draft.at,
        `${name} contains itself${after.includes(name) ? '' : ', by way of others'}.`,
        'Let its steps run something else.',
      ),
    );
  }
  const sizes = new Map<string, Size>();
  const held: Held[] = [];
  for (const { draft, name } of sorted) {
    const inside = draft.route.grid!.steps.map(
      ({ route }) => sizes.get(route) ?? { depth: 0, calls: 1, lanes: lanesOf(known.route(route)) },
    );
    const depth = 1 + Math.max(0, ...inside.map((size) => size.depth));
    const calls = 1 + inside.reduce((sum, size) => sum + size.calls, 0);
    const fault =
      depth > maxDepth
        ? { message: `${depth} grids are inside each other here; ${maxDepth} are the most.`, hint: 'Flatten some of them.' }
        : calls > maxCalls
          ? { message: `One call of this comes to ${calls} calls; ${maxCalls} are the most.`, hint: 'Remove some steps.' }
          : null;
    if (fault) under(report, draft.path, () => report.error(draft.at, fault.message, fault.hint));
    // Beyond the bounds there is no end to them.
    const lanes = new Set(fault ? [] : inside.flatMap((size) => [...size.lanes]));
    sizes.set(name, { depth, calls, lanes: new Set([...lanes, ...lanesOf(draft.route)]) });
    if (draft.route.lane !== null) held.push({ draft, name: draft.route.lane, after: [...lanes] });
  }
  for (const { draft, name } of sort(merged(held)).circle) {
    under(report, draft.path, () =>
      report.error(
        draft.at,
        `${draft.route.name} holds the lane ${name} while its steps wait for a lane that may be held by what waits for this one.`,
        'Take the lane from the grid or from its steps.',
      ),
    );
  }
}

interface Size {
  depth: number;
  calls: number;
  /** Of itself and of everything in it. */
  lanes: ReadonlySet<string>;
}

/** A lane that a grid holds, and the lanes its steps wait for meanwhile. */
interface Held {
  draft: Draft;
  name: string;
  after: string[];
}

const lanesOf = (route: Route | undefined): Set<string> => new Set(route?.lane == null ? [] : [route.lane]);

/** One for each lane: grids in the same lane wait for what any of them waits for. */
function merged(held: Held[]): Held[] {
  const lanes = new Map<string, Held>();
  for (const each of held) {
    const known = lanes.get(each.name);
    lanes.set(each.name, known ? { ...known, after: [...known.after, ...each.after] } : each);
  }
  return [...lanes.values()];
}

function compileSteps({ path, steps, qualify }: Draft, { isRoute, routes, report }: Known): Grid['steps'] {
  const names = steps.map(({ name }) => name);
  const compiled = steps.flatMap(({ name, at, value }) => {
    if (!value.route) return [];
    const error = (key: string, place: number, message: string, hint: Hint) =>
      under(report, [...path, 'steps', name, key], () => report.error(place, message, hint));
    const route = qualify(value.route.value);
    if (!isRoute(route)) {
      error('route', value.route.at, `There is no service ${route} to run.`, () => {
        const meant = nearest(route, routes());
        return meant ? `Did you mean ${meant}?` : 'Name a service of the registry.';
      });
    }
    const after = new Set<string>();
    const wait = (step: string, key: string, place: number) => {
      after.add(step);
      if (names.includes(step)) return;
      const meant = nearest(step, names);
      error(key, place, `There is no step ${step}.`, meant ? `Did you mean ${meant}?` : `The steps are ${names.join(', ')}.`);
    };
    for (const step of value.after ?? []) wait(step.value, 'after', step.at);
    for (const text of value.params?.texts ?? []) {
      for (const piece of readReferences(text.value)) {
        if (typeof piece === 'string') continue;
        if ('fault' in piece) under(report, text.path, () => report.error(text.at, piece.fault, piece.hint));
        else if (piece.step !== null) wait(piece.step, 'params', text.at);
      }
    }
    return [{ at, step: { name, route, after: [...after], params: (value.params?.value ?? {}) as Record<string, unknown> } }];
  });
  const { circle } = sort(compiled.map(({ at, step }) => ({ at, ...step })));
  if (circle[0]) {
    const { name, at } = circle[0];
    under(report, [...path, 'steps', name], () =>
      report.error(
        at,
        circle.length === 1
          ? `The step ${name} waits for itself.`
          : `These steps wait for each other: ${circle.map((step) => step.name).join(', ')}.`,
        'Let one of them wait for none of the others.',
      ),
    );
  }
  return compiled.map(({ step }) => step);
}

/**
 * What comes back to itself is in `circle`, in the order given; the rest is in `sorted`, each after what it names. Tarjan's strongly connected
 * components (1972), in time linear in the names, since whoever types a registry has it checked at every key.
 */
function sort<Node extends { name: string; after: string[] }>(nodes: Node[]): { sorted: Node[]; circle: Node[] } {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  /** When each was entered, and the earliest entered of those still open that it leads to. */
  const entered = new Map<string, number>();
  const earliest = new Map<string, number>();
  const open: Node[] = [];
  const isOpen = new Set<string>();
  const sorted: Node[] = [];
  const circular = new Set<string>();
  const trail: { node: Node; next: number }[] = [];
  const enter = (node: Node) => {
    earliest.set(node.name, entered.size);
    entered.set(node.name, entered.size);
    open.push(node);
    isOpen.add(node.name);
    trail.push({ node, next: 0 });
  };
  const reach = (name: string, place: number) => earliest.set(name, Math.min(earliest.get(name)!, place));
  const close = ({ name, after }: Node) => {
    const component = open.splice(open.findLastIndex((node) => node.name === name));
    for (const member of component) isOpen.delete(member.name);
    if (component.length === 1 && !after.includes(name)) sorted.push(...component);
    else for (const member of component) circular.add(member.name);
  };
  for (const node of nodes) {
    if (!entered.has(node.name)) enter(node);
    for (let top = trail.at(-1); top !== undefined; top = trail.at(-1)) {
      const name = top.node.after[top.next++];
      const next = name === undefined ? undefined : byName.get(name);
      if (name === undefined) {
        trail.pop();
        const place = earliest.get(top.node.name)!;
        if (place === entered.get(top.node.name)) close(top.node);
        const before = trail.at(-1);
        if (before && isOpen.has(top.node.name)) reach(before.node.name, place);
      } else if (next && !entered.has(name)) enter(next);
      else if (isOpen.has(name)) reach(top.node.name, entered.get(name)!);
    }
  }
  return { sorted, circle: nodes.filter(({ name }) => circular.has(name)) };
}

function under(report: Report, path: (string | number)[], act: () => void): void {
  report.path.push(...path);
  act();
  report.path.length -= path.length;
}
