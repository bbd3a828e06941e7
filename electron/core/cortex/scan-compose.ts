/** Compose files (compose-spec): the services that have labels of ours. Variables are not looked up; their defaults count. */
import { basename, dirname } from 'node:path';
import type { Document, Node } from 'yaml';
import { yaml } from '../yaml.ts';
import { hostOf, type Label, Malformed, type Published, publishedPort, type Unit } from './scan-unit.ts';

const mostAliases = 100;
const mostServices = 1000;
const mostDepth = 200;
const prefix = 'dispatcher.';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

export function readCompose(file: string, text: string): { units: Unit[]; faults: Malformed[] } {
  if (depthOf(text) > mostDepth) throw new Malformed('It is nested too deep.');
  const { LineCounter, parseDocument } = yaml();
  const counter = new LineCounter();
  const lineAt = (offset: number | undefined) => (offset === undefined ? null : counter.linePos(offset).line);
  let document: Document.Parsed;
  let whole: unknown;
  try {
    // Keys that stand twice are looked for where it matters: to look everywhere takes time by the square of their number.
    document = parseDocument(text, { lineCounter: counter, merge: true, uniqueKeys: false, logLevel: 'silent' });
    const [error] = document.errors;
    if (error)
      throw new Malformed(`This is not YAML: ${error.message.split('\n')[0]!.replace(/ at line \d+.*$/, '')}.`, {
        line: lineAt(error.pos[0]),
      });
    whole = document.toJS({ maxAliasCount: mostAliases });
  } catch (caught) {
    if (caught instanceof Malformed) throw caught;
    // Aliases of aliases, and what is nested too deep for the stack.
    throw new Malformed(caught instanceof ReferenceError ? 'It has too many aliases, or one of nothing.' : 'It cannot be read as YAML.');
  }
  if (!isObject(whole) || whole.services == null) return { units: [], faults: [] };
  const services: unknown = document.get('services', true);
  if (!isObject(whole.services))
    throw new Malformed('services is not a block of services.', { line: lineAt((services as Node | undefined)?.range?.[0]) });
  const names = Object.entries(whole.services);
  if (names.length > mostServices) throw new Malformed(`It has ${names.length} services; ${mostServices} are the most.`);
  const project = projectOf(whole.name, file);
  const units: Unit[] = [];
  const faults: Malformed[] = [];
  for (const [name, service] of names) {
    if (!isObject(service)) continue;
    const at = placeOf(services, name);
    const line = lineAt(at.key?.range?.[0]) ?? 1;
    try {
      const labels = labelsOf(service.labels, { node: at.value, line, lineAt });
      if (labels.length > 0) units.push(unitOf({ name, service, labels, line, project }));
    } catch (caught) {
      if (!(caught instanceof Malformed)) throw caught;
      faults.push(new Malformed(caught.message, { line: caught.line ?? line, unit: name }));
    }
  }
  return { units, faults };
}

function unitOf({
  name,
  service,
  labels,
  line,
  project,
}: {
  name: string;
  service: Json;
  labels: Label[];
  line: number;
  project: string;
}): Unit {
  const called = service.container_name;
  const container = typeof called === 'string' ? filled(called, line) : `${project}-${name}-1`;
  return {
    name,
    kind: 'compose',
    line,
    labels,
    image: typeof service.image === 'string' ? service.image.slice(0, 300) : null,
    controller: { kind: 'container', container, socket: null },
    container,
    ports: Array.isArray(service.ports) ? service.ports.flatMap((port) => portOf(port, line) ?? []) : [],
    anyPort: service.network_mode === 'host',
  };
}

/** How many brackets are open at one place at most, those in texts counted as well: the parser takes time by the square of it. */
function depthOf(text: string): number {
  let depth = 0;
  let most = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    depth = bracket === '[' || bracket === '{' ? depth + 1 : Math.max(0, depth - 1);
    most = Math.max(most, depth);
  }
  return most;
}

/** Compose's own name for what stands in a folder. */
function projectOf(name: unknown, file: string): string {
  const called = typeof name === 'string' ? name : basename(dirname(file));
  return called
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
}

function portOf(port: unknown, line: number): Published | null {
  if (typeof port === 'number' || typeof port === 'string') return publishedPort(filled(String(port), line), line);
  if (!isObject(port)) throw new Malformed('One of its ports is neither a text nor a block.', { line });
  const { target, published, host_ip: ip, protocol = 'tcp' } = port;
  if (published == null || protocol !== 'tcp') return null;
  const bound = publishedPort(`${filled(String(published), line)}:${filled(String(target), line)}`, line);
  const host = typeof ip === 'string' ? filled(ip, line) : undefined;
  return bound && { ...bound, host: hostOf(host?.includes(':') && !host.startsWith('[') ? `[${host}]` : host) };
}

/** Ours, whether they are a block or a list of `key=value`. */
function labelsOf(
  labels: unknown,
  { node, line, lineAt }: { node: unknown; line: number; lineAt(at: number | undefined): number | null },
): Label[] {
  const { isMap, isScalar, isSeq } = yaml();
  const place = isMap(node) ? placeOf(node, 'labels').value : undefined;
  const found: Label[] = [];
  const add = (key: string, value: unknown, at: number) => {
    if (!key.startsWith(prefix)) return;
    if (value !== null && typeof value === 'object') throw new Malformed(`${key} is not a text.`, { line: at });
    found.push({ key: key.slice(prefix.length), value: filled(value === null || value === undefined ? '' : String(value), at), line: at });
  };
  if (Array.isArray(labels)) {
    labels.forEach((label, index) => {
      const at = lineAt(isSeq(place) ? (place.items[index] as Node | undefined)?.range?.[0] : undefined) ?? line;
      if (typeof label !== 'string') return;
      const split = label.indexOf('=');
      add(split < 0 ? label : label.slice(0, split), split < 0 ? '' : label.slice(split + 1), at);
    });
  } else if (isObject(labels)) {
    const places = new Map<string, number[]>();
    for (const { key } of isMap(place) ? place.items : []) {
      if (!isScalar(key) || typeof key.value !== 'string' || !key.value.startsWith(prefix)) continue;
      places.set(key.value, [...(places.get(key.value) ?? []), key.range?.[0] ?? 0].slice(-2));
    }
    for (const [key, value] of Object.entries(labels)) {
      const [first, again] = places.get(key) ?? [];
      const at = lineAt(again ?? first) ?? line;
      if (again !== undefined) throw new Malformed(`${key} stands here twice.`, { line: at });
      add(key, value, at);
    }
  } else if (labels != null && JSON.stringify(labels).includes(prefix))
    throw new Malformed('labels is neither a block nor a list.', { line });
  return found;
}

/** The entry of a block, where it stands there itself: not by way of an alias or a merge. */
function placeOf(node: unknown, key: string): { key?: Node; value?: unknown } {
  const { isMap, isScalar } = yaml();
  if (!isMap(node)) return {};
  const pair = node.items.find((each) => isScalar(each.key) && String(each.key.value) === key);
  return pair ? { key: pair.key as Node, value: pair.value } : {};
}

/** Variables by their defaults, and `$$` as the `$` it stands for. */
function filled(text: string, line: number): string {
  return text.replace(/\$(?:\$|\{([A-Za-z_]\w*)(?:(:?[-+?])([^}]*))?\}|([A-Za-z_]\w*))/g, (match, name, operator, word) => {
    if (match === '$$') return '$';
    if (operator === '-' || operator === ':-') return word as string;
    throw new Malformed(`The variable ${name ?? match.slice(1)} is not known here. Give it a default: \${NAME:-value}.`, { line });
  });
}
