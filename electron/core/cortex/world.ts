/** The world as it is now: providers from every source, what is resident, what cannot be had. Leases are the schedule's. */
import type { InvalidUnit, ModelPhase, Provider, Resident, World } from '../../../shared/cortex.ts';
import type { Controller } from '../providers/controller.ts';

/** What only whoever loads and unloads knows, until the server says it too. */
export type Note =
  | { phase: 'warming'; resident: Resident }
  | { phase: 'warm'; resident: Resident }
  | { phase: 'draining' }
  | { phase: 'gone' }
  /** It is unavailable until another note, or until `until`. */
  | { phase: 'error' | 'halted'; detail: string; until: number | null };

export interface WorldSource extends AsyncDisposable {
  world(): World;
  provider(name: string): Provider | null;
  controller(provider: string): Controller | null;
  phase(provider: string): { phase: ModelPhase; detail: string | null };
  invalid(): InvalidUnit[];
  /** Capability to the names of the providers that have it, sorted. */
  index(): Record<string, string[]>;
  note(provider: string, note: Note): void;
  /** It was used until now: its idle time starts again. */
  used(provider: string, about: { priority: number }): void;
  /** Asks its server again; resolves when that is in the world. Never rejects. */
  refresh(provider: string): Promise<void>;
  /** The registry changed. */
  configure(): void;
  start(): void;
}
