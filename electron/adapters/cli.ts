/** The command line, translated: words and flags into calls, crossings into lines. Runs over any client and any terminal. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import type { Readable } from 'node:stream';
import { text as readAll } from 'node:stream/consumers';
import { type Ask, operations } from '../../shared/contract.ts';
import { catalogue, Refusal, refuse } from '../../shared/errors.ts';
import type { Crossing } from '../../shared/model.ts';
import { agreed, type Context, confirmed, type Run } from './cli-context.ts';
import { asksForModels, cortexCommands, planLines, resolveNeed } from './cli-cortex.ts';
import { jobCommands } from './cli-jobs.ts';
import {
  clock,
  healthIcon,
  healthLine,
  inert,
  inertJson,
  jobLine,
  note,
  percent,
  print,
  printCrossing,
  printError,
  printJson,
  problemLine,
  tagOf,
} from './cli-print.ts';
import { type ClientCommand, type Flags, type Invocation, misworded, nearest, numberOf, unfit } from './cli-words.ts';

/**
 * Runs one command over `client` and gives its exit code. `signal` is Ctrl-C: a call under way is cancelled and its end awaited.
 * With `--json`, stdout gets JSON and nothing else.
 */
export async function runCommand(invocation: Invocation, { client, terminal, signal }: Context): Promise<number> {
  const { flags } = invocation;
  const run = runners[invocation.command as ClientCommand];
  try {
    return await run(invocation, { client, terminal, signal });
  } catch (caught) {
    if (!(caught instanceof Refusal)) throw caught;
    return printError(caught.wire, terminal, flags.json ?? false);
  }
}

const runners: Record<ClientCommand, Run> = {
  ...jobCommands,
  ...cortexCommands,

  async dispatch({ words, flags }, context) {
    return dispatch({ ...(await askOf(flags, context)), text: words.join(' '), ...(flags.ask && { ask: true }) }, flags, context);
  },

  async 'dispatch-to'({ words, flags }, context) {
    return dispatch({ ...(await askOf(flags, context)), route: words.join('.') }, flags, context);
  },

  async resolve({ words, flags }, context) {
    const { client, terminal } = context;
    const text = words.join(' ');
    if (asksForModels(flags)) {
      if (text !== '') throw unfit('resolve takes a text or --need, not both.', null, 'leave one out');
      return resolveNeed(flags, context);
    }
    if (text === '' && flags.route === undefined)
      throw unfit('resolve needs a text or --route.', null, 'dispatcher resolve "sync contacts"');
    const found = await client.operate('OS.resolve', { ...(text && { text }), ...(flags.route && { route: flags.route }) });
    if (flags.json) return printJson(terminal, found);
    const lines = [
      `route       ${found.route ?? 'none'}${found.confidence === null ? '' : ` (${percent(found.confidence)})`}`,
      `why         ${found.why}`,
    ];
    if (found.abstained) lines.push(`            not sure${found.usedFallback ? '; the fallback is taken' : ''}`);
    for (const rule of found.rules)
      lines.push(
        `rule        ${rule.won ? '✔' : ' '} "${rule.pattern}" → ${rule.route}, priority ${rule.priority}${rule.line === null ? '' : `, line ${rule.line}`}`,
      );
    for (const other of found.ranked.slice(0, 5))
      lines.push(`ranked      ${percent(other.confidence).padStart(4)} ${other.route}: ${other.reason}`);
    if (found.egress)
      lines.push(`egress      ${found.egress.egress}${found.egress.host ? ` to ${found.egress.host}` : ''}: ${found.egress.reason}`);
    if (found.breaker) lines.push(`breaker     ${found.breaker.state}`);
    if (found.health) lines.push(`health      ${healthIcon[found.health]} ${found.health}`);
    if (found.limits)
      lines.push(`limits      ${Math.floor(found.limits.remaining)} of ${found.limits.burst} left, ${found.limits.perSecond} a second`);
    if (found.expectedMs !== null) lines.push(`expected    ${Math.round(found.expectedMs)} ms`);
    if (found.plan) lines.push(...planLines(found.plan));
    if (found.refusal) lines.push(`refused     ${found.refusal.code}: ${found.refusal.message}`);
    return print(terminal, lines);
  },

  async routes({ flags }, { client, terminal }) {
    const { orgs, routes, registry } = await client.operate('OS.routes', flags.org ? { org: flags.org } : {});
    for (const problem of registry.problems) note(terminal, problemLine(problem, registry.file));
    if (registry.serving === 'previous') note(terminal, 'The registry above is not valid; the one before it still serves.');
    const builtIn = flags.all && flags.org === undefined ? Object.values(operations) : [];
    if (flags.json)
      return printJson(terminal, {
        orgs,
        routes,
        registry,
        ...(flags.all && { builtIn: builtIn.map(({ name, summary, http }) => ({ name, summary, http })) }),
      });
    const byOrg = Map.groupBy(routes, (route) => route.org);
    const lines: string[] = [];
    for (const [code, services] of byOrg) {
      lines.push(`  [${code}] ${orgs.find((org) => org.code === code)?.name ?? 'built in'}`);
      for (const route of services)
        lines.push(`    └─ ${route.service.padEnd(15)} [${tagOf(route)}] ${route.endpoint ?? route.description ?? route.kind}`);
      lines.push('');
    }
    if (builtIn.length > 0)
      lines.push('  Built in', ...builtIn.map(({ name, summary }) => `    └─ ${name.padEnd(22)} [os] ${summary}`), '');
    return print(terminal, [...lines, `Total: ${routes.length} routes across ${byOrg.size} orgs`]);
  },

  async health({ flags }, { client, terminal }) {
    const { health, breakers } = await client.operate('OS.health', { probe: true, ...(flags.org && { org: flags.org }) });
    if (flags.json) return printJson(terminal, { health, breakers });
    const { orgs } = await client.operate('OS.routes', {});
    const lines: string[] = [];
    for (const [code, services] of Map.groupBy(health, ({ route }) => route.slice(0, route.indexOf('.')))) {
      lines.push(
        `  [${code}] ${orgs.find((org) => org.code === code)?.name ?? ''}`,
        ...services.map((one) => `    ${healthLine(one, one.route.slice(code.length + 1))}`),
        '',
      );
    }
    const open = breakers.filter((breaker) => breaker.state !== 'closed');
    for (const breaker of open) lines.push(`  ⚡ breaker ${breaker.state}: ${breaker.endpoint}`);
    const counts = Object.entries(Object.groupBy(health, ({ status }) => status)).map(([status, list]) => `${list.length} ${status}`);
    return print(terminal, [...lines, `Total: ${health.length} services, ${counts.join(', ') || 'none probed'}`]);
  },

  async ping({ words, flags }, { client, terminal }) {
    const route = words.join('.');
    const [health] = (await client.operate('OS.health', { route, probe: true })).health;
    if (!health) throw new Refusal(refuse('not_found', `${route} has no health URL.`, { hint: 'Give it one in the registry.' }));
    const exit = health.status === 'down' ? catalogue.upstream_unreachable.exit : 0;
    if (flags.json) printJson(terminal, health);
    else print(terminal, [healthLine(health, health.route)]);
    return exit;
  },

  async signals({ flags }, { client, terminal, signal }) {
    const limit = numberOf(flags, 'limit', [1, 500]) ?? 100;
    const line = (one: { seq: number; at: number; signal: string }) =>
      terminal.stdout.write(`${flags.json ? inertJson(one) : `${clock(one.at)} ${inert(one.signal)}`}\n`);
    if (!flags.follow) {
      const { signals } = await client.operate('OS.signals', { limit });
      if (flags.json) return printJson(terminal, { signals });
      for (const one of signals) line(one);
      return 0;
    }
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    signal.addEventListener('abort', () => resolve(0), { once: true });
    client.onClose(() => reject(new Refusal(refuse('core_unreachable', 'The core ended.', { hint: 'Start it again.' }))));
    client.watch(0, {
      snapshot: (snapshot) => snapshot.signals.slice(-limit).forEach(line),
      events: (events) => {
        for (const { seq, at, signal: text } of events) if (text !== null) line({ seq, at, signal: text });
      },
    });
    return promise;
  },

  async audit({ words: [action = 'list'], flags }, { client, terminal }) {
    const limit = numberOf(flags, 'limit', [1, 1_000_000_000]);
    if (action === 'list') {
      const found = await client.operate('OS.audit', { limit: Math.min(limit ?? 20, 500) });
      if (flags.json) return printJson(terminal, found);
      const lines = found.entries.map(
        (entry) =>
          `${String(entry.seq).padStart(8)} ${clock(entry.at)} ${entry.kind.padEnd(8)} ${(entry.outcome ?? '').padEnd(20)} ${entry.route ?? '-'} by ${entry.caller} via ${entry.door} ${entry.hash.slice(0, 12)}`,
      );
      return print(terminal, [...lines, `${found.entries.length} of ${found.total} entries, newest first`]);
    }
    if (action === 'export') {
      let left = limit ?? Number.POSITIVE_INFINITY;
      for (let cursor: string | null = null; left > 0; ) {
        const page: Awaited<ReturnType<typeof client.operate<'OS.audit'>>> = await client.operate('OS.audit', {
          limit: Math.min(left, 500),
          ...(cursor && { cursor }),
        });
        for (const entry of page.entries) terminal.stdout.write(`${inertJson(entry)}\n`);
        left -= page.entries.length;
        cursor = page.cursor;
        if (cursor === null) break;
      }
      return 0;
    }
    throw misworded('audit', action, ['list', 'verify', 'export']);
  },

  async sovereign({ words: [to], flags }, context) {
    const { client, terminal } = context;
    if (to !== undefined && to !== 'on' && to !== 'off') throw misworded('sovereign', to, ['on', 'off']);
    const now =
      to === undefined
        ? await client.operate('OS.sovereign', {})
        : await confirmed((confirm) => client.operate('OS.sovereign.set', { on: to === 'on' }, confirm), flags, context);
    if (flags.json) return printJson(terminal, now);
    const since = now.since === null ? '' : ` since ${new Date(now.since).toISOString()}${now.by ? ` by ${now.by}` : ''}`;
    return print(terminal, [now.on ? `🔒 sovereign is on${since}: remote routes are refused` : `🔓 sovereign is off${since}`]);
  },

  async token({ words: [action = 'list', subject], flags }, context) {
    const { client, terminal } = context;
    if (action === 'list' && subject === undefined) {
      const { tokens } = await client.operate('OS.tokens', {});
      if (flags.json) return printJson(terminal, { tokens });
      return print(
        terminal,
        tokens.map(
          (token) =>
            `${token.id}  ${token.name.padEnd(20)} ${token.capabilities.join(',').padEnd(20)} used ${token.lastUsedAt === null ? 'never' : clock(token.lastUsedAt)}`,
        ),
      );
    }
    if (action === 'create' && subject !== undefined) {
      const wanted = (flags.can ?? 'read,dispatch').split(',').map((word) => word.trim());
      const capabilities = wanted.map((word) => {
        if (word === 'read' || word === 'dispatch' || word === 'admin') return word;
        throw unfit(`There is no capability ${word}.`, nearest(word, ['read', 'dispatch', 'admin']), 'of read, dispatch and admin');
      });
      const made = await client.operate('OS.tokens.create', { name: subject, capabilities });
      if (flags.json) return printJson(terminal, made);
      note(terminal, `Token ${made.token.id} for ${made.token.name}. Its secret is shown this once:`);
      return print(terminal, [made.secret]);
    }
    if (action === 'revoke' && subject !== undefined) {
      const gone = await client.operate('OS.tokens.revoke', { id: subject });
      return flags.json ? printJson(terminal, gone) : print(terminal, [`${gone.id} is worth nothing now`]);
    }
    throw misworded('token', action, ['list', 'create NAME', 'revoke ID']);
  },

  async interactive({ flags }, context) {
    return converse(flags, context);
  },
};

async function askOf(flags: Flags, { terminal }: Context): Promise<Ask> {
  const deadlineMs = numberOf(flags, 'deadline', [1, 3_600_000]);
  return {
    ...(flags.data !== undefined && { params: await readData(flags.data, terminal.stdin) }),
    ...(deadlineMs !== null && { deadlineMs }),
    ...(flags.yes && { confirm: true }),
    ...(flags.key !== undefined && { key: flags.key }),
    ...(flags.callback !== undefined && { callbackUrl: flags.callback }),
  };
}

/** JSON object of `--data`: literal, `@FILE`, or `-` for stdin. Throws `Refusal` usage or input_invalid. */
async function readData(source: string, stdin: Readable): Promise<Record<string, unknown>> {
  let json = source;
  try {
    if (source === '-') json = await readAll(stdin);
    else if (source.startsWith('@')) json = readFileSync(source.slice(1), 'utf8');
  } catch (caught) {
    throw unfit(`--data ${source} cannot be read: ${(caught as Error).message}`, null, 'give a readable file after @');
  }
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (caught) {
    throw new Refusal(
      refuse('input_invalid', `--data is not JSON: ${(caught as Error).message}`, { hint: `Write it as '{"key": "value"}'.` }),
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Refusal(refuse('input_invalid', '--data is JSON but not an object.', { hint: `Write it as '{"key": "value"}'.` }));
  return value as Record<string, unknown>;
}

async function dispatch(ask: Ask, flags: Flags, context: Context): Promise<number> {
  const { terminal } = context;
  const seconds = numberOf(flags, 'wait', [0, 86_400]);
  let crossing = await call(ask, context, seconds);
  if (typeof crossing !== 'string' && crossing.error?.code === 'confirm_required' && (await agreed(crossing.error, terminal)))
    crossing = await call({ ...ask, confirm: true }, context, seconds);
  if (typeof crossing === 'string') {
    const job = await context.client.operate('OS.jobs.get', { id: crossing });
    return flags.json
      ? printJson(terminal, job)
      : print(terminal, [jobLine(job), `It goes on; dispatcher jobs get ${job.id} tells its end.`]);
  }
  if (flags.json) {
    printJson(terminal, crossing);
    return crossing.error ? catalogue[crossing.error.code].exit : 0;
  }
  return printCrossing(crossing, terminal);
}

/**
 * One call, cancelled by Ctrl-C. On a terminal, the progress of its job is shown on stderr while it runs. With `seconds` the job's id
 * when it has not ended by then.
 */
async function call(ask: Ask, context: Context, seconds: number): Promise<Crossing | string>;
async function call(ask: Ask, context: Context, seconds?: null): Promise<Crossing>;
async function call(ask: Ask, context: Context, seconds: number | null): Promise<Crossing | string>;
async function call(ask: Ask, { client, terminal, signal }: Context, seconds: number | null = null): Promise<Crossing | string> {
  let mine: string | null = null;
  const { promise: late, resolve: giveUp } = Promise.withResolvers<string>();
  const timer = seconds === null ? null : setTimeout(() => mine !== null && giveUp(mine), seconds * 1000);
  const live = terminal.stderr.isTTY === true;
  const began = performance.now();
  const pending = client.call(ask, (accepted) => {
    mine = accepted.job;
    if (seconds !== null && performance.now() - began >= seconds * 1000) giveUp(mine);
    if (!live) return;
    client.watch(0, {
      snapshot: () => {},
      events: (events) => {
        for (const event of events)
          if (event.type === 'job' && event.job.id === mine && event.job.progress !== null && event.job.finishedAt === null)
            terminal.stderr.write(`\r\u001b[K  ${percent(event.job.progress)} ${inert(event.job.progressNote ?? '')}`);
      },
    });
  });
  const cancel = () => pending.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    return await Promise.race([pending.answer, late]);
  } finally {
    if (timer !== null) clearTimeout(timer);
    signal.removeEventListener('abort', cancel);
    if (live && mine !== null) terminal.stderr.write('\r\u001b[K');
  }
}

/** The prompt of seed 000. Ctrl-C cancels the call under way; at the prompt it leaves. */
async function converse(flags: Flags, context: Context): Promise<number> {
  const { client, terminal, signal } = context;
  const { routes } = await client.operate('OS.routes', {});
  const names = routes.filter((route) => route.kind !== 'operation').map((route) => route.name);
  const slashes = ['/to ', '/routes', '/health', '/help', '/quit'];
  const history = terminal.historyFile === null ? [] : readHistory(terminal.historyFile);
  const lines = createInterface({
    input: terminal.stdin,
    output: terminal.stdout,
    terminal: terminal.stdin.isTTY === true && terminal.stdout.isTTY === true,
    history: [...history].reverse(),
    historySize: 500,
    completer: (line: string): [string[], string] => {
      if (line.startsWith('/to '))
        return [names.map((name) => `/to ${name}`).filter((name) => name.toLowerCase().startsWith(line.toLowerCase())), line];
      return [line.startsWith('/') ? slashes.filter((slash) => slash.startsWith(line)) : [], line];
    },
  });
  signal.addEventListener('abort', () => lines.close(), { once: true });
  const typed = lines[Symbol.asyncIterator]();
  // Lines that came through a pipe are still to be answered when the pipe has closed.
  let open = true;
  lines.on('close', () => {
    open = false;
  });
  /** The next line, or null at the end. */
  const read = async (prompt: string): Promise<string | null> => {
    lines.setPrompt(prompt);
    if (open) lines.prompt();
    const { value, done } = await typed.next();
    return done ? null : value.trim();
  };
  for (let line = await read('  dispatch> '); line !== null; line = await read('  dispatch> ')) {
    if (line === '/quit' || line === '/exit') break;
    if (line === '') continue;
    if (terminal.historyFile !== null && history.at(-1) !== line) history.push(line);
    const interrupt = new AbortController();
    const stop = () => interrupt.abort();
    lines.on('SIGINT', stop);
    await say(line, flags, { client, terminal, signal: interrupt.signal }, read).catch((caught) => {
      if (!(caught instanceof Refusal)) throw caught;
      printError(caught.wire, terminal, flags.json ?? false);
    });
    lines.off('SIGINT', stop);
  }
  lines.close();
  if (terminal.historyFile !== null) keepHistory(terminal.historyFile, history.slice(-500));
  return 0;
}

/** One line typed at the prompt. */
async function say(line: string, flags: Flags, context: Context, read: (prompt: string) => Promise<string | null>): Promise<void> {
  const { client, terminal } = context;
  const same = (command: ClientCommand) => runners[command]({ command, words: [], flags }, context);
  const [slash = '', ...rest] = line.split(/\s+/);
  switch (slash) {
    case '/routes':
      return void (await same('routes'));
    case '/health':
      return void (await same('health'));
    case '/help':
      return void print(terminal, [
        '  TEXT                 send it where it belongs',
        '  /to ORG SERVICE      or /to ORG.SERVICE, then JSON params if any',
        '  /routes /health /quit',
      ]);
    case '/to': {
      const found = /^\/to\s+([^\s.{]+)(?:\.|\s+)([^\s{]+)\s*(\{.*\})?$/.exec(line);
      if (!found) throw unfit('/to needs an org and a service.', null, 'for example /to FND salesforce {"action": "sync"}');
      const [, org, service, json] = found;
      await dispatch({ route: `${org}.${service}`, ...(json && { params: await readData(json, terminal.stdin) }) }, flags, context);
      return;
    }
    default:
      if (slash.startsWith('/'))
        throw unfit(`There is no ${slash}.`, nearest(slash, ['/to', '/routes', '/health', '/help', '/quit']), '/help lists them');
  }
  const text = [slash, ...rest].join(' ');
  const crossing = await call({ text, ask: true }, context);
  if (crossing.error?.code !== 'route_uncertain' || !crossing.error.choices?.length || flags.json) {
    if (flags.json) printJson(terminal, crossing);
    else printCrossing(crossing, terminal);
    return;
  }
  const { choices } = crossing.error;
  print(terminal, ['  Not sure. Which of these?', ...choices.map((choice, i) => `  ${i + 1}  ${choice.route} (${choice.reason})`)]);
  const chosen = choices[Number(await read('  number, or nothing to leave it> ')) - 1];
  if (!chosen) return;
  await dispatch({ route: chosen.route, text }, flags, context);
  const taught = await client.operate('OS.teach', { text, route: chosen.route });
  print(terminal, [`  ${taught.route} has learned it.`]);
}

function readHistory(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function keepHistory(file: string, history: string[]): void {
  try {
    writeFileSync(file, `${history.join('\n')}\n`, { mode: 0o600 });
  } catch {
    // A folder that cannot be written costs the history, not the session.
  }
}
