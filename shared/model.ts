/** What the system talks about. Times are milliseconds since the epoch unless a name says otherwise; unknown is null. */
import type { CortexState, FigureSource, Need, Provider, Resolved } from './cortex.ts';
import type { ErrorCode, WireError } from './errors.ts';

export type Egress = 'local' | 'lan' | 'remote';
export type RouteKind = 'http' | 'flow' | 'tool' | 'mcp' | 'model' | 'podium' | 'operation' | 'grid';
export type Door = 'cli' | 'http' | 'ws' | 'app' | 'webhook' | 'library' | 'openai' | 'core';

/** What a principal may do: `read` the state, `dispatch` to services, `admin` the registry, switch, tokens and breakers. */
export type Capability = 'read' | 'dispatch' | 'admin';

export interface Principal {
  id: string;
  name: string;
  capabilities: readonly Capability[];
  /** Id of whose limits its calls count against: of a grant, of whoever made it. Absent: its own. */
  countsAs?: string;
}

// --- the registry, compiled -------------------------------------------------------------------------------------

export interface Org {
  code: string;
  name: string;
  status: 'active' | 'planned';
  description: string | null;
  primaryNode: string | null;
  repos: string[];
  defaultService: string | null;
}

export interface ServiceAuth {
  kind: 'bearer' | 'header';
  /** Name of the environment variable that holds the secret; the secret itself is never in the registry. */
  env: string;
  header: string | null;
}

/** One invocable thing. `name` is `ORG.service`; built-ins have org `OS`. */
export interface Route {
  name: string;
  org: string;
  service: string;
  kind: RouteKind;
  description: string | null;
  type: 'internal' | 'external';
  endpoint: string | null;
  health: string | null;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH';
  auth: ServiceAuth | null;
  egress: Egress;
  timeoutMs: number;
  maxResponseBytes: number;
  concurrency: number | null;
  lane: string | null;
  idempotent: boolean;
  /** Tries after a failure that can pass, with backoff between them: at most `times`, first after `backoffMs`, doubled up to `maxMs`. */
  retry: { times: number; backoffMs: number; maxMs: number } | null;
  /** Of a flow: whether its answer is the result, or a callback to /callbacks/ingest brings it. */
  answer: 'response' | 'callback';
  /** Of a grid. */
  grid: Grid | null;
  /** Of an MCP tool: the server and the tool's own name. */
  mcp: { server: string; tool: string } | null;
  /** JSON Schema of the parameters where the service tells one; null when anything may be sent. */
  inputSchema: unknown;
  /** Route name tried when the endpoint cannot be reached or its breaker is open. */
  fallback: string | null;
  provider: string | null;
  model: string | null;
  /** Of a model route without an endpoint of its own: what it needs of the cortex, which finds the endpoint. */
  need: Need | null;
  nodes: string[];
  examples: string[];
  demo: boolean;
  /** Line of the service in the registry file, 1-based; null for built-ins. */
  line: number | null;
}

export interface Rule {
  pattern: string;
  route: string;
  priority: number;
  /** Position in the file, 0-based: the last tie-breaker. */
  order: number;
  line: number | null;
}

/** Several routes run as one. */
export interface Grid {
  /** all: every step has to succeed; any: the first that succeeds ends it; best: whatever succeeded is the answer, if anything did. */
  policy: 'all' | 'any' | 'best';
  steps: GridStep[];
}

export interface GridStep {
  name: string;
  route: string;
  /** Names of the steps that have to be over first: those it names in `after` and those its references read. */
  after: string[];
  /** References such as `$.params.text` or `$.steps.fetch.result.items[0].id` are replaced by what they point at. */
  params: Record<string, unknown>;
}

/** An MCP server as the registry declares it. */
export interface McpSpec {
  name: string;
  transport: { kind: 'stdio'; argv: string[]; cwd: string | null; env: { name: string; from: string }[] } | { kind: 'http'; url: string };
  auth: ServiceAuth | null;
  egress: Egress;
  timeoutMs: number;
  /** A stdio server that nobody called for so long is ended. */
  idleMs: number;
  line: number | null;
}

export interface CallLimits {
  perSecond: number;
  burst: number;
}

/** Seed 004's own limits: actions of one principal a minute (sliding), and the pause between equal stories. */
export interface OrchestratorSettings {
  /** Route of kind podium that /api/orchestrator/dispatch forwards to; null: the first there is. */
  service: string | null;
  actionsPerMinute: number;
  cooldownMs: number;
  /** How long /orchestrate waits before it answers with the job. */
  waitMs: number;
}

export interface CallbackSettings {
  /** Environment variable with the secret that signs what goes out (`whsec_...`); null: the core's own, in webhook.secret of the home folder. */
  signEnv: string | null;
  /** Environment variable with the secret that callbacks in are checked with; null: they are refused. */
  ingestEnv: string | null;
  /** Hosts that a callback URL may name although they are not public. */
  hosts: { host: string; egress: Egress }[];
  /** Tries before a delivery is dead. */
  attempts: number;
}

/** What the built-in tools may reach: nothing that is not declared here. */
export interface ToolSettings {
  /** Folders; paths are absolute. */
  roots: { name: string; path: string; write: boolean }[];
  /** Hosts that `fetch` may call although they are not public. */
  fetchHosts: { host: string; egress: Egress }[];
  ssh: {
    /** Absolute; null: ~/.ssh/known_hosts. */
    knownHosts: string | null;
    hosts: { name: string; address: string; port: number; user: string | null; identity: string | null; egress: Egress }[];
  };
}

export interface Registry {
  orgs: Org[];
  routes: Route[];
  rules: Rule[];
  fallbackOrg: string | null;
  /** null switches limits off. */
  limits: CallLimits | null;
  healthIntervalMs: number;
  tools: ToolSettings;
  mcp: McpSpec[];
  orchestrator: OrchestratorSettings;
  callbacks: CallbackSettings;
  providers: Provider[];
  cortex: CortexSettings;
}

export interface CortexSettings {
  /** Folders with compose and Quadlet files; absolute. */
  scan: string[];
  /** Path of the Docker or Podman API; null: the usual places. */
  containerSocket: string | null;
  /** How reluctant to change what runs. */
  inertiaMs: number;
  /** Nobody in line for models is overtaken for longer. */
  starveMs: number;
  /** How long a grant lasts if nobody said. */
  grantMs: number;
  /** A warm model that answered a pulse so short a time ago is not asked again. */
  pulseFreshMs: number;
  sidecar: SidecarSettings | null;
  pools: { name: string; endpoint: string }[];
  /** Degrees Celsius, and shares of the memory (0..1). */
  alerts: {
    temperature: { warning: number; critical: number; hysteresis: number };
    memory: { warning: number; critical: number; hysteresis: number };
  };
}

/** A small model that is always there. */
export interface SidecarSettings {
  provider: string;
  /** Absolute; YAML or text with the owner's words. */
  lexicon: string | null;
  budgetMs: number;
}

/** A fault in the registry file. `line` and `column` are 1-based. */
export interface RegistryProblem {
  severity: 'error' | 'warning';
  line: number;
  column: number;
  path: string;
  message: string;
  hint: string | null;
}

export interface RegistryState {
  file: string;
  loadedAt: number;
  generation: number;
  orgs: number;
  services: number;
  rules: number;
  /** Problems of the newest text on disk. With an error among them the good registry before it still serves. */
  problems: RegistryProblem[];
  serving: 'current' | 'previous';
}

// --- one call ------------------------------------------------------------------------------------------------------

export interface Step {
  boundary: string;
  outcome: 'passed' | 'rewrote' | 'refused';
  ms: number;
}

export interface Attempt {
  /** Unique over all time; sent to services as `Idempotency-Key`. */
  id: string;
  route: string;
  endpoint: string | null;
  startedAt: number;
  durationMs: number;
  status: number | null;
  error: ErrorCode | null;
}

/** What left this machine, or would. */
export interface Departure {
  host: string;
  egress: Egress;
  bytes: number;
}

/**
 * One Ed25519 signature over the Merkle root (RFC 6962 hashing) of the crossings finished together. `value` signs
 * the root; `path` leads from this crossing's leaf to it, empty when it was alone. All base64url.
 */
export interface Signature {
  alg: 'Ed25519';
  /** SHA-256 of the raw public key, first 16 hex digits. */
  key: string;
  value: string;
  leaf: number;
  size: number;
  path: string[];
}

/** The record one call leaves. */
export interface Crossing {
  id: string;
  ok: boolean;
  route: string | null;
  /** What the route answered; null when `ok` is false. */
  result: unknown;
  error: WireError | null;
  /** Why this route, in words. */
  why: string;
  /** 0..1; 1 for a named route; null when no route was found. */
  confidence: number | null;
  job: string | null;
  audit: { seq: number; hash: string } | null;
  durationMs: number;
  at: number;
  door: Door;
  caller: string;
  text: string | null;
  parent: string | null;
  /** W3C traceparent of this crossing. */
  traceparent: string;
  boundaries: Step[];
  attempts: Attempt[];
  left: Departure[];
  mock: boolean;
  /** Nothing ran: this is the answer of an earlier call under the same idempotency key. */
  replayed?: { job: string; crossing: string; how: 'attached' | 'replayed' };
  /** Set by a runner; only the adapter that can honour one does. */
  directives?: { halt?: number; html?: string; raw?: { contentType: string; base64: string } };
  signature: Signature | null;
}

// --- the dry run -------------------------------------------------------------------------------------------------

export interface RankedRoute {
  route: string;
  confidence: number;
  reason: string;
}

/** The whole decision about a text or a route, nothing called and no name looked up. */
export interface Resolution {
  route: string | null;
  confidence: number | null;
  why: string;
  abstained: boolean;
  /** The route was taken because the operator abstained and the registry has a fallback. */
  usedFallback: boolean;
  ranked: RankedRoute[];
  rules: { pattern: string; route: string; priority: number; order: number; line: number | null; matched: string; won: boolean }[];
  breaker: BreakerState | null;
  health: HealthStatus | null;
  limits: { remaining: number; perSecond: number; burst: number; retryAfterMs: number } | null;
  egress: { egress: Egress; host: string | null; allowed: boolean; reason: string } | null;
  /** What dispatching it now would be refused with. */
  refusal: WireError | null;
  /** Median of the last calls of this route; null when it has none. */
  expectedMs: number | null;
  /** Of a route that needs a model: what would be loaded, evicted or waited for. */
  plan: Resolved | null;
}

// --- jobs -----------------------------------------------------------------------------------------------------------

/**
 * queued: its turn has not come (lane, concurrency). waiting: something has to happen first, by `waits.until` at the latest (backoff, a callback).
 * unknown: it was cut off between send and answer.
 */
export type JobState = 'queued' | 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'unknown';

/** Why a job does not run now. */
export interface Waits {
  kind: 'lane' | 'concurrency' | 'retry' | 'callback' | 'suspect' | 'gpu';
  /** One sentence: `job_12 runs in the lane stories`. */
  reason: string;
  /** When it goes on by itself, or is given up for `callback`; null when that depends on others. */
  until: number | null;
  /** How many go before it, 0 for the next one; null where there is no line. */
  position: number | null;
}

export interface Job {
  id: string;
  crossing: string;
  state: JobState;
  route: string | null;
  text: string | null;
  door: Door;
  caller: string;
  createdAt: number;
  startedAt: number | null;
  finishedAt: number | null;
  durationMs: number | null;
  /** 0..1 as the service reports it. */
  progress: number | null;
  progressNote: string | null;
  confidence: number | null;
  why: string;
  errorCode: ErrorCode | null;
  errorMessage: string | null;
  auditSeq: number | null;
  cancelRequestedAt: number | null;
  waits: Waits | null;
  lane: string | null;
  /** What it is about, where that limits how often: `story:STORY-001`. */
  subject: string | null;
  /** How often it was started. */
  starts: number;
}

/** One thing that happened to a job, for its timeline. */
export interface JobEvent {
  at: number;
  kind: 'queued' | 'waiting' | 'started' | 'retried' | 'cancel_requested' | 'progress' | 'restored' | 'replayed' | 'callback' | 'ended';
  detail: string;
}

/** One try to hand a result to its callback URL. `status` null: no answer. */
export interface DeliveryAttempt {
  at: number;
  durationMs: number;
  status: number | null;
  error: string | null;
}

/** A result on its way to a callback URL (Standard Webhooks). */
export interface Delivery {
  /** The `webhook-id`, the same in every attempt. */
  id: string;
  job: string;
  url: string;
  state: 'pending' | 'delivered' | 'dead';
  attempts: DeliveryAttempt[];
  createdAt: number;
  /** When it is tried next; null when it is not. */
  nextAt: number | null;
  /** The bytes that are signed and sent. */
  body: string;
}

/** A job's idempotency key, and what came under it since. */
export interface KeyUse {
  key: string;
  /** Derived from the content (RFC 8785) instead of given. */
  content: boolean;
  /** SHA-256 (hex) of the canonical JSON of what was asked. */
  bodyHash: string;
  expiresAt: number;
  /** Later calls under this key, oldest first. `differed`: paths of the members that were not the same. */
  uses: { at: number; crossing: string; outcome: 'attached' | 'replayed' | 'mismatch'; differed: string[] }[];
}

export interface JobDetail extends Job {
  params: unknown;
  attempts: Attempt[];
  /** What it answered, null while it has not or when it failed; large ones are cut and say so. */
  result: unknown;
  error: WireError | null;
  /** The whole crossing once there is one; large results are cut and say so. */
  record: Crossing | null;
  events: JobEvent[];
  key: KeyUse | null;
  deliveries: Delivery[];
}

/** What was found at start, and what was done with it. */
export interface BootReport {
  at: number;
  /** The last core ended without saying goodbye. */
  crashed: boolean;
  /** Jobs that stood in line or waited, and do so again. */
  restored: string[];
  /** Jobs of idempotent services that were cut off, and run again. */
  again: string[];
  /** Jobs that were cut off and are `unknown` now. */
  unknown: string[];
  /** Jobs that were running at three crashes, and are not tried again. */
  dead: string[];
  /** Jobs that cannot go on: their route is gone, or the grid they were a step of was cut off. */
  lost: string[];
  /** Deliveries that go on. */
  deliveries: number;
}

/** A lane, or a service with a bound on its calls at one time, while something runs or stands in it. */
export interface Lane {
  name: string;
  kind: 'lane' | 'concurrency';
  capacity: number;
  running: string[];
  /** In the order they will start. */
  queued: string[];
}

// --- MCP servers --------------------------------------------------------------------------------------------------

/**
 * unapproved: nothing was started, and nothing will be. idle: approved, not running now. starting, ready. failed: `detail` says why.
 */
export type McpState = 'unapproved' | 'idle' | 'starting' | 'ready' | 'failed';

export interface McpTool {
  name: string;
  /** The route it is: MCP.<server>.<name>. */
  route: string;
  description: string | null;
  /** JSON Schema of its arguments. */
  inputSchema: unknown;
  /** changed: its definition is not the approved one, so it is not called until somebody approves it again. */
  approval: 'approved' | 'changed' | 'new';
  /** Of a changed one: what was approved. */
  before?: { description: string | null; inputSchema: unknown };
}

export interface McpServer {
  name: string;
  transport: 'stdio' | 'http';
  /** The whole argv in words, or the URL. */
  target: string;
  state: McpState;
  detail: string | null;
  approved: boolean;
  tools: McpTool[];
  pid: number | null;
  startedAt: number | null;
}

// --- the orchestrator behind podium ----------------------------------------------------------------------------------

/** The stream of one podium service. What it said is passed through as it came. */
export interface PodiumState {
  route: string;
  connected: boolean;
  /** When the next try to connect is made; null while connected. */
  retryAt: number | null;
  detail: string | null;
  /** The newest QUEUE_UPDATE, AGENT_STATUS of each agent and STORY_STATUS of each story, as they came. */
  queue: unknown;
  agents: Record<string, unknown>;
  stories: Record<string, unknown>;
  at: number | null;
}

// --- health, breakers, gpu ---------------------------------------------------------------------------------------

/** unknown: never probed or not probed for long; slow and failing answers are degraded; no answer at all is down. */
export type HealthStatus = 'healthy' | 'degraded' | 'down' | 'unknown';

export interface Health {
  route: string;
  status: HealthStatus;
  /** What was found, in words: `200 in 12 ms`, `connection refused`, `503: queue paused`. */
  reason: string;
  latencyMs: number | null;
  checkedAt: number | null;
  since: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: string | null;
  /** Endpoint hosts that share one root cause, so that a dead machine is one incident. */
  incident: string | null;
}

export interface HealthSample {
  at: number;
  status: HealthStatus;
  latencyMs: number | null;
}

export interface BreakerState {
  endpoint: string;
  state: 'closed' | 'open' | 'half-open';
  forced: boolean;
  failures: number;
  openedAt: number | null;
  retryAt: number | null;
  /** Routes that go through this endpoint. */
  routes: string[];
}

export interface GpuDevice {
  id: string;
  name: string;
  vendor: 'nvidia' | 'amd' | 'apple';
  source: string;
  memoryTotalBytes: number | null;
  memoryUsedBytes: number | null;
  /** How the two are known: what a program may have of unified memory is estimated. */
  memorySource: { total: FigureSource; used: FigureSource };
  /** 0..1. */
  utilization: number | null;
  temperatureC: number | null;
  powerW: number | null;
  processes: { pid: number; name: string; memoryUsedBytes: number | null }[];
  /** A pretended card of the demo. */
  demo: boolean;
}

export interface GpuState {
  probedAt: number | null;
  devices: GpuDevice[];
  /** What each probe found or why it found nothing: `nvidia-smi: not installed`. */
  probes: { name: string; found: boolean; detail: string }[];
}

// --- audit ----------------------------------------------------------------------------------------------------------

export type AuditKind = 'intent' | 'outcome' | 'rejected' | 'replayed' | 'change';

export interface AuditEntry {
  seq: number;
  at: number;
  kind: AuditKind;
  crossing: string | null;
  job: string | null;
  caller: string;
  door: Door;
  route: string | null;
  /** For outcome: `ok` or the error code. For change: what was changed. */
  outcome: string | null;
  /** JSON text, redacted, cut to 8 KiB with the digest of the whole beside it. */
  detail: string;
  /** SHA-256 (hex) of the whole detail before it was cut; empty when it is whole. */
  digest: string;
  previous: string;
  hash: string;
}

export interface VerifyReport {
  ok: boolean;
  rows: number;
  firstSeq: number | null;
  lastSeq: number | null;
  head: string | null;
  checkpoints: number;
  /** Days that are sealed, with those that were pruned since. */
  segments: number;
  /** Rows from 1 to `lastSeq` were pruned, as the chain and its signed checkpoints say; null: none. */
  pruned: { segments: number; lastSeq: number; at: number; by: string } | null;
  durationMs: number;
  /** The first thing found wrong: which row, which column if it can be told, in words. */
  fault: { seq: number | null; message: string } | null;
}

// --- the state a front draws --------------------------------------------------------------------------------------

export interface CoreSelf {
  pid: number;
  version: string;
  startedAt: number;
  cpuPercent: number;
  memoryBytes: number;
  home: string;
  demo: boolean;
  mock: boolean;
  url: string | null;
}

export interface TokenInfo {
  id: string;
  name: string;
  capabilities: Capability[];
  createdAt: number;
  lastUsedAt: number | null;
}

export interface Sovereign {
  on: boolean;
  since: number | null;
  by: string | null;
}

export interface RouteSummary extends Route {
  calls: number;
  p50Ms: number | null;
  p95Ms: number | null;
  lastError: string | null;
  lastCallAt: number | null;
}

export interface Snapshot {
  seq: number;
  self: CoreSelf;
  sovereign: Sovereign;
  registry: RegistryState;
  orgs: Org[];
  routes: RouteSummary[];
  rules: Rule[];
  health: Health[];
  breakers: BreakerState[];
  gpu: GpuState;
  /** The newest jobs, those that have not ended always among them, up to a thousand. */
  jobs: Job[];
  lanes: Lane[];
  mcp: McpServer[];
  podium: PodiumState[];
  cortex: CortexState;
  boot: BootReport | null;
  /** `running`: those that have not ended; `queued` of them wait. */
  counts: { running: number; queued: number; jobs: number; audit: number };
  /** The newest signals, oldest first. */
  signals: { seq: number; at: number; signal: string }[];
}
