/** What of a core takes longest and needs nothing of the rest: its key and its store, whose thread starts while the rest is still being loaded. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Refusal, refuse } from '../../shared/errors.ts';
import { createSigner, type Signer } from './crossing.ts';
import { openStore, type Store } from './store/store.ts';

export interface Begun extends AsyncDisposable {
  readonly databaseFile: string;
  readonly signer: Signer;
  /** Rejects with Refusal database_newer or store_unavailable. */
  readonly store: Promise<Store>;
}

/** Throws `Refusal` store_unavailable when the folder or the key in it cannot be made. `clock`: milliseconds since the epoch. */
export function beginCore(home: string, clock: () => number = Date.now): Begun {
  makeFolder(home);
  const databaseFile = join(home, 'dispatcher.sqlite');
  const signer = createSigner(join(home, 'key.pem'));
  const store = openStore({ file: databaseFile, checkpointFile: join(home, 'checkpoints.jsonl'), key: signer.key, now: clock });
  const closed = store.then(
    (opened) => opened,
    // Told to whoever awaits the store.
    () => null,
  );
  return { databaseFile, signer, store, [Symbol.asyncDispose]: async () => (await closed)?.[Symbol.asyncDispose]() };
}

function makeFolder(home: string): void {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 });
  } catch (caught) {
    throw new Refusal(
      refuse('store_unavailable', `The folder ${home} cannot be made: ${(caught as Error).message}`, {
        hint: 'Choose another with DISPATCHER_HOME.',
      }),
    );
  }
}
