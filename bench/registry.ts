/** How long a large registry takes from its text to the compiled `Registry`, pattern checks included: 5,000 services, 10,000 rules. */
import { parseRegistry } from '../electron/core/registry/registry.ts';
import type { BenchReport } from './run.ts';

const services = 5000;
const rules = 10_000;
const perOrg = 50;
const rounds = Number(process.env.BENCH_ROUNDS ?? 9);

/** `plain`: one key on a line and simple quotes, as programs write it. `mixed`: flow rules, folded texts, escapes, patterns with classes. */
function writeRegistry(style: 'plain' | 'mixed'): string {
  const lines = ['fallback_org: O0', 'limits: {calls: {per_second: 100, burst: 200}}', 'orgs:'];
  for (let index = 0; index < services; index++) {
    if (index % perOrg === 0) {
      const org = index / perOrg;
      lines.push(`  O${org}:`, `    name: Org ${org}`, '    status: active', `    default_service: service-${index}`, '    services:');
    }
    const host = `http://node${index % 40}:${8100 + (index % 800)}`;
    lines.push(`      service-${index}: # number ${index}`);
    if (style === 'mixed' && index % 50 === 0)
      lines.push('        description: >-', `          Service number ${index}:`, '          folded text');
    else lines.push(`        description: "Service number ${index}: handles things"`);
    lines.push(
      `        endpoint: ${host}/v1/service-${index}`,
      `        health: ${host}/health`,
      '        egress: lan',
      '        timeout: 30s',
      '        examples:',
    );
    for (let example = 0; example < 5; example++) lines.push(`          - please do the ${example} thing of item ${index}`);
  }
  lines.push('rules:');
  for (let index = 0; index < rules; index++) {
    const service = index % services;
    const org = `O${Math.floor(service / perOrg)}`;
    if (style === 'plain') {
      lines.push(
        `  - pattern: "keyword${index}|alias${index}"`,
        `    org: ${org}`,
        `    service: service-${service}`,
        `    priority: ${50 + (index % 50)}`,
      );
    } else {
      lines.push(
        `  - { pattern: 'keyword${index}s?|item [a-z]+ ${index}', org: ${org}, service: service-${service}, priority: ${50 + (index % 50)} }`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

export async function run(): Promise<BenchReport> {
  const measured = (['plain', 'mixed'] as const).map((style) => {
    const text = writeRegistry(style);
    const times: number[] = [];
    let firstCpuMs = 0;
    for (let round = 0; round < rounds; round++) {
      const used = process.threadCpuUsage();
      const start = performance.now();
      const { registry } = parseRegistry(text);
      times.push(performance.now() - start);
      const { user, system } = process.threadCpuUsage(used);
      if (round === 0) firstCpuMs = (user + system) / 1000;
      if (registry?.routes.length !== services || registry.rules.length !== rules) throw new Error('the registry did not load');
    }
    const sorted = times.toSorted((a, b) => a - b);
    return { style, megabytes: text.length / 1e6, firstMs: times[0] ?? 0, firstCpuMs, medianMs: sorted[sorted.length >> 1] ?? 0 };
  });
  return {
    title: `Registry: ${services} services and ${rules} rules, text to compiled`,
    rows: measured.map((row) => ({
      style: row.style,
      MB: Number(row.megabytes.toFixed(2)),
      'first ms': Math.round(row.firstMs),
      'first ms of CPU': Math.round(row.firstCpuMs),
      'median ms': Math.round(row.medianMs),
    })),
    checks: measured.flatMap(({ style, firstCpuMs, medianMs }) => [
      { name: `${style}, first load in the process, ms of CPU`, value: firstCpuMs, atMost: 500 },
      { name: `${style}, median ms`, value: medianMs, atMost: 500 },
    ]),
  };
}

if (import.meta.main) console.log(JSON.stringify(await run(), null, 2));
