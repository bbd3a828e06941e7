/** What a command of the command line has at hand. */
import { createInterface } from 'node:readline/promises';
import { toWire, type WireError } from '../../shared/errors.ts';
import type { Client } from '../../shared/port.ts';
import { inert, type Terminal } from './cli-print.ts';
import type { Flags, Invocation } from './cli-words.ts';

export interface Context {
  client: Client;
  terminal: Terminal;
  signal: AbortSignal;
}

/** Gives the exit code. */
export type Run = (invocation: Invocation, context: Context) => Promise<number>;

/** Runs `operate`; when it wants confirmation, asks for it on a terminal and runs it again. */
export async function confirmed<T>(operate: (more: { confirm?: boolean }) => Promise<T>, flags: Flags, { terminal }: Context): Promise<T> {
  try {
    return await operate(flags.yes ? { confirm: true } : {});
  } catch (caught) {
    const wire = toWire(caught);
    if (wire.code !== 'confirm_required' || !(await agreed(wire, terminal))) throw caught;
    return operate({ confirm: true });
  }
}

export async function agreed(wire: WireError, { stdin, stderr }: Terminal): Promise<boolean> {
  if (!stdin.isTTY || !stderr.isTTY) return false;
  const lines = createInterface({ input: stdin, output: stderr });
  const typed = await lines.question(`${inert(wire.message)}\nType yes to go on: `);
  lines.close();
  return typed.trim().toLowerCase() === 'yes';
}
