/** What a person typed, as a call; and a call as a command line. Pure. */
import type { Ask } from '../shared/contract.ts';
import type { Grant } from '../shared/cortex.ts';

/**
 * `@ORG.service` names the route, known or not; the rest goes along as text, or as params when it is a JSON object.
 * Any other text is for the operator, which may ask back (`ask: true`).
 */
export function askOf(typed: string): Ask {
  const text = typed.trim();
  for (const match of text.matchAll(/(?:^|\s)@([\p{L}\p{N}._-]+)/gu)) {
    const name = match[1]!.replace(/[.]+$/, '');
    if (!/^\p{Lu}[\p{Lu}\p{N}_-]*\../u.test(name)) continue;
    const start = match.index + match[0].indexOf('@');
    const rest = `${text.slice(0, start)}${text.slice(start + 1 + name.length)}`.replace(/\s+/g, ' ').trim();
    const params = jsonObject(`${text.slice(0, start)}${text.slice(start + 1 + name.length)}`.trim());
    if (params) return { route: name, params };
    return rest ? { route: name, text: rest } : { route: name };
  }
  return { text, ask: true };
}

function jsonObject(text: string): Record<string, unknown> | null {
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** The mention the caret stands in: where it starts and what follows the `@`; null when it stands in none. */
export function mentionAt(text: string, caret: number): { start: number; query: string } | null {
  const found = /(?:^|\s)@([\p{L}\p{N}._-]*)$/u.exec(text.slice(0, caret));
  return found ? { start: caret - found[1]!.length - 1, query: found[1]! } : null;
}

/** The same call for a shell; the token comes from the environment so that it is in no history. */
export function curlOf(ask: Ask, url: string): string {
  const { text, route, params, deadlineMs } = ask;
  const body = JSON.stringify({
    ...(text && { query: text }),
    ...(route && { route }),
    ...(params && { params }),
    ...(deadlineMs && { deadlineMs }),
  });
  return [
    `curl -sS '${url}/dispatch'`,
    `-H "Authorization: Bearer $DISPATCHER_TOKEN"`,
    `-H 'Content-Type: application/json'`,
    `-d '${body.replaceAll("'", "'\\''")}'`,
  ].join(' \\\n  ');
}

/** One request under a grant for a shell, with its key, which is shown this once. */
export function curlOfGrant({ base_url: url, api_key: key, models }: Pick<Grant, 'base_url' | 'api_key' | 'models'>): string {
  const [first] = models;
  const can = first?.capabilities ?? [];
  const embeds = can.includes('embedding') && !can.includes('text-generation');
  const model = first?.model ?? '';
  const body = embeds ? { model, input: 'hello' } : { model, messages: [{ role: 'user', content: 'hello' }] };
  return [
    `curl -sS '${url}/${embeds ? 'embeddings' : 'chat/completions'}'`,
    `-H 'Authorization: Bearer ${key ?? ''}'`,
    `-H 'Content-Type: application/json'`,
    `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`,
  ].join(' \\\n  ');
}
