import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import type { DownFrame, UpFrame } from '../../shared/contract.ts';
import { Refusal } from '../../shared/errors.ts';
import { createClient, createPortPair } from '../../shared/port.ts';
import { createCard, GiB, openHouse, provider, startBox } from './card-testing.ts';
import { runCommand } from './cli.ts';
import { parseCommand } from './cli-words.ts';
import { serve } from './serve.ts';

/** The command line before a card of 24 GB: `big` writes at two sizes, `eyes` sees. Tells what a line printed, and how it ended. */
async function openCli(t: TestContext) {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  const card = createCard(24);
  const box = stack.use(await startBox({ 'big:70B': 20 * GiB, 'big:8B': 6 * GiB, 'eyes:7B': 8 * GiB }, { card }));
  const house = stack.use(
    await openHouse(
      {
        providers: [
          provider('big', box, { sizes: { '70B': 20, '8B': 6 } }),
          provider('eyes', box, { sizes: { '7B': 8 }, capabilities: ['vision-analysis'] }),
        ].join('\n'),
      },
      { card },
    ),
  );
  await house.known();
  const [near, far] = createPortPair<DownFrame, UpFrame>();
  serve(house.core, near, { principal: house.core.owner.principal, door: 'cli' });
  const client = createClient(far);
  const run = async (...line: string[]) => {
    const out = { stdout: '', stderr: '' };
    const catching = (name: 'stdout' | 'stderr') =>
      new PassThrough().setEncoding('utf8').on('data', (text: string) => {
        out[name] += text;
      });
    const terminal = { stdin: Readable.from(['']), stdout: catching('stdout'), stderr: catching('stderr'), historyFile: null };
    const signal = new AbortController().signal;
    const exit = await runCommand(parseCommand(line), { client, terminal, signal }).catch((caught) => {
      if (!(caught instanceof Refusal)) throw caught;
      return caught.wire.code;
    });
    await new Promise(setImmediate);
    return { exit, ...out };
  };
  return { box, house, run };
}

test('resolve --need: the whole plan as JSON, in words for people, and the exit code of its refusal; nothing is loaded', async (t) => {
  const { box, run } = await openCli(t);
  const { exit, stdout } = await run('resolve', '--need', 'vision-analysis,text-generation', '--json');
  const plan = JSON.parse(stdout);
  assert.deepEqual(
    [
      exit,
      plan.outcome,
      plan.assignments.map(({ capability, provider: name, tier, model }: Record<string, string>) => [capability, name, tier, model]),
    ],
    [
      0,
      'grant',
      [
        ['text-generation', 'big', '8B', 'big:8B'],
        ['vision-analysis', 'eyes', '7B', 'eyes:7B'],
      ],
    ],
  );
  assert.deepEqual([plan.evictions, plan.downgrade.from, plan.reasons.length > 0], [[], '70B', true]);
  const words = await run('resolve', '--need', 'text-generation', '--tier', '70B');
  assert.match(words.stdout, /^outcome {5}grant, in about 1 s\nmodel {7}text-generation → big 70B \(big:70B\), cold on gpu0\n/);
  const none = await run('resolve', '--need', 'telepathy');
  assert.match(none.stdout, /error {7}no_capability: Nobody offers telepathy\./);
  const codes = [
    none.exit,
    (await run('resolve', '--need', 'Not A Word')).exit,
    (await run('resolve', '--need', 'x', '--priority', '101')).exit,
  ];
  assert.deepEqual([codes.map((code) => code !== 0), box.log], [[true, true, true], []]);
});

test('grants and gpu: a key that is shown once, who holds what, who waits and for whom, and the end of it', async (t) => {
  const { house, run } = await openCli(t);
  const made = await run('grants', 'create', 'plan\u001b[31m the week', '--need', 'vision-analysis', '--ttl', '600', '--json');
  const grant = JSON.parse(made.stdout);
  assert.match(grant.api_key, /^dgk_/);
  const waiting = run('grants', 'create', 'think', '--need', 'text-generation', '--tier', '70B', '--wait', '60');
  while ((await house.cortex()).queue.length === 0) await new Promise(setImmediate);
  const gpu = (await run('gpu')).stdout.split('\n');
  const listed = (await run('grants')).stdout;
  assert.deepEqual(
    [
      gpu.find((line) => line.startsWith('eyes')),
      gpu.find((line) => line.startsWith('⏳'))?.replace(/lease_\w+|about \d+ s|1[01] min/g, '*'),
    ],
    [
      'eyes             7B       warm     eyes:7B: 8.0 GB (measured), held by grant plan\\x1b[31m the week',
      '⏳ 1. grant think needs text-generation, *: waits for * to end: * at most.',
    ],
  );
  assert.equal(listed.includes(grant.api_key) || listed.includes('\u001b'), false);
  assert.equal((await run('grants', 'revoke', grant.id)).exit, 0);
  const got = await waiting;
  assert.match(got.stdout, /^base_url {2}http:\/\/127\.0\.0\.1:\d+\/v1\napi_key {3}dgk_[\w-]{43}\nmodel {5}big:70B \(text-generation\)\n$/);
  assert.match((await run('grants')).stdout, /ended .*: Owner revoked it\n/);
});

test('models: loaded, not unloaded while in use, unloaded; what does not fit says what may be written', async (t) => {
  const { box, run } = await openCli(t);
  assert.match((await run('models', 'load', 'big', '8B')).stdout, /^big is warm\n/);
  assert.match((await run('models')).stdout, /big +8B +warm +big:8B/);
  assert.match((await run('models', 'unload', 'big')).stdout, /^big is unloaded; 6\.0 GB are free again\n/);
  assert.deepEqual([(await run('models', 'unload', 'big')).exit !== 0, [...box.loaded]], [true, []]);
  const wrong = await run('models', 'evict', 'big');
  assert.notEqual(wrong.exit, 0);
});
