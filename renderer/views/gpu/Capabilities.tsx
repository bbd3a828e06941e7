/** What can be done at all, by whom, and what bringing each up would mean. */
import { Shapes } from 'lucide-react';
import { useMemo } from 'react';
import type { CortexState } from '../../../shared/cortex.ts';
import { useLive } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { DemoBadge, PhaseMark } from '../../parts/Model.tsx';
import { Pane } from '../../parts/Panel.tsx';
import { EmptyState } from '../../parts/States.tsx';
import { Badge, EgressBadge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { listed } from '../../plan.ts';
import { openGpu } from '../../ui.ts';
import { Name } from '../Plan.tsx';
import { TransitionWords } from './ModelPane.tsx';
import { type CapabilityEntry, capabilitiesOf, groupModels, isInMemory, type ProviderGroup, transitionOf } from './models.ts';

export function Capabilities({ cortex, open }: { cortex: CortexState; open: string | null }) {
  const groups = useMemo(() => groupModels(cortex.models), [cortex.models]);
  const sovereign = useLive('sovereign')?.on ?? false;
  const index = useMemo(() => capabilitiesOf(groups, sovereign), [groups, sovereign]);
  const columns = useMemo(() => columnsFor(cortex, sovereign), [cortex, sovereign]);
  const entry = index.find((one) => one.name === open) ?? null;
  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 ${open ? 'hidden lg:block' : ''}`}>
        <Table
          label="Capabilities"
          columns={columns}
          rows={index}
          rowKey={(one) => one.name}
          selected={open}
          onSelect={(one) => openGpu('capabilities', one.name)}
          plainKeys
          empty={
            <EmptyState icon={Shapes} title="Nothing that is known offers a capability">
              Providers say what they can do: text-generation, vision-analysis, stt, embedding and others.
            </EmptyState>
          }
        />
      </div>
      {open !== null && (
        <Pane
          label="Capability details"
          title={<bdi className="truncate">{open}</bdi>}
          closeLabel="Close capability"
          onClose={() => openGpu('capabilities')}
        >
          {entry ? (
            <ul aria-label={`Providers of ${entry.name}`} className="divide-y text-xs">
              {entry.providers.map((group) => (
                <li key={group.name}>
                  <button
                    type="button"
                    className="w-full space-y-1 px-4 py-2.5 text-left hover:bg-raised/60"
                    onClick={() => openGpu('models', group.name)}
                  >
                    <span className="flex min-w-0 items-center justify-between gap-3">
                      <Name provider={group.name} tier={isInMemory(group.shown.phase) ? group.shown.tier : null} demo={group.demo} />
                      <PhaseMark phase={group.shown.phase} egress={group.shown.egress} />
                    </span>
                    <span className="flex flex-wrap items-center gap-x-2 gap-y-1 text-ink-3">
                      <EgressBadge egress={group.shown.egress} />
                      {group.shown.groups.map((name) => (
                        <Badge key={name} title="Operational group">
                          {name}
                        </Badge>
                      ))}
                      <Means group={group} cortex={cortex} sovereign={sovereign} />
                    </span>
                    {group.shown.capabilities.length > 1 && (
                      <span className="block text-2xs text-ink-3">
                        also{' '}
                        {listed(
                          group.shown.capabilities.filter((one) => one !== entry.name),
                          6,
                        )}
                      </span>
                    )}
                  </button>
                </li>
              ))}
            </ul>
          ) : (
            <EmptyState icon={Shapes} title="Nobody offers this now" />
          )}
        </Pane>
      )}
    </div>
  );
}

/** What having it takes, where it is not ready. */
function Means({ group, cortex, sovereign }: { group: ProviderGroup; cortex: CortexState; sovereign: boolean }) {
  if (sovereign && group.shown.egress === 'remote') return <span className="text-warn-ink">not while sovereign is on</span>;
  const transition = transitionOf(group, cortex);
  return transition && <TransitionWords transition={transition} />;
}

function columnsFor(cortex: CortexState, sovereign: boolean): readonly Column<CapabilityEntry>[] {
  return [
    { id: 'name', label: 'Capability', width: 'minmax(8rem,1fr)', cell: (one) => <bdi className="font-medium">{one.name}</bdi> },
    {
      id: 'now',
      label: 'Ready now',
      width: 'minmax(8rem,1.2fr)',
      cell: (one) => <Names groups={one.providers.slice(0, one.ready)} none="nobody" />,
    },
    {
      id: 'else',
      label: 'Not in memory',
      width: 'minmax(8rem,1fr)',
      hideBelow: 620,
      cell: (one) => <Names groups={one.providers.slice(one.ready)} none={null} />,
    },
    {
      id: 'means',
      label: 'To load it',
      width: 'minmax(9rem,1.5fr)',
      hideBelow: 820,
      cell: (one) => {
        const [next] = one.providers.slice(one.ready);
        return (
          next && (
            <span className="text-xs">
              <Means group={next} cortex={cortex} sovereign={sovereign} />
            </span>
          )
        );
      },
    },
    {
      id: 'all',
      label: 'Providers',
      width: '5rem',
      align: 'right',
      hideBelow: 480,
      cell: (one) => formatCount(one.providers.length),
    },
  ];
}

function Names({ groups, none }: { groups: readonly ProviderGroup[]; none: string | null }) {
  if (groups.length === 0) return none && <span className="text-ink-3">{none}</span>;
  return (
    <span className="flex min-w-0 items-center gap-1.5" title={groups.map(({ name }) => name).join(', ')}>
      <bdi className="truncate">
        {listed(
          groups.map(({ name }) => name),
          2,
        )}
      </bdi>
      {groups.some(({ demo }) => demo) && <DemoBadge />}
    </span>
  );
}
