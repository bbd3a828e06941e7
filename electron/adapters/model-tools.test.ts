import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GiB, openHouse, provider, startBox } from './card-testing.ts';

const within = { timeout: 60_000 };

const tools = `orgs:
  OS: { name: System, services: { echo: { kind: tool, examples: [echo] }, calc: { kind: tool, examples: [what is two and two] } } }`;

async function open() {
  await using stack = new AsyncDisposableStack();
  const box = stack.use(await startBox({ 'a:8B': GiB }));
  const list = provider('a', box, { sizes: { '8B': 1 } }).replace(/\}\s*$/, ', tools: [OS.echo] }');
  const house = stack.use(await openHouse({ providers: list, more: tools }));
  const owned = stack.move();
  return Object.assign(house, { box, [Symbol.asyncDispose]: () => owned.disposeAsync() });
}

test('a grant has hands while its model is warm: they are listed, called for its caller, and gone with it', within, async () => {
  await using house = await open();
  const { body: grant } = await house.grant({ capabilities: ['text-generation'] });
  const call = async (path: string, key: string, params?: unknown) => {
    const response = await fetch(`${grant.base_url}${path}`, {
      method: params === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(params !== undefined && { body: JSON.stringify(params) }),
    });
    return {
      status: response.status,
      body: (await response.json()) as { data: { route: string; function: { name: string } }[]; route: string; result: { text: string } },
    };
  };
  const key = grant.api_key!;
  const listed = await call('/tools', key);
  const called = await call('/tools/OS_echo', key, { text: 'good morning' });
  const other = await call('/tools/OS.calc', key, { expression: '2+2' });
  const byToken = await call('/tools/OS.echo', house.core.owner.secret, {});
  const wrong = await call('/tools/OS.echo', key, [1]);
  assert.deepEqual(
    {
      listed: listed.body.data.map(({ route, function: { name } }) => [route, name]),
      called: [called.status, called.body.route, called.body.result.text],
      refused: [other.status, byToken.status, wrong.status],
    },
    { listed: [['OS.echo', 'OS_echo']], called: [200, 'OS.echo', 'good morning'], refused: [403, 403, 400] },
  );
  await house.revoke(grant.id);
  assert.deepEqual([(await call('/tools', key)).status, (await call('/tools/OS.echo', key, {})).status], [401, 401]);
});
