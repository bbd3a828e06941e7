/**
 * Files below declared folders, reached by open handles and never by the look of a path: every component is opened inside the
 * handle of the one before it, without following links, and what was opened is judged by `fstat`. So `..`, links, a folder that
 * is swapped while we walk, devices, pipes and files with a second name somewhere else do not lead out.
 *
 * "Inside the handle" is `/proc/self/fd/N/name`, which is what openat(2) does. Where there is no /proc (macOS, Windows) the walk
 * goes by path: each component is looked at before it is opened, and what is open is compared with what the path names then.
 * There, somebody who may change folders inside the root can win a race as far as having a file opened, or an empty one made,
 * outside; nothing is read from it or written to it, because the paths no longer agree.
 */
import { constants, existsSync, type Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, opendir, realpath, rename, unlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { ToolSettings } from '../../../shared/model.ts';
import { misfit } from './tools.ts';

export type Root = ToolSettings['roots'][number];

export interface Entry {
  name: string;
  kind: 'file' | 'folder' | 'link' | 'other';
  sizeBytes: number | null;
  modifiedAt: number;
}

/** Names looked at in one folder at most. */
const MOST_NAMES = 20_000;

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_APPEND } = constants;
// Absent on Windows, where nothing can be named by a link without the check below seeing it.
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0;
const O_DIRECTORY = constants.O_DIRECTORY ?? 0;
const O_NONBLOCK = constants.O_NONBLOCK ?? 0;

/** The components of a path given by a caller. Refuses input_invalid: what is absolute, goes up, or no name on this system. */
export function componentsOf(path: string): string[] {
  const no = (message: string) => misfit('path', message, 'Write a path inside the folder, such as notes/today.txt.');
  if (path.length > 4096) throw no('This path is too long.');
  for (const character of path) {
    const code = character.codePointAt(0)!;
    if (code < 32 || code === 127) throw no('A path has no control characters.');
  }
  if (path.startsWith('/') || /^[A-Za-z]:[\\/]/.test(path) || path.startsWith('\\')) throw no('This path is absolute.');
  if (path === '~' || path.startsWith('~/')) throw no('~ is not a folder here.');
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.length > 64) throw no('This path is too deep.');
  for (const part of parts) {
    if (part === '..') throw no('A path does not go up.');
    if (Buffer.byteLength(part) > 255) throw no('A name in this path is too long.');
    // Streams, drives, devices and names that Windows cuts.
    if (sep === '\\' && (/[\\:*?"<>|]/.test(part) || /[. ]$/.test(part) || /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(part)))
      throw no(`"${part}" is not a name on this system.`);
  }
  return parts;
}

/** How a place below an open folder is named to the system. */
interface Folder extends AsyncDisposable {
  at(name: string): string;
  /** Throws when the folder is no longer where it was (never, where handles name places). */
  still(): Promise<void>;
}

export interface Files {
  list(parts: string[]): Promise<Entry[]>;
  /** At most `length` bytes from `offset` on. */
  read(parts: string[], range: { offset: number; length: number }): Promise<{ bytes: Buffer; sizeBytes: number; modifiedAt: number }>;
  /** Durable once it resolves. `create` refuses what is there already, `replace` is one atomic change. */
  write(
    parts: string[],
    change: { bytes: Buffer; mode: 'create' | 'replace' | 'append'; folders: boolean },
  ): Promise<{ sizeBytes: number }>;
}

/** The files of one root. `byHandle`: false tries the walk of systems without /proc. Codes: not_found, forbidden, conflict, input_invalid. */
export function openFiles(root: Root, { byHandle = existsSync('/proc/self/fd') }: { byHandle?: boolean } = {}): Files {
  const shown = (parts: string[]) => `${root.name}:${parts.join('/') || '.'}`;

  async function openRoot(): Promise<Folder> {
    // The declared folder may be a link: who declared it meant where it leads.
    const real = await realpath(root.path);
    return folderOf(await open(real, O_RDONLY | O_DIRECTORY), real);
  }

  async function folderOf(handle: FileHandle, path: string): Promise<Folder> {
    try {
      const held = await handle.stat({ bigint: true });
      if (!held.isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
      const still = async () => {
        if (byHandle) return;
        const now = await lstat(path, { bigint: true });
        if (now.ino !== held.ino || now.dev !== held.dev || (await realpath(path)) !== path)
          throw Object.assign(new Error('moved'), { code: 'ELOOP' });
      };
      await still();
      return {
        at: (name) => (byHandle ? `/proc/self/fd/${handle.fd}/${name}` : join(path, name)),
        still,
        [Symbol.asyncDispose]: () => handle.close(),
      };
    } catch (caught) {
      await handle.close();
      throw caught;
    }
  }

  /** Opens the folder that holds the last component, or with `whole` the one that the path names. */
  async function walk(parts: string[], { make = false }: { make?: boolean } = {}): Promise<Folder> {
    let folder = await openRoot();
    let path = byHandle ? '' : await realpath(root.path);
    for (const name of parts) {
      const outer = folder;
      try {
        path = join(path, name);
        let place = await lstat(outer.at(name)).catch((caught: NodeJS.ErrnoException) => {
          if (make && caught.code === 'ENOENT') return null;
          throw caught;
        });
        if (place === null) {
          await mkdir(outer.at(name), { mode: 0o755 }).catch((caught: NodeJS.ErrnoException) => {
            if (caught.code !== 'EEXIST') throw caught;
          });
          place = await lstat(outer.at(name));
        }
        if (place.isSymbolicLink()) throw linkRefused(parts);
        if (!place.isDirectory()) throw Object.assign(new Error('not a folder'), { code: 'ENOTDIR' });
        folder = await folderOf(await open(outer.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW), path);
        await outer.still();
      } finally {
        await outer[Symbol.asyncDispose]();
      }
    }
    return folder;
  }

  const linkRefused = (parts: string[]) =>
    new Refusal(
      refuse('forbidden', `${shown(parts)} is a link or leads through one, and links are not followed.`, {
        hint: 'Name the file itself, or declare the folder it is in.',
      }),
    );

  function judge(parts: string[], stats: Stats): void {
    if (stats.isSymbolicLink()) throw linkRefused(parts);
    if (stats.isDirectory()) throw misfit('path', `${shown(parts)} is a folder.`, 'List it with OS.fs.list, or name a file in it.');
    if (!stats.isFile())
      throw new Refusal(refuse('forbidden', `${shown(parts)} is no regular file.`, { hint: 'Devices, pipes and sockets are not opened.' }));
    if (stats.nlink > 1)
      throw new Refusal(
        refuse('forbidden', `${shown(parts)} has a second name, which may be outside of the folder.`, {
          hint: 'Copy it, and name the copy.',
        }),
      );
  }

  /** The regular file at the end of the path. What is there is looked at before it is opened, because opening a device can act. */
  async function openFile(
    folder: Folder,
    { parts, flags }: { parts: string[]; flags: number },
  ): Promise<{ handle: FileHandle; stats: Stats }> {
    const place = folder.at(parts.at(-1)!);
    judge(parts, await lstat(place));
    const handle = await open(place, flags | O_NOFOLLOW | O_NONBLOCK);
    try {
      const stats = await handle.stat();
      judge(parts, stats);
      if (!byHandle) {
        const now = await lstat(place);
        if (now.ino !== stats.ino || now.dev !== stats.dev) throw linkRefused(parts);
      }
      await folder.still();
      return { handle, stats };
    } catch (caught) {
      await handle.close();
      throw caught;
    }
  }

  /** What the system said, in words that do not show where the root is. */
  async function told<T>(parts: string[], act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (caught) {
      if (caught instanceof Refusal) throw caught;
      const { code } = caught as NodeJS.ErrnoException;
      switch (code) {
        case 'ENOENT':
          throw new Refusal(refuse('not_found', `There is no ${shown(parts)}.`, { hint: 'See what there is with OS.fs.list.' }));
        case 'ELOOP':
        case 'EMLINK':
          throw linkRefused(parts);
        case 'ENOTDIR':
          throw misfit(
            'path',
            `${shown(parts)} is not a folder, or leads through something that is none.`,
            'See what there is with OS.fs.list.',
          );
        case 'EISDIR':
          throw misfit('path', `${shown(parts)} is a folder.`, 'Name a file in it.');
        case 'EACCES':
        case 'EPERM':
        case 'EROFS':
          throw new Refusal(refuse('forbidden', `${shown(parts)} may not be opened by the user that Dispatcher runs as (${code}).`));
        case 'EEXIST':
          throw new Refusal(refuse('conflict', `${shown(parts)} is there already.`, { hint: 'Say mode: replace or append.' }));
        case 'ENAMETOOLONG':
        case 'EINVAL':
        case 'EILSEQ':
          throw misfit('path', `${shown(parts)} is not a name that can be used.`, 'Take another.');
        case 'ENOSPC':
        case 'EDQUOT':
        case 'EFBIG':
          throw new Refusal(refuse('conflict', `${shown(parts)} could not be written: the disk is full or the file too large (${code}).`));
        case 'ETXTBSY':
        case 'EBUSY':
        case 'EMFILE':
        case 'ENFILE':
        case 'EIO':
        case 'ENXIO':
        case 'ENODEV':
        case 'ESTALE':
          throw new Refusal(refuse('conflict', `${shown(parts)} cannot be used now (${code}).`, { hint: 'Try again later.' }));
      }
      throw caught;
    }
  }

  return {
    list: (parts) =>
      told(parts, async () => {
        await using folder = await walk(parts);
        const names: string[] = [];
        for await (const { name } of await opendir(folder.at('.'), { bufferSize: 256 })) {
          if (names.push(name) >= MOST_NAMES) break;
        }
        names.sort((a, b) => (a < b ? -1 : 1));
        const entries: Entry[] = [];
        for (const name of names) {
          // Gone since the folder was read: then it is not there.
          const stats = await lstat(folder.at(name)).catch(() => null);
          if (stats === null) continue;
          const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : stats.isSymbolicLink() ? 'link' : 'other';
          entries.push({ name, kind, sizeBytes: kind === 'file' ? stats.size : null, modifiedAt: Math.round(stats.mtimeMs) });
        }
        await folder.still();
        return entries;
      }),

    read: (parts, { offset, length }) =>
      told(parts, async () => {
        if (parts.length === 0) throw misfit('path', `${shown(parts)} is a folder.`, 'Name a file in it.');
        await using folder = await walk(parts.slice(0, -1));
        const { handle, stats } = await openFile(folder, { parts, flags: O_RDONLY });
        await using _ = handle;
        const bytes = Buffer.alloc(Math.min(length, Math.max(0, stats.size - offset)));
        let filled = 0;
        while (filled < bytes.length) {
          const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, offset + filled);
          if (bytesRead === 0) break;
          filled += bytesRead;
        }
        return { bytes: bytes.subarray(0, filled), sizeBytes: stats.size, modifiedAt: Math.round(stats.mtimeMs) };
      }),

    write: (parts, { bytes, mode, folders }) =>
      told(parts, async () => {
        if (!root.write)
          throw new Refusal(
            refuse('forbidden', `${root.name} may only be read.`, { hint: 'Declare write: true for it under tools.fs.roots.' }),
          );
        if (parts.length === 0) throw misfit('path', `${shown(parts)} is a folder.`, 'Name a file in it.');
        await using folder = await walk(parts.slice(0, -1), { make: folders });
        const place = folder.at(parts.at(-1)!);
        const there = await lstat(place).catch((caught: NodeJS.ErrnoException) => {
          if (caught.code === 'ENOENT') return null;
          throw caught;
        });
        if (there !== null) judge(parts, there);
        if (there !== null && mode === 'append') {
          const { handle, stats } = await openFile(folder, { parts, flags: O_WRONLY | O_APPEND });
          await using _ = handle;
          await handle.writeFile(bytes);
          await handle.sync();
          return { sizeBytes: stats.size + bytes.length };
        }
        if (there !== null && mode === 'create') throw Object.assign(new Error('there'), { code: 'EEXIST' });
        const fresh =
          mode === 'replace' ? folder.at(`.${process.pid}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}.part`) : place;
        {
          await using handle = await open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
          try {
            await folder.still();
            if (there !== null) await handle.chmod(there.mode & 0o777);
            await handle.writeFile(bytes);
            await handle.sync();
          } catch (caught) {
            await unlink(fresh).catch(() => undefined);
            throw caught;
          }
        }
        if (fresh !== place) {
          await rename(fresh, place).catch(async (caught) => {
            await unlink(fresh).catch(() => undefined);
            throw caught;
          });
        }
        return { sizeBytes: bytes.length };
      }),
  };
}
