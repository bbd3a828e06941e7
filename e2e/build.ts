/** Before the tests: the renderer, built from its sources as they are now. */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

function newest(folder: string): number {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0);
}

function builtAt(): number {
  try {
    return statSync(join(root, 'dist', 'renderer', 'index.html')).mtimeMs;
  } catch {
    return 0;
  }
}

// biome-ignore lint/style/noDefaultExport: Playwright calls the default export.
export default function build(): void {
  if (builtAt() > Math.max(newest('renderer'), newest('shared'))) return;
  const vite = join(root, 'node_modules', 'vite', 'bin', 'vite.js');
  execFileSync(process.execPath, [vite, 'build', '-c', join('renderer', 'vite.config.ts'), '--logLevel', 'warn'], {
    cwd: root,
    stdio: 'inherit',
  });
}
