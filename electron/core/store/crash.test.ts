/** What a crash, a full disk and a disk that cannot be written leave behind. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { createScratch } from './scratch.ts';

const storeModule = JSON.stringify(new URL('./store.ts', import.meta.url).href);
const verifyModule = JSON.stringify(new URL('../audit/verify.ts', import.meta.url).href);
const scratchModule = JSON.stringify(new URL('./scratch.ts', import.meta.url).href);

test('J06: every acknowledged row is there after kill -9 at any moment, and the chain verifies', async (t) => {
  const { folder, file, checkpointFile, key, open, raw } = createScratch(t);
  const keyFile = join(folder, 'key.pem');
  writeFileSync(keyFile, key.export({ type: 'pkcs8', format: 'pem' }));
  const program = join(folder, 'writer.mjs');
  writeFileSync(
    program,
    `import { createPrivateKey } from 'node:crypto';
     import { readFileSync, writeSync } from 'node:fs';
     import { openStore } from ${storeModule};
     import { anIntent, anOutcome } from ${scratchModule};
     const [file, checkpointFile, keyFile, round] = process.argv.slice(2);
     const store = await openStore({ file, checkpointFile, key: createPrivateKey(readFileSync(keyFile)), checkpointRows: 50 });
     // Synchronous, so that nothing is said that was not yet so; a pipe that is full for a moment says EAGAIN.
     const say = ({ seq, hash }) => {
       for (;;)
         try {
           return writeSync(1, \`\${seq} \${hash}\\n\`);
         } catch (caught) {
           if (caught.code !== 'EAGAIN') throw caught;
         }
     };
     let n = 0;
     const write = async () => {
       for (;;) {
         const job = \`\${round}_\${n++}\`;
         say(await store.begin(anIntent(job)));
         say(await store.finish(anOutcome(job)));
       }
     };
     await Promise.all(Array.from({ length: 16 }, write));`,
  );
  const acknowledged = new Map<number, string>();
  let left = 0;
  for (const [round, rows] of [1, 37, 400, 1500].entries()) {
    const child = spawn(process.execPath, [program, file, checkpointFile, keyFile, String(round)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let seen = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      const [seq, hash] = line.split(' ');
      if (hash?.length === 64) acknowledged.set(Number(seq), hash);
      if (++seen === rows) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    const store = await open();
    const report = await store.verify();
    const { crashed, jobs } = store.found;
    assert.deepEqual([report.fault, crashed, store.read.counts().running], [null, true, jobs.length]);
    assert.deepEqual(new Set(jobs.map((job) => job.crashes)), new Set(jobs.length > 0 ? [1] : []));
    await store.settleFound(
      jobs.map(({ id }) => ({ id, as: 'unknown' })),
      1_700_000_100_000,
    );
    assert.deepEqual([(await store.verify()).fault, store.read.counts().running], [null, 0]);
    left += jobs.length;
    await store[Symbol.asyncDispose]();
    raw((db) => {
      const hashOf = db.prepare('SELECT hash FROM audit WHERE seq = ?').pluck();
      for (const [seq, hash] of acknowledged) assert.equal(hashOf.get(seq), hash, `row ${seq}`);
      assert.equal(db.pragma('integrity_check', { simple: true }), 'ok');
    });
  }
  assert.ok(acknowledged.size >= 1938);
  assert.ok(left > 0);
});

test('J04, J11: jobs of a killed core are found with what is needed to run them, and each crash is counted once', async (t) => {
  const { folder, file, checkpointFile, key, open, raw } = createScratch(t);
  const keyFile = join(folder, 'key.pem');
  writeFileSync(keyFile, key.export({ type: 'pkcs8', format: 'pem' }));
  const program = join(folder, 'jobs.mjs');
  writeFileSync(
    program,
    `import { createPrivateKey } from 'node:crypto';
     import { readFileSync } from 'node:fs';
     import { openStore } from ${storeModule};
     import { anIntent, anOutcome } from ${scratchModule};
     const [file, checkpointFile, keyFile, round] = process.argv.slice(2);
     const store = await openStore({ file, checkpointFile, key: createPrivateKey(readFileSync(keyFile)) });
     const at = Date.now();
     let n = 0;
     const live = async () => {
       for (;;) {
         const id = \`r\${round}_\${n++}\`;
         const key = { key: id, content: false, bodyHash: 'h', asked: '{}' };
         const more = { state: 'queued', waits: null, lane: 'l', subject: null, call: 'call of ' + id, key, callbackUrl: null };
         await store.begin(anIntent(id, { at, jobRow: { text: id, params: null, confidence: 1, why: 'named', more } }));
         console.log('queued ' + id);
         await store.start(id, at, 1);
         console.log('running ' + id);
         if (n % 3 === 0) await store.wait(id, { at, state: 'waiting', waits: null, attempts: [], why: 'waiting', detail: 'again' });
         if (n % 5 !== 0) await store.finish(anOutcome(id));
       }
     };
     if (round === 'idle') console.log('open');
     else await Promise.all(Array.from({ length: 16 }, live));
     setInterval(() => {}, 1000);`,
  );
  const killed = async (round: string, lines: number): Promise<string[]> => {
    const child = spawn(process.execPath, [program, file, checkpointFile, keyFile, round], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) if (said.push(line) === lines) child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return said;
  };
  for (const [round, lines] of [
    ['a', 3],
    ['b', 90],
    ['c', 700],
  ] as const) {
    const said = await killed(round, lines);
    const store = await open();
    const { crashed, jobs } = store.found;
    assert.equal(crashed, true);
    const mine = jobs.filter(({ id }) => id.startsWith(`r${round}`));
    assert.deepEqual(
      mine.map(({ id, call, crashes, state }) => [id, call, crashes, state === 'running']),
      mine.map(({ id, state }) => [id, `call of ${id}`, state === 'running' ? 1 : 0, state === 'running']),
    );
    // Job, key and intent came together, or not at all.
    for (const line of said) {
      const [state, id] = line.split(' ');
      const job = state === undefined || id === undefined ? null : store.read.job(id);
      assert.ok(job && job.key?.key === id && (state === 'queued' || job.starts === 1), line);
    }
    raw((db) => {
      const lost =
        "SELECT (SELECT count(*) FROM job) - (SELECT count(*) FROM job_key), (SELECT count(*) FROM job) - (SELECT count(*) FROM audit WHERE kind = 'intent')";
      assert.deepEqual(db.prepare(lost).raw().get(), [0, 0]);
    });
    assert.deepEqual((await store.verify()).fault, null);
    await store[Symbol.asyncDispose]();
  }
  const crashes = async () => {
    const store = await open();
    const { crashed, jobs } = store.found;
    await store[Symbol.asyncDispose]();
    return { crashed, most: Math.max(...jobs.map((job) => job.crashes)), running: jobs.filter(({ state }) => state === 'running').length };
  };
  const before = await crashes();
  assert.deepEqual([before.crashed, before.running > 0], [false, true]);
  await killed('idle', 1);
  assert.deepEqual(await crashes(), { ...before, crashed: true, most: before.most + 1 });
  assert.deepEqual(await crashes(), { ...before, crashed: false, most: before.most + 1 });
});

/** Runs a program as root of a namespace of its own where `disk` is a file system of 3 MB; null where there are no namespaces. */
function onSmallDisk(folder: string, body: string): { out: string; error: string; status: number | null } {
  const disk = join(folder, 'disk');
  const program = join(folder, 'program.mjs');
  writeFileSync(
    program,
    `import { generateKeyPairSync } from 'node:crypto';
     import { execFileSync } from 'node:child_process';
     import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
     import { openStore } from ${storeModule};
     import { verifyDatabase } from ${verifyModule};
     import { anEntry, anIntent } from ${scratchModule};
     const disk = ${JSON.stringify(disk)};
     mkdirSync(disk);
     execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', disk]);
     const { privateKey: key } = generateKeyPairSync('ed25519');
     const options = { file: disk + '/d.sqlite', checkpointFile: disk + '/c.jsonl', key };
     const said = [];
     const codeOf = (caught) => caught.wire ? caught.wire.code + ': ' + caught.wire.message.replace(/ \\(.*/, '') : String(caught.stack);
     ${body}
     console.log(JSON.stringify(said));`,
  );
  const { stdout, stderr, status } = spawnSync('unshare', ['-rm', process.execPath, program], { encoding: 'utf8', timeout: 60_000 });
  return { out: stdout, error: stderr, status };
}

const namespaces = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs none /mnt'], { encoding: 'utf8' });
const skip = namespaces.status === 0 ? false : `no mount namespace here: ${(namespaces.stderr ?? String(namespaces.error)).trim()}`;

test('X02: on a full disk the row is refused, and the next one is written when there is room again', { skip }, (t) => {
  const { folder } = createScratch(t);
  const { out, error } = onSmallDisk(
    folder,
    `const store = await openStore(options);
     await store.append(anEntry(1));
     writeFileSync(disk + '/ballast', Buffer.alloc(1_500_000));
     const detail = JSON.stringify({ pad: 'x'.repeat(7000) });
     let kept = 1;
     try { for (;;) { await store.append(anEntry(kept + 1, { detail })); kept++; } } catch (caught) { said.push(codeOf(caught)); }
     const job = await store.begin(anIntent('j1', { detail })).then(() => 'written', codeOf);
     said.push(job, store.read.counts().audit === kept, store.read.counts().jobs);
     rmSync(disk + '/ballast');
     said.push((await store.append(anEntry(0))).seq === kept + 1, (await store.verify()).ok);
     await store[Symbol.asyncDispose]();
     said.push(verifyDatabase(options.file, { checkpointFile: options.checkpointFile }).ok);`,
  );
  const full = 'store_unavailable: The database cannot grow: the disk is full';
  assert.deepEqual(JSON.parse(out || 'null'), [full, full, true, 0, true, true, true], error);
});

test('X02: on a disk without a free byte the store is refused, and opens when there is room', { skip }, (t) => {
  const { folder } = createScratch(t);
  const { out, error } = onSmallDisk(
    folder,
    `const fill = () => { try { for (let i = 0; ; i++) appendFileSync(disk + '/ballast', Buffer.alloc(i < 2 ? 1_000_000 : 512)); } catch {} };
     const { appendFileSync } = await import('node:fs');
     fill();
     said.push(await openStore(options).then(() => 'opened', codeOf));
     rmSync(disk + '/ballast');
     const store = await openStore(options);
     await store.append(anEntry(1));
     await store[Symbol.asyncDispose]();
     fill();
     said.push(await openStore(options).then(async (full) => {
       const result = await full.append(anEntry(2, { detail: '{"pad":"' + 'x'.repeat(7000) + '"}' })).then(() => 'written', codeOf);
       await full[Symbol.asyncDispose]();
       return result;
     }, codeOf));
     rmSync(disk + '/ballast');
     const again = await openStore(options);
     said.push((await again.append(anEntry(3))).seq, (await again.verify()).ok);
     await again[Symbol.asyncDispose]();`,
  );
  const full = 'store_unavailable: The database cannot grow: the disk is full';
  assert.deepEqual(JSON.parse(out || 'null'), [full, full, 2, true], error);
});

test('A08, A17: on read-only media the store is refused and the verifier reads', { skip }, (t) => {
  const { folder } = createScratch(t);
  const { out, error } = onSmallDisk(
    folder,
    `const remount = (mode) => execFileSync('mount', ['-o', 'remount,' + mode, disk]);
     const store = await openStore(options);
     for (let i = 1; i <= 20; i++) await store.append(anEntry(i));
     const { cpSync } = await import('node:fs');
     mkdirSync(disk + '/live');
     for (const name of ['d.sqlite', 'd.sqlite-wal']) cpSync(disk + '/' + name, disk + '/live/' + name);
     await store[Symbol.asyncDispose]();
     remount('ro');
     const before = readdirSync(disk).join();
     said.push(await openStore(options).then(() => 'opened', codeOf));
     const { ok, rows, checkpoints } = verifyDatabase(options.file, { checkpointFile: options.checkpointFile });
     said.push([ok, rows, checkpoints], readdirSync(disk).join() === before);
     const live = verifyDatabase(disk + '/live/d.sqlite', { checkpointFile: options.checkpointFile });
     said.push([live.ok, live.rows]);`,
  );
  assert.deepEqual(JSON.parse(out || 'null'), ['store_unavailable: The database is read-only', [true, 20, 1], true, [true, 20]], error);
});

test('a line that a crash cut off is dropped from the checkpoints, and they go on behind it', async (t) => {
  const { checkpointFile, open } = createScratch(t);
  const first = await open();
  await first.append({ at: 1, kind: 'change', caller: 'a', door: 'core', route: null, outcome: 'x', detail: '{}' });
  await first[Symbol.asyncDispose]();
  const whole = readFileSync(checkpointFile, 'utf8');
  writeFileSync(checkpointFile, whole + whole.slice(0, 40));
  const store = await open();
  await store.append({ at: 2, kind: 'change', caller: 'a', door: 'core', route: null, outcome: 'x', detail: '{}' });
  await store[Symbol.asyncDispose]();
  const lines = readFileSync(checkpointFile, 'utf8').trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { seq: number }).seq),
    [1, 2],
  );
});
