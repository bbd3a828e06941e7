/** The one WebSocket to a podium service: what it says is kept as the newest state and passed on as it came. */
import type { EventBody } from '../../../shared/contract.ts';
import { toWire, type WireError } from '../../../shared/errors.ts';
import type { PodiumState, Route } from '../../../shared/model.ts';
import { tooDeep } from '../crossing.ts';
import type { Egress, EgressSocket } from '../egress.ts';
import { storyIn, wordsIn } from './stories.ts';

export interface StreamParts {
  egress: Egress;
  /** Milliseconds since the epoch. */
  clock(): number;
  /** 0..1, for the jitter. */
  random(): number;
  /** `bytes`: how large it is. */
  publish(body: EventBody, signal: string | null, bytes: number): void;
  /** First and longest pause between two tries to connect, in ms. */
  backoffMs: number;
  backoffMaxMs: number;
  beatMs: number;
}

export interface PodiumStream {
  state(): PodiumState;
  /** Whether it is open. Waits for the try under way; when none is, one is made now. */
  ready(): Promise<boolean>;
  /**
   * Hears every STORY_STATUS, and null when a try to connect has come to its end: what was said before it is lost. Gives what stops it.
   */
  listen(listener: (message: unknown) => void): () => void;
  /** Ends it for good; listeners hear null once more and find `closed`. */
  close(): void;
  readonly closed: boolean;
}

const maxMessageBytes = 1_048_576;
/** More than these are forgotten, oldest first. */
const maxStories = 200;
const maxAgents = 100;
/** A connection that lasted so long was no failure, in ms. */
const steadyMs = 10_000;
/** While messages come, the state goes out so often, in ms; they themselves go out at once. */
const tellMs = 500;
/** What an entry of the state takes, roughly: its messages are there already. */
const entryBytes = 100;

/** Connects at once and for as long as it is not closed. `address` is http: or https:; `headers` are made anew for each try. */
export function openStream(
  parts: StreamParts,
  { route, address, headers }: { route: Route; address: string; headers(): Record<string, string> },
): PodiumStream {
  const { egress, clock, random, publish, backoffMs, backoffMaxMs, beatMs } = parts;
  const agents = new Map<string, unknown>();
  const stories = new Map<string, unknown>();
  const listeners = new Set<(message: unknown) => void>();
  let queue: unknown = null;
  let at: number | null = null;
  let socket: EgressSocket | null = null;
  let trying: Promise<boolean> | null = null;
  let openedAt = 0;
  let failures = 0;
  let retryAt: number | null = null;
  let retry: NodeJS.Timeout | null = null;
  let telling: NodeJS.Timeout | null = null;
  let fault: string | null = null;
  let unread = 0;
  let closed = false;

  const state = (): PodiumState => ({
    route: route.name,
    connected: socket !== null,
    retryAt,
    detail: fault,
    queue,
    agents: Object.fromEntries(agents),
    stories: Object.fromEntries(stories),
    at,
  });

  const tell = (signal: string | null = null) => {
    if (telling !== null) clearTimeout(telling);
    telling = null;
    publish({ type: 'podium', podium: state() }, signal, entryBytes * (agents.size + stories.size));
  };
  const tellSoon = () => {
    telling ??= setTimeout(tell, tellMs).unref();
  };
  const say = (message: unknown) => {
    for (const listener of [...listeners]) listener(message);
  };

  function take(text: string | null): void {
    const message = text === null ? undefined : parse(text);
    const { type } = wordsIn(message);
    if (typeof type !== 'string') {
      unread += 1;
      fault = `${unread} of its messages could not be read; the last was ${text === null ? 'binary' : 'no JSON object with a type'}.`;
      tellSoon();
      return;
    }
    at = clock();
    switch (type) {
      case 'QUEUE_UPDATE':
        queue = message;
        break;
      case 'AGENT_STATUS':
        for (const [id, status] of agentsIn(message)) keep(agents, [id, status], maxAgents);
        break;
      case 'STORY_STATUS': {
        const story = storyIn(message);
        if (story !== null) keep(stories, [story.id, message], maxStories);
        break;
      }
      default:
        return;
    }
    publish({ type: 'upstream', route: route.name, message }, null, text!.length);
    tellSoon();
    if (type === 'STORY_STATUS') say(message);
  }

  async function connect(): Promise<boolean> {
    if (retry !== null) clearTimeout(retry);
    retry = null;
    let over = false;
    unread = 0;
    try {
      const opened = await egress.socket({
        url: address,
        headers: headers(),
        egress: route.egress,
        maxBytes: maxMessageBytes,
        beatMs,
        onMessage: take,
        onEnd(error) {
          over = true;
          lost(error);
        },
      });
      if (closed) opened.close();
      // Over already, by the first thing it was sent.
      if (closed || over) return false;
      socket = opened;
    } catch (caught) {
      lost(toWire(caught));
      return false;
    }
    openedAt = clock();
    retryAt = null;
    // What could not be read may have come in the same breath as the opening.
    if (unread === 0) fault = null;
    tell(`📡 ${route.org} → OS : stream_open, service=${route.service}`);
    say(null);
    return true;
  }

  function attempt(): Promise<boolean> {
    trying ??= connect().finally(() => {
      trying = null;
    });
    return trying;
  }

  function lost(error: WireError): void {
    if (closed) return;
    const wasOpen = socket !== null;
    socket = null;
    failures = wasOpen && clock() - openedAt >= steadyMs ? 0 : failures + 1;
    const longest = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(failures, 30));
    const pause = Math.round(longest * (0.5 + random() / 2));
    const news = wasOpen || fault !== error.message;
    fault = error.message;
    retryAt = clock() + pause;
    retry = setTimeout(() => void attempt(), pause).unref();
    tell(news ? `📡 ${route.org} → OS : stream_lost, service=${route.service}, error=${error.code}` : null);
    if (!wasOpen) say(null);
  }

  void attempt();
  return {
    state,
    ready: () => (closed ? Promise.resolve(false) : socket !== null ? Promise.resolve(true) : attempt()),
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close() {
      closed = true;
      if (retry !== null) clearTimeout(retry);
      if (telling !== null) clearTimeout(telling);
      socket?.close();
      socket = null;
      say(null);
    },
    get closed() {
      return closed;
    },
  };
}

/** undefined for what is no JSON, or nested deeper than can be passed on. */
function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return tooDeep(value) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** An AGENT_STATUS is about one agent, or lists several; each is kept as a message of its own. */
function agentsIn(message: unknown): [string, unknown][] {
  const { agents, ...one } = wordsIn(message);
  const found: [string, unknown][] = [];
  for (const entry of Array.isArray(agents) ? agents : [one]) {
    const { agentId, agent_id, id } = wordsIn(entry);
    const name = agentId ?? agent_id ?? id;
    if (typeof name === 'string') found.push([name, Array.isArray(agents) ? { type: 'AGENT_STATUS', ...wordsIn(entry) } : message]);
  }
  return found;
}

/** The newest last, and no more than `most`. */
function keep(map: Map<string, unknown>, [key, value]: [string, unknown], most: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
}
