/** What may not leave the machine does not: canaries count the bytes that come to servers far away, and to models that a server at hand passes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Crossing } from '../../shared/model.ts';
import { GiB, only, openHouse, provider, seen, startBox } from './card-testing.ts';

const within = { timeout: 60_000 };
const routes = `orgs:
  T:
    name: Test
    services:
      secret: { kind: model, need: { capabilities: [text-generation], sensitive: true } }
      near: { kind: model, need: { capabilities: [text-generation], egress: local } }
      open: { kind: model, need: { capabilities: [text-generation] } }`;

/** Two that are not of this machine: an API, and a model that the Ollama at hand passes on. */
async function open() {
  await using stack = new AsyncDisposableStack();
  const far = stack.use(await startBox({ 'far:8B': GiB }));
  const box = stack.use(await startBox({ 'passed:8B': GiB }, { cloud: ['passed:8B'] }));
  const list = [
    provider('far', far, { sizes: { '8B': 0 }, egress: 'remote', controller: 'openai', capabilities: ['text-generation', 'far'] }),
    provider('passed', box, { sizes: { '8B': 1 }, capabilities: ['text-generation', 'passed'] }),
  ].join('\n');
  const house = stack.use(await openHouse({ providers: list, more: routes }));
  await seen(async () => (await house.cortex()).models.find((model) => model.provider === 'passed')?.egress === 'remote');
  const owned = stack.move();
  /** What was asked of a model, of whichever server. */
  const leaked = () => [far.received, ...box.log, ...far.log];
  return Object.assign(house, { far, box, leaked, [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

const codeOf = async (response: Response) => {
  const { code, error } = (await response.json()) as { code?: string; error?: { code: string } };
  return `${response.status} ${code ?? error?.code}`;
};

test('without a guard both would be asked: the canaries see', within, async () => {
  await using house = await open();
  const { status } = await house.chat('far:8B');
  const passed = await house.chat('passed:8B');
  assert.deepEqual(
    [status, passed.status, only(house.far.log, 'call'), only(house.box.log, 'call'), house.far.received > 0],
    [200, 200, ['far:8B'], ['passed:8B'], true],
  );
});

test('what is sensitive, or may not go so far, goes to neither, however it is asked for', within, async () => {
  await using house = await open();
  const dispatched = async (ask: object) => {
    const { error } = (await (await house.http('POST', '/dispatch', { body: { params: { prompt: 'hi' }, ...ask } })).json()) as Crossing;
    return error?.code ?? 'answered';
  };
  const guarded = [{ sensitive: true }, { egress: 'local' }, { egress: 'lan' }, { sensitive: true, egress: 'remote' }];
  const codes: unknown[] = [];
  for (const guard of guarded)
    for (const want of [
      { capabilities: ['text-generation'] },
      { model: 'far' },
      { model: 'far:8B' },
      { model: 'passed:8B' },
      { capabilities: ['text-generation'], tier: '8B' },
    ]) {
      const { status } = await house.grant({ ...want, ...guard }, { wait_ms: 200 });
      const { outcome } = await house.resolve({ ...want, ...guard });
      codes.push([status >= 400, outcome, (await dispatched({ route: 'T.open', need: { ...want, ...guard } })) === 'answered']);
    }
  assert.deepEqual(
    codes,
    codes.map(() => [true, 'refusal', false]),
  );
  // Whoever calls may ask for less than a route allows, and not for more.
  for (const route of ['T.secret', 'T.near'])
    for (const need of [
      undefined,
      { model: 'far' },
      { capabilities: ['far'], sensitive: false, egress: 'remote' },
      { model: 'passed:8B', egress: 'remote' },
    ])
      assert.notEqual(await dispatched({ route, ...(need && { need }) }), 'answered', `${route} ${JSON.stringify(need)}`);
  assert.deepEqual(house.leaked(), [0]);
});

test('under sovereign neither is asked, by name, by a grant, by hand, or for a pulse', within, async () => {
  await using house = await open();
  const granted = await Promise.all(['far', 'passed'].map((capability) => house.grant({ capabilities: [capability] })));
  assert.deepEqual(
    granted.map(({ status }) => status),
    [200, 200],
  );
  await house.sovereign(true);
  const before = house.leaked();
  const codes = [
    await codeOf(await house.chat('far:8B')),
    await codeOf(await house.chat('passed:8B')),
    await codeOf(await house.chat('cap:far')),
    await codeOf(await house.chat('cap:passed')),
    ...(await Promise.all(granted.map(async ({ body }) => codeOf(await house.chat(body.models[0]!.model, { as: body.api_key! }))))),
    `${(await house.grant({ model: 'far' })).status}`,
    `${(await house.grant({ model: 'passed:8B' })).status}`,
    await codeOf(await house.http('POST', '/models/load?confirm=true', { body: { provider: 'far' } })),
    await codeOf(await house.http('POST', '/models/load?confirm=true', { body: { provider: 'passed' } })),
  ];
  assert.deepEqual(codes, [
    ...Array<string>(4).fill('403 sovereign_refused'),
    ...Array<string>(2).fill('401 unauthenticated'),
    ...['403', '403', '403 sovereign_refused', '403 sovereign_refused'],
  ]);
  assert.deepEqual(house.leaked(), before);
});

test(
  'sovereign that comes while a far model is pulsed: the pulse is cut, nobody has a grant, and nothing more goes there',
  within,
  async () => {
    await using house = await open();
    house.far.hold.pulse = new Promise(() => {});
    const asked = house.grant({ capabilities: ['far'] });
    await seen(() => only(house.far.log, 'pulse').length === 1);
    await house.sovereign(true);
    const before = house.far.received;
    const { status } = await asked;
    assert.deepEqual([status, house.far.received, (await house.standing()).leases], [403, before, []]);
  },
);

test('discovery asks this machine alone', within, async () => {
  await using house = await open();
  await house.sovereign(true);
  const before = house.leaked();
  const { body } = await house.send<{ looked: string[] }>('POST', '/discover', {});
  assert.deepEqual(
    [
      body.looked.length > 0,
      body.looked.filter((one) => !/^https?:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:\d+)?(\/|$)/.test(one)),
      house.leaked(),
    ],
    [true, [], before],
  );
});
