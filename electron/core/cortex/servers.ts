/** What the servers of providers say of themselves, kept fresh: one question at a time to each distinct server, however many providers it has. */
import type { Provider } from '../../../shared/cortex.ts';
import { toWire } from '../../../shared/errors.ts';
import type { Controller, ControllerParts, CreateController, Listing } from '../providers/controller.ts';

/** What is known of one server. */
export interface Said {
  /** The last answer; null until there was one. A server that is known to be down holds nothing. */
  listing: Listing | null;
  /** Why it does not answer; null when it did. */
  failure: { code: string; message: string } | null;
  /** Of the question that `listing` or `failure` answers; 0 before the first. */
  question: number;
}

export interface Servers {
  /** Follows the providers: new servers are asked at once, those that stay keep what is known. */
  configure(providers: readonly Provider[]): void;
  said(provider: Provider): Said;
  /** The number of the last question that was put to any server: a later one was put after now. */
  readonly asked: number;
  /** Asks its server now, after a question under way. Never rejects. */
  refresh(provider: Provider): Promise<void>;
  /** Resolves when every server has been asked once. */
  ready(): Promise<void>;
  start(): void;
  /** Resolves when nothing is under way. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface ServersOptions {
  createController: CreateController;
  parts: ControllerParts;
  /** A server answered, or did not. `news`: something of it is not as before; `residents`: what is in memory is not; `usage`: how busy it is. */
  onSaid(about: { news: boolean; residents: boolean; usage: boolean }): void;
  /** Pauses between two questions, milliseconds. */
  paces: Paces;
}

export interface Paces {
  near: number;
  /** Of servers on the internet, which are asked only for what they have. */
  remote: number;
  /** Longest pause after failures: a server that refuses the connection costs nothing to ask; one that hangs does. */
  refused: number;
  hanging: number;
  /** How long an answer may take. */
  patience: number;
}

export const paces: Paces = { near: 1000, remote: 300_000, refused: 1500, hanging: 10_000, patience: 5000 };

interface Server {
  key: string;
  provider: Provider;
  controller: Controller;
  said: Said;
  failures: number;
  underWay: Promise<void> | null;
  timer: NodeJS.Timeout | null;
}

const silent: Said = { listing: null, failure: null, question: 0 };

/** Providers with the same key have the same server. */
export function serverKey({ controller, endpoint, egress, auth, name }: Provider): string {
  const shared = controller.kind !== 'container' && controller.kind !== 'command';
  return JSON.stringify([controller, endpoint.replace(/\/+$/, ''), egress, auth, shared ? null : name]);
}

/** An API on the internet that says what it has in the registry is not asked: nothing it could say is needed. */
const isAsked = ({ egress, tiers }: Provider) => egress !== 'remote' || tiers.length === 0;

export function createServers({ createController, parts, onSaid, paces: pace }: ServersOptions): Servers {
  const servers = new Map<string, Server>();
  const ending = new AbortController();
  let asked = 0;
  let started = false;

  function configure(providers: readonly Provider[]): void {
    const wanted = new Map<string, Provider>();
    for (const provider of providers) {
      const key = serverKey(provider);
      if (isAsked(provider) && !wanted.has(key)) wanted.set(key, provider);
    }
    for (const [key, server] of servers) {
      if (wanted.has(key)) continue;
      if (server.timer) clearTimeout(server.timer);
      servers.delete(key);
    }
    for (const [key, provider] of wanted) {
      const known = servers.get(key);
      // The switch may have been turned.
      if (started && known?.said.failure?.code === 'sovereign_refused') void ask(known);
      if (known && JSON.stringify(known.provider) === JSON.stringify(provider)) continue;
      // A controller names a tier of its provider while it loads, also where the tiers are not known.
      const tiers = provider.tiers.length > 0 ? provider.tiers : [{ name: 'auto', model: '', vram: null, context: null, loadMs: 0 }];
      const controller = createController({ ...provider, tiers }, parts);
      if (known) Object.assign(known, { provider, controller });
      else {
        const server: Server = { key, provider, controller, said: silent, failures: 0, underWay: null, timer: null };
        servers.set(key, server);
        if (started) void ask(server);
      }
    }
  }

  function ask(server: Server): Promise<void> {
    server.underWay ??= put(server).finally(() => {
      server.underWay = null;
      arm(server);
    });
    return server.underWay;
  }

  async function put(server: Server): Promise<void> {
    if (server.timer) clearTimeout(server.timer);
    server.timer = null;
    const question = ++asked;
    const before = server.said;
    try {
      const listing = await server.controller.list(AbortSignal.any([ending.signal, AbortSignal.timeout(pace.patience)]));
      server.failures = 0;
      server.said = { listing, failure: null, question };
    } catch (caught) {
      if (ending.signal.aborted) return;
      const { code, message } = toWire(caught);
      server.failures++;
      // Nothing listens there: what it held went with it. One that hangs may still hold it.
      const listing =
        code === 'upstream_refused' && before.listing !== null ? { ...before.listing, resident: [], usage: null } : before.listing;
      server.said = { listing, failure: { code, message }, question };
    }
    // The server of a provider that is gone meanwhile is nobody's.
    if (servers.get(server.key) !== server) return;
    const { said } = server;
    const residents = JSON.stringify(said.listing?.resident) !== JSON.stringify(before.listing?.resident);
    const news =
      residents || JSON.stringify([said.listing?.models, said.failure]) !== JSON.stringify([before.listing?.models, before.failure]);
    const usage = JSON.stringify(said.listing?.usage) !== JSON.stringify(before.listing?.usage);
    onSaid({ news: news || before.question === 0, residents, usage });
  }

  function arm(server: Server): void {
    if (ending.signal.aborted || !started || servers.get(server.key) !== server || server.timer) return;
    const { failures, said } = server;
    const far = server.provider.egress === 'remote';
    const most = said.failure?.code === 'upstream_refused' ? pace.refused : far ? pace.hanging * 6 : pace.hanging;
    const usual = far ? pace.remote : pace.near;
    const pause = failures === 0 ? usual : Math.min(most, pace.near * 2 ** Math.min(20, failures - 1));
    server.timer = setTimeout(() => void ask(server), pause).unref();
  }

  const of = (provider: Provider) => servers.get(serverKey(provider));

  return {
    configure,
    said: (provider) => of(provider)?.said ?? silent,
    get asked() {
      return asked;
    },
    async refresh(provider) {
      const server = of(provider);
      if (!server || ending.signal.aborted) return;
      // What is under way was asked before now.
      if (server.underWay) await server.underWay;
      await ask(server);
    },
    async ready() {
      await Promise.all([...servers.values()].map((server) => (server.said.question === 0 ? ask(server) : undefined)));
    },
    start() {
      if (started) return;
      started = true;
      for (const server of servers.values()) void ask(server);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      for (const { timer } of servers.values()) if (timer) clearTimeout(timer);
      await Promise.all([...servers.values()].map(({ underWay }) => underWay));
    },
  };
}
