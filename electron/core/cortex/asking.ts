/** Waiting for a lease: until it is there, it is refused, its time is over, or nobody wants it any more. */
import type { Need, Resolved } from '../../../shared/cortex.ts';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { LeaseAsk } from '../jobs/leases.ts';
import type { Loop } from '../jobs/loop.ts';

export interface Asked extends Pick<LeaseAsk, 'id' | 'holder' | 'caller' | 'task' | 'lastsMs'> {
  need: Need;
  waitMs: number;
  /** Aborted when whoever asked is gone; its reason is a WireError. */
  signal: AbortSignal;
}

export interface Asking {
  /** Resolves when it is held, which `held` is told in that very turn; `lost`: it was taken back. Rejects with Refusal. */
  ask(asked: Asked, told: { held(plan: Resolved): void; lost(error: WireError): void }): Promise<void>;
  /** Who waits for one of these tasks waits no more. */
  giveUp(isIt: (task: string | null) => boolean, error: WireError): void;
  /** How many this caller waits for. */
  count(caller: string): number;
}

interface Waiting {
  task: string | null;
  caller: string;
  giveUp(error: WireError): void;
}

export function createAsking(loop: Pick<Loop, 'now' | 'lease' | 'release'>): Asking {
  const waiting = new Set<Waiting>();
  return {
    ask({ signal, waitMs, ...ask }, { held, lost }) {
      const { task } = ask;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      let reason = '';
      let isHeld = false;
      const onGone = () => one.giveUp(wireOf(signal.reason));
      const leave = () => {
        waiting.delete(one);
        signal.removeEventListener('abort', onGone);
      };
      const one: Waiting = {
        task,
        caller: ask.caller,
        giveUp(error) {
          leave();
          reject(new Refusal(error));
          loop.release(ask.id);
        },
      };
      waiting.add(one);
      if (signal.aborted) {
        onGone();
        return promise;
      }
      signal.addEventListener('abort', onGone, { once: true });
      loop.lease(
        { ...ask, expiresAt: loop.now() + waitMs },
        {
          held: (waits) => {
            reason = waits.reason;
          },
          leased(plan) {
            isHeld = true;
            leave();
            held(plan);
            resolve();
          },
          unleased(error) {
            leave();
            if (isHeld) return lost(error);
            const isSaid = error.code !== 'wait_expired' || error.message.includes(reason);
            reject(new Refusal(isSaid ? error : { ...error, message: `${error.message} ${reason}` }));
          },
        },
      );
      return promise;
    },
    giveUp(isIt, error) {
      for (const one of [...waiting]) if (isIt(one.task)) one.giveUp(error);
    },
    count: (caller) => [...waiting].filter((one) => one.caller === caller).length,
  };
}

const wireOf = (reason: unknown): WireError =>
  reason instanceof Refusal
    ? reason.wire
    : typeof reason === 'object' && reason !== null && 'code' in reason && 'message' in reason
      ? (reason as WireError)
      : refuse('cancelled', 'Whoever asked for it went away.');
