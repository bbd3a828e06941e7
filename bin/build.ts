/** Builds what must be JavaScript: the renderer for any front, and main process, core and workers for Electron. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string) => join(project, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);

/** Newest change below these files and folders, in ms since the epoch; 0 when there is none. */
function newest(...paths: string[]): number {
  let latest = 0;
  for (const path of paths) {
    const full = join(project, path);
    if (!existsSync(full)) continue;
    const found = statSync(full);
    if (!found.isDirectory()) latest = Math.max(latest, found.mtimeMs);
    else for (const name of readdirSync(full)) if (name !== 'node_modules') latest = Math.max(latest, newest(join(path, name)));
  }
  return latest;
}

/** Builds dist/renderer with vite when it is missing or older than its sources. True when it built. */
export function buildRenderer(): boolean {
  const built = newest('dist/renderer/index.html');
  if (built > newest('renderer', 'shared', 'package-lock.json')) return false;
  run('vite', ['build', '--config', 'renderer/vite.config.ts', '--logLevel', 'warn']);
  return true;
}

/** Emits dist/electron with tsc when it is missing or older than its sources. True when it built. */
export function buildElectron(): boolean {
  const stamp = 'dist/electron/built';
  if (newest(stamp) > newest('electron', 'shared', 'resources', 'package.json')) return false;
  rmSync(join(project, 'dist', 'electron'), { recursive: true, force: true });
  run('tsc', ['-p', 'electron/tsconfig.build.json']);
  const out = join(project, 'dist', 'electron');
  for (const file of readdirSync(out, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js')) continue;
    const text = readFileSync(join(out, file), 'utf8');
    // tsc rewrites the endings of imports, not those of worker files.
    const fixed = text.replace(/(new URL\(\s*['"]\.[^'"]*)\.ts(['"],\s*import\.meta\.url)/g, '$1.js$2');
    if (fixed !== text) writeFileSync(join(out, file), fixed);
  }
  cpSync(join(project, 'resources'), join(out, 'resources'), { recursive: true, filter: (source) => !source.endsWith('.ts') });
  cpSync(join(project, 'electron', 'preload.cjs'), join(out, 'electron', 'preload.cjs'));
  writeFileSync(join(project, stamp), '');
  return true;
}

function run(command: string, args: string[]): void {
  execFileSync(bin(command), args, { cwd: project, stdio: ['ignore', 'inherit', 'inherit'], shell: process.platform === 'win32' });
}

if (import.meta.main) {
  rmSync(join(project, 'dist'), { recursive: true, force: true });
  buildRenderer();
  buildElectron();
}
