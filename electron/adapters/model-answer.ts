/** How the model door answers: bytes of a model straight to the socket, and failures in the words of the API that was asked. */
import type { ServerResponse } from 'node:http';
import type { Exchange } from '../../shared/contract.ts';
import { catalogue, httpStatus, toOpenAi, type WireError } from '../../shared/errors.ts';
import { serviceHeaders, write } from './answer.ts';

export type Dialect = Exchange['dialect'];

/** Time for a reader that is slower than the model to take what it was sent, in ms. */
const READER_MS = 30_000;
/** Longest beginning of an answer that leaves together with its head. */
const JOINED_MOST = 16_384;

/** The failure as clients of these paths read it: OpenAI's error object, or Ollama's one sentence. */
export function failAs(dialect: Dialect, response: ServerResponse, error: WireError): void {
  const status = httpStatus(error);
  const { code } = error;
  const openAi = toOpenAi(error);
  const headers = [
    'Content-Type',
    'application/json; charset=utf-8',
    // OpenAI's clients would try any 409, 429 and 5xx again.
    ...['X-Should-Retry', String(catalogue[code].retry)],
    ...(status === 401 ? ['WWW-Authenticate', 'Bearer'] : []),
    ...(error.retryAfterMs === undefined ? [] : ['Retry-After', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000)))]),
  ];
  write(response, {
    status,
    headers,
    body: JSON.stringify(dialect === 'openai' ? openAi : { error: openAi.error.message, code }),
    policy: serviceHeaders,
  });
}

export type Request = Pick<Exchange, 'dialect' | 'path' | 'method' | 'headers' | 'body' | 'model' | 'stream'>;

/** One request whose answer goes to its socket as it comes. A class, because one is made for every call. */
export class Answering implements Exchange {
  readonly dialect: Exchange['dialect'];
  readonly path: string;
  readonly method: Exchange['method'];
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
  readonly model: Exchange['model'];
  readonly stream: boolean;
  readonly #response: ServerResponse;
  #framed = false;
  #begun = false;
  #drained: PromiseWithResolvers<void> | null = null;

  constructor(response: ServerResponse, { dialect, path, method, headers, body, model, stream }: Request) {
    this.#response = response;
    this.dialect = dialect;
    this.path = path;
    this.method = method;
    this.headers = headers;
    this.body = body;
    this.model = model;
    this.stream = stream;
  }

  head(status: number, headers: Record<string, string>): void {
    const response = this.#response;
    if (response.headersSent || response.destroyed) return;
    const all: string[] = [];
    for (const name in headers) all.push(name, headers[name]!);
    response.writeHead(status, all.concat(serviceHeaders));
    if (!this.stream) return;
    response.flushHeaders();
    // Node would write each chunk in four pieces, which takes longer than all the rest that is done for it.
    this.#framed = response.chunkedEncoding;
    if (this.#framed) response.chunkedEncoding = false;
  }

  write(bytes: Uint8Array): Promise<void> | null {
    const response = this.#response;
    // A chunk of nothing would be the last one.
    if (response.destroyed || bytes.length === 0 || this.#send(bytes)) return null;
    if (this.#drained === null) {
      const drained = Promise.withResolvers<void>();
      this.#drained = drained;
      const timer = setTimeout(() => response.destroy(), READER_MS);
      timer.unref();
      response.once('drain', () => {
        clearTimeout(timer);
        this.#drained = null;
        drained.resolve();
      });
      response.once('close', () => clearTimeout(timer));
    }
    return this.#drained.promise;
  }

  /** Whether more may be written at once. */
  #send(bytes: Uint8Array): boolean {
    const response = this.#response;
    if (this.#framed) return response.write(framed(bytes));
    if (this.#begun || bytes.length > JOINED_MOST) return response.write(bytes);
    this.#begun = true;
    // Node joins a text, one byte a character, with the head and writes both at once; bytes it writes beside it, which takes three times as long.
    return response.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'), 'latin1');
  }

  broken(): void {
    this.#response.destroy();
  }

  /** What has begun ends here. */
  end(): void {
    if (this.#framed) this.#response.end('0\r\n\r\n', 'latin1');
    else this.#response.end();
  }
}

/** A chunk of RFC 9112, 7.1. */
function framed(bytes: Uint8Array): Buffer {
  const head = `${bytes.length.toString(16)}\r\n`;
  const chunk = Buffer.allocUnsafe(head.length + bytes.length + 2);
  chunk.write(head, 'latin1');
  chunk.set(bytes, head.length);
  chunk[chunk.length - 2] = 13;
  chunk[chunk.length - 1] = 10;
  return chunk;
}
