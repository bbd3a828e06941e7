/**
 * What `ssh.exec.peek` runs: commands that only look. A command line is allowed when the whole of it, word by word, fits the template
 * of its program; a word that the template does not know refuses it. Nothing is decided by how a line begins.
 */

interface Template {
  /** Short options without a value; may be written together. */
  flags?: string;
  /** Short options with a value, and what the value looks like. */
  values?: Record<string, RegExp>;
  /** Long options: true for none, else what stands behind `=`. */
  long?: Record<string, true | RegExp>;
  /** What is no option: how many, and what they look like. */
  operands?: { min: number; max: number; like: RegExp };
  /** A judgement on the whole that the rest cannot express; null is good. */
  whole?(options: string[], operands: string[]): string | null;
}

const count = /^\d{1,9}$/;
const size = /^[+-]?\d{1,9}$/;
const words = /^[A-Za-z0-9_,.:%=+-]{1,200}$/;
/** Anything but an option; devices are found by `plain`. */
const path = /^[^-].*$/s;

const filters: Template = {
  flags: 'ivncloLwxEFhHsqrz',
  values: { A: count, B: count, C: count, m: count, e: /^.{1,1000}$/s },
  long: { 'ignore-case': true, count: true, recursive: true, 'line-number': true, color: /^never$/, include: /^.{1,200}$/s },
  operands: { min: 1, max: 51, like: path },
  whole: (options, operands) => {
    const recursive = options.some((option) => option === 'r' || option === '--recursive');
    const files = operands.length - (options.includes('e') ? 0 : 1);
    return files >= 1 || recursive ? null : 'grep needs a file to look in';
  },
};

const templates: Record<string, Template> = {
  uptime: { flags: 'ps', long: { pretty: true, since: true } },
  whoami: {},
  pwd: { flags: 'LP' },
  // With an operand it would set the name.
  hostname: { flags: 'fsiIdA', long: { fqdn: true, short: true } },
  uname: { flags: 'asnrvmpio', long: { all: true } },
  id: { flags: 'ugGnr', operands: { min: 0, max: 1, like: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/ } },
  // With -s, or an operand that is no format, it would set the clock.
  date: {
    flags: 'uR',
    long: { utc: true, 'iso-8601': /^(?:date|hours|minutes|seconds|ns)$/ },
    operands: { min: 0, max: 1, like: /^\+.{0,200}$/s },
  },
  df: { flags: 'hHkmTiPal', long: { total: true, 'human-readable': true }, operands: { min: 0, max: 20, like: path } },
  ls: {
    flags: '1aAlhtrSRdFiLnpsQcuXgoG',
    long: { all: true, 'human-readable': true, color: /^never$/, 'full-time': true, 'time-style': words, sort: words },
    operands: { min: 0, max: 50, like: path },
  },
  cat: { flags: 'nbAETsve', operands: { min: 1, max: 50, like: path } },
  head: { flags: 'qv', values: { n: size, c: size }, long: { lines: size, bytes: size }, operands: { min: 1, max: 50, like: path } },
  // Without -f, -F and --follow, it ends.
  tail: { flags: 'qv', values: { n: size, c: size }, long: { lines: size, bytes: size }, operands: { min: 1, max: 50, like: path } },
  grep: filters,
  wc: { flags: 'lwcmL', operands: { min: 1, max: 50, like: path } },
  ps: {
    flags: 'eAafFlxjHwTL',
    values: { o: words, p: /^\d{1,9}(?:,\d{1,9})*$/, u: words, C: words },
    long: { forest: true, sort: words, 'no-headers': true },
    // The BSD form, without `e`, which shows what is in the environment of others.
    operands: { min: 0, max: 1, like: /^[auxfwljT]{1,8}$/ },
  },
  // Without -s and -c, it ends.
  free: { flags: 'hbkmgtwl', long: { human: true, total: true, wide: true } },
  top: {
    flags: 'b',
    values: { n: /^1$/ },
    whole: (options) => (options.includes('b') && options.includes('n') ? null : 'top runs only once and without a screen: top -bn1'),
  },
  systemctl: {
    flags: 'l',
    values: { n: count },
    long: { 'no-pager': true, lines: count, full: true },
    operands: { min: 1, max: 20, like: /^[A-Za-z0-9@_.:-]{1,200}$/ },
    whole: (_, operands) =>
      /^(?:status|is-active|is-enabled|is-failed)$/.test(operands[0]!) ? null : `systemctl ${operands[0]} is no look`,
  },
};

export const peekPrograms = Object.keys(templates);

/** Why this is not allowed, in words; null when it is. */
export function peekFault(argv: string[]): string | null {
  const [program, ...rest] = argv;
  if (program === undefined) return 'there is no command';
  const template = Object.hasOwn(templates, program) ? templates[program]! : undefined;
  if (template === undefined) return `${program.slice(0, 60)} is not one of ${peekPrograms.join(', ')}`;
  const options: string[] = [];
  const operands: string[] = [];
  const unknown = (word: string) => `${program} ${word.slice(0, 60)} is not in what may be looked at`;
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!;
    if (word.startsWith('--')) {
      const [, name = '', , value] = /^--([a-z0-9-]+)(=(.*))?$/s.exec(word) ?? [];
      const wanted = template.long && Object.hasOwn(template.long, name) ? template.long[name] : undefined;
      if (wanted === undefined || (wanted === true ? value !== undefined : value === undefined || !wanted.test(value)))
        return unknown(word);
      options.push(`--${name}`);
    } else if (word.startsWith('-') && word.length > 1) {
      // head -20 is head -n 20.
      if (/^-\d{1,6}$/.test(word) && (program === 'head' || program === 'tail')) continue;
      for (let j = 1; j < word.length; j++) {
        const letter = word[j]!;
        const like = template.values && Object.hasOwn(template.values, letter) ? template.values[letter] : undefined;
        if (like !== undefined) {
          const value = j + 1 < word.length ? word.slice(j + 1) : rest[++i];
          if (value === undefined || !like.test(value)) return unknown(`-${letter} ${value ?? ''}`.trim());
          options.push(letter);
          break;
        }
        if (!template.flags?.includes(letter)) return unknown(word);
        options.push(letter);
      }
    } else {
      const { max, like } = template.operands ?? { max: 0, like: /^$/ };
      if (operands.length >= max || !like.test(word)) return unknown(word === '' ? "''" : word);
      operands.push(word);
    }
  }
  if (operands.length < (template.operands?.min ?? 0)) return `${program} needs to be told what to look at`;
  const device = readers.has(program) ? operands.find((operand) => devices.test(plain(operand))) : undefined;
  if (device !== undefined) return `${device.slice(0, 60)} is a device`;
  return template.whole?.(options, operands) ?? null;
}

/** What opens what it is told. Reading a device can act on it, and most have no end. */
const readers = new Set(['cat', 'head', 'tail', 'grep', 'wc']);
const devices = /^(?:\/proc\/(?:[^/]+\/)+(?:root|cwd))*\/(?:dev(?:\/|$)|proc\/(?:kcore|kmsg|sysrq-trigger)$)/;

/** A path without `//`, `.` and `..`, by its text: links on the other machine are not seen, so this is a help and no wall. */
function plain(text: string): string {
  const parts: string[] = [];
  let absolute = text.startsWith('/');
  for (const part of text.split('/')) {
    // Where a relative path starts is not known, so it may go up to the top.
    if (part === '..') absolute = parts.pop() === undefined || absolute;
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `${absolute ? '/' : ''}${parts.join('/')}`;
}
