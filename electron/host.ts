/** A core in this process, as every composition root needs it: the home claimed, the core opened, and if wanted the HTTP door. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Demo } from '../resources/demo/demo.ts';
import { Refusal, refuse, toWire } from '../shared/errors.ts';
import type { Core } from './core/core.ts';
import { type Answer, claimHome, type Question } from './home.ts';

/** Where package.json is: one folder up in the sources, three in dist/electron/electron. */
export const projectFolder = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '..' : '../../..', import.meta.url));
export const rendererFolder = join(projectFolder, 'dist', 'renderer');
export const version = (JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8')) as { version: string }).version;

export const defaultPort = 8000;

export interface HostOptions {
  home: string;
  demo: boolean;
  mock: boolean;
  env: NodeJS.ProcessEnv;
  /** Shows the command center in a window of this process; without it, `open` is answered with a URL. */
  show?: () => void;
}

export interface Host extends AsyncDisposable {
  readonly core: Core;
  /**
   * Opens the HTTP door and writes runtime.json. A number is bound or refused with `port_taken`; null takes 8000, or any free
   * port when another program has that (`moved` is then true).
   */
  openDoor(port: number | null): Promise<{ url: string; port: number; moved: boolean; openUrl(): string }>;
}

/** Throws `Refusal` conflict (another process has the home), store_unavailable, database_newer. Disposing ends within five seconds. */
export async function openHost({ home, demo, mock, env, show }: HostOptions): Promise<Host> {
  await using stack = new AsyncDisposableStack();
  let door: { url: string; openUrl(): string } | null = null;
  const answer = ({ ask }: Question): Answer => {
    const who = { pid: process.pid, url: door?.url ?? null };
    if (ask !== 'open') return who;
    if (show) {
      show();
      return { ...who, shown: true };
    }
    return door ? { ...who, openUrl: door.openUrl() } : who;
  };
  const claim = stack.use(await claimHome(home, answer));
  // Before anything else is loaded: the thread of the store starts meanwhile.
  const { beginCore } = await import('./core/begin.ts');
  const begun = stack.use(beginCore(home));
  const registryFile = join(home, demo ? 'demo-registry.yaml' : 'registry.yaml');
  const demonstration = demo ? stack.use(await prepareDemo(home, registryFile)) : null;
  const { createCore } = await import('./core/core.ts');
  const core = stack.use(
    await createCore({
      home,
      registryFile,
      template: readFileSync(new URL('../resources/registry.yaml', import.meta.url), 'utf8'),
      version,
      begun,
      demo,
      mock,
      ...(demonstration && { gpus: demonstration.gpus }),
      secret: (name) => env[name] ?? demonstration?.secrets[name] ?? null,
    }),
  );
  const owned = stack.move();
  return {
    core,
    async openDoor(port) {
      const { createHttpDoor } = await import('./adapters/http.ts');
      const open = (at: number) => createHttpDoor(core, { port: at, rendererFolder });
      let moved = false;
      const opened = owned.use(
        await open(port ?? defaultPort).catch((caught) => {
          if (port !== null || toWire(caught).code !== 'port_taken') throw caught;
          moved = true;
          return open(0);
        }),
      );
      door = opened;
      core.setUrl(opened.url);
      claim.publish({ pid: process.pid, url: opened.url, port: opened.port, token: core.owner.secret });
      return { url: opened.url, port: opened.port, moved, openUrl: opened.openUrl };
    },
    [Symbol.asyncDispose]: () => within(5000, owned.disposeAsync()),
  };
}

/** Starts the demo services and sees to it that the demo registry in the home names the ports they have now. */
async function prepareDemo(home: string, registryFile: string): Promise<Demo> {
  const before = readPorts(home);
  const { startDemo } = await import('../resources/demo/demo.ts');
  const demo = await startDemo({ home });
  try {
    // What the user made of the demo registry stays; only addresses that moved are mended.
    let text = existsSync(registryFile) ? readFileSync(registryFile, 'utf8') : demo.registryText;
    for (const [name, url] of Object.entries(demo.urls))
      if (before[name] && before[name] !== Number(new URL(url).port))
        text = text.replaceAll(`127.0.0.1:${before[name]}`, new URL(url).host);
    writeFileSync(registryFile, text);
    return demo;
  } catch (caught) {
    await demo[Symbol.asyncDispose]();
    throw new Refusal(
      refuse('store_unavailable', `${registryFile} cannot be written: ${(caught as Error).message}`, {
        hint: 'Choose another folder with DISPATCHER_HOME or --home.',
      }),
    );
  }
}

function readPorts(home: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(join(home, 'demo-ports.json'), 'utf8')) as Record<string, number>;
  } catch {
    return {};
  }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
