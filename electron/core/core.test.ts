import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Event } from '../../shared/contract.ts';
import type { Refusal } from '../../shared/errors.ts';
import { signalOf } from '../../shared/signal.ts';
import { json, openCore, operate, startService, tempFolder } from './testing.ts';

const registryOf = (url: string, more = '') => `
orgs:
  FND:
    name: BlackRoad-Foundation
    services:
      salesforce: {endpoint: "${url}/v1/salesforce", egress: local, examples: [sync salesforce contacts, update the crm leads]}
      cloud: {endpoint: "https://api.example.com/v1", egress: remote, examples: [purge the cdn cache]}
      slow: {endpoint: "${url}/slow", egress: local, timeout: 300ms}
  OS:
    name: Built in
    services:
      echo: {kind: tool, examples: [echo this back, repeat after me]}
rules:
  - {pattern: salesforce, org: FND, service: salesforce, priority: 100}
${more}`;

test('a text finds its service; the record says why, and the audit chain has it before and after', async () => {
  await using service = await startService(json({ success: true, synced: 150 }));
  await using core = await openCore(registryOf(service.url));
  const crossing = await core.ask({ text: 'sync salesforce contacts', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` });
  assert.deepEqual(
    { ok: crossing.ok, route: crossing.route, result: crossing.result, chain: crossing.boundaries.map((step) => step.boundary) },
    {
      ok: true,
      route: 'FND.salesforce',
      result: { success: true, synced: 150 },
      chain: ['identity', 'limits', 'input', 'sovereign', 'audit', 'execute'],
    },
  );
  assert.ok(crossing.confidence! >= 0.9, `confidence ${crossing.confidence}`);
  assert.match(signalOf(crossing), /^🎯 OS → FND : dispatched, service=salesforce, latency=\d+ms$/);
  const [seen] = service.ledger;
  assert.deepEqual(JSON.parse(seen!.body), { query: 'sync salesforce contacts', context: {} });
  assert.equal(seen!.headers['idempotency-key'], crossing.attempts[0]!.id);
  assert.ok(seen!.headers.traceparent!.includes('a'.repeat(32)));

  const { entries } = (await operate(core, 'OS.audit', { job: crossing.job })) as {
    entries: { kind: string; seq: number; outcome: string | null }[];
  };
  assert.deepEqual(
    entries.map(({ kind, outcome }) => [kind, outcome]),
    [
      ['outcome', 'ok'],
      ['intent', null],
    ],
  );
  assert.equal(crossing.audit!.seq, entries[1]!.seq);
  assert.equal(((await operate(core, 'OS.audit.verify')) as { ok: boolean }).ok, true);
  assert.deepEqual(await operate(core, 'OS.crossings.verify', { crossing: JSON.parse(JSON.stringify(crossing)) }), {
    ok: true,
    reason: `Signed with key ${crossing.signature!.key}.`,
  });
  const job = (await operate(core, 'OS.jobs.get', { id: crossing.job })) as { state: string; record: { id: string } };
  assert.deepEqual([job.state, job.record.id], ['succeeded', crossing.id]);
});

test('what cannot be run is refused in the words of the catalogue, on record, and nothing is sent', async () => {
  await using service = await startService(json({}));
  await using core = await openCore(registryOf(service.url));
  const reader = { id: 'r', name: 'Reader', capabilities: ['read'] as const };
  const refusals = [
    await core.ask({ route: 'FND.salesfroce' }),
    await core.ask({}),
    await core.ask({ route: 'FND.salesforce' }, { principal: reader }),
    await core.ask({ route: 'FND.salesforce', params: JSON.parse('{"a":{"__proto__":{"x":1}}}') }),
    await core.ask({ text: 'qzx blorp vantu', ask: true }),
    await core.ask({ route: 'OS.sovereign.set', params: { on: false } }),
    await core.ask({ route: 'OS.jobs', params: { limit: 'many' } }),
  ];
  assert.deepEqual(
    refusals.map(({ ok, error }) => [ok, error!.code]),
    [
      [false, 'route_unknown'],
      [false, 'input_invalid'],
      [false, 'forbidden'],
      [false, 'input_invalid'],
      [false, 'route_uncertain'],
      [false, 'confirm_required'],
      [false, 'input_invalid'],
    ],
  );
  assert.equal(refusals[0]!.error!.choices![0]!.route, 'FND.salesforce');
  assert.deepEqual(refusals[2]!.error!.needed, ['dispatch']);
  assert.equal(refusals[3]!.error!.issues![0]!.path, 'params.a.__proto__');
  assert.equal(refusals[6]!.error!.issues![0]!.path, 'params.limit');
  assert.equal(service.ledger.length, 0);
  const { entries } = (await operate(core, 'OS.audit')) as { entries: { kind: string; seq: number }[] };
  assert.deepEqual(
    new Set(refusals.map((refusal) => entries.find((entry) => entry.seq === refusal.audit!.seq)!.kind)),
    new Set(['rejected']),
  );
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('S02: sovereign refuses a remote route before its name is looked up, is on record, and outlives a restart', async () => {
  using home = tempFolder();
  {
    await using core = await openCore(registryOf('http://127.0.0.1:9909'), { home: home.path });
    assert.equal((await core.ask({ route: 'OS.sovereign.set', params: { on: true } })).ok, true);
  }
  await using core = await openCore(registryOf('http://127.0.0.1:9909'), { home: home.path });
  const crossing = await core.ask({ text: 'purge the cdn cache', route: 'FND.cloud' });
  assert.deepEqual([crossing.error!.code, crossing.attempts, crossing.left, crossing.job], ['sovereign_refused', [], [], null]);
  const dry = (await operate(core, 'OS.resolve', { route: 'FND.cloud' })) as { egress: { allowed: boolean }; refusal: { code: string } };
  assert.deepEqual([dry.egress.allowed, dry.refusal.code], [false, 'sovereign_refused']);
  const { entries } = (await operate(core, 'OS.audit', { limit: 500 })) as { entries: { kind: string; outcome: string }[] };
  assert.ok(entries.some(({ kind, outcome }) => kind === 'change' && outcome === 'sovereign'));
});

test('a running job is seen, cancelled within its bound, and its service is let go', async () => {
  const hung = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  await using service = await startService((_, response) => {
    response.on('close', () => gone.resolve());
    hung.resolve();
  });
  await using core = await openCore(registryOf(service.url));
  const events: Event[] = [];
  core.watch(0, { snapshot: () => {}, events: (batch) => events.push(...batch) });
  const accepted = Promise.withResolvers<string>();
  const call = core.dispatch({ route: 'FND.salesforce', door: 'library', principal: core.owner.principal }, undefined, ({ job }) =>
    accepted.resolve(job),
  );
  const id = await accepted.promise;
  await hung.promise;
  const cancelled = await operate(core, 'OS.jobs.cancel', { id });
  await gone.promise;
  const crossing = await call;
  assert.deepEqual(cancelled, { id, state: 'cancelled', outcome: 'It was cut off and is cancelled.' });
  assert.equal(crossing.error!.code, 'cancelled');
  const states = events.flatMap((event) => (event.type === 'job' && event.job.id === id ? [event.job.state] : []));
  assert.deepEqual([states[0], states.at(-1)], ['running', 'cancelled']);
  assert.equal((await core.ask({ route: 'OS.jobs.cancel', params: { id } })).error!.code, 'conflict');
});

test('a deadline ends the call, and a call that came back is never called again', async () => {
  await using service = await startService(() => {});
  await using core = await openCore(registryOf(service.url));
  const crossing = await core.ask({ route: 'FND.slow' });
  assert.deepEqual([crossing.error!.code, service.ledger.length], ['upstream_timeout', 1]);
  assert.ok(crossing.durationMs >= 290 && crossing.durationMs < 5000);
});

test('a reload is one swap: a bad file never replaces a good one, and what it says serves once it is good', async () => {
  await using service = await startService(json({ v: 2 }));
  await using core = await openCore(registryOf(service.url));
  const { text, revision } = (await operate(core, 'OS.registry')) as { text: string; revision: string };
  const bad = await core.ask({ route: 'OS.registry.save', params: { text: `${text}\nrulez: []\n`, revision } });
  assert.equal(bad.error!.code, 'registry_invalid');
  const check = (await operate(core, 'OS.registry.check', { text: text.replace('pattern: salesforce', 'pattern: nothing') })) as {
    problems: unknown[];
  };
  assert.deepEqual(check.problems, []);
  await core.ask({ text: 'sync salesforce contacts' });
  const moved = { text: text.replace(/^rules:\n/m, 'rules:\n  - {pattern: contacts, org: FND, service: slow, priority: 999}\n') };
  assert.notEqual(moved.text, text);
  assert.deepEqual(await operate(core, 'OS.registry.check', moved), {
    problems: [],
    differs: [{ text: 'sync salesforce contacts', before: 'FND.salesforce', after: 'FND.slow' }],
    considered: 1,
  });
  assert.deepEqual(await operate(core, 'OS.registry.check', { ...moved, compare: false }), { problems: [], differs: [], considered: 0 });
  const next = text.replace(
    '  OS:',
    `  NEW:\n    name: New\n    services:\n      fresh: {endpoint: "${service.url}/fresh", egress: local}\n  OS:`,
  );
  const saved = await core.ask({ route: 'OS.registry.save', params: { text: next, revision } });
  assert.equal(saved.ok, true, saved.error?.message);
  assert.deepEqual((await core.ask({ route: 'new.FRESH' })).result, { v: 2 });
  const stale = await core.ask({ route: 'OS.registry.save', params: { text, revision } });
  assert.equal(stale.error!.code, 'conflict');
});

test('registries saved faster than they are learned are learned one at a time, and the last one serves', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909'));
  let { text, revision } = (await operate(core, 'OS.registry')) as { text: string; revision: string };
  const saves = [];
  for (let i = 0; i < 5; i++) {
    text = text.replace(
      '  OS:',
      `  N${i}:\n    name: New\n    services:\n      fresh: {endpoint: "http://127.0.0.1:9909/", egress: local}\n  OS:`,
    );
    saves.push(core.ask({ route: 'OS.registry.save', params: { text, revision } }));
    revision = createHash('sha256').update(text).digest('hex');
  }
  assert.deepEqual(
    (await Promise.all(saves)).map(({ error }) => error?.message ?? 'saved'),
    Array.from({ length: 5 }, () => 'saved'),
  );
  const dry = (await operate(core, 'OS.resolve', { route: 'N4.fresh' })) as { route: string };
  assert.equal(dry.route, 'N4.fresh');
});

test('sovereign turned on while turning it off is under way stays on, now and after a restart', async () => {
  using home = tempFolder();
  {
    await using core = await openCore(registryOf('http://127.0.0.1:9909'), { home: home.path });
    await core.ask({ route: 'OS.sovereign.set', params: { on: true } });
    await Promise.all([
      core.ask({ route: 'OS.sovereign.set', params: { on: false }, confirm: true }),
      core.ask({ route: 'OS.sovereign.set', params: { on: true } }),
    ]);
    assert.equal(((await operate(core, 'OS.sovereign')) as { on: boolean }).on, true);
  }
  await using core = await openCore(registryOf('http://127.0.0.1:9909'), { home: home.path });
  assert.equal(((await operate(core, 'OS.sovereign')) as { on: boolean }).on, true);
});

test('a call that waits for its audit entry while the core closes, or whose caller left, sends nothing', async () => {
  await using service = await startService(() => {});
  const core = await openCore(registryOf(service.url));
  const gone = new AbortController();
  const left = core.dispatch({ route: 'FND.salesforce', door: 'library', principal: core.owner.principal }, gone.signal);
  const echo = core.dispatch({ route: 'OS.echo', door: 'library', principal: core.owner.principal }, gone.signal);
  gone.abort();
  const waiting = core.ask({ route: 'FND.salesforce' });
  await Promise.all([core[Symbol.asyncDispose](), core[Symbol.asyncDispose]()]);
  assert.deepEqual(
    (await Promise.all([left, echo, waiting])).map(({ error, attempts }) => [error?.code, attempts.length]),
    [
      ['cancelled', 0],
      ['cancelled', 0],
      ['shutting_down', 0],
    ],
  );
  assert.equal(service.ledger.length, 0);
});

test('callers in a hurry neither open the breaker of a service nor make it look ill', async () => {
  await using service = await startService(() => {});
  await using core = await openCore(registryOf(service.url).replace('timeout: 300ms', 'timeout: 30s'));
  for (let i = 0; i < 6; i++) assert.equal((await core.ask({ route: 'FND.slow', deadlineMs: 20 })).error!.code, 'upstream_timeout');
  const { health, breakers } = (await operate(core, 'OS.health', { route: 'FND.slow' })) as {
    health: { status: string }[];
    breakers: { endpoint: string; state: string }[];
  };
  assert.deepEqual([health[0]!.status, breakers.find(({ endpoint }) => endpoint === service.url)!.state], ['unknown', 'closed']);
});

test('a dry run says what a call would be refused with: the capability it lacks, the limit, the breaker', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909', 'limits: {calls: {per_second: 1, burst: 1}}\n'));
  const reader = { id: 'r', name: 'Reader', capabilities: ['read', 'dispatch'] as const };
  const refusal = async (route: string, principal: typeof core.owner.principal) =>
    (
      (await core.ask({ route: 'OS.resolve', params: { route } }, { principal })).result as {
        refusal: { code: string; retryAfterMs?: number } | null;
      }
    ).refusal;
  assert.equal((await refusal('OS.settings.set', reader))!.code, 'forbidden');
  await core.ask({ route: 'OS.echo' }, { principal: reader });
  assert.equal((await refusal('OS.echo', reader))!.code, 'limited');
  assert.equal(await refusal('OS.status', reader), null);
  await core.ask({ route: 'OS.breakers.set', params: { endpoint: 'http://127.0.0.1:9909', action: 'trip' } });
  assert.equal((await refusal('FND.salesforce', core.owner.principal))!.code, 'breaker_open');
});

test('what a person teaches is written into the registry, comments kept, and serves at once', async () => {
  await using core = await openCore(`# mine\n${registryOf('http://127.0.0.1:9909')}`);
  const before = (await operate(core, 'OS.registry')) as { text: string };
  assert.notEqual((await core.ask({ text: 'frobnicate the wibble', ask: true })).route, 'OS.echo');
  assert.equal((await core.ask({ route: 'OS.teach', params: { text: 'frobnicate the wibble', route: 'os.ECHO' } })).ok, true);
  assert.equal((await core.ask({ text: 'frobnicate the wibble', ask: true })).route, 'OS.echo');
  const after = (await operate(core, 'OS.registry')) as { text: string };
  assert.ok(after.text.startsWith('# mine\n'));
  assert.equal(after.text.replace(', "frobnicate the wibble"', ''), before.text);
  assert.equal((await core.ask({ route: 'OS.teach', params: { text: 'x', route: 'OS.status' } })).error!.code, 'conflict');
});

test('limits are per principal, say how long to wait, and a flood of them is not a flood of rows', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909', 'limits: {calls: {per_second: 1, burst: 3}}\n'));
  const asked = await Promise.all(Array.from({ length: 50 }, () => core.ask({ route: 'OS.echo', params: { text: 'x' } })));
  const codes = asked.map(({ ok, error }) => (ok ? 'ok' : error!.code));
  assert.deepEqual([codes.filter((code) => code === 'ok').length, codes.filter((code) => code === 'limited').length], [3, 47]);
  assert.ok(asked.at(-1)!.error!.retryAfterMs! > 0);
  const other = { id: 'tok_2', name: 'Other', capabilities: ['dispatch'] as const };
  const grants = [other, { ...other, id: 'grant_1', countsAs: core.owner.principal.id }];
  const more = await Promise.all(grants.map((principal) => core.ask({ route: 'OS.echo', params: { text: 'x' } }, { principal })));
  assert.deepEqual(
    more.map(({ error }) => error?.code ?? 'ok'),
    ['ok', 'limited'],
  );
  const { entries } = (await operate(core, 'OS.audit', { limit: 500 })) as { entries: { kind: string }[] };
  assert.ok(entries.filter(({ kind }) => kind === 'rejected').length <= 2);
});

test('A08: with no place to record it nothing is sent', async () => {
  await using service = await startService(json({}));
  using home = tempFolder();
  await using core = await openCore(registryOf(service.url), { home: home.path });
  // Another process holds the database: the writer cannot write.
  const { default: Database } = await import('better-sqlite3');
  const other = new Database(join(home.path, 'dispatcher.sqlite'));
  other.exec('BEGIN IMMEDIATE');
  const refused = await core.ask({ route: 'FND.salesforce' });
  assert.deepEqual([refused.error!.code, refused.audit, service.ledger.length], ['store_unavailable', null, 0]);
  other.exec('ROLLBACK');
  other.close();
  const after = await core.ask({ route: 'FND.salesforce' });
  assert.deepEqual([after.ok, service.ledger.length], [true, 1]);
});

test('A08: an outcome that cannot be recorded at once is recorded once it can be', {
  timeout: 20_000,
}, async () => {
  const { default: Database } = await import('better-sqlite3');
  using home = tempFolder();
  const held = Promise.withResolvers<() => void>();
  await using service = await startService((seen, response) => {
    // After the intent, before the outcome.
    const other = new Database(join(home.path, 'dispatcher.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    held.resolve(() => other.exec('ROLLBACK'));
    json({})(seen, response);
  });
  await using core = await openCore(registryOf(service.url), { home: home.path });
  const crossing = await core.ask({ route: 'FND.salesforce' });
  assert.equal(crossing.ok, true);
  (await held.promise)();
  let state = 'running';
  while (state === 'running') ({ state } = (await operate(core, 'OS.jobs.get', { id: crossing.job })) as { state: string });
  assert.equal(state, 'succeeded');
  const { entries } = (await operate(core, 'OS.audit', { job: crossing.job })) as { entries: { outcome: string }[] };
  assert.deepEqual([entries.length, entries[0]!.outcome], [2, 'ok']);
  assert.equal(((await operate(core, 'OS.audit.verify')) as { ok: boolean }).ok, true);
});

test('a database damaged under a running core: calls are refused, watchers see the state, nothing ends', async () => {
  using home = tempFolder();
  {
    await using core = await openCore(registryOf('http://127.0.0.1:9909', 'limits: off\n'), { home: home.path });
    await Promise.all(Array.from({ length: 500 }, () => core.ask({ route: 'OS.echo', params: { text: 'x'.repeat(300) } })));
  }
  await using core = await openCore(registryOf('http://127.0.0.1:9909'), { home: home.path });
  const file = openSync(core.databaseFile, 'r+');
  for (let at = 4096 * 3; at < statSync(core.databaseFile).size; at += 4096) writeSync(file, Buffer.alloc(64, 0xff), 0, 64, at);
  closeSync(file);
  const { promise: told, resolve: tell } = Promise.withResolvers<Event>();
  let jobs: unknown = null;
  core.watch(0, {
    snapshot: (snapshot) => {
      ({ jobs } = snapshot);
    },
    events: (batch) => {
      const self = batch.find((event) => event.type === 'self');
      if (self) tell(self);
    },
  });
  assert.deepEqual(jobs, []);
  assert.equal((await core.ask({ route: 'OS.jobs' })).error!.code, 'store_unavailable');
  assert.equal((await told).type, 'self');
});

test('A13: a thousand at once leave one gapless chain that verifies', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909', 'limits: off\n'));
  const crossings = await Promise.all(Array.from({ length: 1000 }, (_, i) => core.ask({ route: 'OS.echo', params: { text: String(i) } })));
  const report = (await operate(core, 'OS.audit.verify')) as { ok: boolean; rows: number; firstSeq: number; lastSeq: number };
  assert.equal(crossings.filter((crossing) => crossing.ok).length, 1000);
  assert.equal(new Set(crossings.map((crossing) => crossing.audit!.seq)).size, 1000);
  assert.deepEqual([report.ok, report.rows >= 2000, report.lastSeq - report.firstSeq + 1], [true, true, report.rows]);
});

test('A11: secrets of a call are in no file', async () => {
  await using service = await startService((_, response) => {
    response.statusCode = 500;
    response.end('denied for Bearer sk-live-CANARY5');
  });
  using home = tempFolder();
  {
    await using core = await openCore(registryOf(service.url), { home: home.path });
    await core.ask({
      route: 'FND.salesforce',
      text: 'use password=CANARY1secret',
      params: { password: 'CANARY2', deep: { api_key: 'CANARY3' }, url: 'https://me:CANARY4@x.test/' },
    });
  }
  const kept = ['dispatcher.sqlite', 'dispatcher.sqlite-wal', 'checkpoints.jsonl'].map((name) => {
    try {
      return readFileSync(join(home.path, name), 'latin1');
    } catch {
      return '';
    }
  });
  const found = [1, 2, 3, 4, 5].filter((n) => kept.some((text) => text.includes(`CANARY${n}`)));
  assert.deepEqual(found, []);
});

test('mock mode calls nobody and answers what it was told to', async () => {
  const url = 'http://127.0.0.1:9909';
  await using core = await openCore(registryOf(url), { mock: { responses: { [`${url}/v1/salesforce`]: { synced: 100 } } } });
  const crossing = await core.ask({ text: 'sync salesforce contacts' });
  assert.deepEqual([crossing.ok, crossing.mock, crossing.result], [true, true, { synced: 100 }]);
});

test('tokens do what they may, are kept as digests, and are worthless once revoked', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909'));
  const made = (await operate(core, 'OS.tokens.create', { name: 'n8n', capabilities: ['read'] })) as {
    token: { id: string };
    secret: string;
  };
  const principal = core.authenticate(made.secret)!;
  assert.deepEqual([principal.name, (await core.ask({ route: 'OS.echo' }, { principal })).error!.code], ['n8n', 'forbidden']);
  assert.equal(core.authenticate('dsp_wrong'), null);
  await operate(core, 'OS.tokens.revoke', { id: made.token.id });
  assert.equal(core.authenticate(made.secret), null);
  assert.equal(readFileSync(core.databaseFile).includes(made.secret), false);
});

test('what was running when the process died is unknown after it, and said so', async () => {
  using home = tempFolder();
  const { spawn } = await import('node:child_process');
  const script = join(home.path, 'run.ts');
  const here = new URL('./core.ts', import.meta.url).href;
  await using service = await startService(() => {});
  writeFileSync(join(home.path, 'template.yaml'), registryOf(service.url));
  writeFileSync(
    script,
    `const { createCore } = await import(${JSON.stringify(here)});
     const { readFileSync } = await import('node:fs');
     const core = await createCore({ home: ${JSON.stringify(home.path)}, version: 't', template: readFileSync(${JSON.stringify(join(home.path, 'template.yaml'))}, 'utf8') });
     core.dispatch({ route: 'FND.salesforce', door: 'library', principal: core.owner.principal }, undefined, ({ job }) => console.log(job));`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  child.kill('SIGKILL');
  await once(child, 'exit');
  const id = line.toString().trim();
  await using core = await openCore(registryOf(service.url), { home: home.path });
  const job = (await operate(core, 'OS.jobs.get', { id })) as { state: string; errorCode: string };
  assert.deepEqual([job.state, job.errorCode], ['unknown', 'unknown_outcome']);
  assert.equal(((await operate(core, 'OS.audit.verify')) as { ok: boolean }).ok, true);
});

test('two cores never share a home', async () => {
  await using core = await openCore(registryOf('http://127.0.0.1:9909'));
  await assert.rejects(
    openCore(registryOf('http://127.0.0.1:9909'), { home: core.home }),
    (caught: Refusal) => caught.wire.code === 'store_unavailable',
  );
});

test('a registry made for other machines still starts: names that do not resolve are looked up when they are called', async () => {
  await using core = await openCore(registryOf('http://no-such-host.invalid:8091'));
  const crossing = await core.ask({ route: 'FND.salesforce', deadlineMs: 4000 });
  assert.equal(crossing.ok, false);
  assert.ok(['egress_refused', 'upstream_name_unknown', 'upstream_timeout'].includes(crossing.error!.code), crossing.error!.code);
});
