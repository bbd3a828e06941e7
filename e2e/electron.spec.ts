/** The same app in Electron's own window, where Electron's binary can be had. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { _electron as electron, expect, test } from '@playwright/test';
import { openView, takePicture, viewNames } from './app.ts';

const root = join(import.meta.dirname, '..');

/** Why it cannot run here; null when it can. */
function obstacle(): string | null {
  const folder = dirname(createRequire(import.meta.url).resolve('electron/package.json'));
  const binary = { darwin: 'Electron.app/Contents/MacOS/Electron', win32: 'electron.exe' }[process.platform as string] ?? 'electron';
  if (!existsSync(join(folder, 'dist', binary)))
    return "Electron's binary is not here: `npm start` downloads it where the network allows it.";
  if (process.platform === 'linux' && !process.env.DISPLAY && !process.env.WAYLAND_DISPLAY)
    return 'There is no display: run it under xvfb-run.';
  return null;
}

test('the window opens, is connected by IPC and shows every view', async ({ browserName: _ }, info) => {
  const why = obstacle();
  test.skip(why !== null, why ?? '');
  const home = await mkdtemp(join(tmpdir(), 'dispatcher-electron-'));
  const args = [root, ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])];
  const app = await electron.launch({ args, env: { ...(process.env as Record<string, string>), DISPATCHER_HOME: home } });
  try {
    const page = await app.firstWindow();
    await expect(page.getByRole('status').filter({ hasText: 'Connected' })).toBeVisible();
    expect(new URL(page.url()).protocol).not.toBe('http:');
    for (const view of viewNames) await openView(page, view);
    await takePicture(page, info, 'electron');
  } finally {
    await app.close();
    await rm(home, { recursive: true, force: true });
  }
});
