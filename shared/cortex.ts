/**
 * Models, the memory they need and who may use them. Sizes are bytes, times are milliseconds since the epoch and spans are milliseconds
 * unless a name says otherwise; unknown is null.
 */
import type { WireError } from './errors.ts';
import type { Egress, ServiceAuth } from './model.ts';

/** measured: a tool of the device said it. reported: the server that holds it said it. estimated: the registry, or a rule of thumb. */
export type FigureSource = 'measured' | 'reported' | 'estimated';

export interface Figure {
  bytes: number;
  source: FigureSource;
}

// --- what there is ----------------------------------------------------------------------------------------------------

/** Who starts and ends a provider's models. `openai` is a server that is always warm: nothing is loaded or unloaded there. */
export type ControllerSpec =
  | { kind: 'ollama' }
  | { kind: 'llama-swap' }
  | { kind: 'openai' }
  /** `socket`: path of the Docker or Podman API; null: the usual places. */
  | { kind: 'container'; container: string; socket: string | null }
  | { kind: 'command'; start: string[]; stop: string[] };

/** One size in which a provider offers what it can. */
export interface Tier {
  /** `70B`. */
  name: string;
  /** What its server calls it. */
  model: string;
  /** What it takes on a device; 0 for what runs elsewhere. null: nobody knows, so it cannot be planned. */
  vram: Figure | null;
  /** Longest context in tokens. */
  context: number | null;
  /** How long a load takes, learned or declared. */
  loadMs: number;
}

/** A container, model server or remote API that offers capabilities at one or more tiers, and has at most one of them resident. */
export interface Provider {
  name: string;
  description: string | null;
  controller: ControllerSpec;
  /** Base URL of its API, without `/v1`. */
  endpoint: string;
  egress: Egress;
  auth: ServiceAuth | null;
  /** Sorted: `text-generation`, `vision-analysis`. */
  capabilities: string[];
  /** Best first, never empty. */
  tiers: Tier[];
  /** Routes that are granted together with it, while it is warm. */
  tools: string[];
  /** Two providers may be resident together when they share a group, or when one of them is in none. */
  groups: string[];
  /** Ids of the devices it may be on; empty: any. */
  devices: string[];
  /** 0..100: idle, it makes room only for a need of at least this priority. */
  priority: number;
  /** It is never evicted: the sidecar. */
  pinned: boolean;
  /** Calls that it takes at one time; null: any number. */
  concurrency: number | null;
  /** It is unloaded when nobody used it for so long; null: never. */
  idleMs: number | null;
  /** How long what runs may take to end before an unload gives up, and how long a load may take. */
  drainMs: number;
  warmMs: number;
  /** How long an unload takes. */
  stopMs: number;
  settings: ModelSettings;
  origin: { kind: 'registry' | 'compose' | 'quadlet' | 'running'; file: string | null; line: number | null };
  demo: boolean;
}

/** Bounds and defaults of the requests under a grant. Defaults: 0.7, 0.9, 4096 tokens. */
export interface ModelSettings {
  temperature: number;
  top_p: number;
  max_tokens: number;
}

/** A unit that cannot be read; what else its file holds still counts. */
export interface InvalidUnit {
  file: string;
  line: number | null;
  unit: string;
  message: string;
}

// --- what is asked ----------------------------------------------------------------------------------------------------

/** Seed 001's context: how much it hurts to wait. The weights are in `cortex/resolve-room.ts`. */
export type NeedContext = 'speech' | 'interactive' | 'background' | 'training';

export interface Need {
  /** Sorted, without repetition; empty only where `model` is given. */
  capabilities: string[];
  /** At least this tier, where a provider has one of the name; providers that have none are no candidates. */
  tier: string | null;
  /** This model or provider and no other. */
  model: string | null;
  /** 0..100; 50 if nobody said. Below 40 nothing is evicted for it. */
  priority: number;
  context: NeedContext;
  /** Tokens that have to fit. */
  contextTokens: number | null;
  /** Never for remote providers. */
  sensitive: boolean;
  /** How far it may go at most. */
  egress: Egress;
}

// --- the world as resolve sees it -------------------------------------------------------------------------------------

export interface World {
  /** Rises with every change. */
  version: number;
  at: number;
  sovereign: boolean;
  /** Empty: no device is known, so memory is not budgeted. */
  devices: WorldDevice[];
  providers: Provider[];
  residents: Resident[];
  /** Providers that cannot be had now, and why in words: its server is down, three loads failed. */
  unavailable: Unavailable[];
  /** Added to the cost of every swap: how reluctant to change what runs. */
  inertiaMs: number;
}

export interface Unavailable {
  provider: string;
  reason: string;
  /** Nobody knows yet, and soon somebody will: its server was asked for the first time. */
  soon?: true;
}

export interface WorldDevice {
  id: string;
  name: string;
  /** null: not known, so nothing is budgeted on it. */
  total: Figure | null;
  /** What programs hold that are no residents. */
  others: Figure;
  /** Kept free for the sidecar while it is not resident. */
  reservedBytes: number;
}

/** What is, or is about to be, in memory. */
export interface Resident {
  provider: string;
  tier: string;
  model: string;
  /** null: on none that is known. */
  device: string | null;
  vram: Figure | null;
  phase: 'warming' | 'warm' | 'draining';
  /** Of those who use it now. While there is one it is not evicted. */
  leases: { id: string; priority: number /** When it ends at the latest; null: open. */; until: number | null }[];
  /** Of the last who used it, or the provider's: what a need has to reach to have it evicted. */
  priority: number;
  pinned: boolean;
  /** Cost of losing it: ending it, loading it again, and reading again what its cache holds. */
  stopMs: number;
  reloadMs: number;
  contextMs: number;
  /** When it is unloaded if nobody uses it; null: never. */
  idleAt: number | null;
  /** Other providers that have the very same model of the same server: what unloads one of them unloads all. */
  sharedWith?: string[];
}

// --- the answer -------------------------------------------------------------------------------------------------------

export interface Assignment {
  capability: string;
  provider: string;
  tier: string;
  model: string;
  device: string | null;
  egress: Egress;
  /** As it is now. */
  phase: 'warm' | 'warming' | 'cold';
}

export interface PlannedLoad {
  provider: string;
  tier: string;
  model: string;
  device: string | null;
  vram: Figure | null;
  loadMs: number;
}

export interface Eviction {
  provider: string;
  tier: string;
  model: string;
  device: string | null;
  frees: Figure | null;
  /** memory: its place is needed. group: it may not stand beside the plan. tier: another tier of the same provider comes. */
  cause: 'memory' | 'group' | 'tier';
  stopMs: number;
  reloadMs: number;
  contextMs: number;
}

export interface Rejected {
  provider: string;
  tier: string | null;
  reason: string;
}

/**
 * grant: it can be had now, after `evictions` and `loads`. wait: it could be had once others let go; `assignments`, `loads` and `evictions` say
 * what would be done then. refusal: it cannot be had as things are, and `error` says why.
 */
export interface Resolved {
  outcome: 'grant' | 'wait' | 'refusal';
  need: Need;
  assignments: Assignment[];
  loads: PlannedLoad[];
  evictions: Eviction[];
  /** From now until it is warm, as far as can be known. */
  etaMs: number | null;
  /** Leases that have to end first. */
  waitsFor: string[];
  /** A lower tier than the best, and what is in the way of that one. */
  downgrade: { provider: string; from: string; to: string; cause: string } | null;
  error: WireError | null;
  /** Why this, in sentences with numbers, the most important first. */
  reasons: string[];
  rejected: Rejected[];
  /** Of the world that it was resolved in. */
  version: number;
}

// --- leases and grants ------------------------------------------------------------------------------------------------

/** Who may use models now. It keeps them in memory. */
export interface Lease {
  id: string;
  /** `job`: one run of it. `grant`: as long as the grant. `load`: somebody asked for it to be loaded. */
  holder: { kind: 'job' | 'grant' | 'load'; id: string };
  caller: string;
  /** What it is for, in words of whoever asked: a grant's task. null: nobody said. */
  task: string | null;
  models: { provider: string; tier: string; model: string; device: string | null }[];
  priority: number;
  since: number;
  until: number | null;
  /** animating: what it needs is being loaded. */
  state: 'animating' | 'held';
}

/** Who stands in line for models. */
export interface GpuWaiter {
  /** Of the lease it wants. */
  id: string;
  holder: Lease['holder'];
  caller: string;
  task: string | null;
  need: Need;
  since: number;
  /** 0 for the next one. */
  position: number;
  /** When it should have them; null when that cannot be said. */
  eta: number | null;
  reason: string;
  waitsFor: string[];
}

/** Seed 001's grant. Its members are named as its users know them. */
export interface Grant {
  id: string;
  task: string;
  caller: string;
  base_url: string;
  /** Shown once, to whoever asked for it. */
  api_key: string | null;
  /** What `model` may be under it: the bound models, by what they can do. */
  models: { model: string; provider: string; tier: string; capabilities: string[]; device: string | null; egress: Egress }[];
  /** Routes that may be called under it. */
  tools: string[];
  settings: ModelSettings;
  created_at: number;
  expires_at: number;
  revoked: { at: number; why: string } | null;
  requests: number;
  reasons: string[];
}

// --- what fronts draw -------------------------------------------------------------------------------------------------

/** error: the last load or pulse failed. halted: three loads failed, and nobody tries again until somebody says so. unknown: its server does not answer. */
export type ModelPhase = 'warm' | 'warming' | 'draining' | 'cold' | 'error' | 'halted' | 'unknown';

/** How busy a server is with calls of anybody, as it says itself. */
export interface Usage {
  running: number | null;
  waiting: number | null;
  /** Of the key-value cache, 0..1. */
  cacheShare: number | null;
}

/** One tier of one provider, as it stands. */
export interface ModelState {
  provider: string;
  tier: string;
  model: string;
  capabilities: string[];
  egress: Egress;
  phase: ModelPhase;
  /** In words: `loading for 3 s`, `connection refused`. */
  detail: string | null;
  device: string | null;
  vram: Figure | null;
  loadMs: number;
  /** With `loadMs` what losing it costs: how long an unload takes, and to read again what its cache holds (0 while it is not in memory). */
  stopMs: number;
  contextMs: number;
  /** Of `openai` nothing is loaded or unloaded. */
  controller: ControllerSpec['kind'];
  leases: string[];
  /** How many stand in line for it. */
  waiting: number;
  /** Of its whole server, told once a provider; null: it does not say. */
  usage: Usage | null;
  idleAt: number | null;
  lastUsedAt: number | null;
  pinned: boolean;
  groups: string[];
  origin: Provider['origin'];
  demo: boolean;
}

export interface DeviceBudget {
  id: string;
  name: string;
  total: Figure | null;
  used: Figure | null;
  /** Models, largest first. */
  models: { provider: string; tier: string; vram: Figure | null }[];
  others: Figure;
  reservedBytes: number;
  /** null where the total is not known. */
  freeBytes: number | null;
  utilization: number | null;
  temperatureC: number | null;
  powerW: number | null;
  /** A pretended card of the demo. */
  demo: boolean;
}

/** A named set of model servers that share a purpose (BIG, FAST): which providers are in it and what of them is warm. */
export interface Pool {
  name: string;
  endpoint: string;
  providers: string[];
  warm: string[];
  waiting: number;
}

/** A reading that is too high, with hysteresis, so that one at the border is one alert. */
export interface GpuAlert {
  device: string;
  what: 'temperature' | 'memory';
  level: 'warning' | 'critical';
  since: number;
  /** In words with numbers: `83 °C, over 80 °C`. */
  message: string;
}

export interface GpuSample {
  at: number;
  device: string;
  usedBytes: number | null;
  utilization: number | null;
  temperatureC: number | null;
  powerW: number | null;
}

export interface CortexState {
  version: number;
  devices: DeviceBudget[];
  models: ModelState[];
  /** The first of each; how many more there are is in `unlisted`. */
  leases: Lease[];
  queue: GpuWaiter[];
  unlisted: { leases: number; queue: number };
  /** Without their keys. */
  grants: Grant[];
  pools: Pool[];
  alerts: GpuAlert[];
  invalid: InvalidUnit[];
  /** Who offers what, whether it can be had now or not; both sorted. */
  capabilities: { capability: string; providers: string[] }[];
  /** Of each provider that could be loaded: who would have to go because they share no group, sorted. Nobody: the transition is free. */
  transitions: { provider: string; banishes: string[] }[];
  sidecar: { provider: string; state: ModelPhase } | null;
}

/** What discovery found, and how the registry would name it. */
export interface Discovered {
  endpoint: string;
  kind: 'ollama' | 'llama-swap' | 'llama.cpp' | 'vllm' | 'openai';
  models: { model: string; capabilities: string[]; vram: Figure | null; resident: boolean }[];
  /** The registry names it already. */
  known: boolean;
  /** YAML below `providers:`. */
  proposal: string;
}

export const emptyCortex: CortexState = {
  version: 0,
  devices: [],
  models: [],
  leases: [],
  queue: [],
  unlisted: { leases: 0, queue: 0 },
  grants: [],
  pools: [],
  alerts: [],
  invalid: [],
  capabilities: [],
  transitions: [],
  sidecar: null,
};
