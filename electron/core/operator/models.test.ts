import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createModels } from './models.ts';
import { createOperator } from './operator.ts';

const routes = [
  { name: 'A.play', examples: ['play some jazz', 'put on a record', 'music please'] },
  { name: 'A.call', examples: ['phone my mother', 'ring the office', 'make a call to anna'] },
];
const texts = ['play music', 'call the office', 'knit a wide scarf'];

test('a model that was kept answers as the one just learned; a damaged or foreign one is not read', async () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'models-')), 'models');
  const models = createModels(folder);
  const plain = (operator: Awaited<ReturnType<typeof createOperator>>) => texts.map((text) => JSON.stringify(operator.classify(text)));
  using learned = await createOperator(routes, { models });
  const [name] = readdirSync(folder);
  using kept = await createOperator(routes, { models: { ...models, put: () => assert.fail('learned again') } });
  assert.deepEqual(plain(kept), plain(learned));

  const file = join(folder, name!);
  const bytes = readFileSync(file);
  bytes[bytes.length - 9]! ^= 1;
  writeFileSync(file, bytes);
  assert.equal(models.get({ names: routes.map(({ name }) => name), examples: routes.map(({ examples }) => examples), seed: 1 }), null);
  assert.equal(models.get({ names: ['A.b'], examples: [['other']], seed: 1 }), null);
  for (let i = 0; i < 6; i++) (await createOperator([{ name: 'A.b', examples: [`text ${i}`] }, ...routes], { models }))[Symbol.dispose]();
  assert.equal(readdirSync(folder).length, 4);
  rmSync(folder, { recursive: true });
});

test('where nothing can be kept, it learns', async () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'models-')), 'file');
  writeFileSync(folder, 'in the way');
  using operator = await createOperator(routes, { models: createModels(join(folder, 'models')) });
  assert.equal(operator.classify('play some jazz').ranked[0]!.route, 'A.play');
  assert.ok(existsSync(folder));
});
