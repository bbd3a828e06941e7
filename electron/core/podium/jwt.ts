/** The token Podium asks for when a secret is set: a JSON Web Token (RFC 7519) signed with HS256 (RFC 7515). */
import { createHmac, randomUUID } from 'node:crypto';

/** Podium knows two: an admin commands, a viewer only looks. */
export type PodiumRole = 'admin' | 'viewer';

/** Good for the one request it is made for, with room for clocks that differ. */
const lifetimeS = 60;

/** `now` is milliseconds since the epoch; `subject` names who asks. */
export function signToken(secret: string, claims: { subject: string; role: PodiumRole; now: number }): string {
  const iat = Math.floor(claims.now / 1000);
  const body = {
    iss: 'dispatcher',
    aud: 'podium',
    sub: claims.subject,
    role: claims.role,
    iat,
    exp: iat + lifetimeS,
    jti: randomUUID(),
  };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(body)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
