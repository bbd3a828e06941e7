/**
 * Who is asking on loopback, which is not private: exact Host, exact Origin and a credential for every request and upgrade.
 * A credential is a bearer token or the cookie a browser got for a one-time code; a cookie stands for the token that asked
 * for the code, so revoking the token ends the session.
 */
import { hash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Grant } from '../../shared/cortex.ts';
import { refuse, type WireError } from '../../shared/errors.ts';
import type { Principal } from '../../shared/model.ts';
import type { Core } from '../core/core.ts';

export interface Credential {
  principal: Principal;
  /** Asked again for as long as a connection lives, because a token can be revoked. */
  secret: string;
  /** The grant whose key it is; null for a token. */
  grant: Grant | null;
}

/** Who knows the keys of grants. */
export type Grants = Pick<Core['cortex'], 'authenticate' | 'endedGrant'>;

export type Admission = { ok: true; credential: Credential | null } | { ok: false; error: WireError };

export interface Gate {
  /** `credential` is null when none was sent; a wrong one is an error. The key of a grant is one only for whoever brings `grants`. Errors: input_invalid, host_refused, origin_refused, unauthenticated. */
  admit(request: IncomingMessage, grants?: Grants): Admission;
  /** A code that opens one browser session for the owner of `secret`, within 5 minutes. */
  issueCode(secret: string): string;
  /** The `Set-Cookie` value for a code, once; null when it is unknown, used or too old. */
  redeem(code: string): string | null;
}

const codeLifetimeMs = 5 * 60_000;
const sessionLifetimeMs = 12 * 3_600_000;
const maxCodes = 32;
const maxSessions = 64;

/** `core` is asked for every credential; `port` is the one the door listens on; `now` in milliseconds since the epoch. */
export function createGate(core: Pick<Core, 'authenticate'>, port: number, now: () => number): Gate {
  const hosts = new Set([`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]);
  if (port === 80) for (const host of ['127.0.0.1', 'localhost', '[::1]']) hosts.add(host);
  // Cookies do not know ports: the name keeps two cores on one machine apart.
  const cookieName = `dispatcher_${port}`;
  // Kept by digest, so that looking one up takes no time that depends on the secret.
  const codes = new Map<string, { secret: string; until: number }>();
  const sessions = new Map<string, { secret: string; until: number }>();

  const keep = (map: typeof codes, max: number, key: string, entry: { secret: string; until: number }) => {
    for (const [old, { until }] of map) if (until <= now() || map.size >= max) map.delete(old);
    map.set(key, entry);
  };

  const authenticate = (secret: string, grants?: Grants): Admission => {
    const principal = core.authenticate(secret);
    if (principal) return { ok: true, credential: { principal, secret, grant: null } };
    const granted = grants?.authenticate(secret);
    if (granted) return { ok: true, credential: { ...granted, secret } };
    const ended = grants?.endedGrant(secret)?.revoked;
    return { ok: false, error: unauthenticated(ended ? `This grant ended: ${ended.why}.` : 'This token is not valid.') };
  };

  return {
    admit(request, grants) {
      const { headers, method } = request;
      const duplicate = duplicateHeader(request.rawHeaders);
      if (duplicate) return failed('input_invalid', `The header ${duplicate} is there twice.`, 'Send it once.');
      // Absolute targets name a second host; nothing but a proxy gets them.
      if (!request.url?.startsWith('/'))
        return failed('input_invalid', 'The request target is not a path.', 'Send a path that starts with /.');
      const host = headers.host;
      if (host === undefined || !hosts.has(host))
        return failed('host_refused', 'This Host is not served here.', `Ask for 127.0.0.1:${port}.`);
      const origin = headers.origin;
      if (origin !== undefined && origin !== `http://${host}`)
        return failed('origin_refused', 'Pages of another origin may not call this.', `Call it from http://${host} or from a program.`);

      const { authorization } = headers;
      if (authorization !== undefined) {
        const secret = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
        return secret
          ? authenticate(secret, grants)
          : { ok: false, error: unauthenticated('The Authorization header is not of the form Bearer <token>.') };
      }
      const cookie = headers.cookie === undefined ? null : readCookie(headers.cookie, cookieName);
      if (cookie === null) return anonymous;
      // Other ports of this host are the same site to a browser, so SameSite=Strict does not keep them out.
      const site = headers['sec-fetch-site'];
      if (site !== undefined && site !== 'same-origin' && site !== 'none') return anonymous;
      if (origin === undefined && ((method !== 'GET' && method !== 'HEAD') || headers.upgrade !== undefined))
        return failed('origin_refused', 'With a session cookie the Origin header is needed.', 'Send a bearer token from programs.');
      const session = sessions.get(digest(cookie));
      if (!session || session.until <= now()) return { ok: false, error: unauthenticated('This session is over.') };
      return authenticate(session.secret);
    },

    issueCode(secret) {
      const code = randomBytes(24).toString('base64url');
      keep(codes, maxCodes, digest(code), { secret, until: now() + codeLifetimeMs });
      return code;
    },

    redeem(code) {
      const key = digest(code);
      const entry = codes.get(key);
      codes.delete(key);
      if (!entry || entry.until <= now()) return null;
      const session = randomBytes(32).toString('base64url');
      keep(sessions, maxSessions, digest(session), { secret: entry.secret, until: now() + sessionLifetimeMs });
      return `${cookieName}=${session}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${sessionLifetimeMs / 1000}`;
    },
  };
}

export function unauthenticated(message: string): WireError {
  return refuse('unauthenticated', message, {
    hint: 'Send the header Authorization: Bearer <token>; the token is in runtime.json in the home folder.',
  });
}

const anonymous: Admission = { ok: true, credential: null };

function failed(code: 'input_invalid' | 'host_refused' | 'origin_refused', message: string, hint: string): Admission {
  return { ok: false, error: refuse(code, message, { hint }) };
}

function digest(secret: string): string {
  return hash('sha256', secret, 'base64');
}

/** Node keeps the first of these and drops the rest in silence; whoever sends two wants two readers to disagree. */
function duplicateHeader(raw: readonly string[]): string | null {
  let seen = 0;
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string;
    const bit = single.get(name) ?? (mayBeSingle(name.length) ? single.get(name.toLowerCase()) : undefined);
    if (bit === undefined) continue;
    if (seen & bit) return name.toLowerCase();
    seen |= bit;
  }
  return null;
}

const singles = ['host', 'authorization', 'origin', 'content-type', 'content-length', 'transfer-encoding', 'upgrade', 'traceparent'];
const single = new Map(singles.map((name, index) => [name, 1 << index]));
const mayBeSingle = (length: number) => singles.some((name) => name.length === length);

function readCookie(header: string, name: string): string | null {
  for (const part of header.split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim();
  }
  return null;
}
