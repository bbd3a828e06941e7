import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { newWebhookSecret, readWebhookSecrets, signPlainly, signWebhook, verifyPlainly, verifyWebhook } from './webhook-signature.ts';

const now = 1_614_265_330_000;
const timestamp = String(now / 1000);
const [secret] = readWebhookSecrets('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')!;
const example = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp, body: '{"test": 2432232314}' };

test('signs the example of the Standard Webhooks libraries as they do', () => {
  assert.equal(signWebhook([secret!], example), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('whatever is signed verifies, and with one character of it changed it does not', () => {
  const char = (text: string, at: number) => {
    const i = at % text.length;
    return text.slice(0, i) + (text[i] === '0' ? '1' : '0') + text.slice(i + 1);
  };
  fc.assert(
    fc.property(
      fc.stringMatching(/^msg_[a-z0-9]{1,30}$/),
      fc.string({ minLength: 1, unit: 'binary' }),
      fc.nat(),
      fc.constantFrom('id', 'timestamp', 'body', 'signature'),
      (id, body, at, part) => {
        const secrets = readWebhookSecrets(newWebhookSecret())!;
        const message = { id, timestamp, body };
        const received = { ...message, signature: signWebhook(secrets, message) };
        assert.equal(verifyWebhook(secrets, received, now), null);
        const changed = verifyWebhook(secrets, { ...received, [part]: char(received[part], at) }, now);
        assert.match(changed?.is ?? 'verified', /signature|malformed/);
        const plain = { timestamp, body, signature: signPlainly(secrets[0]!, message) };
        assert.equal(verifyPlainly(secrets, plain, now), null);
        if (part !== 'id')
          assert.match(verifyPlainly(secrets, { ...plain, [part]: char(plain[part], at) }, now)?.is ?? 'verified', /signature|malformed/);
      },
    ),
  );
});

test('C01: a signature that is missing, cut, longer, of another case, form or secret is refused', () => {
  const good = signWebhook([secret!], example);
  const stranger = readWebhookSecrets(newWebhookSecret())!;
  const standard: [string, string][] = [
    ['', 'malformed'],
    ['v1,', 'signature'],
    [good.slice(0, 12), 'signature'],
    [`${good}A`, 'signature'],
    [good.replace('=', ''), 'signature'],
    [good.toUpperCase().replace('V1', 'v1'), 'signature'],
    [good.slice(3), 'malformed'],
    [good.replace('v1,', 'v1a,'), 'malformed'],
    [good.replace('v1,', 'v2,'), 'malformed'],
    [`v1,${Buffer.from(good.slice(3), 'base64').toString('hex')}`, 'signature'],
    [`v1,${Buffer.from(good.slice(3), 'base64').toString('base64url')}`, 'signature'],
    [signWebhook(stranger, example), 'signature'],
    [signPlainly(secret!, example), 'malformed'],
    ['v1,\u0000 v1,é', 'signature'],
  ];
  for (const [signature, fault] of standard)
    assert.equal(verifyWebhook([secret!], { ...example, signature }, now)?.is, fault, JSON.stringify(signature));

  const plain = signPlainly(secret!, example);
  const hex = plain.slice(7);
  for (const [signature, fault] of [
    ['', 'malformed'],
    [hex, 'malformed'],
    ['sha256=', 'malformed'],
    [plain.slice(0, -1), 'malformed'],
    [`${plain}0`, 'malformed'],
    [`sha256=${hex.toUpperCase()}`, 'malformed'],
    [`sha256=${Buffer.from(hex, 'hex').toString('base64')}`, 'malformed'],
    [`sha512=${hex}`, 'malformed'],
    [signPlainly(stranger[0]!, example), 'signature'],
    [good, 'malformed'],
  ] as const)
    assert.equal(verifyPlainly([secret!], { ...example, signature }, now)?.is, fault, JSON.stringify(signature));
});

test('ids and timestamps that could be read in two ways are malformed', () => {
  const faultOf = (changed: Partial<typeof example>) => {
    const message = { ...example, ...changed };
    return verifyWebhook([secret!], { ...message, signature: signWebhook([secret!], message) }, now)?.is ?? null;
  };
  for (const id of ['', 'a.b', 'a b', 'ü', 'x'.repeat(201)]) assert.equal(faultOf({ id }), 'malformed', id);
  for (const text of ['', ' 1614265330', '1614265330.0', '1.6e9', '-1', '0x6037', 'NaN', '9'.repeat(13)])
    assert.equal(faultOf({ timestamp: text }), 'malformed', text);
});

test('C02: a timestamp counts for five minutes each way, and no longer', () => {
  const faultAt = (seconds: number) =>
    verifyWebhook([secret!], { ...example, signature: signWebhook([secret!], example) }, now + seconds * 1000)?.is ?? null;
  assert.deepEqual([0, 300, -300, 301, -301].map(faultAt), [null, null, null, 'timestamp', 'timestamp']);
});

test('while one secret takes over from another, both sign and either verifies', () => {
  const [old, young] = [newWebhookSecret(), newWebhookSecret()];
  const both = readWebhookSecrets(`${young} ${old}`)!;
  const signature = signWebhook(both, example);
  assert.equal(signature.split(' ').length, 2);
  for (const text of [old, young]) assert.equal(verifyWebhook(readWebhookSecrets(text)!, { ...example, signature }, now), null);
  const fromOld = signWebhook(readWebhookSecrets(old)!, example);
  assert.equal(verifyWebhook(both, { ...example, signature: fromOld }, now), null);
});

test('a secret is whsec_ and the base64 of 24 to 64 bytes, and nothing else', () => {
  const of = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString('base64')}`;
  assert.deepEqual(
    [24, 32, 64].map((bytes) => readWebhookSecrets(of(bytes))?.[0]?.key.length),
    [24, 32, 64],
  );
  for (const text of ['', 'secret', of(23), of(65), `${of(32)} short`, of(32).replace('=', ''), `${of(24)}====`, 'whsec_', of(32).slice(6)])
    assert.equal(readWebhookSecrets(text), null, text);
});

test('C01: signatures are made and compared in one place, and in constant time', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const sources = globSync('*.ts', { cwd: folder })
    .filter((file) => !file.endsWith('.test.ts'))
    .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }));
  assert.deepEqual(
    sources.filter(({ text }) => /^import .*\bcreateHmac\b/m.test(text)).map(({ file }) => file),
    ['webhook-signature.ts'],
  );
  // An operator, or a method that stops at the first difference, beside something that is called a signature.
  const loose = /(?:signature|digest|hmac)\w*(?:\.\w+)?\s*[!=]==?|[!=]==?\s*\w*(?:signature|digest|hmac)|\.(?:equals|compare)\(/i;
  for (const line of ['if (given === signature)', 'digest != sent', 'a.equals(b)', 'return received.signature == x'])
    assert.match(line, loose);
  for (const { file, text } of sources.filter((source) => /webhook-signature|timingSafeEqual/.test(source.text)))
    for (const line of text.split('\n')) assert.doesNotMatch(line.replace(/'[^']*'/g, "''"), loose, file);
});
