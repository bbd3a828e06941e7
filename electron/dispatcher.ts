/** The library of seed 000: a dispatcher in the caller's own process, without any door. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal, refuse } from '../shared/errors.ts';
import type { Crossing, Health, HealthStatus, RegistryState, Resolution, RouteSummary } from '../shared/model.ts';
import { createCore } from './core/core.ts';

/** Answers for services that are not called: by endpoint; an endpoint without one answers `{success: true, mock: true, ...}`. */
export interface MockClient {
  responses: Record<string, unknown>;
}

export interface DispatcherOptions {
  /** Nothing is called; every service answers as its mock. */
  mock?: boolean;
  client?: MockClient;
  /** Path of a registry file; the built-in registry when absent. */
  registry?: string;
  /** Folder for the audit log and the key. Without it they are kept in a temporary folder that goes with `close`. */
  home?: string;
}

export interface Dispatcher {
  /** Sends a text to the route it means. Expected failures are in the crossing's `error`, never thrown. */
  dispatch(query: string, params?: Record<string, unknown>): Promise<Crossing>;
  dispatchTo(org: string, service: string, data?: Record<string, unknown>): Promise<Crossing>;
  listRoutes(): Promise<RouteSummary[]>;
  /** Probes the service now; what has nothing to probe, and everything in mock mode, is `unknown`. Throws `Refusal` route_unknown. */
  healthCheck(org: string, service: string): Promise<Health>;
  /** Status by org, then service. */
  healthCheckAll(): Promise<Record<string, Record<string, HealthStatus>>>;
  /** The whole decision about a text; nothing is called. */
  resolve(query: string): Promise<Resolution>;
  close(): Promise<void>;
}

export function createMockClient({ responses = {} }: Partial<MockClient> = {}): MockClient {
  return { responses };
}

/**
 * Opens a dispatcher. Throws `Refusal` store_unavailable when another core has the home folder, registry_invalid for a registry file that is
 * not there or has errors: a program does not go on with another registry than the one it named.
 */
export async function createDispatcher({ mock = false, client, registry, home }: DispatcherOptions = {}): Promise<Dispatcher> {
  if (registry !== undefined && !existsSync(registry))
    throw new Refusal(refuse('registry_invalid', `There is no registry file ${registry}.`, { hint: 'Name one that is there.' }));
  const folder = home ?? mkdtempSync(join(tmpdir(), 'dispatcher-'));
  await using stack = new AsyncDisposableStack();
  if (home === undefined) stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const core = stack.use(
    await createCore({
      home: folder,
      ...(registry !== undefined && { registryFile: registry }),
      template: readFileSync(new URL('../resources/registry.yaml', import.meta.url), 'utf8'),
      version: 'library',
      mock: client ? { responses: client.responses } : mock,
      secret: (name) => process.env[name] ?? null,
    }),
  );
  const call = (ask: { route?: string; text?: string; params?: Record<string, unknown> }) =>
    core.dispatch({ ...ask, door: 'library', principal: core.owner.principal });
  const operate = async <Result>(route: string, params: Record<string, unknown>): Promise<Result> => {
    const crossing = await call({ route, params });
    if (crossing.error) throw new Refusal(crossing.error);
    return crossing.result as Result;
  };
  const listRoutes = async () => (await operate<{ routes: RouteSummary[] }>('OS.routes', {})).routes;
  if (registry !== undefined) {
    const { problems } = (await operate<{ registry: RegistryState }>('OS.status', {})).registry;
    const bad = problems.find(({ severity }) => severity === 'error');
    if (bad)
      throw new Refusal(
        refuse('registry_invalid', `${registry}, line ${bad.line}, column ${bad.column}: ${bad.message}`, { hint: bad.hint }),
      );
  }
  const owned = stack.move();
  return {
    dispatch: (text, params) => call({ text, ...(params && { params }) }),
    dispatchTo: (org, service, params) => call({ route: `${org}.${service}`, ...(params && { params }) }),
    listRoutes,
    async healthCheck(org, service) {
      const route = `${org}.${service}`;
      return (await operate<{ health: Health[] }>('OS.health', { route, probe: true })).health[0] ?? unprobed(route);
    },
    async healthCheckAll() {
      const { health } = await operate<{ health: Health[] }>('OS.health', { probe: true });
      const statusOf = new Map(health.map(({ route, status }) => [route, status]));
      const all: Record<string, Record<string, HealthStatus>> = {};
      for (const { name, org, service } of await listRoutes()) {
        all[org] ??= {};
        all[org][service] = statusOf.get(name) ?? 'unknown';
      }
      return all;
    },
    resolve: (text) => operate<Resolution>('OS.resolve', { text }),
    close: () => owned.disposeAsync(),
  };
}

function unprobed(route: string): Health {
  const nothing = { latencyMs: null, checkedAt: null, since: null, p50Ms: null, p95Ms: null, lastError: null, incident: null };
  return { route, status: 'unknown', reason: 'there is nothing to probe', ...nothing };
}
