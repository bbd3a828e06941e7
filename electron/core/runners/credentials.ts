/** What a service is shown so that it lets us in. */
import { refuse, type WireError } from '../../../shared/errors.ts';
import type { ServiceAuth } from '../../../shared/model.ts';

/** Name and value of the header that `auth` asks for, none where it asks for nothing; registry_invalid where its secret is not set. */
export function credentials(
  who: string,
  { auth, secret }: { auth: ServiceAuth | null; secret(name: string): string | null },
): string[] | WireError {
  if (auth === null) return [];
  const value = secret(auth.env)?.trim();
  if (!value) {
    return refuse('registry_invalid', `${who} needs a secret in ${auth.env}, which is not set.`, {
      hint: `Set the environment variable ${auth.env} and start Dispatcher again.`,
    });
  }
  return auth.kind === 'bearer' ? ['authorization', `Bearer ${value}`] : [auth.header ?? 'x-api-key', value];
}
