import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { refuse } from '../../../shared/errors.ts';
import type { Capability, Departure, Route, ToolSettings } from '../../../shared/model.ts';
import { createEgress } from '../egress.ts';
import type { Run } from '../runners/runner.ts';
import { createToolRunner } from '../runners/tool.ts';
import { createSshTools } from './ssh.ts';

interface Answer {
  code: string;
  message: string;
  // biome-ignore lint/suspicious/noExplicitAny: results are looked at field by field.
  result: any;
  left: Departure[];
}

function setup(t: TestContext, { hosts = [], knownHosts = null, client }: Partial<ToolSettings['ssh']> & { client?: string }) {
  const state = { sovereign: false };
  const looked: string[] = [];
  const egress = createEgress({
    sovereign: () => state.sovereign,
    lookup: (name, done) => {
      looked.push(name);
      done(null, name === 'far.test' ? [{ address: '93.184.216.34', family: 4 }] : [{ address: '169.254.169.254', family: 4 }]);
    },
  });
  t.after(() => egress[Symbol.asyncDispose]());
  const tools = createSshTools({ egress, settings: () => ({ hosts, knownHosts }), ...(client && { client }) });
  const runner = createToolRunner(new Map(tools.map((tool) => [tool.name, tool])), () => 0);
  const abort = new AbortController();
  async function ask(
    name: string,
    params: Record<string, unknown>,
    { text = null as string | null, may = ['dispatch', 'admin'] as Capability[] } = {},
  ): Promise<Answer> {
    const left: Departure[] = [];
    const outcome = await runner({
      ...({ route: { name: `OS.${name}`, service: name, endpoint: null } as Route, text, params, attempts: [], left } as unknown as Run),
      principal: { id: 'p', name: 'P', capabilities: may },
      deadlineAt: Date.now() + 20_000,
      signal: abort.signal,
      newAttemptId: () => 'att_1',
    });
    return outcome.ok ? { code: 'ok', message: '', result: outcome.result, left } : { ...outcome.error, result: null, left };
  }
  return { ask, egress, state, looked, abort };
}

/** A client that would leave a mark if it were started. */
function aTrap(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-trap-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const client = join(folder, 'ssh');
  const mark = join(folder, 'started');
  writeFileSync(client, `#!/bin/sh\nprintf '%s\\n' "$@" > '${mark}'\n`);
  chmodSync(client, 0o755);
  return { client, mark };
}

test('T01, T02: hosts, users and ports that are more than that are refused, and nothing is started', async (t) => {
  const { client, mark } = aTrap(t);
  const { ask, looked } = setup(t, { client });
  const hosts = [
    ...[
      '-oProxyCommand=touch pwned',
      '-v',
      'a b',
      'a\nb',
      'a$(id)',
      'a`id`',
      '%h',
      'root@a',
      'a#b',
      'a。b',
      'a;b',
      'a/b',
      'ssh://a',
      'a:22',
      '[::1]',
      '',
      '.',
      'a..b',
    ],
    ...[
      '-a.b',
      'a-.b',
      '2130706433',
      '0177.0.0.1',
      '127.1',
      '0x7f.1',
      '1.2.3.256',
      '１２７.０.０.１',
      'fe80::1%eth0',
      '::',
      `${'a'.repeat(64)}.b`,
      "a'b",
      'a\0b',
      'ä.de',
    ],
  ];
  for (const name of ['ssh.exec', 'ssh.exec.peek']) {
    for (const host of hosts) {
      const { code } = await ask(name, {
        host,
        command: 'uptime',
        confirm_dangerous: true,
        ...(name === 'ssh.exec.peek' && { confirm_dangerous: undefined }),
      });
      assert.equal(code, 'input_invalid', JSON.stringify(host));
    }
    for (const more of [
      { user: '-lroot' },
      { user: 'a b' },
      { user: 'a@b' },
      { user: '' },
      { port: '22 -o ProxyCommand=id' },
      { port: 0 },
      { port: 65_536 },
      { port: 22.5 },
    ])
      assert.equal((await ask(name, { host: 'a.test', command: 'uptime', ...more })).code, 'input_invalid', JSON.stringify(more));
  }
  assert.deepEqual([existsSync(mark), looked], [false, []]);
});

test('T09: without confirm_dangerous: true and admin nothing is started and no name looked up', async (t) => {
  const { client, mark } = aTrap(t);
  const { ask, looked } = setup(t, {
    client,
    hosts: [{ name: 'far.test', address: 'far.test', port: 22, user: null, identity: null, egress: 'remote' }],
  });
  const given = { host: 'far.test', command: 'rm -rf /' };
  for (const confirm_dangerous of [undefined, false, 'true', 1, [true], {}]) {
    const { result } = await ask('ssh.exec', { ...given, confirm_dangerous });
    assert.deepEqual([result.dry_run, result.command], [true, 'rm -rf /'], JSON.stringify(confirm_dangerous));
  }
  const { result } = await ask('ssh.exec', { ...given, confirm_dangerous: true }, { may: ['dispatch'] });
  assert.match(result.note, /capability admin/);
  assert.deepEqual([existsSync(mark), looked], [false, []]);
});

test('hosts that are not declared need admin; sovereign refuses far ones before their name is looked up', async (t) => {
  const { client, mark } = aTrap(t);
  const { ask, looked, state } = setup(t, { client });
  assert.equal((await ask('ssh.exec.peek', { host: 'far.test', command: 'uptime' }, { may: ['dispatch'] })).code, 'forbidden');
  assert.equal((await ask('ssh.exec.peek', { host: '169.254.169.254', command: 'uptime' })).code, 'egress_refused');
  state.sovereign = true;
  assert.equal((await ask('ssh.exec.peek', { host: 'far.test', command: 'uptime' })).code, 'sovereign_refused');
  assert.equal((await ask('ssh.exec.peek', { host: '93.184.216.34', command: 'uptime' })).code, 'sovereign_refused');
  assert.deepEqual([existsSync(mark), looked], [false, []]);
  state.sovereign = false;
  assert.equal(
    (await ask('ssh.exec.peek', { host: 'meta.test', command: 'uptime' })).code,
    'egress_refused',
    'a name that leads to a metadata service',
  );
  assert.equal(existsSync(mark), false);
  const { code, left } = await ask('ssh.exec.peek', {}, { text: 'run df -h on far.test' });
  assert.deepEqual([code, left], ['ok', [{ host: 'far.test:22', egress: 'remote', bytes: 5 }]]);
  const given = readFileSync(mark, 'utf8').split('\n');
  assert.deepEqual(given.slice(given.indexOf('--')), ['--', '93.184.216.34', 'df -h', '']);
  assert.ok(given.includes('HostKeyAlias=far.test') && given.includes('StrictHostKeyChecking=yes') && given.includes('BatchMode=yes'));
});

test('a machine without a client says so', async (t) => {
  const { ask } = setup(t, { client: '/nowhere/ssh' });
  assert.equal((await ask('ssh.exec.peek', { host: '127.0.0.1', command: 'uptime' })).code, 'no_capability');
});

// --- a real server ----------------------------------------------------------------------------------------------------

const server = ['/usr/sbin/sshd', '/usr/local/sbin/sshd'].find((file) => existsSync(file));
const missing = server === undefined ? 'sshd is not installed' : spawnSync('ssh', ['-V']).error ? 'ssh is not installed' : false;

describe('against a real sshd', { skip: missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dispatcher-sshd-'));
  const at = (name: string) => join(folder, name);
  let sshd: ChildProcess;
  let port = 0;
  let log = '';
  const { username } = userInfo();
  const connections = () => log.split('Connection from').length - 1;

  before(async () => {
    for (const key of ['host', 'other', 'user']) spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(key)]);
    const free = createServer().listen(0, '127.0.0.1');
    await once(free, 'listening');
    port = (free.address() as { port: number }).port;
    free.close();
    await once(free, 'close');
    writeFileSync(at('authorized_keys'), readFileSync(at('user.pub')));
    const key = (name: string) =>
      readFileSync(at(`${name}.pub`), 'utf8')
        .split(' ')
        .slice(0, 2)
        .join(' ');
    writeFileSync(at('known hosts'), `[127.0.0.1]:${port} ${key('host')}\n[localhost]:${port} ${key('host')}\n`);
    writeFileSync(at('changed'), `[127.0.0.1]:${port} ${key('other')}\n`);
    writeFileSync(at('empty'), '');
    writeFileSync(
      at('config'),
      [
        ...[
          `Port ${port}`,
          'ListenAddress 127.0.0.1',
          `HostKey ${at('host')}`,
          `AuthorizedKeysFile ${at('authorized_keys')}`,
          'PidFile none',
        ],
        ...['StrictModes no', 'UsePAM no', 'PasswordAuthentication no', 'PermitRootLogin yes', 'LogLevel VERBOSE', 'MaxStartups 100'],
      ].join('\n'),
    );
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
    sshd = spawn(server!, ['-D', '-e', '-f', at('config')], { stdio: ['ignore', 'ignore', 'pipe'] });
    sshd.stderr!.setEncoding('utf8').on('data', (text: string) => (log += text));
    while (!log.includes('Server listening')) {
      if (sshd.exitCode !== null) throw new Error(`sshd does not start: ${log}`);
      await Promise.race([once(sshd.stderr!, 'data'), once(sshd, 'exit')]);
    }
  });
  after(async () => {
    if (sshd?.exitCode === null) {
      sshd.kill();
      await once(sshd, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  const declared = (more: Partial<ToolSettings['ssh']['hosts'][number]> = {}) => ({
    knownHosts: at('known hosts'),
    hosts: [{ name: 'here', address: '127.0.0.1', port, user: username, identity: at('user'), egress: 'local' as const, ...more }],
  });
  const children = () =>
    readdirSync('/proc')
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          const [, name, ppid] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? [];
          return name === 'ssh' && Number(ppid) === process.pid;
        } catch {
          return false;
        }
      });

  test('peeks, in the shape of seed 003, with the key that is declared', async (t) => {
    const { ask } = setup(t, declared());
    writeFileSync(at('hosts'), 'one\ntwo\n');
    const { result, left, message } = await ask('ssh.exec.peek', { host: 'here', command: `cat ${at('hosts')}` }, { may: ['dispatch'] });
    assert.deepEqual(
      { ...result, duration_ms: 0 },
      {
        ...{
          host: 'here',
          command: `cat ${at('hosts')}`,
          stdout: 'one\ntwo\n',
          stderr: '',
          exit_code: 0,
          truncated: false,
          duration_ms: 0,
        },
      },
      message,
    );
    assert.deepEqual(left, []);
    assert.match((await ask('ssh.exec.peek', {}, { text: 'run uptime on here' })).result.stdout, /load average/);
    const none = (await ask('ssh.exec.peek', { host: 'here', command: 'ls /nothing-there' })).result;
    assert.ok(none.exit_code > 0 && /nothing-there/.test(none.stderr));
    assert.equal(
      (await setup(t, declared({ address: 'localhost' })).ask('ssh.exec.peek', { host: 'here', command: 'whoami' })).result.stdout,
      `${username}\n`,
    );
  });

  test('T03, T09: a refused line and a dry run make no connection', async (t) => {
    const { ask } = setup(t, declared());
    const had = connections();
    for (const command of [
      'cat /etc/hosts; id',
      'cat /etc/hosts && id',
      'cat a | id',
      'cat a > b',
      'cat $(id)',
      'cat `id`',
      'cat a\nid',
      'cat <(id)',
      'find / -delete',
    ])
      assert.equal((await ask('ssh.exec.peek', { host: 'here', command })).code, 'forbidden', command);
    assert.equal((await ask('ssh.exec.peek', { host: 'here', argv: ['cat', 'a\nid'] })).code, 'input_invalid');
    assert.equal((await ask('ssh.exec', { host: 'here', command: 'rm -rf /' })).result.dry_run, true);
    assert.equal(connections(), had);
  });

  test('T06: arguments arrive byte for byte', async (t) => {
    const { ask } = setup(t, declared());
    const name = `it's a "test" $HOME \`id\` \\ !x *?[a] #~ é; | & %h {a,b}`;
    writeFileSync(at(name), 'found');
    assert.equal((await ask('ssh.exec.peek', { host: 'here', argv: ['cat', at(name)] })).result.stdout, 'found');
    const asWritten = `'${at(name).replaceAll("'", String.raw`'\''`)}'`;
    assert.equal((await ask('ssh.exec.peek', { host: 'here', command: `cat ${asWritten}` })).result.stdout, 'found');
    const argv = ['printf', '%s\\n', name, '', '  ', '-n', '$HOME', "''"];
    const { result } = await ask('ssh.exec', { host: 'here', argv, confirm_dangerous: true });
    assert.deepEqual(result.stdout.split('\n').slice(0, -1), argv.slice(2));
  });

  test('T07: output without end is cut, time is kept, and no client is left behind', async (t) => {
    const { ask, abort } = setup(t, declared());
    const before = process.memoryUsage.rss();
    const flood = await ask('ssh.exec', { host: 'here', command: 'yes', confirm_dangerous: true, maxBytes: 100_000 });
    assert.deepEqual([flood.result.truncated, flood.result.stdout.length, flood.result.exit_code], [true, 100_000, null]);
    assert.ok(process.memoryUsage.rss() - before < 50e6);
    const began = performance.now();
    const stubborn = { host: 'here', command: 'trap "" TERM HUP; for i in 1 2 3; do sleep 1; done', confirm_dangerous: true };
    assert.equal((await ask('ssh.exec', { ...stubborn, timeoutMs: 400 })).code, 'upstream_timeout');
    const cancelled = ask('ssh.exec', stubborn);
    setTimeout(() => abort.abort(refuse('cancelled', 'The caller cancelled.')), 300);
    assert.equal((await cancelled).code, 'cancelled');
    assert.ok(performance.now() - began < 2500);
    assert.deepEqual(children(), []);
  });

  test('S06: turning sovereign on ends a session with a host that is declared remote', async (t) => {
    const { ask, egress, state } = setup(t, declared({ egress: 'remote' }));
    const had = connections();
    const running = ask('ssh.exec', { host: 'here', command: 'sleep 5', confirm_dangerous: true });
    while (connections() === had) await once(sshd.stderr!, 'data');
    state.sovereign = true;
    assert.equal(egress.cutRemote(refuse('sovereign_refused', 'Sovereign was switched on.')), 1);
    assert.equal((await running).code, 'sovereign_refused');
    assert.deepEqual(children(), []);
  });

  test('T21: the client inherits nothing', { skip: !existsSync('/proc/self/environ') }, async (t) => {
    const { ask } = setup(t, declared());
    for (const name of ['API_TOKEN', 'NODE_OPTIONS_X', 'HTTPS_PROXY', 'SSH_AUTH_SOCK']) process.env[name] = 'CANARY';
    t.after(() => {
      for (const name of ['API_TOKEN', 'NODE_OPTIONS_X', 'HTTPS_PROXY', 'SSH_AUTH_SOCK']) delete process.env[name];
    });
    const had = connections();
    const running = ask('ssh.exec', { host: 'here', command: 'sleep 1; env', confirm_dangerous: true });
    while (connections() === had) await once(sshd.stderr!, 'data');
    const [client] = children();
    const environment = readFileSync(`/proc/${client}/environ`, 'utf8').split('\0').filter(Boolean);
    assert.deepEqual(environment.map((line) => line.split('=')[0]).sort(), ['LANG', 'PATH']);
    assert.ok(!(await running).result.stdout.includes('CANARY'));
  });

  test('a key that is not on record, another key, a stranger and a closed port each say what they are; nothing runs', async (t) => {
    const peek = async (settings: ReturnType<typeof declared>) => {
      const { code, message } = await setup(t, settings).ask('ssh.exec.peek', { host: 'here', command: 'uptime' });
      return `${code}: ${message}`;
    };
    assert.match(await peek({ ...declared(), knownHosts: at('empty') }), /^forbidden: The host key of here/);
    assert.match(await peek({ ...declared(), knownHosts: at('changed') }), /^forbidden: The host key of here/);
    assert.match(await peek(declared({ identity: at('other') })), /^forbidden: here does not let this user in/);
    assert.match(await peek(declared({ port: 1 })), /^upstream_refused/);
    const { ask } = setup(t, declared());
    assert.equal(
      (await ask('ssh.exec.peek', { host: 'here', user: 'stranger', command: 'uptime' }, { may: ['dispatch'] })).code,
      'forbidden',
    );
    assert.equal((await ask('ssh.exec.peek', { host: '127.0.0.1', port, command: 'uptime' }, { may: ['dispatch'] })).code, 'forbidden');
  });
});
