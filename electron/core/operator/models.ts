/**
 * Models kept on disk, so that a start with the same examples need not learn again. A model is found by everything it depends
 * on: names, examples, seed, and the code that trains and reads it. What cannot be read or written is learned anew: nothing here is needed.
 */
import { createHash, hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Model } from './model.ts';
import type { Lesson } from './train.ts';

const KEPT = 4;
const DIGEST_BYTES = 32;

export interface Models {
  get(lesson: Lesson): Model | null;
  put(lesson: Lesson, model: Model): void;
}

/** Keeps the newest few models in `folder`, which is made when the first is put. */
export function createModels(folder: string): Models {
  let code: string | null = null;
  const fileOf = ({ names, examples, seed }: Lesson) => {
    code ??= codeDigest();
    return join(folder, `${hash('sha256', JSON.stringify([code, process.versions.v8, names, examples, seed]), 'hex')}.model`);
  };
  return {
    get(lesson) {
      try {
        const bytes = readFileSync(fileOf(lesson));
        const body = bytes.subarray(DIGEST_BYTES);
        if (!hash('sha256', body, 'buffer').equals(bytes.subarray(0, DIGEST_BYTES))) return null;
        return deserialize(body) as Model;
      } catch {
        return null;
      }
    },
    put(lesson, model) {
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        const file = fileOf(lesson);
        const body = serialize(model);
        writeFileSync(`${file}.new`, Buffer.concat([hash('sha256', body, 'buffer'), body]), { mode: 0o600 });
        renameSync(`${file}.new`, file);
        const found = readdirSync(folder)
          .filter((name) => name.endsWith('.model'))
          .map((name) => ({ path: join(folder, name), at: statSync(join(folder, name)).mtimeMs }))
          .sort((a, b) => b.at - a.at);
        for (const { path } of found.slice(KEPT)) rmSync(path, { force: true });
      } catch {
        // The next start learns again.
      }
    },
  };
}

/** Digest of the sources beside this one: a model of another version must not be read by this one. */
function codeDigest(): string {
  const digest = createHash('sha256');
  const names = readdirSync(import.meta.dirname).filter((name) => /\.[cm]?[jt]s$/.test(name) && !name.includes('.test.'));
  for (const name of names.sort()) digest.update(name).update(readFileSync(join(import.meta.dirname, name)));
  return digest.digest('hex');
}
