/** A Podium-like orchestrator: a queue of stories worked through one at a time, told over HTTP and a WebSocket. */
import type { Server } from 'node:http';
import { WebSocketServer } from 'ws';
import { type Handler, type Request, Status, send } from './service.ts';

type StoryState = 'todo' | 'pending' | 'queued' | 'blocked' | 'in_progress' | 'done' | 'cancelled';

interface Story {
  id: string;
  title: string;
  state: StoryState;
}

const mayEnqueue: readonly StoryState[] = ['todo', 'pending', 'queued', 'blocked'];

export interface Podium {
  handle: Handler;
  health: Handler;
  /** Serves `/ws` on this server. */
  attach(server: Server): void;
  close(): void;
}

/** `storyMs`: how long an agent works at one story. */
export function createPodium({ storyMs = 4000 }: { storyMs?: number } = {}): Podium {
  const titles = ['Tune the piano', 'Write the chorus', 'Rehearse the bridge', 'Record the drums', 'Mix the song', 'Print the sleeve'];
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
    agents: [{ id: 'agent-1', status: current ? 'working' : 'idle', story: current?.id ?? null }],
  });
  const set = (story: Story, state: StoryState) => {
    story.state = state;
    if (logs.length >= 500) logs.shift();
    logs.push({ at: Date.now(), message: `${story.id} is ${state}` });
    tell({ type: 'STORY_STATUS', storyId: story.id, status: state, title: story.title });
  };
  const finish = (state: 'done' | 'cancelled') => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (current) set(current, state);
    current = null;
    next();
  };
  const next = () => {
    if (running && !current) {
      const story = stories.get(queue.shift() ?? '');
      if (story) {
        current = story;
        set(story, 'in_progress');
        timer = setTimeout(() => finish('done'), storyMs);
      }
    }
    tell(queueUpdate());
    tell(agentStatus());
  };

  function command(type: string, storyId: string | null): Record<string, unknown> {
    const result = (success: boolean, message: string, more: Record<string, unknown> = {}) => {
      return { type: 'COMMAND_RESULT', command: type, success, message, ...more };
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
        if (!queue.includes(story.id)) queue.push(story.id);
        set(story, 'queued');
        next();
        return result(true, `${story.id} is ${story.state}.`, { storyId: story.id, position: queue.indexOf(story.id) + 1 });
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
    agents: agentStatus().agents,
  });

  return {
    handle({ path, query, fields, text }: Request) {
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
          const typed = wordsToCommand(text);
          const type = typeof fields.type === 'string' ? fields.type : typed.type;
          const storyId = typeof fields.storyId === 'string' ? fields.storyId : typed.storyId;
          return type === 'STATUS' ? status() : command(type, storyId);
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
    attach(server) {
      server.on('upgrade', (request, socket, head) => {
        if (request.url !== '/ws') return socket.destroy();
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

/** "enqueue story STORY-002" and the like, as the command they mean. */
function wordsToCommand(text: string): { type: string; storyId: string | null } {
  const storyId = /\bSTORY-\d+\b/i.exec(text)?.[0] ?? null;
  if (/\bping\b/i.test(text)) return { type: 'PING', storyId };
  if (/\b(cancel|drop|halt)\b/i.test(text)) return { type: storyId ? 'CANCEL_STORY' : 'STOP_ORCHESTRATOR', storyId };
  if (/\b(enqueue|queue|play|start|run)\b/i.test(text)) return { type: storyId ? 'ENQUEUE_STORY' : 'START_ORCHESTRATOR', storyId };
  return { type: 'STATUS', storyId };
}
