/** Dispatcher's model door before the one model of the benchmark, as `dispatcher serve` composes it, with durable audit. Second argument: `grant` or `token`. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createHttpDoor } from '../../electron/adapters/http.ts';
import { createCore } from '../../electron/core/core.ts';
import { upstream } from './announce.ts';

// Not the system's temporary folder: that may be memory, and then a durable commit costs nothing.
const cache = process.env.BENCH_FOLDER ?? join(import.meta.dirname, '..', '.cache');
mkdirSync(cache, { recursive: true });
const home = mkdtempSync(join(cache, 'home-'));
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
process.on('SIGTERM', () => process.exit());

const template = `orgs:
  FND: { name: Bench, services: {} }
limits:
  calls: { per_second: 1000000, burst: 1000000 }
providers:
  bench:
    controller: openai
    endpoint: ${upstream}
    egress: local
    capabilities: [text-generation]
    tiers: { one: { model: porter-ngram, vram: 0 } }
`;

const core = await createCore({ home, template, version: 'bench' });
const door = await createHttpDoor(core, { port: 0 });
while (core.cortex.state().models.some(({ phase }) => phase !== 'warm')) await new Promise((resolve) => setTimeout(resolve, 20));
core.setUrl(door.url);
const { ok, result, error } = await core.dispatch({
  route: 'OS.grants.create',
  params: { need: { model: 'porter-ngram' }, task: 'benchmark', ttl_ms: 86_400_000 },
  door: 'library',
  principal: core.owner.principal,
});
if (!ok) throw new Error(error?.message);
const key = process.argv[3] === 'token' ? core.owner.secret : (result as { api_key: string }).api_key;
process.send?.({ port: door.port, headers: { authorization: `Bearer ${key}` } });
