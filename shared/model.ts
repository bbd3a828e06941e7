/** What the system talks about. Times are milliseconds since the epoch unless a name says otherwise; unknown is null. */
import type { ErrorCode, WireError } from './errors.ts';

export type Egress = 'local' | 'lan' | 'remote';
export type RouteKind = 'http' | 'flow' | 'tool' | 'mcp' | 'model' | 'podium' | 'operation' | 'grid';
export type Door = 'cli' | 'http' | 'ws' | 'app' | 'webhook' | 'library' | 'core';

/** What a principal may do: `read` the state, `dispatch` to services, `admin` the registry, switch, tokens and breakers. */
export type Capability = 'read' | 'dispatch' | 'admin';

export interface Principal {
  id: string;
  name: string;
  capabilities: readonly Capability[];
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
  /** Route name tried when the endpoint cannot be reached or its breaker is open. */
  fallback: string | null;
  provider: string | null;
  model: string | null;
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

export interface CallLimits {
  perSecond: number;
  burst: number;
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
}

// --- jobs -----------------------------------------------------------------------------------------------------------

export type JobState = 'accepted' | 'running' | 'succeeded' | 'failed' | 'cancelled' | 'unknown';

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
  waits: string | null;
}

export interface JobDetail extends Job {
  params: unknown;
  attempts: Attempt[];
  /** The whole crossing once there is one; large results are cut and say so. */
  record: Crossing | null;
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
  /** 0..1. */
  utilization: number | null;
  temperatureC: number | null;
  powerW: number | null;
  processes: { pid: number; name: string; memoryUsedBytes: number | null }[];
}

export interface GpuState {
  probedAt: number | null;
  devices: GpuDevice[];
  /** What each probe found or why it found nothing: `nvidia-smi: not installed`. */
  probes: { name: string; found: boolean; detail: string }[];
}

// --- audit ----------------------------------------------------------------------------------------------------------

export type AuditKind = 'intent' | 'outcome' | 'rejected' | 'change';

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
  /** SHA-256 (hex) of the whole detail before it was cut. */
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
  /** The newest jobs, running ones always among them. */
  jobs: Job[];
  counts: { running: number; jobs: number; audit: number };
  /** The newest signals, oldest first. */
  signals: { seq: number; at: number; signal: string }[];
}
