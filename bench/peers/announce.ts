/** How a process of the benchmark tells its parent that it can be called. */
import type { Server } from 'node:net';

export interface Announcement {
  port: number;
  /** Headers a caller must send. */
  headers: Record<string, string>;
}

export function announce(server: Server, headers: Record<string, string>): void {
  const address = server.address();
  if (!address || typeof address === 'string') throw new Error('not listening on a port');
  process.send?.({ port: address.port, headers } satisfies Announcement);
}

/** The upstream's address, given as the first argument. */
export const upstream = process.argv[2] ?? '';

process.on('disconnect', () => process.exit());
