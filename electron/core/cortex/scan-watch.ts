/** The compose and Quadlet files of the scanned folders, read when they change. */
import { isUtf8 } from 'node:buffer';
import { closeSync, type FSWatcher, fstatSync, openSync, readdirSync, readSync, statSync, watch } from 'node:fs';
import { basename, join } from 'node:path';
import type { InvalidUnit, Provider } from '../../../shared/cortex.ts';
import { dropInsOf, mayHaveUnits, readUnits, type Scanned } from './scan.ts';

export interface Units extends Disposable {
  /** Sorted by folder, file and place. */
  providers(): Provider[];
  invalid(): InvalidUnit[];
  /** Scans these folders from now on; what they have is known when it returns. */
  follow(folders: readonly string[]): void;
  /** Watches from now on. */
  start(): void;
}

export interface UnitsOptions {
  /** The files say something else than before. */
  onChange(): void;
}

const mostBytes = 256 * 1024;
const mostFiles = 1000;
const mostDropIns = 50;
/** Editors write in several steps: files are read once they have been still for so long, or after the longer time in any case. */
const STILL_MS = 100;
const PATIENCE_MS = 1000;
/** For systems that do not report changes, and folders that are not there yet. */
const POLL_MS = 1500;

interface Known {
  /** Changes when the file does. */
  mark: string;
  scanned: Scanned;
}

export function watchUnits({ onChange }: UnitsOptions): Units {
  let folders: string[] = [];
  let watchers = new Map<string, FSWatcher>();
  let files = new Map<string, Known>();
  let missing: InvalidUnit[] = [];
  let absent = new Set<string>();
  let told = '';
  let started = false;
  let timer: NodeJS.Timeout | null = null;
  let since = 0;
  let poll: NodeJS.Timeout | null = null;

  /** True when something is said that was not said before. */
  function look(): boolean {
    const next = new Map<string, Known>();
    missing = [];
    absent = new Set();
    for (const folder of folders) {
      let names: string[];
      try {
        names = readdirSync(folder).filter(mayHaveUnits).sort();
      } catch (caught) {
        absent.add(folder);
        missing.push({ file: folder, line: null, unit: basename(folder), message: `This folder cannot be read: ${why(caught)}.` });
        continue;
      }
      if (names.length > mostFiles)
        missing.push({
          file: folder,
          line: null,
          unit: basename(folder),
          message: `It has ${names.length} units; the first ${mostFiles} are read.`,
        });
      for (const name of names.slice(0, mostFiles)) {
        const file = join(folder, name);
        const mark = markOf(file);
        const known = files.get(file);
        next.set(file, known?.mark === mark ? known : { mark, scanned: read(file) });
      }
    }
    files = next;
    const text = JSON.stringify([missing, [...files.values()].map(({ scanned }) => scanned)]);
    const news = text !== told;
    told = text;
    return news;
  }

  function stirred(): void {
    const now = performance.now();
    if (timer === null) since = now;
    else clearTimeout(timer);
    const pause = Math.max(0, Math.min(STILL_MS, since + PATIENCE_MS - now));
    timer = setTimeout(() => {
      timer = null;
      watchAll();
      if (look()) onChange();
    }, pause).unref();
  }

  function watchAll(): void {
    if (!started) return;
    const next = new Map<string, FSWatcher>();
    for (const folder of folders) {
      const known = watchers.get(folder);
      if (known) next.set(folder, known);
      else {
        try {
          const watcher = watch(folder, { persistent: false }, (_event, name) => {
            if (name === null || mayHaveUnits(name)) stirred();
          });
          // A folder that goes takes its watch with it; the poll sees when there is one again.
          const drop = () => {
            watcher.close();
            if (watchers.get(folder) === watcher) watchers.delete(folder);
          };
          watcher.on('error', drop);
          next.set(folder, watcher);
        } catch {
          // Not there, or no more watches to be had.
        }
      }
    }
    for (const [folder, watcher] of watchers) if (!next.has(folder)) watcher.close();
    watchers = next;
    if (folders.length > 0) poll ??= setInterval(glance, POLL_MS).unref();
    else if (poll) {
      clearInterval(poll);
      poll = null;
    }
  }

  /** Like `look`, without reading what has not changed; a change is read when it is still. */
  function glance(): void {
    watchAll();
    const marks = new Map<string, string>();
    for (const folder of folders) {
      try {
        for (const name of readdirSync(folder).filter(mayHaveUnits).sort().slice(0, mostFiles))
          marks.set(join(folder, name), markOf(join(folder, name)));
      } catch {
        marks.set(folder, '');
      }
    }
    const before = new Map<string, string>([
      ...[...absent].map((folder) => [folder, ''] as const),
      ...[...files].map(([file, { mark }]) => [file, mark] as const),
    ]);
    const same = marks.size === before.size && [...marks].every(([file, mark]) => before.get(file) === mark);
    if (!same && timer === null) stirred();
  }

  return {
    providers: () => [...files.values()].flatMap(({ scanned }) => scanned.providers),
    invalid: () => [...missing, ...[...files.values()].flatMap(({ scanned }) => scanned.invalid)],
    follow(next) {
      if (JSON.stringify(next) === JSON.stringify(folders)) return;
      folders = [...next];
      watchAll();
      look();
    },
    start() {
      started = true;
      watchAll();
      // What changed before anybody watched.
      if (look()) onChange();
    },
    [Symbol.dispose]() {
      started = false;
      folders = [];
      if (timer) clearTimeout(timer);
      if (poll) clearInterval(poll);
      for (const watcher of watchers.values()) watcher.close();
      watchers.clear();
    },
  };
}

/** What its drop-ins are belongs to it. */
const markOf = (file: string): string => [file, ...dropInsAt(file)].map(markAt).join('\n');

/** The files with more of a unit, in the order in which they count. */
function dropInsAt(file: string): string[] {
  const folder = dropInsOf(file);
  if (folder === null) return [];
  try {
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf'));
    return names
      .sort()
      .slice(0, mostDropIns)
      .map((name) => join(folder, name));
  } catch {
    // It has none.
    return [];
  }
}

function markAt(file: string): string {
  try {
    const { mtimeMs, ctimeMs, size, ino } = statSync(file);
    return `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
  } catch (caught) {
    return why(caught);
  }
}

function read(file: string): Scanned {
  const main = textOf(file);
  const dropIns = dropInsAt(file).map((each) => ({ file: each, ...textOf(each) }));
  const refused = [{ file, ...main }, ...dropIns].flatMap(({ file: each, text, fault }): InvalidUnit[] =>
    text === null ? [{ file: each, line: null, unit: basename(file), message: fault }] : [],
  );
  if (main.text === null) return { providers: [], invalid: refused };
  const scanned = readUnits(
    file,
    main.text,
    dropIns.flatMap(({ file: each, text }) => (text === null ? [] : [{ file: each, text }])),
  );
  return { ...scanned, invalid: [...refused, ...scanned.invalid] };
}

/** `text` null: `fault` says why in one sentence. */
function textOf(file: string): { text: string; fault: null } | { text: null; fault: string } {
  const refused = (fault: string) => ({ text: null, fault });
  try {
    // A pipe would hold the reader up for as long as nobody writes to it.
    if (!statSync(file).isFile()) return refused('It is not a regular file.');
    const handle = openSync(file, 'r');
    try {
      if (fstatSync(handle).size > mostBytes) return refused(`It is larger than ${mostBytes / 1024} KB.`);
      const bytes = Buffer.alloc(mostBytes + 1);
      let length = 0;
      for (let got = -1; got !== 0 && length < bytes.length; length += got)
        got = readSync(handle, bytes, length, bytes.length - length, null);
      const text = bytes.subarray(0, length);
      if (length > mostBytes) return refused(`It is larger than ${mostBytes / 1024} KB.`);
      if (!isUtf8(text)) return refused('It is not UTF-8 text.');
      return { text: text.toString('utf8').replace(/^\ufeff/, ''), fault: null };
    } finally {
      closeSync(handle);
    }
  } catch (caught) {
    return refused(`It cannot be read: ${why(caught)}.`);
  }
}

const words: Record<string, string> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'it is not a folder',
  ELOOP: 'its links lead in a circle',
};

function why(caught: unknown): string {
  const { code = '', message } = caught as NodeJS.ErrnoException;
  return words[code] ?? message;
}
