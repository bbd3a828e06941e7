/** The words of the command line: which commands and flags there are, and what to say of those that there are not. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { Refusal, refuse } from '../../shared/errors.ts';

/** A command line that fits: which command, its words and its flags. */
export interface Invocation {
  command: CommandName;
  words: string[];
  flags: Flags;
}

export type Flags = {
  -readonly [F in keyof typeof flagTypes]?: (typeof flagTypes)[F]['type'] extends 'boolean' ? boolean : string;
};

const flagTypes = {
  help: { type: 'boolean', short: 'h', about: 'Say what a command does' },
  version: { type: 'boolean', about: 'Say which version this is' },
  json: { type: 'boolean', about: 'Print the crossing or result as JSON' },
  home: { type: 'string', about: 'FOLDER for configuration and data, before DISPATCHER_HOME' },
  mock: { type: 'boolean', about: 'Call nothing; every service answers as its mock' },
  demo: { type: 'boolean', about: 'With the demo services and the demo registry' },
  data: { type: 'string', short: 'd', about: 'JSON object sent as params; @FILE or - reads it' },
  ask: { type: 'boolean', about: 'Ask back when the operator is not sure, instead of taking the fallback' },
  deadline: { type: 'string', about: 'MS that the whole call may take' },
  wait: { type: 'string', about: 'SECONDS to wait for the result; then the job goes on by itself' },
  key: { type: 'string', about: 'Idempotency KEY: the same one with the same request runs once' },
  callback: { type: 'string', about: 'URL that gets the result as a signed POST' },
  yes: { type: 'boolean', short: 'y', about: 'Confirm what wants confirmation' },
  org: { type: 'string', about: 'Only this ORG' },
  route: { type: 'string', about: 'Only this ROUTE, such as FND.salesforce' },
  all: { type: 'boolean', about: 'Built-in routes (OS) too' },
  state: { type: 'string', about: 'Only jobs in this STATE' },
  q: { type: 'string', about: 'Only what contains these WORDS' },
  limit: { type: 'string', about: 'At most N' },
  follow: { type: 'boolean', short: 'f', about: 'Go on until Ctrl-C' },
  can: { type: 'string', about: 'Capabilities, of read,dispatch,admin' },
  port: { type: 'string', short: 'p', about: 'PORT on 127.0.0.1, 0 for any free one' },
  need: { type: 'string', about: 'CAPABILITIES a model has to have, such as text-generation,vision-analysis' },
  tier: { type: 'string', about: 'At least this TIER, such as 70B' },
  model: { type: 'string', about: 'This MODEL or provider and no other' },
  priority: { type: 'string', about: '0 to 100; below 40 nothing is evicted for it' },
  context: { type: 'string', about: 'speech, interactive, background or training' },
  sensitive: { type: 'boolean', about: 'Never by a remote provider' },
  ttl: { type: 'string', about: 'SECONDS that a grant lasts' },
  open: { type: 'boolean', about: 'Open the command center in the browser' },
} as const;

type Flag = keyof typeof flagTypes;
interface Command {
  usage: string;
  about: string;
  /** Fewest and most words. */
  words: [number, number];
  flags: Flag[];
}

const everywhere: Flag[] = ['help', 'json', 'home'];
const hosting: Flag[] = ['mock', 'demo'];

export const commands = {
  dispatch: {
    usage: 'dispatch TEXT',
    about: 'Send a request to the route it means',
    words: [1, 1000],
    flags: [...hosting, 'data', 'ask', 'deadline', 'wait', 'key', 'callback', 'yes'],
  },
  'dispatch-to': {
    usage: 'dispatch-to ORG SERVICE',
    about: 'Send a request to this route',
    words: [1, 2],
    flags: [...hosting, 'data', 'deadline', 'wait', 'key', 'callback', 'yes'],
  },
  resolve: {
    usage: 'resolve TEXT | resolve --need CAPABILITIES',
    about: 'Say where it would go, or which models it would get, and why; nothing is called or loaded',
    words: [0, 1000],
    flags: [...hosting, 'route', 'need', 'tier', 'model', 'priority', 'context', 'sensitive'],
  },
  routes: { usage: 'routes', about: 'List every route', words: [0, 0], flags: [...hosting, 'org', 'all'] },
  health: { usage: 'health', about: 'Probe every service now', words: [0, 0], flags: [...hosting, 'org'] },
  ping: { usage: 'ping ORG.SERVICE', about: 'Probe one service now', words: [1, 2], flags: hosting },
  interactive: { usage: 'interactive', about: 'Type request after request', words: [0, 0], flags: hosting },
  jobs: {
    usage: 'jobs [get ID | cancel ID | retry ID]',
    about: 'What was dispatched, newest first',
    words: [0, 2],
    flags: [...hosting, 'state', 'route', 'q', 'limit'],
  },
  lanes: { usage: 'lanes', about: 'What runs and stands in line, lane by lane', words: [0, 0], flags: hosting },
  callbacks: {
    usage: 'callbacks [list | redeliver ID]',
    about: 'Results on their way to callback URLs',
    words: [0, 2],
    flags: [...hosting, 'state', 'limit'],
  },
  mcp: {
    usage: 'mcp [list | add NAME URL | add NAME -- COMMAND … | approve NAME [TOOL] | refresh NAME | stop NAME]',
    about: 'MCP servers and their tools',
    words: [0, 100],
    flags: [...hosting, 'yes'],
  },
  signals: { usage: 'signals', about: 'The newest signals, one line each', words: [0, 0], flags: [...hosting, 'follow', 'limit'] },
  audit: {
    usage: 'audit [list | verify | export]',
    about: 'The audit chain; verify needs no running core',
    words: [0, 1],
    flags: [...hosting, 'limit'],
  },
  gpu: { usage: 'gpu', about: 'GPU memory, models, and who waits for them', words: [0, 0], flags: hosting },
  models: {
    usage: 'models [list | load PROVIDER [TIER] | unload PROVIDER | reset PROVIDER | discover]',
    about: 'Models and the servers that have them',
    words: [0, 3],
    flags: [...hosting, 'yes'],
  },
  grants: {
    usage: 'grants [list | create TASK --need CAPABILITIES | revoke ID]',
    about: 'Permission to use models for one task',
    words: [0, 2],
    flags: [...hosting, 'need', 'tier', 'model', 'priority', 'context', 'sensitive', 'ttl', 'wait'],
  },
  sovereign: { usage: 'sovereign [on | off]', about: 'The local-only switch', words: [0, 1], flags: [...hosting, 'yes'] },
  token: { usage: 'token [create NAME | list | revoke ID]', about: 'Tokens for other programs', words: [0, 2], flags: [...hosting, 'can'] },
  serve: { usage: 'serve', about: 'Run the core until it is stopped', words: [0, 0], flags: [...hosting, 'port', 'open'] },
  demo: { usage: 'demo', about: 'serve --demo --open', words: [0, 0], flags: ['mock', 'port'] },
  open: { usage: 'open', about: 'Show the command center of the running core', words: [0, 0], flags: [] },
  version: { usage: 'version', about: 'Say which version this is', words: [0, 0], flags: [] },
  help: { usage: 'help [COMMAND]', about: 'Say what there is', words: [0, 1], flags: [] },
} as const satisfies Record<string, Command>;

export type CommandName = keyof typeof commands;
/** Commands that need a client of a core; the composition root does the others. */
export type ClientCommand = Exclude<CommandName, 'serve' | 'demo' | 'open' | 'version' | 'help'>;

const isCommand = (word: string): word is CommandName => Object.hasOwn(commands, word);

/** Throws `Refusal` usage, with the nearest name where one is near. */
export function parseCommand(argv: readonly string[]): Invocation {
  const { tokens } = parseArgs({
    args: [...argv],
    options: flagTypes as ParseArgsConfig['options'] & {},
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
  const given = tokens.filter((token) => token.kind === 'option');
  const has = (name: string) => given.some((token) => token.name === name);
  const [word = has('version') ? 'version' : 'help', ...rest] = words;
  if (!isCommand(word)) throw unfit(`There is no command ${word}.`, nearest(word, Object.keys(commands)), 'dispatcher help lists them');
  const command: Command = commands[word];
  const allowed: Flag[] = [...everywhere, ...command.flags];
  const flags: Record<string, string | boolean> = {};
  for (const token of given) {
    const { name, rawName, value } = token;
    const known = (allowed as string[]).includes(name) || (word === 'version' && name === 'version');
    if (!known) {
      const near = nearest(name, allowed);
      throw unfit(`${word} has no flag ${rawName}.`, near && `--${near}`, `dispatcher help ${word} lists them`);
    }
    const { type } = flagTypes[name as Flag];
    if (type === 'boolean' && value !== undefined) throw unfit(`${rawName} takes no value.`, null, `write ${rawName} alone`);
    if (type === 'string' && (value === undefined || value === ''))
      throw unfit(`${rawName} needs a value.`, null, `dispatcher help ${word} shows it`);
    flags[name] = value ?? true;
  }
  if (flags.help && word !== 'help') return { command: 'help', words: words.slice(0, 1), flags: flags as Flags };
  const [fewest, most] = command.words;
  if (rest.length < fewest || rest.length > most)
    throw unfit(`${word} is written: dispatcher ${command.usage}`, null, `dispatcher help ${word}`);
  return { command: word, words: rest, flags: flags as Flags };
}

/** Whole number of a flag; `Refusal` usage when it is none. */
export function numberOf(
  flags: Flags,
  name: 'port' | 'limit' | 'deadline' | 'wait' | 'priority' | 'ttl',
  [low, high]: [number, number],
): number | null {
  const text = flags[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < low || value > high)
    throw unfit(`--${name} ${text} is not a whole number from ${low} to ${high}.`, null, `for example --${name} ${low || high}`);
  return value;
}

export function helpText(topic: string | undefined): string {
  const known = topic !== undefined && isCommand(topic) ? topic : null;
  if (topic !== undefined && !known)
    throw unfit(`There is no command ${topic}.`, nearest(topic, Object.keys(commands)), 'dispatcher help lists them');
  const flagLine = (name: Flag) => {
    const { short, type, about } = { short: undefined, ...flagTypes[name] };
    return `  ${`${short ? `-${short}, ` : '    '}--${name}${type === 'string' ? ' …' : ''}`.padEnd(20)}${about}`;
  };
  if (known) {
    const command: Command = commands[known];
    return [`dispatcher ${command.usage}`, `  ${command.about}.`, '', ...[...command.flags, ...everywhere].map(flagLine)].join('\n');
  }
  return [
    'dispatcher: the one audited door in front of everything that answers requests on this machine.',
    '',
    ...Object.values(commands).map(({ usage, about }) => `  ${usage.padEnd(40)}${about}`),
    '',
    'dispatcher help COMMAND shows the flags. Exit codes: 0 done, 1 the service failed, 2 input, 3 refused, 4 not there,',
    '5 try later, 6 cancelled, 7 no core or no store, 70 a bug.',
  ].join('\n');
}

// --- words that do not fit ----------------------------------------------------------------------------------------------

/** `usage`, with what may have been meant or what to do instead. */
export function unfit(message: string, near: string | null, hint: string): Refusal {
  return new Refusal(
    refuse('usage', message, {
      hint: near ? `Did you mean ${near}?` : `${/^(dispatcher|npm|\/)/.test(hint) ? hint : `${hint[0]!.toUpperCase()}${hint.slice(1)}`}.`,
    }),
  );
}

export function misworded(command: CommandName, word: string, choices: string[]): Refusal {
  return unfit(`dispatcher ${command} ${word} does not fit.`, nearest(word, choices), `${command} takes ${choices.join(', ')}`);
}

/** The name within two edits (a third of its length), swaps of neighbours counted as one; null when none is. */
export function nearest(word: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.min(2, Math.max(1, Math.ceil(word.length / 3))) + 1;
  for (const name of names) {
    const distance = name.startsWith(word) && word.length > 2 ? 1 : edits(word, name);
    if (distance < least) [best, least] = [name, distance];
  }
  return best;
}

function edits(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++)
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      rows[i]![j] = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) rows[i]![j] = Math.min(rows[i]![j]!, rows[i - 2]![j - 2]! + 1);
    }
  return rows[a.length]![b.length]!;
}
