/** The sections `providers:` and `cortex:` and the needs of services, compiled. Labels of containers (cortex/scan.ts) come by the same way. */
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { needOf } from '../../../shared/contract.ts';
import type { ControllerSpec, Need, Provider, Tier } from '../../../shared/cortex.ts';
import type { CortexSettings, SidecarSettings } from '../../../shared/model.ts';
import { checkEndpoint } from './endpoint.ts';
import type { needShape, ProviderShape } from './provider-shape.ts';
import { nearest, type Report } from './readers.ts';
import { checkProgram } from './sections.ts';
import type { FileShape } from './shape.ts';

const defaults = { priority: 50, drainMs: 120_000, warmMs: 180_000, stopMs: 2000, loadMs: 20_000 };
/** FACTS.md: a sidecar has less than two thousand million parameters. */
const sidecarParameters = 2e9;

export const defaultCortex: CortexSettings = {
  scan: [],
  containerSocket: null,
  inertiaMs: 30_000,
  starveMs: 60_000,
  grantMs: 3_600_000,
  pulseFreshMs: 10_000,
  sidecar: null,
  pools: [],
  alerts: { temperature: { warning: 70, critical: 80, hysteresis: 2 }, memory: { warning: 0.8, critical: 0.95, hysteresis: 0.05 } },
};

/** Where the entry stands, and what it is taken for where it does not say. */
export interface ProviderPlace {
  name: string;
  at: number;
  origin: Provider['origin'];
  /** Relative paths start here. */
  folder: string;
  controller: ControllerSpec;
  /** null: it has to say. */
  endpoint: string | null;
  /** null: it should say, and is remote if it does not. */
  egress: Provider['egress'] | null;
}

/**
 * One entry compiled; null after an error. `report.path` is that of the entry. `tiers` empty: the server is asked what it has, as with
 * `capabilities` empty.
 */
export function compileProvider(value: ProviderShape, place: ProviderPlace, report: Report): Provider | null {
  const { name, at } = place;
  const within = (key: string, act: () => void) => {
    report.path.push(key);
    act();
    report.path.pop();
  };
  const address = value.endpoint?.value ?? place.endpoint;
  const egress = value.egress ?? place.egress ?? 'remote';
  if (address === null)
    report.error(at, `${name} has no endpoint.`, 'Add endpoint: http://127.0.0.1:11434, or wherever its API is, without /v1.');
  if (!value.egress && place.egress === null)
    report.warning(at, `${name} does not say where its endpoint is, so it counts as remote.`, 'Add egress: local, lan or remote.');
  if (address !== null) {
    const fault = checkEndpoint(address, value.egress ?? place.egress);
    if (fault) within('endpoint', () => report[fault.severity](value.endpoint?.at ?? at, fault.message, fault.hint));
    else if (address.includes('?'))
      within('endpoint', () => report.error(value.endpoint?.at ?? at, 'A base address has no query.', 'Remove what is after the "?".'));
  }
  const secret = value.auth?.value;
  if (secret?.kind === 'header' && !secret.header)
    within('auth', () => report.error(value.auth!.at, 'auth of kind header does not name the header.', 'Add header: X-Api-Key.'));
  const controller = controllerOf(value, place, report);
  const tiers = tiersOf(value, { egress, controller }, report);
  const capabilities = [...new Set(value.capabilities ?? [])].sort();
  if (tiers.length > 0 && capabilities.length === 0)
    report.error(at, `${name} does not say what it can do.`, 'Add capabilities: [text-generation], or what it is.');
  if (tiers.length === 0 && (controller.kind === 'container' || controller.kind === 'command'))
    report.error(at, `${name} does not say which model it has.`, 'Add model: with what its server calls it, or tiers:.');
  if (address === null || (tiers.length > 0 && capabilities.length === 0)) return null;
  return {
    name,
    description: value.description ?? null,
    controller,
    endpoint: baseOf(address),
    egress,
    auth: secret?.env ? { kind: secret.kind ?? 'bearer', env: secret.env, header: secret.header?.value ?? null } : null,
    capabilities,
    tiers,
    tools: [...new Set((value.tools ?? []).map((tool) => tool.value))],
    groups: [...new Set(value.groups ?? [])].sort(),
    devices: [...new Set(value.devices ?? [])],
    priority: value.priority ?? defaults.priority,
    pinned: value.pinned ?? false,
    concurrency: value.concurrency ?? null,
    idleMs: value.idle ?? null,
    drainMs: value.drain ?? defaults.drainMs,
    warmMs: value.warm_up ?? defaults.warmMs,
    stopMs: value.stop_time ?? defaults.stopMs,
    settings: {
      temperature: value.settings?.temperature ?? 0.7,
      top_p: value.settings?.top_p ?? 0.9,
      max_tokens: value.settings?.max_tokens ?? 4096,
    },
    origin: place.origin,
    demo: value.demo ?? false,
  };
}

/** People write the address with or without it. */
const baseOf = (address: string) => address.replace(/\/+$/, '').replace(/\/v1$/, '').replace(/\/+$/, '');

function controllerOf(value: ProviderShape, { name, at, folder, controller: unsaid }: ProviderPlace, report: Report): ControllerSpec {
  const given = value.controller?.value;
  if (!given) return unsaid;
  const { container, socket, start, stop } = given;
  const kind = given.kind ?? (container || socket ? 'container' : start || stop ? 'command' : unsaid.kind);
  report.path.push('controller');
  const strange = kind === 'container' ? { start, stop } : kind === 'command' ? { container, socket } : { container, socket, start, stop };
  for (const [key, entry] of Object.entries(strange))
    if (entry) report.error(entry.at, `${key} does not belong to a controller of kind ${kind}.`, 'Remove it, or write another kind.');
  let spec: ControllerSpec;
  switch (kind) {
    case 'container':
      spec = {
        kind,
        container: container?.value ?? (unsaid.kind === 'container' ? unsaid.container : name),
        socket: socket ? placeOf(socket.value, folder) : null,
      };
      break;
    case 'command':
      for (const [key, command] of Object.entries({ start, stop })) {
        if (!command) {
          if (unsaid.kind !== 'command')
            report.error(
              value.controller?.at ?? at,
              `There is no command to ${key} it.`,
              `Add ${key}: [systemctl, --user, ${key}, ${name}].`,
            );
          continue;
        }
        report.path.push(key);
        const fault = command.value[0] ? checkProgram(command.value) : null;
        if (fault) report.error(fault.at, fault.message, fault.hint);
        report.path.pop();
      }
      spec = {
        kind,
        start: start?.value.map((each) => each.value) ?? (unsaid.kind === 'command' ? unsaid.start : []),
        stop: stop?.value.map((each) => each.value) ?? (unsaid.kind === 'command' ? unsaid.stop : []),
      };
      break;
    default:
      spec = { kind };
  }
  report.path.pop();
  return spec;
}

function tiersOf(value: ProviderShape, about: { egress: Provider['egress']; controller: ControllerSpec }, report: Report): Tier[] {
  const { model, vram, context, load_time } = value;
  const elsewhere = about.egress !== 'local';
  const compiled = (name: string, given: { model?: string; vram?: number; context?: number; load_time?: number }): Tier => ({
    name,
    model: given.model ?? name,
    vram: given.vram !== undefined ? { bytes: given.vram, source: 'estimated' } : elsewhere ? { bytes: 0, source: 'estimated' } : null,
    context: given.context ?? null,
    loadMs: given.load_time ?? (about.controller.kind === 'openai' ? 0 : defaults.loadMs),
  });
  if (value.tiers) {
    for (const [key, entry] of Object.entries({ model, vram, context, load_time })) {
      if (!entry) continue;
      report.path.push(key);
      report.error(entry.at, `${key} stands beside tiers.`, 'Write it inside the tier it is of, or remove tiers.');
      report.path.pop();
    }
    return value.tiers.value.map((tier) => compiled(tier.name, tier.value));
  }
  if (model)
    return [compiled(model.value, { model: model.value, vram: vram?.value, context: context?.value, load_time: load_time?.value })];
  for (const [key, entry] of Object.entries({ vram, context, load_time })) {
    if (!entry) continue;
    report.path.push(key);
    report.error(entry.at, `${key} is that of one model, and none is named.`, 'Add model:, or write it inside tiers.');
    report.path.pop();
  }
  return [];
}

interface Sections {
  lineOf(at: number): number;
  report: Report;
  under(keys: (string | number)[], act: () => void): void;
  /** The registry file; null where the text has none. */
  file: string | null;
}

const folderOf = (file: string | null) => (file === null ? resolve() : dirname(file));

function placeOf(path: string, folder: string): string {
  return path === '~' ? homedir() : path.startsWith('~/') ? join(homedir(), path.slice(2)) : resolve(folder, path);
}

/** The `providers` section. `tools` name routes: `isRoute` says which there are. */
export function compileProviders(
  given: FileShape['providers'],
  { lineOf, report, under, file }: Sections,
  known: { isRoute(name: string): boolean; routes(): string[] },
): Provider[] {
  return (given ?? []).flatMap(({ name, at, value }) => {
    let provider: Provider | null = null;
    under(['providers', name], () => {
      const place: ProviderPlace = {
        name,
        at,
        origin: { kind: 'registry', file, line: lineOf(at) },
        folder: folderOf(file),
        controller: { kind: 'openai' },
        endpoint: null,
        egress: null,
      };
      provider = compileProvider(value, place, report);
      value.tools?.forEach((tool, index) => {
        if (known.isRoute(tool.value)) return;
        const meant = nearest(tool.value, known.routes());
        under(['tools', index], () =>
          report.error(tool.at, `There is no route ${tool.value}.`, meant ? `Did you mean ${meant}?` : 'Write ORG.name of a service.'),
        );
      });
    });
    return provider ?? [];
  });
}

/** The `cortex` section. The provider of the sidecar becomes pinned in `providers`. */
export function cortexSettings(
  given: FileShape['cortex'],
  { report, under, file }: Omit<Sections, 'lineOf'>,
  { providers, whole }: { providers: Provider[]; whole: boolean },
): CortexSettings {
  if (!given) return defaultCortex;
  const folder = folderOf(file);
  const scan = [...new Set((given.scan ?? []).map(({ value }) => placeOf(value, folder)))];
  const { temperature, memory } = given.alerts ?? {};
  const alert = (key: string, at: number | undefined, bounds: CortexSettings['alerts']['memory']) => {
    if (at !== undefined && bounds.warning > bounds.critical)
      under(['cortex', 'alerts', key], () => report.error(at, 'The warning is above what is critical.', 'Write a warning below critical.'));
    return bounds;
  };
  let sidecar: SidecarSettings | null = null;
  under(['cortex', 'sidecar'], () => {
    sidecar = sidecarSettings(given.sidecar, { report, folder, providers, elsewhere: scan.length > 0 || !whole });
  });
  const pools = (given.pools ?? []).flatMap(({ name, value: { endpoint } }) => {
    if (!endpoint) return [];
    const fault = checkEndpoint(endpoint.value, null);
    if (fault) under(['cortex', 'pools', name], () => report[fault.severity](endpoint.at, fault.message, fault.hint));
    return [{ name, endpoint: baseOf(endpoint.value) }];
  });
  return {
    scan,
    containerSocket: given.container_socket ? placeOf(given.container_socket.value, folder) : null,
    inertiaMs: given.inertia ?? defaultCortex.inertiaMs,
    starveMs: given.starvation ?? defaultCortex.starveMs,
    grantMs: given.grant_time ?? defaultCortex.grantMs,
    pulseFreshMs: given.pulse_fresh ?? defaultCortex.pulseFreshMs,
    sidecar,
    pools,
    alerts: {
      temperature: alert('temperature', temperature?.at, { ...defaultCortex.alerts.temperature, ...temperature?.value }),
      memory: alert('memory', memory?.at, { ...defaultCortex.alerts.memory, ...memory?.value }),
    },
  };
}

function sidecarSettings(
  given: Exclude<FileShape['cortex'], undefined>['sidecar'],
  { report, folder, providers, elsewhere }: { report: Report; folder: string; providers: Provider[]; elsewhere: boolean },
): SidecarSettings | null {
  if (!given) return null;
  const { provider: name, lexicon, budget } = given.value;
  if (!name) {
    report.error(given.at, 'The sidecar does not name its provider.', 'Add provider: with a name of the section providers.');
    return null;
  }
  const provider = providers.find((each) => each.name === name.value);
  if (provider) {
    provider.pinned = true;
    const large = provider.tiers.find(({ model }) => (parametersOf(model) ?? 0) > sidecarParameters);
    if (large)
      report.warning(
        name.at,
        `${large.model} has more than two thousand million parameters, and it would be in memory all the time.`,
        'Choose a smaller model, such as qwen2.5:1.5b.',
      );
  } else {
    // Models of servers that are asked, and containers, are known later.
    const asked = providers.some((each) => each.tiers.length === 0 && name.value.startsWith(`${each.name}.`));
    if (!elsewhere && !asked) {
      const meant = nearest(
        name.value,
        providers.map((each) => each.name),
      );
      report.error(
        name.at,
        `There is no provider ${name.value}.`,
        meant ? `Did you mean ${meant}?` : 'Write the name of one under providers:.',
      );
    }
  }
  return { provider: name.value, lexicon: lexicon ? placeOf(lexicon.value, folder) : null, budgetMs: budget ?? 2000 };
}

/** The number of parameters that a model's name says: `qwen2.5:1.5b`, `smollm2-360M`; null where it says none. */
function parametersOf(model: string): number | null {
  const found = /(?:^|[^a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])/i.exec(basename(model));
  return found ? Number(found[1]) * (found[2]!.toLowerCase() === 'b' ? 1e9 : 1e6) : null;
}

/** A service's `need`, with seed 001's defaults. null after an error. */
export function compileNeed(given: Exclude<ReturnType<typeof needShape.read>, undefined>, at: number, report: Report): Need | null {
  const { context_tokens: contextTokens, ...same } = given;
  const need = needOf({ ...same, contextTokens });
  if (need.capabilities.length > 0 || need.model !== null) return need;
  report.error(at, 'This need names neither capabilities nor a model.', 'Add capabilities: [text-generation].');
  return null;
}
