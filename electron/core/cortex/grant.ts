/** What a grant says: its models, what they are called under it, and the tools that come with them. */
import type { Grant, Provider, Resolved, World } from '../../../shared/cortex.ts';
import type { Bound } from './bound.ts';

export type GrantAbout = Pick<Grant, 'id' | 'task' | 'caller' | 'base_url' | 'created_at' | 'expires_at'>;

export function newGrant(about: GrantAbout, plan: Resolved, bound: Bound[]): Grant {
  const settings = bound.map(({ provider }) => provider.settings);
  return {
    ...about,
    api_key: null,
    models: bound.map(({ provider, tier, capabilities, device }) => ({
      model: tier.model,
      provider: provider.name,
      tier: tier.name,
      capabilities,
      device,
      egress: provider.egress,
    })),
    tools: [],
    // Those of the first, and no more tokens than all of them bear.
    settings: {
      temperature: settings[0]?.temperature ?? 0.7,
      top_p: settings[0]?.top_p ?? 0.9,
      max_tokens: Math.min(...settings.map(({ max_tokens }) => max_tokens)),
    },
    revoked: null,
    requests: 0,
    reasons: plan.reasons,
  };
}

/** No tool without the model that has it: those of the grant's providers that are warm now. */
export function toolsOf({ models }: Grant, { providers, residents, unavailable }: World): string[] {
  const isWarm = ({ name, controller }: Provider) =>
    !unavailable.some(({ provider }) => provider === name) &&
    (controller.kind === 'openai' || residents.some(({ provider, phase }) => provider === name && phase === 'warm'));
  const granted = providers.filter(({ name, tools }) => tools.length > 0 && models.some(({ provider }) => provider === name));
  return [...new Set(granted.filter(isWarm).flatMap(({ tools }) => tools))].sort();
}

/** By its own name, its provider's or its tier's, or as what it can do: `cap:text-generation+vision-analysis`. */
export function isCalled({ provider, tier, capabilities }: Bound, model: string): boolean {
  if (model.startsWith('cap:'))
    return model
      .slice(4)
      .split('+')
      .every((capability) => capabilities.includes(capability));
  return model === tier.model || model === provider.name || model === tier.name;
}

export const wordsFor = ({ models }: Grant): string => models.map(({ model }) => model).join(', ');
