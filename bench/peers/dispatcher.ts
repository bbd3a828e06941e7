/** Dispatcher itself: the core and its HTTP door as `dispatcher serve` composes them. Second argument: the audit, `on` or `off`. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
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

const subjects = ['salesforce', 'stripe', 'archive', 'report', 'deploy', 'digest', 'calendar', 'tickets', 'storage', 'models'];
const service = (name: string) => `
      ${name}:
        endpoint: ${upstream}/v1/${name}
        egress: local
        examples:
          - sync the ${name} now
          - show me the ${name} of today
          - start the ${name} for the team
          - what is new in ${name}
          - update ${name} and tell me`;
const registry = `orgs:
  FND:
    name: Bench
    default_service: salesforce
    services:${subjects.map(service).join('')}
rules:
  - { pattern: salesforce, org: FND, service: salesforce, priority: 100 }
  - { pattern: stripe, org: FND, service: stripe, priority: 100 }
fallback_org: FND
limits:
  calls: { per_second: 1000000, burst: 1000000 }
`;
writeFileSync(join(home, 'registry.yaml'), registry);

const core = await createCore({ home, template: registry, audit: process.argv[3] !== 'off', version: 'bench' });
const door = await createHttpDoor(core, { port: 0 });
process.send?.({ port: door.port, headers: { authorization: `Bearer ${core.owner.secret}` } });
