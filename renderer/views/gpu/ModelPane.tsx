/** One provider: its tiers, who has it, who would have to go for it. */
import { ArrowDownToLine, ArrowUpFromLine, RotateCcw } from 'lucide-react';
import { useState } from 'react';
import type { CortexState, ModelState } from '../../../shared/cortex.ts';
import { assertNever } from '../../../shared/errors.ts';
import { toastError } from '../../actions.ts';
import { useFront, useOperation } from '../../core.ts';
import { formatBytes, formatPlace, formatRough } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { Memory, PhaseMark } from '../../parts/Model.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { Badge, EgressBadge } from '../../parts/Status.tsx';
import { Eta, Time } from '../../parts/Values.tsx';
import { listed, withNames } from '../../plan.ts';
import { openGpu, openGpuDialog, toast } from '../../ui.ts';
import { Name, useHeld } from '../Plan.tsx';
import { Holder, needWords } from './Line.tsx';
import { isInMemory, isLoadable, isTrouble, type ProviderGroup, type Transition, transitionOf, waitersFor } from './models.ts';

export function ModelPane({ group, cortex }: { group: ProviderGroup; cortex: CortexState }) {
  const { shown } = group;
  const leases = cortex.leases.filter((lease) => lease.models.some((one) => one.provider === group.name));
  const waiters = waitersFor(cortex.queue, group);
  const transition = transitionOf(group, cortex);
  return (
    <Pane
      label="Model details"
      closeLabel="Close model"
      onClose={() => openGpu('models')}
      title={
        <>
          <span role="status" className="shrink-0 text-xs">
            <PhaseMark phase={shown.phase} egress={shown.egress} />
          </span>
          <Name provider={group.name} demo={group.demo} />
        </>
      }
    >
      <div className="space-y-3 p-4">
        <Actions group={group} />
        {shown.detail && (
          <p className={`foreign rounded-md px-3 py-2 text-xs ${isTrouble(shown.phase) ? 'bg-bad-soft text-bad-ink' : 'bg-raised'}`}>
            {shown.detail}
          </p>
        )}
        <WhyLower group={group} />
        <Facts>
          <Fact name="Can">
            <span className="flex flex-wrap gap-1">
              {shown.capabilities.map((capability) => (
                <button key={capability} type="button" className="max-w-full" onClick={() => openGpu('capabilities', capability)}>
                  <Badge>{capability}</Badge>
                </button>
              ))}
            </span>
          </Fact>
          <Fact name="Reach">
            <EgressBadge egress={shown.egress} />
          </Fact>
          {shown.device !== null && (
            <Fact name="Device">{cortex.devices.find((one) => one.id === shown.device)?.name ?? shown.device}</Fact>
          )}
          <Fact name="Groups">{shown.groups.length === 0 ? 'none: beside any other' : shown.groups.join(', ')}</Fact>
          {transition && (
            <Fact name="To load it">
              <TransitionWords transition={transition} />
            </Fact>
          )}
          {shown.pinned && <Fact name="Pinned">never evicted</Fact>}
          {shown.idleAt !== null && leases.length === 0 && (
            <Fact name="Idle">
              unloaded <Eta at={shown.idleAt} /> if nobody uses it
            </Fact>
          )}
          <Fact name="Last used">{leases.length > 0 ? 'in use now' : <Time at={shown.lastUsedAt} />}</Fact>
          <Fact name="Known from">
            <Origin origin={shown.origin} />
          </Fact>
        </Facts>
      </div>
      <Part title={group.tiers.length === 1 ? 'Tier' : `${group.tiers.length} tiers, best first`}>
        <ul aria-label="Tiers" className="divide-y border-y text-xs">
          {group.tiers.map((tier) => (
            <Tier key={tier.tier} tier={tier} />
          ))}
        </ul>
      </Part>
      {leases.length > 0 && (
        <Part title="In use by">
          <ul aria-label="Lease holders" className="space-y-1 text-xs">
            {leases.map((lease) => (
              <li key={lease.id} className="flex items-baseline gap-2">
                <Holder holder={lease.holder} caller={lease.caller} task={lease.task} />
                <span className="text-ink-3">priority {lease.priority}</span>
                <span className="ml-auto whitespace-nowrap text-ink-2">
                  {lease.until === null ? (
                    'no end set'
                  ) : (
                    <>
                      ends <Eta at={lease.until} />
                    </>
                  )}
                </span>
              </li>
            ))}
          </ul>
        </Part>
      )}
      {waiters.length > 0 && (
        <Part title="In line, and might get it">
          <ul aria-label="In line for it" className="space-y-1 text-xs">
            {waiters.slice(0, 20).map((waiter) => (
              <li key={waiter.id} className="flex items-baseline gap-2">
                <span className="shrink-0 text-ink-3">{formatPlace(waiter.position)}</span>
                <bdi className="min-w-0 truncate">{needWords(waiter.need)}</bdi>
                <span className="ml-auto whitespace-nowrap text-ink-2">
                  {waiter.eta === null ? 'time not known' : <Eta at={waiter.eta} />}
                </span>
              </li>
            ))}
          </ul>
        </Part>
      )}
    </Pane>
  );
}

/** What bringing it up means for what is in memory, in words. */
export function TransitionWords({ transition }: { transition: Transition }) {
  switch (transition.kind) {
    case 'banishes':
      return (
        <span className="text-warn-ink" title={`They share no group with it: ${transition.names.join(', ')}`}>
          banishes {listed(transition.names)}
        </span>
      );
    case 'fits':
      return transition.instead === null ? (
        <span className="text-ok-ink" title="Nobody has to go for it">
          free: it fits
        </span>
      ) : (
        <span className="text-warn-ink">
          fits as {transition.tier}: {transition.instead.tier} needs {formatBytes(transition.instead.needBytes)},{' '}
          {formatBytes(transition.instead.freeBytes)} are free
        </span>
      );
    case 'tight':
      return (
        <span className="text-warn-ink" title="What is in memory and idle goes for it, or it waits">
          needs {formatBytes(transition.needBytes)}, {formatBytes(transition.freeBytes)} are free
        </span>
      );
    case 'free':
      return (
        <span className="text-ok-ink" title="Whether it fits is not known">
          free: its groups banish nobody
        </span>
      );
    default:
      return assertNever(transition);
  }
}

/** Why it is not its best tier that is in memory, as the core says it now; null where it is, or could be. */
export function useWhyLower({ name, tiers, shown }: ProviderGroup): string | null {
  const held = useHeld();
  const lower = shown.egress === 'local' && isInMemory(shown.phase) && tiers[0]!.tier !== shown.tier;
  const query = useOperation('OS.resolve.need', { need: { model: name } }, { enabled: lower, keep: true });
  const plan = lower ? query.data : undefined;
  if (!plan?.downgrade) return null;
  const { to, cause } = plan.downgrade;
  const reason = plan.reasons.find((one) => one.startsWith(`${to} because`)) ?? `${to} because ${cause}.`;
  return withNames(reason, held);
}

function WhyLower({ group }: { group: ProviderGroup }) {
  const why = useWhyLower(group);
  return why && <p className="foreign rounded-md bg-warn-soft px-3 py-2 text-warn-ink text-xs">{why}</p>;
}

function Origin({ origin }: { origin: ModelState['origin'] }) {
  const words = { registry: 'the registry', compose: 'a compose file', quadlet: 'a Quadlet unit', running: 'a running server' };
  return (
    <>
      {words[origin.kind]}
      {origin.file !== null && (
        <code className="block break-all font-mono text-2xs text-ink-3">
          {origin.file}
          {origin.line !== null && `:${origin.line}`}
        </code>
      )}
    </>
  );
}

function Actions({ group }: { group: ProviderGroup }) {
  const front = useFront();
  const [busy, setBusy] = useState(false);
  const { shown } = group;
  if (shown.egress === 'remote') return <p className="text-ink-3 text-xs">It runs elsewhere: nothing is loaded or evicted here.</p>;
  if (!isLoadable(shown)) return <p className="text-ink-3 text-xs">Its server keeps it warm: nothing is loaded or evicted from here.</p>;
  const reset = () => {
    setBusy(true);
    void front
      .operate('OS.models.reset', { provider: group.name })
      .then(
        () => toast('ok', `${group.name} may try again`),
        (caught) => toastError('It was not reset', caught),
      )
      .finally(() => setBusy(false));
  };
  return (
    <div className="flex flex-wrap gap-1.5">
      {shown.phase === 'halted' && (
        <Button size="sm" tone="primary" icon={RotateCcw} busy={busy} onClick={reset}>
          Reset
        </Button>
      )}
      {(!isInMemory(shown.phase) || group.tiers.length > 1) && (
        <Button
          size="sm"
          icon={ArrowDownToLine}
          keys="l"
          tone={isInMemory(shown.phase) || isTrouble(shown.phase) ? 'plain' : 'primary'}
          onClick={() => openGpuDialog({ kind: 'load', provider: group.name, tier: isInMemory(shown.phase) ? null : shown.tier })}
        >
          Load…
        </Button>
      )}
      {isInMemory(shown.phase) && (
        <Button size="sm" icon={ArrowUpFromLine} keys="e" onClick={() => openGpuDialog({ kind: 'evict', provider: group.name })}>
          Evict…
        </Button>
      )}
    </div>
  );
}

function Tier({ tier }: { tier: ModelState }) {
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-0.5 py-1.5">
      <span className="min-w-0 flex-1">
        <bdi className="block truncate font-medium" title={tier.tier}>
          {tier.tier}
        </bdi>
        <bdi className="block truncate font-mono text-2xs text-ink-3" title={tier.model}>
          {tier.model}
        </bdi>
      </span>
      <PhaseMark phase={tier.phase} egress={tier.egress} />
      <span className="w-28 text-right">
        {tier.egress === 'local' ? <Memory figure={tier.vram} what="size not known" /> : <span className="text-ink-3">elsewhere</span>}
      </span>
      <span className="w-full text-2xs text-ink-3">
        {tier.egress !== 'remote' && `loads in ${formatRough(tier.loadMs)}`}
        {tier.waiting > 0 && `, ${tier.waiting} waiting`}
      </span>
    </li>
  );
}
