/** A Chromium for the end-to-end tests: the system's, else Playwright's own, else one that the platform's package manager installs. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];
const places = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
  'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
];

/** Each is tried where its first word is installed; all of them install Chromium itself or a package of that name. */
const managers: string[][] = [
  ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium'],
  ['dnf', 'install', '-y', '-q', 'chromium'],
  ['pacman', '-S', '--noconfirm', '--quiet', 'chromium'],
  ['apk', 'add', '--quiet', 'chromium'],
  ['zypper', '--non-interactive', 'install', 'chromium'],
  ['brew', 'install', '--cask', 'chromium'],
  ['winget', 'install', '--silent', '--id', 'Google.Chrome'],
];

const onPath = (name: string): string | null =>
  (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file) || existsSync(`${file}.exe`)) ?? null;

/** Path of a browser and where it is from; null when none can be had. `say` hears of anything that is installed. */
export function findChromium(say: (line: string) => void): { path: string; from: string } | null {
  const system = systemChromium();
  if (system) return { path: system, from: 'the system' };
  const own = chromium.executablePath();
  if (existsSync(own)) return { path: own, from: 'Playwright' };

  say('No Chromium here: fetching the one of Playwright ...');
  run([process.execPath, join(import.meta.dirname, '..', 'node_modules', 'playwright-core', 'cli.js'), 'install', 'chromium'], 300_000);
  if (existsSync(own)) return { path: own, from: 'Playwright' };

  for (const manager of managers) {
    if (!onPath(manager[0]!)) continue;
    const asRoot = process.platform !== 'linux' || process.getuid?.() === 0 ? [] : ['sudo', '-n'];
    say(`Installing Chromium: ${[...asRoot, ...manager].join(' ')}`);
    if (manager[0] === 'apt-get') run([...asRoot, 'apt-get', 'update', '-qq'], 120_000);
    run([...asRoot, ...manager], 300_000);
    const installed = systemChromium();
    if (installed) return { path: installed, from: manager[0]! };
  }
  return null;
}

function systemChromium(): string | null {
  const named = process.env.CHROMIUM;
  if (named && existsSync(named)) return named;
  return names.map(onPath).find((path) => path !== null) ?? places.find((path) => existsSync(path)) ?? null;
}

function run([command, ...args]: string[], timeout: number): void {
  spawnSync(command!, args, { stdio: ['ignore', 'ignore', 'inherit'], timeout });
}
