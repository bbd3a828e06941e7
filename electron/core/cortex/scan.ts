/**
 * Containers that name themselves: what compose and Quadlet files say in labels that start with `dispatcher.` is read as an entry of
 * `providers:` in the registry is, and compiled by the same way, so that one thing is said in one manner and refused in the same words.
 */
import { homedir } from 'node:os';
import { basename } from 'node:path';
import type { InvalidUnit, Provider } from '../../../shared/cortex.ts';
import { providerShape } from '../registry/provider-shape.ts';
import { compileProvider } from '../registry/providers.ts';
import type { Report } from '../registry/readers.ts';
import type { Entry, Node } from '../registry/yaml.ts';
import { readCompose } from './scan-compose.ts';
import { readQuadlet } from './scan-quadlet.ts';
import { type Label, Malformed, type Unit } from './scan-unit.ts';

export interface Scanned {
  providers: Provider[];
  invalid: InvalidUnit[];
}

const isCompose = (name: string) => /^(?:docker-)?compose(?:\.[^/]+)?\.ya?ml$/.test(name);
const isQuadlet = (name: string) => name.endsWith('.container');

/** Whether a file of this name may have units. */
export const mayHaveUnits = (name: string): boolean => isCompose(name) || isQuadlet(name);

/** Where the drop-ins of a unit are (podman-systemd.unit(5)): files whose settings come after its own. null: a file of this name has none. */
export const dropInsOf = (file: string): string | null => (isQuadlet(basename(file)) ? `${file}.d` : null);

/**
 * The providers that the text of `file` names, with what its drop-ins add; what cannot be read of it is told with its file and line, and the rest
 * stands. Never throws.
 */
export function readUnits(file: string, main: string, dropIns: readonly { file: string; text: string }[] = []): Scanned {
  const scanned: Scanned = { providers: [], invalid: [] };
  // One text, so that what a unit says in several files is read as what it is.
  let text = main;
  const begins: { file: string; line: number }[] = [{ file, line: 1 }];
  for (const more of dropIns) {
    begins.push({ file: more.file, line: text.split('\n').length + 1 });
    text += `\n${more.text}`;
  }
  const refuse = (fault: Malformed, unit: string) => {
    const place = fault.line === null ? null : begins.findLast(({ line }) => line <= fault.line!)!;
    const line = place === null ? null : fault.line! - place.line + 1;
    scanned.invalid.push({ file: place?.file ?? file, line, unit: fault.unit ?? unit, message: fault.message });
  };
  try {
    const { units, faults } = isQuadlet(basename(file)) ? readQuadlet(file, text) : readCompose(file, text);
    for (const fault of faults) refuse(fault, basename(file));
    for (const unit of units) {
      try {
        scanned.providers.push(providerOf(unit, file));
      } catch (caught) {
        if (!(caught instanceof Malformed)) throw caught;
        refuse(caught, unit.name);
      }
    }
  } catch (caught) {
    if (!(caught instanceof Malformed)) throw caught;
    refuse(caught, basename(file));
  }
  return scanned;
}

// --- labels to an entry of the registry -------------------------------------------------------------------------------

const lists = new Set(['capabilities', 'groups', 'tools', 'devices']);
const texts = new Set(['description', 'model', 'endpoint', 'egress', 'controller', 'container']);
const tierKeys = new Set(['model', 'vram', 'context', 'load_time']);
/** Whoever can write a file in a scanned folder is not by that one who may run programs here, or send our secrets somewhere. */
const registryOnly = new Set(['auth', 'start', 'stop', 'socket']);

/** Labels are texts; what reads them wants numbers where numbers belong. */
function nodeOf(key: string, { value, line }: Label): Node {
  const scalar = (word: string): Node => ({ kind: 'scalar', at: line, value: word });
  const text = value.trim();
  if (lists.has(key)) return { kind: 'list', at: line, items: (text.match(/[^\s,]+/g) ?? []).map(scalar) };
  if (texts.has(key)) return scalar(text);
  if (text === 'true' || text === 'false') return { kind: 'scalar', at: line, value: text === 'true' };
  return /^\d{1,15}(?:\.\d{1,15})?$/.test(text) ? { kind: 'scalar', at: line, value: Number(text) } : scalar(text);
}

const words = (key: string) => key.split('.').map((word) => word.replaceAll('-', '_'));
const mapOf = (at: number, entries: Iterable<Entry>): Node => ({ kind: 'map', at, entries: [...entries] });

function providerOf(unit: Unit, file: string): Provider {
  const entries = new Map<string, Entry>();
  const tiers = new Map<string, { at: number; entries: Entry[] }>();
  const own = new Map<string, Label>();
  for (const label of unit.labels) {
    const path = words(label.key);
    const [key = '', inner] = path;
    const fault = (message: string) => new Malformed(`dispatcher.${label.key} ${message}`, { line: label.line });
    const entry = (name: string): Entry => ({ key: name, at: label.line, value: nodeOf(name, label) });
    if (path.includes('')) throw fault('is no label of Dispatcher.');
    if (path.some((word) => registryOnly.has(word)) && key !== 'tier') throw fault('may only be said in the registry.');
    if (key === 'controller' && label.value.trim() === 'command') throw fault('may name a command only in the registry.');
    if (['name', 'port', 'tier'].includes(label.key)) own.set(label.key, label);
    else if (key === 'tier') {
      const field = path.at(-1)!;
      // Names of tiers have dots in them: 1.5B.
      const name = label.key.split('.').slice(1, -1).join('.');
      if (name === '' || !tierKeys.has(field))
        throw fault('is no label of Dispatcher. Write dispatcher.tier.NAME.model, .vram, .context or .load_time.');
      const tier = tiers.get(name) ?? { at: label.line, entries: [] };
      if (tier.entries.some((one) => one.key === field)) throw fault('stands here twice.');
      tier.entries.push(entry(field));
      tiers.set(name, tier);
    } else if (inner === undefined) {
      if (entries.has(key)) throw fault('stands here twice.');
      entries.set(key, entry(key));
    } else {
      const outer = entries.get(key) ?? { key, at: label.line, value: mapOf(label.line, []) };
      if (path.length > 2 || outer.value.kind !== 'map')
        throw fault('is no label of Dispatcher, or stands beside one that it contradicts.');
      outer.value.entries.push(entry(inner));
      entries.set(key, outer);
    }
  }
  const tier = own.get('tier');
  if (tier && tiers.size > 0) throw new Malformed('dispatcher.tier names the one tier, but there are others.', { line: tier.line });
  if (tier) tiers.set(tier.value.trim(), { at: tier.line, entries: [...tierKeys].flatMap((key) => take(entries, key)) });
  if (tiers.size > 0) {
    const each = [...tiers].map(([key, { at, entries: those }]) => ({ key, at, value: mapOf(at, those) }));
    entries.set('tiers', { key: 'tiers', at: unit.line, value: mapOf(unit.line, each) });
  }
  const name = own.get('name')?.value.trim() ?? unit.name;
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/.test(name)) {
    const message = `"${name.slice(0, 80)}" is not a name. A provider name has letters, digits, "-", "_" and ".".`;
    throw new Malformed(message, { line: own.get('name')?.line ?? unit.line });
  }
  return compiled(unit, file, {
    name,
    node: mapOf(unit.line, entries.values()),
    endpoint: entries.has('endpoint') ? null : endpointOf(unit, own.get('port') ?? null),
  });
}

function take(entries: Map<string, Entry>, key: string): Entry[] {
  const entry = entries.get(key);
  entries.delete(key);
  return entry ? [entry] : [];
}

function compiled(unit: Unit, file: string, { name, node, endpoint }: { name: string; node: Node; endpoint: string | null }): Provider {
  const faults: { at: number; message: string }[] = [];
  const path: (string | number)[] = [];
  const report: Report = {
    path,
    error(at, message, hint = null) {
      const say = typeof hint === 'function' ? hint() : hint;
      const where =
        path.length > 0
          ? `dispatcher.${path
              .filter((part) => typeof part === 'string')
              .join('.')
              .replace(/^tiers/, 'tier')}: `
          : '';
      faults.push({ at, message: `${where}${message}${say ? ` ${say}` : ''}` });
    },
    warning() {
      // A provider that is shown as invalid for what may be right would be worse than none that says so.
    },
  };
  const value = providerShape.read(node, report);
  const wantsContainer = value?.controller?.value.kind === 'container';
  const provider =
    value &&
    // What could not be read is missing as well, and one fault is to be told once.
    faults.length === 0 &&
    compileProvider(
      value,
      {
        name,
        at: unit.line,
        origin: { kind: unit.kind, file, line: unit.line },
        folder: homedir(),
        controller: wantsContainer ? { kind: 'container', container: unit.container, socket: null } : unit.controller,
        endpoint,
        egress: value.endpoint ? null : 'local',
      },
      report,
    );
  const [first, ...more] = faults;
  if (first) throw new Malformed(`${first.message}${more.length > 0 ? ` (and ${more.length} more)` : ''}`, { line: first.at });
  if (!provider) throw new Malformed('Its labels say nothing.', { line: unit.line });
  return { ...provider, description: provider.description ?? unit.image };
}

function endpointOf(unit: Unit, chosen: Label | null): string {
  const { ports, anyPort, line } = unit;
  if (chosen === null) {
    const [first, second] = ports;
    if (!first) throw new Malformed('It publishes no port of this machine. Publish one, or write dispatcher.endpoint.', { line });
    if (second) throw new Malformed('It publishes several ports. Write dispatcher.port with the one of its API.', { line });
    return address(first);
  }
  const port = /^\d{1,5}$/.test(chosen.value.trim()) ? Number(chosen.value) : NaN;
  if (!(port >= 1 && port <= 65_535))
    throw new Malformed(`dispatcher.port: "${chosen.value.slice(0, 80)}" is not a port.`, { line: chosen.line });
  const found = ports.find(({ target }) => target === port) ?? ports.find((published) => published.port === port);
  if (found) return address(found);
  if (anyPort) return address({ host: '127.0.0.1', port });
  throw new Malformed(`dispatcher.port: it does not publish the port ${port}.`, { line: chosen.line });
}

const address = ({ host, port }: { host: string; port: number }) => `http://${host}:${port}`;
