/** `npm test`: types, lint, unit and conformance tests, end-to-end tests in a real Chromium. The last line is `N passed, N failed`. */
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findChromium } from './chromium.ts';
import { type Counts, countsMark } from './reporter.ts';

const project = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'dispatcher-test-'));
const total: Counts = { passed: 0, failed: 0, skipped: [] };

function bin(name: string): string {
  return join(project, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);
}

/** Runs a command to its end; what it prints is shown as it comes, and given back. */
async function run(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string }> {
  const child = spawn(command, args, {
    cwd: project,
    env: { ...process.env, FORCE_COLOR: '0', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: process.platform === 'win32',
  });
  let out = '';
  createInterface({ input: child.stdout }).on('line', (line) => {
    out += `${line}\n`;
    if (!line.startsWith(countsMark)) process.stdout.write(`${line}\n`);
  });
  const code = await new Promise<number>((done) => {
    child.on('error', () => done(127));
    child.on('close', (status) => done(status ?? 1));
  });
  return { code, out };
}

function head(title: string): void {
  process.stdout.write(`\n== ${title}\n`);
}

/** A check that is one test: it passes when the command exits with 0. */
async function check(title: string, command: string, args: string[]): Promise<void> {
  head(title);
  const { code } = await run(command, args);
  if (code === 0) total.passed++;
  else total.failed++;
  process.stdout.write(code === 0 ? 'passed\n' : `failed (exit ${code})\n`);
}

function add({ passed, failed, skipped }: Counts): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped.push(...skipped);
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
}

async function unit(): Promise<void> {
  head('unit and conformance');
  const files = globSync('{shared,electron,renderer,resources,bin,bench,.ci}/**/*.test.ts', {
    cwd: project,
    exclude: ['**/node_modules/**'],
  }).sort();
  const reporter = new URL('./reporter.ts', import.meta.url).href;
  const { code, out } = await run(process.execPath, ['--test', '--test-timeout=180000', `--test-reporter=${reporter}`, ...files]);
  const line = out.split('\n').findLast((one) => one.startsWith(countsMark));
  const counts = line ? (JSON.parse(line.slice(countsMark.length)) as Counts) : { passed: 0, failed: 1, skipped: [] };
  // A runner that ends badly without a failed test to show for it has failed all the same.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  add(counts);
}

interface Suite {
  title: string;
  suites?: Suite[];
  specs?: {
    title: string;
    tests: { status: 'expected' | 'unexpected' | 'flaky' | 'skipped'; annotations: { type: string; description?: string }[] }[];
  }[];
}

async function endToEnd(): Promise<void> {
  head('end-to-end');
  const browser = findChromium((line) => process.stdout.write(`${line}\n`));
  if (!browser) {
    process.stdout.write('No Chromium could be found or installed; install one and run this again.\n');
    total.failed++;
    return;
  }
  process.stdout.write(`Chromium of ${browser.from}: ${browser.path}\n`);
  const report = join(scratch, 'e2e.json');
  const { code } = await run(bin('playwright'), ['test', '--config', 'e2e/playwright.config.ts', '--reporter=list,json'], {
    CHROMIUM: browser.path,
    PLAYWRIGHT_JSON_OUTPUT_NAME: report,
  });
  const counts: Counts = { passed: 0, failed: 0, skipped: [] };
  const walk = ({ title, suites = [], specs = [] }: Suite) => {
    for (const spec of specs)
      for (const { status, annotations } of spec.tests) {
        if (status === 'expected') counts.passed++;
        else if (status === 'skipped') {
          const reason = annotations.find(({ type, description }) => type === 'skip' && description)?.description;
          counts.skipped.push({ name: `${title}: ${spec.title}`, reason: reason ?? 'no reason given' });
        } else counts.failed++;
      }
    suites.forEach(walk);
  };
  try {
    (JSON.parse(readFileSync(report, 'utf8')) as { suites: Suite[] }).suites.forEach(walk);
  } catch (caught) {
    process.stdout.write(`The end-to-end run left no report: ${(caught as Error).message}\n`);
  }
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  add(counts);
}

const started = performance.now();
const steps: Record<string, () => Promise<void>> = {
  types: () => check('types', bin('tsc'), ['-b']),
  lint: () => check('lint', bin('biome'), ['ci', '--colors=off', '.']),
  unused: () => check('unused', bin('knip'), ['--no-progress']),
  lock: () => check('lock', process.execPath, ['.ci/lock.ts', '--check']),
  // Built once, before tests that run at the same time need it.
  build: () => check('build', process.execPath, ['bin/build.ts']),
  unit,
  e2e: endToEnd,
};
const wanted = process.argv.slice(2);
for (const [name, step] of Object.entries(steps)) if (wanted.length === 0 || wanted.includes(name)) await step();
rmSync(scratch, { recursive: true, force: true });

if (total.skipped.length > 0) head('skipped');
for (const { name, reason } of total.skipped) process.stdout.write(`- ${name}\n  because: ${reason}\n`);
head(`done in ${Math.round((performance.now() - started) / 1000)} s`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
