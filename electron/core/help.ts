/** What the sidecar does for a call before it crosses its boundaries: it breaks the operator's ties, and finds or repairs parameters. */
import type { Call } from '../../shared/contract.ts';
import type { RankedRoute, Step } from '../../shared/model.ts';
import type { CompiledRoute } from './boundaries.ts';
import type { Sidecar } from './cortex/sidecar.ts';
import { findRoute, type Table } from './table.ts';

/** What was decided about a call so far. */
export interface Undecided {
  route: CompiledRoute | null;
  abstained: boolean;
  ranked: RankedRoute[];
}

export interface Help {
  /** The route it chose, how sure the operator was of that one, and why in words; null: it chose none. */
  chosen: { route: string; confidence: number; why: string } | null;
  /** In place of the call's own; null: those stay. */
  params: Record<string, unknown> | null;
  step: Step;
}

/** Routes that it chooses among. */
const CHOICES = 3;

/** Whether it could help at all; most calls never wait for it. */
export function wantsHelp({ route, abstained, ranked }: Undecided, { text }: Call): boolean {
  if (abstained && text !== undefined && ranked.length > 0) return true;
  return route !== null && route.spec.inputSchema !== null;
}

/** Never rejects; within the sidecar's budget for each of the two. What it says is checked already. */
export async function help(
  call: Call,
  { undecided, table, sidecar, signal }: { undecided: Undecided; table: Table; sidecar: Sidecar; signal: AbortSignal },
): Promise<Help> {
  const began = performance.now();
  const { text, params = {} } = call;
  let { route } = undecided;
  let chosen: Help['chosen'] = null;
  if (undecided.abstained && text !== undefined) {
    const near = undecided.ranked.slice(0, CHOICES).flatMap((one) => findRoute(table, one.route) ?? []);
    const name = await sidecar.choose(
      text,
      near.map(({ spec }) => ({ route: spec.name, description: spec.description, examples: spec.examples })),
      signal,
    );
    const found = name === null ? null : findRoute(table, name);
    if (found !== null) {
      route = found;
      const { confidence } = undecided.ranked.find((one) => one.route === name)!;
      chosen = { route: found.spec.name, confidence, why: `the sidecar took ${found.spec.name} of ${near.length} that were near` };
    }
  }
  const schema = route?.spec.inputSchema ?? null;
  let made: Record<string, unknown> | null = null;
  if (schema !== null) {
    if (Object.keys(params).length > 0) made = await sidecar.repair(params, schema, { problems: [], signal });
    else if (text !== undefined) made = await sidecar.extract(text, schema, signal);
  }
  const changed = made !== null && JSON.stringify(made) !== JSON.stringify(params) ? made : null;
  const ms = Math.round((performance.now() - began) * 1000) / 1000;
  return {
    chosen,
    params: changed,
    step: { boundary: 'sidecar', ms, outcome: chosen !== null || changed !== null ? 'rewrote' : 'passed' },
  };
}
