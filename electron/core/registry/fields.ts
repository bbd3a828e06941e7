/** Readers that several sections of the registry file have in common. */
import { amount, choice, duration, listOf, located, type Reader, record, text } from './readers.ts';

export const name = (description: string) => text(description, { max: 200 });
export const reference = (description: string) => located(text(description, { max: 100 }));
export const names = (description: string) => listOf(description, text('A name.', { max: 200 }), 1000);

export const environment = (description: string) =>
  text(description, {
    max: 200,
    pattern: /^[A-Za-z_][A-Za-z0-9_]{0,199}$/,
    say: 'Write the name of an environment variable, such as SALESFORCE_TOKEN; the secret itself never stands here.',
  });

export const auth = record(
  'How the service knows us. The secret is in an environment variable, never in this file.',
  {
    kind: choice('bearer sends "Authorization: Bearer <secret>"; header sends the secret in a header of its own.', ['bearer', 'header']),
    env: environment('Name of the environment variable that holds the secret.'),
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

export const endpoint = located(text('Address that is called: http:// or https://.', { max: 2048 }));
export const egress = choice(
  'Where the endpoint is: local (this machine), lan (your network), remote (the internet). Missing means remote.',
  ['local', 'lan', 'remote'],
);
export const timeout = (unlessGiven: string) =>
  duration(`Longest time for one call: seconds, or with a unit (500ms, 30s, 2m). ${unlessGiven} unless given.`, {
    min: 1,
    max: 3_600_000,
    say: 'Write seconds, or a time such as 500ms, 30s or 2m, up to 1h.',
  });
export const wait = (description: string) =>
  duration(description, { min: 1, max: 3_600_000, say: 'Write seconds, or a time such as 500ms, 30s or 2m, up to 1h.' });

const argvList = listOf(
  'Program and arguments, each an entry of its own. No shell reads them.',
  located(text('One argument.', { max: 4096, empty: true })),
  100,
);
/** A lone text, which a shell would have to take apart, is refused. Empty only after an error. */
export const argv: typeof argvList = {
  schema: argvList.schema,
  read(node, report) {
    if (node.kind === 'scalar' && node.value !== null) {
      const words = String(node.value).trim().split(/\s+/).slice(0, 12);
      report.error(
        node.at,
        'A command is a list with an entry for each argument; no shell takes a text apart.',
        `Write [${words.map((word) => JSON.stringify(word)).join(', ')}], without what only a shell understands.`,
      );
      return [];
    }
    if (node.kind === 'list' && node.items.length === 0)
      report.error(node.at, 'There is no program in this command.', 'Write [program, argument, ...].');
    return argvList.read(node, report);
  },
};

/** A number with decimals. */
export function decimal(description: string, bounds: { min: number; max: number }): Reader<number> {
  return {
    schema: { type: 'number', description, minimum: bounds.min, maximum: bounds.max },
    read(node, report) {
      if (node.kind === 'scalar' && node.value === null) return undefined;
      const value = node.kind === 'scalar' ? node.value : null;
      if (typeof value === 'number' && value >= bounds.min && value <= bounds.max) return value;
      report.error(node.at, 'A number belongs here.', `Write one from ${bounds.min} to ${bounds.max}.`);
      return undefined;
    },
  };
}

/** A part of a whole, `0.8` or `80%`, as a number from 0 to 1. */
export function share(description: string): Reader<number> {
  const form = /^(\d+(?:\.\d+)?) ?%$/;
  return {
    schema: {
      description,
      anyOf: [
        { type: 'number', minimum: 0, maximum: 1 },
        { type: 'string', pattern: form.source },
      ],
    },
    read(node, report) {
      if (node.kind === 'scalar' && node.value === null) return undefined;
      const given = node.kind === 'scalar' ? node.value : null;
      const parts = typeof given === 'string' ? form.exec(given) : null;
      const value = parts ? Number(parts[1]) / 100 : given;
      if (typeof value === 'number' && value >= 0 && value <= 1) return value;
      report.error(node.at, 'A part of the whole belongs here.', 'Write one such as 80% or 0.8.');
      return undefined;
    },
  };
}

/** Device memory. */
export const memory = (description: string) =>
  amount(description, {
    units: { B: 1, KB: 1024, MB: 1024 ** 2, GB: 1024 ** 3, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TB: 1024 ** 4, TiB: 1024 ** 4 },
    bare: 1,
    min: 0,
    max: 64 * 1024 ** 4,
    say: 'Write bytes, or a size such as 6 GB or 5.5GiB.',
  });
