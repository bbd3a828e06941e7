import { FileCode2, Waypoints } from 'lucide-react';
import { lazy, Suspense, useMemo } from 'react';
import type { BreakerState, Health, RouteSummary } from '../../shared/model.ts';
import { useLive } from '../core.ts';
import { formatCount } from '../format.ts';
import { Button } from '../parts/Button.tsx';
import { Chips, SearchField } from '../parts/Field.tsx';
import { DemoBadge } from '../parts/Model.tsx';
import { ViewHead } from '../parts/Panel.tsx';
import { EmptyState, LoadingState, LoadingView } from '../parts/States.tsx';
import { Badge, EgressBadge, HealthDot } from '../parts/Status.tsx';
import { type Column, Table } from '../parts/Table.tsx';
import { type Tab, Tabs } from '../parts/Tabs.tsx';
import { Duration } from '../parts/Values.tsx';
import { useUi } from '../ui.ts';
import { RouteDetail } from './RouteDetail.tsx';
import { RuleTester } from './RuleTester.tsx';

// The editor's library is as large as the rest of the window: loaded when somebody edits.
const RegistryEditor = lazy(() => import('./RegistryEditor.tsx').then((module) => ({ default: module.RegistryEditor })));

type TabName = 'services' | 'rules' | 'registry';
export interface RoutesFilter {
  tab: TabName;
  q: string;
  org: string | null;
  text: string;
}
const initial: RoutesFilter = { tab: 'services', q: '', org: null, text: '' };

export function useRoutesFilter(): [RoutesFilter, (change: Partial<RoutesFilter>) => void] {
  const filter = useUi((ui) => ui.filters.routes) as RoutesFilter | undefined;
  const set = useUi((ui) => ui.setFilter);
  const current = { ...initial, ...filter };
  return [current, (change) => set('routes', { ...current, ...change })];
}

export function Routes() {
  const [filter, setFilter] = useRoutesFilter();
  const routes = useLive('routes');
  const registry = useLive('registry');
  if (!routes || !registry) return <LoadingView title="Routes" what="Loading the routes" />;
  const errors = registry.problems.filter((problem) => problem.severity === 'error').length;
  const tabs: Tab<TabName>[] = [
    { id: 'services', label: 'Services', content: <Services routes={routes} filter={filter} onFilter={setFilter} /> },
    { id: 'rules', label: 'Rule tester', content: <RuleTester text={filter.text} onText={(text) => setFilter({ text })} /> },
    {
      id: 'registry',
      label: errors > 0 ? `Registry · ${errors} ${errors === 1 ? 'error' : 'errors'}` : 'Registry',
      content: filter.tab === 'registry' && (
        <Suspense fallback={<LoadingState what="Opening the editor" />}>
          <RegistryEditor />
        </Suspense>
      ),
    },
  ];
  return (
    <div className="flex h-full min-h-0 flex-col">
      <ViewHead title="Routes">
        {formatCount(registry.services)} services in {formatCount(registry.orgs)} orgs, {formatCount(registry.rules)} rules
        {errors > 0 && <span className="text-bad-ink"> · the file on disk has errors, the one before it serves</span>}
      </ViewHead>
      <div className="flex min-h-0 flex-1 flex-col border-t bg-surface">
        <Tabs label="Routes" tabs={tabs} value={filter.tab} onChange={(tab) => setFilter({ tab })} />
      </div>
    </div>
  );
}

function Services({
  routes,
  filter,
  onFilter,
}: {
  routes: RouteSummary[];
  filter: RoutesFilter;
  onFilter(change: Partial<RoutesFilter>): void;
}) {
  const orgs = useLive('orgs') ?? [];
  const health = useLive('health') ?? [];
  const breakers = useLive('breakers') ?? [];
  const selected = useUi((ui) => ui.item);
  const go = useUi((ui) => ui.go);

  const byRoute = useMemo(() => new Map(health.map((entry) => [entry.route, entry])), [health]);
  const open = useMemo(() => new Map(breakers.flatMap((breaker) => breaker.routes.map((route) => [route, breaker] as const))), [breakers]);
  const counts = useMemo(() => {
    const all = new Map<string, number>();
    for (const { org } of routes) all.set(org, (all.get(org) ?? 0) + 1);
    return all;
  }, [routes]);
  const shown = useMemo(() => {
    const words = filter.q.toLowerCase().split(/\s+/).filter(Boolean);
    return routes.filter((route) => {
      if (filter.org !== null && route.org !== filter.org) return false;
      const text = `${route.name} ${route.description ?? ''} ${route.endpoint ?? ''} ${route.kind} ${route.egress}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }, [routes, filter.q, filter.org]);
  const route = routes.find(({ name }) => name === selected) ?? null;
  const all = columns(byRoute, open);

  return (
    <div className="flex min-h-0 flex-1">
      <nav aria-label="Orgs" className={`hidden w-56 shrink-0 flex-col overflow-auto border-r p-2 ${route ? 'xl:flex' : 'lg:flex'}`}>
        <OrgButton name="All orgs" count={routes.length} active={filter.org === null} onClick={() => onFilter({ org: null })} />
        {orgs
          .filter((org) => counts.has(org.code))
          .map((org) => (
            <OrgButton
              key={org.code}
              code={org.code}
              name={org.name}
              count={counts.get(org.code) ?? 0}
              planned={org.status === 'planned'}
              active={filter.org === org.code}
              onClick={() => onFilter({ org: org.code })}
            />
          ))}
      </nav>
      <div className="flex min-w-0 flex-1 flex-col">
        <div className="flex items-center gap-3 border-b px-4 py-2">
          <SearchField label="Search routes" placeholder="Name, endpoint, kind…" value={filter.q} onChange={(q) => onFilter({ q })} />
          <span className="truncate text-ink-3 text-xs">
            {shown.length === routes.length ? '' : `${formatCount(shown.length)} of ${formatCount(routes.length)}`}
          </span>
          {filter.org !== null && (
            <span className={`ml-auto ${route ? 'xl:hidden' : 'lg:hidden'}`}>
              <Chips
                label="Org"
                value={null}
                options={[{ value: null, label: `${filter.org} ×` }]}
                onChange={() => onFilter({ org: null })}
              />
            </span>
          )}
        </div>
        <div className="min-h-0 flex-1">
          <Table
            label="Routes"
            columns={route ? all.filter((column) => beside.has(column.id)) : all}
            rows={shown}
            rowKey={(row) => row.name}
            selected={selected}
            onSelect={(row) => go('routes', row.name)}
            minWidth={route ? 200 : 520}
            empty={
              routes.length === 0 ? (
                <EmptyState
                  icon={FileCode2}
                  title="The registry has no services yet"
                  action={<Button onClick={() => onFilter({ tab: 'registry' })}>Open the registry</Button>}
                >
                  Everything Dispatcher can reach is written in one YAML file.
                </EmptyState>
              ) : (
                <EmptyState
                  icon={Waypoints}
                  title="No route matches"
                  action={<Button onClick={() => onFilter({ q: '', org: null })}>Show all</Button>}
                >
                  Nothing here is called {filter.q ? `“${filter.q}”` : 'that'}.
                </EmptyState>
              )
            }
          />
        </div>
      </div>
      {route && (
        <aside aria-label={`Route ${route.name}`} className="w-[min(26rem,46%)] shrink-0 overflow-auto border-l">
          <RouteDetail key={route.name} route={route} health={byRoute.get(route.name) ?? null} breaker={open.get(route.name) ?? null} />
        </aside>
      )}
    </div>
  );
}

/** The columns there is room for beside an open route. */
const beside = new Set(['health', 'name', 'egress', 'p50']);

function OrgButton({
  code,
  name,
  count,
  active,
  planned = false,
  onClick,
}: {
  code?: string;
  name: string;
  count: number;
  active: boolean;
  planned?: boolean;
  onClick(): void;
}) {
  return (
    <button
      type="button"
      aria-pressed={active}
      onClick={onClick}
      className="flex h-8 shrink-0 items-center gap-2 rounded-md px-2 text-left text-ink-2 text-sm hover:bg-raised aria-pressed:bg-accent-soft aria-pressed:text-accent-ink"
    >
      {code && <span className="w-9 shrink-0 font-mono text-2xs">{code}</span>}
      <span className="min-w-0 flex-1 truncate" title={name}>
        {name}
      </span>
      {planned && <span className="text-2xs text-ink-3">planned</span>}
      <span className="text-2xs text-ink-3">{count}</span>
    </button>
  );
}

function columns(health: Map<string, Health>, open: Map<string, BreakerState>): Column<RouteSummary>[] {
  return [
    {
      id: 'health',
      label: 'Health',
      quiet: true,
      width: '16px',
      cell: (row) => (row.health ? <HealthDot status={health.get(row.name)?.status ?? 'unknown'} /> : null),
    },
    {
      id: 'name',
      label: 'Route',
      width: 'minmax(0,1.6fr)',
      cell: (row) => (
        <span className="flex min-w-0 items-center gap-2">
          <span className="truncate font-medium">
            <span className="text-ink-3">{row.org}.</span>
            {row.service}
          </span>
          {row.demo && <DemoBadge />}
          {open.get(row.name)?.state === 'open' && <Badge tone="bad">breaker open</Badge>}
          {open.get(row.name)?.state === 'half-open' && <Badge tone="warn">half-open</Badge>}
        </span>
      ),
    },
    { id: 'kind', label: 'Kind', width: '72px', hideBelow: 720, cell: (row) => <span className="text-ink-2">{row.kind}</span> },
    { id: 'egress', label: 'Egress', width: '72px', cell: (row) => <EgressBadge egress={row.egress} /> },
    {
      id: 'calls',
      label: 'Calls',
      width: '64px',
      align: 'right',
      cell: (row) => (row.calls === 0 ? <span className="text-ink-3">0</span> : formatCount(row.calls)),
    },
    { id: 'p50', label: 'p50', width: '72px', align: 'right', hideBelow: 300, cell: (row) => <Duration ms={row.p50Ms} /> },
    { id: 'p95', label: 'p95', width: '72px', align: 'right', hideBelow: 660, cell: (row) => <Duration ms={row.p95Ms} /> },
    {
      id: 'error',
      label: 'Last outcome',
      width: 'minmax(0,1fr)',
      hideBelow: 460,
      cell: (row) =>
        row.lastError ? (
          <span className="text-bad-ink" title={row.lastError}>
            {row.lastError}
          </span>
        ) : row.calls > 0 ? (
          <span className="text-ink-3">ok</span>
        ) : (
          <span className="text-ink-3">never called</span>
        ),
    },
  ];
}
