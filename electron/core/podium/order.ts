/** What a call asks of the orchestrator, read from seed 004's actions, from Podium's own commands, or from words. */
import { refuse, type WireError } from '../../../shared/errors.ts';

/** A body of POST /api/command. */
export type Command = { type: string; storyId?: string; planId?: string } & Record<string, unknown>;

export type Order =
  /** Puts a story or the stories of a plan into the queue: the job lasts until they have ended. */
  | { kind: 'enqueue'; command: Command; subject: string; story: string | null }
  /** Stops what runs and lets nothing new begin. */
  | { kind: 'halt' }
  | { kind: 'status' }
  | { kind: 'command'; command: Command };

interface Asked {
  params: Record<string, unknown>;
  text: string | null;
}

/**
 * `params` is `{action, story_id | plan_id, ...}`, or `{type, storyId, ...}` for Podium's commands, which go through as they are; `text` counts
 * where neither is there. Whatever else is in them goes along, as seed 004 has it, except who asked from where: that is for the record.
 * Errors: input_invalid.
 */
export function readOrder({ params, text }: Asked): Order | WireError {
  const { action, type, story_id, storyId = story_id, plan_id, planId = plan_id, source: _, user_id: __, ...more } = params;
  const story = wordOf(storyId);
  const plan = wordOf(planId);
  if (action === undefined && type === undefined)
    return text === null ? unreadable('There is neither an action nor a command.') : readWords(text);
  if (typeof type === 'string') {
    if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(type)) return misfit('type', 'A command is a word in capitals, such as CANCEL_STORY.');
    return ordered({ ...more, type, ...(story !== null && { storyId: story }), ...(plan !== null && { planId: plan }) });
  }
  switch (action) {
    case 'enqueue_story':
      return story === null
        ? misfit('story_id', 'enqueue_story needs the id of a story.')
        : ordered({ ...more, type: 'ENQUEUE_STORY', storyId: story });
    case 'enqueue_plan':
      return plan === null
        ? misfit('plan_id', 'enqueue_plan needs the id of a plan.')
        : ordered({ ...more, type: 'ENQUEUE_PLAN', planId: plan });
    case 'halt':
      return story === null ? { kind: 'halt' } : ordered({ ...more, type: 'CANCEL_STORY', storyId: story });
    case 'status':
      return { kind: 'status' };
    default:
      return misfit('action', 'There are the actions enqueue_story, enqueue_plan, halt and status.');
  }
}

function readWords(text: string): Order | WireError {
  const story = /\bSTORY-[\w-]+/i.exec(text)?.[0].toUpperCase();
  const plan = /\bSKOREQ-[\w-]+/i.exec(text)?.[0].toUpperCase();
  const says = (words: RegExp) => words.test(text);
  if (story !== undefined) {
    if (says(/\b(cancel|drop|halt|stop)\b/i)) return ordered({ type: 'CANCEL_STORY', storyId: story });
    if (says(/\bforce\b/i)) return ordered({ type: 'FORCE_ENQUEUE_STORY', storyId: story });
    if (says(/\b(enqueue|queue|play|start|run)\b/i)) return ordered({ type: 'ENQUEUE_STORY', storyId: story });
  } else if (plan !== undefined && says(/\b(enqueue|queue|play|start|run)\b/i)) return ordered({ type: 'ENQUEUE_PLAN', planId: plan });
  if (says(/\bping\b/i)) return ordered({ type: 'PING' });
  if (says(/\b(show|status|which|what|list)\b/i)) return { kind: 'status' };
  if (says(/\b(halt|stop)\b/i)) return { kind: 'halt' };
  if (says(/\b(start|play|resume|go on)\b/i)) return ordered({ type: 'START_ORCHESTRATOR' });
  return unreadable('These words are no order for the orchestrator.');
}

/** A command as an order: those that enqueue hold their lane until the stories have ended. */
function ordered(command: Command): Order {
  const { type, storyId, planId } = command;
  if ((type === 'ENQUEUE_STORY' || type === 'FORCE_ENQUEUE_STORY') && storyId !== undefined)
    return { kind: 'enqueue', command, subject: `story:${storyId.toUpperCase()}`, story: storyId };
  if (type === 'ENQUEUE_PLAN' && planId !== undefined)
    return { kind: 'enqueue', command, subject: `plan:${planId.toUpperCase()}`, story: null };
  return { kind: 'command', command };
}

/**
 * What limits and lanes have to know of a call. `subject`: what it enqueues, `story:STORY-001`; equal ones keep a distance, and only these need
 * the lane, since a halt must not stand in line behind what it halts. `action`: it makes the orchestrator do something.
 */
export function weigh(asked: Asked): { subject: string | null; action: boolean } {
  const order = readOrder(asked);
  if ('code' in order) return { subject: null, action: false };
  return { subject: order.kind === 'enqueue' ? order.subject : null, action: order.kind !== 'status' };
}

/** Blanks around it would make another story of it. */
const wordOf = (value: unknown) => (typeof value === 'string' && value.trim() !== '' && value.length <= 200 ? value.trim() : null);

function misfit(member: string, message: string): WireError {
  return refuse('input_invalid', message, {
    hint: 'See POST /api/orchestrator/dispatch in /openapi.json.',
    issues: [{ path: `params.${member}`, message }],
  });
}

function unreadable(message: string): WireError {
  return refuse('input_invalid', message, {
    hint: 'Say enqueue, force or cancel with the id of a story, enqueue with that of a plan, start, halt, status or ping; or send {"action": "enqueue_story", "story_id": "..."}.',
  });
}
