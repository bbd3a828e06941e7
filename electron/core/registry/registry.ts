/** The registry file: text into the compiled `Registry`, and the file on disk that is watched, saved and never lost. */

import { operations } from '../../../shared/contract.ts';
import type { CallLimits, Org, Registry, RegistryProblem, Route, Rule } from '../../../shared/model.ts';
import { checkEndpoint } from './endpoint.ts';
import { fileShape, mostServices, nearest, type Report } from './shape.ts';
import { createLines, readYaml } from './yaml.ts';

/** Larger files are refused unread. */
export const maxBytes = 16 * 1024 * 1024;
const maxProblems = 100;

const defaults = { timeoutMs: 30_000, maxResponseBytes: 8 * 1024 ** 2, priority: 50, healthIntervalMs: 30_000 };
const defaultLimits: CallLimits = { perSecond: 100, burst: 200 };

export interface Parsed {
  /** null when a problem has severity `error`. */
  registry: Registry | null;
  /** In the order of the file; at most 100 and one that counts the rest. */
  problems: RegistryProblem[];
}

// TODO switch to operator/rules.ts
function checkPattern(pattern: string): { message: string; hint: string } | null {
  try {
    new RegExp(pattern, 'iu');
    return null;
  } catch {
    return { message: 'This pattern is not a regular expression.', hint: 'Write plain words, or close what is open.' };
  }
}

/**
 * Compiles the text of a registry file.
 * @param options.tools names of the built-in tools that `kind: tool` may name; any when absent
 */
export function parseRegistry(text: string, options: { tools?: readonly string[] } = {}): Parsed {
  const lines = createLines(text);
  const found: RegistryProblem[] = [];
  let more = 0;
  let failed = false;
  const path: (string | number)[] = [];
  const add = (severity: RegistryProblem['severity'], at: number, message: string, hint: string | null) => {
    failed ||= severity === 'error';
    if (found.length < maxProblems || severity === 'error') {
      if (found.length >= maxProblems * 2) more++;
      else found.push({ severity, ...lines(at), path: pathText(path), message, hint });
    } else more++;
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
  const { root, faults } = readYaml(text);
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
        fallback: value.fallback ? (value.fallback.value.includes('.') ? value.fallback.value : `${code}.${value.fallback.value}`) : null,
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
    if (chosen && !byName.has(`${code}.${chosen.value}`) && !Object.hasOwn(operations, `${code}.${chosen.value}`)) {
      under(['orgs', code, 'default_service'], () =>
        missing(
          report,
          chosen.at,
          `${code} has no service ${chosen.value}.`,
          chosen.value,
          services.map((entry) => entry.name),
        ),
      );
    }
    if (org.status === 'active' && services.length === 0) {
      under(['orgs', code], () =>
        report.warning(orgAt, `${code} is active but has no services.`, 'Add services, or write status: planned.'),
      );
    }
  }
  if (routes.length > mostServices) report.error(0, `There are ${routes.length} services; ${mostServices} are the most.`, 'Remove some.');

  for (const { route, at, path: keys } of fallbacks) {
    const target = route.fallback ?? '';
    under(keys, () => {
      if (target === route.name) report.error(at, `${route.name} is its own fallback.`, 'Name another service.');
      else if (!byName.has(target)) missing(report, at, `There is no service ${target} to fall back to.`, target, [...byName.keys()]);
      else if (reaches(byName, target, route.name)) {
        report.error(at, `The fallback of ${route.name} leads back to it.`, 'Let one of the services in this circle have no fallback.');
      }
    });
  }

  const rules: Rule[] = [];
  file.rules?.forEach(({ value: given, at }, order) => {
    if (!given.pattern || !given.org) return;
    path.push('rules', order);
    const fault = checkPattern(given.pattern.value);
    if (fault) {
      path.push('pattern');
      report.error(given.pattern.at, fault.message, fault.hint);
      path.pop();
    }
    const org = byOrg.get(given.org.value);
    if (!org) missing(report, given.org.at, `There is no org ${given.org.value}.`, given.org.value, [...byOrg.keys()]);
    else {
      const service = given.service?.value ?? org.defaultService;
      const where = given.service?.at ?? at;
      if (service === null) {
        report.error(
          where,
          `This rule names no service, and ${org.code} has no default_service.`,
          `Add service: to the rule, or default_service: to ${org.code}.`,
        );
      } else if (!byName.has(`${org.code}.${service}`) && !Object.hasOwn(operations, `${org.code}.${service}`)) {
        missing(
          report,
          where,
          `There is no service ${org.code}.${service}.`,
          service,
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
      if (!org) missing(report, fallbackOrg.at, `There is no org ${fallbackOrg.value}.`, fallbackOrg.value, [...byOrg.keys()]);
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
  });
}

function missing(report: Report, at: number, message: string, word: string, names: string[]): void {
  const meant = nearest(word, names);
  const listed = names.slice(0, 8).join(', ');
  report.error(
    at,
    message,
    meant ? `Did you mean ${meant}?` : listed ? `There are ${listed}${names.length > 8 ? ' and more' : ''}.` : null,
  );
}

/** Whether following fallbacks from `start` comes to `goal`. */
function reaches(byName: Map<string, Route>, start: string, goal: string): boolean {
  const seen = new Set<string>();
  for (let name: string | null = start; name !== null && !seen.has(name); name = byName.get(name)?.fallback ?? null) {
    if (name === goal) return true;
    seen.add(name);
  }
  return false;
}

function pathText(path: (string | number)[]): string {
  return path.reduce<string>((text, key) => (typeof key === 'number' ? `${text}[${key}]` : text ? `${text}.${key}` : key), '');
}
