/**
 * What may stand in the registry file: every key, its meaning, its bounds. One definition reads the nodes of the file and writes
 * the JSON Schema for editors (`node electron/core/registry/shape.ts > resources/registry.schema.json`).
 */
import { editDistance } from '../nearest.ts';
import type { Node } from './yaml.ts';

/** What to write instead; a function where finding it takes time, because only problems that are shown need it. */
export type Hint = string | null | (() => string | null);

export interface Report {
  error(at: number, message: string, hint?: Hint): void;
  warning(at: number, message: string, hint?: Hint): void;
  /** Keys from the root to what is being read. */
  readonly path: (string | number)[];
}

interface Reader<T> {
  schema: Record<string, unknown>;
  /** The value of the node; undefined after an error, or when there is nothing. */
  read(node: Node, report: Report): T | undefined;
}

interface Located<T> {
  value: T;
  at: number;
}

type Values<F extends Record<string, Reader<unknown>>> = { [K in keyof F]?: F[K] extends Reader<infer T> ? T : never };

// --- readers ----------------------------------------------------------------------------------------------------------

const nothingThere = (node: Node) => node.kind === 'scalar' && node.value === null;

const describeNode = (node: Node): string =>
  node.kind === 'map' ? 'a block of keys' : node.kind === 'list' ? 'a list' : node.value === null ? 'nothing' : JSON.stringify(node.value);

function text(description: string, more: { max?: number; pattern?: RegExp; say?: string; empty?: boolean } = {}): Reader<string> {
  const max = more.max ?? 2000;
  return {
    schema: {
      type: 'string',
      description,
      ...(!more.empty && { minLength: 1 }),
      maxLength: max,
      ...(more.pattern && { pattern: more.pattern.source }),
    },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'scalar') {
        report.error(node.at, `A text belongs here, not ${describeNode(node)}.`, more.say ?? null);
      } else if (typeof node.value !== 'string') {
        report.error(
          node.at,
          `A text belongs here; ${String(node.value)} is read as a ${typeof node.value}.`,
          `Write "${String(node.value)}" in quotes.`,
        );
      } else if (node.value.length > max) {
        report.error(node.at, `This text is longer than ${max} characters.`, 'Shorten it.');
      } else if (node.value.trim() === '' && !more.empty) {
        report.error(node.at, 'This text is empty.', more.say ?? 'Write something, or remove the key.');
      } else if (more.pattern && !more.pattern.test(node.value)) {
        report.error(node.at, `"${node.value.slice(0, 80)}" does not fit here.`, more.say ?? `It has to match ${more.pattern.source}.`);
      } else return node.value;
      return undefined;
    },
  };
}

function choice<const C extends readonly string[]>(description: string, choices: C): Reader<C[number]> {
  return {
    schema: { description, enum: [...choices] },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && choices.includes(String(node.value))) return String(node.value) as C[number];
      const meant = node.kind === 'scalar' ? nearest(String(node.value), choices) : null;
      report.error(
        node.at,
        `${describeNode(node)} does not fit here.`,
        meant
          ? `Did you mean ${meant}? The choices are ${choices.join(', ')}.`
          : `Write ${choices.slice(0, -1).join(', ')} or ${choices.at(-1)}.`,
      );
      return undefined;
    },
  };
}

function whole(description: string, bounds: { min: number; max: number }): Reader<number> {
  return {
    schema: { type: 'integer', description, minimum: bounds.min, maximum: bounds.max },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && Number.isInteger(node.value)) {
        const value = node.value as number;
        if (value >= bounds.min && value <= bounds.max) return value;
      }
      report.error(node.at, `A whole number belongs here, not ${describeNode(node)}.`, `Write one from ${bounds.min} to ${bounds.max}.`);
      return undefined;
    },
  };
}

function truth(description: string): Reader<boolean> {
  return {
    schema: { type: 'boolean', description },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
      report.error(node.at, `true or false belongs here, not ${describeNode(node)}.`, 'Write true or false.');
      return undefined;
    },
  };
}

/** A number in a base unit, or a text with a unit: `30`, `30s`, `500ms`; `8388608`, `8MB`. Reads into `units[base]` = 1 multiples. */
function amount(
  description: string,
  about: { units: Record<string, number>; bare: number; min: number; max: number; say: string },
): Reader<number> {
  const names = Object.keys(about.units).sort((a, b) => b.length - a.length);
  const form = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${names.join('|')})$`);
  return {
    schema: {
      description,
      anyOf: [
        { type: 'number', exclusiveMinimum: 0 },
        { type: 'string', pattern: form.source },
      ],
    },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind === 'scalar') {
        const parts = typeof node.value === 'string' ? form.exec(node.value) : null;
        const value =
          typeof node.value === 'number' ? node.value * about.bare : parts ? Number(parts[1]) * (about.units[parts[2] ?? ''] ?? NaN) : NaN;
        const rounded = Math.round(value);
        if (rounded >= about.min && rounded <= about.max) return rounded;
      }
      report.error(node.at, `${describeNode(node)} does not fit here.`, about.say);
      return undefined;
    },
  };
}

const duration = (description: string, bounds: { min: number; max: number; say: string }) =>
  amount(description, { units: { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }, bare: 1000, ...bounds });

function listOf<T>(description: string, item: Reader<T>, max: number): Reader<T[]> {
  return {
    schema: { type: 'array', description, items: item.schema, maxItems: max },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'list') {
        report.error(node.at, `A list belongs here, not ${describeNode(node)}.`, 'Write each entry on a line of its own, after "- ".');
        return undefined;
      }
      if (node.items.length > max) {
        report.error(node.at, `There are ${node.items.length} entries here; ${max} are the most.`, 'Remove some.');
        return undefined;
      }
      const values: T[] = [];
      node.items.forEach((entry, index) => {
        report.path.push(index);
        if (nothingThere(entry))
          report.error(entry.at, 'An entry of this list is empty.', 'Write something after "- ", or remove the line.');
        const value = item.read(entry, report);
        if (value !== undefined) values.push(value);
        report.path.pop();
      });
      return values;
    },
  };
}

/** A block of keys that are all known. Unknown ones are errors with the nearest known one as the hint. */
function record<F extends Record<string, Reader<unknown>>>(
  description: string,
  fields: F,
  more: { required?: (keyof F & string)[]; later?: readonly string[] } = {},
): Reader<Values<F>> {
  const known = new Map(Object.entries(fields));
  const required = more.required ?? [];
  const later = new Set(more.later);
  const reader: Reader<Values<F>> = {
    schema: {
      type: 'object',
      description,
      properties: {
        ...Object.fromEntries([...known].map(([key, field]) => [key, field.schema])),
        ...Object.fromEntries([...later].map((key) => [key, { description: 'Not used by this version.' }])),
      },
      additionalProperties: false,
      ...(required.length > 0 && { required }),
    },
    read(node, report) {
      const values: Record<string, unknown> = {};
      if (node.kind !== 'map') {
        if (!nothingThere(node)) {
          report.error(node.at, `A block of keys belongs here, not ${describeNode(node)}.`, `Its keys are ${sample([...known.keys()])}.`);
          return undefined;
        }
      } else {
        for (const entry of node.entries) {
          const field = known.get(entry.key);
          report.path.push(entry.key);
          if (field) {
            const value = field.read(entry.value, report);
            if (value !== undefined) values[entry.key] = value;
          } else if (later.has(entry.key)) {
            report.warning(entry.at, `The section "${entry.key}" is not used by this version.`);
          } else {
            const meant = nearest(entry.key, [...known.keys()]);
            report.error(
              entry.at,
              `The key "${entry.key.slice(0, 80)}" means nothing here.`,
              meant ? `Did you mean "${meant}"?` : `The keys here are ${sample([...known.keys()])}.`,
            );
          }
          report.path.pop();
        }
      }
      for (const key of required) {
        const there = node.kind === 'map' ? node.entries.find((entry) => entry.key === key) : undefined;
        if (there ? nothingThere(there.value) : true) {
          report.error(there?.at ?? node.at, `"${key}" is missing.`, `Add ${key}: ${hintOf(fields[key])}`);
        }
      }
      return values as Values<F>;
    },
  };
  return reader;
}

const hintOf = (field: Reader<unknown> | undefined) => `(${String(field?.schema.description ?? '').replace(/\.$/, '')}).`;
const sample = (keys: string[]) => (keys.length > 14 ? `${keys.slice(0, 14).join(', ')} ...` : keys.join(', '));

interface Named<T> {
  name: string;
  at: number;
  value: T;
}

/** A block whose keys are names. */
function named<T>(description: string, about: { name: RegExp; say: string; max: number }, value: Reader<T>): Reader<Named<T>[]> {
  return {
    schema: { type: 'object', description, propertyNames: { pattern: about.name.source }, additionalProperties: value.schema },
    read(node, report) {
      if (nothingThere(node)) return undefined;
      if (node.kind !== 'map') {
        report.error(node.at, `A block of names belongs here, not ${describeNode(node)}.`, about.say);
        return undefined;
      }
      if (node.entries.length > about.max) {
        report.error(node.at, `There are ${node.entries.length} entries here; ${about.max} are the most.`, 'Remove some.');
        return undefined;
      }
      const values: Named<T>[] = [];
      for (const entry of node.entries) {
        report.path.push(entry.key);
        if (!about.name.test(entry.key)) report.error(entry.at, `"${entry.key.slice(0, 80)}" is not a name.`, about.say);
        const read = value.read(entry.value, report);
        if (read !== undefined) values.push({ name: entry.key, at: entry.at, value: read });
        report.path.pop();
      }
      return values;
    },
  };
}

/** The value with its place, for checks that come later. */
function located<T>(reader: Reader<T>): Reader<Located<T>> {
  return {
    schema: reader.schema,
    read(node, report) {
      const value = reader.read(node, report);
      return value === undefined ? undefined : { value, at: node.at };
    },
  };
}

/** `off` (or false) in place of a block. */
function orOff<T>(reader: Reader<T>): Reader<T | 'off'> {
  return {
    schema: { description: reader.schema.description, anyOf: [reader.schema, { enum: ['off', false] }] },
    read(node, report) {
      if (node.kind === 'scalar' && (node.value === 'off' || node.value === false)) return 'off';
      return reader.read(node, report);
    },
  };
}

/** The one of `names` that was probably meant by `word`; null when none is near. */
export function nearest(word: string, names: readonly string[]): string | null {
  if (word.length > 100) return null;
  const folded = word
    .replace(/([a-z\d])([A-Z])/g, '$1_$2')
    .replace(/-/g, '_')
    .toLowerCase();
  let best: string | null = null;
  let least = Math.max(1, Math.floor(folded.length / 3)) + 1;
  for (const name of names) {
    if (Math.abs(name.length - folded.length) >= least) continue;
    const distance = editDistance(folded, name.toLowerCase(), least - 1);
    if (distance < least) {
      least = distance;
      best = name;
    }
  }
  return best;
}

// --- the file ---------------------------------------------------------------------------------------------------------

export const mostServices = 20_000;
const mostRules = 50_000;

const orgCode = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;
const serviceName = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/;
const name = (description: string) => text(description, { max: 200 });
const reference = (description: string) => located(text(description, { max: 100 }));
const names = (description: string) => listOf(description, text('A name.', { max: 200 }), 1000);

const auth = record(
  'How the service knows us. The secret is in an environment variable, never in this file.',
  {
    kind: choice('bearer sends "Authorization: Bearer <secret>"; header sends the secret in a header of its own.', ['bearer', 'header']),
    env: text('Name of the environment variable that holds the secret.', {
      max: 200,
      pattern: /^[A-Za-z_][A-Za-z0-9_]{0,199}$/,
      say: 'Write the name of an environment variable, such as SALESFORCE_TOKEN; the secret itself never stands here.',
    }),
    header: located(
      text('Name of the header, for kind header.', {
        max: 100,
        pattern: /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/,
        say: 'Write a header name, such as X-Api-Key.',
      }),
    ),
  },
  { required: ['env'] },
);

const serviceShape = record('One thing that answers requests. Its route is ORG.name.', {
  kind: located(
    choice(
      'How it is called: http (the default), model (an OpenAI-compatible chat endpoint), tool (built in, org OS only), flow and podium (called like http).',
      ['http', 'model', 'tool', 'flow', 'podium'],
    ),
  ),
  description: text('What it does, in one line.'),
  type: choice('internal: ours; external: somebody else runs it.', ['internal', 'external']),
  endpoint: located(text('Address that is called: http:// or https://.', { max: 2048 })),
  health: located(
    text('Address that answers whether the service is well. Without it health is unknown until it is called.', { max: 2048 }),
  ),
  method: choice('HTTP method; POST unless given.', ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']),
  auth,
  egress: choice('Where the endpoint is: local (this machine), lan (your network), remote (the internet). Missing means remote.', [
    'local',
    'lan',
    'remote',
  ]),
  timeout: duration('Longest time for one call: seconds, or with a unit (500ms, 30s, 2m). 30s unless given.', {
    min: 1,
    max: 3_600_000,
    say: 'Write seconds, or a time such as 500ms, 30s or 2m, up to 1h.',
  }),
  max_response: amount('Most bytes of an answer: a number, or with a unit (64KB, 8MB). 8MB unless given.', {
    units: { B: 1, KB: 1024, MB: 1024 ** 2, KiB: 1024, MiB: 1024 ** 2 },
    bare: 1,
    min: 1,
    max: 256 * 1024 ** 2,
    say: 'Write bytes, or a size such as 64KB or 8MB, up to 256MB.',
  }),
  concurrency: whole('Most calls at one time; no bound unless given.', { min: 1, max: 10_000 }),
  lane: text('Calls in the same lane run one after the other.', { max: 100 }),
  idempotent: truth('Calling it twice does no more than calling it once, so that it may be tried again.'),
  provider: name('Who makes or runs it.'),
  model: name('Model name sent to an endpoint of kind model.'),
  fallback: reference('Service used when this one cannot be reached: a name of the same org, or ORG.name.'),
  nodes: names('Machines it runs on.'),
  examples: listOf(
    'Requests that belong here, in the words people use. Five or more make the operator sure.',
    text('A request.', { max: 500 }),
    2000,
  ),
  demo: truth('Belongs to the demo services.'),
});

const orgShape = record('An organisation: a group of services under one short code.', {
  name: name('Its full name.'),
  code: located(text('Its code again, as in the original files.', { max: 32 })),
  status: choice('active or planned.', ['active', 'planned']),
  description: text('What it is for, in one line.'),
  primary_node: name('The machine most of it runs on.'),
  default_service: reference('The service taken when only the org is known.'),
  repos: names('Its repositories.'),
  services: named(
    'The services, by name.',
    {
      name: serviceName,
      say: 'A service name has letters, digits, "-", "_" and ".", such as salesforce or deploy-worker.',
      max: mostServices,
    },
    serviceShape,
  ),
});

const ruleShape = record(
  'Sends every text that matches to one service.',
  {
    pattern: located(
      text('RE2 pattern, without regard to case, for whole words unless it says otherwise. @name is a mention.', { max: 20_000 }),
    ),
    org: reference('Code of the org.'),
    service: reference('Name of the service; the default_service of the org unless given.'),
    priority: whole('The highest wins. 50 unless given.', { min: -1_000_000, max: 1_000_000 }),
  },
  { required: ['pattern', 'org'] },
);

const hostName = /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;
const toolsShape = record('What the built-in tools may reach. What is not declared here they refuse.', {
  fs: record('Files.', {
    roots: listOf(
      'Folders whose files fs.list, fs.read, fs.head and fs.write reach.',
      located(
        record(
          'One folder.',
          {
            name: located(
              text('The name calls use for it.', {
                max: 64,
                pattern: /^[A-Za-z0-9][A-Za-z0-9_-]*$/,
                say: 'Write letters, digits, "-" and "_", such as notes.',
              }),
            ),
            path: located(text('Where it is: an absolute path.', { max: 4096 })),
            write: truth('fs.write may change it. false unless given.'),
          },
          { required: ['name', 'path'] },
        ),
      ),
      100,
    ),
  }),
  fetch: record('Web requests. Public addresses need no entry.', {
    hosts: listOf(
      'Hosts on this machine or network that fetch may call.',
      located(
        record(
          'One host.',
          {
            host: text('Name or address, with :port to allow that port alone.', { max: 300 }),
            egress: choice('Where it is: local or lan.', ['local', 'lan']),
          },
          { required: ['host', 'egress'] },
        ),
      ),
      1000,
    ),
  }),
  ssh: record('Commands on other machines, over the OpenSSH client of this one.', {
    known_hosts: located(text('File with the keys of the hosts: an absolute path. ~/.ssh/known_hosts unless given.', { max: 4096 })),
    hosts: listOf(
      'Hosts that anybody who may dispatch can reach. Others need admin, and their key in known_hosts.',
      located(
        record(
          'One host.',
          {
            name: located(
              text('The name calls use for it.', { max: 253, pattern: hostName, say: 'Write letters, digits, "-" and ".", such as pi.' }),
            ),
            address: text('Name or address; the name unless given.', {
              max: 253,
              pattern: /^[A-Za-z0-9:][A-Za-z0-9.:-]*$/,
              say: 'Write one such as 10.0.0.7.',
            }),
            port: whole('22 unless given.', { min: 1, max: 65_535 }),
            user: text('Who logs in.', { max: 64, pattern: /^[A-Za-z_][A-Za-z0-9_.-]*$/, say: 'Write a user name, such as pi.' }),
            identity: located(text('File of the private key: an absolute path.', { max: 4096 })),
            egress: choice('Where it is: local, lan or remote. Missing means remote.', ['local', 'lan', 'remote']),
          },
          { required: ['name'] },
        ),
      ),
      1000,
    ),
  }),
});

export const fileShape = record(
  'The registry of Dispatcher: orgs, their services, and the rules that choose between them.',
  {
    orgs: named(
      'The orgs, by code.',
      { name: orgCode, say: 'An org code starts with a letter and has letters, digits, "-" and "_", such as FND.', max: 5000 },
      orgShape,
    ),
    rules: listOf('Rules are tried before anything learned.', located(ruleShape), mostRules),
    fallback_org: reference('The org whose default_service gets what nothing else fits.'),
    limits: orOff(
      record('How much is let in. `limits: off` switches limits off.', {
        calls: orOff(
          record(
            'Calls of everybody together.',
            {
              per_second: whole('Calls a second over time.', { min: 1, max: 1_000_000 }),
              burst: whole('Calls at one instant.', { min: 1, max: 1_000_000 }),
            },
            { required: ['per_second', 'burst'] },
          ),
        ),
      }),
    ),
    health: record('How health is watched.', {
      interval: duration('Time between two probes of a service: seconds, or with a unit. 30s unless given.', {
        min: 1000,
        max: 3_600_000,
        say: 'Write seconds, or a time such as 30s or 5m, from 1s to 1h.',
      }),
    }),
    tools: toolsShape,
  },
  { required: ['orgs'], later: ['providers', 'mcp', 'models', 'flows'] },
);

/** JSON Schema 2020-12 of the registry file. */
export function registrySchema(): Record<string, unknown> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:dispatcher:registry',
    title: 'Dispatcher registry',
    ...fileShape.schema,
  };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(registrySchema(), null, 2)}\n`);
