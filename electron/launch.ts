/** `npm start`: builds what is missing, then the command center in its own window, or in the browser where Electron cannot be had. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildElectron, buildRenderer } from '../bin/build.ts';
import { printError } from './adapters/cli-print.ts';
import { unfit } from './adapters/cli-words.ts';
import { hasDesktop, openInBrowser } from './browser.ts';
import { askHome, homeFolder } from './home.ts';
import { projectFolder } from './host.ts';
import { type Log, runServer, tellEnd, untilStopped } from './serve.ts';

/** How long the first start may spend on fetching Electron's binary, in ms. */
const fetchMs = 120_000;
/** How long a fetch that failed is not tried again, in ms: a start must not wait for the same nothing every time. */
const retryMs = 12 * 3_600_000;

const { env } = process;
const say = (line: string) => console.log(line);

async function launch(argv: string[]): Promise<number> {
  const { demo, mock, home, port, browser } = flagsOf(argv);
  const folder = home === undefined ? homeFolder(env) : resolve(home);

  const already = await askHome(folder, { ask: 'open' });
  if (already?.shown) {
    say('Dispatcher is running already; its window is in front.');
    return 0;
  }
  if (already?.openUrl) {
    say(`Dispatcher is running already at ${already.url}. ${await openInBrowser(already.openUrl, env)}`);
    return 0;
  }

  if (!existsSync(join(projectFolder, 'dist', 'renderer', 'index.html'))) say('Building the command center (once) ...');
  buildRenderer();

  const electron = browser ? { missing: '--browser was given' } : findElectron();
  if ('missing' in electron) {
    say(`No own window (${electron.missing}): the same command center is served to your browser.`);
    await runServer({
      home: folder,
      demo,
      mock,
      env,
      port,
      log: sayLog,
      signal: untilStopped(),
      ready: async ({ openUrl }) => say(`${await openInBrowser(openUrl(), env)}\nCtrl-C stops it.`),
    });
    return 0;
  }
  buildElectron();
  return runElectron(
    electron.binary,
    [...(demo ? ['--demo'] : []), ...(mock ? ['--mock'] : []), ...(port === null ? [] : [`--port=${port}`])],
    folder,
  );
}

function flagsOf(argv: string[]) {
  const options = {
    demo: { type: 'boolean' },
    mock: { type: 'boolean' },
    browser: { type: 'boolean' },
    home: { type: 'string' },
    port: { type: 'string' },
  } as const;
  try {
    const { demo = false, mock = false, browser = false, home, port } = parseArgs({ args: argv, options }).values;
    if (port !== undefined && !(/^\d+$/.test(port) && Number(port) <= 65_535)) throw new Error(`--port ${port} is not a port.`);
    return { demo, mock, browser, home, port: port === undefined ? null : Number(port) };
  } catch (caught) {
    throw unfit((caught as Error).message, null, 'npm start takes -- --demo --mock --browser --port N --home FOLDER');
  }
}

const sayLog: Log = (level, message, facts = {}) => {
  if (message === 'serving') say(`Dispatcher is at ${facts.url}, its data in ${facts.home}.`);
  else if (message === 'stopping') say('Stopping.');
  else if (message === 'registry problem') say(`${facts.file}:${facts.line}: ${facts.message}`);
  else if (level !== 'info' && message !== 'rejected') say(message);
};

/** Electron's binary, fetched at the first start if need be; or in words why there is none. */
function findElectron(): { binary: string } | { missing: string } {
  if (!hasDesktop(env)) return { missing: 'there is no display' };
  let folder: string;
  try {
    folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  } catch {
    return { missing: 'the package electron is not installed' };
  }
  const binary = () => {
    try {
      const path = join(env.ELECTRON_OVERRIDE_DIST_PATH ?? join(folder, 'dist'), readFileSync(join(folder, 'path.txt'), 'utf8'));
      return existsSync(path) ? path : null;
    } catch {
      return null;
    }
  };
  if (!binary()) {
    const failed = join(projectFolder, 'node_modules', '.cache', 'electron-not-fetched');
    const again = 'could not be fetched; `npx install-electron` tries again';
    if (existsSync(failed) && Date.now() - statSync(failed).mtimeMs < retryMs) return { missing: `Electron ${again}` };
    say('Fetching Electron (once) ...');
    const { status, error } = spawnSync(process.execPath, [join(folder, 'install.js')], { timeout: fetchMs, stdio: 'ignore' });
    if (status !== 0) {
      mkdirSync(dirname(failed), { recursive: true });
      writeFileSync(failed, '');
      return {
        missing: error
          ? `Electron was not fetched within ${fetchMs / 1000} s; \`npx install-electron\` takes its time`
          : `Electron ${again}`,
      };
    }
  }
  const path = binary();
  if (!path) return { missing: 'Electron could not be fetched' };
  // A binary that cannot run here (a missing system library) says so now rather than after the window was promised.
  const tried = spawnSync(path, ['--version'], { timeout: 15_000, encoding: 'utf8' });
  return tried.status === 0
    ? { binary: path }
    : { missing: `Electron does not start: ${(tried.stderr || String(tried.error ?? '')).trim().split('\n')[0]}` };
}

function runElectron(binary: string, args: string[], home: string): Promise<number> {
  const child = spawn(binary, [projectFolder, ...args], { stdio: 'inherit', env: { ...env, DISPATCHER_HOME: home } });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name));
  return new Promise((done) => {
    child.on('error', () => done(7));
    child.on('exit', (code, signal) => done(signal ? 0 : (code ?? 0)));
  });
}

try {
  process.exitCode = await launch(process.argv.slice(2));
} catch (caught) {
  const { stdin, stdout, stderr } = process;
  process.exitCode = printError(tellEnd(caught, Boolean(env.DISPATCHER_DEBUG)), { stdin, stdout, stderr, historyFile: null }, false);
}
process.exit();
