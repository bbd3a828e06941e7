/** Small changes to the text of the registry: what is new is written in, every other byte stays, comments included. */
import { type Document, isMap, isScalar, isSeq, type Pair, parseDocument, stringify, type YAMLMap } from 'yaml';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Egress } from '../../../shared/model.ts';
import { invalid, parseRegistry } from './parse.ts';

/**
 * The text with one more example for `route` (ORG.service, or FLOW.intent). The text itself when the example is there already.
 * Throws `Refusal`: registry_invalid (not YAML), route_unknown (no such service in the text).
 */
export function addExample(text: string, route: string, example: string): string {
  const document = open(text);
  const [org = '', ...rest] = route.split('.');
  const path = org === 'FLOW' ? ['flows', rest.join('.')] : ['orgs', org, 'services', rest.join('.')];
  const service = document.getIn(path, true);
  if (!document.hasIn(path)) {
    throw new Refusal(refuse('route_unknown', `The registry has no service ${route}.`, { hint: 'Name a service of the registry.' }));
  }
  const before: unknown = document.toJS();
  // A flow that is nothing but its address.
  const address = isScalar(service) && typeof service.value === 'string' ? service.value : null;
  if (address !== null) {
    const block = { endpoint: address, examples: [example] };
    const edited = replace(text, service, `{ endpoint: ${JSON.stringify(address)}, examples: [${JSON.stringify(example)}] }`);
    if (edited !== null && sameButFor(before, edited, { path, value: block })) return edited;
    document.setIn(path, document.createNode(block));
    return document.toString({ lineWidth: 0 });
  }
  const known: unknown = document.getIn([...path, 'examples']);
  const had: unknown[] = isSeq(known) ? (known.toJSON() as unknown[]) : [];
  if (had.includes(example)) return text;

  const edited = insertExample(text, service, example);
  if (edited !== null && sameButFor(before, edited, { path: [...path, 'examples'], value: [...had, example] })) return edited;
  // Unusual layouts are written anew; comments stay, spacing may not.
  if (isSeq(known)) document.addIn([...path, 'examples'], example);
  else document.setIn([...path, 'examples'], [example]);
  return document.toString({ lineWidth: 0 });
}

/**
 * The text with one more MCP server, reached by `command` (program and arguments) or `url`.
 * Throws `Refusal`: registry_invalid (not YAML), conflict (there is one of that name), input_invalid (neither or both).
 */
export function addMcpServer(
  text: string,
  { name, command, url, egress }: { name: string; command?: string[]; url?: string; egress: Egress },
): string {
  const document = open(text);
  if ((command === undefined) === (url === undefined))
    throw new Refusal(refuse('input_invalid', 'A server has either a command or a url.', { hint: 'Send one of the two.' }));
  if (document.hasIn(['mcp', name]))
    throw new Refusal(
      refuse('conflict', `The registry has a server ${name} already.`, { hint: 'Choose another name, or edit it in the registry.' }),
    );
  const value = { ...(command ? { command } : { url }), egress };
  const reached = command ? `command: ${list(command)}` : `url: ${JSON.stringify(url)}`;
  return addEntry(text, document, {
    section: 'mcp',
    name,
    value,
    lines: [`${name}:`, `  ${reached}`, `  egress: ${egress}`],
    flow: `{ ${reached}, egress: ${egress} }`,
  });
}

/**
 * The text with one more provider. `proposal` is YAML as it stands below `providers:`, of one provider, which discovery writes; `name`
 * takes the place of the name in it.
 * Throws `Refusal`: registry_invalid (the text is not YAML), conflict (there is one of that name), input_invalid (the proposal is not one).
 */
export function addProvider(text: string, { proposal, name }: { proposal: string; name?: string }): { text: string; provider: string } {
  const document = open(text);
  const proposed = parseDocument(proposal);
  const entry = isMap(proposed.contents) && proposed.contents.items.length === 1 ? proposed.contents.items[0] : undefined;
  if (proposed.errors.length > 0 || !entry || !isScalar(entry.key) || typeof entry.key.value !== 'string' || !isMap(entry.value))
    throw new Refusal(
      refuse('input_invalid', 'This is not one provider as it stands below providers:.', { hint: 'Write a name, and its keys below it.' }),
    );
  const provider = name ?? entry.key.value;
  if (document.hasIn(['providers', provider]))
    throw new Refusal(
      refuse('conflict', `The registry has a provider ${provider} already.`, { hint: 'Choose another name, or edit it in the registry.' }),
    );
  const value: unknown = proposed.toJS()[entry.key.value];
  // Its lines as they were proposed, comments included; a proposal inside braces, or indented, is written anew.
  const body = proposal.slice(proposal.indexOf('\n', entry.key.range?.[1] ?? 0) + 1);
  const key = JSON.stringify(provider) === `"${provider}"` && /^[A-Za-z][\w.-]*$/.test(provider) ? provider : JSON.stringify(provider);
  const block = !entry.value.flow && (entry.key.range?.[0] ?? 0) === 0 ? body : stringify(value, { lineWidth: 0 }).replace(/^/gm, '  ');
  const lines = [`${key}:`, ...block.replace(/\s+$/, '').split(/\r?\n/)];
  return { text: addEntry(text, document, { section: 'providers', name: provider, value, lines, flow: JSON.stringify(value) }), provider };
}

/** One more entry of a section of names, which may not be there yet. `lines` start with its key. */
function addEntry(
  text: string,
  document: Document,
  { section: called, name, value, lines, flow }: { section: string; name: string; value: unknown; lines: string[]; flow: string },
): string {
  const before: unknown = document.toJS();
  const root = document.contents;
  const section: unknown = document.get(called, true);
  const inBraces = `${lines[0]} ${flow}`;
  const edited =
    isMap(section) && section.items.length > 0
      ? insertEntry(text, section, { lines, flow: inBraces })
      : isMap(section) || (isScalar(section) && section.value !== null) || !isMap(root)
        ? null
        : section === undefined
          ? insertEntry(text, root, {
              lines: ['', `${called}:`, ...lines.map((line) => `  ${line}`)],
              flow: `${called}: { ${inBraces} }`,
            })
          : insertBelow(text, root, { key: called, lines });
  if (edited !== null && sameButFor(before, edited, { path: [called, name], value })) return edited;
  if (isMap(section)) section.set(name, document.createNode(value));
  else document.set(called, document.createNode({ [name]: value }));
  return document.toString({ lineWidth: 0 });
}

function open(text: string) {
  const document = parseDocument(text);
  if (document.errors.length > 0) throw invalid(parseRegistry(text).problems);
  return document;
}

const list = (items: string[]) => `[${items.map((item) => JSON.stringify(item)).join(', ')}]`;
const insert = (text: string, at: number, what: string) => text.slice(0, at) + what + text.slice(at);
const endOf = (node: unknown): number | null => (isMap(node) || isSeq(node) || isScalar(node) ? (node.range?.[1] ?? null) : null);
const indentOf = (text: string, at: number) => /^[ ]*/.exec(text.slice(text.lastIndexOf('\n', at - 1) + 1, at))?.[0] ?? '';

function replace(text: string, node: unknown, what: string): string | null {
  if (!isScalar(node) || !node.range) return null;
  return text.slice(0, node.range[0]) + what + text.slice(node.range[1]);
}

/** After the line that `end` is in, lines of their own. */
function insertLines(text: string, end: number, lines: string[]): string {
  const eol = text.includes('\r\n') ? '\r\n' : '\n';
  const block = lines.join(eol);
  if (end > 0 && text[end - 1] === '\n') return insert(text, end, `${block}${eol}`);
  const at = text.indexOf('\n', end);
  return at < 0 ? `${text}${eol}${block}${eol}` : insert(text, at + 1, `${block}${eol}`);
}

/** One more entry at the end of a map that is not empty: `lines`, indented like the others, or `flow` inside braces. */
function insertEntry(text: string, map: YAMLMap, entry: { lines: string[]; flow: string }): string | null {
  const last = map.items.at(-1);
  const end = endOf(last?.value) ?? endOf(last?.key);
  if (end === null || map.range == null) return null;
  if (map.flow) return insert(text, end, `, ${entry.flow}`);
  const indent = indentOf(text, map.range[0]);
  return insertLines(
    text,
    end,
    entry.lines.map((line) => (line === '' ? '' : indent + line)),
  );
}

/** Lines below the key of `map` that has nothing as its value. */
function insertBelow(text: string, map: YAMLMap, { key, lines }: { key: string; lines: string[] }): string | null {
  const pair = map.items.find((each: Pair) => isScalar(each.key) && each.key.value === key);
  const end = endOf(pair?.key);
  if (end === null || map.range == null) return null;
  const indent = `${indentOf(text, map.range[0])}  `;
  return insertLines(
    text,
    end,
    lines.map((line) => indent + line),
  );
}

function insertExample(text: string, service: unknown, example: string): string | null {
  if (!isMap(service) || service.items.length === 0) return null;
  const plain = stringify(example, { lineWidth: 0 }).trimEnd();
  const quoted = JSON.stringify(example);
  const item = plain.includes('\n') ? quoted : plain;
  const examples = service.items.find((pair: Pair) => isScalar(pair.key) && pair.key.value === 'examples')?.value;
  if (isSeq(examples)) {
    const end = endOf(examples.items.at(-1));
    if (examples.flow) {
      return end === null ? insert(text, (examples.range?.[0] ?? 0) + 1, quoted) : insert(text, end, `, ${quoted}`);
    }
    if (end === null || examples.range == null) return null;
    return insertLines(text, end, [`${indentOf(text, examples.range[0])}- ${item}`]);
  }
  if (examples != null) return null;
  return insertEntry(text, service, { lines: ['examples:', `  - ${item}`], flow: `examples: [${quoted}]` });
}

/** Whether `text` says what `before` said, with `value` at `path`. */
function sameButFor(before: unknown, text: string, { path, value }: { path: string[]; value: unknown }): boolean {
  const document = parseDocument(text);
  if (document.errors.length > 0) return false;
  const expected = structuredClone(before) as Record<string, unknown>;
  let at = expected;
  for (const key of path.slice(0, -1)) {
    at[key] ??= {};
    at = at[key] as Record<string, unknown>;
  }
  at[path.at(-1)!] = value;
  return sorted(document.toJS()) === sorted(expected);
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
