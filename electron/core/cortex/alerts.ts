/** Readings of the devices that are too high, with hysteresis, so that one at the border is one alert and not many. */
import type { GpuAlert } from '../../../shared/cortex.ts';
import type { CortexSettings, GpuDevice, GpuState } from '../../../shared/model.ts';

/** An alert, and when its reading was last known. */
export interface KnownAlert extends GpuAlert {
  readAt: number;
}

export interface Alerts {
  /** What a probe found; it counts until the next one. */
  read(gpu: GpuState): void;
  alerts(): GpuAlert[];
}

/** How long an alert stays when its reading is not known any more: long enough for a tool that hangs once, too short to be wrong for long. */
const UNKNOWN_MS = 60_000;
const GIB = 2 ** 30;

export function createAlerts(options: { settings: () => CortexSettings['alerts']; clock(): number }): Alerts {
  let devices: GpuDevice[] = [];
  let known: KnownAlert[] = [];
  const look = () => {
    known = alertsOf(known, { devices, settings: options.settings(), at: options.clock() });
  };
  return {
    read(gpu) {
      devices = gpu.devices;
      look();
    },
    alerts() {
      look();
      return known.map(({ readAt, ...alert }) => alert);
    },
  };
}

/**
 * The alerts after a reading. A level begins where a reading reaches it, and ends where one is below it by more than the hysteresis; `since` is
 * when the level of now began. While a reading is not known its alert stays as it was, for a minute at most after it was last known; then nobody
 * can say that it is still so, and it ends. Alerts of devices that are gone end at once.
 */
export function alertsOf(
  previous: readonly KnownAlert[],
  reading: { devices: readonly GpuDevice[]; settings: CortexSettings['alerts']; at: number },
): KnownAlert[] {
  const { devices, settings, at } = reading;
  return devices.flatMap((device) =>
    (['temperature', 'memory'] as const).flatMap((what) => {
      const last = previous.find((alert) => alert.device === device.id && alert.what === what) ?? null;
      const value = what === 'temperature' ? device.temperatureC : shareUsed(device);
      if (value === null) return last !== null && at - last.readAt < UNKNOWN_MS ? [last] : [];
      const limits = settings[what];
      const level = levelOf(value, limits, last?.level ?? null);
      if (level === null) return [];
      const since = last?.level === level ? last.since : at;
      return [{ device: device.id, what, level, since, message: message(device, { what, value, level, limits }), readAt: at }];
    }),
  );
}

type Limits = CortexSettings['alerts']['memory'];

function levelOf(value: number, { warning, critical, hysteresis }: Limits, last: GpuAlert['level'] | null): GpuAlert['level'] | null {
  if (value >= critical || (last === 'critical' && value >= critical - hysteresis)) return 'critical';
  return value >= warning || (last !== null && value >= warning - hysteresis) ? 'warning' : null;
}

function shareUsed({ memoryUsedBytes: used, memoryTotalBytes: total }: GpuDevice): number | null {
  return used === null || total === null || total <= 0 ? null : used / total;
}

function message(device: GpuDevice, about: { what: GpuAlert['what']; value: number; level: GpuAlert['level']; limits: Limits }): string {
  const { what, value, level, limits } = about;
  const shown = (figure: number) => (what === 'temperature' ? `${Number(figure.toFixed(1))} °C` : `${Number((figure * 100).toFixed(1))} %`);
  const limit = limits[level];
  const held = `not below ${shown(limit - limits.hysteresis)} yet`;
  const place = value > limit ? `over ${shown(limit)}` : value === limit ? `at ${shown(limit)}` : held;
  if (what === 'temperature') return `${shown(value)}, ${place}`;
  const [used, total] = [device.memoryUsedBytes!, device.memoryTotalBytes!].map((bytes) => (bytes / GIB).toFixed(1));
  return `${used} of ${total} GB in use, ${shown(value)}, ${place}`;
}
