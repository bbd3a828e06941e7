/** What becomes of the stories of one order, from what the orchestrator says of them. */
import { refuse } from '../../../shared/errors.ts';
import type { Route } from '../../../shared/model.ts';
import type { Outcome } from '../runners/runner.ts';
import { endOf, type StoryWords, sameStory, storyIn } from './stories.ts';

export interface Following {
  /** A STORY_STATUS, or null where some may have been missed. */
  hear(message: unknown): void;
  /** A story as the orchestrator has it now. */
  see(words: StoryWords): void;
  /** The order was taken, and these are its stories. */
  follow(ids: readonly string[]): void;
  /** Resolves when there is something new: true when some of it may have been missed. */
  news(): Promise<boolean>;
  wake(): void;
  /** Those that have not ended. */
  open(): string[];
  over(): boolean;
  /** 0..1 over all of them; null while nothing is known. */
  share(): number | null;
  note(): string;
  /** Once it is over: `answer` is what was said to the order. */
  outcome(route: Route, answer: unknown): Outcome;
}

export function createFollowing(): Following {
  const last = new Map<string, StoryWords>();
  let ids: readonly string[] | null = null;
  let waiting: PromiseWithResolvers<boolean> | null = null;
  let missed = false;
  let fresh = false;
  const lastOf = (id: string) => last.get(id.toUpperCase()) ?? null;
  const ended = (id: string) => {
    const words = lastOf(id);
    return words && endOf(words.status);
  };
  const mine = () => ids ?? [];
  const see = (words: StoryWords) => {
    // While the order is under way, an end without a beginning is that of an earlier run, told late.
    if (ids === null ? endOf(words.status) === null || lastOf(words.id) !== null : ended(words.id) === null)
      last.set(words.id.toUpperCase(), words);
  };
  const wake = () => {
    fresh = true;
    if (waiting === null) return;
    waiting.resolve(missed);
    waiting = null;
    fresh = false;
    missed = false;
  };

  return {
    see,
    wake,
    hear(message) {
      const words = message === null ? null : storyIn(message);
      if (message === null) missed = true;
      else if (words === null || (ids !== null && !ids.some((id) => sameStory(id, words.id)))) return;
      else see(words);
      wake();
    },
    follow(wanted) {
      ids = wanted;
    },
    news() {
      if (waiting === null) {
        waiting = Promise.withResolvers();
        const { promise } = waiting;
        if (fresh) wake();
        return promise;
      }
      return waiting.promise;
    },
    open: () => mine().filter((id) => ended(id) === null),
    over: () => ids?.every((id) => ended(id) !== null) ?? false,
    share() {
      const shares = mine().map((id) => (ended(id) !== null ? 1 : (lastOf(id)?.progress ?? null)));
      if (shares.every((share) => share === null)) return null;
      return shares.reduce<number>((sum, share) => sum + (share ?? 0), 0) / shares.length;
    },
    note: () =>
      mine()
        .map((id) => `${id} is ${lastOf(id)?.status ?? 'queued'}`)
        .join(', '),
    outcome({ name }, answer) {
      for (const id of mine()) {
        const reason = lastOf(id)?.reason ?? null;
        const why = reason === null ? '.' : `: ${reason}`;
        if (ended(id) === 'failed') return { ok: false, error: refuse('upstream_failed', `${id} failed in ${name}${why}`) };
        if (ended(id) === 'cancelled') return { ok: false, error: refuse('cancelled', `${name} cancelled ${id}${why}`) };
      }
      return { ok: true, result: { command: answer, followed: true, stories: Object.fromEntries(mine().map((id) => [id, lastOf(id)])) } };
    },
  };
}
