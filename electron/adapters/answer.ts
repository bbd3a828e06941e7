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
export const problemType = ['Content-Type', 'application/problem+json; charset=utf-8', 'Cache-Control', 'no-store'];

export function json(response: ServerResponse, status: number, body: string): void {
  write(response, status, jsonType, body);
}

export function fail(response: ServerResponse, error: WireError, more: string[] = []): void {
  const problem = toProblem(error);
  write(response, problem.status, retryAfter(error, [...problemType, ...more]), JSON.stringify(problem));
}

export function retryAfter(error: WireError, headers: string[]): string[] {
  if (error.code === 'unauthenticated') return [...headers, 'WWW-Authenticate', 'Bearer'];
  return error.retryAfterMs === undefined
    ? headers
    : [...headers, 'Retry-After', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))];
}

/** Every answer leaves through here, so that every answer has the headers. */
export function write(
  response: ServerResponse,
  status: number,
  headers: string[],
  body: string | Buffer,
  policy: string[] = apiHeaders,
): void {
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
  const headers = retryAfter(error, [
    ...problemType,
    ...apiHeaders,
    'Content-Length',
    String(Buffer.byteLength(body)),
    'Connection',
    'close',
  ]);
  let text = `HTTP/1.1 ${httpStatus(error)} ${catalogue[error.code].title}\r\n`;
  for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return `${text}\r\n${body}`;
}

/** A person in a browser gets a page instead of JSON. */
export function wantsPage(request: IncomingMessage): boolean {
  return request.headers.accept?.includes('text/html') === true;
}

export function page(response: ServerResponse, status: number, title: string, sentence: string): void {
  const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Dispatcher</title><h1>${title}</h1><p>${sentence}</p></html>`;
  write(response, status, ['Content-Type', 'text/html; charset=utf-8', 'Cache-Control', 'no-store'], html);
}
