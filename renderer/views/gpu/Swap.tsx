/** What a load or an eviction costs, and then one confirmation. */
import { ChevronsUpDown, TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import { useState } from 'react';
import type { CortexState } from '../../../shared/cortex.ts';
import { toastError } from '../../actions.ts';
import { type Front, useFront, useOperation, wireOf } from '../../core.ts';
import { formatCost, formatRough } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { Dialog } from '../../parts/Dialog.tsx';
import { Chips } from '../../parts/Field.tsx';
import { Memory } from '../../parts/Model.tsx';
import { Fact, Facts } from '../../parts/Panel.tsx';
import { Picker } from '../../parts/Picker.tsx';
import { ErrorState } from '../../parts/States.tsx';
import { Eta } from '../../parts/Values.tsx';
import { costMs, holderWords, listed } from '../../plan.ts';
import { toast } from '../../ui.ts';
import { Name, PlanDetails, PlanPending, PlanSentence, useHeld } from '../Plan.tsx';
import { groupModels, isInMemory, isLoadable } from './models.ts';
import { NoModels } from './NewGrant.tsx';

export function LoadDialog({
  cortex,
  provider,
  tier,
  onClose,
}: {
  cortex: CortexState;
  provider: string | null;
  tier: string | null;
  onClose(): void;
}) {
  const front = useFront();
  const groups = groupModels(cortex.models).filter((group) => isLoadable(group.shown));
  const [picked, setPicked] = useState<{ provider: string | null; tier: string | null }>({ provider, tier });
  const group = groups.find((one) => one.name === picked.provider) ?? null;
  // As OS.models.load asks: this provider and tier before all that is idle, by the name of the model where a better tier would be taken.
  const tierPicked = group?.tiers.find((one) => one.tier === picked.tier) ?? null;
  const byProvider = useOperation(
    'OS.resolve.need',
    { need: { model: picked.provider ?? '', ...(tierPicked && { tier: tierPicked.tier }), priority: 100 } },
    { enabled: group !== null, staleMs: 0 },
  );
  const other = tierPicked !== null && byProvider.data?.assignments.some((one) => one.tier !== tierPicked.tier) === true;
  const byModel = useOperation(
    'OS.resolve.need',
    { need: { model: tierPicked?.model ?? '', priority: 100 } },
    { enabled: group !== null && other, staleMs: 0 },
  );
  const query = other ? byModel : byProvider;
  const plan = group === null ? undefined : query.data;
  const warm = plan?.outcome === 'grant' && plan.loads.length === 0 && plan.evictions.length === 0;
  const evicts = (plan?.evictions.length ?? 0) > 0;

  if (groups.length === 0)
    return (
      <Dialog open onClose={onClose} title="Load a model" width={600}>
        <NoModels onClose={onClose} />
      </Dialog>
    );
  return (
    <Dialog open onClose={onClose} title="Load a model" width={600}>
      <div className="space-y-4">
        <div className="flex flex-wrap items-center gap-3">
          <Picker
            label="Model to load"
            choices={groups.map(({ name, tiers, shown }) => ({
              value: name,
              note: `${tiers.map((one) => one.tier).join(', ')}, ${shown.phase}`,
            }))}
            onPick={(name) => setPicked({ provider: name, tier: null })}
          >
            <button
              type="button"
              className="inline-flex h-8 min-w-0 max-w-full items-center gap-2 rounded-md bg-canvas px-2.5 text-sm hairline hover:bg-raised"
            >
              {group ? <Name provider={group.name} demo={group.demo} /> : 'Choose a model'}
              <ChevronsUpDown aria-hidden className="size-3.5 shrink-0 text-ink-3" />
            </button>
          </Picker>
          {group && group.tiers.length > 1 && (
            <span className="min-w-0 max-w-full overflow-x-auto">
              <Chips<string | null>
                label="Tier"
                value={picked.tier}
                options={[
                  { value: null, label: 'The best that fits' },
                  ...group.tiers.map((one) => ({ value: one.tier, label: one.tier })),
                ]}
                onChange={(next) => setPicked({ provider: group.name, tier: next })}
              />
            </span>
          )}
        </div>
        {group === null ? (
          <p className="text-ink-3 text-xs">What it would cost is shown here before anything happens.</p>
        ) : query.isError ? (
          <ErrorState error={wireOf(query.error)} retry={() => void query.refetch()} compact />
        ) : !plan ? (
          <PlanPending />
        ) : (
          <section aria-label="What it costs" className="space-y-3">
            <div className="rounded-md bg-raised px-3 py-2">
              <PlanSentence plan={plan} />
            </div>
            <PlanDetails plan={plan} />
          </section>
        )}
        <Foot onClose={onClose}>
          <Button
            tone={evicts ? 'danger' : 'primary'}
            disabled={!plan || plan.outcome === 'refusal' || warm}
            onClick={() => {
              onClose();
              void load(front, picked.provider!, picked.tier);
            }}
          >
            {warm
              ? 'Warm already'
              : plan?.outcome === 'wait'
                ? evicts
                  ? 'Evict and load when free'
                  : 'Load when free'
                : evicts
                  ? 'Evict and load'
                  : 'Load'}
          </Button>
        </Foot>
      </div>
    </Dialog>
  );
}

async function load(front: Front, provider: string, tier: string | null): Promise<void> {
  toast('info', `Loading ${provider}`, 'It shows here when it is warm.');
  await front.operate('OS.models.load', { provider, ...(tier !== null && { tier }) }, { confirm: true }).then(
    () => toast('ok', `${provider} is warm`),
    (caught) => toastError(`${provider} was not loaded`, caught),
  );
}

export function EvictDialog({ cortex, provider, onClose }: { cortex: CortexState; provider: string; onClose(): void }) {
  const front = useFront();
  const held = useHeld();
  const group = groupModels(cortex.models).find((one) => one.name === provider) ?? null;
  const shown = group?.shown ?? null;
  const leases = cortex.leases.filter((lease) => lease.models.some((one) => one.provider === provider));
  const resident = shown !== null && isInMemory(shown.phase) && isLoadable(shown);
  return (
    <Dialog open onClose={onClose} title="Evict a model" width={520}>
      <div className="space-y-4">
        {!shown || !resident ? (
          <p className="text-ink-2 text-sm">
            <bdi>{provider}</bdi>{' '}
            {shown && !isLoadable(shown) ? 'is kept warm by its server: nothing is evicted from here.' : 'is not in memory.'}
          </p>
        ) : (
          <section aria-label="What it costs" className="space-y-3">
            <Name provider={provider} tier={shown.tier} demo={shown.demo} />
            <Facts>
              <Fact name="Frees">
                <Memory figure={shown.vram} what="size not known" />
              </Fact>
              <Fact name="Costs">
                <span className="font-medium">
                  {formatRough(costMs({ stopMs: shown.stopMs, reloadMs: shown.loadMs, contextMs: shown.contextMs }))}
                </span>{' '}
                until it is as it was: {formatCost(shown.stopMs)} to end it, {formatCost(shown.loadMs)} to load it again,{' '}
                {shown.contextMs > 0 ? `${formatCost(shown.contextMs)} to read its context again` : 'nothing to read again'}
              </Fact>
              <Fact name="Waiting for it">{group!.waiting === 0 ? 'nobody' : `${group!.waiting} in line`}</Fact>
              {shown.idleAt !== null && leases.length === 0 && (
                <Fact name="By itself">
                  it goes <Eta at={shown.idleAt} /> if nobody uses it
                </Fact>
              )}
              {shown.pinned && <Fact name="Pinned">it is meant to stay; whoever relies on it does without until it is loaded again</Fact>}
            </Facts>
            {leases.length > 0 && (
              <div role="alert" className="flex gap-2.5 rounded-md bg-warn-soft px-3 py-2 text-xs">
                <TriangleAlert aria-hidden className="mt-0.5 size-3.5 shrink-0 text-warn-ink" />
                <p className="foreign min-w-0">
                  <span className="font-medium text-warn-ink">
                    It is in use by {listed(leases.map((lease) => holderWords(lease, held)))}.
                  </span>{' '}
                  What is in flight is never cut off: wait until it is over, cancel the job, or revoke the grant.
                </p>
              </div>
            )}
          </section>
        )}
        <Foot onClose={onClose}>
          <Button
            tone="danger"
            disabled={!resident || leases.length > 0}
            onClick={() => {
              onClose();
              void evict(front, provider);
            }}
          >
            Evict
          </Button>
        </Foot>
      </div>
    </Dialog>
  );
}

async function evict(front: Front, provider: string): Promise<void> {
  await front.operate('OS.models.unload', { provider }, { confirm: true }).then(
    () => toast('ok', `${provider} was evicted`),
    (caught) => toastError(`${provider} was not evicted`, caught),
  );
}

function Foot({ onClose, children }: { onClose(): void; children: ReactNode }) {
  return (
    <div className="sticky -bottom-4 -mx-4 -mb-4 flex justify-end gap-2 border-t bg-overlay px-4 py-3">
      <Button onClick={onClose}>Cancel</Button>
      {children}
    </div>
  );
}
