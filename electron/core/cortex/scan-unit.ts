/** A container as a file has it, whichever kind of file, and what is the same in all of them. */
import type { ControllerSpec } from '../../../shared/cortex.ts';

/** One label of ours, without `dispatcher.`. */
export interface Label {
  key: string;
  value: string;
  line: number;
}

/** A container as its file has it, before its labels are understood. */
export interface Unit {
  name: string;
  kind: 'compose' | 'quadlet';
  /** Where it starts. */
  line: number;
  labels: Label[];
  image: string | null;
  controller: ControllerSpec;
  /** For whom asks for a container instead. */
  container: string;
  ports: Published[];
  /** It has the ports of this machine, or says nothing of ports. */
  anyPort: boolean;
}

/** A port on this machine that leads to one of the container's. */
export interface Published {
  host: string;
  port: number;
  target: number;
}

/** What a file cannot mean. */
export class Malformed extends Error {
  readonly line: number | null;
  readonly unit: string | null;
  constructor(message: string, { line = null, unit = null }: { line?: number | null; unit?: string | null } = {}) {
    super(message);
    this.line = line;
    this.unit = unit;
  }
}

/**
 * `[ip:][host:]container[/protocol]`, as Docker and Podman write it. null: no port of this machine that is known before it runs (or one
 * of another protocol). Of a range the first. Throws Malformed.
 */
export function publishedPort(text: string, line: number): Published | null {
  const parts = /^(?:(\[[0-9A-Fa-f:.]+\]|\d{1,3}(?:\.\d{1,3}){3}):)?(?:(\d{1,5})?(?:-\d{1,5})?:)?(\d{1,5})(?:-\d{1,5})?(?:\/(\w+))?$/.exec(
    text.trim(),
  );
  if (!parts) throw new Malformed(`"${text.slice(0, 80)}" is not a port. Write one such as 8081:8080.`, { line });
  const [, ip, host, container, protocol = 'tcp'] = parts;
  const port = Number(host ?? 0);
  const target = Number(container);
  if (port > 65_535 || target < 1 || target > 65_535)
    throw new Malformed(`"${text.slice(0, 80)}" is not a port of this machine.`, { line });
  if (protocol.toLowerCase() !== 'tcp' || port === 0) return null;
  return { host: hostOf(ip), port, target };
}

/** Where to call what listens on `ip`; everything and nothing mean this machine. */
export function hostOf(ip: string | undefined): string {
  return ip === undefined || ip === '0.0.0.0' || ip === '[::]' ? '127.0.0.1' : ip;
}
