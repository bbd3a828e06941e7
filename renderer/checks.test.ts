import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Checked, createChecks } from './checks.ts';

/** Checks over questions that the test answers itself. */
function setUp(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const asked: ({ text: string; compare: boolean } & Pick<PromiseWithResolvers<string>, 'resolve' | 'reject'>)[] = [];
  const shown: Checked<string>[] = [];
  const failed: unknown[] = [];
  const checks = createChecks<string>({
    check: (text, compare) => {
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      asked.push({ text, compare, resolve, reject });
      return promise;
    },
    onChecked: (checked) => shown.push(checked),
    onFailed: (caught) => failed.push(caught),
    soonMs: 100,
    pauseMs: 1000,
  });
  return { asked, shown, failed, checks };
}
const turn = () => new Promise<void>((done) => setImmediate(done));

test('while typing only problems are asked for, the comparison once after a pause', async (t) => {
  const { asked, shown, checks } = setUp(t);
  for (const text of ['a', 'ab', 'abc']) {
    checks.changed(text);
    t.mock.timers.tick(50);
  }
  assert.equal(asked.length, 0);
  t.mock.timers.tick(100);
  asked[0]!.resolve('fine');
  await turn();
  t.mock.timers.tick(1000);
  asked[1]!.resolve('same');
  await turn();
  t.mock.timers.tick(10_000);
  assert.deepEqual(
    asked.map(({ text, compare }) => [text, compare]),
    [
      ['abc', false],
      ['abc', true],
    ],
  );
  assert.deepEqual(shown, [
    { text: 'abc', compared: false, found: 'fine' },
    { text: 'abc', compared: true, found: 'same' },
  ]);
});

test('a slow answer about an older text is dropped, and never are two questions open', async (t) => {
  const { asked, shown, checks } = setUp(t);
  checks.changed('old');
  t.mock.timers.tick(100);
  checks.changed('new');
  t.mock.timers.tick(500);
  assert.equal(asked.length, 1);
  asked[0]!.resolve('about old');
  await turn();
  assert.deepEqual(shown, []);
  assert.deepEqual([asked.length, asked[1]!.text], [2, 'new']);
  asked[1]!.resolve('about new');
  await turn();
  assert.deepEqual(
    shown.map(({ found }) => found),
    ['about new'],
  );
});

test('compare asks at once, waits for the newest text, and does not ask again what it knows', async (t) => {
  const { asked, checks } = setUp(t);
  checks.changed('one');
  const compared = checks.compare();
  assert.deepEqual([asked[0]!.text, asked[0]!.compare], ['one', true]);
  checks.changed('two');
  asked[0]!.resolve('about one');
  await turn();
  assert.deepEqual([asked[1]!.text, asked[1]!.compare], ['two', true]);
  asked[1]!.resolve('about two');
  assert.deepEqual(await compared, { text: 'two', compared: true, found: 'about two' });
  assert.equal((await checks.compare()).found, 'about two');
  assert.equal(asked.length, 2);
});

test('a failed check is told to whoever waits, else shown, and the next change asks again', async (t) => {
  const { asked, failed, checks } = setUp(t);
  checks.changed('one');
  const compared = checks.compare();
  asked[0]!.reject('gone');
  await assert.rejects(compared, (caught) => caught === 'gone');
  assert.deepEqual(failed, []);
  checks.changed('two');
  t.mock.timers.tick(100);
  asked[1]!.reject('gone again');
  await turn();
  assert.deepEqual(failed, ['gone again']);
  checks.changed('three');
  t.mock.timers.tick(100);
  assert.equal(asked[2]!.text, 'three');
});

test('after its disposal nothing is asked or shown', async (t) => {
  const { asked, shown, checks } = setUp(t);
  checks.changed('one');
  t.mock.timers.tick(100);
  checks.changed('two');
  checks[Symbol.dispose]();
  asked[0]!.resolve('late');
  t.mock.timers.tick(10_000);
  await turn();
  assert.deepEqual([asked.length, shown], [1, []]);
});
