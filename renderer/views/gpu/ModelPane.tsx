/** One provider: its tiers, who has it, who would have to go for it. */
import { ArrowDownToLine, ArrowUpFromLine, RotateCcw } from 'lucide-react';
import { useState } from 'react';
import type { CortexState, ModelState } from '../../../shared/cortex.ts';
import { toastError } from '../../actions.ts';
import { useFront } from '../../core.ts';
import { formatPlace, formatRough } from '../../format.ts';
import { Button } from '../../parts/Button.tsx';
import { Memory, PhaseMark } from '../../parts/Model.tsx';
import { Fact, Facts, Pane, Part } from '../../parts/Panel.tsx';
import { Badge, EgressBadge } from '../../parts/Status.tsx';
import { Eta, Time } from '../../parts/Values.tsx';
import { listed } from '../../plan.ts';
import { openGpu, openGpuDialog, toast } from '../../ui.ts';
import { Name } from '../Plan.tsx';
import { Holder, needWords } from './Line.tsx';
import { banishedBy, isInMemory, isTrouble, type ProviderGroup, waitersFor } from './models.ts';

export function ModelPane({ group, groups, cortex }: { group: ProviderGroup; groups: readonly ProviderGroup[]; cortex: CortexState }) {
  const { shown } = group;
  const leases = cortex.leases.filter((lease) => lease.models.some((one) => one.provider === group.name));
  const waiters = waitersFor(cortex.queue, group);
  return (
    <Pane
      label="Model details"
      closeLabel="Close model"
      onClose={() => openGpu('models')}
      title={
        <>
          <span role="status" className="shrink-0 text-xs">
            <PhaseMark phase={shown.phase} />
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
          {shown.egress === 'local' && !isInMemory(shown.phase) && (
            <Fact name="Bringing it">
              <Transition names={banishedBy(groups, group.name)} />
            </Fact>
          )}
          {shown.pinned && <Fact name="Pinned">never evicted</Fact>}
          {shown.idleAt !== null && (
            <Fact name="Idle">
              unloaded <Eta at={shown.idleAt} /> if nobody uses it
            </Fact>
          )}
          <Fact name="Last used">
            <Time at={shown.lastUsedAt} />
          </Fact>
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
                <Holder holder={lease.holder} caller={lease.caller} />
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

/** What groups say of bringing it up. Memory is what the load dialog says. */
export function Transition({ names }: { names: readonly string[] }) {
  return names.length === 0 ? (
    <span className="text-ok-ink">free: its groups banish nobody</span>
  ) : (
    <span className="text-warn-ink" title={names.join(', ')}>
      banishes {listed(names)}
    </span>
  );
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
      <PhaseMark phase={tier.phase} />
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
