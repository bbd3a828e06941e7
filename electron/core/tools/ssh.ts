/**
 * `ssh.exec.peek` and `ssh.exec`: commands on other machines, over the OpenSSH client of this one.
 *
 * The client reads no configuration and gets a fixed list of options: it asks nothing, knows only hosts whose key is on record,
 * forwards nothing, and connects to the address that was judged (egress.ts) and not to one it looked up by itself. It has an
 * environment of its own, and its process group is killed when its time, its caller or its output is over. What runs on the
 * other machine may then go on there: OpenSSH ends it only when it writes.
 */
import { spawn } from 'node:child_process';
import { homedir, platform } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { Refusal, refuse, type WireError } from '../../../shared/errors.ts';
import type { Egress as EgressClass, ToolSettings } from '../../../shared/model.ts';
import type { Egress } from '../egress.ts';
import { addressKind } from '../reach.ts';
import type { Run } from '../runners/runner.ts';
import { peekFault, peekPrograms } from './peek.ts';
import { quoteWord, splitWords } from './shell.ts';
import { misfit, type Tool, tool } from './tools.ts';

const STDERR_BYTES = 65_536;
/** Clients at one time, so that a flood of calls is no flood of processes. */
const MOST_CLIENTS = 16;
const MOST_LINE_BYTES = 100_000;
/** Addresses of one name that are tried. */
const MOST_ADDRESSES = 4;
const unreached = new Set(['upstream_refused', 'upstream_timeout', 'upstream_unreachable']);

export interface SshOptions {
  egress: Egress;
  settings(): ToolSettings['ssh'];
  /** Absolute, or found in the system's folders. */
  client?: string;
  /** The clock of `run.deadlineAt`. */
  clock?: () => number;
}

const input = {
  text: z.string().max(10_000).optional(),
  host: z.string().max(253).optional(),
  port: z.number().int().min(1).max(65_535).optional(),
  user: z.string().max(64).optional(),
  command: z.string().max(8192).optional(),
  /** The words of the command, in place of `command`. */
  argv: z.array(z.string().max(4096)).min(1).max(64).optional(),
  timeoutMs: z.number().int().min(1).max(600_000).default(30_000),
  maxBytes: z
    .number()
    .int()
    .min(1)
    .max(4 * 1024 ** 2)
    .default(262_144),
};

interface Target {
  name: string;
  address: string;
  port: number;
  user: string | null;
  identity: string | null;
  egress: EgressClass;
}

interface Ask {
  target: Target;
  /** What the remote shell gets. */
  line: string;
  /** What the caller wrote. */
  shown: string;
  params: { timeoutMs: number; maxBytes: number };
  run: Run;
}

interface Said {
  stdout: string;
  stderr: string;
  /** null when it was ended because its output was too long. */
  exitCode: number | null;
  truncated: boolean;
}

export function createSshTools({ egress, settings, client, clock = Date.now }: SshOptions): Tool[] {
  let clients = 0;

  const peek = tool({
    name: 'ssh.exec.peek',
    outward: true,
    summary: 'Looks at another machine: disk, load, processes, files',
    examples: ['run uptime on pi over ssh', 'peek df -h on server.example.com', 'ssh.exec.peek uptime'],
    input: z.strictObject(input),
    async answer(params, run) {
      const { host, command, argv } = asked(params, run);
      const words = argv ?? wordsOf(command);
      const fault = peekFault(words);
      if (fault !== null)
        throw new Refusal(
          refuse('forbidden', `This may not be peeked: ${fault}.`, {
            hint: `Peek runs ${peekPrograms.join(', ')}. Others need OS.ssh.exec.`,
          }),
        );
      const line = words.map(quoted).join(' ');
      return execute({ target: targetOf({ ...params, host }, run), line, shown: command ?? line, params, run });
    },
  });

  const exec = tool({
    name: 'ssh.exec',
    outward: true,
    summary: 'Runs a command on another machine; without confirm_dangerous it only says what it would run',
    examples: ['ssh.exec systemctl restart nginx', 'execute a command over ssh on pi', 'run apt upgrade on the server over ssh'],
    input: z.strictObject({
      ...input,
      confirm_dangerous: z.unknown().describe('Only the boolean true runs the command; anything else is a dry run.').optional(),
    }),
    async answer({ confirm_dangerous, ...params }, run) {
      const { host, command, argv } = asked(params, run);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
      if (command !== undefined && /[\x00-\x08\x0b-\x1f\x7f]/.test(command))
        throw misfit('command', 'A command has no control characters.', 'Leave them out.');
      const line = argv ? argv.map(quoted).join(' ') : command!;
      const target = targetOf({ ...params, host }, run);
      const may = run.principal.capabilities.includes('admin');
      if (confirm_dangerous !== true || !may) {
        return {
          dry_run: true,
          host: target.name,
          command: line,
          note:
            confirm_dangerous === true
              ? 'Nothing was run or connected to: running commands needs the capability admin.'
              : 'Nothing was run or connected to. Set confirm_dangerous to true to run it.',
        };
      }
      return execute({ target, line, shown: command ?? line, params, run });
    },
  });

  /** Who is meant. A host that is not declared needs admin, because its key being known does not say that everybody may go there. */
  function targetOf({ host, port, user }: { host: string; port?: number | undefined; user?: string | undefined }, run: Run): Target {
    if (user !== undefined && !/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/.test(user))
      throw misfit('user', 'This is no user name.', 'Write one such as pi.');
    checkHost(host);
    const declared = settings().hosts.find(
      (each) => each.name === host && (port ?? each.port) === each.port && (user ?? each.user) === each.user,
    );
    if (declared !== undefined) {
      checkHost(declared.address);
      return declared;
    }
    if (!run.principal.capabilities.includes('admin'))
      throw new Refusal(
        refuse('forbidden', `${host} is not among the declared hosts${port || user ? ' with this port and user' : ''}.`, {
          hint: 'Declare it in the registry under tools.ssh.hosts, or use a token with the capability admin.',
          needed: ['admin'],
        }),
      );
    const kind =
      host.toLowerCase() === 'localhost' ? 'loopback' : /[.:]\d*$/.test(host) || host.includes(':') ? addressKind(host) : 'public';
    const reach = kind === 'loopback' ? 'local' : kind === 'private' ? 'lan' : 'remote';
    return { name: host, address: host, port: port ?? 22, user: user ?? null, identity: null, egress: reach };
  }

  async function execute(ask: Ask) {
    const { target, line, run } = ask;
    // The longest argument that systems pass to a program.
    if (Buffer.byteLength(line) > MOST_LINE_BYTES) throw misfit('argv', 'This command is too long.', 'Put it in a script there.');
    const addresses = await egress.locate(target.address, target.egress);
    // Again after the wait, and before anything starts.
    if (run.signal.aborted) throw new Refusal(reasonOf(run.signal));
    if (clients >= MOST_CLIENTS)
      throw new Refusal(
        refuse('limited', `${MOST_CLIENTS} ssh clients run already.`, { hint: 'Wait until one has ended.', retryAfterMs: 1000 }),
      );
    clients++;
    const began = performance.now();
    try {
      if (target.egress !== 'local')
        run.left.push({ host: `${target.address}:${target.port}`, egress: target.egress, bytes: Buffer.byteLength(line) });
      const { stdout, stderr, exitCode, truncated } = await reach(ask, addresses.slice(0, MOST_ADDRESSES));
      return {
        host: target.name,
        command: ask.shown,
        stdout,
        stderr,
        exit_code: exitCode,
        truncated,
        duration_ms: Math.round(performance.now() - began),
      };
    } finally {
      clients--;
    }
  }

  /** Goes to the next address where nobody answered: nothing was run there. */
  async function reach(ask: Ask, [address, ...others]: string[]): Promise<Said> {
    const said = await talk(ask, address!);
    const failure = said.exitCode === 255 ? clientFailure(said.stderr, ask.target) : null;
    if (failure === null) return said;
    if (others.length > 0 && unreached.has(failure.code)) return reach(ask, others);
    throw new Refusal(failure);
  }

  function talk({ target, line, params: { timeoutMs, maxBytes }, run }: Ask, address: string): Promise<Said> {
    const windows = platform() === 'win32';
    const program = client ?? (windows ? 'C:\\Windows\\System32\\OpenSSH\\ssh.exe' : 'ssh');
    const bound = Math.max(1, Math.min(timeoutMs, run.deadlineAt - clock()));
    return new Promise((done, failed) => {
      const child = spawn(program, clientArguments({ target, address, line, knownHosts: settings().knownHosts, bound }), {
        stdio: ['ignore', 'pipe', 'pipe'],
        // A group of its own, so that all of it can be ended at once.
        detached: !windows,
        windowsHide: true,
        cwd: windows ? 'C:\\' : '/',
        env: windows
          ? { SystemRoot: 'C:\\Windows', PATH: 'C:\\Windows\\System32' }
          : { PATH: '/usr/bin:/bin:/usr/local/bin:/opt/homebrew/bin', LANG: 'C' },
      });
      let failure: WireError | null = null;
      let truncated = false;
      const end = (error: WireError | null) => {
        failure ??= error;
        if (child.pid === undefined) return;
        try {
          if (windows) child.kill('SIGKILL');
          else process.kill(-child.pid, 'SIGKILL');
        } catch {
          // It has ended already.
        }
      };
      const collect = (stream: NodeJS.ReadableStream, most: number) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        stream.on('data', (chunk: Buffer) => {
          if (bytes >= most) return;
          chunks.push(chunk.length > most - bytes ? chunk.subarray(0, most - bytes) : chunk);
          bytes += chunk.length;
          if (bytes <= most) return;
          bytes = most;
          truncated = true;
          end(null);
        });
        return () => new TextDecoder().decode(Buffer.concat(chunks));
      };
      // Where not even pipes can be had there are no streams, and the error below follows.
      const stdout = child.stdout ? collect(child.stdout, maxBytes) : () => '';
      const stderr = child.stderr ? collect(child.stderr, STDERR_BYTES) : () => '';
      const release = egress.hold(target.egress, end);
      const onAbort = () => end(reasonOf(run.signal));
      run.signal.addEventListener('abort', onAbort, { once: true });
      const timer = setTimeout(
        () =>
          end(
            refuse('upstream_timeout', `${target.name} did not finish within ${Math.round(bound)} ms.`, {
              hint: 'The command may go on there. Give it more time with timeoutMs.',
            }),
          ),
        bound,
      );
      const over = () => {
        clearTimeout(timer);
        release();
        run.signal.removeEventListener('abort', onAbort);
      };
      child.on('error', (caught: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return;
        over();
        const missing = caught.code === 'ENOENT';
        failed(
          new Refusal(
            refuse(
              'no_capability',
              missing ? 'There is no OpenSSH client on this machine.' : `The ssh client cannot be started (${caught.code}).`,
              {
                hint: missing ? 'Install openssh-client.' : null,
              },
            ),
          ),
        );
      });
      child.on('close', (exitCode) => {
        over();
        if (failure !== null) failed(new Refusal(failure));
        else done({ stdout: stdout(), stderr: stderr(), exitCode: truncated ? null : exitCode, truncated });
      });
    });
  }

  return [peek, exec];
}

/** The host and the command, from the parameters or from words such as "run uptime on pi". */
function asked(
  params: { text?: string | undefined; host?: string | undefined; command?: string | undefined; argv?: string[] | undefined },
  { text }: Run,
) {
  const said =
    text === null || params.text !== text
      ? null
      : /^\s*(?:please\s+)?(?:run|peek(?:\s+at)?|execute|exec|ssh(?:\.exec(?:\.peek)?)?)\s+(.+?)\s+(?:on|at)\s+(?:the\s+host\s+)?(\S+?)(?:\s+(?:over|via|with|using)\s+ssh)?\s*$/i.exec(
          text,
        );
  const host = params.host ?? said?.[2];
  const command = params.command ?? (params.argv ? undefined : said?.[1]);
  if (host === undefined) throw misfit('host', 'It is not said on which host.', 'Give host, such as server.example.com.');
  if (params.argv && command !== undefined) throw misfit('argv', 'There is a command already.', 'Give command or argv.');
  if (!params.argv && (command === undefined || command.trim() === ''))
    throw misfit('command', 'There is no command.', 'Give command, such as uptime.');
  return { host, command, argv: params.argv };
}

function wordsOf(command: string | undefined): string[] {
  const split = splitWords(command ?? '');
  if ('words' in split) return split.words;
  throw new Refusal(
    refuse('forbidden', `This may not be peeked: there is ${split.problem} at character ${split.at + 1}.`, {
      hint: "Give one command and put what has special signs in single quotes: cat '/srv/my file'.",
    }),
  );
}

function quoted(word: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\x00-\x1f\x7f]/.test(word)) throw misfit('argv', 'A word of a command has no control characters.', 'Leave them out.');
  return quoteWord(word);
}

/** A name of RFC 1123 or an address; nothing that a client could read as an option, a user, a token or a URL. */
function checkHost(host: string): void {
  const no = () =>
    misfit('host', `"${host.slice(0, 60)}" is no host name or address.`, 'Write one such as server.example.com or 10.0.0.7.');
  if (host.includes(':')) {
    if (!/^[0-9A-Fa-f:.]{2,45}$/.test(host) || addressKind(host) === 'never') throw no();
    return;
  }
  if (
    host.length > 253 ||
    !/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/.test(host)
  )
    throw no();
  // What ends in a number is an address or nothing: no octal, no hex, no short forms.
  if (/(?:^|\.)(?:\d+|0[xX][0-9A-Fa-f]*)$/.test(host) && !/^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.|$)){4}$/.test(host)) throw no();
}

/** A path as OpenSSH reads it from an option: in quotes, with its tokens (%) taken for themselves. */
function clientPath(path: string): string {
  if (!isAbsolute(path) || /["\\\n\r]|\$\{/.test(platform() === 'win32' ? path.replaceAll('\\', '/') : path))
    throw new Refusal(
      refuse('registry_invalid', `${path} cannot be given to the ssh client.`, { hint: 'Use a path without quotes and ${.' }),
    );
  return `"${path.replaceAll('%', '%%')}"`;
}

function clientArguments({
  target,
  address,
  line,
  knownHosts,
  bound,
}: {
  target: Target;
  address: string;
  line: string;
  knownHosts: string | null;
  bound: number;
}): string[] {
  const options = [
    'BatchMode=yes',
    'StrictHostKeyChecking=yes',
    `UserKnownHostsFile=${clientPath(knownHosts ?? join(homedir(), '.ssh', 'known_hosts'))}`,
    ...(knownHosts === null ? [] : ['GlobalKnownHostsFile=/dev/null']),
    // The client connects to the judged address and looks the key up under the name that was asked for.
    `HostKeyAlias=${target.port === 22 ? target.address : `[${target.address}]:${target.port}`}`,
    'CheckHostIP=no',
    'UpdateHostKeys=no',
    'VerifyHostKeyDNS=no',
    'CanonicalizeHostname=no',
    'PreferredAuthentications=publickey',
    'PasswordAuthentication=no',
    'KbdInteractiveAuthentication=no',
    'NumberOfPasswordPrompts=0',
    'IdentityAgent=none',
    ...(target.identity === null ? [] : ['IdentitiesOnly=yes', `IdentityFile=${clientPath(target.identity)}`]),
    'AddKeysToAgent=no',
    'ClearAllForwardings=yes',
    'ForwardAgent=no',
    'ForwardX11=no',
    'Tunnel=no',
    'PermitLocalCommand=no',
    'ProxyCommand=none',
    'ProxyJump=none',
    'ControlMaster=no',
    'ControlPath=none',
    'EscapeChar=none',
    'RequestTTY=no',
    'LogLevel=ERROR',
    'ConnectionAttempts=1',
    `ConnectTimeout=${Math.max(1, Math.min(10, Math.ceil(bound / 1000)))}`,
    'ServerAliveInterval=15',
    'ServerAliveCountMax=2',
  ];
  return [
    ...['-F', 'none', '-T', '-a', '-x', '-n'],
    ...options.flatMap((option) => ['-o', option]),
    ...['-p', String(target.port), ...(target.user === null ? [] : ['-l', target.user])],
    ...['--', address, line],
  ];
}

/** What the client itself complained about; null when it was the command that ended with 255. */
function clientFailure(stderr: string, { name }: Target): WireError | null {
  const said = stderr.trim().split('\n').at(-1)?.slice(0, 200) ?? '';
  if (/^Host key verification failed|^No \S+ host key is known/m.test(stderr))
    return refuse('forbidden', `The host key of ${name} is not the one on record, or none is on record. Nothing was run.`, {
      hint: 'Compare the key with the host itself, then add it to the known hosts file.',
    });
  if (/^\S+@\S+: Permission denied \(|Too many authentication failures/m.test(stderr))
    return refuse('forbidden', `${name} does not let this user in (${said}). Nothing was run.`, {
      hint: 'Put the public key there, and name its identity file.',
    });
  if (/^ssh: connect to .*: Connection refused/m.test(stderr))
    return refuse('upstream_refused', `${name} refused the connection.`, { hint: 'Is its ssh server running, and the port right?' });
  if (/^ssh: connect to .*: Connection timed out|^Connection timed out during banner exchange/m.test(stderr))
    return refuse('upstream_timeout', `${name} could not be connected to in time.`);
  if (/^ssh: connect to /m.test(stderr)) return refuse('upstream_unreachable', `${name} cannot be reached.`);
  if (
    /^(?:kex_exchange_identification|Connection (?:closed|reset)|banner exchange|Unable to negotiate|ssh_dispatch_run_fatal|Bad packet|client_loop|Timeout, server)/im.test(
      stderr,
    )
  )
    return refuse('upstream_failed', `${name} broke off the ssh connection (${said}).`, { hint: 'It may have run a part of the command.' });
  if (/^(?:command-line|Bad configuration|unknown option|usage: ssh)/im.test(stderr))
    return refuse('no_capability', `The OpenSSH client of this machine does not take an option it needs (${said}).`, {
      hint: 'Install a newer one.',
    });
  return null;
}

function reasonOf(signal: AbortSignal): WireError {
  const reason: unknown = signal.reason;
  if (typeof reason === 'object' && reason !== null && 'code' in reason && 'message' in reason && typeof reason.code === 'string')
    return reason as WireError;
  return refuse('cancelled', 'The call was cancelled.');
}
