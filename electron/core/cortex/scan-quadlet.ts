/** Podman Quadlet `.container` units: systemd.syntax(7), and of podman-systemd.unit(5) what names a container and its ports. */
import { homedir } from 'node:os';
import { basename, dirname, sep } from 'node:path';
import { type Label, Malformed, publishedPort, type Unit } from './scan-unit.ts';

const prefix = 'dispatcher.';

interface Setting {
  section: string;
  key: string;
  value: string;
  line: number;
}

export function readQuadlet(file: string, text: string): { units: Unit[]; faults: Malformed[] } {
  // A unit that is none of ours is none of our business, however it is written.
  if (!text.includes(prefix)) return { units: [], faults: [] };
  const name = basename(file, '.container');
  const { settings, lineOf } = settingsIn(text);
  const all = (key: string): Setting[] => {
    // An empty assignment forgets those before it.
    const those = settings.filter((setting) => setting.section === 'Container' && setting.key === key);
    return those.slice(those.findLastIndex(({ value }) => value === '') + 1);
  };
  const last = (key: string) => all(key).at(-1) ?? null;
  const labels: Label[] = [];
  for (const { value, line } of all('Label')) {
    for (const word of words(value, line)) {
      const split = word.indexOf('=');
      const key = split < 0 ? word : word.slice(0, split);
      if (key.startsWith(prefix))
        labels.push({ key: key.slice(prefix.length), value: split < 0 ? '' : specified(word.slice(split + 1), name), line });
    }
  }
  if (labels.length === 0) return { units: [], faults: [] };
  const line = lineOf('Container') ?? 1;
  if (name.endsWith('@'))
    throw new Malformed('A template has no container of its own. Write the labels into a unit without "@".', { line, unit: name });
  const service = last('ServiceName')?.value ?? name;
  // It is an argument of systemctl, which takes what starts with "-" for an option.
  if (!/^[A-Za-z0-9_][A-Za-z0-9_.:@-]*$/.test(service))
    throw new Malformed(`"${service.slice(0, 80)}" cannot be the name of a service.`, { line, unit: name });
  const called = last('ContainerName');
  const container = called ? specified(called.value, name) : `systemd-${name}`;
  const system =
    file.startsWith(`${sep}etc${sep}`) || file.startsWith(`${sep}usr${sep}`) || file.startsWith(`${sep}run${sep}containers${sep}`);
  // Units of users may stand in /etc as well, but not of the one who has no home there.
  const manager = system && !dirname(file).split(sep).includes('users') && !file.startsWith(homedir() + sep) ? [] : ['--user'];
  const network = last('Network')?.value ?? '';
  return {
    units: [
      {
        name,
        kind: 'quadlet',
        line,
        labels: unique(labels),
        image: last('Image')?.value.slice(0, 300) ?? null,
        // Quadlet removes its containers when they end, so only its own manager can start them.
        controller: {
          kind: 'command',
          start: ['systemctl', ...manager, 'start', `${service}.service`],
          stop: ['systemctl', ...manager, 'stop', `${service}.service`],
        },
        container,
        ports: all('PublishPort').flatMap(({ value, line: at }) => publishedPort(specified(value, name), at) ?? []),
        anyPort: network === 'host' || last('Pod') !== null,
      },
    ],
    faults: [],
  };
}

/** Of labels with the same key the last one counts, as with podman itself. */
const unique = (labels: Label[]) => [...new Map(labels.map((label) => [label.key, label])).values()];

/** systemd.syntax(7): sections, `Key=value`, comments, and lines that go on after a backslash. */
function settingsIn(text: string): { settings: Setting[]; lineOf(section: string): number | null } {
  const settings: Setting[] = [];
  const sections = new Map<string, number>();
  let section = '';
  let held: { text: string; line: number } | null = null;
  const take = ({ text: whole, line }: { text: string; line: number }) => {
    const trimmed = whole.trim();
    const header = /^\[([^\]]+)\]$/.exec(trimmed);
    if (header) {
      section = header[1]!;
      if (!sections.has(section)) sections.set(section, line);
      return;
    }
    const split = trimmed.indexOf('=');
    if (split < 1) throw new Malformed(`"${trimmed.slice(0, 80)}" is neither a section nor Key=value.`, { line });
    if (section === '') throw new Malformed('This stands before any [Section].', { line });
    settings.push({ section, key: trimmed.slice(0, split).trim(), value: trimmed.slice(split + 1).trim(), line });
  };
  text.split(/\r?\n/).forEach((raw, index) => {
    // Comments do not end a line that goes on.
    if (/^\s*[#;]/.test(raw)) return;
    const line: { text: string; line: number } = held
      ? { text: `${held.text} ${raw.trimStart()}`, line: held.line }
      : { text: raw, line: index + 1 };
    held = null;
    if (line.text.endsWith('\\')) held = { text: line.text.slice(0, -1), line: line.line };
    else if (line.text.trim() !== '') take(line);
  });
  if (held !== null) take(held);
  return { settings, lineOf: (name) => sections.get(name) ?? null };
}

const escapes: Record<string, string> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
  s: ' ',
};

/** Words as systemd takes them apart: between blanks, with quotes and C escapes. */
function words(text: string, line: number): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char === '\\') {
      const rest = text.slice(at + 1);
      const coded = /^(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([0-3][0-7]{2}))/.exec(rest);
      if (coded) {
        const [all, byte, unicode, octal] = coded;
        word = (word ?? '') + String.fromCodePoint(Number.parseInt(byte ?? unicode ?? octal!, octal === undefined ? 16 : 8));
        at += all.length;
      } else {
        const next = text[++at];
        if (next === undefined) throw new Malformed('This ends with a backslash.', { line });
        word = (word ?? '') + (escapes[next] ?? `\\${next}`);
      }
    } else if (quote !== '') {
      if (char === quote) quote = '';
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (char === ' ' || char === '\t') {
      if (word !== null) found.push(word);
      word = null;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw new Malformed(`A quote is opened here and not closed: ${text.slice(0, 80)}`, { line });
  if (word !== null) found.push(word);
  return found;
}

/** systemd's specifiers that are the same wherever the unit runs. */
function specified(text: string, name: string): string {
  return text.replace(/%([%nNp])/g, (_, letter) => (letter === '%' ? '%' : letter === 'n' ? `${name}.service` : name));
}
