import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
// By its name, as a program that depends on the package imports it.
import { createDispatcher, createMockClient } from 'dispatcher';
import { tempFolder } from './core/testing.ts';

test("seed 000's library: dispatch, dispatchTo, listRoutes, health and resolve on the built-in registry", async () => {
  using folder = tempFolder();
  const { path: home } = folder;
  const dispatcher = await createDispatcher({
    client: createMockClient({ responses: { 'http://lucidia:8091/v1/salesforce': { synced: 100 } } }),
    home,
  });
  const synced = await dispatcher.dispatch('sync salesforce contacts');
  assert.deepEqual([synced.route, synced.result, synced.mock], ['FND.salesforce', { synced: 100 }, true]);
  assert.ok(synced.confidence! >= 0.9);
  const named = await dispatcher.dispatchTo('AI', 'router', { prompt: 'hello' });
  assert.deepEqual([named.ok, named.route], [true, 'AI.router']);
  const sum = await dispatcher.dispatch('what is 2+2');
  assert.deepEqual([sum.route, JSON.stringify(sum.result).includes('4')], ['OS.calc', true]);
  assert.ok(
    (await dispatcher.listRoutes()).some(
      (route) => route.name === 'FND.salesforce' && route.endpoint === 'http://lucidia:8091/v1/salesforce',
    ),
  );
  const dry = await dispatcher.resolve('start the chart report');
  assert.notEqual(dry.route?.split('.')[1], 'ar');
  assert.equal((await dispatcher.dispatchTo('FND', 'salesfroce')).error!.code, 'route_unknown');
  await assert.rejects(
    dispatcher.healthCheck('FND', 'nothing'),
    (caught: { wire: { code: string } }) => caught.wire.code === 'route_unknown',
  );
  const all = await dispatcher.healthCheckAll();
  assert.deepEqual(
    [(await dispatcher.healthCheck('OS', 'calc')).status, all.OS!.calc, all.FND!.salesforce],
    ['unknown', 'unknown', 'unknown'],
  );
  assert.equal((await dispatcher.dispatch('')).error!.code, 'input_invalid');
  await dispatcher.close();
  assert.ok(existsSync(join(home, 'dispatcher.sqlite')));
});

test('a registry that is not there or has errors is refused, and leaves nothing behind', async (t) => {
  using made = tempFolder();
  const { path: folder } = made;
  // Others who run at the same time leave their folders in the system's.
  const scratch = join(folder, 'tmp');
  mkdirSync(scratch);
  const names = ['TMPDIR', 'TMP', 'TEMP'] as const;
  const were = { ...process.env };
  for (const name of names) process.env[name] = scratch;
  t.after(() => {
    for (const name of names)
      if (were[name] === undefined) delete process.env[name];
      else process.env[name] = were[name];
  });
  const refused = (file: string) =>
    assert.rejects(createDispatcher({ mock: true, registry: file }), (caught: { wire: { code: string; message: string } }) => {
      assert.match(caught.wire.message, /no registry file|line 1, column 1: /);
      return caught.wire.code === 'registry_invalid';
    });
  assert.equal(tmpdir(), scratch);
  await refused(join(folder, 'none.yaml'));
  writeFileSync(join(folder, 'bad.yaml'), 'orgz: {}\n');
  await refused(join(folder, 'bad.yaml'));
  assert.equal(existsSync(join(folder, 'none.yaml')), false);
  assert.deepEqual(readdirSync(scratch), []);
});

test('without a home nothing is left behind', async () => {
  const dispatcher = await createDispatcher({ mock: true });
  const { settings } = { settings: await dispatcher.dispatch('OS.settings') };
  const { home } = settings.result as { home: string };
  assert.ok(existsSync(home));
  await dispatcher.close();
  assert.equal(existsSync(home), false);
});
