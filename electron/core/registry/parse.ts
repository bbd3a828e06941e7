/** The text of a registry file, checked and compiled into the `Registry` the core works with. */
import { isAbsolute } from 'node:path';
import { operations } from '../../../shared/contract.ts';
import type { CallLimits, Org, Registry, RegistryProblem, Route, Rule, ToolSettings } from '../../../shared/model.ts';
import { checkPattern } from '../operator/rules.ts';
import { checkEndpoint } from './endpoint.ts';
import { fileShape, type Hint, mostServices, nearest, type Report } from './shape.ts';
import { createLines, readYaml } from './yaml.ts';

/** Larger files are refused unread. */
export const maxBytes = 16 * 1024 * 1024;
const maxProblems = 100;

const defaults = { timeoutMs: 30_000, maxResponseBytes: 8 * 1024 ** 2, priority: 50, healthIntervalMs: 30_000 };
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

/**
 * Compiles the text of a registry file.
 * @param options.tools names of the built-in tools that `kind: tool` may name; any when absent
 */
export function parseRegistry(text: string, options: { tools?: readonly string[] } = {}): Parsed {
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
  const under = (keys: (string | number)[], act: () => void) => {
    path.push(...keys);
    act();
    path.length -= keys.length;
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
      if (kind === 'flow' || kind === 'podium') {
        report.warning(value.kind?.at ?? at, `This version calls kind ${kind} like kind http.`);
      }
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
        if (value.endpoint) report.error(value.endpoint.at, 'A built-in tool has no endpoint.', 'Remove it, or write kind: http.');
        if (value.health) report.error(value.health.at, 'A built-in tool has no health address.', 'Remove it.');
      } else {
        if (!value.endpoint) report.error(at, `${name} has no endpoint.`, 'Add endpoint: http://host:port/path.');
        else {
          if (!value.egress) {
            report.warning(at, `${name} does not say where its endpoint is, so it counts as remote.`, 'Add egress: local, lan or remote.');
          }
          const fault = checkEndpoint(value.endpoint.value, value.egress ?? null);
          if (fault) {
            path.push('endpoint');
            add(fault.severity, value.endpoint.at, fault.message, fault.hint);
            path.pop();
          }
        }
        if (value.health) {
          const fault = checkEndpoint(value.health.value, value.egress ?? null);
          if (fault) {
            path.push('health');
            add(fault.severity, value.health.at, fault.message, fault.hint);
            path.pop();
          }
        }
      }
      for (const key of ['concurrency', 'lane'] as const)
        if (value[key] !== undefined) report.warning(at, `This version does not hold calls back for ${key}.`, 'Calls run as they come.');
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
      const route: Route = {
        name,
        org: code,
        service,
        kind: kind === 'flow' || kind === 'podium' ? 'http' : kind,
        description: value.description ?? null,
        type: value.type ?? 'internal',
        endpoint: value.endpoint?.value ?? null,
        health: value.health?.value ?? null,
        method: value.method ?? 'POST',
        auth: value.auth?.env ? { kind: value.auth.kind ?? 'bearer', env: value.auth.env, header: value.auth.header?.value ?? null } : null,
        egress: value.egress ?? (kind === 'tool' ? 'local' : 'remote'),
        timeoutMs: value.timeout ?? defaults.timeoutMs,
        maxResponseBytes: value.max_response ?? defaults.maxResponseBytes,
        concurrency: value.concurrency ?? null,
        lane: value.lane ?? null,
        idempotent: value.idempotent ?? false,
        fallback: value.fallback
          ? value.fallback.value.includes('.') && !own.has(value.fallback.value)
            ? value.fallback.value
            : `${code}.${value.fallback.value}`
          : null,
        provider: value.provider ?? null,
        model: value.model ?? null,
        nodes: value.nodes ?? [],
        examples: value.examples ?? [],
        demo: value.demo ?? false,
        line: lines(at).line,
      };
      if (value.fallback) fallbacks.push({ route, at: value.fallback.at, path: ['orgs', code, 'services', service, 'fallback'] });
      routes.push(route);
      byName.set(name, route);
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
  if (routes.length > mostServices) report.error(0, `There are ${routes.length} services; ${mostServices} are the most.`, 'Remove some.');

  const circles = fallbacks.length > 0 ? circular(byName) : new Set<string>();
  for (const { route, at, path: keys } of fallbacks) {
    const target = route.fallback ?? '';
    under(keys, () => {
      if (target === route.name) report.error(at, `${route.name} is its own fallback.`, 'Name another service.');
      else if (!byName.has(target)) missing(report, at, `There is no service ${target} to fall back to.`, target, () => [...byName.keys()]);
      else if (circles.has(route.name)) {
        report.error(at, `The fallback of ${route.name} leads back to it.`, 'Let one of the services in this circle have no fallback.');
      }
    });
  }

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
  });
}

type Under = (keys: (string | number)[], act: () => void) => void;

/** The `tools` section. A path that depends on where the program was started, or a name used twice, is an error. */
function toolSettings(given: NonNullable<ReturnType<typeof fileShape.read>>['tools'], report: Report, under: Under): ToolSettings {
  const absolute = (keys: (string | number)[], path: { value: string; at: number } | undefined) => {
    if (path === undefined || (isAbsolute(path.value) && !path.value.includes('\0'))) return;
    under(['tools', ...keys], () =>
      report.error(path.at, `${path.value.slice(0, 80)} is not an absolute path.`, 'Write the whole path, from the top.'),
    );
  };
  const once = (keys: string[], named: ({ value: string; at: number } | undefined)[]) => {
    const seen = new Set<string>();
    named.forEach((name, index) => {
      if (name === undefined) return;
      if (seen.has(name.value))
        under(['tools', ...keys, index], () => report.error(name.at, `There are two named ${name.value}.`, 'Rename one.'));
      seen.add(name.value);
    });
  };
  const roots = given?.fs?.roots ?? [];
  const hosts = given?.ssh?.hosts ?? [];
  roots.forEach(({ value }, index) => {
    absolute(['fs', 'roots', index], value.path);
  });
  hosts.forEach(({ value }, index) => {
    absolute(['ssh', 'hosts', index], value.identity);
  });
  absolute(['ssh'], given?.ssh?.known_hosts);
  once(
    ['fs', 'roots'],
    roots.map(({ value }) => value.name),
  );
  once(
    ['ssh', 'hosts'],
    hosts.map(({ value }) => value.name),
  );
  return {
    roots: roots.flatMap(({ value: { name, path, write } }) =>
      name && path ? [{ name: name.value, path: path.value, write: write ?? false }] : [],
    ),
    fetchHosts: (given?.fetch?.hosts ?? []).flatMap(({ value: { host, egress } }) =>
      host && egress ? [{ host: host.toLowerCase(), egress }] : [],
    ),
    ssh: {
      knownHosts: given?.ssh?.known_hosts?.value ?? null,
      hosts: hosts.flatMap(({ value: { name, address, port, user, identity, egress } }) =>
        name
          ? [
              {
                name: name.value,
                address: address ?? name.value,
                port: port ?? 22,
                user: user ?? null,
                identity: identity?.value ?? null,
                egress: egress ?? 'remote',
              },
            ]
          : [],
      ),
    },
  };
}

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
