/**
 * A model server that programs start and stop: `systemctl --user start ...`, a script, or the server itself, which then outlives this core as
 * one of a service manager does. The argv stands in the registry,
 * goes to no shell, and gets what a program needs to find others and its home, and nothing that is ours: no token, no key, no proxy.
 *
 * Unlike an MCP server it keeps its network while sovereign is on. A server that was started in a network namespace of its own could not be
 * called, and what it starts through a service manager would not be in that namespace anyway: it is the owner's own program, like any other
 * service of this machine. A provider that may not be called, such as a remote one under sovereign, is not started either.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { ControllerSpec, Provider } from '../../../shared/cortex.ts';
import { onlyRefusals, Refusal, refuse } from '../../../shared/errors.ts';
import { reasonOf } from '../mcp/abort.ts';
import { commandLine, inert } from '../mcp/display.ts';
import { redactText } from '../store/redact.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { listServing, pulseServer, unready } from './openai.ts';
import { createServer, exhausted, outOfMemory } from './server.ts';
import { seconds, until } from './until.ts';

type CommandProvider = Provider & { controller: Extract<ControllerSpec, { kind: 'command' }> };

interface Program {
  /** Resolves with how it ended; one that could not be started ended with 127, as in a shell, and `said` tells why. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** How it ended, while it has. */
  outcome(): { code: number | null; signal: NodeJS.Signals | null } | null;
  /** The end of what it wrote to its standard error. */
  said(): string;
  /** Ends it and all that is in its process group, at last by force. */
  kill(): Promise<void>;
}

const STDERR_BYTES = 8192;
const GRACE_MS = 2000;
/** A server that was told to end has ended when nothing answers any more. */
const QUIET_MS = 10_000;

export function createCommand(provider: CommandProvider, parts: ControllerParts): Controller {
  const { name, controller } = provider;
  const server = createServer(provider, parts);
  /** A start that did not end: it is the server itself. */
  let own: Program | null = null;

  function allowed(): void {
    const refused = parts.egress.check(provider.endpoint, provider.egress);
    if (refused !== null) throw new Refusal(refused);
  }

  function failure(what: string, argv: readonly string[], { said, outcome }: Program): Refusal {
    const text = said();
    const line = text.split('\n').find(outOfMemory);
    if (line !== undefined) return new Refusal(exhausted(name, inert(redactText(line), 300)));
    const { code = null, signal = null } = outcome() ?? {};
    if (code === 137) return new Refusal(exhausted(name, 'it was killed while it started (exit code 137)'));
    const words = inert(redactText(text).slice(-300), 300);
    const how = signal === null ? `exit code ${code}` : signal;
    return new Refusal(
      refuse('upstream_failed', `${name} could not be ${what} (${how})${words === '' ? '.' : `: ${words}`}`, {
        hint: `Its command is ${inert(commandLine(argv), 200)}.`,
      }),
    );
  }

  async function load(signal: AbortSignal): Promise<void> {
    allowed();
    if ((await unready(provider, server, signal)) === null) return;
    const program = launch(controller.start);
    let last = 'nothing was asked of it';
    const check = async () => {
      const outcome = program.outcome();
      if (outcome !== null && outcome.code !== 0) throw failure('started', controller.start, program);
      const why = await unready(provider, server, signal);
      last = why ?? last;
      return why === null;
    };
    try {
      await until({ check, withinMs: provider.warmMs, failure: () => `${name} did not become ready (${inert(last, 200)})`, signal });
    } catch (caught) {
      await program.kill();
      // What it handed to a service manager goes on, and would keep memory that is then given to another.
      if (program.outcome()?.code === 0 && controller.stop.length > 0)
        await finish(AbortSignal.timeout(provider.drainMs)).catch(onlyRefusals);
      throw caught;
    }
    own = program.outcome() === null ? program : null;
  }

  /** Runs `stop` to its end. */
  async function finish(signal: AbortSignal): Promise<void> {
    const program = launch(controller.stop);
    const late = AbortSignal.timeout(provider.drainMs);
    const cut = AbortSignal.any([signal, late]);
    const onCut = () => void program.kill();
    if (cut.aborted) onCut();
    else cut.addEventListener('abort', onCut, { once: true });
    const { code } = await program.ended.finally(() => cut.removeEventListener('abort', onCut));
    if (signal.aborted) throw new Refusal(reasonOf(signal));
    if (late.aborted)
      throw new Refusal(refuse('upstream_timeout', `The stop command of ${name} did not end within ${seconds(provider.drainMs)}.`));
    if (code !== 0) throw failure('stopped', controller.stop, program);
  }

  async function unload(signal: AbortSignal): Promise<void> {
    allowed();
    const isQuiet = async () => (await unready(provider, server, signal)) !== null;
    if (controller.stop.length > 0) await finish(signal);
    else if (own === null && !(await isQuiet()))
      throw new Refusal(refuse('upstream_failed', `${name} has no stop command, and was not started by this core.`, { hint: 'Add one.' }));
    await own?.kill();
    own = null;
    await until({ check: isQuiet, withinMs: QUIET_MS, failure: () => `${name} still answers and was not stopped`, signal });
  }

  /** Never throws. */
  function launch(argv: readonly string[]): Program {
    const env: Record<string, string> = {};
    // The last is what systemctl --user finds its manager with.
    for (const variable of ['PATH', 'HOME', 'LANG', 'XDG_RUNTIME_DIR', ...(process.platform === 'win32' ? ofWindows : [])]) {
      const value = parts.secret(variable);
      if (value !== null) env[variable] = value;
    }
    return start(argv, { env, cwd: env.HOME ?? env.USERPROFILE ?? '/' });
  }

  return {
    async list(signal) {
      const why = await unready(provider, server, signal);
      const loads = own !== null && own.outcome() === null;
      return why !== null && !loads ? { resident: [], models: null, usage: null } : listServing(provider, server, signal);
    },
    load: (_tier, signal) => load(signal),
    unload: (_tier, signal) => unload(signal),
    pulse: (tier, signal) => pulseServer({ provider, server, tier, signal }),
    async restart(signal) {
      await unload(signal);
      await load(signal);
      return true;
    },
  };
}

function start(argv: readonly string[], { env, cwd }: { env: Record<string, string>; cwd: string }): Program {
  const windows = process.platform === 'win32';
  const done = Promise.withResolvers<{ code: number | null; signal: NodeJS.Signals | null }>();
  let outcome: { code: number | null; signal: NodeJS.Signals | null } | null = null;
  let said = '';
  let child: ChildProcess | null = null;
  const end = (code: number | null, signal: NodeJS.Signals | null) => {
    outcome ??= { code, signal };
    done.resolve(outcome);
  };
  const failed = (caught: NodeJS.ErrnoException) => {
    said += caught.code === 'ENOENT' ? `there is no program ${inert(argv[0]!, 200)}, or no folder ${inert(cwd, 200)}` : caught.message;
    end(127, null);
  };
  try {
    // A group of its own, so that what it starts can be ended with it.
    child = spawn(argv[0]!, argv.slice(1), {
      cwd,
      env,
      shell: false,
      detached: !windows,
      windowsHide: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.on('error', failed);
    child.on('exit', (code, signal) => {
      // Of one that failed nothing is to go on.
      if (code !== 0) signalGroup('SIGKILL');
      end(code, signal);
    });
    // Read for as long as somebody writes: what it left running must not be ended by a pipe that is closed, nor wait for one that is full.
    child.stderr!.on('data', (piece: Buffer) => {
      said = (said + piece.toString()).slice(-STDERR_BYTES);
    });
    child.stderr!.on('error', () => {});
    child.unref();
    (child.stderr as unknown as { unref(): void }).unref();
  } catch (caught) {
    failed(caught as NodeJS.ErrnoException);
  }

  function signalGroup(signal: 'SIGTERM' | 'SIGKILL'): void {
    try {
      if (windows) child!.kill(signal);
      else process.kill(-child!.pid!, signal);
    } catch {
      // Nobody is left in it.
    }
  }

  return {
    ended: done.promise,
    outcome: () => outcome,
    said: () => said,
    async kill() {
      if (outcome !== null || child?.pid === undefined) return;
      signalGroup('SIGTERM');
      const force = setTimeout(() => signalGroup('SIGKILL'), GRACE_MS);
      await done.promise;
      clearTimeout(force);
    },
  };
}

/** Without these nothing starts there. */
const ofWindows = ['SystemRoot', 'SystemDrive', 'USERPROFILE', 'APPDATA', 'LOCALAPPDATA', 'TEMP', 'PATHEXT'];
