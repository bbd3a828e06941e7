import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import type { DownFrame, UpFrame } from '../../shared/contract.ts';
import { Refusal } from '../../shared/errors.ts';
import type { Crossing } from '../../shared/model.ts';
import { createClient, createPortPair } from '../../shared/port.ts';
import { signalOf } from '../../shared/signal.ts';
import { runCommand } from './cli.ts';
import { inert, type Terminal } from './cli-print.ts';
import { commands, helpText, parseCommand } from './cli-words.ts';
import { serve } from './serve.ts';
import { openCore } from './testing.ts';

function refusalOf(run: () => unknown): { code: string; message: string; hint: string | null } {
  try {
    run();
  } catch (caught) {
    if (caught instanceof Refusal) return caught.wire;
    throw caught;
  }
  throw new Error('it fits');
}

/** The CLI over a core of its own: runs command lines and gives what they printed. */
async function openCli() {
  const opened = await openCore();
  const [near, far] = createPortPair<DownFrame, UpFrame>();
  serve(opened.core, near, { principal: opened.core.owner.principal, door: 'cli' });
  const client = createClient(far);
  const run = async (line: string[], { stdin = '', signal = new AbortController().signal, historyFile = null as string | null } = {}) => {
    const out = { stdout: '', stderr: '' };
    const catching = (name: 'stdout' | 'stderr') => {
      const stream = new PassThrough();
      stream.setEncoding('utf8').on('data', (text: string) => {
        out[name] += text;
      });
      return stream;
    };
    const terminal: Terminal = { stdin: Readable.from([stdin]), stdout: catching('stdout'), stderr: catching('stderr'), historyFile };
    const exit = await runCommand(parseCommand(line), { client, terminal, signal });
    await new Promise(setImmediate);
    return { exit, ...out };
  };
  return { ...opened, run, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

test('words and flags that do not fit are refused with what may have been meant', () => {
  const table: [string[], RegExp, RegExp][] = [
    [['rotues'], /no command rotues/, /routes/],
    [['dispatchto', 'A', 'B'], /no command dispatchto/, /dispatch-to/],
    [['xyzzy'], /no command xyzzy/, /help lists/],
    [['dispatch', 'x', '--jsn'], /no flag --jsn/, /--json/],
    [['routes', '--data', '{}'], /routes has no flag --data/, /help routes/],
    [['dispatch'], /dispatcher dispatch TEXT/, /help dispatch/],
    [['health', 'FND'], /dispatcher health/, /help health/],
    [['dispatch', 'x', '--data'], /--data needs a value/, /help/],
    [['dispatch', 'x', '--json=5'], /--json takes no value/, /alone/],
    [['--nonsense'], /no flag --nonsense/, /help/],
    [['constructor'], /no command constructor/, /help/],
  ];
  for (const [line, message, hint] of table) {
    const wire = refusalOf(() => parseCommand(line));
    assert.equal(wire.code, 'usage', line.join(' '));
    assert.match(wire.message, message);
    assert.match(wire.hint ?? '', hint);
  }
});

test('flags may stand before or behind the words, and help goes with any command', () => {
  assert.deepEqual(parseCommand(['--json', 'dispatch', 'sync', '--demo', 'contacts']), {
    command: 'dispatch',
    words: ['sync', 'contacts'],
    flags: { json: true, demo: true },
  });
  assert.deepEqual(parseCommand(['dispatch', '--', '--not-a-flag']).words, ['--not-a-flag']);
  assert.equal(parseCommand([]).command, 'help');
  assert.equal(parseCommand(['--version']).command, 'version');
  assert.deepEqual(parseCommand(['routes', '--help']), { command: 'help', words: ['routes'], flags: { help: true } });
  for (const name of Object.keys(commands)) assert.match(helpText(name), new RegExp(`^dispatcher ${name}`));
});

test('dispatch prints the signal, the route and why; --json the crossing and nothing else', async () => {
  await using cli = await openCli();
  const human = await cli.run(['dispatch', 'repeat', 'after', 'me', '--data', '{"n": 1}']);
  assert.equal(human.exit, 0);
  assert.match(
    human.stdout,
    /^🎯 OS → T : dispatched, service=echo, latency=\d+ms\n {2}route {3}T\.echo \(\d+%\)\n {2}why {5}rule "repeat"/,
  );
  assert.equal(human.stderr, '');
  const crossing = JSON.parse((await cli.run(['dispatch', 'repeat after me', '--json'])).stdout) as Crossing;
  assert.deepEqual([crossing.ok, crossing.route, crossing.door, crossing.text], [true, 'T.echo', 'cli', 'repeat after me']);
  const named = JSON.parse(
    (await cli.run(['dispatch-to', 'T', 'echo', '--json', '-d', '-'], { stdin: '{"from": "stdin"}' })).stdout,
  ) as Crossing;
  assert.deepEqual([named.route, named.result], ['T.echo', { from: 'stdin' }]);
});

test('a failure leaves with the exit code of the catalogue, its words on stderr and JSON on stdout if asked', async () => {
  await using cli = await openCli();
  const unknown = await cli.run(['dispatch-to', 'T', 'ehco']);
  assert.deepEqual([unknown.exit, unknown.stdout], [4, '']);
  assert.match(unknown.stderr, /error \(route_unknown\)/);
  assert.match(unknown.stderr, /perhaps T\.echo: .*\nhint: `dispatcher routes` lists them all\./s);
  assert.match((await cli.run(['jobs', 'get', 'nope'])).stderr, /hint: List them with `dispatcher jobs`\./);
  assert.match((await cli.run(['sovereign', 'off'])).stderr, /error \(confirm_required\).*\nhint: Run it again with --yes\./s);
  assert.equal((await cli.run(['dispatch-to', 'T', 'fail'])).exit, 1);
  assert.equal((await cli.run(['dispatch-to', 'T', 'slow', '--deadline', '40'])).exit, 5);
  const json = await cli.run(['dispatch-to', 'T', 'fail', '--json']);
  assert.deepEqual([json.exit, (JSON.parse(json.stdout) as Crossing).error?.code, json.stderr], [1, 'upstream_failed', '']);
  const job = await cli.run(['jobs', 'get', 'job_nowhere', '--json']);
  assert.deepEqual([job.exit, JSON.parse(job.stdout).error.code], [4, 'not_found']);
  for (const [data, code] of [
    ['{', 'input_invalid'],
    ['[1]', 'input_invalid'],
    ['@/nowhere/at/all', 'usage'],
  ] as const) {
    const bad = await cli.run(['dispatch', 'repeat', '--data', data, '--json']);
    assert.deepEqual([bad.exit, JSON.parse(bad.stdout).error.code], [2, code], data);
  }
  assert.equal((await cli.run(['jobs', '--limit', '0'])).exit, 2);
});

test('routes lists by org in the words of seed 000', async () => {
  await using cli = await openCli();
  const { stdout } = await cli.run(['routes']);
  assert.match(stdout, /^ {2}\[T\] Test\n {4}└─ echo {12}\[(int|ext)\] http:\/\/127\.0\.0\.1:\d+\/echo\n/m);
  assert.match(stdout, /\nTotal: \d+ routes across \d+ orgs\n$/);
  assert.doesNotMatch(stdout, /OS\.jobs/);
  assert.match((await cli.run(['routes', '--all'])).stdout, / {4}└─ OS\.jobs\.cancel +\[os\] /);
});

test('what a service answers cannot steer the terminal, as text or as JSON', async () => {
  await using cli = await openCli();
  const attack = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202eevil\r';
  const data = JSON.stringify({ attack });
  for (const flags of [[], ['--json']]) {
    const { stdout } = await cli.run(['dispatch-to', 'T', 'echo', '--data', data, ...flags]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
    assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    if (flags.length > 0) assert.deepEqual((JSON.parse(stdout) as Crossing).result, { attack });
  }
  assert.equal(inert('a\u001b[31mb\tc'), 'a\\x1b[31mb  c');
});

test('health and ping show icons; ping of a service that is down exits with 5', async () => {
  await using cli = await openCli();
  const health = await cli.run(['health']);
  assert.match(health.stdout, /^ {2}\[T\] Test\n {4}(🟢|🟡|🔴|⚪) /m);
  assert.match(health.stdout, /Total: \d+ services/);
  assert.equal((await cli.run(['ping', 'T.nothing'])).exit, 4);
});

test('jobs, audit, signals and tokens go through', async () => {
  await using cli = await openCli();
  const { job, id } = JSON.parse((await cli.run(['dispatch', 'repeat', '--json'])).stdout) as Crossing;
  assert.match((await cli.run(['jobs'])).stdout, new RegExp(`^${job} .*succeeded T\\.echo .*\\n1 of 1 jobs\\n$`));
  assert.match((await cli.run(['jobs', 'get', job!])).stdout, /why/);
  assert.match((await cli.run(['audit'])).stdout, /outcome {2}ok .*T\.echo by owner via cli/);
  const rows = (await cli.run(['audit', 'export'])).stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { crossing: string });
  assert.ok(rows.some((row) => row.crossing === id));
  assert.match((await cli.run(['signals'])).stdout, /🎯 OS → T : dispatched, service=echo/);
  const made = await cli.run(['token', 'create', 'bot', '--can', 'read']);
  assert.equal(cli.core.authenticate(made.stdout.trim())?.name, 'bot');
  assert.equal((await cli.run(['token', 'create', 'bot', '--can', 'raed'])).exit, 2);
  const [token] = JSON.parse((await cli.run(['token', '--json'])).stdout).tokens;
  await cli.run(['token', 'revoke', token.id]);
  assert.equal(cli.core.authenticate(made.stdout.trim()), null);
});

test('sovereign off wants confirmation; without a terminal only --yes gives it', async () => {
  await using cli = await openCli();
  assert.match((await cli.run(['sovereign', 'on'])).stdout, /🔒 sovereign is on/);
  assert.equal((await cli.run(['dispatch-to', 'T', 'far'])).exit, 3);
  const refused = await cli.run(['sovereign', 'off'], { stdin: 'yes\n' });
  assert.deepEqual([refused.exit, refused.stdout], [3, '']);
  assert.match((await cli.run(['sovereign', 'off', '--yes'])).stdout, /🔓 sovereign is off/);
});

test('Ctrl-C cancels the call under way and waits for its end', async () => {
  await using cli = await openCli();
  const stop = new AbortController();
  const running = cli.run(['dispatch-to', 'T', 'slow', '--json'], { signal: stop.signal });
  await cli.entries('intent', 1);
  stop.abort();
  const { exit, stdout } = await running;
  assert.deepEqual([exit, (JSON.parse(stdout) as Crossing).error?.code], [6, 'cancelled']);
});

test('signals --follow prints until Ctrl-C', async () => {
  await using cli = await openCli();
  const stop = new AbortController();
  const following = cli.run(['signals', '--follow', '--json'], { signal: stop.signal });
  const signal = signalOf(JSON.parse((await cli.run(['dispatch', 'repeat', '--json'])).stdout) as Crossing);
  // Whoever reads the record waits for it, and what is on record has been told.
  await cli.run(['jobs']);
  await new Promise(setImmediate);
  stop.abort();
  const { exit, stdout } = await following;
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { signal: string });
  assert.equal(exit, 0);
  assert.ok(lines.some((line) => line.signal === signal));
});

test('interactive answers line after line, asks when unsure, learns, and keeps a history for its owner', async () => {
  await using cli = await openCli();
  const folder = mkdtempSync(join(tmpdir(), 'history-'));
  const historyFile = join(folder, 'history');
  writeFileSync(historyFile, 'older\n', { mode: 0o600 });
  const typed = [
    'repeat after me',
    '/to T echo {"n": 2}',
    '/to T',
    '/routse',
    '/routes',
    'xylophone quantum',
    '1',
    '/quit',
    'never seen',
  ].join('\n');
  const { exit, stdout, stderr } = await cli.run(['interactive'], { stdin: `${typed}\n`, historyFile });
  assert.equal(exit, 0);
  assert.match(stdout, / {2}dispatch> /);
  assert.equal(stdout.match(/🎯 OS → T : dispatched, service=echo/g)?.length, 2);
  assert.match(stdout, /Total: \d+ routes/);
  assert.match(stdout, /Not sure\. Which of these\?\n {2}1 {2}T\.\w+ [\s\S]* has learned it/);
  assert.match(stderr, /\/to needs an org and a service[\s\S]*Did you mean \/routes/);
  assert.deepEqual(readFileSync(historyFile, 'utf8').split('\n').slice(0, 3), ['older', 'repeat after me', '/to T echo {"n": 2}']);
  assert.doesNotMatch(readFileSync(historyFile, 'utf8'), /never seen/);
  assert.equal(statSync(historyFile).mode & 0o077, 0);
  rmSync(folder, { recursive: true, force: true });
});
