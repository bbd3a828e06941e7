/** Every model there is, by provider; opens into tiers. */
import { Boxes, ChevronRight, Filter } from 'lucide-react';
import { type KeyboardEvent, useCallback, useDeferredValue, useMemo, useState } from 'react';
import type { CortexState, ModelState } from '../../../shared/cortex.ts';
import { useLive } from '../../core.ts';
import { formatCount } from '../../format.ts';
import { usePlainKeys } from '../../keys.ts';
import { Button } from '../../parts/Button.tsx';
import { Chips, SearchField } from '../../parts/Field.tsx';
import { Memory, PhaseMark } from '../../parts/Model.tsx';
import { Pane } from '../../parts/Panel.tsx';
import { EmptyState } from '../../parts/States.tsx';
import { EgressBadge } from '../../parts/Status.tsx';
import { type Column, Table } from '../../parts/Table.tsx';
import { Unknown } from '../../parts/Values.tsx';
import { openGpu, openGpuDialog, useUi } from '../../ui.ts';
import { Name } from '../Plan.tsx';
import { Holding } from './Device.tsx';
import { ModelPane, useWhyLower } from './ModelPane.tsx';
import {
  groupModels,
  isInMemory,
  isLoadable,
  type ModelFilter,
  type ModelRow,
  type ProviderGroup,
  placeOfModel,
  rowsOf,
} from './models.ts';

/** Between the provider and its tier in a key; neither has a line break. */
const SEAM = '\n';

export function Models({ cortex, open }: { cortex: CortexState; open: string | null }) {
  const kept = useUi((ui) => ui.filters.models) as { q?: string; filter?: ModelFilter } | undefined;
  const setFilter = useUi((ui) => ui.setFilter);
  const q = kept?.q ?? '';
  const filter = kept?.filter ?? null;
  const change = (next: { q?: string; filter?: ModelFilter }) => setFilter('models', { q, filter, ...next });
  const [expanded, setExpanded] = useState<ReadonlySet<string>>(new Set());
  const [tier, setTier] = useState<string | null>(null);
  const words = useDeferredValue(q);
  const groups = useMemo(() => groupModels(cortex.models), [cortex.models]);
  const rows = useMemo(() => rowsOf(groups, { q: words, filter, open: expanded }), [groups, words, filter, expanded]);
  const counts = useMemo(() => Object.groupBy(groups, (group) => placeOfModel(group.shown)), [groups]);
  const sovereign = useLive('sovereign')?.on ?? false;
  const columns = useMemo(() => columnsFor(cortex, sovereign), [cortex, sovereign]);

  const group = groups.find((one) => one.name === open) ?? null;
  const selected = open === null ? null : tier !== null && expanded.has(open) ? `${open}${SEAM}${tier}` : open;
  const toggle = useCallback(
    (name: string, to: boolean) =>
      setExpanded((before) => {
        const next = new Set(before);
        if (to) next.add(name);
        else next.delete(name);
        return next;
      }),
    [],
  );
  const rowsWithToggle = useMemo(() => rows.map((row) => ({ row, toggle })), [rows, toggle]);
  const pressed = (event: KeyboardEvent) => {
    if (open === null || !(event.target as HTMLElement).matches('[role=grid]')) return;
    if (event.key === 'ArrowRight') toggle(open, true);
    else if (event.key === 'ArrowLeft') {
      toggle(open, false);
      setTier(null);
    } else return;
    event.preventDefault();
  };
  usePlainKeys(
    group && isLoadable(group.shown)
      ? {
          l: () => openGpuDialog({ kind: 'load', provider: group.name, tier: tier ?? group.shown.tier }),
          ...(isInMemory(group.shown.phase) && { e: () => openGpuDialog({ kind: 'evict', provider: group.name }) }),
        }
      : {},
  );

  return (
    <div className="flex min-h-0 flex-1">
      <div className={`min-w-0 flex-1 flex-col ${open ? 'hidden lg:flex' : 'flex'}`}>
        <div className="flex shrink-0 flex-wrap items-center gap-3 border-b px-4 py-2">
          <SearchField label="Search models" placeholder="Name, tier, capability" value={q} onChange={(next) => change({ q: next })} />
          <Chips<ModelFilter>
            label="State"
            value={filter}
            onChange={(next) => change({ filter: next })}
            options={[
              { value: null, label: 'All', count: groups.length },
              { value: 'memory', label: 'In memory', count: counts.memory?.length },
              { value: 'cold', label: 'Cold', count: counts.cold?.length },
              { value: 'elsewhere', label: 'Elsewhere', count: counts.elsewhere?.length },
              { value: 'trouble', label: 'In trouble', count: counts.trouble?.length },
            ]}
          />
        </div>
        {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys are of the grid inside */}
        <div className="min-h-0 flex-1" onKeyDown={pressed}>
          <Table
            label="Models"
            columns={columns}
            rows={rowsWithToggle}
            rowKey={({ row }) => (row.kind === 'provider' ? row.group.name : `${row.group.name}${SEAM}${row.tier.tier}`)}
            selected={selected}
            onSelect={({ row }) => {
              setTier(row.kind === 'tier' ? row.tier.tier : null);
              openGpu('models', row.group.name);
            }}
            plainKeys
            empty={
              groups.length === 0 ? (
                <EmptyState
                  icon={Boxes}
                  title="No model server is known"
                  action={
                    <Button size="sm" onClick={() => openGpu('servers')}>
                      Look for servers
                    </Button>
                  }
                >
                  Name them under providers: in the registry, label containers, or look for those that run on this machine.
                </EmptyState>
              ) : (
                <EmptyState
                  icon={Filter}
                  title="No model fits"
                  action={
                    <Button size="sm" onClick={() => change({ q: '', filter: null })}>
                      Show all models
                    </Button>
                  }
                />
              )
            }
          />
        </div>
      </div>
      {group ? (
        <ModelPane key={group.name} group={group} cortex={cortex} />
      ) : (
        open !== null && (
          <Pane
            label="Model details"
            title={<bdi className="truncate">{open}</bdi>}
            closeLabel="Close model"
            onClose={() => openGpu('models')}
          >
            <EmptyState icon={Boxes} title="There is no provider of this name">
              It may have been taken out of the registry.
            </EmptyState>
          </Pane>
        )
      )}
    </div>
  );
}

interface Shown {
  row: ModelRow;
  toggle(name: string, to: boolean): void;
}

const stateOf = ({ row }: Shown): ModelState => (row.kind === 'provider' ? row.group.shown : row.tier);

function columnsFor(cortex: CortexState, sovereign: boolean): readonly Column<Shown>[] {
  return [
    {
      id: 'name',
      label: 'Model',
      width: 'minmax(10rem,1.8fr)',
      cell: ({ row, toggle }) =>
        row.kind === 'provider' ? (
          <span className="flex min-w-0 items-center gap-1">
            {row.group.tiers.length > 1 ? (
              <button
                type="button"
                aria-expanded={row.open}
                aria-label={`Tiers of ${row.group.name}`}
                onClick={(event) => {
                  event.stopPropagation();
                  toggle(row.group.name, !row.open);
                }}
                className="-ml-1 flex size-6 shrink-0 items-center justify-center rounded-sm text-ink-3 hover:bg-raised hover:text-ink"
              >
                <ChevronRight aria-hidden className={`size-3.5 transition-transform ${row.open ? 'rotate-90' : ''}`} />
              </button>
            ) : (
              <span className="w-5 shrink-0" />
            )}
            <Name provider={row.group.name} demo={row.group.demo} />
          </span>
        ) : (
          <bdi className="block truncate pl-8 text-ink-2 text-xs" title={row.tier.model}>
            {row.tier.model}
          </bdi>
        ),
    },
    {
      id: 'tier',
      label: 'Tier',
      width: 'minmax(4.5rem,0.7fr)',
      cell: (shown) => {
        const state = stateOf(shown);
        const more = shown.row.kind === 'provider' ? shown.row.group.tiers.length - 1 : 0;
        return (
          <span className="flex min-w-0 items-baseline gap-1.5">
            <bdi className="truncate" title={state.tier}>
              {state.tier}
            </bdi>
            {more > 0 && <span className="shrink-0 text-2xs text-ink-3">+{more}</span>}
          </span>
        );
      },
    },
    {
      id: 'state',
      label: 'State',
      width: '6rem',
      cell: (shown) => (
        <span title={stateOf(shown).detail ?? undefined}>
          {sovereign && stateOf(shown).egress === 'remote' ? (
            <span className="text-warn-ink" title="Remote, and sovereign is on">
              Shut off
            </span>
          ) : (
            <PhaseMark phase={stateOf(shown).phase} egress={stateOf(shown).egress} />
          )}
        </span>
      ),
    },
    {
      id: 'memory',
      label: 'Memory',
      width: '8rem',
      align: 'right',
      hideBelow: 600,
      cell: (shown) =>
        stateOf(shown).egress === 'local' ? (
          <Memory figure={stateOf(shown).vram} what="size not known" />
        ) : (
          <EgressBadge egress={stateOf(shown).egress} />
        ),
    },
    {
      id: 'device',
      label: 'Device',
      width: 'minmax(4rem,0.7fr)',
      hideBelow: 1020,
      cell: (shown) => {
        const { device } = stateOf(shown);
        const name = cortex.devices.find((one) => one.id === device)?.name;
        return device === null ? <Unknown what="on no device" /> : <span title={name}>{device}</span>;
      },
    },
    {
      id: 'held',
      label: 'Now',
      width: 'minmax(6rem,2fr)',
      hideBelow: 820,
      cell: (shown) => (
        <span className="text-ink-2 text-xs">
          {shown.row.kind === 'provider' && <Lower group={shown.row.group} />}
          <Holding state={stateOf(shown)} />
        </span>
      ),
    },
    {
      id: 'waiting',
      label: 'Waiting',
      width: '3.5rem',
      align: 'right',
      hideBelow: 900,
      cell: (shown) => {
        const waiting = shown.row.kind === 'provider' ? shown.row.group.waiting : shown.row.tier.waiting;
        return waiting === 0 ? <span className="text-ink-3">0</span> : <span className="font-medium">{formatCount(waiting)}</span>;
      },
    },
    {
      id: 'act',
      label: 'Action',
      width: '5rem',
      align: 'right',
      quiet: true,
      hideBelow: 520,
      cell: (shown) => <Act shown={shown} />,
    },
  ];
}

/** Why the tier in memory is not the best one, before who has it. */
function Lower({ group }: { group: ProviderGroup }) {
  const why = useWhyLower(group);
  return (
    why && (
      <span className="text-warn-ink" title={why}>
        {why.split(':')[0]} ·{' '}
      </span>
    )
  );
}

function Act({ shown: { row } }: { shown: Shown }) {
  const state = row.kind === 'provider' ? row.group.shown : row.tier;
  if (!isLoadable(state) || state.phase === 'warming' || state.phase === 'draining') return null;
  const evict = state.phase === 'warm';
  return (
    <Button
      size="sm"
      tone="ghost"
      tabIndex={-1}
      aria-label={`${evict ? 'Evict' : 'Load'} ${state.provider} ${state.tier}`}
      onClick={(event) => {
        event.stopPropagation();
        openGpuDialog(
          evict
            ? { kind: 'evict', provider: state.provider }
            : { kind: 'load', provider: state.provider, tier: row.kind === 'tier' ? state.tier : null },
        );
      }}
    >
      {evict ? 'Evict…' : 'Load…'}
    </Button>
  );
}
