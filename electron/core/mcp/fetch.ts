/** `fetch` as the client package wants it, over the one way out. */
import type { FetchLike } from '@modelcontextprotocol/client';
import { toWire, type WireError } from '../../../shared/errors.ts';
import type { Egress as Reach } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';

/** Streams stay open until whoever reads them is done; this is the longest that a timer takes. */
const FOR_EVER_MS = 2 ** 31 - 1;

export interface FetchOptions {
  egress: Egress;
  reach: Reach;
  /** Of an answer; a stream that goes on is asked for again by the client package. */
  maxBytes: number;
  /** The stream of an answer to a message broke off, of which the client package would tell nobody. */
  onBroken(wire: WireError): void;
}

/**
 * Answers are streamed when they are event streams and whole otherwise; redirects are answers; a body over `maxBytes` is an error. The
 * answer to a request that is taken back (notifications/cancelled) is not waited for: the client package would, and hold a connection for ever.
 * Rejects, and fails the body of a stream, with EgressRefusal.
 */
export function createFetch({ egress, reach, maxBytes, onBroken }: FetchOptions): FetchLike {
  /** By the id of the request. */
  const open = new Map<unknown, AbortController>();
  return (url, init = {}) =>
    new Promise<Response>((answered, failed) => {
      const given = new AbortController();
      const { id, method, params } = messageOf(init.body);
      if (method === 'notifications/cancelled') open.get(params?.requestId)?.abort();
      else if (id !== undefined) open.set(id, given);
      const { signal } = given;
      const onAbort = () => given.abort(init.signal?.reason);
      if (init.signal?.aborted) onAbort();
      init.signal?.addEventListener('abort', onAbort);
      const encoder = new TextEncoder();
      let stream: ReadableStreamDefaultController<Uint8Array> | null = null;
      egress
        .request({
          url: String(url),
          method: init.method ?? 'GET',
          headers: [...new Headers(init.headers ?? {}), ['user-agent', 'dispatcher'] as const].flat(),
          body: typeof init.body === 'string' ? init.body : null,
          egress: reach,
          signal,
          timeoutMs: FOR_EVER_MS,
          maxBytes,
          onHead(status, headers) {
            const body = new ReadableStream<Uint8Array>({
              start(controller) {
                stream = controller;
              },
              cancel: () => given.abort(),
            });
            answered(new Response(body, { status, headers }));
          },
          onChunk: (text) => stream?.enqueue(encoder.encode(text)),
        })
        .then(
          ({ status, headers, body }) => {
            if (stream !== null) return stream.close();
            // Statuses that have no body may not even have an empty one.
            answered(new Response(body.length === 0 ? null : new Uint8Array(body), { status, headers }));
          },
          (caught: unknown) => {
            if (stream === null) return failed(caught);
            if (signal.aborted) return stream.close();
            stream.error(caught);
            if (init.method === 'POST') onBroken(toWire(caught));
          },
        )
        .catch(failed)
        .finally(() => {
          open.delete(id);
          init.signal?.removeEventListener('abort', onAbort);
        });
    });
}

/** What is known of a body that the client package has written: one message, or none. */
function messageOf(body: unknown): { id?: unknown; method?: string; params?: { requestId?: unknown } } {
  return typeof body === 'string' ? JSON.parse(body) : {};
}
