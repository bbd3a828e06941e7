/**
 * An answer on its way from a model to whoever asked, as the bytes it came in. What is learned of it (how many tokens, why it stopped) is read from
 * its last few kilobytes, so that an answer of any length costs the same.
 */
import type { Exchange } from '../../../shared/contract.ts';
import { toOpenAi, type WireError } from '../../../shared/errors.ts';
import { parseJson } from './protocol.ts';

/** What takes an answer: its head, its bytes, and how it ended. */
export interface Reader {
  head(status: number, headers: Record<string, string>): void;
  bytes(bytes: Buffer): Promise<void> | null;
  end(): void;
  /** It broke off. Where its head is out, the answer says so in its own words. */
  fail(error: WireError): void;
  facts(): Facts;
}

export interface Facts {
  /** Of the answer, as the service sent it. */
  bytes: number;
  usage: unknown;
  finishReason: string | null;
  /** What a service said that is not passed on: how it refused us, or where it sends us. */
  withheld: string | null;
}

/** Enough for the figures at the end of an answer. */
const TAIL_BYTES = 8192;
/** An event that is longer goes out in pieces, and an error after a piece of it cannot be told from it. */
const HELD_MOST = 65_536;
/** Of what a service says and nobody but the record sees. */
const WITHHELD_MOST = 4096;

/** All that a client may learn from the head of a provider's answer. */
const passed = ['content-type', 'content-encoding', 'retry-after', 'x-request-id', 'openai-processing-ms', 'openai-model'];

type Kind = 'events' | 'lines' | 'whole';

/**
 * Passes an answer on untouched. Events and lines leave whole, so that one that breaks off can end with an error event. An answer that is about
 * our own credentials (401, 403, 407) or sends us elsewhere (3xx) is nobody's business but ours: it is withheld.
 */
export function createPassage(exchange: Exchange): Reader {
  const tail = createTail();
  let kind: Kind = 'whole';
  let headed = false;
  let withheld: string | null = null;
  let count = 0;
  let held: Buffer | null = null;
  let midway = false;

  function whole(bytes: Buffer): Promise<void> | null {
    const all = held === null ? bytes : Buffer.concat([held, bytes]);
    held = null;
    const cut = kind === 'lines' ? all.lastIndexOf(10) + 1 : endOfEvents(all);
    if (cut === all.length || all.length - cut > HELD_MOST) {
      midway = cut !== all.length;
      return exchange.write(all);
    }
    held = all.subarray(cut);
    if (cut === 0) return null;
    midway = false;
    return exchange.write(all.subarray(0, cut));
  }

  return {
    head(status, headers) {
      if ((status >= 300 && status < 400) || status === 401 || status === 403 || status === 407) {
        withheld = '';
        return;
      }
      headed = true;
      kind = headers['content-encoding'] === undefined ? kindOf(headers['content-type'] ?? '') : 'whole';
      const told: Record<string, string> = {};
      for (const name of passed) if (headers[name] !== undefined) told[name] = headers[name];
      if (kind === 'whole' && headers['content-length'] !== undefined) told['content-length'] = headers['content-length'];
      exchange.head(status, told);
    },
    bytes(bytes) {
      count += bytes.length;
      if (withheld !== null) {
        if (withheld.length < WITHHELD_MOST) withheld += bytes.toString('utf8', 0, WITHHELD_MOST - withheld.length);
        return null;
      }
      tail.add(bytes);
      return kind === 'whole' ? exchange.write(bytes) : whole(bytes);
    },
    end() {
      if (held !== null) void exchange.write(held);
      held = null;
    },
    fail(error) {
      if (!headed) return;
      if (kind === 'whole') return exchange.broken();
      void exchange.write(Buffer.from(`${midway ? '\n\n' : ''}${kind === 'lines' ? errorLine(error) : errorEvent(error, exchange.path)}`));
    },
    facts() {
      const text = tail.text();
      return { bytes: count, usage: usageIn(text), finishReason: reasonIn(text), withheld };
    },
  };
}

function kindOf(type: string): Kind {
  if (/^text\/event-stream\b/i.test(type)) return 'events';
  return /^application\/(x-ndjson|ndjson|jsonl)\b/i.test(type) ? 'lines' : 'whole';
}

/** Where the last whole event ends: after an empty line (WHATWG HTML, 9.2.6). */
function endOfEvents(bytes: Buffer): number {
  const { length } = bytes;
  if (bytes[length - 1] === 10 && (bytes[length - 2] === 10 || (bytes[length - 2] === 13 && bytes[length - 3] === 10))) return length;
  const bare = bytes.lastIndexOf('\n\n');
  const full = bytes.lastIndexOf('\r\n\r\n');
  return Math.max(bare < 0 ? 0 : bare + 2, full < 0 ? 0 : full + 4);
}

/** The last event of a stream that broke off, as clients of these paths take it for a failure. */
function errorEvent(error: WireError, path: string): string {
  const body = toOpenAi(error);
  if (path !== '/responses')
    return `data: ${JSON.stringify(body)}

`;
  // A stream of responses has named events.
  const { message, code } = body.error;
  return `event: error
data: ${JSON.stringify({ type: 'error', code, message, param: null, ...body })}

`;
}

export const errorLine = ({ message, code }: WireError): string => `${JSON.stringify({ error: message, code })}\n`;

/** The last kilobytes of what passes, without copying it. */
function createTail(): { add(bytes: Buffer): void; text(): string } {
  const pieces: Buffer[] = [];
  let size = 0;
  return {
    add(bytes) {
      pieces.push(bytes);
      size += bytes.length;
      while (size - pieces[0]!.length >= TAIL_BYTES) size -= pieces.shift()!.length;
    },
    text() {
      const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      return all.toString('utf8', Math.max(0, all.length - TAIL_BYTES));
    },
  };
}

/** The last `"usage": {...}` of a text that holds JSON, or Ollama's counts; null: none. Quoted words are not taken for it. */
function usageIn(text: string): unknown {
  for (let at = text.lastIndexOf('"usage"'); at >= 0; at = at === 0 ? -1 : text.lastIndexOf('"usage"', at - 1)) {
    if (text[at - 1] === '\\') continue;
    const open = /^"usage"\s*:\s*\{/.exec(text.slice(at, at + 40));
    const value = open === null ? null : objectAt(text, at + open[0].length - 1);
    if (value !== null) return value;
  }
  const counts = /"prompt_eval_count":(\d+)[^{}]*"eval_count":(\d+)/.exec(text);
  return (
    counts && {
      prompt_tokens: Number(counts[1]),
      completion_tokens: Number(counts[2]),
      total_tokens: Number(counts[1]) + Number(counts[2]),
    }
  );
}

function objectAt(text: string, from: number): unknown {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (c === '"') i = text.indexOf('"', i + 1);
    if (i < 0) return null;
    if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return parseJson(text.slice(from, i + 1)) ?? null;
  }
  return null;
}

/** The last reason to stop that is given, not one in quoted words. */
function reasonIn(text: string): string | null {
  for (const name of ['"finish_reason"', '"done_reason"']) {
    for (let at = text.lastIndexOf(name); at >= 0; at = at === 0 ? -1 : text.lastIndexOf(name, at - 1)) {
      if (text[at - 1] === '\\') continue;
      const found = /^\s*:\s*"(\w{1,40})"/.exec(text.slice(at + name.length, at + name.length + 60));
      if (found) return found[1]!;
    }
  }
  return null;
}
