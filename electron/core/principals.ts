/** Who may come in: the owner of this run, and tokens, known by the digests of their secrets. */
import { hash, randomBytes } from 'node:crypto';
import type { Principal, TokenInfo } from '../../shared/model.ts';
import type { Store } from './store/store.ts';

/** When a token was used last is kept to the minute. */
const TOUCH_MS = 60_000;

export interface Principals {
  /** Whoever started this core; the secret is a new one at every start. */
  readonly owner: { principal: Principal; secret: string };
  /** Whose secret this is; null for nobody's. */
  authenticate(secret: string): Principal | null;
  /** Whoever has this id; null: nobody has, or not any more. */
  of(id: string): Principal | null;
  add(token: TokenInfo & { hash: string }): void;
  remove(id: string): void;
}

export function createPrincipals({ store, clock }: { store: Store; clock(): number }): Principals {
  const tokens = new Map<string, { principal: Principal; usedAt: number }>();
  const owner: Principals['owner'] = {
    principal: { id: 'owner', name: 'Owner', capabilities: ['read', 'dispatch', 'admin'] },
    secret: `dsp_${randomBytes(32).toString('base64url')}`,
  };
  const add: Principals['add'] = ({ hash, id, name, capabilities }) =>
    tokens.set(hash, { principal: { id, name, capabilities }, usedAt: 0 });
  for (const token of store.read.tokens()) add(token);
  const ownerHash = hashToken(owner.secret);
  return {
    owner,
    authenticate(secret) {
      const digest = hashToken(secret);
      if (digest === ownerHash) return owner.principal;
      const token = tokens.get(digest);
      if (!token) return null;
      const now = clock();
      if (now - token.usedAt > TOUCH_MS) {
        token.usedAt = now;
        store.touchToken(token.principal.id, now);
      }
      return token.principal;
    },
    of: (id) =>
      id === owner.principal.id ? owner.principal : ([...tokens.values()].find(({ principal }) => principal.id === id)?.principal ?? null),
    add,
    remove(id) {
      for (const [hash, { principal }] of tokens) if (principal.id === id) tokens.delete(hash);
    },
  };
}

/** How a token is kept: SHA-256 suffices, since 256 random bits cannot be guessed. */
export function hashToken(secret: string): string {
  return hash('sha256', secret, 'hex');
}
