/** Operational groups: who may be in memory together, and whom a load would banish. Pure. */
import type { Provider, World } from '../../../shared/cortex.ts';

/** Two providers may be resident together when they share a group, or when one of them is in none. */
export function mayStandTogether(a: Pick<Provider, 'groups'>, b: Pick<Provider, 'groups'>): boolean {
  return a.groups.length === 0 || b.groups.length === 0 || a.groups.some((group) => b.groups.includes(group));
}

/**
 * For each provider that is not resident, in the order of the world: the residents that may not stay beside it, by name. Empty: the
 * transition is free as far as groups go; whether there is memory is another question. What drains goes anyway.
 */
export function transitions(world: Pick<World, 'providers' | 'residents'>): { provider: string; banishes: string[] }[] {
  const there = new Set(world.residents.filter(({ phase }) => phase !== 'draining').map(({ provider }) => provider));
  const resident = world.providers.filter(({ name }) => there.has(name));
  return world.providers
    .filter(({ name, controller }) => !there.has(name) && controller.kind !== 'openai')
    .map((provider) => ({
      provider: provider.name,
      banishes: resident
        .filter((other) => !mayStandTogether(provider, other))
        .map(({ name }) => name)
        .sort(),
    }));
}
