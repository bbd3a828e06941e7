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

/** The providers that the text of `file` names; what cannot be read of it is told, and the rest stands. Never throws. */
export function readUnits(file: string, text: string): Scanned {
  const scanned: Scanned = { providers: [], invalid: [] };
  const refuse = (fault: Malformed, unit: string) =>
    void scanned.invalid.push({ file, line: fault.line, unit: fault.unit ?? unit, message: fault.message });
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
const texts = new Set(['description', 'model', 'name', 'endpoint', 'egress', 'tier', 'controller']);
const tierKeys = new Set(['model', 'vram', 'context', 'load_time']);

/** Labels are texts; what reads them wants numbers where numbers belong. */
function nodeOf(key: string, { value, line }: Label): Node {
  const scalar = (text: string): Node => ({ kind: 'scalar', at: line, value: text });
  const text = value.trim();
  if (lists.has(key))
    return {
      kind: 'list',
      at: line,
      items: text
        .split(/[\s,]+/)
        .filter((word) => word !== '')
        .map(scalar),
    };
  if (texts.has(key)) return scalar(text);
  if (text === 'true' || text === 'false') return { kind: 'scalar', at: line, value: text === 'true' };
  if (/^\d{1,15}(?:\.\d{1,15})?$/.test(text)) return { kind: 'scalar', at: line, value: Number(text) };
  if (text.startsWith('[')) {
    const items = argumentsIn(text);
    if (items) return { kind: 'list', at: line, items: items.map(scalar) };
  }
  return scalar(text);
}

/** `["systemctl", "start", "x"]`. */
function argumentsIn(text: string): string[] | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}

function providerOf(unit: Unit, file: string): Provider {
  const entries = new Map<string, Entry>();
  const tiers = new Map<string, { at: number; entries: Entry[] }>();
  let name: { value: string; line: number } = { value: unit.name, line: unit.line };
  let port: Label | null = null;
  let tier: Label | null = null;
  const seen = new Set<string>();
  for (const label of unit.labels) {
    const path = label.key.split('.');
    const key = path[0]!.replaceAll('-', '_');
    if (seen.has(label.key)) throw new Malformed(`dispatcher.${label.key} stands here twice.`, { line: label.line });
    seen.add(label.key);
    if (path.some((part) => part === '')) throw new Malformed(`dispatcher.${label.key} is no label of Dispatcher.`, { line: label.line });
    if (label.key === 'name') name = { value: label.value.trim(), line: label.line };
    else if (label.key === 'port') port = label;
    else if (label.key === 'tier') tier = label;
    else if (key === 'tier') {
      const field = path.at(-1)!.replaceAll('-', '_');
      const of = path.slice(1, -1).join('.');
      if (of === '' || !tierKeys.has(field)) {
        const hint = 'Write dispatcher.tier.NAME.model, .vram, .context or .load_time.';
        throw new Malformed(`dispatcher.${label.key} is no label of Dispatcher. ${hint}`, { line: label.line });
      }
      const known = tiers.get(of) ?? { at: label.line, entries: [] };
      known.entries.push({ key: field, at: label.line, value: nodeOf(field, label) });
      tiers.set(of, known);
    } else if (path.length === 2) {
      const inner = { key: path[1]!.replaceAll('-', '_'), at: label.line, value: nodeOf(path[1]!, label) };
      const outer = entries.get(key);
      if (outer && outer.value.kind === 'map') outer.value.entries.push(inner);
      else if (outer) throw new Malformed(`dispatcher.${key} is said twice, as a word and as a block.`, { line: label.line });
      else entries.set(key, { key, at: label.line, value: { kind: 'map', at: label.line, entries: [inner] } });
    } else if (entries.has(key)) throw new Malformed(`dispatcher.${key} is said twice.`, { line: label.line });
    else
      entries.set(path.length === 1 ? key : label.key, {
        key: path.length === 1 ? key : label.key,
        at: label.line,
        value: nodeOf(key, label),
      });
  }
  if (tier && tiers.size > 0) throw new Malformed('dispatcher.tier names the one tier, but there are others.', { line: tier.line });
  if (tier) tiers.set(tier.value.trim(), { at: tier.line, entries: [...tierKeys].flatMap((key) => take(entries, key)) });
  if (tiers.size > 0) {
    const value: Node = {
      kind: 'map',
      at: unit.line,
      entries: [...tiers].map(([key, each]) => ({ key, at: each.at, value: { kind: 'map', at: each.at, entries: each.entries } })),
    };
    entries.set('tiers', { key: 'tiers', at: unit.line, value });
  }
  if (!/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/.test(name.value))
    throw new Malformed(`"${name.value.slice(0, 80)}" is not a name. A provider name has letters, digits, "-", "_" and ".".`, {
      line: name.line,
    });
  return compiled(unit, file, {
    name: name.value,
    node: { kind: 'map', at: unit.line, entries: [...entries.values()] },
    endpoint: entries.has('endpoint') ? null : endpointOf(unit, port),
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
      const where = path.length > 0 ? `dispatcher.${path.filter((part) => typeof part === 'string').join('.')}: ` : '';
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
  const [first, ...more] = faults.sort((a, b) => a.at - b.at);
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
