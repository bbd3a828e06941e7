/**
 * The API of Docker and Podman, as dockerode has it, over one socket of this machine. dockerode's own transport is not used: it reads
 * DOCKER_HOST, follows redirects to wherever they lead and keeps answers of any length.
 */
// biome-ignore lint/style/noRestrictedImports: only its types, and below its requests; the connection is that of local-socket.ts.
import type Docker from 'dockerode';
import { requestLocal } from '../local-socket.ts';

export type Container = Docker.Container;
export type ContainerInfo = Docker.ContainerInspectInfo;

/** What dockerode throws for a status that it did not expect. */
export interface DockerError extends Error {
  statusCode: number;
  json: unknown;
}

/** What dockerode hands its transport. */
interface Dial {
  path: string;
  method: string;
  options: Record<string, unknown>;
  statusCodes: Record<number, true | string>;
  abortSignal?: AbortSignal;
}

const MOST_BYTES = 1024 ** 2;
/** To ask, and to change something: a stop waits for what it stops. */
export interface Bounds {
  askMs: number;
  changeMs: number;
}

/** Its methods reject with DockerError, and with what `requestLocal` rejects with. */
export async function openDocker(socket: string, { askMs, changeMs }: Bounds): Promise<Docker> {
  // Loaded by whoever needs it: most cores never talk to a container.
  // biome-ignore lint/style/noRestrictedImports: as above.
  const { default: Api } = await import('dockerode');

  async function send({ path, method, options, statusCodes, abortSignal: signal = new AbortController().signal }: Dial): Promise<unknown> {
    const [bare = ''] = path.split('?');
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(options)) if (key !== 'abortSignal') query.set(key, String(value));
    const asked = { method, path: query.size === 0 ? bare : `${bare}?${query}`, maxBytes: MOST_BYTES, signal };
    const { status, body } = await requestLocal(socket, { ...asked, timeoutMs: method === 'GET' ? askMs : changeMs });
    const json = parse(body);
    if (statusCodes[status] === true) return json ?? body;
    throw Object.assign(new Error(`${status} ${statusCodes[status] ?? 'unexpected'}`), { statusCode: status, json }) satisfies DockerError;
  }

  const modem = {
    dial: (dial: Dial, done: (error: unknown, answer: unknown) => void) =>
      void send(dial).then(
        (answer) => done(null, answer),
        (caught: unknown) => done(caught, null),
      ),
  };
  return new Api({ modem } as Docker.DockerOptions);
}

/** null when it is not JSON. */
function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString()) as unknown;
  } catch {
    return null;
  }
}

/**
 * The lines of a container's log, without escape sequences' framing: a stream of frames of eight bytes with the length in the last four (Docker
 * Engine API, "Stream format"), or plain where the container has a terminal.
 */
export function linesOf(log: Buffer): string[] {
  const pieces: Buffer[] = [];
  let at = 0;
  while (at + 8 <= log.length && log[at]! <= 2 && log.readUIntBE(at + 1, 3) === 0) {
    const end = at + 8 + log.readUInt32BE(at + 4);
    pieces.push(log.subarray(at + 8, end));
    at = end;
  }
  if (at < log.length) pieces.push(log.subarray(at));
  return Buffer.concat(pieces)
    .toString()
    .split('\n')
    .filter((line) => line.trim() !== '');
}
