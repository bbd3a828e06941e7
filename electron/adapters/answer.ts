/** How this door answers: one place writes, so that every answer, errors included, has the same headers and is closed well. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { catalogue, httpStatus, toProblem, type WireError } from '../../shared/errors.ts';

/** Time for the reader of a long answer to move, in ms. */
const readerMs = 10_000;
/** Time a client that is still sending has to notice that it was refused, in ms. */
const lingerMs = 1000;

export const commonHeaders = [
  'X-Content-Type-Options',
  'nosniff',
  'Cross-Origin-Resource-Policy',
  'same-origin',
  'Cross-Origin-Opener-Policy',
  'same-origin',
  'Referrer-Policy',
  'no-referrer',
];
const locked = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const apiHeaders = ['Content-Security-Policy', locked, ...commonHeaders];
export const serviceHeaders = ['Content-Security-Policy', `${locked}; sandbox`, 'Cache-Control', 'no-store', ...commonHeaders];
const jsonType = ['Content-Type', 'application/json; charset=utf-8', 'Cache-Control', 'no-store'];
const problemType = ['Content-Type', 'application/problem+json; charset=utf-8', 'Cache-Control', 'no-store'];

export interface Answer {
  status: number;
  /** Names and values in turn. */
  headers: readonly string[];
  body: string | Buffer;
  /** What the browser may do with it; nothing if not given. */
  policy?: readonly string[];
}

export function json(response: ServerResponse, body: string, status = 200): void {
  write(response, { status, headers: jsonType, body });
}

/** The failure as an RFC 9457 problem; `more` are further headers. */
export function fail(response: ServerResponse, error: WireError, more: readonly string[] = []): void {
  const problem = toProblem(error);
  write(response, { status: problem.status, headers: [...problemHeaders(error), ...more], body: JSON.stringify(problem) });
}

/** Content type of a problem, and what the caller may do next in the headers that clients know. */
export function problemHeaders(error: WireError): readonly string[] {
  if (error.code === 'unauthenticated') return [...problemType, 'WWW-Authenticate', 'Bearer'];
  if (error.retryAfterMs === undefined) return problemType;
  return [...problemType, 'Retry-After', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))];
}

/** Every answer leaves through here, so that every answer has the headers. */
export function write(response: ServerResponse, { status, headers, body, policy = apiHeaders }: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const length = Buffer.byteLength(body);
  const all = [...headers, ...policy, 'Content-Length', String(length)];
  const { req: request, socket } = response;
  if (socket && !request.complete && hasBody(request)) {
    // The rest of the body is not wanted; the client gets a moment to read why before the connection is cut.
    all.push('Connection', 'close');
    socket.destroySoon = () => {
      socket.end();
      request.resume();
      setTimeout(() => socket.destroy(), lingerMs).unref();
    };
  }
  // Node ends a connection on which nothing moved for so long; from the next request on its own timeouts hold again.
  if (length > 65_536) socket?.setTimeout(readerMs);
  response.writeHead(status, all);
  response.end(body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] !== undefined && headers['content-length'] !== '0');
}

/** An answer to a socket that never became a request. */
export function rawAnswer(error: WireError): string {
  const body = JSON.stringify(toProblem(error));
  const headers = [...problemHeaders(error), ...apiHeaders, 'Content-Length', String(Buffer.byteLength(body)), 'Connection', 'close'];
  let text = `HTTP/1.1 ${httpStatus(error)} ${catalogue[error.code].title}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n${body}`;
}

/** A person in a browser gets a page instead of JSON. */
export function wantsPage(request: IncomingMessage): boolean {
  return request.headers.accept?.includes('text/html') === true;
}

/** A page of two sentences; `html` is ours, never a caller's. */
export function page(response: ServerResponse, { status, title, html }: { status: number; title: string; html: string }): void {
  const body = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Dispatcher</title><h1>${title}</h1><p>${html}</p></html>`;
  write(response, { status, headers: ['Content-Type', 'text/html; charset=utf-8', 'Cache-Control', 'no-store'], body });
}
