/** `memory.write`, `memory.search`, `memory.list` and `memory.delete`: what a principal wants kept. Everybody sees only their own. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Refusal, refuse } from '../../../shared/errors.ts';
import type { MemoryReader } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { misfit, type Tool, tool } from './tools.ts';

const MOST_CHARS = 100_000;
const MOST_TEXTS = 100_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const plain = /^[^\x00]*$/;
const tags = z
  .array(
    z
      .string()
      .min(1)
      .max(100)
      .regex(/^[^\p{Cc}]*$/u, 'has control characters'),
  )
  .max(50);
const namespace = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'has letters, digits, ".", "-" and "_", at most 64');

export interface MemoryOptions {
  store: Pick<Store, 'remember' | 'forget'> & { read: MemoryReader };
  clock?: () => number;
}

export function createMemoryTools({ store, clock = Date.now }: MemoryOptions): Tool[] {
  const write = tool({
    name: 'memory.write',
    summary: 'Keeps a text',
    examples: ['remember that the Eiffel Tower is in Paris', 'memory.write buy milk', 'note that the meeting is on Friday'],
    input: z.strictObject({
      text: z.string().max(MOST_CHARS).regex(plain, 'has a NUL in it').optional(),
      tags: tags.default([]),
      namespace: namespace.default('default'),
    }),
    async answer({ text: given, tags: labels, namespace: space }, run) {
      const text = (given !== undefined && given === run.text ? said(given, writing) : given)?.toWellFormed();
      if (text === undefined || text.trim() === '') throw misfit('text', 'There is nothing to remember.', 'Give text.');
      const owner = run.principal.id;
      if (store.read.memoryCount(owner) >= MOST_TEXTS)
        throw new Refusal(refuse('conflict', `${MOST_TEXTS} texts are kept already.`, { hint: 'Delete some with OS.memory.delete.' }));
      const id = `mem_${randomUUID().replaceAll('-', '')}`;
      const unique = [...new Set(labels.map((tag) => tag.toWellFormed()))];
      await store.remember({ id, owner, namespace: space, text, tags: unique, at: clock() });
      return { item_id: id, status: 'stored', text_length: text.length, tags: unique, namespace: space };
    },
  });

  const search = tool({
    name: 'memory.search',
    summary: 'Finds kept texts by their words',
    examples: ['what do you remember about Paris', 'search my memory for the wifi password', 'memory.search eiffel'],
    input: z.strictObject({
      text: z.string().max(2000).optional(),
      query: z.string().max(2000).optional(),
      tags: tags.optional(),
      namespace: namespace.optional(),
      limit: z.number().int().min(1).max(100).default(20),
    }),
    answer({ text, query, tags: labels, namespace: space, limit }, run) {
      const q = query ?? (text !== undefined && text === run.text ? said(text, searching) : text);
      const found =
        q === undefined ? null : store.read.searchMemories({ owner: run.principal.id, q, tags: labels, namespace: space, limit });
      if (found === null) throw misfit('query', 'There is no word to look for.', 'Give query, or list everything with OS.memory.list.');
      return found;
    },
  });

  const list = tool({
    name: 'memory.list',
    summary: 'What is kept, newest first',
    examples: ['list my memories', 'what have you remembered', 'memory.list'],
    input: z.strictObject({
      text: z.string().max(2000).optional(),
      /** This one alone, whole. */
      id: z.string().max(64).optional(),
      tags: tags.optional(),
      namespace: namespace.optional(),
      cursor: z.string().max(20).optional(),
      limit: z.number().int().min(1).max(100).default(20),
    }),
    answer({ id, tags: labels, namespace: space, cursor, limit }, run) {
      const owner = run.principal.id;
      if (id !== undefined) return { items: [whole(owner, id)], cursor: null };
      const page = store.read.memories({ owner, tags: labels, namespace: space, cursor, limit });
      return cursor === undefined ? { ...page, namespaces: store.read.memoryNamespaces(owner) } : page;
    },
  });

  const remove = tool({
    name: 'memory.delete',
    summary: 'Forgets one kept text',
    examples: ['memory.delete mem_0123', 'forget the memory mem_0123', 'delete the memory with this id'],
    input: z.strictObject({ text: z.string().max(2000).optional(), id: z.string().max(64).optional() }),
    async answer({ text, id = /\bmem_[0-9a-f]{32}\b/.exec(text ?? '')?.[0] }, run) {
      if (id === undefined) throw misfit('id', 'It is not said which.', 'Give the id that OS.memory.list or OS.memory.search answers.');
      const { namespace: space } = whole(run.principal.id, id);
      await store.forget(id, run.principal.id);
      return { item_id: id, status: 'deleted', namespace: space };
    },
  });

  function whole(owner: string, id: string) {
    const found = store.read.memory(owner, id);
    if (found === null)
      throw new Refusal(refuse('not_found', `There is no kept text ${id}.`, { hint: 'See what there is with OS.memory.list.' }));
    return found;
  }

  return [write, search, list, remove];
}

const writing =
  /^\s*(?:please\s+)?(?:memory\.write|remember(?:\s+that)?|keep\s+in\s+mind(?:\s+that)?|note(?:\s+down)?(?:\s+that)?|memori[sz]e(?:\s+that)?)\s*:?\s+(.+)$/is;
const searching =
  /^\s*(?:please\s+)?(?:memory\.search|what\s+(?:do\s+you|do\s+i|did\s+i)\s+(?:remember|know|note)\s+about|(?:search|look\s+in)\s+(?:my\s+|the\s+|your\s+)?memor(?:y|ies)\s+for|recall)\s*:?\s+(.+)$/is;

/** What is left of a sentence without the words that say what to do. */
function said(text: string, command: RegExp): string {
  return command.exec(text.length > 4000 ? '' : text)?.[1] ?? text;
}
