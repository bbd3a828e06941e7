/**
 * Runs every benchmark in this folder (or those named: `npm run bench -- dispatch cold`), prints a table each and writes
 * them all to results.json. A file is a benchmark when it exports `run`.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';

/** A number and the bound it is held to. */
export interface BenchCheck {
  name: string;
  value: number;
  atLeast?: number;
  atMost?: number;
}

export interface BenchReport {
  title: string;
  rows: Record<string, string | number | null>[];
  checks?: BenchCheck[];
}

const holds = ({ value, atLeast, atMost }: BenchCheck) =>
  (atLeast === undefined || value >= atLeast) && (atMost === undefined || value <= atMost);

/** Benchmarks may return a report, rows, rows by name, or one row of numbers. */
function toReport(name: string, value: unknown): BenchReport {
  if (value && typeof value === 'object' && 'rows' in value) return { title: name, ...value } as BenchReport;
  if (Array.isArray(value)) return { title: name, rows: value };
  const entries = Object.entries(value ?? {});
  if (entries.length > 0 && entries.every(([, row]) => typeof row === 'object' && row !== null)) {
    return { title: name, rows: entries.map(([what, row]) => ({ what, ...rounded(row as Record<string, number>) })) };
  }
  return { title: name, rows: [value as BenchReport['rows'][number]] };
}

const rounded = (row: Record<string, number>) =>
  Object.fromEntries(Object.entries(row).map(([key, value]) => [key, typeof value === 'number' ? Number(value.toPrecision(4)) : value]));

async function main(names: string[]): Promise<void> {
  const resultsFile = join(import.meta.dirname, 'results.json');
  const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== 'run.ts');
  const chosen = files.filter((file) => names.length === 0 || names.includes(basename(file, '.ts')));
  const unknown = names.filter((name) => !files.includes(`${name}.ts`));
  if (unknown.length > 0) {
    console.error(`There is no benchmark ${unknown.join(', ')}. There are: ${files.map((file) => basename(file, '.ts')).join(', ')}.`);
    process.exitCode = 2;
    return;
  }
  const results: Record<string, unknown> = readResults(resultsFile);
  let missed = 0;
  for (const file of chosen) {
    const name = basename(file, '.ts');
    const module = (await import(join(import.meta.dirname, file))) as { run?: () => Promise<unknown> };
    if (typeof module.run !== 'function') continue;
    const report = toReport(name, await module.run());
    console.log(`\n${report.title}`);
    console.table(report.rows);
    for (const check of report.checks ?? []) {
      const bound = check.atLeast === undefined ? `at most ${check.atMost}` : `at least ${check.atLeast}`;
      console.log(`  ${holds(check) ? '✔' : '✘'} ${check.value} ${check.name} (${bound})`);
      if (!holds(check)) missed += 1;
    }
    const machine = { node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length };
    results[name] = { at: new Date().toISOString(), machine, ...report };
    writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  }
  console.log(missed === 0 ? '\nEvery bound holds.' : `\n${missed} bounds do not hold.`);
  process.exitCode = missed === 0 ? 0 : 1;
}

function readResults(file: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}

await main(process.argv.slice(2));
