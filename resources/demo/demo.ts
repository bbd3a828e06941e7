/** Starts the demo services, real servers on 127.0.0.1, and gives the registry that names them. */
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GpuDevice } from '../../shared/model.ts';
import { createCard } from './card.ts';
import { createModelServer } from './model.ts';
import { createOllama } from './ollama.ts';
import { createPodium } from './podium.ts';
import { openService, type Service } from './service.ts';
import { createControl, createCrm, createDeploy, createFlaky, createFlows, createInbox, createSlow, createSlowHealth } from './services.ts';

export interface Demo {
  /** YAML text of the registry with the addresses filled in. */
  registryText: string;
  /** Base address of each service by name: crm, deploy, payments, report, archive, flows, model, ollama, cloud, podium, inbox, control. */
  urls: Record<string, string>;
  /** The pretended card, as a tool of it would print it. */
  gpus(): GpuDevice[];
  /** Environment variables that the registry names, other ones at each start. */
  secrets: Record<string, string>;
  /** Closes a service's port and cuts its connections. Throws on a name that is not in `urls`. */
  stop(name: string): Promise<void>;
  /** Opens it again at the same address. */
  start(name: string): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Down from the beginning, so that there is something to see; "start the archive" brings it up. */
const downAtStart = new Set(['archive']);

/**
 * `home`: the ports are kept in `demo-ports.json` there and used again at the next start, so that addresses in a registry
 * somebody edited stay true. `only`: the names to start; the others have an address but stay stopped.
 */
export async function startDemo({ home, only }: { home?: string; only?: string[] } = {}): Promise<Demo> {
  const portsFile = home ? join(home, 'demo-ports.json') : null;
  const ports = portsFile ? await readPorts(portsFile) : {};
  const [template, corpus, builtin] = await Promise.all(
    ['registry.yaml', 'corpus.txt', '../registry.yaml'].map((name) => readFile(new URL(name, import.meta.url), 'utf8')),
  );

  const card = createCard();
  const ollama = createOllama(corpus!, { card });
  const services = new Map<string, Service>();
  const find = (name: string): Service => {
    const service = services.get(name);
    if (!service) throw new Error(`There is no demo service ${name}; there are ${[...services.keys()].join(', ')}.`);
    return service;
  };
  const stop = async (name: string) => {
    await find(name).stop();
    if (name === 'ollama') ollama.end();
  };
  const start = (name: string) => find(name).start();

  const podium = createPodium();
  const secrets = { DEMO_CALLBACK_SECRET: `whsec_${randomBytes(32).toString('base64')}` };
  const flows = createFlows({ secret: secrets.DEMO_CALLBACK_SECRET });
  const parts = {
    crm: { handle: createCrm() },
    deploy: { handle: createDeploy() },
    payments: { handle: createFlaky() },
    report: { handle: createSlow(), health: createSlowHealth() },
    archive: { handle: () => ({ success: true, archived: 12 }) },
    flows: { handle: flows.handle },
    model: { handle: createModelServer(corpus!) },
    ollama: { handle: ollama.handle },
    cloud: { handle: createModelServer(corpus!, { names: ['demo-cloud-large'] }) },
    podium: { handle: podium.handle, health: podium.health },
    inbox: { handle: createInbox() },
    control: {
      handle: createControl({
        names: ['crm', 'deploy', 'payments', 'report', 'archive', 'flows', 'model', 'podium', 'ollama', 'cloud'],
        stop,
        start,
      }),
    },
  };
  // One after the other: a remembered port must not be given away as somebody else's free one.
  for (const [name, part] of Object.entries(parts))
    services.set(name, await openService({ ...part, ...(ports[name] && { port: ports[name] }) }));
  podium.attach(find('podium').server);
  for (const name of services.keys()) if (downAtStart.has(name) || (only && !only.includes(name))) await stop(name);

  const urls = Object.fromEntries([...services].map(([name, service]) => [name, service.url]));
  if (portsFile) {
    const used = Object.fromEntries(Object.entries(urls).map(([name, url]) => [name, Number(new URL(url).port)]));
    await writeFile(portsFile, `${JSON.stringify(used, null, 2)}\n`);
  }
  return {
    registryText: withTools(template!, builtin!).replace(/\{\{(\w+)(\.host)?\}\}/g, (_, name: string, host?: string) =>
      host ? new URL(find(name).url).host : find(name).url,
    ),
    urls,
    gpus: () => [card.device()],
    secrets,
    stop,
    start,
    async [Symbol.asyncDispose]() {
      podium.close();
      flows.close();
      ollama.close();
      await Promise.all([...services.values()].map((service) => service.stop()));
    },
  };
}

/** Puts the org OS and its rules, as the built-in registry has them, where the template wants them. */
function withTools(template: string, builtin: string): string {
  const org = /^ {2}OS:\n(?:(?: {4}.*)?\n)+/m.exec(builtin)?.[0].trimEnd();
  const rules = builtin.split('\n').filter((line) => /^ {2}- \{.*\borg: OS\b/.test(line));
  if (!org) throw new Error('resources/registry.yaml has no org OS.');
  return template.replace(/^ *# \{\{OS\}\}$/m, () => org).replace(/^ *# \{\{OS rules\}\}$/m, () => rules.join('\n'));
}

async function readPorts(file: string): Promise<Record<string, number>> {
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    const entries = Object.entries(value && typeof value === 'object' ? value : {});
    return Object.fromEntries(
      entries.filter((entry): entry is [string, number] => Number.isInteger(entry[1]) && entry[1] > 1023 && entry[1] < 65536),
    );
  } catch {
    return {};
  }
}
