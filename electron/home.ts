/**
 * The home folder: where it is, which process has it, and how the others find the core in it.
 *
 * Whoever has the folder listens on a socket in it, which the system closes when the process ends, however it ends. Being a file
 * that only its owner may open, the socket also proves who answers: nobody who merely sits on the port of an old `runtime.json`
 * is ever sent its token.
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, createServer, type Server } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import type { DownFrame, UpFrame } from '../shared/contract.ts';
import { Refusal, refuse } from '../shared/errors.ts';
import type { Port } from '../shared/port.ts';

/** Content of runtime.json, there for as long as a core takes calls from other processes. */
export interface Running {
  pid: number;
  url: string;
  port: number;
  token: string;
}

/** `who`: is that core the one of runtime.json? `open`: show the command center, or say where it can be seen once. */
export type Question = { ask: 'who' } | { ask: 'open' };
export type Answer = { pid: number; url: string | null; openUrl?: string; shown?: boolean };

export interface Claim extends AsyncDisposable {
  /** Writes runtime.json (mode 0600, in one step). It goes away with the claim. */
  publish(running: Running): void;
}

/** `DISPATCHER_HOME`, else the platform's folder for application data. */
export function homeFolder(env: NodeJS.ProcessEnv): string {
  return resolve(env.DISPATCHER_HOME || envPaths('dispatcher', { suffix: '' }).data);
}

/**
 * Takes the folder for this process. `answer` is asked by other processes, which proved by opening the socket that they are the same user.
 * Throws `Refusal` conflict when another process has it, store_unavailable when the folder cannot be made.
 */
export async function claimHome(home: string, answer: (question: Question) => Answer | Promise<Answer>): Promise<Claim> {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
  } catch (caught) {
    throw new Refusal(
      refuse('store_unavailable', `The folder ${home} cannot be made: ${(caught as Error).message}`, {
        hint: 'Choose another with DISPATCHER_HOME or --home.',
      }),
    );
  }
  const path = socketPath(home);
  let server: Server;
  try {
    server = await listen(path, answer);
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw unusable(home, caught as Error);
    if (await exchange(path, { ask: 'who' })) throw taken(home);
    await clearDeadSocket(path, home);
    server = await listen(path, answer).catch((again: NodeJS.ErrnoException) => {
      throw again.code === 'EADDRINUSE' ? taken(home) : unusable(home, again);
    });
  }
  const runtimeFile = join(home, 'runtime.json');
  rmSync(runtimeFile, { force: true });
  return {
    publish(running) {
      const draft = `${runtimeFile}.${process.pid}`;
      writeFileSync(draft, `${JSON.stringify(running)}\n`, { mode: 0o600 });
      renameSync(draft, runtimeFile);
    },
    [Symbol.asyncDispose]: async () => {
      rmSync(runtimeFile, { force: true });
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

/** The core that has `home` and takes calls; null when there is none. A file that a killed core left behind is not believed. */
export async function findRunning(home: string): Promise<Running | null> {
  let running: Running;
  try {
    running = JSON.parse(readFileSync(join(home, 'runtime.json'), 'utf8')) as Running;
  } catch {
    return null;
  }
  const answer = await askHome(home, { ask: 'who' });
  return answer && answer.pid === running.pid && answer.url === running.url ? running : null;
}

/** Asks whoever has `home`; null when nobody has. */
export function askHome(home: string, question: Question): Promise<Answer | null> {
  return exchange(socketPath(home), question);
}

/** A port to the running core over its WebSocket. Throws `Refusal` core_unreachable. */
export async function connectCore({ url, token }: Running): Promise<Port<UpFrame, DownFrame>> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws').replace(/\/$/, '')}/ws`);
  const { promise, resolve: opened, reject } = Promise.withResolvers<void>();
  const waiting: DownFrame[] = [];
  let listener = (frame: DownFrame): void => void waiting.push(frame);
  socket.onopen = () => opened();
  socket.onmessage = (message) => listener(JSON.parse(String(message.data)) as DownFrame);
  socket.onerror = () =>
    reject(new Refusal(refuse('core_unreachable', `The core at ${url} does not answer.`, { hint: 'Stop it and start it again.' })));
  await promise;
  socket.send(JSON.stringify({ t: 'auth', token }));
  return {
    send: (frame) => socket.send(JSON.stringify(frame)),
    onFrame: (next) => {
      listener = next;
      for (const frame of waiting.splice(0)) next(frame);
    },
    onClose: (closed) => socket.addEventListener('close', () => closed()),
    close: () => socket.close(),
  };
}

function taken(home: string): Refusal {
  return new Refusal(
    refuse('conflict', `Another Dispatcher has ${home}.`, {
      hint: 'Use it (`dispatcher open`), stop it, or give this one another folder with DISPATCHER_HOME or --home.',
    }),
  );
}

function unusable(home: string, error: Error): Refusal {
  return new Refusal(
    refuse('store_unavailable', `The folder ${home} cannot be used: ${error.message}`, {
      hint: 'Choose another with DISPATCHER_HOME or --home.',
    }),
  );
}

function listen(path: string, answer: (question: Question) => Answer | Promise<Answer>): Promise<Server> {
  const server = createServer((socket) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(2000, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.on('data', async (chunk) => {
      text += chunk;
      if (text.length > 1000) return socket.destroy();
      if (!text.endsWith('\n')) return;
      try {
        socket.end(`${JSON.stringify(await answer(JSON.parse(text) as Question))}\n`);
      } catch {
        socket.destroy();
      }
    });
  });
  const { promise, resolve: listening, reject } = Promise.withResolvers<Server>();
  server.on('error', reject);
  server.listen(path, () => {
    // It must not keep a process alive that has nothing else to do.
    server.unref();
    if (process.platform !== 'win32') chmodSync(path, 0o600);
    listening(server);
  });
  return promise;
}

/** One question, one answer, within two seconds; null when nobody listens. */
function exchange(path: string, question: Question): Promise<Answer | null> {
  const { promise, resolve: answered } = Promise.withResolvers<Answer | null>();
  const socket = connectSocket(path);
  let text = '';
  socket.setEncoding('utf8');
  socket.setTimeout(2000, () => socket.destroy());
  socket.on('connect', () => socket.write(`${JSON.stringify(question)}\n`));
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('error', () => answered(null));
  socket.on('close', () => {
    try {
      answered(JSON.parse(text) as Answer);
    } catch {
      answered(null);
    }
  });
  return promise;
}

/** Removes the socket of a killed process. It is moved aside and asked again first: somebody may have taken its place meanwhile. */
async function clearDeadSocket(path: string, home: string): Promise<void> {
  if (process.platform === 'win32') return;
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (await exchange(aside, { ask: 'who' })) {
    renameSync(aside, path);
    throw taken(home);
  }
  rmSync(aside, { force: true });
}

/** In the folder itself where its path is short enough for a socket (108 bytes on Linux, 104 on macOS), else in one of this user's own. */
function socketPath(home: string): string {
  const name = createHash('sha256').update(home).digest('hex').slice(0, 24);
  if (process.platform === 'win32') return `\\\\.\\pipe\\dispatcher-${name}`;
  const path = join(home, 'core.sock');
  if (Buffer.byteLength(path) <= 90) return path;
  const { uid } = userInfo();
  const folder = join(tmpdir(), `dispatcher-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const found = lstatSync(folder);
  if (!found.isDirectory() || found.uid !== uid || (found.mode & 0o077) !== 0)
    throw new Refusal(
      refuse('store_unavailable', `The folder ${folder} belongs to somebody else.`, { hint: 'Choose a home with a shorter path.' }),
    );
  return join(folder, `${name}.sock`);
}
