/**
 * `resolve` against a mixed integer program on worlds too large for exhaustive search: the docstring's constraints as rows, its objective down to 7 as
 * successive solves, each of which holds the ones before it. Names (8) are not in it; exhaustive search has those.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import loader, { type Highs } from 'highs';

import type { Need, Resident, Resolved, World } from '../../../shared/cortex.ts';
import { createRandom, someDevice, someNeed, someProvider, someResident, someTier, someWorld } from './resolve.testing.ts';
import { resolve } from './resolve.ts';

const abilities = ['chat', 'embed', 'hear', 'see', 'speak'];
const at = 1_000_000;

/** Bytes are small integers and times whole seconds, so that the solver's arithmetic is exact. */
function draw(random: () => number): { need: Need; world: World } {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const chance = (part: number) => random() < part;
  const devices = Array.from({ length: 3 }, (_, i) =>
    someDevice(`gpu${i}`, pick([16, 20, 24]), { others: { bytes: pick([0, 1, 3]), source: 'measured' }, reservedBytes: i === 0 ? 2 : 0 }),
  );
  const residents: Resident[] = [];
  const providers = Array.from({ length: 18 }, (_, i) => {
    const bytes = pick([6, 9, 12, 16]);
    const provider = someProvider(`p${i}`, {
      capabilities: [...new Set(chance(0.75) ? [pick(abilities)] : [pick(abilities), pick(abilities), pick(abilities)])].sort(),
      tiers: [
        someTier('L', bytes, { loadMs: pick([10, 20, 40]) * 1000 }),
        someTier('S', Math.ceil(bytes / 2), { loadMs: pick([5, 10]) * 1000 }),
      ],
      egress: chance(0.15) ? 'lan' : chance(0.08) ? 'remote' : 'local',
      groups: chance(0.2) ? [pick(['a', 'b'])] : [],
      devices: chance(0.3) ? [pick(devices).id] : [],
      priority: pick([40, 50, 60]),
      pinned: chance(0.05),
      idleMs: pick([null, 60_000]),
    });
    if (chance(0.6)) {
      residents.push(
        someResident(provider, pick(['L', 'S']), {
          device: pick(devices).id,
          vram: { bytes: pick([3, 4, 5, 6]), source: 'reported' },
          phase: pick(['warm', 'warm', 'warming']),
          leases: chance(0.4) ? [{ id: `lease-${i}`, priority: 50, until: pick([at + 20_000, at + 70_000, null]) }] : [],
          contextMs: pick([0, 1, 7]) * 1000,
          idleAt: pick([null, at + 30_000]),
        }),
      );
    }
    return provider;
  });
  const capabilities = abilities.filter(() => chance(0.7));
  const need = someNeed({
    capabilities: capabilities.length === 0 ? ['see'] : capabilities,
    priority: pick([30, 50, 60, 60]),
    tier: pick([null, null, 'L']),
    context: pick(['interactive', 'background']),
  });
  return { need, world: someWorld({ at, devices, providers, residents, sovereign: chance(0.5) }) };
}

/** A sum of variables. */
type Sum = [number, string][];

const written = (sum: Sum) => sum.map(([factor, name]) => `${factor < 0 ? '-' : '+'} ${Math.abs(factor)} ${name}`).join(' ');

interface Program {
  rows: string[];
  binaries: string[];
  /** Some of the objective's numbers at once where one times 100 leaves room for the next. */
  keys: Sum[];
  /** Rows that leave nothing but this plan. */
  fixed(plan: Resolved): string[];
}

/** Seconds of what is lost with a resident. */
const lost = ({ stopMs, reloadMs, contextMs }: Resident) => (stopMs + reloadMs + contextMs) / 1000;

function timesOf(resident: Resident, world: World): { ends: number; goes: number } {
  const provider = world.providers.find(({ name }) => name === resident.provider)!;
  const ends = resident.leases.length === 0 ? -Infinity : Math.max(...resident.leases.map(({ until }) => until ?? Infinity));
  const idle = resident.leases.length === 0 ? resident.idleAt : provider.idleMs === null ? null : ends + provider.idleMs;
  return { ends, goes: provider.pinned || idle === null ? Number.NaN : idle };
}

const apart = (a: { groups: string[] }, b: { groups: string[] }) =>
  a.groups.length > 0 && b.groups.length > 0 && !a.groups.some((group) => b.groups.includes(group));

function programOf(need: Need, world: World, moment: number): Program {
  const rows: string[] = [];
  const binaries: string[] = [];
  const binary = (name: string) => {
    binaries.push(name);
    return name;
  };
  const row = (sum: Sum, bound: string) => void (sum.length > 0 && rows.push(`${written(sum)} ${bound}`));
  const providerOf = new Map(world.providers.map((provider) => [provider.name, provider]));
  const weight = { speech: 10, interactive: 5, background: 2, training: 1 }[need.context];

  const gone = world.residents.map((resident, i) => ({ resident, name: binary(`e${i}`), alone: timesOf(resident, world).goes <= moment }));
  for (const { resident, name, alone } of gone) {
    const mayGo =
      alone || (!resident.pinned && need.priority >= 40 && resident.priority <= need.priority && timesOf(resident, world).ends <= moment);
    if (!mayGo) row([[1, name]], '= 0');
  }
  const paid = gone.filter(({ alone }) => !alone);
  row(
    paid.map(({ resident, name }) => [lost(resident), name]),
    `<= ${need.priority * weight - world.inertiaMs / 1000 - 1}`,
  );

  interface Column {
    name: string;
    provider: World['providers'][number];
    place: number;
    device: string | null;
    resident: Resident | undefined;
  }
  const columns: Column[] = [];
  for (const provider of world.providers) {
    if (provider.egress === 'remote' && world.sovereign) continue;
    if (!provider.capabilities.some((capability) => need.capabilities.includes(capability))) continue;
    provider.tiers.forEach((tier, place) => {
      if (need.tier === 'L' && place > 0) return;
      const resident = world.residents.find((one) => one.provider === provider.name && one.tier === tier.name);
      const devices = resident
        ? [null]
        : world.devices.map(({ id }) => id).filter((id) => provider.devices.length === 0 || provider.devices.includes(id));
      for (const device of devices) columns.push({ name: binary(`x${columns.length}`), provider, place, device, resident });
    });
  }
  const sum = (those: Column[], factor: (column: Column) => number = () => 1): Sum => those.map((column) => [factor(column), column.name]);
  for (const capability of need.capabilities) {
    const offering = columns.filter(({ provider }) => provider.capabilities.includes(capability));
    if (offering.length === 0) rows.push(`${binaries[0] ?? binary('none')} >= 2`);
    row(sum(offering), '>= 1');
  }
  for (const provider of world.providers) {
    const own = columns.filter((column) => column.provider === provider);
    row(sum(own), '<= 1');
    for (const other of world.providers) {
      if (provider.name < other.name && apart(provider, other)) {
        row([...sum(own), ...sum(columns.filter((column) => column.provider === other))], '<= 1');
      }
    }
    const loads = own.filter(({ resident }) => resident === undefined);
    for (const { resident, name } of gone) {
      const standing = providerOf.get(resident.provider)!;
      if (standing === provider || apart(standing, provider))
        row([...sum(loads), ...(loads.length > 0 ? [[-1, name] as [number, string]] : [])], '<= 0');
    }
  }
  for (const column of columns) {
    const standing = gone.find(({ resident }) => resident === column.resident);
    if (standing !== undefined)
      row(
        [
          [1, column.name],
          [1, standing.name],
        ],
        '<= 1',
      );
  }
  world.devices.forEach((device, i) => {
    const put = columns.filter((column) => column.device === device.id);
    if (put.length === 0) return;
    const used = binary(`y${i}`);
    const kept = `r${i}`;
    for (const column of put)
      row(
        [
          [1, column.name],
          [-1, used],
        ],
        '<= 0',
      );
    const bytes = ({ provider, place }: Column) => provider.tiers[place]!.vram!.bytes;
    rows.push(`${kept} >= ${device.reservedBytes}`);
    row(
      [
        [1, kept],
        ...sum(
          put.filter(({ provider }) => provider.pinned),
          (column) => -bytes(column),
        ),
      ],
      '>= 0',
    );
    const here = gone.filter(({ resident }) => resident.device === device.id);
    const free = device.total!.bytes - device.others.bytes - here.reduce((total, { resident }) => total + resident.vram!.bytes, 0);
    // As small as can be, so that the solver's tolerance cannot make room with it: a device without loads may be too full already.
    const large = Math.max(0, device.reservedBytes - free);
    row(
      [
        ...sum(
          put.filter(({ provider }) => !provider.pinned),
          bytes,
        ),
        [1, kept],
        ...here.map(({ resident, name }): [number, string] => [-resident.vram!.bytes, name]),
        [large, used],
      ],
      `<= ${free + large}`,
    );
  });
  const ready = ({ provider, place, resident }: Column) => (resident?.phase === 'warm' ? 0 : provider.tiers[place]!.loadMs / 1000);
  for (const column of columns)
    row(
      [
        [1, 'eta'],
        [-ready(column), column.name],
      ],
      '>= 0',
    );
  const marked = (which: (column: Column) => boolean) => sum(columns.filter(which));
  return {
    rows,
    binaries,
    keys: [
      sum(columns, ({ provider }) => (provider.egress === 'remote' ? 101 : 1)),
      paid.map(({ resident, name }) => [lost(resident) * 100 + 1, name]),
      sum(columns, ({ place, resident }) => place * 10_000 + (resident === undefined ? 100 : resident.phase === 'warming' ? 1 : 0)),
      [[1, 'eta']],
      marked(({ provider }) => provider.egress === 'lan'),
    ],
    fixed: ({ assignments, evictions }) => [
      ...columns.map(({ name, provider, place, device, resident }) => {
        const used = assignments.find((one) => one.provider === provider.name && one.tier === provider.tiers[place]!.name);
        return `${name} = ${used !== undefined && (resident !== undefined || used.device === device) ? 1 : 0}`;
      }),
      ...paid.map(
        ({ resident, name }) =>
          `${name} = ${evictions.some(({ provider, tier }) => provider === resident.provider && tier === resident.tier) ? 1 : 0}`,
      ),
    ],
  };
}

/** The best key, or null where the program has no solution. */
function solved(highs: Highs, { rows, binaries, keys }: Pick<Program, 'rows' | 'binaries' | 'keys'>): number[] | null {
  const held = [...rows];
  const found: number[] = [];
  for (const key of keys) {
    if (key.length === 0) {
      found.push(0);
      continue;
    }
    const text = `Minimize\n obj: ${written(key)}\nSubject To\n${held.map((line, i) => ` c${i}: ${line}`).join('\n')}\nBinary\n ${binaries.join(' ')}\nEnd`;
    const result = highs.solve(text, { output_flag: false, mip_rel_gap: 0, mip_abs_gap: 0.5, threads: 1 });
    if (held.length === rows.length && result.Status === 'Infeasible') return null;
    assert.equal(result.Status, 'Optimal');
    const value = Math.round(result.ObjectiveValue);
    found.push(value);
    // Whole numbers, so a half is the same bound, and none that a tolerance can miss.
    held.push(`${written(key)} <= ${value + 0.5}`);
  }
  return found;
}

/** What an answer is worth, counted from what it says. */
function keyOf({ assignments, loads, evictions }: Resolved, world: World): number[] {
  const used = [...new Map(assignments.map((assignment) => [assignment.provider, assignment])).values()];
  const of = (name: string) => world.providers.find((provider) => provider.name === name)!;
  const tiers = used.map(({ provider, tier, phase }) => ({
    place: of(provider).tiers.findIndex(({ name }) => name === tier),
    phase,
    provider: of(provider),
  }));
  const count = (which: (one: (typeof tiers)[number]) => boolean) => tiers.filter(which).length;
  const cost = evictions.reduce((total, eviction) => total + (eviction.stopMs + eviction.reloadMs + eviction.contextMs) / 1000, 0);
  return [
    count(({ provider }) => provider.egress === 'remote') * 100 + used.length,
    cost * 100 + evictions.length,
    tiers.reduce((total, { place }) => total + place, 0) * 10_000 + loads.length * 100 + count(({ phase }) => phase === 'warming'),
    Math.max(0, ...tiers.map(({ place, phase, provider }) => (phase === 'warm' ? 0 : provider.tiers[place]!.loadMs / 1000))),
    count(({ provider }) => provider.egress === 'lan'),
  ];
}

test('200 larger worlds: no mixed integer program finds a better plan, or one sooner', async () => {
  // Its types are of the CommonJS build; the module that is loaded exports the function itself.
  const highs = await (loader as unknown as typeof loader.default)();
  const random = createRandom(7);
  const outcomes: Record<string, number> = {};
  for (let i = 0; i < 200; i++) {
    const { need, world } = draw(random);
    const resolved = resolve(need, world);
    const moments = world.residents.flatMap((resident) => Object.values(timesOf(resident, world))).filter((time) => time > -Infinity);
    let found: number[] | null = null;
    let moment = -Infinity;
    for (moment of [-Infinity, ...[...new Set(moments)].sort((a, b) => a - b)]) {
      found = solved(highs, programOf(need, world, moment));
      if (found !== null) break;
    }
    const outcome = found === null ? 'refusal' : moment === -Infinity ? 'grant' : 'wait';
    const what = `${outcome}${found !== null && found[1]! > 0 ? ' with evictions' : ''}`;
    outcomes[what] = (outcomes[what] ?? 0) + 1;
    const said = `world ${i}: ${JSON.stringify({ need, resolved })}`;
    const key = resolved.outcome === 'refusal' ? null : keyOf(resolved, world);
    assert.deepEqual({ outcome: resolved.outcome, key }, { outcome, key: found }, said);
    if (found === null) continue;
    const program = programOf(need, world, moment);
    assert.deepEqual(solved(highs, { ...program, rows: [...program.rows, ...program.fixed(resolved)] }), found, said);
  }
  for (const what of ['grant', 'grant with evictions', 'wait', 'refusal']) assert.ok((outcomes[what] ?? 0) >= 5, JSON.stringify(outcomes));
});
