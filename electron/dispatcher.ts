/** The library of seed 000: a dispatcher in the caller's own process, without any door. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Refusal } from '../shared/errors.ts';
import type { Crossing, Health, HealthStatus, Resolution, RouteSummary } from '../shared/model.ts';
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
  /** Probes the service now. Throws `Refusal` route_unknown. */
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

/** Opens a dispatcher. Throws `Refusal` store_unavailable when another core has the home folder, registry_invalid for a bad registry file. */
export async function createDispatcher({ mock = false, client, registry, home }: DispatcherOptions = {}): Promise<Dispatcher> {
  const folder = home ?? mkdtempSync(join(tmpdir(), 'dispatcher-'));
  const core = await createCore({
    home: folder,
    ...(registry !== undefined && { registryFile: registry }),
    template: readFileSync(new URL('../resources/registry.yaml', import.meta.url), 'utf8'),
    version: 'library',
    mock: client ? { responses: client.responses } : mock,
    secret: (name) => process.env[name] ?? null,
  });
  const call = (ask: { route?: string; text?: string; params?: Record<string, unknown> }) =>
    core.dispatch({ ...ask, door: 'library', principal: core.owner.principal });
  const operate = async <Result>(route: string, params: Record<string, unknown>): Promise<Result> => {
    const crossing = await call({ route, params });
    if (crossing.error) throw new Refusal(crossing.error);
    return crossing.result as Result;
  };
  return {
    dispatch: (text, params) => call({ text, ...(params && { params }) }),
    dispatchTo: (org, service, params) => call({ route: `${org}.${service}`, ...(params && { params }) }),
    listRoutes: async () => (await operate<{ routes: RouteSummary[] }>('OS.routes', {})).routes,
    healthCheck: async (org, service) =>
      (await operate<{ health: Health[] }>('OS.health', { route: `${org}.${service}`, probe: true })).health[0]!,
    async healthCheckAll() {
      const { health } = await operate<{ health: Health[] }>('OS.health', { probe: true });
      const all: Record<string, Record<string, HealthStatus>> = {};
      for (const { route, status } of health) {
        const [org, ...service] = route.split('.');
        all[org!] ??= {};
        all[org!]![service.join('.')] = status;
      }
      return all;
    },
    resolve: (text) => operate<Resolution>('OS.resolve', { text }),
    async close() {
      await core[Symbol.asyncDispose]();
      if (home === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
