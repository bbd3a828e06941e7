/** Reads what Podium says of stories. Its messages are passed on as they come; only what ends a job is understood here. */

type StoryEnd = 'done' | 'failed' | 'cancelled';

export interface StoryWords {
  id: string;
  status: string;
  /** 0..1. */
  progress: number | null;
  /** Why, where it says so. */
  reason: string | null;
}

type Words = Record<string, unknown>;

/** The story in a STORY_STATUS, or in an entry of `stories` in /api/status; null when there is none in it. */
export function storyIn(message: unknown): StoryWords | null {
  const outer = wordsIn(message);
  const {
    storyId,
    story_id,
    id,
    status,
    state,
    progress,
    reason,
    error,
    message: said,
  } = { ...wordsIn(outer.payload), ...wordsIn(outer.story), ...outer };
  const name = storyId ?? story_id ?? id;
  const now = status ?? state;
  if (typeof name !== 'string' || typeof now !== 'string') return null;
  const share = typeof progress === 'number' && progress >= 0 && progress <= 1 ? progress : null;
  const why = [reason, error, said].find((value) => typeof value === 'string');
  return { id: name, status: now, progress: share, reason: typeof why === 'string' ? why.slice(0, 200) : null };
}

/** The stories of /api/status. */
export function storiesIn(status: unknown): StoryWords[] {
  const { stories } = wordsIn(status);
  return Array.isArray(stories) ? stories.map(storyIn).filter((story) => story !== null) : [];
}

/** Ids of the stories a plan brought, where the COMMAND_RESULT names them. */
export function idsIn(answer: unknown): string[] {
  const { storyIds, stories } = wordsIn(answer);
  const named = Array.isArray(storyIds) ? storyIds : Array.isArray(stories) ? stories : [];
  return named.map((entry) => (typeof entry === 'string' ? entry : wordsIn(entry).id)).filter((id) => typeof id === 'string');
}

/** How a story with this status has ended; null while it has not. */
export function endOf(status: string): StoryEnd | null {
  switch (status.toLowerCase()) {
    case 'done':
    case 'completed':
    case 'complete':
      return 'done';
    case 'failed':
    case 'error':
      return 'failed';
    case 'cancelled':
    case 'canceled':
      return 'cancelled';
    default:
      return null;
  }
}

export const sameStory = (one: string, other: string) => one.toUpperCase() === other.toUpperCase();

/** The members of a JSON object; none of anything else. */
export function wordsIn(value: unknown): Words {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Words) : {};
}
