/** Which route a call means: the one it names, else the one that the operator is sure of, else the fallback. Pure. */
import { refuse, type WireError } from '../../shared/errors.ts';
import type { RankedRoute } from '../../shared/model.ts';
import type { CompiledRoute } from './boundaries.ts';
import { findRoute, nearestNames, type Table } from './table.ts';

export interface Decision {
  /** null: `error` says why. */
  route: CompiledRoute | null;
  /** 0..1; null where there is no route. */
  confidence: number | null;
  why: string;
  error: WireError | null;
  /** The operator was not sure enough. */
  abstained: boolean;
  usedFallback: boolean;
  /** What the operator had to choose from; empty where it was sure, or was not asked. */
  ranked: RankedRoute[];
}

/** `ask`: rather a question to the person than the fallback. Errors: route_unknown, route_uncertain. */
export function decide(table: Table, { route: name, text, ask }: { route?: string; text?: string; ask?: boolean }): Decision {
  if (name !== undefined) {
    const route = findRoute(table, name);
    if (route) return chose(route, 1, `named ${route.spec.name}`);
    const choices = nearestNames(table, name).map((near) => ({ route: near, confidence: null, reason: 'similar name' }));
    return missing(
      refuse('route_unknown', `There is no route ${name.slice(0, 200)}.`, {
        hint: `Nearest: ${choices.map((near) => near.route).join(', ')}.`,
        choices,
      }),
    );
  }
  const named = table.routes.get(text!);
  if (named) return chose(named, 1, `named ${named.spec.name}`);
  const { best, abstained } = table.operator.choose(text!);
  const target = best && !abstained ? table.routes.get(best.route) : undefined;
  if (target) return chose(target, best!.confidence, best!.reason);
  const { ranked } = table.operator.classify(text!);
  const choices = ranked.slice(0, 3);
  const fallback = ask ? null : fallbackOf(table);
  if (fallback)
    return {
      ...chose(fallback, 0, `no route is sure enough, so the fallback ${fallback.spec.name}`),
      abstained: true,
      usedFallback: true,
      ranked,
    };
  const error = refuse('route_uncertain', 'It is not clear which route is meant.', {
    hint:
      choices.length > 0
        ? `Name one, e.g. ${choices.map((choice) => choice.route).join(', ')}, or say it in other words.`
        : 'Name a route, or give routes examples in the registry.',
    choices,
  });
  return { ...missing(error), abstained: true, ranked };
}

export const chose = (route: CompiledRoute, confidence: number, why: string): Decision => ({
  route,
  confidence,
  why,
  error: null,
  abstained: false,
  usedFallback: false,
  ranked: [],
});

const missing = (error: WireError): Decision => ({
  route: null,
  confidence: null,
  why: error.message,
  error,
  abstained: false,
  usedFallback: false,
  ranked: [],
});

function fallbackOf({ registry, routes }: Table): CompiledRoute | null {
  if (registry.fallbackOrg === null) return null;
  const org = registry.orgs.find(({ code }) => code === registry.fallbackOrg);
  return org?.defaultService ? (routes.get(`${org.code}.${org.defaultService}`) ?? null) : null;
}
