/** The built-in tools: real work with nothing else installed. Each takes typed params, or finds them in a text. */
import { createHash, getHashes, randomFillSync, randomUUID } from 'node:crypto';
import { statfs } from 'node:fs/promises';
import { arch, cpus, freemem, homedir, hostname, loadavg, platform, release, totalmem, uptime } from 'node:os';
import { z } from 'zod';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Outcome, Run } from '../runners/runner.ts';
import { CalcError, calculate } from './calc.ts';
import { jsonFault } from './json.ts';

export interface Tool {
  name: string;
  summary: string;
  /** Texts that mean this tool, for the operator and for help. */
  examples: string[];
  input: z.ZodType;
  /** What it does is seen outside of Dispatcher, so that in mock mode its mock answers. */
  outward: boolean;
  /** `params` is what `input` made of them. May throw a Refusal instead of answering with the failure. */
  run(params: unknown, run: Run): Outcome | Promise<Outcome>;
}

const text = z.string().max(100_000).optional();
/** Beyond this a text is no longer looked through for a command. */
const commandLength = 2000;

/** A tool whose `answer` is its result; failures are thrown as Refusals. */
export function tool<Schema extends z.ZodType>(definition: {
  name: string;
  summary: string;
  examples: string[];
  input: Schema;
  outward?: boolean;
  answer(params: z.output<Schema>, run: Run): unknown;
}): Tool {
  const { name, summary, examples, input, outward = false, answer } = definition;
  const run = async (params: z.output<Schema>, about: Run): Promise<Outcome> => ({ ok: true, result: await answer(params, about) });
  return { name, summary, examples, input, outward, run: run as Tool['run'] };
}

/** The refusal of one parameter. */
export function misfit(path: string, message: string, hint: string): Refusal {
  return new Refusal(refuse('input_invalid', message, { hint, issues: [{ path: `params.${path}`, message }] }));
}

/** All of them by name. `clock`: milliseconds since the epoch. */
export function createTools({ clock = Date.now }: { clock?: () => number } = {}): Map<string, Tool> {
  const tools = [calc, time(clock), system, hash, uuid, words, json, echo];
  return new Map(tools.map((each) => [each.name, each]));
}

// --- calc -----------------------------------------------------------------------------------------------------------

const calc = tool({
  name: 'calc',
  summary: 'Arithmetic, in signs or in words',
  examples: ['what is 2+2', 'calculate 15% of 80', 'sqrt(2)*3', '12 times 7', 'how much is 100 divided by 8', '2 to the power of 10'],
  input: z.strictObject({ text, expression: z.string().max(2000).optional() }),
  answer(params) {
    const asked = params.expression ?? params.text;
    if (asked === undefined) throw misfit('text', 'There is nothing to calculate.', 'Write an expression, such as 2+2 or 15% of 80.');
    try {
      return calculate(asked);
    } catch (caught) {
      if (!(caught instanceof CalcError)) throw caught;
      throw misfit(
        params.expression === undefined ? 'text' : 'expression',
        caught.message,
        'Write an expression, such as 2+2, 15% of 80 or sqrt(2)*3.',
      );
    }
  },
});

// --- time -----------------------------------------------------------------------------------------------------------

/** Places people name that are no city of the time zone database. */
const places: Record<string, string> = {
  ...{
    utc: 'UTC',
    gmt: 'UTC',
    zulu: 'UTC',
    japan: 'Asia/Tokyo',
    china: 'Asia/Shanghai',
    beijing: 'Asia/Shanghai',
    india: 'Asia/Kolkata',
    delhi: 'Asia/Kolkata',
  },
  ...{
    mumbai: 'Asia/Kolkata',
    bangalore: 'Asia/Kolkata',
    korea: 'Asia/Seoul',
    germany: 'Europe/Berlin',
    munich: 'Europe/Berlin',
    hamburg: 'Europe/Berlin',
  },
  ...{
    france: 'Europe/Paris',
    spain: 'Europe/Madrid',
    barcelona: 'Europe/Madrid',
    italy: 'Europe/Rome',
    milan: 'Europe/Rome',
    uk: 'Europe/London',
    england: 'Europe/London',
  },
  ...{
    switzerland: 'Europe/Zurich',
    geneva: 'Europe/Zurich',
    austria: 'Europe/Vienna',
    netherlands: 'Europe/Amsterdam',
    sweden: 'Europe/Stockholm',
    poland: 'Europe/Warsaw',
  },
  ...{
    nyc: 'America/New_York',
    boston: 'America/New_York',
    washington: 'America/New_York',
    miami: 'America/New_York',
    atlanta: 'America/New_York',
  },
  ...{
    california: 'America/Los_Angeles',
    'san francisco': 'America/Los_Angeles',
    seattle: 'America/Los_Angeles',
    'las vegas': 'America/Los_Angeles',
  },
  ...{
    texas: 'America/Chicago',
    houston: 'America/Chicago',
    dallas: 'America/Chicago',
    austin: 'America/Chicago',
    minneapolis: 'America/Chicago',
    montreal: 'America/Toronto',
  },
  ...{
    ottawa: 'America/Toronto',
    hawaii: 'Pacific/Honolulu',
    canberra: 'Australia/Sydney',
    'new zealand': 'Pacific/Auckland',
    wellington: 'Pacific/Auckland',
  },
  ...{
    est: 'America/New_York',
    pst: 'America/Los_Angeles',
    cet: 'Europe/Paris',
    pt: 'America/Los_Angeles',
    et: 'America/New_York',
    'rio de janeiro': 'America/Sao_Paulo',
  },
};

let cities: Map<string, string> | null = null;

function zoneNamed(place: string): string | null {
  cities ??= new Map(
    Intl.supportedValuesOf('timeZone').flatMap((zone) => [
      [zone.toLowerCase(), zone],
      [
        zone
          .slice(zone.lastIndexOf('/') + 1)
          .replaceAll('_', ' ')
          .toLowerCase(),
        zone,
      ],
    ]),
  );
  const wanted = place.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase().replaceAll('_', ' ').trim();
  const known =
    (Object.hasOwn(places, wanted) ? places[wanted] : undefined) ?? cities.get(wanted) ?? cities.get(wanted.replaceAll(' ', '_'));
  if (known !== undefined) return known;
  if (!/^(etc\/|utc|gmt)?[a-z+\-\d/: ]+$/i.test(wanted) || !(/[/]/.test(wanted) || /^[+-]\d/.test(wanted))) return null;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: wanted.replaceAll(' ', '_') }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}

/** The place after the last "in", "at" or "for"; null when the text names none. */
function placeIn(sentence: string): string | null {
  const bare = sentence
    .replace(/[?!.]+\s*$/, '')
    .replace(/\b(right )?now\b|\bplease\b|\btoday\b|\bcurrently\b/gi, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  const named = /.*\b(?:in|at|for)\s+(?:the\s+)?([\p{L}\p{M}][\p{L}\p{M}\s/_+\-\d:]{0,60})$/iu.exec(bare)?.[1];
  if (named !== undefined) return named.trim();
  const trailing = /\b(utc|gmt|[a-z]+\/[a-z_/]+)$/i.exec(bare)?.[1] ?? /^([\p{L}\p{M}\s]{2,40}?)\s+time$/iu.exec(bare)?.[1];
  return trailing !== undefined && zoneNamed(trailing) !== null ? trailing : null;
}

function time(clock: () => number): Tool {
  return tool({
    name: 'time',
    summary: 'The time now, here or in another zone',
    examples: ['what time is it', 'what time is it in Tokyo', 'current date and time', 'time in New York', "what's the date today"],
    input: z.strictObject({
      text: z.string().max(500).optional(),
      zone: z.string().min(1).max(100).optional(),
      at: z.union([z.number(), z.string().max(100)]).optional(),
    }),
    answer({ text: asked, zone, at }) {
      const place = zone ?? (asked === undefined ? null : placeIn(asked));
      const found = place === null ? Intl.DateTimeFormat().resolvedOptions().timeZone : zoneNamed(place);
      if (found === null)
        throw misfit(
          zone === undefined ? 'text' : 'zone',
          `"${place}" is no time zone or city known here.`,
          'Write a city such as Tokyo, or a zone such as Europe/Berlin.',
        );
      const epochMs = at === undefined ? clock() : typeof at === 'number' ? at : Date.parse(at);
      const date = new Date(epochMs);
      if (Number.isNaN(date.getTime()))
        throw misfit('at', 'That is not a time.', 'Write milliseconds since 1970, or 2026-01-31T12:00:00Z.');
      const part = Object.fromEntries(
        new Intl.DateTimeFormat('en-GB', {
          timeZone: found,
          hourCycle: 'h23',
          ...{
            weekday: 'long',
            year: 'numeric',
            month: '2-digit',
            day: '2-digit',
            hour: '2-digit',
            minute: '2-digit',
            second: '2-digit',
            timeZoneName: 'longOffset',
          },
        })
          .formatToParts(date)
          .map(({ type, value }) => [type, value]),
      );
      const offset = part.timeZoneName === 'GMT' ? '+00:00' : part.timeZoneName!.replace('GMT', '');
      const day = `${part.year}-${part.month}-${part.day}`;
      const week = isoWeek(Number(part.year), Number(part.month), Number(part.day));
      const clockTime = `${part.hour}:${part.minute}:${part.second}`;
      return {
        ...{
          zone: found,
          date: day,
          time: clockTime,
          weekday: part.weekday,
          week,
          offset,
          local: `${day}T${clockTime}${offset}`,
          utc: date.toISOString(),
          epochMs,
        },
        text: `${part.hour}:${part.minute} on ${part.weekday}, ${day} (${found}, UTC${offset})`,
      };
    },
  });
}

/** ISO 8601: the week of a day is that of its Thursday. */
function isoWeek(year: number, month: number, day: number): number {
  const thursday = new Date(Date.UTC(year, month - 1, day));
  thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7));
  return Math.ceil(((thursday.getTime() - Date.UTC(thursday.getUTCFullYear(), 0, 1)) / 86_400_000 + 1) / 7);
}

// --- system ---------------------------------------------------------------------------------------------------------

const system = tool({
  name: 'system',
  summary: 'CPU, memory, disk and uptime of this machine',
  examples: [
    'how much memory is free',
    'system status',
    'disk space left',
    'how long has this machine been up',
    'cpu load',
    'hostname of this machine',
  ],
  input: z.strictObject({ text: z.string().max(2000).optional() }),
  async answer() {
    const processors = cpus();
    const [one, five, fifteen] = loadavg();
    // Windows keeps no load average: null says so, 0 would say idle.
    const load = platform() === 'win32' ? null : { one, five, fifteen };
    return {
      hostname: hostname(),
      platform: platform(),
      release: release(),
      arch: arch(),
      node: process.version,
      uptimeSeconds: Math.round(uptime()),
      cpu: { model: processors[0]?.model.trim() ?? null, cores: processors.length, load },
      memory: { totalBytes: totalmem(), freeBytes: freemem() },
      disk: await disk(homedir()),
    };
  },
});

async function disk(path: string): Promise<{ path: string; totalBytes: number; freeBytes: number } | null> {
  try {
    const { blocks, bavail, bsize } = await statfs(path);
    return { path, totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  } catch {
    return null;
  }
}

// --- hash -----------------------------------------------------------------------------------------------------------

const algorithms = ['sha256', 'sha512', 'sha384', 'sha224', 'sha1', 'md5', 'sha3-256', 'sha3-512', 'blake2b512', 'blake2s256'] as const;
const hashCommand =
  /^\s*(?:(?:please|calculate|compute|make|get|give me|what is|what's)\s+)*(?:the\s+)?(?:(?:(md5|sha-?(?:1|224|256|384|512)|sha3-(?:256|512)|blake2[bs]\d+)(?:\s+(?:hash|sum|digest|checksum))?|hash|checksum|digest)\s*(?:of|for)?\s*:?\s+)(?:the\s+(?:text|string|word)\s+)?(.+)$/is;

const hash = tool({
  name: 'hash',
  summary: 'SHA-256 and other digests of a text',
  examples: ['sha256 of hello', 'hash this text', 'md5 of password', 'sha512 checksum of abc'],
  input: z.strictObject({
    text,
    value: z.string().max(10_000_000).optional(),
    algorithm: z.enum(algorithms).optional(),
    encoding: z.enum(['hex', 'base64', 'base64url']).default('hex'),
  }),
  answer({ text: asked, value, algorithm, encoding }) {
    // With the algorithm given apart, the text is the text and not a sentence about it.
    const spoken = value === undefined && algorithm === undefined && asked !== undefined ? hashCommand.exec(asked) : null;
    const data = value ?? (spoken ? unquote(spoken[2]!) : asked);
    if (data === undefined) throw misfit('value', 'There is nothing to hash.', 'Write sha256 of hello, or give value.');
    const named = spoken?.[1]?.toLowerCase().replace(/^sha-(\d)/, 'sha$1');
    const chosen = algorithm ?? (named !== undefined && (algorithms as readonly string[]).includes(named) ? named : 'sha256');
    if (!getHashes().some((name) => name.toLowerCase() === chosen))
      throw misfit('algorithm', `${chosen} is not offered on this machine.`, 'Take sha256.');
    return {
      algorithm: chosen,
      encoding,
      bytes: Buffer.byteLength(data),
      digest: createHash(chosen).update(data, 'utf8').digest(encoding),
    };
  },
});

function unquote(value: string): string {
  const trimmed = value.trim();
  return /^(["'`]).*\1$/s.test(trimmed) && trimmed.length >= 2 ? trimmed.slice(1, -1) : trimmed;
}

// --- uuid -----------------------------------------------------------------------------------------------------------

const uuid = tool({
  name: 'uuid',
  summary: 'Fresh UUIDs, version 4 or 7',
  examples: ['generate a uuid', 'give me 5 uuids', 'new random id', 'uuid v7'],
  input: z.strictObject({
    text: z.string().max(2000).optional(),
    count: z.number().int().min(1).max(1000).optional(),
    version: z.union([z.literal(4), z.literal(7)]).optional(),
  }),
  answer({ text: asked = '', count, version }) {
    const said =
      /\b(\d{1,4}|two|three|four|five|six|seven|eight|nine|ten|dozen)\s+(?:\w+\s+){0,2}(?:uu?ids?|guids?|ids?|identifiers?)\b/i.exec(
        asked,
      )?.[1];
    const wanted = count ?? (said === undefined ? 1 : (numerals[said.toLowerCase() as keyof typeof numerals] ?? Number(said)));
    if (wanted < 1 || wanted > 1000) throw misfit('text', 'From 1 to 1000 at a time.', 'Ask for fewer.');
    const chosen = version ?? (/\b(?:v|version )7\b/i.test(asked) ? 7 : 4);
    const uuids = Array.from({ length: wanted }, () => (chosen === 7 ? uuid7(Date.now()) : randomUUID()));
    return { version: chosen, uuid: uuids[0], uuids };
  },
});

const numerals = { two: 2, three: 3, four: 4, five: 5, six: 6, seven: 7, eight: 8, nine: 9, ten: 10, dozen: 12 };

/** RFC 9562, 5.7: 48 bits of milliseconds, then chance. */
function uuid7(now: number): string {
  const bytes = randomFillSync(Buffer.alloc(16));
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

// --- text -----------------------------------------------------------------------------------------------------------

const textOps = ['count', 'upper', 'lower', 'title', 'reverse', 'slug', 'trim'] as const;
const textCommands: [(typeof textOps)[number], RegExp][] = [
  [
    'count',
    /^(?:count(?:\s+(?:the\s+)?(?:words|characters|letters|lines))?(?:\s+and\s+(?:words|characters|lines))?|how many (?:words|characters|letters|lines)(?:\s+are)?(?:\s+there)?|word count)\s*(?:in|of)?\s*:?\s+(.+)$/is,
  ],
  ['title', /^(?:(?:make|convert|turn|put)\s+(?:to\s+)?)?title ?case\s*:?\s+(.+)$/is],
  ['title', /^capitali[sz]e\s+(?:every|each)\s+word(?:\s+(?:of|in))?\s*:?\s*(.*)$/is],
  ['upper', /^(?:(?:make|convert|turn|put)\s+(?:to\s+)?)?(?:upper ?case|capitali[sz]e|upper)\s*:?\s+(.+)$/is],
  ['lower', /^(?:(?:make|convert|turn|put)\s+(?:to\s+)?)?(?:lower ?case|lower)\s*:?\s+(.+)$/is],
  ['upper', /^(?:make|convert|turn|put|change)\s+(.+?)\s+(?:(?:in|into|to|all)\s+)?upper ?case\s*$/is],
  ['lower', /^(?:make|convert|turn|put|change)\s+(.+?)\s+(?:(?:in|into|to|all)\s+)?lower ?case\s*$/is],
  ['title', /^(?:make|convert|turn|put|change)\s+(.+?)\s+(?:(?:in|into|to)\s+)?title ?case\s*$/is],
  ['slug', /^(?:make|convert|turn|change)\s+(.+?)\s+(?:in|into|to)\s+a\s+slug\s*$/is],
  ['reverse', /^reverse(?:\s+the\s+(?:text|string|word))?\s*:?\s+(.+)$/is],
  ['slug', /^(?:make (?:a|the) )?(?:slug(?:ify)?)\s*(?:of|for|from)?\s*:?\s+(.+)$/is],
  ['trim', /^trim\s*:?\s+(.+)$/is],
];

const words = tool({
  name: 'text',
  summary: 'Count, change case, reverse or slug a text',
  examples: [
    'count words in the quick brown fox',
    'uppercase hello world',
    'reverse stressed',
    'slug of My First Post',
    'how many characters are in this sentence',
  ],
  input: z.strictObject({ text, value: z.string().max(100_000).optional(), op: z.enum(textOps).optional() }),
  answer({ text: asked, value, op }) {
    let chosen = op;
    let data = value ?? asked;
    if (data === undefined) throw misfit('value', 'There is no text to work on.', 'Write uppercase hello, or give op and value.');
    // Sentences about a text are short; on long ones the patterns below would take their time.
    if (op === undefined && value === undefined && data.length <= commandLength) {
      for (const [name, command] of textCommands) {
        const said = command.exec(data.replace(/^\s*(?:please\s+)?/i, ''))?.[1];
        if (said === undefined) continue;
        chosen = name;
        data = unquote(said);
        break;
      }
    }
    chosen ??= 'count';
    return chosen === 'count' ? { op: chosen, ...countOf(data) } : { op: chosen, text: changed(chosen, data) };
  },
});

// Made where it is used: the first one in a process reads the tables of Unicode, and a start need not wait for that.
const segments = (data: string, granularity: 'grapheme' | 'word') => new Intl.Segmenter('en', { granularity }).segment(data);

function countOf(data: string): { words: number; characters: number; lines: number; bytes: number } {
  let count = 0;
  for (const { isWordLike } of segments(data, 'word')) if (isWordLike === true) count += 1;
  let characters = 0;
  for (const _ of segments(data, 'grapheme')) characters += 1;
  return {
    words: count,
    characters,
    lines: data === '' ? 0 : data.split(/\r\n|[\n\r\u2028\u2029]/).length,
    bytes: Buffer.byteLength(data),
  };
}

function changed(op: Exclude<(typeof textOps)[number], 'count'>, data: string): string {
  switch (op) {
    case 'upper':
      return data.toUpperCase();
    case 'lower':
      return data.toLowerCase();
    case 'title':
      return data.toLowerCase().replace(/(?<![\p{L}\p{N}'’])\p{L}/gu, (letter) => letter.toUpperCase());
    case 'trim':
      return data.trim();
    case 'reverse':
      // By what a person sees as one character: a flag or an accented letter stays whole.
      return Array.from(segments(data, 'grapheme'), ({ segment }) => segment)
        .reverse()
        .join('');
    case 'slug':
      return data
        .normalize('NFKD')
        .replace(/\p{M}/gu, '')
        .toLowerCase()
        .replace(/ß/g, 'ss')
        .replace(/[^\p{L}\p{N}]+/gu, '-')
        .replace(/^-+|-+$/g, '')
        .slice(0, 200);
  }
}

// --- json -----------------------------------------------------------------------------------------------------------

const json = tool({
  name: 'json',
  summary: 'Check, format and pick from JSON',
  examples: [
    'format json {"a":1}',
    'is this valid json [1,2',
    'minify json { "a": 1 }',
    'pretty print json [1,2,3]',
    'get the field name from this json {"name":"Ada"}',
  ],
  input: z.strictObject({
    text,
    value: z.unknown().optional(),
    op: z.enum(['format', 'minify', 'validate', 'pick']).optional(),
    /** For pick: `orders[0].name`. */
    path: z.string().max(1000).optional(),
    indent: z.number().int().min(0).max(10).default(2),
  }),
  answer({ text: asked, value, op, path, indent }) {
    const source =
      typeof value === 'string' ? value : value !== undefined ? JSON.stringify(value) : asked === undefined ? undefined : jsonIn(asked);
    if (source === undefined || source === '')
      throw misfit('value', 'There is no JSON to look at.', 'Write format json {"a": 1}, or give value.');
    if (source.length > 1_000_000) throw misfit('value', 'That is more than a million characters.', 'Take a smaller part of it.');
    const before = asked === undefined ? '' : asked.slice(0, Math.max(0, asked.indexOf(source)));
    const wanted = path ?? pickCommand.exec(before)?.[1];
    const chosen =
      op ??
      (wanted !== undefined ? 'pick' : /\bminify|\bcompact/i.test(before) ? 'minify' : /\bvalid/i.test(before) ? 'validate' : 'format');
    const error = jsonFault(source);
    if (error !== null) {
      if (chosen === 'validate') return { op: chosen, valid: false, error };
      throw misfit(
        'value',
        `That is not JSON: ${error.message}, at line ${error.line}, column ${error.column}.`,
        'Correct that place and try again.',
      );
    }
    let parsed: unknown;
    try {
      parsed = JSON.parse(source);
    } catch {
      throw misfit('value', 'That is nested too deep.', 'Take a smaller part of it.');
    }
    if (chosen === 'pick') return { op: chosen, path: wanted ?? '', value: pick(parsed, wanted ?? '') };
    if (chosen === 'validate')
      return { op: chosen, valid: true, kind: parsed === null ? 'null' : Array.isArray(parsed) ? 'array' : typeof parsed };
    try {
      return { op: chosen, valid: true, text: JSON.stringify(parsed, null, chosen === 'minify' ? 0 : indent) };
    } catch {
      throw misfit('value', 'That is nested too deep.', 'Take a smaller part of it.');
    }
  },
});

const pickCommand =
  /\b(?:get|pick|extract|read|take)\s+(?:me\s+)?(?:the\s+)?(?:(?:field|key|value|property|path)\s+)?(?:of\s+)?["'`]?([\w$.[\]-]{1,200})["'`]?\s+(?:field\s+)?(?:from|of|in|out of)\b/i;

/** Along names and indexes; input_invalid where the path leads nowhere. */
function pick(value: unknown, path: string): unknown {
  let found = value;
  for (const name of path.split(/[.[\]]+/).filter((part) => part !== '')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
      const names = typeof found === 'object' && found !== null ? Object.keys(found).slice(0, 10).join(', ') : '';
      throw misfit(
        'path',
        `There is no "${name}" on the way along "${path}".`,
        names === '' ? 'Write a path such as orders[0].name.' : `There is ${names}.`,
      );
    }
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** From the first bracket on; without one, what is left after the command when that is a string, number or literal. */
function jsonIn(sentence: string): string | undefined {
  const start = sentence.search(/[[{]/);
  if (start !== -1) return sentence.slice(start).trim();
  const rest = sentence.replace(/^.*\bjson\b(?:\s+document)?\s*[:?]?/is, '').trim();
  return /^(?:["\d-]|true$|false$|null$)/.test(rest) ? rest : undefined;
}

// --- echo -----------------------------------------------------------------------------------------------------------

const echo = tool({
  name: 'echo',
  summary: 'Gives back what it was given',
  examples: ['echo hello', 'say hello back', 'repeat after me: hello'],
  input: z.looseObject({ text }),
  answer: ({ text: asked, ...params }) => ({ text: asked ?? null, params }),
});
