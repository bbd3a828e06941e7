/** What the built-in routes of org OS do. Each takes its parsed input and answers its result, or throws a Refusal. */
import { randomBytes } from 'node:crypto';
import type { z } from 'zod';
import type { InputOf, OperationName, OutputOf, Settings } from '../../shared/contract.ts';
import { Refusal, refuse } from '../../shared/errors.ts';
import type {
  CoreSelf,
  Crossing,
  GpuState,
  Principal,
  RegistryProblem,
  RegistryState,
  RouteSummary,
  Snapshot,
  Sovereign,
  TokenInfo,
} from '../../shared/model.ts';
import type { Breakers } from './breaker.ts';
import type { Signer } from './crossing.ts';
import type { Seam } from './dispatch.ts';
import type { Journal } from './events.ts';
import type { Health } from './health.ts';
import type { Operator } from './operator/operator.ts';
import { hashToken } from './principals.ts';
import type { Run, Runner } from './runners/runner.ts';
import type { Store } from './store/store.ts';
import { findRoute, type Table } from './table.ts';

export interface OperationParts {
  table(): Table;
  seam(): Seam;
  store: Store;
  signer: Signer;
  journal: Journal;
  health: Health;
  breakers: Breakers;
  gpu: { state(): GpuState };
  registry: {
    state(): RegistryState;
    text(): string;
    revision(): string;
    check(text: string): RegistryProblem[];
    save(text: string, revision: string): Promise<void>;
    /** Writes one more example of a route into the file, every other byte as it is; resolves when it serves. */
    teach(route: string, example: string): Promise<void>;
    /** An operator as it would be with this text; null when the text is not valid. */
    operatorOf(text: string): Promise<Operator | null>;
  };
  tokens: { add(token: TokenInfo & { hash: string }): void; remove(id: string): void };
  self(): CoreSelf;
  counts(): Snapshot['counts'];
  summaries(): RouteSummary[];
  sovereign(): Sovereign;
  setSovereign(on: boolean, by: string): Promise<Sovereign>;
  settings(): Settings;
  changeSettings(changes: InputOf<'OS.settings.set'>): Promise<Settings>;
  clock(): number;
  /** What other modules do. */
  more: Pick<Implementation, Elsewhere>;
}

/** Each takes its parsed input and answers its result, or throws a Refusal. */
export type Implementation = {
  [N in OperationName]: (input: ParsedOf<N>, by: Principal, run: Run) => OutputOf<N> | Promise<OutputOf<N>>;
};
export type ParsedOf<N extends OperationName> = z.output<typeof import('../../shared/contract.ts').operations[N]['input']>;

/** Those of the cortex. */
export type CortexOperation =
  | 'OS.resolve.need'
  | 'OS.cortex'
  | 'OS.gpu.history'
  | `OS.models.${'load' | 'unload' | 'reset'}`
  | 'OS.discover'
  | 'OS.providers.add'
  | `OS.grants${'' | '.create' | '.revoke'}`;

/** Built-in routes that other modules implement. */
type Elsewhere =
  | `OS.jobs${'' | '.get' | '.cancel' | '.retry'}`
  | 'OS.lanes'
  | 'OS.orchestrate'
  | `OS.callbacks${'' | '.redeliver' | '.check'}`
  | `OS.orchestrator.${'dispatch' | 'status' | 'job'}`
  | `OS.mcp${'' | '.add' | '.approve' | '.refresh' | '.stop'}`
  | CortexOperation;

const absent = (what: string, hint: string) => new Refusal(refuse('not_found', what, { hint }));

/** What a person must have seen before these run; null is harmless. */
export const dangers: Record<string, (params: Record<string, unknown>) => string | null> = {
  'OS.sovereign.set': ({ on }) => (on === false ? 'With sovereign off, calls to remote services leave this machine.' : null),
};

export function createOperationRunner(parts: OperationParts): Runner {
  const { table, store, seam } = parts;
  const routeNamed = (name: string) => {
    const route = findRoute(table(), name);
    if (!route) throw new Refusal(refuse('route_unknown', `There is no route ${name}.`, { hint: 'List them with OS.routes.' }));
    return route.spec;
  };

  const implementation: Implementation = {
    ...parts.more,
    'OS.status': () => ({ self: parts.self(), sovereign: parts.sovereign(), registry: parts.registry.state(), counts: parts.counts() }),
    'OS.routes'({ org }) {
      const { registry } = table();
      const of = (code: string) => org === undefined || code.toLowerCase() === org.toLowerCase();
      const orgs = registry.orgs.filter((entry) => of(entry.code));
      if (org !== undefined && orgs.length === 0)
        throw absent(`There is no org ${org}.`, `Orgs: ${registry.orgs.map((entry) => entry.code).join(', ')}.`);
      return {
        orgs,
        routes: parts.summaries().filter((route) => of(route.org)),
        rules: registry.rules.filter((rule) => of(rule.route.split('.')[0]!)),
        registry: parts.registry.state(),
      };
    },
    'OS.resolve'(ask, by) {
      if (ask.text === undefined && ask.route === undefined)
        throw new Refusal(
          refuse('input_invalid', 'There is neither a text nor a route.', { issues: [{ path: 'params.text', message: 'required' }] }),
        );
      return seam().resolve(ask, by);
    },
    'OS.rules.test'({ text }) {
      const { ranked, abstained, rules } = table().operator.explain(text);
      return { ranked, abstained, rules };
    },
    async 'OS.teach'({ text, route }) {
      const { name, kind } = routeNamed(route);
      if (kind === 'operation')
        throw new Refusal(refuse('conflict', `${name} is built in and learns nothing.`, { hint: 'Teach a service of the registry.' }));
      await parts.registry.teach(name, text);
      return { route: name, examples: routeNamed(name).examples.length };
    },
    async 'OS.health'({ org, route, probe }) {
      const wanted = (name: string) =>
        (route === undefined || name.toLowerCase() === route.toLowerCase()) &&
        (org === undefined || name.split('.')[0]!.toLowerCase() === org.toLowerCase());
      if (route !== undefined) routeNamed(route);
      if (probe)
        await Promise.all(
          table()
            .registry.routes.filter(({ name }) => wanted(name))
            .map(({ name }) => parts.health.probe(name)),
        );
      return { health: parts.health.all().filter((entry) => wanted(entry.route)), breakers: parts.breakers.all() };
    },
    'OS.health.history': ({ route, hours }) => ({
      route,
      samples: store.read.healthHistory(routeNamed(route).name, parts.clock() - hours * 3_600_000),
    }),
    'OS.breakers.set'({ endpoint, action }) {
      if (!parts.breakers.all().some((breaker) => breaker.endpoint === endpoint))
        throw absent(
          `No service is reached through ${endpoint}.`,
          `Endpoints: ${parts.breakers
            .all()
            .map((breaker) => breaker.endpoint)
            .slice(0, 10)
            .join(', ')}.`,
        );
      if (action === 'trip') parts.breakers.trip(endpoint);
      else parts.breakers.reset(endpoint);
      return parts.breakers.state(endpoint);
    },
    'OS.audit': (filter) => store.read.audit(filter),
    'OS.audit.verify': () => store.verify(),
    'OS.audit.drill': () => store.drill(),
    'OS.registry': () => ({ text: parts.registry.text(), revision: parts.registry.revision(), state: parts.registry.state() }),
    async 'OS.registry.check'({ text, compare }) {
      const problems = parts.registry.check(text);
      const comparable = compare && !problems.some((problem) => problem.severity === 'error');
      using operator = comparable ? await parts.registry.operatorOf(text) : null;
      if (!operator) return { problems, differs: [], considered: 0 };
      const choice = (of: Operator, asked: string) => {
        const { ranked, abstained } = of.classify(asked);
        return abstained ? null : (ranked[0]?.route ?? null);
      };
      const texts = [...new Set(store.read.recentTexts(500).map((recent) => recent.text))];
      const compared = texts.map((asked) => ({ text: asked, before: choice(table().operator, asked), after: choice(operator, asked) }));
      return { problems, differs: compared.filter(({ before, after }) => before !== after), considered: texts.length };
    },
    async 'OS.registry.save'({ text, revision }) {
      await parts.registry.save(text, revision);
      return { revision: parts.registry.revision(), state: parts.registry.state() };
    },
    'OS.sovereign': () => parts.sovereign(),
    'OS.sovereign.set': ({ on }, by) => parts.setSovereign(on, by.id),
    'OS.gpu': () => parts.gpu.state(),
    'OS.signals': ({ limit }) => ({ signals: parts.journal.signals(limit) }),
    'OS.settings': () => parts.settings(),
    'OS.settings.set': (changes) => parts.changeSettings(changes),
    'OS.tokens': () => ({ tokens: store.read.tokens().map(({ hash: _, ...token }) => token) }),
    async 'OS.tokens.create'({ name, capabilities }) {
      const secret = `dsp_${randomBytes(32).toString('base64url')}`;
      const token: TokenInfo = {
        id: `tok_${randomBytes(8).toString('hex')}`,
        name,
        capabilities: [...new Set(capabilities)],
        createdAt: parts.clock(),
        lastUsedAt: null,
      };
      const hashed = { ...token, hash: hashToken(secret) };
      await store.addToken(hashed);
      parts.tokens.add(hashed);
      return { token, secret };
    },
    async 'OS.tokens.revoke'({ id }) {
      if (!store.read.tokens().some((token) => token.id === id))
        throw absent(`There is no token ${id.slice(0, 100)}.`, 'List them with OS.tokens.');
      await store.revokeToken(id);
      parts.tokens.remove(id);
      return { id };
    },
    'OS.crossings.verify': ({ crossing }) => {
      try {
        return parts.signer.verify(crossing as unknown as Crossing);
      } catch {
        return { ok: false, reason: 'It is not a crossing.' };
      }
    },
  };

  return async (run) => {
    // Whoever was answered finds the answer on record.
    await seam().recorded();
    const operate = implementation[run.route.name as OperationName] as (input: unknown, by: Principal, run: Run) => unknown;
    return { ok: true, result: await operate(run.params, run.principal, run) };
  };
}
