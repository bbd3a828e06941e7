/** All built-in tools, with what they reach. */
import type { ToolSettings } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import type { Store } from '../store/store.ts';
import { createFetchTool } from './fetch.ts';
import { createFsTools } from './fs.ts';
import { createMemoryTools } from './memory.ts';
import { createSshTools } from './ssh.ts';
import { createTools, type Tool } from './tools.ts';

/** What `kind: tool` may name. The registry is read before there is a store, so the names stand here by themselves. */
export const toolNames: readonly string[] = [
  ...createTools().keys(),
  ...['memory.write', 'memory.search', 'memory.list', 'memory.delete'],
  ...['fs.list', 'fs.read', 'fs.head', 'fs.write', 'fetch', 'ssh.exec.peek', 'ssh.exec'],
];

/** `settings` is asked at every call, so that a changed registry counts at once. `clock`: milliseconds since the epoch. */
export function createToolbox(options: { store: Store; egress: Egress; settings(): ToolSettings; clock: () => number }): Map<string, Tool> {
  const { store, egress, settings, clock } = options;
  const reaching = [
    ...createMemoryTools({ store, clock }),
    ...createFsTools({ roots: () => settings().roots }),
    createFetchTool({ egress, hosts: () => settings().fetchHosts, clock }),
    ...createSshTools({ egress, settings: () => settings().ssh, clock }),
  ];
  return new Map([...createTools({ clock }), ...reaching.map((tool) => [tool.name, tool] as const)]);
}
