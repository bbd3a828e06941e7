/** Keeps the sidecar in memory and asks it at its provider. Where none is configured, or it is not warm, there is none. */
import { needOf } from '../../../shared/contract.ts';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { SidecarSettings } from '../../../shared/model.ts';
import { Cutoff } from '../cutoff.ts';
import type { Egress } from '../egress.ts';
import type { Loop } from '../jobs/loop.ts';
import { createLexicon } from './owner-words.ts';
import type { SchemaCheck } from './schema-check.ts';
import { createSidecar, type Sidecar } from './sidecar.ts';
import type { WorldSource } from './world.ts';

export interface SidecarHost extends Disposable {
  /** null: none is configured, or it is not warm. */
  current(): Sidecar | null;
  /** The registry changed. */
  configure(): void;
}

export interface SidecarHostParts {
  settings(): SidecarSettings | null;
  checker: SchemaCheck;
  world: Pick<WorldSource, 'provider' | 'phase'>;
  loop: Pick<Loop, 'lease' | 'release'>;
  egress: Egress;
  secret(name: string): string | null;
  clock(): number;
  /** Between two tries to have it loaded; the default is right for everything but tests. */
  againMs?: number;
}

interface Kept {
  provider: string;
  budgetMs: number;
  lease: string;
  /** What its lease bound, as its server calls it; null while it has none. */
  model: string | null;
  sidecar: Sidecar;
}

/** What a chore may answer: its tokens are bounded already. */
const ANSWER_BYTES = 256 * 1024;
/** Between two tries to have it loaded. */
const AGAIN_MS = 10_000;

export function createSidecarHost(parts: SidecarHostParts): SidecarHost {
  const { settings, world, loop, egress, secret, clock, checker, againMs = AGAIN_MS } = parts;
  let kept: Kept | null = null;
  let again: NodeJS.Timeout | null = null;
  let leases = 0;
  let disposed = false;

  /** A lease that nobody ends keeps it loaded: it comes with the core and stays. */
  function hold(mine: Kept): void {
    const lease = `sidecar.${++leases}`;
    // First of all: the answer may come before there is one.
    mine.lease = lease;
    const need = needOf({ model: mine.provider, priority: 100, egress: 'lan' });
    const ask = {
      id: lease,
      holder: { kind: 'load' as const, id: 'sidecar' },
      caller: 'core',
      task: null,
      need,
      expiresAt: null,
      lastsMs: null,
    };
    loop.lease(ask, {
      held() {},
      leased({ assignments }) {
        if (mine.lease === lease) mine.model = assignments[0]!.model;
      },
      unleased() {
        if (mine.lease !== lease) return;
        mine.model = null;
        retry(mine);
      },
    });
  }

  function retry(mine: Kept): void {
    if (disposed || kept !== mine || again !== null) return;
    again = setTimeout(() => {
      again = null;
      if (kept === mine) hold(mine);
    }, againMs).unref();
  }

  function letGo(): void {
    if (again !== null) clearTimeout(again);
    again = null;
    const was = kept;
    kept = null;
    if (was !== null) loop.release(was.lease);
  }

  /** One completion; rejects with Refusal. */
  async function ask({ provider: name, model }: Kept, body: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
    const provider = world.provider(name);
    if (provider === null || model === null) throw new Refusal(refuse('no_capability', `${name} is not there.`));
    const { endpoint, egress: reach, auth } = provider;
    const token = auth === null ? null : secret(auth.env);
    const cutoff = new Cutoff();
    const cut = () => cutoff.cut(refuse('cancelled', 'Nobody waits for it any more.'));
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    try {
      const answer = await egress.request({
        url: `${endpoint.replace(/\/+$/, '')}/v1/chat/completions`,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(token !== null &&
            (auth!.kind === 'bearer' ? { authorization: `Bearer ${token}` } : { [auth!.header ?? 'x-api-key']: token })),
        },
        body: JSON.stringify({ ...body, model }),
        egress: reach,
        cutoff,
        maxBytes: ANSWER_BYTES,
      });
      if (answer.status !== 200)
        throw new Refusal(refuse('upstream_failed', `${name} answered ${answer.status}.`, { status: answer.status }));
      return JSON.parse(answer.body.toString());
    } catch (caught) {
      if (caught instanceof SyntaxError) throw new Refusal(refuse('upstream_failed', `${name} answered with what is not JSON.`));
      throw caught;
    } finally {
      signal.removeEventListener('abort', cut);
    }
  }

  return {
    current: () => (kept !== null && kept.model !== null && world.phase(kept.provider).phase === 'warm' ? kept.sidecar : null),
    configure() {
      const wanted = settings();
      if (wanted?.provider === kept?.provider && wanted?.budgetMs === kept?.budgetMs) return;
      letGo();
      if (wanted === null || disposed) return;
      const { provider, budgetMs } = wanted;
      const sidecar = createSidecar({
        ...{ checker, budgetMs, clock },
        ask: (body, signal) => ask(mine, body, signal),
        lexicon: createLexicon(() => settings()?.lexicon ?? null),
      });
      const mine: Kept = { provider, budgetMs, sidecar, lease: '', model: null };
      kept = mine;
      hold(mine);
    },
    [Symbol.dispose]() {
      disposed = true;
      letGo();
    },
  };
}
