/** The text of a registry file, checked and compiled into the `Registry` the core works with. */
import { operations } from '../../../shared/contract.ts';
import type { Need } from '../../../shared/cortex.ts';
import { type Issue, Refusal, refuse } from '../../../shared/errors.ts';
import type { CallLimits, Egress, Org, Registry, RegistryProblem, Route, Rule } from '../../../shared/model.ts';
import { checkPattern } from '../operator/rules.ts';
import { checkEndpoint } from './endpoint.ts';
import { compileGrids, type Draft } from './grids.ts';
import { compileNeed, compileProviders, cortexSettings } from './providers.ts';
import { type Hint, nearest, type Report } from './readers.ts';
import { callbackSettings, mcpServers, orchestratorSettings, toolSettings } from './sections.ts';
import { fileShape, mostServices, type ServiceShape } from './shape.ts';
import { createLines, readYaml } from './yaml.ts';

/** Larger files are refused unread. */
export const maxBytes = 16 * 1024 * 1024;
const maxProblems = 100;

const defaults = {
  timeoutMs: 30_000,
  /** Seed 003: flows have two minutes. */
  flowTimeoutMs: 120_000,
  backoffMs: 1000,
  maxBackoffMs: 30_000,
  maxResponseBytes: 8 * 1024 ** 2,
  priority: 50,
  healthIntervalMs: 30_000,
};
/** Org codes in capitals, and the section their routes are made of. */
const reservedOrgs = new Map([
  ['FLOW', 'the section flows'],
  ['MCP', 'the section mcp'],
]);
const defaultLimits: CallLimits = { perSecond: 100, burst: 200 };

/**
 * Patterns that are good for certain: up to 80 characters of words, the commonest classes, `?`, `+`, `*`, alternatives and groups that
 * hold no groups. To analyse a pattern takes up to 50 µs, and with 10,000 rules that would be most of the time of a load.
 */
export const surelyGood = (() => {
  const atom = '(?:[a-z\\d @:_-]|\\\\[dws]|\\[(?:a-z|0-9)+\\])[?+*]?';
  const group = `\\((?:\\?:)?[a-z\\d](?:${atom})*(?:\\|[a-z\\d](?:${atom})*)*\\)[?+*]?`;
  const part = `(?:[a-z\\d@]|${group})(?:${atom}|${group})*`;
  return new RegExp(`^(?=.{1,80}$)${part}(?:\\|${part})*$`, 'i');
})();

export interface Parsed {
  /** null when a problem has severity `error`. */
  registry: Registry | null;
  /** In the order of the file; at most 100 and one that counts the rest. */
  problems: RegistryProblem[];
}

/** A service or flow as the file has it. */
interface Declared {
  code: string;
  service: string;
  at: number;
  value: ServiceShape;
  kind: 'http' | 'model' | 'tool' | 'flow' | 'podium' | 'grid';
  own: ReadonlySet<string>;
}

/**
 * Compiles the text of a registry file.
 * @param options.tools names of the built-in tools that `kind: tool` may name; any when absent
 * @param options.file where the text is from: relative paths in it start at its folder
 */
export function parseRegistry(text: string, options: { tools?: readonly string[]; file?: string } = {}): Parsed {
  const source = text.startsWith('\ufeff') ? text.slice(1) : text;
  const lines = createLines(source);
  const found: RegistryProblem[] = [];
  let more = 0;
  let failed = false;
  const path: (string | number)[] = [];
  const add = (severity: RegistryProblem['severity'], at: number, message: string, hint: Hint) => {
    failed ||= severity === 'error';
    // Errors are kept even when warnings have filled the first half.
    if (found.length >= (severity === 'error' ? 2 * maxProblems : maxProblems)) more++;
    else found.push({ severity, ...lines(at), path: pathText(path), message, hint: typeof hint === 'function' ? hint() : hint });
  };
  const report: Report = {
    path,
    error: (at, message, hint = null) => add('error', at, message, hint),
    warning: (at, message, hint = null) => add('warning', at, message, hint),
  };
  const finish = (registry: Registry | null): Parsed => {
    found.sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning') || a.line - b.line || a.column - b.column);
    const problems = found.slice(0, maxProblems);
    const rest = more + found.length - problems.length;
    if (rest > 0) {
      problems.push({
        severity: 'warning',
        line: 1,
        column: 1,
        path: '',
        message: `There are ${rest} more problems.`,
        hint: 'Correct these first.',
      });
    }
    return { registry: failed ? null : registry, problems };
  };

  if (text.length > maxBytes) {
    report.error(0, `The registry is larger than ${maxBytes / 1024 ** 2} MB.`, 'Split it up, or remove what is not used.');
    return finish(null);
  }
  const { root, faults } = readYaml(source);
  for (const fault of faults) report.error(fault.at, fault.message, fault.hint);
  if (faults.length > 0) return finish(null);
  if (root === null || (root.kind === 'scalar' && root.value === null)) {
    report.error(0, 'The registry is empty.', 'Start with "orgs:"; the manual is resources/registry.yaml.');
    return finish(null);
  }
  const file = fileShape.read(root, report);
  if (!file) return finish(null);

  // What refers to something else is checked when everything is known.
  const orgs: Org[] = [];
  const routes: Route[] = [];
  const byName = new Map<string, Route>();
  const byOrg = new Map<string, Org>();
  const fallbacks: { route: Route; at: number; path: string[] }[] = [];
  const grids: Draft[] = [];
  const under = (keys: (string | number)[], act: () => void) => {
    path.push(...keys);
    act();
    path.length -= keys.length;
  };
  const checkAddress = (key: string, address: { value: string; at: number }, egress: Egress | null) => {
    const fault = checkEndpoint(address.value, egress);
    if (fault) under([key], () => report[fault.severity](address.at, fault.message, fault.hint));
  };
  /** Checks and compiles one service or flow; `path` is where it stands. `own`: the names of its org. */
  const addRoute = ({ code, service, at, value, kind, own }: Declared) => {
    const name = `${code}.${service}`;
    const { endpoint, health, answer, policy, steps, need } = value;
    const qualify = (called: string) => (called.includes('.') && !own.has(called) ? called : `${code}.${called}`);
    if (kind === 'tool' || kind === 'grid') {
      const what = kind === 'tool' ? 'A built-in tool' : 'A grid';
      if (endpoint) report.error(endpoint.at, `${what} has no endpoint.`, 'Remove it, or write kind: http.');
      if (health) report.error(health.at, `${what} has no health address.`, 'Remove it.');
    } else if (need && kind === 'model') {
      for (const [key, given] of Object.entries({ endpoint, health }))
        if (given) report.error(given.at, `${name} has a need, so it has no ${key} of its own.`, `Remove need, or ${key}.`);
      const own = { egress: value.egress, model: value.model, auth: value.auth };
      for (const [key, given] of Object.entries(own))
        if (given)
          report.error(
            at,
            `${key} of ${name} would say nothing, because it has a need.`,
            `Write ${key === 'auth' ? 'auth in its provider' : `${key} inside need`}.`,
          );
    } else {
      if (!endpoint)
        report.error(
          at,
          `${name} has no endpoint.`,
          kind === 'model' ? 'Add endpoint: http://host:port/path, or need: [text-generation].' : 'Add endpoint: http://host:port/path.',
        );
      else {
        if (!value.egress) {
          report.warning(at, `${name} does not say where its endpoint is, so it counts as remote.`, 'Add egress: local, lan or remote.');
        }
        checkAddress('endpoint', endpoint, value.egress ?? null);
      }
      if (health) checkAddress('health', health, value.egress ?? null);
    }
    if (answer && kind !== 'flow') report.error(answer.at, 'answer belongs to kind flow.', 'Remove it, or write kind: flow.');
    for (const given of [policy, steps])
      if (given && kind !== 'grid') report.error(given.at, 'policy and steps belong to kind grid.', 'Remove them, or write kind: grid.');
    if (need && kind !== 'model') report.error(need.at, 'need belongs to kind model.', 'Remove it, or write kind: model.');
    if (kind === 'grid' && !steps) report.error(at, `${name} has no steps.`, 'Add steps: {first: {route: ORG.service}}.');
    if (value.auth?.kind === 'header' && !value.auth.header) {
      report.error(at, 'auth of kind header does not name the header.', 'Add header: X-Api-Key.');
    }
    const header = value.auth?.header;
    if (
      header &&
      /^(?:host|connection|content-length|transfer-encoding|upgrade|te|trailer|expect|keep-alive|proxy-.*)$/i.test(header.value)
    ) {
      report.error(
        header.at,
        `The header ${header.value} belongs to the connection.`,
        'Write the header the service reads the secret from.',
      );
    }
    // What it needs says how far it may go; the route itself goes nowhere.
    const within = kind === 'tool' || kind === 'grid' || need !== undefined;
    let needed: Need | null = null;
    if (need)
      under(['need'], () => {
        needed = compileNeed(need.value, need.at, report);
      });
    const route: Route = {
      name,
      org: code,
      service,
      kind,
      description: value.description ?? null,
      type: value.type ?? 'internal',
      endpoint: endpoint?.value ?? null,
      health: health?.value ?? null,
      method: value.method ?? 'POST',
      auth: value.auth?.env ? { kind: value.auth.kind ?? 'bearer', env: value.auth.env, header: value.auth.header?.value ?? null } : null,
      egress: value.egress ?? (within ? 'local' : 'remote'),
      timeoutMs: value.timeout ?? (kind === 'flow' || kind === 'grid' ? defaults.flowTimeoutMs : defaults.timeoutMs),
      maxResponseBytes: value.max_response ?? defaults.maxResponseBytes,
      concurrency: value.concurrency ?? null,
      lane: value.lane ?? null,
      idempotent: value.idempotent ?? false,
      retry: value.retry?.times
        ? {
            times: value.retry.times,
            backoffMs: value.retry.backoff ?? defaults.backoffMs,
            maxMs: value.retry.max ?? defaults.maxBackoffMs,
          }
        : null,
      answer: answer?.value ?? 'response',
      grid: kind === 'grid' ? { policy: policy?.value ?? 'all', steps: [] } : null,
      mcp: null,
      inputSchema: value.input?.value ?? null,
      fallback: value.fallback ? qualify(value.fallback.value) : null,
      provider: value.provider ?? null,
      model: value.model ?? null,
      need: needed,
      nodes: value.nodes ?? [],
      examples: value.examples ?? [],
      demo: value.demo ?? false,
      line: lines(at).line,
    };
    if (value.fallback) fallbacks.push({ route, at: value.fallback.at, path: [...(path as string[]), 'fallback'] });
    if (kind === 'grid') grids.push({ route, at, path: [...path], steps: steps?.value ?? [], qualify });
    routes.push(route);
    byName.set(name, route);
  };

  for (const { name: code, at: orgAt, value: given } of file.orgs ?? []) {
    const org: Org = {
      code,
      name: given.name ?? code,
      status: given.status ?? 'active',
      description: given.description ?? null,
      primaryNode: given.primary_node ?? null,
      repos: given.repos ?? [],
      defaultService: given.default_service?.value ?? null,
    };
    orgs.push(org);
    byOrg.set(code, org);
    const reserved = reservedOrgs.get(code.toUpperCase());
    if (reserved)
      under(['orgs', code], () => report.error(orgAt, `The org ${code} is made of ${reserved}.`, `Use another code, or ${reserved}.`));
    const coded = given.code;
    if (coded && coded.value !== code) {
      under(['orgs', code, 'code'], () =>
        report.error(coded.at, `The code says ${coded.value}, but the key says ${code}.`, `Write code: ${code}, or remove it.`),
      );
    }
    const services = given.services ?? [];
    // A service name may have dots in it, so that only these tell `memory.search` from ORG.service.
    const own = new Set(services.map((entry) => entry.name));
    for (const { name: service, at, value } of services) {
      const name = `${code}.${service}`;
      const kind = value.kind?.value ?? 'http';
      path.push('orgs', code, 'services', service);
      if (Object.hasOwn(operations, name)) report.error(at, `${name} is built in.`, 'Give the service another name.');
      if (kind === 'tool') {
        if (code !== 'OS')
          report.error(
            value.kind?.at ?? at,
            'Built-in tools belong to the org OS.',
            'Move it to the services of OS, or write kind: http and an endpoint.',
          );
        if (options.tools && !options.tools.includes(service)) {
          const meant = nearest(service, options.tools);
          report.error(
            at,
            `There is no built-in tool ${service}.`,
            meant ? `Did you mean ${meant}?` : `The tools are ${options.tools.join(', ')}.`,
          );
        }
      }
      addRoute({ code, service, at, value, kind, own });
      path.length -= 4;
    }
    const chosen = given.default_service;
    if (chosen && !byName.has(`${code}.${chosen.value}`)) {
      under(['orgs', code, 'default_service'], () =>
        missing(report, chosen.at, `${code} has no service ${chosen.value}.`, chosen.value, () => services.map((entry) => entry.name)),
      );
    }
    if (org.status === 'active' && services.length === 0 && !failed) {
      under(['orgs', code], () =>
        report.warning(orgAt, `${code} is active but has no services.`, 'Add services, or write status: planned.'),
      );
    }
  }
  const flows = file.flows ?? [];
  if (flows.length > 0) {
    orgs.push(flowOrg);
    byOrg.set(flowOrg.code, flowOrg);
    const own = new Set(flows.map((entry) => entry.name));
    for (const { name, at, value } of flows)
      under(['flows', name], () => addRoute({ code: flowOrg.code, service: name, at, value, kind: 'flow', own }));
  }
  const mcp = mcpServers(file.mcp, (at) => lines(at).line, report, under);
  if (routes.length > mostServices) report.error(0, `There are ${routes.length} services; ${mostServices} are the most.`, 'Remove some.');

  const circles = fallbacks.length > 0 ? circular(byName) : new Set<string>();
  for (const { route, at, path: keys } of fallbacks) {
    const target = route.fallback ?? '';
    under(keys, () => {
      if (target === route.name) report.error(at, `${route.name} is its own fallback.`, 'Name another service.');
      else if (!byName.has(target)) missing(report, at, `There is no service ${target} to fall back to.`, target, () => [...byName.keys()]);
      else if (byName.get(target)?.endpoint === null)
        report.error(at, `${target} has no endpoint, so it cannot stand in.`, 'Name a service that has one.');
      else if (circles.has(route.name)) {
        report.error(at, `The fallback of ${route.name} leads back to it.`, 'Let one of the services in this circle have no fallback.');
      }
    });
  }

  const servers = new Set(mcp.map(({ name }) => name));
  // Which tools a server has is known once it runs; until then its name has to do.
  const isRoute = (name: string) =>
    byName.has(name) || (name.startsWith('MCP.') && servers.has(name.split('.')[1] ?? '') && name.split('.').length > 2);
  compileGrids(grids, {
    isRoute,
    route: (name) => byName.get(name),
    routes: () => [...byName.keys()].slice(0, 2000),
    report,
  });

  const rules: Rule[] = [];
  file.rules?.forEach(({ value: given, at }, order) => {
    if (!given.pattern || !given.org) return;
    path.push('rules', order);
    const fault = surelyGood.test(given.pattern.value) ? null : checkPattern(given.pattern.value);
    if (fault) {
      path.push('pattern');
      report.error(given.pattern.at, fault.message, fault.hint);
      path.pop();
    }
    const org = byOrg.get(given.org.value);
    if (!org) missing(report, given.org.at, `There is no org ${given.org.value}.`, given.org.value, () => [...byOrg.keys()]);
    else {
      const service = given.service?.value ?? org.defaultService;
      const where = given.service?.at ?? at;
      if (service === null) {
        report.error(
          where,
          `This rule names no service, and ${org.code} has no default_service.`,
          `Add service: to the rule, or default_service: to ${org.code}.`,
        );
      } else if (!byName.has(`${org.code}.${service}`)) {
        missing(report, where, `There is no service ${org.code}.${service}.`, service, () =>
          routes.filter((route) => route.org === org.code).map((route) => route.service),
        );
      } else {
        rules.push({
          pattern: given.pattern.value,
          route: `${org.code}.${service}`,
          priority: given.priority ?? defaults.priority,
          order,
          line: lines(at).line,
        });
      }
    }
    path.length -= 2;
  });

  const fallbackOrg = file.fallback_org;
  if (fallbackOrg) {
    under(['fallback_org'], () => {
      const org = byOrg.get(fallbackOrg.value);
      if (!org) missing(report, fallbackOrg.at, `There is no org ${fallbackOrg.value}.`, fallbackOrg.value, () => [...byOrg.keys()]);
      else if (org.defaultService === null) {
        report.warning(
          fallbackOrg.at,
          `${org.code} has no default_service, so nothing falls back to it.`,
          `Add default_service: to ${org.code}.`,
        );
      }
    });
  }

  const sections = { lineOf: (at: number) => lines(at).line, report, under, file: options.file ?? null };
  const providers = compileProviders(file.providers, sections, {
    isRoute: (name) => isRoute(name) || Object.hasOwn(operations, name),
    routes: () => [...byName.keys()].slice(0, 2000),
  });

  const calls = file.limits === 'off' ? 'off' : file.limits?.calls;
  return finish({
    orgs,
    routes,
    rules,
    fallbackOrg: fallbackOrg?.value ?? null,
    limits:
      calls === 'off'
        ? null
        : calls?.per_second !== undefined && calls.burst !== undefined
          ? { perSecond: calls.per_second, burst: calls.burst }
          : defaultLimits,
    healthIntervalMs: file.health?.interval ?? defaults.healthIntervalMs,
    tools: toolSettings(file.tools, report, under),
    mcp,
    orchestrator: orchestratorSettings(file.orchestrator, routes, report, under),
    callbacks: callbackSettings(file.callbacks),
    providers,
    cortex: cortexSettings(file.cortex, sections, { providers, whole: providers.length === (file.providers?.length ?? 0) }),
  });
}

const flowOrg: Org = {
  code: 'FLOW',
  name: 'Flows',
  status: 'active',
  description: 'Flows, by intent',
  primaryNode: null,
  repos: [],
  defaultService: null,
};

function missing(report: Report, at: number, message: string, word: string, names: () => string[]): void {
  report.error(at, message, () => {
    const known = names();
    const meant = nearest(word, known.length > 2000 ? known.filter((name) => name[0] === word[0]).slice(0, 2000) : known);
    if (meant) return `Did you mean ${meant}?`;
    return known.length > 0 ? `There are ${known.slice(0, 8).join(', ')}${known.length > 8 ? ' and more' : ''}.` : null;
  });
}

/** Routes whose fallbacks lead back to themselves. Every route has at most one fallback, so each is walked once. */
function circular(byName: Map<string, Route>): Set<string> {
  const circles = new Set<string>();
  const walked = new Set<string>();
  for (const start of byName.keys()) {
    const trail: string[] = [];
    let name: string | null = start;
    while (name !== null && !walked.has(name)) {
      walked.add(name);
      trail.push(name);
      name = byName.get(name)?.fallback ?? null;
    }
    const again = name === null ? -1 : trail.indexOf(name);
    if (again >= 0) for (const member of trail.slice(again)) circles.add(member);
  }
  return circles;
}

function pathText(path: (string | number)[]): string {
  return path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${key}` : key), '');
}

/** The refusal of a text with these problems, each with its place. */
export function invalid(problems: RegistryProblem[]): Refusal {
  const errors = problems.filter((problem) => problem.severity === 'error');
  const first = errors[0];
  const issues: Issue[] = errors.map(({ path, line, column, message, hint }) => ({
    path: path || `line ${line}`,
    message: `line ${line}, column ${column}: ${message}${hint ? ` ${hint}` : ''}`,
  }));
  return new Refusal(
    refuse(
      'registry_invalid',
      `The registry has ${errors.length === 1 ? 'an error' : `${errors.length} errors`}${first ? `, in line ${first.line}: ${first.message}` : '.'}`,
      {
        hint: first?.hint ?? 'Correct it and save again; the registry before it still serves.',
        issues,
      },
    ),
  );
}
