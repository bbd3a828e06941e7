/** `fs.list`, `fs.read`, `fs.head` and `fs.write`: files below the folders that the registry declares under `tools.fs.roots`. */
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { ToolSettings } from '../../../shared/model.ts';
import { componentsOf, openFiles, type Root } from './files.ts';
import { misfit, type Tool, tool } from './tools.ts';

const MOST_BYTES = 4 * 1024 ** 2;
const USUAL_BYTES = 256 * 1024;

const where = {
  text: z.string().max(2000).optional(),
  /** The name of the folder; the only one when there is only one. */
  root: z.string().max(64).optional(),
  path: z.string().max(4096).optional(),
};

/** `roots` is asked at every call, so that a changed registry counts at once. `byHandle`: see openFiles. */
export function createFsTools({ roots, byHandle }: { roots(): ToolSettings['roots']; byHandle?: boolean }): Tool[] {
  const walking = byHandle === undefined ? {} : { byHandle };

  /** The root and the components of a path. A path may start with the name of the root: `notes:today.txt`, or `notes/today.txt` where no root is named. */
  function locate({ root: named, path = '' }: { root?: string | undefined; path?: string | undefined }): { root: Root; parts: string[] } {
    const declared = roots();
    if (declared.length === 0)
      throw new Refusal(
        refuse('forbidden', 'No folder is declared, so no file can be reached.', {
          hint: 'Add to the registry: tools: {fs: {roots: [{name: notes, path: /home/me/notes}]}}.',
        }),
      );
    const names = declared.map(({ name }) => name);
    const of = (name: string) => declared.find((each) => each.name === name);
    const prefixed = named === undefined ? /^([A-Za-z0-9][A-Za-z0-9_-]*):(.*)$/s.exec(path) : null;
    if (prefixed && of(prefixed[1]!)) return { root: of(prefixed[1]!)!, parts: componentsOf(prefixed[2]!) };
    const parts = componentsOf(path);
    if (named !== undefined) {
      const root = of(named);
      if (!root) throw misfit('root', `There is no folder named ${named}.`, `There is ${names.join(', ')}.`);
      return { root, parts };
    }
    const first = parts[0] === undefined ? undefined : of(parts[0]);
    if (first) return { root: first, parts: parts.slice(1) };
    if (declared.length === 1) return { root: declared[0]!, parts };
    throw misfit('root', 'It is not said in which folder.', `Name one of ${names.join(', ')}, such as ${names[0]}/${parts.join('/')}.`);
  }

  const list = tool({
    name: 'fs.list',
    summary: 'What is in a declared folder',
    examples: ['list the files in notes', 'fs.list notes', 'which files are in the folder reports'],
    input: z.strictObject({ ...where, after: z.string().max(255).optional(), limit: z.number().int().min(1).max(1000).default(200) }),
    async answer({ text, after, limit, ...asked }) {
      const declared = roots();
      const path = asked.path ?? (text === undefined ? undefined : folderIn(text));
      // Asked for nothing in particular where there are several: what can be asked for.
      if (path === undefined && asked.root === undefined && declared.length > 1)
        return { roots: declared.map(({ name, write }) => ({ name, write })) };
      const { root, parts } = locate({ ...asked, path });
      const entries = await openFiles(root, walking).list(parts);
      const rest = after === undefined ? entries : entries.filter(({ name }) => name > after);
      return { root: root.name, path: parts.join('/'), entries: rest.slice(0, limit), total: entries.length, more: rest.length > limit };
    },
  });

  const read = tool({
    name: 'fs.read',
    summary: 'The content of a file in a declared folder',
    examples: ['read the file notes/today.txt', 'show the file notes/todo.md', 'fs.read notes/today.txt'],
    input: z.strictObject({
      ...where,
      offset: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
      length: z.number().int().min(1).max(MOST_BYTES).default(USUAL_BYTES),
      encoding: z.enum(['auto', 'utf8', 'base64']).default('auto'),
    }),
    async answer({ text, offset, length, encoding, ...asked }) {
      const { root, parts } = locate({ ...asked, path: asked.path ?? fileIn(text) });
      const { bytes, sizeBytes, modifiedAt } = await openFiles(root, walking).read(parts, { offset, length });
      const more = offset + bytes.length < sizeBytes;
      const whole = encoding === 'base64' ? null : textOf(bytes, more);
      if (whole === null && encoding === 'utf8')
        throw misfit('encoding', 'This file is no UTF-8 text.', 'Say encoding: base64, or leave it out.');
      const taken = whole?.bytes ?? bytes.length;
      return {
        ...{ root: root.name, path: parts.join('/'), sizeBytes, modifiedAt, offset, bytes: taken, more: offset + taken < sizeBytes },
        ...(whole === null ? { encoding: 'base64', base64: bytes.toString('base64') } : { encoding: 'utf8', text: whole.text }),
      };
    },
  });

  const head = tool({
    name: 'fs.head',
    summary: 'The first lines of a file in a declared folder',
    examples: ['first 10 lines of notes/today.txt', 'head of notes/log.txt', 'fs.head notes/today.txt'],
    input: z.strictObject({ ...where, lines: z.number().int().min(1).max(1000).optional() }),
    async answer({ text, lines, ...asked }) {
      const wanted = lines ?? Math.min(1000, Number(/\b(?:first|top)\s+(\d{1,4})\b/i.exec(text ?? '')?.[1] ?? 10));
      const { root, parts } = locate({ ...asked, path: asked.path ?? fileIn(text) });
      const { bytes, sizeBytes } = await openFiles(root, walking).read(parts, { offset: 0, length: USUAL_BYTES });
      const whole = textOf(bytes, bytes.length < sizeBytes);
      if (whole === null) throw misfit('path', 'This file is no UTF-8 text.', 'Read it with OS.fs.read, which answers base64.');
      const split = whole.text.split('\n');
      if (split.at(-1) === '') split.pop();
      const shown = split.slice(0, wanted);
      return { root: root.name, path: parts.join('/'), sizeBytes, lines: shown, more: split.length > wanted || bytes.length < sizeBytes };
    },
  });

  const write = tool({
    name: 'fs.write',
    outward: true,
    summary: 'Writes a file in a folder that is declared with write: true',
    examples: ['fs.write notes/today.txt', 'write a file in the folder notes', 'save this text as a file in notes'],
    input: z.strictObject({
      ...where,
      path: z.string().min(1).max(4096),
      content: z.string().max(MOST_BYTES).optional(),
      base64: z
        .base64()
        .max(6 * 1024 ** 2)
        .optional(),
      mode: z.enum(['create', 'replace', 'append']).default('create'),
      /** Makes the folders on the way. */
      folders: z.boolean().default(false),
    }),
    async answer({ content, base64, mode, folders, text: _, ...asked }) {
      if ((content === undefined) === (base64 === undefined))
        throw misfit('content', 'Either content or base64 says what to write.', 'Give one of them.');
      const bytes = content !== undefined ? Buffer.from(content.toWellFormed()) : Buffer.from(base64!, 'base64');
      if (bytes.length > MOST_BYTES) throw misfit('content', `At most ${MOST_BYTES} bytes at a time.`, 'Write the rest with mode: append.');
      const { root, parts } = locate(asked);
      const { sizeBytes } = await openFiles(root, walking).write(parts, { bytes, mode, folders });
      return { root: root.name, path: parts.join('/'), written: bytes.length, sizeBytes, mode };
    },
  });

  return [list, read, head, write];
}

/** The text of bytes that are UTF-8, without a character that the end of the range cut; null for other bytes. */
function textOf(bytes: Buffer, cut: boolean): { text: string; bytes: number } | null {
  const tries = cut ? 4 : 1;
  for (let drop = 0; drop < tries && drop <= bytes.length; drop++) {
    const part = bytes.subarray(0, bytes.length - drop);
    if (isUtf8(part) && !part.includes(0)) return { text: part.toString('utf8'), bytes: part.length };
  }
  return null;
}

const quoted = /["'`]([^"'`]{1,1000})["'`]/;

/** The path in a sentence: what is quoted, else the last word with a dot or slash in it. */
function fileIn(text: string | undefined): string {
  const found =
    quoted.exec(text ?? '')?.[1] ??
    text?.match(/[^\s"'`]*[./:][^\s"'`]*[^\s"'`.?!]/g)?.findLast((word) => !/^fs\.(?:read|head)$/.test(word));
  if (found === undefined) throw misfit('path', 'It is not said which file.', 'Give path, such as notes/today.txt.');
  return found;
}

function folderIn(text: string): string | undefined {
  return (
    quoted.exec(text)?.[1] ??
    /^\s*fs\.list\s+(\S+)\s*$/i.exec(text)?.[1] ??
    /\b(?:in|of|below|under|inside)\s+(?:the\s+|my\s+)?(?:(?:folder|directory)\s+)?([^\s"'`]+?)(?:\s+(?:folder|directory))?[?.!]?\s*$/i.exec(
      text,
    )?.[1]
  );
}
