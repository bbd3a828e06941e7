/**
 * A container as a model server: started and stopped through the API of Docker or Podman on this machine, warm when its own server answers.
 * No image is pulled and no container made. A container reaches what its own network lets it reach: that, like what any service on this
 * machine does, is not seen from here, and sovereign does not stop it.
 */
import type { ControllerSpec, Provider } from '../../../shared/cortex.ts';
import { onlyRefusals, Refusal, refuse } from '../../../shared/errors.ts';
import { inert } from '../mcp/display.ts';
import { redactText } from '../store/redact.ts';
import type { Controller, ControllerParts } from './controller.ts';
import { type Container, type ContainerInfo, type DockerError, linesOf, openDocker } from './docker.ts';
import { listServing, pulseServer, unready } from './openai.ts';
import { createServer, exhausted, isObject, outOfMemory } from './server.ts';
import { until } from './until.ts';

type ContainerProvider = Provider & { controller: Extract<ControllerSpec, { kind: 'container' }> };

const ASK_MS = 5000;
const LOG_LINES = 40;
/** After `stopMs` the runtime kills, which takes its time. */
const KILLED_MS = 15_000;

/** Where the API of the rootless Podman of user `uid`, of the system's Podman, and of Docker is. */
const usualPlaces = (uid: number) => [`/run/user/${uid}/podman/podman.sock`, '/run/podman/podman.sock', '/var/run/docker.sock'];

export function createContainer(provider: ContainerProvider, parts: ControllerParts): Controller {
  const { name, controller } = provider;
  const server = createServer(provider, parts);
  const graceS = Math.min(600, Math.max(1, Math.ceil(provider.stopMs / 1000)));
  const changeMs = graceS * 1000 + KILLED_MS;
  /** The socket that knows the container. */
  let known = controller.socket;

  /** Rejects with Refusal: not_found when no socket knows it, what a socket fails with when there is no other. */
  async function find(signal: AbortSignal): Promise<{ container: Container; info: ContainerInfo }> {
    // Nothing is started for a provider that may not be called.
    const refused = parts.egress.check(provider.endpoint, provider.egress);
    if (refused !== null) throw new Refusal(refused);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(controller.container)) throw missing(['that is no name of one']);
    const failures: { socket: string; refusal: Refusal }[] = [];
    for (const socket of known === null ? usualPlaces(process.getuid?.() ?? 0) : [known]) {
      try {
        const container = (await openDocker(socket, { askMs: ASK_MS, changeMs })).getContainer(controller.container);
        const info = await container.inspect({ abortSignal: signal });
        known = socket;
        return { container, info };
      } catch (caught) {
        const refusal = refusalOf(caught, 'look at its container');
        if (signal.aborted) throw refusal;
        failures.push({ socket, refusal });
      }
    }
    known = controller.socket;
    const broken = failures.filter(({ refusal }) => refusal.wire.code !== 'not_found' && refusal.wire.code !== 'upstream_unreachable');
    if (broken.length > 0 || (failures.length === 1 && failures[0]!.refusal.wire.code !== 'not_found'))
      throw (broken[0] ?? failures[0]!).refusal;
    throw missing(failures.map(({ socket, refusal: { wire } }) => (wire.code === 'not_found' ? `none at ${socket}` : bare(wire.message))));
  }

  const missing = (said: string[]) =>
    new Refusal(
      refuse('not_found', `${name} has no container ${inert(controller.container, 100)}: ${said.join('; ')}.`, {
        hint: 'Create the container, or correct its name or socket.',
      }),
    );

  function refusalOf(caught: unknown, what: string): Refusal {
    if (caught instanceof Refusal) return caught;
    if (!isDockerError(caught)) throw caught;
    const { statusCode: status, json } = caught;
    const told = isObject(json) ? json.message : null;
    const words = inert(typeof told === 'string' ? told : caught.message, 300);
    if (status === 404) return new Refusal(refuse('not_found', `${name} could not ${what}: ${words}`));
    if (outOfMemory(words)) return new Refusal(exhausted(name, words));
    return new Refusal(refuse('upstream_failed', `${name} could not ${what}: ${words}`, { status }));
  }

  async function change(what: 'start' | 'stop' | 'restart' | 'unpause', container: Container, signal: AbortSignal): Promise<void> {
    const bounds = { abortSignal: signal };
    const ends = { ...bounds, t: graceS };
    try {
      if (what === 'start') await container.start(bounds);
      else if (what === 'unpause') await container.unpause(bounds);
      else if (what === 'stop') await container.stop(ends);
      else await container.restart(ends);
    } catch (caught) {
      // 304: it is so already.
      if (!isDockerError(caught) || caught.statusCode !== 304) throw refusalOf(caught, `${what} its container`);
    }
  }

  /** Waits until its server answers, as long as it lives and is not started again by somebody else. */
  async function warm(restarts: number, signal: AbortSignal): Promise<void> {
    let last = 'nothing was asked of it';
    const check = async () => {
      const { container, info } = await find(signal);
      if (!isUp(info) || info.RestartCount > restarts) throw await deathOf(container, info, signal);
      const why = await unready(provider, server, signal);
      last = `${why}${healthOf(info)}`;
      return why === null;
    };
    const failure = () => `${name} did not become ready (${inert(last, 300)})`;
    await until({ check, withinMs: provider.warmMs, failure, signal });
  }

  async function deathOf(container: Container, { State: state }: ContainerInfo, signal: AbortSignal): Promise<Refusal> {
    const log = await lastLines(container, signal);
    const line = log.find(outOfMemory);
    if (line !== undefined) return new Refusal(exhausted(name, inert(redactText(line), 300)));
    if (state.OOMKilled || state.ExitCode === 137)
      return new Refusal(exhausted(name, state.OOMKilled ? 'the kernel killed it' : 'it was killed while it started (exit code 137)'));
    const words = inert(redactText(state.Error || (log.at(-1) ?? '')), 300);
    return new Refusal(
      refuse('upstream_failed', `${name} ended while it started (exit code ${state.ExitCode})${words === '' ? '.' : `: ${words}`}`, {
        hint: `Look at the log of the container ${controller.container}.`,
      }),
    );
  }

  async function lastLines(container: Container, signal: AbortSignal): Promise<string[]> {
    try {
      const log: unknown = await container.logs({ stdout: true, stderr: true, tail: LOG_LINES, follow: false, abortSignal: signal });
      return Buffer.isBuffer(log) ? linesOf(log) : [];
    } catch (caught) {
      const failure = refusalOf(caught, 'read its log');
      if (signal.aborted) throw failure;
      return [];
    }
  }

  return {
    async list(signal) {
      const { info } = await find(signal);
      return isUp(info) ? listServing(provider, server, signal) : { resident: [], models: null, usage: null };
    },

    async load(_tier, signal) {
      const { container, info } = await find(signal);
      const starts = !isUp(info);
      if (starts) await change(info.State.Paused ? 'unpause' : 'start', container, signal);
      try {
        await warm(info.RestartCount, signal);
      } catch (caught) {
        // What began to load must not keep the memory that is then given to another.
        if (starts) await change('stop', container, AbortSignal.timeout(changeMs)).catch(onlyRefusals);
        throw caught;
      }
    },

    async unload(_tier, signal) {
      const { container } = await find(signal);
      await change('stop', container, signal);
      const isDown = async () => !isUp((await find(signal)).info);
      await until({ check: isDown, withinMs: KILLED_MS, failure: () => `${name} did not stop`, signal });
    },

    pulse: (tier, signal) => pulseServer({ provider, server, tier, signal }),

    async restart(signal) {
      const { container } = await find(signal);
      await change('restart', container, signal);
      await warm((await find(signal)).info.RestartCount, signal);
      return true;
    },
  };
}

const bare = (sentence: string) => sentence.replace(/\.$/, '');

function isDockerError(caught: unknown): caught is DockerError {
  return caught instanceof Error && 'statusCode' in caught && typeof caught.statusCode === 'number';
}

function isUp({ State: { Running, Paused, Restarting } }: ContainerInfo): boolean {
  return Running && !Paused && !Restarting;
}

/** What its own health check says, where it has one that fails: a check that is wrong itself does not keep a server from being ready. */
function healthOf({ State: { Health: health } }: ContainerInfo): string {
  if (health === undefined || health.Status !== 'unhealthy') return '';
  return `; its health check says ${health.Log?.at(-1)?.Output ?? 'no'}`;
}
