/** A Podium-like orchestrator: a queue of stories worked through one at a time, told over HTTP and a WebSocket. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import { WebSocketServer } from 'ws';
import { type Handler, type Request, Status, send } from './service.ts';

type StoryState = 'todo' | 'pending' | 'queued' | 'blocked' | 'in_progress' | 'done' | 'failed' | 'cancelled';

interface Story {
  id: string;
  title: string;
  state: StoryState;
}

const mayEnqueue: readonly StoryState[] = ['todo', 'pending', 'queued', 'blocked'];

export interface Podium {
  handle: Handler;
  health: Handler;
  /** Id of the story an agent works at. */
  playing(): string | null;
  /** Tells everybody on the stream. */
  say(message: Record<string, unknown>): void;
  /** Serves `/ws` on this server. */
  attach(server: Server): void;
  close(): void;
}

const titles = [
  ...['Tune the piano', 'Write the chorus', 'Rehearse the bridge', 'Record the drums', 'Mix the song', 'Print the sleeve'],
  ...['Book the hall', 'Light the stage', 'Hang the curtain', 'Sell the tickets', 'Seat the guests', 'Play the encore'],
];
/** Fails whenever it is played, so that there is something to see. */
const failing = 'STORY-005';
const plans = new Map([
  ['SKOREQ-001', ['STORY-001', 'STORY-002', 'STORY-003']],
  ['SKOREQ-002', ['STORY-007', 'STORY-008']],
]);
/** How often a story tells how far it is. */
const steps = 4;

/**
 * `storyMs`: how long an agent works at one story. `secret`: requests and the stream then need a token signed with it (HS256): a viewer may
 * look, an admin may command.
 */
export function createPodium({ storyMs = 4000, secret }: { storyMs?: number; secret?: string } = {}): Podium {
  const stories = new Map<string, Story>(
    titles.map((title, index) => {
      const id = `STORY-${String(index + 1).padStart(3, '0')}`;
      return [id, { id, title, state: index === 5 ? 'done' : index === 4 ? 'blocked' : 'todo' }];
    }),
  );
  const queue: string[] = [];
  const logs: { at: number; message: string }[] = [];
  const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 });
  let running = true;
  let current: Story | null = null;
  let timer: NodeJS.Timeout | null = null;

  const tell = (message: Record<string, unknown>) => {
    const text = JSON.stringify({ ...message, timestamp: Date.now() });
    for (const socket of sockets.clients) if (socket.readyState === socket.OPEN) socket.send(text);
  };
  const queueUpdate = () => ({ type: 'QUEUE_UPDATE', queue: [...queue], current: current?.id ?? null, length: queue.length });
  const agentStatus = () => ({
    type: 'AGENT_STATUS',
    agentId: 'agent-1',
    status: current ? 'working' : 'idle',
    storyId: current?.id ?? null,
  });
  const set = (story: Story, state: StoryState, more: Record<string, unknown> = {}) => {
    story.state = state;
    if (logs.length >= 500) logs.shift();
    logs.push({ at: Date.now(), message: `${story.id} is ${state}` });
    tell({ type: 'STORY_STATUS', storyId: story.id, status: state, title: story.title, ...more });
  };
  const finish = (state: 'done' | 'failed' | 'cancelled') => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (current) set(current, state, state === 'failed' ? { reason: 'the singer has a cold' } : {});
    current = null;
    next();
  };
  const work = (story: Story, step: number) => {
    set(story, 'in_progress', { progress: step / steps });
    timer = setTimeout(() => {
      if (step + 1 < steps) work(story, step + 1);
      else finish(story.id === failing ? 'failed' : 'done');
    }, storyMs / steps);
  };
  const next = () => {
    if (running && !current) {
      const story = stories.get(queue.shift() ?? '');
      if (story) {
        current = story;
        work(story, 0);
      }
    }
    tell(queueUpdate());
    tell(agentStatus());
  };

  function command(type: string, { storyId, planId }: { storyId: string | null; planId: string | null }): Record<string, unknown> {
    const result = (success: boolean, message: string, more: Record<string, unknown> = {}) => {
      return { type: 'COMMAND_RESULT', command: type, success, message, ...more };
    };
    const enqueue = (story: Story) => {
      if (!queue.includes(story.id)) queue.push(story.id);
      set(story, 'queued');
    };
    const story = storyId === null ? null : (stories.get(storyId.toUpperCase()) ?? null);
    switch (type) {
      case 'PING':
        return { type: 'PONG' };
      case 'START_ORCHESTRATOR':
      case 'STOP_ORCHESTRATOR':
        running = type === 'START_ORCHESTRATOR';
        next();
        return result(true, running ? 'The orchestrator runs.' : 'The orchestrator takes no new story.');
      case 'ENQUEUE_STORY':
      case 'FORCE_ENQUEUE_STORY':
        if (!story) return result(false, `There is no story ${storyId}.`);
        if (story === current || (type === 'ENQUEUE_STORY' && !mayEnqueue.includes(story.state))) {
          return result(false, `${story.id} is ${story.state}.`);
        }
        enqueue(story);
        next();
        return result(true, `${story.id} is ${story.state}.`, { storyId: story.id, position: queue.indexOf(story.id) + 1 });
      case 'ENQUEUE_PLAN': {
        const planned = plans.get(planId?.toUpperCase() ?? '')?.map((id) => stories.get(id)!);
        if (!planned) return result(false, `There is no plan ${planId}.`);
        const open = planned.filter((one) => one !== current && mayEnqueue.includes(one.state));
        if (open.length === 0) return result(false, `Nothing of ${planId} is left to do.`);
        for (const one of open) enqueue(one);
        next();
        return result(true, `${planId}: ${open.length} stories are queued.`, { storyIds: open.map(({ id }) => id) });
      }
      case 'CANCEL_STORY': {
        if (!story) return result(false, `There is no story ${storyId}.`);
        if (story === current) finish('cancelled');
        else if (queue.includes(story.id)) {
          queue.splice(queue.indexOf(story.id), 1);
          set(story, 'cancelled');
          next();
        } else return result(false, `${story.id} is ${story.state}.`);
        return result(true, `${story.id} is cancelled.`, { storyId: story.id });
      }
      default:
        return result(false, `There is no command ${type}.`);
    }
  }

  const status = () => ({
    running,
    queue: [...queue],
    current: current?.id ?? null,
    stories: [...stories.values()],
    agents: [{ id: 'agent-1', status: current ? 'working' : 'idle', story: current?.id ?? null }],
  });

  return {
    handle({ path, query, fields, incoming }: Request) {
      const role = secret === undefined ? 'admin' : roleOf(incoming, secret);
      if (role === null) throw new Status(401, 'A valid token is needed.');
      switch (path) {
        case '/api/status':
          return status();
        case '/api/metrics':
          return {
            queued: queue.length,
            done: [...stories.values()].filter((story) => story.state === 'done').length,
            clients: sockets.clients.size,
          };
        case '/api/logs':
          return { logs: logs.slice(-Math.min(500, Math.max(1, Number(query.get('limit') ?? 100) || 100))) };
        case '/api/command': {
          if (role !== 'admin') throw new Status(403, 'A viewer may not command.');
          const word = (name: string) => (typeof fields[name] === 'string' ? fields[name] : null);
          return command(word('type') ?? '', { storyId: word('storyId'), planId: word('planId') });
        }
        default:
          throw new Status(404, `There is no ${path} here.`);
      }
    },
    health({ path }, response) {
      const body = { status: running ? 'ok' : 'degraded', orchestrator: running ? 'running' : 'stopped' };
      send(response, path === '/health/orchestrator' && !running ? 503 : 200, body);
      return undefined;
    },
    say: tell,
    playing: () => current?.id ?? null,
    attach(server) {
      server.on('upgrade', (request, socket, head) => {
        if (request.url !== '/ws') return socket.destroy();
        if (secret !== undefined && roleOf(request, secret) === null)
          return socket.end('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        sockets.handleUpgrade(request, socket, head, (client) => {
          client.send(JSON.stringify({ ...queueUpdate(), timestamp: Date.now() }));
          client.send(JSON.stringify({ ...agentStatus(), timestamp: Date.now() }));
        });
      });
    },
    close() {
      if (timer) clearTimeout(timer);
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
    },
  };
}

/**
 * Whom the bearer token of a request makes: admin or viewer, null when it is not valid. One algorithm and one key: a token that
 * names another, or says where to find one, is none (RFC 8725).
 */
function roleOf({ headers }: IncomingMessage, secret: string): 'admin' | 'viewer' | null {
  const [, head = '', body = '', signature = ''] = /^Bearer ([\w-]+)\.([\w-]+)\.([\w-]+)$/.exec(headers.authorization ?? '') ?? [];
  const expected = createHmac('sha256', secret).update(`${head}.${body}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const { alg, typ, ...other } = decoded(head);
  const { aud, exp, iss, role } = decoded(body);
  const now = Date.now() / 1000;
  const fits = alg === 'HS256' && typ === 'JWT' && Object.keys(other).length === 0 && aud === 'podium' && iss === 'dispatcher';
  if (!fits || typeof exp !== 'number' || exp <= now || exp > now + 3600) return null;
  return role === 'admin' || role === 'viewer' ? role : null;
}

function decoded(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
