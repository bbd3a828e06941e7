/** What the tools of a server are to us: names for their routes, what is shown of them, and whether somebody has approved them. */
import { hash } from 'node:crypto';
import type { Tool } from '@modelcontextprotocol/client';
import { z } from 'zod';
import type { McpSpec, McpTool } from '../../../shared/model.ts';
import { canonicalJson, tooDeep } from '../crossing.ts';
import { inert } from './display.ts';

/** What a person agreed to, as it is kept. */
export type Approval = z.infer<typeof Approval>;
/** A definition of a tool as somebody approved it. */
type Approved = z.infer<typeof Approved>;

const Approved = z.object({
  hash: z.string(),
  title: z.string().nullable(),
  description: z.string().nullable(),
  inputSchema: z.unknown(),
});

const Approval = z.object({
  /** Of the server as the registry declares it. */
  definition: z.string(),
  /** By the tool's own name. null: whatever the server has when it is first asked. */
  tools: z.record(z.string(), Approved).nullable(),
});

/** A tool of a server: one that it told of now, one that was approved earlier, or both. */
export interface KnownTool {
  /** As the server calls it. */
  name: string;
  shown: McpTool;
  /** What the operator learns; only ever what somebody approved. */
  examples: string[];
  /** As the server told it; null while it was not asked. */
  live: Tool | null;
}

/** More of one server are left aside. */
export const MOST_TOOLS = 512;
const MOST_NAME = 128;
const MOST_DESCRIPTION = 2000;
const MOST_EXAMPLE = 200;
/** A larger schema is not passed on: the server judges the arguments anyway. */
const MOST_SCHEMA_BYTES = 64 * 1024;

/** null for what is not, or no longer, understood: then nothing is approved. */
export function readApproval(kept: unknown): Approval | null {
  return Approval.safeParse(kept).data ?? null;
}

/** What is approved of a server: what is started or called, with what of ours. Its timeouts are not. */
export function definitionOf({ transport, auth, egress }: McpSpec): string {
  return sha256(canonicalJson({ transport, auth, egress }));
}

/** SHA-256 (hex) over the RFC 8785 text of name, description and input schema; null when it is nested too deep to be written. */
export function toolHash({ name, description, inputSchema }: Tool): string | null {
  if (tooDeep(inputSchema)) return null;
  return sha256(canonicalJson({ name, description: description ?? null, inputSchema }));
}

export function approve(tool: Tool): Approved {
  const schema = canonicalJson(tool.inputSchema);
  const title = tool.title ?? tool.annotations?.title;
  return {
    hash: toolHash(tool)!,
    title: title === undefined ? null : inert(title, MOST_EXAMPLE),
    description: tool.description === undefined ? null : inert(tool.description, MOST_DESCRIPTION),
    inputSchema: Buffer.byteLength(schema) > MOST_SCHEMA_BYTES ? null : tool.inputSchema,
  };
}

/** Those that can be used: of equal names the first, and not more than MOST_TOOLS. `left` says what is missing. */
export function usable(tools: readonly Tool[]): { tools: Tool[]; left: string[] } {
  const found = new Map<string, Tool>();
  const left: string[] = [];
  for (const tool of tools) {
    if (found.has(tool.name)) left.push(`a second tool ${inert(tool.name, MOST_NAME)}`);
    // It could not be kept under its name.
    else if (tool.name === '__proto__' || !tool.name.isWellFormed()) left.push(`${inert(tool.name, MOST_NAME)}, whose name cannot be used`);
    else if (toolHash(tool) === null) left.push(`${inert(tool.name, MOST_NAME)}, whose schema is nested too deep`);
    else if (found.size >= MOST_TOOLS) left.push(inert(tool.name, MOST_NAME));
    else found.set(tool.name, tool);
  }
  return { tools: [...found.values()], left };
}

/**
 * The tools of a server by what it told, null while it was not asked, and what was approved. What is shown of a tool is what the server
 * tells of it now, since that is what somebody is to approve.
 */
export function knownTools(server: string, live: readonly Tool[] | null, approved: Approval['tools']): KnownTool[] {
  const told = new Map((live ?? []).map((tool) => [tool.name, tool]));
  const names = live === null ? Object.keys(approved ?? {}) : [...told.keys()];
  const routes = routeNames(server, names);
  return names.map((name) => {
    const tool = told.get(name) ?? null;
    const agreed = approved !== null && Object.hasOwn(approved, name) ? approved[name]! : null;
    const { hash: newest, description, inputSchema } = tool === null ? agreed! : approve(tool);
    return {
      name,
      live: tool,
      shown: {
        name: inert(name, MOST_NAME),
        route: routes.get(name)!,
        description,
        inputSchema,
        approval: agreed === null ? 'new' : agreed.hash === newest ? 'approved' : 'changed',
        ...(agreed !== null && agreed.hash !== newest && { before: { description: agreed.description, inputSchema: agreed.inputSchema } }),
      },
      examples: agreed === null ? [] : examplesOf(name, agreed),
    };
  });
}

/** What people may say when they mean it: its title, the first sentence about it, the words of its name. */
function examplesOf(name: string, { title, description }: Approved): string[] {
  const sentence = description === null ? null : description.split(/(?<=[.!?])\s/, 1)[0]!;
  const words = inert(name, MOST_NAME)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
  const said = [title, sentence === null ? null : inert(sentence, MOST_EXAMPLE), words.toLowerCase()];
  return [...new Set(said.filter((text): text is string => text !== null && text !== ''))];
}

/**
 * A route for each tool, MCP.<server>.<tool>, that depends on the set of names alone. A name that a route cannot have, or that differs
 * from another by case alone, gets one made of what can be kept of it and the start of its SHA-256.
 */
export function routeNames(server: string, tools: readonly string[]): Map<string, string> {
  const alike = new Map<string, number>();
  for (const tool of tools) alike.set(tool.toLowerCase(), (alike.get(tool.toLowerCase()) ?? 0) + 1);
  const plain = (tool: string) => alike.get(tool.toLowerCase()) === 1 && /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/.test(tool);
  const routes = new Map<string, string>();
  const taken = new Set<string>();
  const give = (tool: string, as: string) => {
    taken.add(as.toLowerCase());
    routes.set(tool, `MCP.${server}.${as}`);
  };
  for (const tool of tools) if (plain(tool)) give(tool, tool);
  for (const tool of [...tools].sort()) {
    if (routes.has(tool)) continue;
    const kept = tool
      .slice(0, 200)
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[._-]+/, '')
      .slice(0, 40);
    const digest = sha256(tool);
    let length = 8;
    const made = () => `${kept === '' ? 'tool' : kept}-${digest.slice(0, length)}`;
    while (taken.has(made().toLowerCase())) length += 1;
    give(tool, made());
  }
  return routes;
}

function sha256(text: string): string {
  return hash('sha256', text, 'hex');
}
