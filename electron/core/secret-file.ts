/** Secrets that the core makes for itself and keeps in its folder. */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Refusal, refuse } from '../../shared/errors.ts';

/** The text in `file`; written with what `make` gives when there is none. Only its owner may read it. Code: store_unavailable. */
export function keepSecret(file: string, make: () => string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code !== 'ENOENT') throw unusable(file, caught);
  }
  const made = make();
  try {
    // wx: of two processes that start at once one wins, the other reads what it wrote.
    const handle = openSync(file, 'wx', 0o600);
    writeSync(handle, `${made}\n`);
    fsyncSync(handle);
    closeSync(handle);
    return made;
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === 'EEXIST') return readFileSync(file, 'utf8').trim();
    throw unusable(file, caught);
  }
}

const unusable = (file: string, caught: unknown) =>
  new Refusal(
    refuse('store_unavailable', `The file ${file} cannot be used: ${(caught as Error).message}`, {
      hint: 'Make the data folder readable and writable.',
    }),
  );
