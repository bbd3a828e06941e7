/** The `dispatcher` command: reads argv and environment, finds the running core or hosts one, and hands over to the adapter. */
import { createPublicKey } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { DownFrame, UpFrame } from '../shared/contract.ts';
import { catalogue, Refusal, refuse } from '../shared/errors.ts';
import { createClient, createPortPair } from '../shared/port.ts';
import { printError, type Terminal, verifyLines } from './adapters/cli-print.ts';
import { helpText, type Invocation, numberOf, parseCommand } from './adapters/cli-words.ts';
import { openInBrowser } from './browser.ts';
import { askHome, connectCore, findRunning, homeFolder, type Running } from './home.ts';
import { type Host, openHost, rendererFolder, version } from './host.ts';
import { jsonLog, runServer, tellEnd, untilStopped } from './serve.ts';

const { env, argv } = process;
const terminal: Terminal = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, historyFile: null };
// A reader that went away (`| head`) ends the command; it is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : catalogue.internal.exit));
// A log that nobody reads any more must not stop a server.
process.stderr.on('error', () => {});

try {
  process.exitCode = await main(parseCommand(argv.slice(2)));
} catch (caught) {
  process.exitCode = printError(tellEnd(caught, Boolean(env.DISPATCHER_DEBUG)), terminal, argv.includes('--json'));
}
// What a command leaves open (a socket that is closing, a watcher of the terminal) must not keep it from ending.
await new Promise((done) => process.stdout.write('', done));
process.exit();

async function main(invocation: Invocation): Promise<number> {
  const { command, words, flags } = invocation;
  const home = flags.home === undefined ? homeFolder(env) : resolve(flags.home);
  switch (command) {
    case 'help':
      terminal.stdout.write(`${helpText(words[0])}\n`);
      return 0;
    case 'version':
      terminal.stdout.write(
        flags.json ? `${JSON.stringify({ version, node: process.version })}\n` : `dispatcher ${version} (Node ${process.version})\n`,
      );
      return 0;
    case 'open':
      return show(home);
    case 'serve':
    case 'demo': {
      const opens = flags.open === true || command === 'demo';
      const log = jsonLog(terminal.stderr);
      if (opens) (await import('../bin/build.ts')).buildRenderer();
      else if (!existsSync(rendererFolder))
        log('warn', 'the command center is not built, so there is no page to open; npm start builds it');
      await runServer({
        home,
        demo: flags.demo === true || command === 'demo',
        mock: flags.mock === true,
        port: numberOf(flags, 'port', [0, 65_535]),
        env,
        log,
        signal: untilStopped(),
        ready: async ({ openUrl }) => {
          if (opens) terminal.stdout.write(`${await openInBrowser(openUrl(), env)}\n`);
        },
      });
      return 0;
    }
    case 'audit':
      if (words[0] === 'verify') return verify(home, flags.json === true);
  }
  return withClient(invocation, home);
}

/** Shows the command center of the running core: its own window, or the browser. */
async function show(home: string): Promise<number> {
  const answer = await askHome(home, { ask: 'open' });
  if (!answer || (!answer.shown && !answer.openUrl))
    throw new Refusal(
      refuse('core_unreachable', `No core runs for ${home}.`, { hint: 'Start one with `npm start` or `dispatcher serve`.' }),
    );
  if (answer.openUrl) terminal.stdout.write(`${await openInBrowser(answer.openUrl, env)}\n`);
  return 0;
}

/** Exit 0: it holds; 1: it does not; 2: it cannot be read. */
async function verify(home: string, json: boolean): Promise<number> {
  const { verifyInThread } = await import('./core/audit/verify.ts');
  try {
    const key = publicKeyOf(join(home, 'key.pem'));
    const report = await verifyInThread(join(home, 'dispatcher.sqlite'), {
      checkpointFile: join(home, 'checkpoints.jsonl'),
      ...(key && { key }),
    });
    terminal.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : `${verifyLines(report).join('\n')}\n`);
    return report.ok ? 0 : 1;
  } catch (caught) {
    printError(tellEnd(caught, Boolean(env.DISPATCHER_DEBUG)), terminal, json);
    return 2;
  }
}

/** Raw public key, base64url; null when the home has none. */
function publicKeyOf(file: string): string | null {
  try {
    return createPublicKey(readFileSync(file)).export({ format: 'jwk' }).x ?? null;
  } catch {
    return null;
  }
}

/** Runs a command over the core that has the home; where none has, over one in this process that ends with it. */
async function withClient(invocation: Invocation, home: string): Promise<number> {
  const { flags } = invocation;
  const { runCommand } = await import('./adapters/cli.ts');
  const context = { terminal: { ...terminal, historyFile: join(home, 'history') }, signal: untilStopped() };
  const found = await findOrHost(home, { demo: flags.demo === true, mock: flags.mock === true });
  if ('running' in found) {
    const { running } = found;
    const client = createClient(await connectCore(running));
    if (flags.demo || flags.mock) {
      const { self } = await client.operate('OS.status', {});
      for (const flag of ['demo', 'mock'] as const)
        if (flags[flag] && !self[flag])
          throw new Refusal(
            refuse('conflict', `The core that runs at ${running.url} was started without --${flag}.`, {
              hint: `Stop it, leave --${flag} out, or use another folder with --home.`,
            }),
          );
    }
    const exit = await runCommand(invocation, { ...context, client });
    client.close();
    return exit;
  }
  await using host = found.host;
  const { serve } = await import('./adapters/serve.ts');
  const [near, far] = createPortPair<DownFrame, UpFrame>();
  serve(host.core, near, { principal: host.core.owner.principal, door: 'cli' });
  return await runCommand(invocation, { ...context, client: createClient(far) });
}

/** The core that has the home, or one opened here. Another command may have the home for a moment: it is waited for, up to ten seconds. */
async function findOrHost(home: string, { demo, mock }: { demo: boolean; mock: boolean }): Promise<{ running: Running } | { host: Host }> {
  for (const until = performance.now() + 10_000; ; await wait(100)) {
    const running = await findRunning(home);
    if (running) return { running };
    try {
      return { host: await openHost({ home, demo, mock, env }) };
    } catch (caught) {
      if (tellEnd(caught, false).code !== 'conflict' || performance.now() > until) throw caught;
    }
  }
}
