/**
 * HTTP over a socket in the file system of this machine, which leads to one program here and nowhere else: no name is looked up, no address
 * connected to, no redirect followed. What that program does is its own affair.
 */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import { Refusal, refuse, type WireError } from '../../shared/errors.ts';
import { reasonOf } from './mcp/abort.ts';

export interface LocalRequest {
  method: string;
  path: string;
  timeoutMs: number;
  maxBytes: number;
  signal: AbortSignal;
}

/**
 * Rejects with Refusal: upstream_unreachable (no such path, no socket, not allowed), upstream_refused (nobody listens), upstream_timeout,
 * upstream_too_large, upstream_failed (what answers is no HTTP), what the signal was aborted with.
 */
export async function requestLocal(socket: string, request: LocalRequest): Promise<{ status: number; body: Buffer }> {
  const { method, path, timeoutMs, maxBytes, signal } = request;
  if (signal.aborted) throw new Refusal(reasonOf(signal));
  const socketPath = await socketAt(socket);
  const { Client } = await import('undici');
  const client = new Client('http://localhost', { socketPath, connectTimeout: timeoutMs, headersTimeout: 0, bodyTimeout: 0 });
  const late = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await client.request({ method: method as 'GET', path, signal: AbortSignal.any([signal, late]) });
    const pieces: Buffer[] = [];
    let bytes = 0;
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > maxBytes) throw new Refusal(refuse('upstream_too_large', `${socket} answered with more than ${maxBytes} bytes.`));
      pieces.push(piece);
    }
    return { status: answer.statusCode, body: Buffer.concat(pieces) };
  } catch (caught) {
    if (caught instanceof Refusal) throw caught;
    if (signal.aborted) throw new Refusal(reasonOf(signal));
    if (late.aborted) throw new Refusal(refuse('upstream_timeout', `${socket} did not answer within ${timeoutMs} ms.`));
    throw new Refusal(failureOf(socket, caught as NodeJS.ErrnoException));
  } finally {
    void client.destroy();
  }
}

/** The real path of a socket; relative paths and anything else in the file system are refused. */
async function socketAt(path: string): Promise<string> {
  const refused = (what: string) => new Refusal(refuse('upstream_unreachable', `${path} ${what}.`));
  if (!isAbsolute(path)) throw refused('is not an absolute path');
  try {
    const real = await realpath(path);
    if ((await stat(real)).isSocket()) return real;
  } catch (caught) {
    throw new Refusal(failureOf(path, caught as NodeJS.ErrnoException));
  }
  throw refused('is no socket');
}

function failureOf(socket: string, { code, message }: NodeJS.ErrnoException): WireError {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return refuse('upstream_unreachable', `There is no ${socket}.`);
    case 'EACCES':
    case 'EPERM':
      return refuse('upstream_unreachable', `${socket} may not be opened.`, { hint: 'Give this user the right to use it.' });
    case 'ECONNREFUSED':
      return refuse('upstream_refused', `Nobody listens at ${socket}.`);
    default:
      return refuse('upstream_failed', `${socket} failed: ${message.slice(0, 200)}`);
  }
}
