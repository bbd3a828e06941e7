/** The world as it is now: providers from every source, what is resident, what cannot be had. Leases are the schedule's. */
import type { InvalidUnit, ModelPhase, Provider, Usage, World } from '../../../shared/cortex.ts';
import type { GpuState, Registry } from '../../../shared/model.ts';
import type { Controller, ControllerParts, CreateController } from '../providers/controller.ts';
import type { Budget } from './budget.ts';
import { type Merged, merge, type Note, type Noted } from './merge.ts';
import { watchUnits } from './scan-watch.ts';
import { createServers, type Paces, paces } from './servers.ts';

export type { Note } from './merge.ts';

export interface WorldSource extends AsyncDisposable {
  world(): World;
  provider(name: string): Provider | null;
  controller(provider: string): Controller | null;
  phase(provider: string): { phase: ModelPhase; detail: string | null };
  invalid(): InvalidUnit[];
  /** How busy its server is; null: it does not say. */
  usage(provider: string): Usage | null;
  note(provider: string, note: Note): void;
  /** It was used until now: its idle time starts again. */
  used(provider: string, about: { priority: number }): void;
  /** Asks its server again; resolves when that is in the world. Never rejects. */
  refresh(provider: string): Promise<void>;
  /** The registry changed, or the sovereign switch was turned. */
  configure(): void;
  start(): void;
}

/** What whoever wires it needs besides. */
export interface LiveWorld extends WorldSource {
  /** The devices were read again. */
  sensed(): void;
  /** Resolves when every server has been asked once. */
  ready(): Promise<void>;
}

export interface WorldOptions {
  registry(): Registry;
  createController: CreateController;
  parts: ControllerParts;
  gpu: { state(): GpuState; probe(): Promise<unknown> };
  budget: Pick<Budget, 'footprint' | 'loadMs' | 'devices'>;
  sovereign(): boolean;
  /** Of the schedule. */
  now(): number;
  /** Called at the end of a turn in which something changed, with the world as it is then. */
  onChange(world: World): void;
  /** A server is as busy as it was not before, which is no part of the world. */
  onUsage?(): void;
  /** How often servers are asked; the default is right for everything but tests. */
  paces?: Paces;
}

/** Kept for the sidecar where nobody knows what it takes. FACTS.md: one to two GB. */
const SIDECAR_BYTES = 2 * 1024 ** 3;
/** Answers of a server in a row that contradict a note before they are believed: some are late to say what they did. */
const CONTRADICTIONS = 2;

type Content = Omit<World, 'version' | 'at'>;

export function createWorldSource(options: WorldOptions): LiveWorld {
  const { registry, parts, gpu, budget, sovereign, now, onChange } = options;
  const notes = new Map<string, Noted & { contradicted: number }>();
  /** `shown`: the time of use that the world was last built with. */
  const uses = new Map<string, { at: number; priority: number | null; shown: number }>();
  const homes = new Map<string, string | null>();
  const controllers = new Map<string, { key: string; controller: Controller }>();
  let declared: Provider[] = [];
  let conflicts: InvalidUnit[] = [];
  let merged: Merged | null = null;
  let content: Content | null = null;
  let text = '';
  let version = 0;
  let stale = true;
  let told = 0;
  let telling = false;
  let expiry: NodeJS.Timeout | null = null;
  let disposed = false;
  let epochMs = parts.clock() - now();

  const servers = createServers({
    createController: options.createController,
    parts,
    paces: options.paces ?? paces,
    onSaid({ news, residents, usage }) {
      const settled = settleNotes();
      if (news || settled) changed();
      if (usage) options.onUsage?.();
      // What was loaded or unloaded by somebody else takes, or gives back, memory.
      if (residents) void gpu.probe();
    },
  });
  const units = watchUnits({
    onChange() {
      configure();
    },
  });

  function configure(): void {
    const { providers, cortex } = registry();
    units.follow(cortex.scan);
    const names = new Map(providers.map((provider) => [provider.name, provider]));
    declared = [...providers];
    conflicts = [];
    for (const unit of units.providers()) {
      const other = names.get(unit.name);
      if (other) {
        const where = other.origin.file === null ? 'the registry' : `${other.origin.file}, line ${other.origin.line}`;
        const { file, line } = unit.origin;
        conflicts.push({ file: file ?? '', line, unit: unit.name, message: `There is a provider ${unit.name} already, in ${where}.` });
        continue;
      }
      names.set(unit.name, unit);
      declared.push(unit);
    }
    declared = declared.map((provider) => {
      const { controller } = provider;
      if (controller.kind !== 'container' || controller.socket !== null) return provider;
      return { ...provider, controller: { ...controller, socket: cortex.containerSocket } };
    });
    servers.configure(declared);
    changed();
  }

  /** Drops the notes that a server has confirmed or outlived. True when one was dropped. */
  function settleNotes(): boolean {
    let dropped = false;
    for (const [name, noted] of notes) {
      const { note, question } = noted;
      if (note.phase !== 'warm' && note.phase !== 'gone') continue;
      const owner = merged?.declaredAs.get(name);
      const said = owner && servers.said(owner);
      if (!said || said.question <= question) continue;
      const says = merge({ ...sources(), noted: () => null }).residents.filter(({ provider }) => provider === name);
      const same =
        note.phase === 'gone' ? says.length === 0 : says.some(({ tier, phase }) => tier === note.resident.tier && phase === 'warm');
      noted.question = said.question;
      if (!same && ++noted.contradicted < CONTRADICTIONS) continue;
      notes.delete(name);
      dropped = true;
    }
    return dropped;
  }

  /** Steady, although two clocks are read: else whatever is counted from it would waver. */
  function epochOffset(): number {
    const current = parts.clock() - now();
    if (Math.abs(current - epochMs) > 1000) epochMs = current;
    return epochMs;
  }

  const invalid = (): InvalidUnit[] => [...units.invalid(), ...conflicts];

  function sources() {
    const { devices } = gpu.state();
    return {
      declared,
      said: servers.said,
      noted: (name: string) => notes.get(name) ?? null,
      used: (name: string) => uses.get(name) ?? null,
      footprint: budget.footprint,
      loadMs: budget.loadMs,
      secret: parts.secret,
      home: (provider: string, tier: string) => homes.get(JSON.stringify([provider, tier])),
      onlyDevice: devices.length === 1 ? devices[0]!.id : null,
      sidecar: registry().cortex.sidecar?.provider ?? null,
      now: now(),
      epochMs: epochOffset(),
    };
  }

  /** Something may have changed; who listens is told at the end of this turn if it has. */
  function changed(): void {
    stale = true;
    if (telling || disposed) return;
    telling = true;
    queueMicrotask(() => {
      telling = false;
      if (disposed) return;
      rebuild();
      if (told === version) return;
      told = version;
      onChange(world());
    });
  }

  function rebuild(): Content {
    if (!stale && content !== null) return content;
    stale = false;
    merged = merge(sources());
    keepTime(merged);
    const { providers, residents, unavailable } = merged;
    const { cortex } = registry();
    const reserved = reserveFor(merged, cortex.sidecar?.provider ?? null);
    const next: Content = {
      sovereign: sovereign(),
      devices: budget.devices(gpu.state(), residents, reserved),
      providers,
      residents,
      unavailable,
      inertiaMs: cortex.inertiaMs,
    };
    // What is no part of the world, but shown beside it, is a change as well.
    const nextText = JSON.stringify([next, [...merged.phases], invalid()]);
    if (nextText !== text) {
      text = nextText;
      content = next;
      version++;
    }
    arm();
    return content ?? next;
  }

  /** When each came into memory: it goes if nobody uses it for so long. */
  function keepTime({ residents }: Merged): void {
    const at = now();
    const there = new Set(residents.map(({ provider }) => provider));
    for (const name of uses.keys()) if (!there.has(name)) uses.delete(name);
    for (const name of there) if (!uses.has(name)) uses.set(name, { at, priority: null, shown: at });
    for (const use of uses.values()) use.shown = use.at;
  }

  /** What is kept free for the sidecar, on the device that it would be on, while it is not resident. */
  function reserveFor({ providers, residents }: Merged, name: string | null): (device: string) => number {
    const sidecar = providers.find((provider) => provider.name === name);
    if (sidecar?.egress !== 'local' || residents.some(({ provider }) => provider === name)) return () => 0;
    const { devices } = gpu.state();
    const largest = [...devices].sort((a, b) => (b.memoryTotalBytes ?? 0) - (a.memoryTotalBytes ?? 0))[0]?.id ?? null;
    const place = sidecar.devices.find((id) => devices.some((device) => device.id === id)) ?? largest;
    const bytes = sidecar.tiers[0]?.vram?.bytes ?? SIDECAR_BYTES;
    return (device) => (device === place ? bytes : 0);
  }

  /** The next note that ends by itself. */
  function arm(): void {
    if (expiry) clearTimeout(expiry);
    expiry = null;
    let next: number | null = null;
    for (const [name, { note }] of notes) {
      if ((note.phase !== 'error' && note.phase !== 'halted') || note.until === null) continue;
      if (note.until <= now()) notes.delete(name);
      else next = Math.min(next ?? note.until, note.until);
    }
    if (next !== null && !disposed) expiry = setTimeout(changed, Math.min(2 ** 31 - 1, Math.max(1, Math.ceil(next - now())))).unref();
  }

  function world(): World {
    const whole = rebuild();
    return { ...whole, version, at: now() };
  }

  const find = (name: string) => rebuild().providers.find((provider) => provider.name === name) ?? null;

  configure();

  return {
    world,
    provider: find,
    controller(name) {
      const provider = find(name);
      if (provider === null) return null;
      // What is learned of a model is no reason for another controller.
      const tiers = provider.tiers.map(({ name, model }) => ({ name, model }));
      const key = JSON.stringify({ ...provider, tiers });
      const known = controllers.get(name);
      if (known?.key === key) return known.controller;
      const controller = options.createController(provider, parts);
      controllers.set(name, { key, controller });
      for (const other of controllers.keys()) if (find(other) === null) controllers.delete(other);
      return controller;
    },
    phase(name) {
      rebuild();
      const phase = merged?.phases.get(name) ?? { phase: 'unknown', detail: `there is no provider ${name}` };
      const noted = notes.get(name);
      if (phase.phase !== 'warming' || noted?.note.phase !== 'warming') return phase;
      return { phase: 'warming', detail: `loading for ${Math.floor(Math.max(0, now() - noted.at) / 1000)} s` };
    },
    invalid,
    usage(name) {
      rebuild();
      const owner = merged?.declaredAs.get(name);
      return owner === undefined ? null : (servers.said(owner).listing?.usage ?? null);
    },
    note(name, note) {
      if (note.phase === 'warming' || note.phase === 'warm') homes.set(JSON.stringify([name, note.resident.tier]), note.resident.device);
      notes.set(name, { note, at: now(), question: servers.asked, contradicted: 0 });
      changed();
    },
    used(name, { priority }) {
      const at = now();
      const before = uses.get(name);
      uses.set(name, { at, priority, shown: before?.shown ?? at });
      // A busy model is used many times a second, and nobody needs to know to the millisecond when it would go.
      const idleMs = content?.providers.find((provider) => provider.name === name)?.idleMs ?? null;
      const same = before?.priority === priority && (idleMs === null || at - before.shown < Math.min(1000, idleMs / 10));
      if (!same) changed();
    },
    async refresh(name) {
      const owner = merged?.declaredAs.get(name) ?? declared.find((provider) => provider.name === name);
      if (owner) await servers.refresh(owner);
    },
    configure,
    sensed: changed,
    start() {
      units.start();
      servers.start();
    },
    ready: servers.ready,
    async [Symbol.asyncDispose]() {
      disposed = true;
      if (expiry) clearTimeout(expiry);
      units[Symbol.dispose]();
      await servers[Symbol.asyncDispose]();
    },
  };
}
