/** Starts the real thing for a test: `dispatcher serve --demo` in a home of its own, and a browser signed in to it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Page, TestInfo } from '@playwright/test';
import type { Crossing, Resolution, RouteSummary } from '../shared/model.ts';

const root = join(import.meta.dirname, '..');
const cli = join(root, 'bin', 'dispatcher.mjs');

export interface DemoLedgerLine {
  at: number;
  path: string;
  idempotencyKey: string | null;
  outcome: 'answered' | 'aborted' | 'failed' | null;
  note: string | null;
}

export interface App {
  readonly home: string;
  readonly url: string;
  /** POST /dispatch with the owner's token. */
  dispatch(ask: { query?: string; route?: string; params?: Record<string, unknown>; confirm?: boolean }): Promise<Crossing>;
  /** Where words would go. */
  resolve(text: string): Promise<Resolution>;
  /** A built-in route by its HTTP path. */
  get<T>(path: string): Promise<T>;
  /** A URL that signs a browser in, once. */
  signInUrl(): Promise<string>;
  /** What the demo service behind a route has seen. */
  ledger(route: string): Promise<DemoLedgerLine[]>;
  /** A built-in route by its HTTP path, with the owner's token. */
  send<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }>;
  /** Ends the core; the home stays. */
  stop(): Promise<void>;
  /** The power cord: kill -9. The home stays. */
  kill(): Promise<void>;
  /** `stop`, and the home goes. */
  close(): Promise<void>;
}

/** In a new home, or in one that was used before. Throws with what the core wrote to standard error when it does not come up within 20 s. */
export async function startApp(args: string[] = ['--demo'], used?: string): Promise<App> {
  const home = used ?? (await mkdtemp(join(tmpdir(), 'dispatcher-e2e-')));
  await rm(join(home, 'runtime.json'), { force: true });
  const child = spawn(process.execPath, [cli, 'serve', '--port', '0', ...args], {
    env: { ...process.env, DISPATCHER_HOME: home },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk).slice(-8000);
  });
  const runtime = join(home, 'runtime.json');
  for (const end = Date.now() + 20_000; !existsSync(runtime); ) {
    if (child.exitCode !== null || Date.now() > end) {
      await stop(child);
      throw new Error(`dispatcher serve did not come up (exit code ${child.exitCode}):\n${log}`);
    }
    await wait(20);
  }
  const { url, token } = JSON.parse(await readFile(runtime, 'utf8')) as { url: string; token: string };
  const send = async <T>(method: string, path: string, body?: unknown) => {
    const response = await fetch(new URL(path, url), {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as T };
  };
  const request = async (method: string, path: string, body?: unknown) => (await send<never>(method, path, body)).body;
  return {
    home,
    url,
    dispatch: (ask) => request('POST', '/dispatch', ask),
    resolve: (text) => request('POST', '/resolve', { text }),
    get: (path) => request('GET', path),
    signInUrl: async () => ((await request('POST', '/session', {})) as { url: string }).url,
    async ledger(route) {
      const { routes } = (await request('GET', '/routes')) as { routes: RouteSummary[] };
      const endpoint = routes.find((one) => one.name === route)?.endpoint;
      if (!endpoint) throw new Error(`${route} has no endpoint`);
      const response = await fetch(new URL('/__ledger', endpoint));
      return ((await response.json()) as { requests: DemoLedgerLine[] }).requests;
    },
    send,
    stop: () => stop(child),
    async kill() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
    async close() {
      await stop(child);
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const killer = setTimeout(() => child.kill('SIGKILL'), 8000);
  await ended;
  clearTimeout(killer);
}

/** The `dispatcher` command with a home. */
export function dispatcher(home: string, args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...args], { env: { ...process.env, DISPATCHER_HOME: home }, timeout: 20_000 }, (error, out, err) => {
      const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
      resolve({ code, output: `${out}${err}` });
    });
  });
}

/** Opens the command center signed in and waits until it is connected. */
export async function signIn(page: Page, app: App): Promise<void> {
  await page.goto(await app.signInUrl());
  await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
}

export const viewNames = ['Dispatch', 'Queue', 'Routes', 'Health', 'GPU', 'Audit', 'Settings'] as const;
export type ViewName = (typeof viewNames)[number];

/** Goes to a view by the rail and waits until it stands. */
export async function openView(page: Page, name: ViewName): Promise<void> {
  await page
    .getByRole('navigation', { name: 'Views' })
    .getByRole('button', { name: new RegExp(`^${name}(,|$)`) })
    .click();
  await page.getByRole('main', { name }).getByRole('heading', { level: 1, name }).waitFor();
}

/** Keeps a picture in the results folder and in the report. */
export async function takePicture(page: Page, info: TestInfo, name: string): Promise<void> {
  const path = join(root, 'test-results', 'screenshots', `${name}.png`);
  await page.screenshot({ path });
  await info.attach(name, { path, contentType: 'image/png' });
}
