import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import type { Principal } from '../../shared/model.ts';
import { createGate } from './session.ts';

const owner: Principal = { id: 'owner', name: 'owner', capabilities: ['read'] };

/** A gate at port 8000 with a clock, and what it makes of a request with these headers. */
function open() {
  const clock = { now: 1_000_000 };
  const gate = createGate({ authenticate: (secret) => (secret === 'good' ? owner : null) }, 8000, () => clock.now);
  const admit = (headers: Record<string, string>, method = 'GET') => {
    const all = { host: '127.0.0.1:8000', ...headers };
    const admission = gate.admit({ method, url: '/', headers: all, rawHeaders: Object.entries(all).flat() } as unknown as IncomingMessage);
    return admission.ok ? (admission.credential?.principal.id ?? 'nobody') : admission.error.code;
  };
  return { clock, gate, admit };
}

const minutes = 60_000;

test('a one-time code opens a session within five minutes, once', () => {
  const { clock, gate } = open();
  const [late, used] = [gate.issueCode('good'), gate.issueCode('good')];
  clock.now += 5 * minutes - 1;
  assert.match(String(gate.redeem(used)), /^dispatcher_8000=/);
  clock.now += 1;
  assert.deepEqual([gate.redeem(used), gate.redeem(late), gate.redeem('made up')], [null, null, null]);
});

test('a session lasts twelve hours, and the oldest gives way to the sixty-fifth', () => {
  const { clock, gate, admit } = open();
  const signIn = () => String(gate.redeem(gate.issueCode('good'))).split(';')[0] as string;
  const first = signIn();
  clock.now += 12 * 60 * minutes - 1;
  assert.equal(admit({ cookie: first }), 'owner');
  clock.now += 1;
  assert.equal(admit({ cookie: first }), 'unauthenticated');
  const many = Array.from({ length: 65 }, signIn);
  assert.deepEqual([admit({ cookie: many[0] as string }), admit({ cookie: many[1] as string })], ['unauthenticated', 'owner']);
});

test('the Host is exact and the Origin is that of the Host', () => {
  const { admit } = open();
  const authorization = 'Bearer good';
  for (const host of ['127.0.0.1:8000', 'localhost:8000', '[::1]:8000'])
    assert.equal(admit({ host, authorization, origin: `http://${host}` }), 'owner');
  for (const host of ['127.0.0.1', '127.0.0.1:8001', 'LOCALHOST:8000', 'localhost.:8000', '0.0.0.0:8000', '[::ffff:127.0.0.1]:8000', ''])
    assert.equal(admit({ host, authorization }), 'host_refused', host);
  for (const origin of ['http://localhost:8000', 'https://127.0.0.1:8000', 'http://127.0.0.1:8000/', 'http://127.0.0.1', 'null', ''])
    assert.equal(admit({ authorization, origin }), 'origin_refused', origin);
});

test('only a bearer token is a token', () => {
  const { admit } = open();
  assert.deepEqual(
    ['Bearer good', 'bearer good', 'Bearer  good', 'Bearer', 'Bearer good extra', 'Basic good', 'good', ''].map((authorization) =>
      admit({ authorization }),
    ),
    ['owner', 'owner', 'owner', ...Array(5).fill('unauthenticated')],
  );
  assert.equal(admit({}), 'nobody');
});
