/** READ FIRST. Everything a front can ask of the core: the built-in routes, the call, the frames and the events. */
import { z } from 'zod';
import type { CortexState, Discovered, GpuSample, GpuWaiter, Grant, Lease, Need, NeedContext, Resolved } from './cortex.ts';
import type { WireError } from './errors.ts';
import { jobStates } from './job.ts';
import type {
  AuditEntry,
  BreakerState,
  Capability,
  CoreSelf,
  Crossing,
  Delivery,
  Door,
  Egress,
  GpuState,
  Health,
  HealthSample,
  Job,
  JobDetail,
  Lane,
  McpServer,
  Org,
  PodiumState,
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

// --- what a call needs of the cortex ---------------------------------------------------------------------------------------

/** A need as somebody writes it; what is left out is what `Need` says of it. */
export interface NeedAsk {
  capabilities?: string[];
  tier?: string;
  model?: string;
  priority?: number;
  context?: NeedContext;
  contextTokens?: number;
  sensitive?: boolean;
  egress?: Egress;
}

export const NeedAsk = z
  .strictObject({
    capabilities: z
      .array(z.string().regex(/^[a-z0-9][a-z0-9_-]{0,59}$/, 'a capability such as text-generation'))
      .min(1)
      .max(16)
      .optional(),
    tier: z.string().min(1).max(60).optional(),
    model: z.string().min(1).max(200).optional(),
    priority: z.number().int().min(0).max(100).optional(),
    context: z.enum(['speech', 'interactive', 'background', 'training']).optional(),
    contextTokens: z.number().int().min(1).max(100_000_000).optional(),
    sensitive: z.boolean().optional(),
    egress: z.enum(['local', 'lan', 'remote']).optional(),
  })
  .refine(
    ({ capabilities, model }) => capabilities !== undefined || model !== undefined,
    'capabilities or a model are needed',
  ) satisfies z.ZodType<NeedAsk>;

/** The need that is meant; seed 001's defaults for what was left out. */
export function needOf(ask: { [Member in keyof NeedAsk]: NeedAsk[Member] | undefined }): Need {
  return {
    capabilities: [...new Set(ask.capabilities ?? [])].sort(),
    tier: ask.tier ?? null,
    model: ask.model ?? null,
    priority: ask.priority ?? 50,
    context: ask.context ?? 'interactive',
    contextTokens: ask.contextTokens ?? null,
    sensitive: ask.sensitive ?? false,
    egress: ask.egress ?? 'remote',
  };
}

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
  /** Of the caller's own choosing: the same key and the same request run once (IETF Idempotency-Key). Kept 24 hours, per principal. */
  key?: string;
  /** Derive the key from what is asked instead: the RFC 8785 canonical JSON of route, text and params. */
  content?: boolean;
  /** Where the result goes as a signed POST once there is one. */
  callbackUrl?: string;
  /** For a route that takes its model from the cortex, instead of what the route needs. */
  need?: NeedAsk;
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
  key: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[\x21-\x7e]+$/, 'visible ASCII')
    .optional(),
  content: z.boolean().optional(),
  callbackUrl: z.string().max(2048).optional(),
  need: NeedAsk.optional(),
}) satisfies z.ZodType<Ask>;

/** Seed 003's request. */
export const Orchestrate = z.strictObject({
  /** A route, the name of a flow or tool, or the words for it. */
  intent: z.string().min(1).max(100_000),
  inputs: z.record(z.string(), z.unknown()).default({}),
  mode: z.enum(['auto', 'flow', 'mcp', 'agent']).default('auto'),
  callback_url: z.string().max(2048).nullish(),
  idempotency_key: Ask.shape.key.nullish(),
  content: z.boolean().default(false),
  /** W3C traceparent, or a name of the caller's own for it. */
  trace: z.union([z.string().max(200), z.record(z.string(), z.unknown())]).nullish(),
  /** How long to wait for the result before answering with the job; the registry's, else 8 s. */
  wait_ms: z.number().int().min(0).max(600_000).optional(),
  confirm: z.boolean().optional(),
});

/** Seed 003's answer. `status` is the job's state; with `will_callback` the result goes to the callback URL too. */
export interface Orchestrated {
  job_id: string | null;
  status: Job['state'] | 'rejected';
  result: unknown;
  error: WireError | null;
  will_callback: boolean;
  mode: 'flow' | 'mcp' | 'agent' | null;
  route: string | null;
  duration_ms: number;
  replayed: boolean;
  trace: unknown;
  crossing: string | null;
}

/** Seed 004's request and answer. */
export const OrchestratorAction = z.strictObject({
  action: z.enum(['enqueue_story', 'enqueue_plan', 'halt', 'status']),
  payload: z
    .looseObject({
      story_id: z.string().min(1).max(200).optional(),
      plan_id: z.string().min(1).max(200).optional(),
      nonce: z.string().min(8).max(200).optional(),
    })
    .default({}),
  source: z.string().max(100).default('command-center'),
  auth: z.looseObject({ user_id: z.string().max(200).optional(), session_id: z.string().max(200).optional() }).optional(),
});

export interface OrchestratorAnswer {
  success: boolean;
  job_id: string | null;
  status: Job['state'] | 'rejected';
  audit_id: string | null;
  stream_url: string | null;
  error: WireError | null;
  /** What the upstream answered, as it came; null while it has not. */
  podium_result: unknown;
}

/** A request in the shared shape, whatever door it came through. Adapters make it; the seam takes nothing else. */
export interface Call extends Ask {
  door: Door;
  principal: Principal;
  query?: Record<string, string>;
  path?: string;
  headers?: Record<string, string>;
  /** Bytes in and bytes out, for a model route whose words are passed through as they are. */
  exchange?: Exchange;
  /** The grant it is made under: its models are held already. */
  grant?: string;
}

/** A request whose answer goes straight to whoever made it, and only through here to the record as figures. */
export interface Exchange {
  /** Whose words they are: OpenAI's, or those of Ollama's own API. */
  dialect: 'openai' | 'ollama';
  /** Below `/v1`, or `/api` in Ollama's words: `/chat/completions`. */
  path: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  body: Uint8Array;
  /** Where the value of the body's `model` stands, quotes included: what is bound takes its place. null: it has none. */
  model: { start: number; end: number } | null;
  stream: boolean;
  /** Status and headers of the answer, before its first byte. */
  head(status: number, headers: Record<string, string>): void;
  /** A promise when the reader is slower than the model: nothing more before it resolves. */
  write(bytes: Uint8Array): Promise<void> | null;
  /** The answer stops short, and nothing in it says so: nobody may take it for whole. */
  broken(): void;
}

// --- built-in routes ------------------------------------------------------------------------------------------------

export interface Operation<Schema extends z.ZodType = z.ZodType, Out = unknown> {
  name: string;
  summary: string;
  /** `read` changes nothing and leaves no audit row; `write` is audited like any dispatch. */
  effect: 'read' | 'write';
  needs: Capability;
  /** Who may dispatch may ask it too, of its own jobs. */
  ownToo?: true;
  http: `${'GET' | 'POST' | 'PUT' | 'DELETE'} /${string}`;
  input: Schema;
  /** The member of the input that an Idempotency-Key header fills. */
  keyed?: string;
  /** Whether an answer says that the work goes on: HTTP answers 202 then. */
  goesOn?(output: never): boolean;
  /** Nobody but its caller can use its answer: it is given up when that one goes away. */
  lapses?: true;
  /** Longest it may take, 60 s if not given. */
  timeoutMs?: number;
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
  'OS.resolve.need': operation<Resolved>()({
    name: 'OS.resolve.need',
    summary: 'Which models a set of capabilities would get, and what that would load, evict or wait for; nothing is loaded',
    effect: 'read',
    needs: 'read',
    http: 'POST /resolve/need',
    input: z.strictObject({ need: NeedAsk }),
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
      state: z.enum(jobStates).optional(),
      route: word.optional(),
      lane: word.optional(),
      cursor: word.optional(),
      ...page,
    }),
  }),
  'OS.jobs.get': operation<JobDetail>()({
    name: 'OS.jobs.get',
    summary: 'One job with its attempts and record',
    effect: 'read',
    needs: 'read',
    ownToo: true,
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
  'OS.jobs.retry': operation<{ id: string; job: string }>()({
    name: 'OS.jobs.retry',
    summary: 'Run an ended job again, as a new job with the same request',
    effect: 'write',
    needs: 'dispatch',
    http: 'POST /jobs/{id}/retry',
    input: z.strictObject({ id: word }),
  }),
  'OS.lanes': operation<{ lanes: Lane[] }>()({
    name: 'OS.lanes',
    summary: 'What runs and stands in each lane and bounded service',
    effect: 'read',
    needs: 'read',
    http: 'GET /lanes',
    input: nothing,
  }),
  'OS.orchestrate': operation<Orchestrated>()({
    name: 'OS.orchestrate',
    summary: 'Run an intent: the result if it is there in time, else the job that goes on',
    // The call it makes leaves the rows; this one is only a way to ask for it.
    effect: 'read',
    needs: 'dispatch',
    http: 'POST /orchestrate',
    input: Orchestrate,
    keyed: 'idempotency_key',
    goesOn: ({ status }: Orchestrated) => status === 'queued' || status === 'waiting' || status === 'running',
    // The longest `wait_ms`, and a moment to answer in.
    timeoutMs: 601_000,
  }),
  'OS.callbacks': operation<{ deliveries: Delivery[]; cursor: string | null }>()({
    name: 'OS.callbacks',
    summary: 'Results on their way to callback URLs, newest first',
    effect: 'read',
    needs: 'read',
    http: 'GET /callbacks',
    input: z.strictObject({
      job: word.optional(),
      state: z.enum(['pending', 'delivered', 'dead']).optional(),
      cursor: word.optional(),
      ...page,
    }),
  }),
  'OS.callbacks.redeliver': operation<Delivery>()({
    name: 'OS.callbacks.redeliver',
    summary: 'Send a result to its callback URL once more, under the same webhook-id',
    effect: 'write',
    needs: 'dispatch',
    http: 'POST /callbacks/{id}/redeliver',
    input: z.strictObject({ id: word }),
  }),
  'OS.callbacks.check': operation<{ ok: boolean; reason: string; expected: string | null }>()({
    name: 'OS.callbacks.check',
    summary: 'Check the Standard Webhooks signature of what was received',
    effect: 'read',
    needs: 'read',
    http: 'POST /callbacks/check',
    input: z.strictObject({
      id: word,
      timestamp: word,
      signature: z.string().max(2000),
      body: z.string().max(1_000_000),
      /** Of the receiver; the core's own when absent. */
      secret: z.string().max(500).optional(),
    }),
  }),
  'OS.orchestrator.dispatch': operation<OrchestratorAnswer>()({
    name: 'OS.orchestrator.dispatch',
    summary: 'The one audited way to the orchestrator: enqueue a story or plan, halt, ask for its status',
    effect: 'read',
    needs: 'dispatch',
    http: 'POST /api/orchestrator/dispatch',
    input: OrchestratorAction,
  }),
  'OS.orchestrator.status': operation<{ podium: PodiumState[]; jobs: Job[]; status: unknown }>()({
    name: 'OS.orchestrator.status',
    summary: 'Queue, agents and stories of the orchestrator, as it tells them',
    effect: 'read',
    needs: 'read',
    http: 'GET /api/orchestrator/status',
    input: nothing,
  }),
  'OS.orchestrator.job': operation<{
    job_id: string;
    status: Job['state'];
    story: unknown;
    result: unknown;
    error: WireError | null;
    job: Job;
  }>()({
    name: 'OS.orchestrator.job',
    summary: 'One job of the orchestrator',
    effect: 'read',
    needs: 'read',
    ownToo: true,
    http: 'GET /api/orchestrator/status/{job}',
    input: z.strictObject({ job: word }),
  }),
  'OS.mcp': operation<{ servers: McpServer[] }>()({
    name: 'OS.mcp',
    summary: 'MCP servers, their tools and what is approved',
    effect: 'read',
    needs: 'read',
    http: 'GET /mcp-servers',
    input: nothing,
  }),
  'OS.mcp.add': operation<{ server: McpServer; revision: string }>()({
    name: 'OS.mcp.add',
    summary: 'Write an MCP server into the registry; it is started once it is approved',
    effect: 'write',
    needs: 'admin',
    http: 'POST /mcp-servers',
    input: z.strictObject({
      name: z.string().min(1).max(60),
      command: z.array(z.string().min(1).max(4096)).min(1).max(100).optional(),
      url: z.string().max(2048).optional(),
      egress: z.enum(['local', 'lan', 'remote']).default('local'),
    }),
  }),
  'OS.mcp.approve': operation<McpServer>()({
    name: 'OS.mcp.approve',
    summary: 'Approve a server as it stands in the registry, or the changed definitions of its tools; needs confirm',
    effect: 'write',
    needs: 'admin',
    http: 'POST /mcp-servers/{server}/approve',
    /** Without `tool`: the server, and every tool it has now. */
    input: z.strictObject({ server: word, tool: word.optional() }),
  }),
  'OS.mcp.refresh': operation<McpServer>()({
    name: 'OS.mcp.refresh',
    summary: 'Start a server if need be and ask for its tools again',
    effect: 'write',
    needs: 'dispatch',
    http: 'POST /mcp-servers/{server}/refresh',
    input: z.strictObject({ server: word }),
  }),
  'OS.mcp.stop': operation<McpServer>()({
    name: 'OS.mcp.stop',
    summary: 'End a server and everything it started; it starts again when it is called',
    effect: 'write',
    needs: 'admin',
    http: 'POST /mcp-servers/{server}/stop',
    input: z.strictObject({ server: word }),
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
  'OS.gpu.history': operation<{ samples: GpuSample[] }>()({
    name: 'OS.gpu.history',
    summary: 'Readings of the devices over up to 24 hours, thinned to at most a thousand each',
    effect: 'read',
    needs: 'read',
    http: 'GET /gpu/history',
    input: z.strictObject({ device: word.optional(), hours: z.coerce.number().min(0.1).max(24).default(0.25) }),
  }),
  'OS.cortex': operation<CortexState>()({
    name: 'OS.cortex',
    summary: 'Models, memory, leases, the line for the GPU, grants and alerts',
    effect: 'read',
    needs: 'read',
    http: 'GET /cortex',
    input: nothing,
  }),
  'OS.models.load': operation<{ lease: Lease; plan: Resolved }>()({
    name: 'OS.models.load',
    summary: 'Load a model and pulse it; what it evicts is what OS.resolve.need says. Needs confirm where it evicts',
    effect: 'write',
    needs: 'admin',
    http: 'POST /models/load',
    input: z.strictObject({ provider: word, tier: word.optional() }),
    timeoutMs: 1_800_000,
  }),
  'OS.models.unload': operation<{ provider: string; freedBytes: number | null }>()({
    name: 'OS.models.unload',
    summary: 'Unload a model that nobody uses; refused while it is leased',
    effect: 'write',
    needs: 'admin',
    http: 'POST /models/unload',
    input: z.strictObject({ provider: word }),
    timeoutMs: 600_000,
  }),
  'OS.models.reset': operation<{ provider: string }>()({
    name: 'OS.models.reset',
    summary: 'Let a provider whose loads failed three times try again',
    effect: 'write',
    needs: 'admin',
    http: 'POST /models/reset',
    input: z.strictObject({ provider: word }),
  }),
  'OS.discover': operation<{ found: Discovered[]; looked: string[] }>()({
    name: 'OS.discover',
    summary: 'Look for model servers on the well-known ports of this machine, and propose entries for the registry',
    effect: 'read',
    needs: 'admin',
    http: 'POST /discover',
    input: nothing,
  }),
  'OS.providers.add': operation<{ provider: string; revision: string }>()({
    name: 'OS.providers.add',
    summary: 'Write a discovered server into the registry',
    effect: 'write',
    needs: 'admin',
    http: 'POST /providers',
    input: z.strictObject({ endpoint: z.string().max(2048), name: z.string().min(1).max(60).optional() }),
  }),
  'OS.grants': operation<{ grants: Grant[]; leases: Lease[]; queue: GpuWaiter[] }>()({
    name: 'OS.grants',
    summary: 'Grants, leases and the line for the GPU',
    effect: 'read',
    needs: 'read',
    http: 'GET /grants',
    input: nothing,
  }),
  'OS.grants.create': operation<Grant>()({
    name: 'OS.grants.create',
    summary: 'Permission to use models for one task: waits for its turn, loads, pulses, and answers with an address and a key',
    effect: 'write',
    needs: 'dispatch',
    http: 'POST /grants',
    lapses: true,
    input: z.strictObject({
      need: NeedAsk,
      /** A job, whose end revokes the grant, or a name of the caller's own. */
      task: z.string().min(1).max(200),
      /** Longest wait for its turn and the load. */
      wait_ms: z.number().int().min(0).max(1_800_000).default(180_000),
      /** How long it lasts; the registry's, else an hour. */
      ttl_ms: z.number().int().min(1000).max(86_400_000).optional(),
    }),
    timeoutMs: 1_801_000,
  }),
  'OS.grants.revoke': operation<{ id: string }>()({
    name: 'OS.grants.revoke',
    summary: 'End a grant: its key is worthless, and what streams under it is cut off',
    effect: 'write',
    needs: 'dispatch',
    http: 'DELETE /grants/{id}',
    input: z.strictObject({ id: word }),
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
      jobsKeptDays: z.number().int().min(1).max(3650).optional(),
      jobsKeptMost: z.number().int().min(1000).max(100_000_000).optional(),
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
  /** Audit entries are kept at least so long. */
  retentionDays: number;
  /** Ended jobs are kept so long, and so many. */
  jobsKeptDays: number;
  jobsKeptMost: number;
  healthIntervalMs: number;
  publicKey: string;
  /** Names of what signs and checks callbacks; never the secrets. `null`: none, so callbacks in are refused. */
  callbacks: { signs: string; checks: string | null };
}

// --- events -----------------------------------------------------------------------------------------------------------

export type EventBody =
  | { type: 'crossing'; crossing: Crossing }
  | { type: 'job'; job: Job }
  /** Lanes that changed; one with nothing in it is gone. */
  | { type: 'lanes'; lanes: Lane[] }
  | { type: 'delivery'; delivery: Delivery }
  | { type: 'mcp'; servers: McpServer[] }
  | { type: 'podium'; podium: PodiumState }
  /** A message of the orchestrator behind podium, as it came: QUEUE_UPDATE, STORY_STATUS, AGENT_STATUS. */
  | { type: 'upstream'; route: string; message: unknown }
  | { type: 'chunk'; job: string; text: string }
  | { type: 'health'; health: Health }
  | { type: 'breaker'; breaker: BreakerState }
  | { type: 'registry'; registry: RegistryState }
  | { type: 'routes'; orgs: Org[]; routes: RouteSummary[]; rules: Rule[] }
  /** One route's figures changed; the registry did not. */
  | { type: 'route'; route: RouteSummary }
  | { type: 'sovereign'; sovereign: Sovereign }
  | { type: 'gpu'; gpu: GpuState }
  | { type: 'gpu_samples'; samples: GpuSample[] }
  | { type: 'cortex'; cortex: CortexState }
  | { type: 'self'; self: CoreSelf; counts: Snapshot['counts'] }
  | { type: 'rejected'; door: Door; error: WireError };

/** Something that happened. `seq` rises by one; `signal` is its one-line human form, null when it has none. */
export type Event = EventBody & { seq: number; at: number; signal: string | null };

// --- frames: one verb up, one stream down -------------------------------------------------------------------------

export type UpFrame = { t: 'call'; id: number; ask: Ask } | { t: 'cancel'; id: number } | { t: 'watch'; since: number } | { t: 'unwatch' };

export type DownFrame =
  /** `attached`: the job is that of an earlier call under the same key. */
  | { t: 'accepted'; id: number; job: string; route: string; audit: { seq: number; hash: string }; attached?: true }
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
