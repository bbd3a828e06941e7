/** A model that a call may use now. */
import type { Provider, Tier } from '../../../shared/cortex.ts';

export interface Bound {
  provider: Provider;
  tier: Tier;
  capabilities: string[];
  device: string | null;
}
