/** Says whether a value is what a JSON Schema asks for, in bounded time whatever the schema is. Nothing that it refers to is fetched. */
import { Worker } from 'node:worker_threads';
import type { Question, Verdict } from './schema-worker.ts';

export interface SchemaCheck {
  /** What is wrong, in words; empty: nothing. null: it cannot be said, because the schema is none, is too large, or would take too long. Never rejects. */
  check(schema: unknown, value: unknown, signal: AbortSignal): Promise<string[] | null>;
  [Symbol.dispose](): void;
}

/** Of a schema or a value as JSON text. */
const MOST_CHARS = 256 * 1024;
const MOST_HEAP_MB = 128;

export function createSchemaCheck({ timeoutMs = 1000 }: { timeoutMs?: number } = {}): SchemaCheck {
  let worker: Worker | null = null;
  /** Its modules are loaded. */
  let isReady = false;
  let last: Promise<unknown> = Promise.resolve();
  let questions = 0;
  let disposed = false;

  function open(): Worker {
    const fresh = new Worker(new URL('./schema-worker.ts', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: MOST_HEAP_MB } });
    fresh.unref();
    isReady = false;
    // Told to whoever asked, below.
    fresh.on('error', () => {});
    fresh.on('exit', () => {
      if (worker === fresh) worker = null;
    });
    return fresh;
  }

  function close(): void {
    void worker?.terminate();
    worker = null;
  }

  function ask(schema: string, value: string, signal: AbortSignal): Promise<string[] | null> {
    if (disposed || signal.aborted) return Promise.resolve(null);
    worker ??= open();
    const asked = worker;
    const id = ++questions;
    const { promise, resolve } = Promise.withResolvers<string[] | null>();
    let timer: NodeJS.Timeout | null = null;
    const hear = (verdict: Verdict | 'ready') => {
      if (verdict === 'ready') begin();
      else if (verdict.id === id) resolve(verdict.problems);
    };
    const giveUp = () => {
      close();
      resolve(null);
    };
    const ended = () => resolve(null);
    // How long a thread takes to start says nothing of the schema.
    const begin = () => {
      isReady = true;
      timer = setTimeout(giveUp, timeoutMs);
    };
    signal.addEventListener('abort', giveUp);
    asked.on('message', hear);
    asked.once('exit', ended);
    if (isReady) begin();
    asked.postMessage({ id, schema, value } satisfies Question);
    return promise.finally(() => {
      if (timer !== null) clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      asked.off('message', hear);
      asked.off('exit', ended);
    });
  }

  return {
    check(schema, value, signal) {
      const texts = [textOf(schema), textOf(value)];
      if (texts.some((text) => text === null)) return Promise.resolve(null);
      // One after the other, so that one which is given up takes no other with it.
      const answer = last.then(() => ask(texts[0]!, texts[1]!, signal));
      last = answer;
      return answer;
    },
    [Symbol.dispose]() {
      disposed = true;
      close();
    },
  };
}

function textOf(value: unknown): string | null {
  try {
    const text = JSON.stringify(value);
    return text === undefined || text.length > MOST_CHARS ? null : text;
  } catch {
    // Too deep, or in a circle.
    return null;
  }
}
