/** The registry file on disk: copied at first start, watched, saved, and never replaced by a worse one. */
import { isUtf8 } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  type FSWatcher,
  fchmodSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  unwatchFile,
  watch,
  watchFile,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { Registry, RegistryProblem, RegistryState } from '../../../shared/model.ts';
import { invalid, maxBytes, type Parsed, parseRegistry } from './parse.ts';
import { registrySchema } from './shape.ts';
import { createLines } from './yaml.ts';

export { parseRegistry } from './parse.ts';

export interface RegistryFile extends Disposable {
  readonly state: RegistryState;
  /** The registry that serves. */
  readonly registry: Registry;
  /** SHA-256 of `text()`, in hex. */
  readonly revision: string;
  /** The newest text that could be read, good or bad. */
  text(): string;
  check(text: string): Parsed;
  /**
   * Writes the file and serves it, all in one turn.
   * Throws `Refusal`: registry_invalid (with the places), conflict (the file is no longer at `revision`), store_unavailable.
   */
  save(text: string, revision: string): void;
}

export interface RegistryOptions {
  file: string;
  /** Copied to `file` when there is none, and served while the file is bad from the start. */
  template: string;
  /** Names of the built-in tools. */
  tools?: readonly string[];
  /** The newest text or its problems are others than before; `changed`: another registry serves now. Never called while opening. */
  onChange(changed: boolean): void;
  clock?: () => number;
}

/** Editors write in several steps; a file is read once it has been still for this long, or after the longer time in any case. */
const STILL_MS = 80;
const PATIENCE_MS = 1000;
/** Where the system does not report changes (some network folders), they are seen this often. */
const POLL_MS = 2000;

/** Opens the registry at `file`. Whatever is wrong with the file is told in `state.problems`; a registry always serves. */
export function openRegistry(options: RegistryOptions): RegistryFile {
  const { template, tools, onChange, clock = Date.now } = options;
  const file = resolve(options.file);
  const parseOptions = { file, ...(tools && { tools }) };

  let lastChecked: { text: string; parsed: Parsed } | null = null;
  const check = (text: string): Parsed => {
    if (lastChecked?.text !== text) lastChecked = { text, parsed: parseRegistry(text, parseOptions) };
    return lastChecked.parsed;
  };

  const builtIn = check(template);
  if (!builtIn.registry) throw new Error(`the built-in registry is not valid: ${JSON.stringify(builtIn.problems[0])}`);

  let registry = builtIn.registry;
  let text = template;
  let revision = revisionOf(template);
  let unreadable: string | null = null;
  let problems: RegistryProblem[] = [];
  let serving: RegistryState['serving'] = 'current';
  let generation = 1;
  let loadedAt = clock();

  /** Takes what is on disk now. Says whether anything is new, and whether another registry serves. */
  function take(found: Found): { news: boolean; changed: boolean } {
    if (found.text === null) {
      const news = unreadable !== found.fault.message;
      unreadable = found.fault.message;
      problems = [found.fault];
      serving = 'previous';
      return { news, changed: false };
    }
    const next = revisionOf(found.text);
    if (next === revision && unreadable === null) return { news: false, changed: false };
    unreadable = null;
    text = found.text;
    revision = next;
    const parsed: Parsed = found.fault ? { registry: null, problems: [found.fault] } : check(text);
    problems = parsed.problems;
    if (parsed.registry === null) {
      serving = 'previous';
      return { news: true, changed: false };
    }
    registry = parsed.registry;
    serving = 'current';
    generation++;
    loadedAt = clock();
    return { news: true, changed: true };
  }

  function start(): void {
    let created: RegistryProblem | null = null;
    if (!isThere(file)) {
      try {
        mkdirSync(dirname(file), { recursive: true });
        writeWhole(file, template);
        writeSchema(file, true);
      } catch (caught) {
        created = fileFault(
          `The registry could not be copied to ${file}: ${why(caught)}.`,
          'The built-in registry serves; changes cannot be kept.',
        );
      }
    } else writeSchema(file, false);
    if (created) {
      problems = [created];
      serving = 'previous';
      unreadable = created.message;
      return;
    }
    revision = '';
    const { changed } = take(readRegistryFile(file));
    generation = 1;
    if (revision === '') revision = revisionOf(text);
    if (!changed) {
      problems = [...problems, { ...fileFault('The built-in registry serves until this is corrected.', null), severity: 'warning' }];
    }
  }
  start();

  const look = () => {
    const { news, changed } = take(readRegistryFile(file));
    if (news) onChange(changed);
  };
  const watcher = watchRegistryFile(file, look);

  return {
    get state() {
      return {
        file,
        loadedAt,
        generation,
        orgs: registry.orgs.length,
        services: registry.routes.length,
        rules: registry.rules.length,
        problems,
        serving,
      };
    },
    get registry() {
      return registry;
    },
    get revision() {
      return revision;
    },
    text: () => text,
    check,
    save(next, expected) {
      const parsed = check(next);
      if (parsed.registry === null) throw invalid(parsed.problems);
      const found = readRegistryFile(file);
      const there = found.text === null ? revision : revisionOf(found.text);
      if (there !== expected) {
        const { news, changed } = take(found);
        if (news) onChange(changed);
        throw new Refusal(
          refuse('conflict', 'The registry file was changed by somebody else meanwhile.', {
            hint: 'Load it again, and make your change there.',
          }),
        );
      }
      try {
        mkdirSync(dirname(file), { recursive: true });
        writeWhole(file, next);
      } catch (caught) {
        throw new Refusal(
          refuse('store_unavailable', `The registry cannot be written: ${why(caught)}.`, {
            hint: `Look at the permissions and the space of ${dirname(file)}.`,
          }),
        );
      }
      const { news, changed } = take({ text: next, fault: null });
      if (news) onChange(changed);
    },
    [Symbol.dispose]: () => watcher[Symbol.dispose](),
  };
}

type Found = { text: string; fault: RegistryProblem | null } | { text: null; fault: RegistryProblem };

const fileFault = (message: string, hint: string | null): RegistryProblem => ({
  severity: 'error',
  line: 1,
  column: 1,
  path: '',
  message,
  hint,
});

export function revisionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function readRegistryFile(file: string): Found {
  try {
    const about = statSync(file);
    if (!about.isFile()) {
      const kind = about.isDirectory() ? 'a folder' : 'not a regular file';
      return { text: null, fault: fileFault(`${file} is ${kind}.`, 'Move it away and start again, or name another file.') };
    }
    if (about.size > maxBytes) {
      return {
        text: null,
        fault: fileFault(`${file} is larger than ${maxBytes / 1024 ** 2} MB.`, 'Split it up, or remove what is not used.'),
      };
    }
    const bytes = readFileSync(file);
    const text = bytes.toString('utf8');
    if (isUtf8(bytes)) return { text, fault: null };
    const at = createLines(text)(Math.max(0, text.indexOf('\ufffd')));
    return { text, fault: { ...fileFault('The file is not UTF-8 text.', 'Save it with the encoding UTF-8.'), ...at } };
  } catch (caught) {
    const gone = errorCode(caught) === 'ENOENT';
    return {
      text: null,
      fault: fileFault(
        gone ? `${file} is gone.` : `${file} cannot be read: ${why(caught)}.`,
        gone ? 'Put it back, or save the registry in the app.' : 'Give the user who runs Dispatcher the right to read it.',
      ),
    };
  }
}

/** Whether there is a file, a folder or a link, wherever the link leads. */
function isThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

const errorCode = (caught: unknown) => (caught as NodeJS.ErrnoException).code ?? '';

function why(caught: unknown): string {
  const words: Record<string, string> = {
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'the disk is read-only',
    ENOSPC: 'the disk is full',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of its path is not a folder',
    ELOOP: 'its links lead in a circle',
    ENOENT: 'there is no such folder',
  };
  return words[errorCode(caught)] ?? (caught instanceof Error ? caught.message : String(caught));
}

/** Replaces `file`, or what it links to, in one step; whoever reads sees the old text or the new. Keeps the mode. */
function writeWhole(file: string, text: string): void {
  // A link that leads nowhere throws here and is not replaced.
  const target = isThere(file) ? realpathSync(file) : file;
  const about = statSync(target, { throwIfNoEntry: false });
  if (about && !about.isFile()) throw Object.assign(new Error('not a file'), { code: 'EISDIR' });
  const mode = about ? about.mode & 0o777 : null;
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  const handle = openSync(temporary, 'wx', mode ?? 0o644);
  try {
    try {
      if (mode !== null) fchmodSync(handle, mode);
      const bytes = Buffer.from(text);
      for (let written = 0; written < bytes.length; ) written += writeSync(handle, bytes, written);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(temporary, target);
  } catch (caught) {
    unlinkSync(temporary);
    throw caught;
  }
  syncFolder(dirname(target));
}

/** Makes the rename itself durable. Windows has no such thing for folders. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** The JSON Schema the first line of the registry names. Editors do without it, so a failure is none. */
function writeSchema(file: string, create: boolean): void {
  const schema = join(dirname(file), 'registry.schema.json');
  const text = `${JSON.stringify(registrySchema(), null, 2)}\n`;
  try {
    if (existsSync(schema) ? readFileSync(schema, 'utf8') !== text : create) writeFileSync(schema, text);
  } catch {
    // Nothing depends on it.
  }
}

/** Calls `look` when `file`, or what it links to, may have changed and is still again. */
function watchRegistryFile(file: string, look: () => void): Disposable {
  let timer: NodeJS.Timeout | null = null;
  let since = 0;
  const stirred = () => {
    const now = performance.now();
    if (timer === null) since = now;
    else clearTimeout(timer);
    timer = setTimeout(
      () => {
        timer = null;
        look();
      },
      Math.max(0, Math.min(STILL_MS, since + PATIENCE_MS - now)),
    );
  };
  const watchers: FSWatcher[] = [];
  const watchFolderOf = (path: string) => {
    try {
      const watcher = watch(dirname(path), (_event, name) => {
        if (name === null || name === basename(path)) stirred();
      });
      watcher.on('error', () => watcher.close());
      watchers.push(watcher);
    } catch {
      // No folder, or no more watches to be had: the poll below sees it.
    }
  };
  watchFolderOf(file);
  try {
    const target = realpathSync(file);
    if (target !== file) watchFolderOf(target);
  } catch {
    // Not there yet.
  }
  watchFile(file, { interval: POLL_MS }, stirred);
  return {
    [Symbol.dispose]() {
      for (const watcher of watchers) watcher.close();
      unwatchFile(file, stirred);
      if (timer !== null) clearTimeout(timer);
    },
  };
}
