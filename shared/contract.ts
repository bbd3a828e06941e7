/** READ FIRST. Everything a front can ask of the core: the built-in routes, the call, the frames and the events. */
import { z } from 'zod';
import type { WireError } from './errors.ts';
import type {
  AuditEntry,
  BreakerState,
  Capability,
  CoreSelf,
  Crossing,
  Door,
  GpuState,
  Health,
  HealthSample,
  Job,
  JobDetail,
  Org,
  Principal,
  RankedRoute,
  RegistryProblem,
  RegistryState,
  Resolution,
  RouteSummary,
  Rule,
  Snapshot,
  Sovereign,
  TokenInfo,
  VerifyReport,
} from './model.ts';

// --- the call -------------------------------------------------------------------------------------------------------

/** What a front may say of a call. Either `route` or `text` (the typed words) is there; both: `route` wins, `text` goes along. */
export interface Ask {
  route?: string;
  text?: string;
  params?: Record<string, unknown>;
  /** Crossing this one was made from. */
  parent?: string;
  /** W3C trace context in. */
  traceparent?: string;
  /** When the operator abstains: ask back with `route_uncertain` instead of taking the fallback. */
  ask?: boolean;
  /** Bound on the whole call; the route's own timeout if absent. */
  deadlineMs?: number;
  /** The person has seen what will happen, for routes that want confirmation. */
  confirm?: boolean;
}

export const Ask = z.strictObject({
  route: z.string().min(1).max(200).optional(),
  text: z.string().min(1).max(100_000).optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  parent: z.string().max(100).optional(),
  traceparent: z.string().max(200).optional(),
  ask: z.boolean().optional(),
  deadlineMs: z.number().int().min(1).max(3_600_000).optional(),
  confirm: z.boolean().optional(),
}) satisfies z.ZodType<Ask>;

/** A request in the shared shape, whatever door it came through. Adapters make it; the seam takes nothing else. */
export interface Call extends Ask {
  door: Door;
  principal: Principal;
  query?: Record<string, string>;
  path?: string;
  headers?: Record<string, string>;
}

// --- built-in routes ------------------------------------------------------------------------------------------------

export interface Operation<Schema extends z.ZodType = z.ZodType, Out = unknown> {
  name: string;
  summary: string;
  /** `read` changes nothing and leaves no audit row; `write` is audited like any dispatch. */
  effect: 'read' | 'write';
  needs: Capability;
  http: `${'GET' | 'POST' | 'PUT' | 'DELETE'} /${string}`;
  input: Schema;
  /** Carries the type of the answer; nothing is parsed on the way out of our own process. */
  output?: Out;
}

/** Names, ids and cursors: longer than any there is. */
const word = z.string().max(500);

const page = { limit: z.coerce.number().int().min(1).max(500).default(100) };
const nothing = z.strictObject({});

function operation<Out>() {
  return <Schema extends z.ZodType>(definition: Omit<Operation<Schema, Out>, 'output'>): Operation<Schema, Out> => definition;
}

export const operations = {
  'OS.status': operation<{ self: CoreSelf; sovereign: Sovereign; registry: RegistryState; counts: Snapshot['counts'] }>()({
    name: 'OS.status',
    summary: 'What this core is and does',
    effect: 'read',
    needs: 'read',
    http: 'GET /status',
    input: nothing,
  }),
  'OS.routes': operation<{ orgs: Org[]; routes: RouteSummary[]; rules: Rule[]; registry: RegistryState }>()({
    name: 'OS.routes',
    summary: 'Every route, by org',
    effect: 'read',
    needs: 'read',
    http: 'GET /routes',
    input: z.strictObject({ org: word.optional() }),
  }),
  'OS.resolve': operation<Resolution>()({
    name: 'OS.resolve',
    summary: 'Where a text would go, and why, without going there',
    effect: 'read',
    needs: 'read',
    http: 'POST /resolve',
    input: z.strictObject({ text: z.string().min(1).max(100_000).optional(), route: word.optional() }),
  }),
  'OS.rules.test': operation<{ ranked: RankedRoute[]; abstained: boolean; rules: Resolution['rules'] }>()({
    name: 'OS.rules.test',
    summary: 'Every rule that matches a text and every score',
    effect: 'read',
    needs: 'read',
    http: 'POST /rules/test',
    input: z.strictObject({ text: z.string().min(1).max(100_000) }),
  }),
  'OS.teach': operation<{ route: string; examples: number }>()({
    name: 'OS.teach',
    summary: 'Write a text into the registry as an example of a route',
    effect: 'write',
    needs: 'admin',
    http: 'POST /teach',
    input: z.strictObject({ text: z.string().min(1).max(2000), route: word }),
  }),
  'OS.health': operation<{ health: Health[]; breakers: BreakerState[] }>()({
    name: 'OS.health',
    summary: 'Health of every service, probed now if asked',
    effect: 'read',
    needs: 'read',
    http: 'GET /services/health',
    input: z.strictObject({ org: word.optional(), route: word.optional(), probe: z.boolean().default(false) }),
  }),
  'OS.health.history': operation<{ route: string; samples: HealthSample[] }>()({
    name: 'OS.health.history',
    summary: 'Latency of one service over the last 24 hours',
    effect: 'read',
    needs: 'read',
    http: 'GET /services/health/history',
    input: z.strictObject({ route: word, hours: z.coerce.number().min(0.1).max(24).default(3) }),
  }),
  'OS.breakers.set': operation<BreakerState>()({
    name: 'OS.breakers.set',
    summary: 'Trip or reset a breaker',
    effect: 'write',
    needs: 'admin',
    http: 'POST /breakers',
    input: z.strictObject({ endpoint: z.string().max(2048), action: z.enum(['trip', 'reset']) }),
  }),
  'OS.jobs': operation<{ jobs: Job[]; cursor: string | null; total: number }>()({
    name: 'OS.jobs',
    summary: 'Jobs, newest first',
    effect: 'read',
    needs: 'read',
    http: 'GET /jobs',
    input: z.strictObject({
      q: z.string().max(500).optional(),
      state: word.optional(),
      route: word.optional(),
      cursor: word.optional(),
      ...page,
    }),
  }),
  'OS.jobs.get': operation<JobDetail>()({
    name: 'OS.jobs.get',
    summary: 'One job with its attempts and record',
    effect: 'read',
    needs: 'read',
    http: 'GET /jobs/{id}',
    input: z.strictObject({ id: word }),
  }),
  'OS.jobs.cancel': operation<{ id: string; state: Job['state']; outcome: string }>()({
    name: 'OS.jobs.cancel',
    summary: 'Cancel a job; answers once it is known what became of it',
    effect: 'write',
    needs: 'dispatch',
    http: 'POST /jobs/{id}/cancel',
    input: z.strictObject({ id: word }),
  }),
  'OS.audit': operation<{ entries: AuditEntry[]; cursor: string | null; total: number }>()({
    name: 'OS.audit',
    summary: 'The audit chain, newest first',
    effect: 'read',
    needs: 'read',
    http: 'GET /audit',
    input: z.strictObject({ cursor: word.optional(), job: word.optional(), ...page }),
  }),
  'OS.audit.verify': operation<VerifyReport>()({
    name: 'OS.audit.verify',
    summary: 'Recompute the whole chain',
    effect: 'read',
    needs: 'read',
    http: 'POST /audit/verify',
    input: nothing,
  }),
  'OS.audit.drill': operation<{ changed: { seq: number; column: string }; report: VerifyReport }>()({
    name: 'OS.audit.drill',
    summary: 'Tamper with a copy and show that verify finds it',
    effect: 'read',
    needs: 'admin',
    http: 'POST /audit/drill',
    input: nothing,
  }),
  'OS.registry': operation<{ text: string; revision: string; state: RegistryState }>()({
    name: 'OS.registry',
    summary: 'The registry file as it is on disk',
    effect: 'read',
    needs: 'read',
    http: 'GET /registry',
    input: nothing,
  }),
  'OS.registry.check': operation<{
    problems: RegistryProblem[];
    differs: { text: string; before: string | null; after: string | null }[];
    considered: number;
  }>()({
    name: 'OS.registry.check',
    summary: 'Problems of a text, and which past requests it would route differently',
    effect: 'read',
    needs: 'admin',
    http: 'POST /registry/check',
    /** `compare: false` leaves out the past requests: no operator is trained, and the answer comes within milliseconds. */
    input: z.strictObject({ text: z.string().max(50_000_000), compare: z.boolean().default(true) }),
  }),
  'OS.registry.save': operation<{ revision: string; state: RegistryState }>()({
    name: 'OS.registry.save',
    summary: 'Write the registry; refused if it is not valid or was changed meanwhile',
    effect: 'write',
    needs: 'admin',
    http: 'PUT /registry',
    input: z.strictObject({ text: z.string().max(50_000_000), revision: word }),
  }),
  'OS.sovereign': operation<Sovereign>()({
    name: 'OS.sovereign',
    summary: 'The local-only switch',
    effect: 'read',
    needs: 'read',
    http: 'GET /sovereign',
    input: nothing,
  }),
  'OS.sovereign.set': operation<Sovereign>()({
    name: 'OS.sovereign.set',
    summary: 'Turn the local-only switch; turning it off needs confirm',
    effect: 'write',
    needs: 'admin',
    http: 'POST /sovereign',
    input: z.strictObject({ on: z.boolean() }),
  }),
  'OS.gpu': operation<GpuState>()({
    name: 'OS.gpu',
    summary: 'GPU devices and memory as the probes find them',
    effect: 'read',
    needs: 'read',
    http: 'GET /gpu',
    input: nothing,
  }),
  'OS.signals': operation<{ signals: Snapshot['signals'] }>()({
    name: 'OS.signals',
    summary: 'The newest signals, oldest first',
    effect: 'read',
    needs: 'read',
    http: 'GET /signals',
    input: z.strictObject({ ...page }),
  }),
  'OS.settings': operation<Settings>()({
    name: 'OS.settings',
    summary: 'Settings and where things are kept',
    effect: 'read',
    needs: 'read',
    http: 'GET /settings',
    input: nothing,
  }),
  'OS.settings.set': operation<Settings>()({
    name: 'OS.settings.set',
    summary: 'Change settings',
    effect: 'write',
    needs: 'admin',
    http: 'PUT /settings',
    input: z.strictObject({
      limits: z
        .strictObject({ perSecond: z.number().min(1).max(1e6), burst: z.number().min(1).max(1e6) })
        .nullable()
        .optional(),
      retentionDays: z.number().int().min(90).max(3650).optional(),
      healthIntervalMs: z.number().int().min(1000).max(3_600_000).optional(),
    }),
  }),
  'OS.tokens': operation<{ tokens: TokenInfo[] }>()({
    name: 'OS.tokens',
    summary: 'Tokens, without their secrets',
    effect: 'read',
    needs: 'admin',
    http: 'GET /tokens',
    input: nothing,
  }),
  'OS.tokens.create': operation<{ token: TokenInfo; secret: string }>()({
    name: 'OS.tokens.create',
    summary: 'A new token; the secret is shown this once',
    effect: 'write',
    needs: 'admin',
    http: 'POST /tokens',
    input: z.strictObject({ name: z.string().min(1).max(60), capabilities: z.array(z.enum(['read', 'dispatch', 'admin'])).min(1) }),
  }),
  'OS.tokens.revoke': operation<{ id: string }>()({
    name: 'OS.tokens.revoke',
    summary: 'Make a token worthless',
    effect: 'write',
    needs: 'admin',
    http: 'DELETE /tokens/{id}',
    input: z.strictObject({ id: word }),
  }),
  'OS.crossings.verify': operation<{ ok: boolean; reason: string }>()({
    name: 'OS.crossings.verify',
    summary: 'Check the signature of a crossing',
    effect: 'read',
    needs: 'read',
    http: 'POST /crossings/verify',
    input: z.strictObject({ crossing: z.record(z.string(), z.unknown()) }),
  }),
} as const;

export type OperationName = keyof typeof operations;
export type InputOf<N extends OperationName> = z.input<(typeof operations)[N]['input']>;
export type OutputOf<N extends OperationName> = (typeof operations)[N] extends { output?: infer Out } ? Exclude<Out, undefined> : never;

export interface Settings {
  registryFile: string;
  home: string;
  databaseFile: string;
  limits: { perSecond: number; burst: number } | null;
  /** Where a value comes from, so that the page can say what wins. */
  limitsFrom: 'settings' | 'registry';
  retentionDays: number;
  healthIntervalMs: number;
  publicKey: string;
}

// --- events -----------------------------------------------------------------------------------------------------------

export type EventBody =
  | { type: 'crossing'; crossing: Crossing }
  | { type: 'job'; job: Job }
  | { type: 'chunk'; job: string; text: string }
  | { type: 'health'; health: Health }
  | { type: 'breaker'; breaker: BreakerState }
  | { type: 'registry'; registry: RegistryState }
  | { type: 'routes'; orgs: Org[]; routes: RouteSummary[]; rules: Rule[] }
  /** One route's figures changed; the registry did not. */
  | { type: 'route'; route: RouteSummary }
  | { type: 'sovereign'; sovereign: Sovereign }
  | { type: 'gpu'; gpu: GpuState }
  | { type: 'self'; self: CoreSelf; counts: Snapshot['counts'] }
  | { type: 'rejected'; door: Door; error: WireError };

/** Something that happened. `seq` rises by one; `signal` is its one-line human form, null when it has none. */
export type Event = EventBody & { seq: number; at: number; signal: string | null };

// --- frames: one verb up, one stream down -------------------------------------------------------------------------

export type UpFrame = { t: 'call'; id: number; ask: Ask } | { t: 'cancel'; id: number } | { t: 'watch'; since: number } | { t: 'unwatch' };

export type DownFrame =
  | { t: 'accepted'; id: number; job: string; route: string; audit: { seq: number; hash: string } }
  | { t: 'answer'; id: number; crossing: Crossing }
  | { t: 'fault'; id: number | null; error: WireError }
  | { t: 'snapshot'; snapshot: Snapshot }
  | { t: 'events'; events: Event[] };

export type Frame = UpFrame | DownFrame;

const id = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
export const UpFrame = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('call'), id, ask: Ask }),
  z.strictObject({ t: z.literal('cancel'), id }),
  z.strictObject({ t: z.literal('watch'), since: id }),
  z.strictObject({ t: z.literal('unwatch') }),
]) satisfies z.ZodType<UpFrame>;
