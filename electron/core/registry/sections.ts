/** The sections of the registry file that say what the core itself may do: its tools, MCP servers, orchestrator and callbacks. */
import { basename, isAbsolute } from 'node:path';
import type { CallbackSettings, McpSpec, OrchestratorSettings, Route, ToolSettings } from '../../../shared/model.ts';
import { checkEndpoint } from './endpoint.ts';
import { type Hint, type Located, nearest, type Report } from './readers.ts';
import type { FileShape, ServerShape } from './shape.ts';

/** Runs `act` with these keys added to the path of the report. */
type Under = (keys: (string | number)[], act: () => void) => void;

/** The `tools` section. A path that depends on where the program was started, or a name used twice, is an error. */
export function toolSettings(given: FileShape['tools'], report: Report, under: Under): ToolSettings {
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

/** Programs that start another as somebody else: it would be out of reach of whoever has to end it. */
const elevating = new Set(['sudo', 'doas', 'su', 'pkexec', 'run0', 'runas', 'runas.exe']);
const shells = new Set(['sh', 'bash', 'dash', 'zsh', 'ksh', 'fish', 'cmd', 'cmd.exe', 'powershell', 'powershell.exe', 'pwsh']);
/** What only a shell understands, as an argument of its own or inside one. */
const shellWord = /^(?:&&?|\|\|?|;|\d?>>?(?:&\d)?|<<?)$|\$\(|\$\{|`|^\$[A-Za-z_]|;$/;

/** The `mcp` section. Nothing of it is a reason to start anything: that needs an approval of what is written here. */
export function mcpServers(given: FileShape['mcp'], lineOf: (at: number) => number, report: Report, under: Under): McpSpec[] {
  return (given ?? []).flatMap(({ name, at, value }) => {
    let spec: McpSpec | null = null;
    under(['mcp', name], () => {
      const transport = transportOf(name, at, value, report);
      if (!value.egress) {
        report.warning(at, `${name} does not say how far it reaches, so it counts as remote.`, 'Add egress: local, lan or remote.');
      }
      if (transport === null) return;
      const auth = value.auth?.value;
      spec = {
        name,
        transport,
        auth: auth?.env ? { kind: auth.kind ?? 'bearer', env: auth.env, header: auth.header?.value ?? null } : null,
        egress: value.egress ?? 'remote',
        timeoutMs: value.timeout ?? 60_000,
        idleMs: value.idle ?? 300_000,
        line: lineOf(at),
      };
    });
    return spec ?? [];
  });
}

function transportOf(name: string, at: number, value: ServerShape, report: Report): McpSpec['transport'] | null {
  const tell = (key: string, place: number, message: string, hint: Hint) => {
    report.path.push(key);
    report.error(place, message, hint);
    report.path.pop();
  };
  const { command, url, cwd, env, auth } = value;
  if (command && url) {
    report.error(at, `${name} has a command and a url.`, 'Keep the one it is reached by.');
    return null;
  }
  if (url) {
    const fault = checkEndpoint(url.value, value.egress ?? null);
    if (fault) {
      report.path.push('url');
      report[fault.severity](url.at, fault.message, fault.hint);
      report.path.pop();
    }
    for (const [key, only] of [
      ['cwd', cwd],
      ['env', env],
    ] as const)
      if (only) tell(key, only.at, `${key} belongs to a command; a url starts no program.`, 'Remove it.');
    return { kind: 'http', url: url.value };
  }
  const program = command?.value[0];
  if (!command || !program) {
    if (!command)
      report.error(at, `${name} has neither a command nor a url.`, 'Add command: [program, argument, ...] or url: http://host:port/mcp.');
    return null;
  }
  if (auth) tell('auth', auth.at, 'auth belongs to a url.', 'Hand a secret to a program by env: {ITS_VARIABLE: OUR_VARIABLE}.');
  if (cwd && !isAbsolute(cwd.value))
    tell('cwd', cwd.at, `${cwd.value.slice(0, 80)} is not an absolute path.`, 'Write the whole path, from the top.');
  const called = basename(program.value);
  const fault = checkProgram(command.value);
  if (fault) tell('command', fault.at, fault.message, fault.hint);
  const odd = command.value.slice(1).find((argument) => shellWord.test(argument.value));
  if (shells.has(called)) {
    report.warning(program.at, `${called} is a shell, so whatever stands in its arguments is run.`, 'Start the server itself.');
  } else if (odd) {
    report.warning(
      odd.at,
      `No shell reads "${odd.value.slice(0, 80)}": the program gets it as it is.`,
      'Remove it if a shell was to act on it.',
    );
  }
  return {
    kind: 'stdio',
    argv: command.value.map((argument) => argument.value),
    cwd: cwd?.value ?? null,
    env: (env?.value ?? []).map((variable) => ({ name: variable.name, from: variable.value })),
  };
}

/** What is wrong with a command that is run without a shell: its program is none, or one that is not to be had, or an argument cannot be passed. */
export function checkProgram(command: readonly Located<string>[]): { at: number; message: string; hint: string } | null {
  const program = command[0]!;
  const called = basename(program.value);
  if (elevating.has(called)) {
    const hint = 'Let it run as you, or run it yourself and give its url.';
    return { at: program.at, message: `${called} would start it as somebody else.`, hint };
  }
  if (/[/\\]/.test(program.value) && !isAbsolute(program.value)) {
    const hint = 'Write the whole path, or the name alone of a program that is found on PATH.';
    return { at: program.at, message: `Where ${program.value.slice(0, 80)} is depends on where Dispatcher was started.`, hint };
  }
  if (/[\s;&|<>`$]/.test(program.value) && !isAbsolute(program.value)) {
    const hint = 'Write the program alone; each argument is an entry of its own.';
    return { at: program.at, message: `"${program.value.slice(0, 80)}" is not the name of a program.`, hint };
  }
  const nul = command.find((argument) => argument.value.includes('\0'));
  return nul ? { at: nul.at, message: 'There is a NUL character in this argument.', hint: 'Remove it.' } : null;
}

export function orchestratorSettings(
  given: FileShape['orchestrator'],
  routes: readonly Route[],
  report: Report,
  under: Under,
): OrchestratorSettings {
  const service = given?.service;
  if (service) {
    under(['orchestrator', 'service'], () => {
      const route = routes.find(({ name }) => name === service.value);
      const podiums = routes.filter(({ kind }) => kind === 'podium').map(({ name }) => name);
      if (!route) {
        const meant = nearest(service.value, podiums);
        report.error(
          service.at,
          `There is no service ${service.value}.`,
          meant ? `Did you mean ${meant}?` : 'Write ORG.name of a service of kind podium.',
        );
      } else if (route.kind !== 'podium')
        report.error(service.at, `${route.name} is of kind ${route.kind}.`, 'Name a service of kind podium.');
    });
  }
  return {
    service: service?.value ?? null,
    actionsPerMinute: given?.actions_per_minute ?? 10,
    cooldownMs: given?.cooldown ?? 5000,
    waitMs: given?.wait ?? 8000,
  };
}

export function callbackSettings(given: FileShape['callbacks']): CallbackSettings {
  return {
    signEnv: given?.sign ?? null,
    ingestEnv: given?.ingest ?? null,
    hosts: (given?.hosts ?? []).flatMap(({ host, egress }) => (host && egress ? [{ host: host.toLowerCase(), egress }] : [])),
    attempts: given?.attempts ?? 8,
  };
}
