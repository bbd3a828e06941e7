/** What a plan of the cortex means, in words. Pure. */
import type { CortexState, Eviction, Lease, Resolved } from '../shared/cortex.ts';
import { assertNever } from '../shared/errors.ts';
import type { Job } from '../shared/model.ts';
import { formatBytes, formatRough } from './format.ts';

export type PlanTone = 'ready' | 'work' | 'wait' | 'refused';

export interface PlanWords {
  tone: PlanTone;
  /** One sentence without a full stop: what would happen. */
  lead: string;
  /** Parts after it, each with what it is about. */
  more: { kind: 'eta' | 'downgrade' | 'leaves' | 'evicts'; text: string }[];
}

/** `named` puts a name to a lease: who has it. */
export function planWords(plan: Resolved, named: (lease: string) => string | null = () => null): PlanWords {
  switch (plan.outcome) {
    case 'grant':
      return plan.loads.length === 0 && plan.evictions.length === 0
        ? {
            tone: plan.assignments.some(({ phase }) => phase !== 'warm') ? 'work' : 'ready',
            lead: `${warmed(plan)}`,
            more: [...eta(plan), ...others(plan)],
          }
        : { tone: 'work', lead: loads(plan) || warmed(plan), more: [...evicts(plan), ...eta(plan), ...others(plan)] };
    case 'wait': {
      const holders = [...new Set(plan.waitsFor.map((lease) => named(lease) ?? lease))];
      const then = loads(plan);
      return {
        tone: 'wait',
        lead: `Waits for ${holders.length === 0 ? 'its turn' : listed(holders)}${then ? `, then ${then[0]!.toLowerCase()}${then.slice(1)}` : ''}`,
        more: [...evicts(plan), ...eta(plan), ...others(plan)],
      };
    }
    case 'refusal':
      return { tone: 'refused', lead: plan.error?.message ?? plan.reasons[0] ?? 'It cannot be had as things are', more: [] };
    default:
      return assertNever(plan.outcome);
  }
}

/** What an eviction costs: ending it, loading it again, reading again what its cache held. */
export function costMs({ stopMs, reloadMs, contextMs }: Pick<Eviction, 'stopMs' | 'reloadMs' | 'contextMs'>): number {
  return stopMs + reloadMs + contextMs;
}

/** Who has leases, and what the grants and jobs among them are for. */
export type Held = Pick<CortexState, 'leases' | 'grants'> & { jobs?: readonly Pick<Job, 'id' | 'text' | 'route'>[] };

/** Who has a lease, in a few words. */
export function holderWords(
  { holder, caller, task = null }: Pick<Lease, 'holder' | 'caller'> & { task?: string | null },
  { grants, jobs }: Omit<Held, 'leases'>,
): string {
  switch (holder.kind) {
    case 'job': {
      const job = jobs?.find((one) => one.id === holder.id);
      return job ? `the job “${job.text ?? job.route ?? job.id}”` : holder.id;
    }
    case 'grant': {
      const name = task ?? grants.find((one) => one.id === holder.id)?.task;
      return name ? `the grant “${name}”` : `a grant of ${caller}`;
    }
    case 'load':
      return `a load by ${caller}`;
    default:
      return assertNever(holder.kind);
  }
}

/** null: nobody has it any more. */
export function leaseWords(id: string, held: Held): string | null {
  const lease = held.leases.find((one) => one.id === id);
  return lease ? holderWords(lease, held) : null;
}

/** A sentence of the core with leases called by who has them, and jobs by their words. */
export function withNames(text: string, held: Held): string {
  // It is over, or newer than what is known here: its id would tell nobody anything.
  return text
    .replace(/\blease_\w+/g, (id) => leaseWords(id, held) ?? 'another lease')
    .replace(/\bjob_\w+/g, (id) => holderWords({ holder: { kind: 'job', id }, caller: '' }, held));
}

export function listed(names: readonly string[], most = 3): string {
  const shown = names.slice(0, most);
  const left = names.length - shown.length;
  if (left > 0) return `${shown.join(', ')} and ${left} more`;
  return shown.length < 2 ? (shown[0] ?? '') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

function warmed(plan: Resolved): string {
  const said = { warm: new Set<string>(), warming: new Set<string>(), away: new Set<string>() };
  for (const { provider, tier, phase, egress } of plan.assignments)
    said[egress !== 'local' ? 'away' : phase === 'warm' ? 'warm' : 'warming'].add(`${provider} ${tier}`);
  const [warm, warming, away] = [[...said.warm], [...said.warming], [...said.away]];
  const parts = [
    warm.length > 0 && `${listed(warm)} ${warm.length === 1 ? 'is' : 'are'} warm`,
    warming.length > 0 && `${listed(warming)} ${warming.length === 1 ? 'is' : 'are'} being loaded`,
    away.length > 0 && `uses ${listed(away)}`,
  ];
  const words = parts.filter(Boolean).join(', ');
  return warm.length + warming.length === 0 ? words.replace(/^u/, 'U') : words;
}

function loads(plan: Resolved): string {
  if (plan.loads.length === 0) return '';
  return `Loads ${listed(plan.loads.map(({ provider, tier, vram }) => `${provider} ${tier}${vram ? ` (${formatBytes(vram.bytes)})` : ''}`))}`;
}

function evicts(plan: Resolved): PlanWords['more'] {
  if (plan.evictions.length === 0) return [];
  return [{ kind: 'evicts', text: `evicts ${listed(plan.evictions.map(({ provider, tier }) => `${provider} ${tier}`))}` }];
}

function eta({ etaMs, outcome }: Resolved): PlanWords['more'] {
  if (etaMs === null) return [{ kind: 'eta', text: outcome === 'wait' ? 'nobody knows how long' : 'the load takes nobody knows how long' }];
  return etaMs === 0 ? [] : [{ kind: 'eta', text: `ready in ${formatRough(etaMs)}` }];
}

function others({ downgrade, assignments }: Resolved): PlanWords['more'] {
  const away = [...new Set(assignments.filter(({ egress }) => egress !== 'local').map(({ provider }) => provider))];
  return [
    ...(downgrade ? [{ kind: 'downgrade' as const, text: `${downgrade.to} instead of ${downgrade.from} because ${downgrade.cause}` }] : []),
    ...(away.length > 0 ? [{ kind: 'leaves' as const, text: `the words leave this machine for ${listed(away)}` }] : []),
  ];
}
