/** What would be loaded, evicted or waited for, before it is done. */
import { ArrowDownToLine, CircleCheck, Cpu, Hourglass, type LucideIcon, OctagonX } from 'lucide-react';
import { type ReactNode, useMemo } from 'react';
import type { Assignment, Eviction, Resolved } from '../../shared/cortex.ts';
import { useLive } from '../core.ts';
import { formatCost, formatRough } from '../format.ts';
import { DemoBadge, Memory, PhaseMark } from '../parts/Model.tsx';
import { Holders } from '../parts/States.tsx';
import { EgressBadge } from '../parts/Status.tsx';
import { Unknown } from '../parts/Values.tsx';
import { costMs, type Held, leaseWords, type PlanTone, planWords, withNames } from '../plan.ts';

const tones: Record<PlanTone, { icon: LucideIcon; className: string }> = {
  ready: { icon: CircleCheck, className: 'text-ok-ink' },
  work: { icon: ArrowDownToLine, className: 'text-accent-ink' },
  wait: { icon: Hourglass, className: 'text-warn-ink' },
  refused: { icon: OctagonX, className: 'text-bad-ink' },
};

/** Who has leases, with the words of the jobs that are known here. */
export function useHeld(): Held {
  const cortex = useLive('cortex');
  const jobs = useLive('jobs');
  return useMemo(() => ({ leases: cortex?.leases ?? [], grants: cortex?.grants ?? [], jobs: jobs ?? [] }), [cortex, jobs]);
}

/** The plan as one sentence. */
export function PlanSentence({ plan, children }: { plan: Resolved; children?: ReactNode }) {
  const held = useHeld();
  const models = useLive('cortex')?.models ?? [];
  const { tone, lead, more } = planWords(plan, (id) => leaseWords(id, held));
  const { icon: Icon, className } = tones[tone];
  const pretended = plan.assignments.some(({ provider }) => models.some((model) => model.provider === provider && model.demo));
  return (
    <p data-testid="plan" data-outcome={plan.outcome} className="flex min-w-0 gap-2 text-xs">
      <Icon aria-hidden className={`mt-px size-3.5 shrink-0 ${className}`} />
      <span className="flex min-w-0 flex-wrap items-center gap-x-2 gap-y-0.5">
        <span className="foreign min-w-0 font-medium">
          {withNames(lead, held)}
          {more.length > 0 && <Dot />}
        </span>
        {more.map(({ kind, text }, index) => (
          <span key={kind} className={`foreign min-w-0 ${sentenceColours[kind]}`}>
            {text}
            {index < more.length - 1 && <Dot />}
          </span>
        ))}
        {pretended && <DemoBadge />}
        {children}
      </span>
    </p>
  );
}

const sentenceColours = { eta: 'text-ink', leaves: 'text-warn-ink', downgrade: 'text-warn-ink', evicts: 'text-ink-2' };

function Dot() {
  return (
    <span aria-hidden className="ml-2 font-normal text-ink-3">
      ·
    </span>
  );
}

/** Everything that is known of a plan: what it binds, what goes for it and at what cost, why, and what was not taken. */
export function PlanDetails({ plan }: { plan: Resolved }) {
  const models = useLive('cortex')?.models ?? [];
  const held = useHeld();
  const demo = new Set(models.flatMap((model) => (model.demo ? [model.provider] : [])));
  const vram = plan.error?.vram;
  const does = (
    <>
      {plan.assignments.length > 0 && (
        <Block title="Does it">
          <ul aria-label="Assignments" className="divide-y border-y">
            {bound(plan.assignments).map(({ one, capabilities }) => {
              const load = plan.loads.find(({ provider, tier }) => provider === one.provider && tier === one.tier);
              return (
                <li key={`${one.provider} ${one.tier}`} className="space-y-0.5 py-1.5">
                  <p className="flex flex-wrap items-center gap-x-3 gap-y-0.5">
                    <Name provider={one.provider} tier={one.tier} demo={demo.has(one.provider)} />
                    {one.egress === 'local' ? <PhaseMark phase={one.phase} /> : <EgressBadge egress={one.egress} />}
                    {load && (
                      <span className="ml-auto flex flex-wrap items-baseline gap-x-3">
                        <Memory figure={load.vram} what="size not known" />
                        <span className="whitespace-nowrap">loads in {formatRough(load.loadMs)}</span>
                      </span>
                    )}
                  </p>
                  <p className="foreign text-2xs text-ink-3">{capabilities.join(', ')}</p>
                </li>
              );
            })}
          </ul>
        </Block>
      )}
      {plan.evictions.length > 0 && (
        <Block title="Goes for it">
          <Evictions evictions={plan.evictions} demo={demo} />
        </Block>
      )}
      {vram && <Holders vram={vram} />}
      {plan.error?.hint && <p className="foreign text-ink-2">{plan.error.hint}</p>}
    </>
  );
  const why = (
    <>
      {plan.reasons.length > 0 && (
        <Block title="Why">
          <ul aria-label="Reasons" className="list-disc space-y-0.5 pl-4 text-ink-2 marker:text-ink-3">
            {plan.reasons.map((reason) => (
              <li key={reason} className="foreign">
                {withNames(reason, held)}
              </li>
            ))}
          </ul>
        </Block>
      )}
      {plan.rejected.length > 0 && (
        <Block title="Not taken">
          <ul aria-label="Not taken" className="space-y-0.5 text-ink-2">
            {plan.rejected.slice(0, 12).map(({ provider, tier, reason }) => (
              <li key={`${provider} ${tier} ${reason}`} className="foreign">
                <bdi className="font-medium">{tier === null ? provider : `${provider} ${tier}`}</bdi>: {withNames(reason, held)}
              </li>
            ))}
            {plan.rejected.length > 12 && <li className="text-ink-3">and {plan.rejected.length - 12} more</li>}
          </ul>
        </Block>
      )}
    </>
  );
  return (
    <div className="@container text-xs">
      <div className="grid gap-x-8 gap-y-3 @3xl:grid-cols-2">
        <div className="min-w-0 space-y-3">{does}</div>
        <div className="min-w-0 space-y-3">{why}</div>
      </div>
    </div>
  );
}

const causes: Record<Eviction['cause'], string> = {
  memory: 'its place is needed',
  group: 'it may not stand beside it',
  tier: 'another tier of it comes',
};

/** What each eviction costs whoever needs it next. */
function Evictions({ evictions, demo }: { evictions: readonly Eviction[]; demo: ReadonlySet<string> }) {
  const total = evictions.reduce((sum, one) => sum + costMs(one), 0);
  return (
    <table aria-label="Evictions" className="w-full text-left">
      <thead className="text-2xs text-ink-3">
        <tr>
          <th className="py-1 pr-2 font-medium">Model</th>
          <th className="pr-2 text-right font-medium">Frees</th>
          <th className="pr-2 text-right font-medium">Stop</th>
          <th className="pr-2 text-right font-medium">Reload</th>
          <th className="pr-2 text-right font-medium">Context</th>
          <th className="text-right font-medium">Cost</th>
        </tr>
      </thead>
      <tbody className="divide-y border-y">
        {evictions.map((one) => (
          <tr key={`${one.provider} ${one.tier}`} className="align-top">
            <td className="py-1.5 pr-2">
              <Name provider={one.provider} tier={one.tier} demo={demo.has(one.provider)} />
              <span className="block text-2xs text-ink-3">{causes[one.cause]}</span>
            </td>
            <td className="whitespace-nowrap py-1.5 pr-2 text-right">
              <Memory figure={one.frees} />
            </td>
            <td className="whitespace-nowrap py-1.5 pr-2 text-right text-ink-2">{formatCost(one.stopMs)}</td>
            <td className="whitespace-nowrap py-1.5 pr-2 text-right text-ink-2">{formatCost(one.reloadMs)}</td>
            <td className="whitespace-nowrap py-1.5 pr-2 text-right text-ink-2">{formatCost(one.contextMs)}</td>
            <td className="whitespace-nowrap py-1.5 text-right font-medium">{formatCost(costMs(one))}</td>
          </tr>
        ))}
      </tbody>
      {evictions.length > 1 && (
        <tfoot>
          <tr>
            <td colSpan={5} className="pt-1.5 text-ink-3">
              In all, until they are as they were
            </td>
            <td className="pt-1.5 text-right font-medium">{formatCost(total)}</td>
          </tr>
        </tfoot>
      )}
    </table>
  );
}

function Block({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="space-y-1">
      <p className="font-medium text-2xs text-ink-3">{title}</p>
      {children}
    </div>
  );
}

/** A provider and one of its tiers by name. */
export function Name({ provider, tier, demo }: { provider: string; tier?: string | null; demo: boolean }) {
  return (
    <span className="inline-flex min-w-0 max-w-full items-center gap-1.5">
      <bdi className="min-w-0 truncate font-medium" title={provider}>
        {provider || <Unknown what="no name" />}
      </bdi>
      {tier && (
        <bdi className="min-w-0 max-w-32 truncate text-ink-2" title={tier}>
          {tier}
        </bdi>
      )}
      {demo && <DemoBadge />}
    </span>
  );
}

/** One line for each model, with all that is bound to it. */
function bound(assignments: readonly Assignment[]): { one: Assignment; capabilities: string[] }[] {
  return [...Map.groupBy(assignments, ({ provider, tier }) => `${provider} ${tier}`).values()].map((group) => ({
    one: group[0]!,
    capabilities: group.map(({ capability }) => capability),
  }));
}

/** Where there is no plan to show yet. */
export function PlanPending() {
  return (
    <p className="flex items-center gap-2 text-ink-3 text-xs">
      <Cpu aria-hidden className="size-3.5" />
      Asking what it would take…
    </p>
  );
}
