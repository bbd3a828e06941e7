/**
 * The chain that a call crosses before anything runs. Chains are compiled once, when a registry loads; every boundary is
 * synchronous, so a call is judged in one piece and nothing changes under it. After them come audit and execute, which wait.
 */
import type { z } from 'zod';
import type { Ask, Exchange } from '../../shared/contract.ts';
import { type Issue, refuse, type WireError } from '../../shared/errors.ts';
import type { CallLimits, Capability, Crossing, Door, Principal, Route, Sovereign } from '../../shared/model.ts';
import { tooDeep } from './crossing.ts';
import type { Cutoff } from './cutoff.ts';
import type { Accepted } from './jobs/life.ts';
import type { Loop } from './jobs/loop.ts';
import type { Resource } from './jobs/schedule.ts';
import type { Runner } from './runners/runner.ts';

/** A route as the table holds it: its spec, its chain, and how it runs. */
export interface CompiledRoute {
  spec: Route;
  chain: Boundary[];
  run: Runner;
  needs: Capability;
  /** `dispatch` suffices for what is its own; what it does asks who it is of. */
  ownToo: boolean;
  /** Leaves an intent and an outcome row. */
  audited: boolean;
  /** Leaves a job that can be listed and cancelled. */
  tracked: boolean;
  /** What a call of it means to the schedule. */
  standing(asked: { params: Record<string, unknown>; text: string | null }): Standing;
}

/** What a call means to the schedule. */
export interface Standing {
  /** What it needs a place in before it runs. */
  resources: readonly Resource[];
  /** What it is about, where equal ones keep a distance; null for most. */
  subject: string | null;
  /** It makes the orchestrator do something (seed 004), which is limited more than asking. */
  action: boolean;
}

/** What the call reaches besides its own words. */
export interface Runtime {
  principal: Principal;
  door: Door;
  text: string | null;
  confirmed: boolean;
  /** Bytes in and bytes out, for a model route; null for an ordinary call. */
  exchange: Exchange | null;
  /** The grant it is made under. */
  grant: string | null;
  /** Of the run that is under way. */
  cutoff: Cutoff | null;
  /** Makes a call of this one's own, cut off with it unless `detached`, or by `signal`; its crossing names this one as parent. */
  dispatch(ask: Ask, how?: { accepted?: Accepted; detached?: true; signal?: AbortSignal }): Promise<Crossing>;
}

/** The call as every boundary sees it: the seven keys of seed 002. */
export interface Input {
  params: Record<string, unknown>;
  query: Record<string, string>;
  path: string;
  headers: Record<string, string>;
  config: { fallbackOrg: string | null; limits: CallLimits | null; sovereign: Sovereign };
  route: CompiledRoute;
  runtime: Runtime;
  /** Something ran or runs already under its idempotency key, so that nothing will run now. */
  repeats: boolean;
}

/** null passes. */
export type Verdict = null | { refused: WireError } | { rewrote: { params: Record<string, unknown> } };

export interface Boundary {
  name: string;
  cross(input: Input): Verdict;
}

const refused = (...failure: Parameters<typeof refuse>): Verdict => ({ refused: refuse(...failure) });

/** The principal has the capability the route needs, or is told which. */
export const identity: Boundary = {
  name: 'identity',
  cross({ route, runtime: { principal } }) {
    const { capabilities } = principal;
    const may = capabilities.includes(route.needs) || (route.ownToo && capabilities.includes('dispatch'));
    return may ? null : { refused: lacking(principal, route) };
  },
};

/** The refusal of a principal without the capability that `route` needs. */
export function lacking(principal: Principal, route: CompiledRoute): WireError {
  return refuse('forbidden', `${principal.name} may not use ${route.spec.name}.`, {
    hint: `Use a token with the capability ${route.needs}; this one has ${principal.capabilities.join(', ') || 'none'}.`,
    needed: [route.needs],
  });
}

export function limitsBoundary(loop: Pick<Loop, 'admit'>): Boundary {
  return {
    name: 'limits',
    cross({ params, route, repeats, runtime: { principal, text } }) {
      const refusal = loop.admit(
        principal.countsAs ?? principal.id,
        repeats ? { action: false, subject: null } : route.standing({ params, text }),
      );
      if (refusal === null) return null;
      const { retryAfterMs, reason } = refusal;
      return refused('limited', reason, { hint: `Wait ${retryAfterMs} ms and call again.`, retryAfterMs });
    },
  };
}

/** Input of a service: any object, within a depth that can be recorded; names that would reach into prototypes are refused. */
export const serviceInput: Boundary = {
  name: 'input',
  cross({ params }) {
    if (tooDeep(params))
      return refused('input_invalid', 'params is nested too deep.', {
        hint: 'Nest at most 180 levels.',
        issues: [{ path: 'params', message: 'nested too deep' }],
      });
    const path = forbiddenName(params, 'params');
    return path === null
      ? null
      : refused('input_invalid', `${path} is not a name that can be used.`, {
          hint: 'Rename this member.',
          issues: [{ path, message: 'reserved name' }],
        });
  },
};

/** Input of a built-in route: its zod schema, which also fills defaults in. */
export function schemaInput(schema: z.ZodType): Boundary {
  return {
    name: 'input',
    cross({ params, route }) {
      const parsed = schema.safeParse(params);
      if (parsed.success) return { rewrote: { params: parsed.data as Record<string, unknown> } };
      const issues: Issue[] = parsed.error.issues
        .slice(0, 20)
        .map(({ path, message }) => ({ path: ['params', ...path].join('.'), message }));
      return refused('input_invalid', `${issues[0]!.path}: ${issues[0]!.message}`, {
        hint: `See ${route.spec.name} in /openapi.json.`,
        issues,
      });
    },
  };
}

/** What a person must have seen before it happens: `say` tells what would happen, or null when it is harmless. */
export function danger(say: (params: Record<string, unknown>) => string | null): Boundary {
  return {
    name: 'danger',
    cross({ params, runtime: { confirmed } }) {
      const what = confirmed ? null : say(params);
      return what === null ? null : refused('confirm_required', what, { hint: 'Send it again with confirm: true.' });
    },
  };
}

/** Only for calls that come with the key of a grant. */
export const underGrant: Boundary = {
  name: 'grant',
  cross: ({ runtime: { grant } }) =>
    grant === null
      ? refused('forbidden', 'This is for calls with the key of a grant.', { hint: 'Ask for a grant with POST /grants, or call OS.model.' })
      : null,
};

/** Whether the service's address may be called at all: judged from its literal text, before any name is looked up. */
export function sovereignBoundary(check: (spec: Route) => WireError | null): Boundary {
  return {
    name: 'sovereign',
    cross({ route }) {
      const error = check(route.spec);
      return error === null ? null : { refused: error };
    },
  };
}

function forbiddenName(value: unknown, path: string): string | null {
  if (value === null || typeof value !== 'object') return null;
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') return `${path}.${key}`;
    if (typeof member === 'object') {
      const found = forbiddenName(member, `${path}.${key}`);
      if (found !== null) return found;
    }
  }
  return null;
}
