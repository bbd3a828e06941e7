import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GpuDevice } from '../../../shared/model.ts';
import { alertsOf, createAlerts, type KnownAlert } from './alerts.ts';

const GIB = 2 ** 30;
const settings = {
  temperature: { warning: 70, critical: 80, hysteresis: 2 },
  memory: { warning: 0.8, critical: 0.95, hysteresis: 0.05 },
};
const device = (more: Partial<GpuDevice> = {}): GpuDevice => ({
  ...{ id: 'GPU-1', name: 'RTX 4090', vendor: 'nvidia', source: 'nvidia-smi', memoryTotalBytes: 20 * GIB, memoryUsedBytes: GIB },
  ...{ memorySource: { total: 'measured', used: 'measured' }, utilization: 0, temperatureC: 40, powerW: 30, processes: [], demo: false },
  ...more,
});

/** What was alerted after each reading, one second apart. */
function told(readings: Partial<GpuDevice>[], gapMs = 1000): string[] {
  let known: KnownAlert[] = [];
  return readings.map((reading, i) => {
    known = alertsOf(known, { devices: [device(reading)], settings, at: i * gapMs });
    return known.map(({ level, since, message }) => `${level} since ${since}: ${message}`).join('; ');
  });
}

test('a temperature at the border is one alert, and its level is as old as it says', () => {
  const temperatures = [69.9, 70, 69, 68, 67.9, 75, 83, 79, 78, 77.9, 81, 60];
  assert.deepEqual(told(temperatures.map((temperatureC) => ({ temperatureC }))), [
    '',
    'warning since 1000: 70 °C, at 70 °C',
    'warning since 1000: 69 °C, not below 68 °C yet',
    'warning since 1000: 68 °C, not below 68 °C yet',
    '',
    'warning since 5000: 75 °C, over 70 °C',
    'critical since 6000: 83 °C, over 80 °C',
    'critical since 6000: 79 °C, not below 78 °C yet',
    'critical since 6000: 78 °C, not below 78 °C yet',
    'warning since 9000: 77.9 °C, over 70 °C',
    'critical since 10000: 81 °C, over 80 °C',
    '',
  ]);
});

test('memory is judged by its share, and told in sizes', () => {
  assert.deepEqual(told([15, 17, 15.2, 14.9, 19.5, 18.1, 17.9].map((used) => ({ memoryUsedBytes: used * GIB }))), [
    '',
    'warning since 1000: 17.0 of 20.0 GB in use, 85 %, over 80 %',
    'warning since 1000: 15.2 of 20.0 GB in use, 76 %, not below 75 % yet',
    '',
    'critical since 4000: 19.5 of 20.0 GB in use, 97.5 %, over 95 %',
    'critical since 4000: 18.1 of 20.0 GB in use, 90.5 %, not below 90 % yet',
    'warning since 6000: 17.9 of 20.0 GB in use, 89.5 %, over 80 %',
  ]);
});

test('a reading that is not known makes no alert, keeps one for a minute, and then ends it', () => {
  const hot = { temperatureC: 85 };
  const unknown = { temperatureC: null, memoryTotalBytes: null };
  const alert = 'critical since 30000: 85 °C, over 80 °C';
  assert.deepEqual(told([unknown, hot, unknown, unknown, hot, hot], 30_000), [
    '',
    alert,
    alert,
    '',
    'critical since 120000: 85 °C, over 80 °C',
    'critical since 120000: 85 °C, over 80 °C',
  ]);
  assert.deepEqual(told([{ memoryUsedBytes: 0, memoryTotalBytes: 0 }]), [''], 'a card without memory has no share');
});

test('devices and kinds are told apart, and a device that is gone has no alert', () => {
  const both = [device({ temperatureC: 75, memoryUsedBytes: 20 * GIB }), device({ id: 'GPU-2', temperatureC: 90 })];
  const first = alertsOf([], { devices: both, settings, at: 1 });
  assert.deepEqual(
    first.map((alert) => [alert.device, alert.what, alert.level]),
    [
      ['GPU-1', 'temperature', 'warning'],
      ['GPU-1', 'memory', 'critical'],
      ['GPU-2', 'temperature', 'critical'],
    ],
  );
  const second = alertsOf(first, { devices: both.slice(0, 1), settings, at: 2 });
  assert.deepEqual(
    second.map((alert) => [alert.device, alert.since]),
    [
      ['GPU-1', 1],
      ['GPU-1', 1],
    ],
  );
});

test('an alert whose reading stays unknown ends without another probe, and the settings are those of now', () => {
  let now = 0;
  let warning = 70;
  const watch = createAlerts({ settings: () => ({ ...settings, temperature: { ...settings.temperature, warning } }), clock: () => now });
  const state = (temperatureC: number | null) => ({ probedAt: now, devices: [device({ temperatureC })], probes: [] });
  const seen = () => watch.alerts().map(({ level, since }) => `${level} since ${since}`);
  assert.deepEqual(seen(), []);
  watch.read(state(72));
  assert.deepEqual(watch.alerts(), [{ device: 'GPU-1', what: 'temperature', level: 'warning', since: 0, message: '72 °C, over 70 °C' }]);
  now = 1000;
  watch.read(state(null));
  now = 60_999;
  warning = 75;
  assert.deepEqual(seen(), []);
  watch.read(state(76));
  assert.deepEqual(seen(), ['warning since 60999']);
});

test('a reading that moves by less than the hysteresis changes an alert once at most', () => {
  fc.assert(
    fc.property(fc.double({ min: 60, max: 90, noNaN: true }), fc.array(fc.double({ min: 0, max: 1.99, noNaN: true })), (base, moves) => {
      const levels = told(moves.map((move) => ({ temperatureC: base + move }))).map((text) => text.split(' ')[0]);
      const changes = levels.filter((level, i) => i > 0 && level !== levels[i - 1]).length;
      assert.ok(changes <= 1, `${base}: ${levels.join(' ')}`);
    }),
  );
});
