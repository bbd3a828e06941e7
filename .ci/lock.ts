/**
 * Completes package-lock.json. A registry that hides packages of other platforms (a mirror, a proxy) makes npm write a lock without
 * them, which `npm ci` then refuses everywhere. Each missing optional package is entered as its dependant pins it, with the platforms
 * its name tells. And better-sqlite3 ships its binaries and says `gypfile: false`, which npm reads only of packages that are marked as
 * having install scripts; unmarked, `npm ci` runs node-gyp, which needs Python and make. Run it after every `npm install`:
 * `node .ci/lock.ts`; with `--check` it changes nothing and exits with 1 if there was something to enter.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface Entry {
  version?: string;
  optionalDependencies?: Record<string, string>;
  dev?: boolean;
  optional?: boolean;
  hasInstallScript?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
}

const file = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> };
const systems = new Map(Object.entries({ windows: 'win32' }));
for (const os of ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32', 'aix'])
  systems.set(os, os);
const processors = new Map(Object.entries({ '64': 'x64', 'arm-gnueabihf': 'arm', armv7: 'arm', ppc64le: 'ppc64' }));
for (const cpu of ['arm', 'arm64', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64', 'wasm32']) processors.set(cpu, cpu);

/** Where Node would look for `name` from the package at `path`, nearest first. */
function places(path: string, name: string): string[] {
  const found: string[] = [];
  for (let at = path; ; at = at.slice(0, at.lastIndexOf('/node_modules/'))) {
    found.push(`${at}/node_modules/${name}`);
    if (!at.includes('/node_modules/')) break;
  }
  return [...found, `node_modules/${name}`];
}

const added: string[] = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (places(path, name).some((place) => place in lock.packages)) continue;
    if (!/^\d+\.\d+\.\d+/.test(version)) throw new Error(`${path} wants ${name} ${version}: not one version, so nothing can be entered`);
    const words = name.split(/[-/]/);
    const os = words.map((word) => systems.get(word)).find(Boolean);
    const cpu = words.map((word) => processors.get(word)).find(Boolean);
    if (!os && !cpu) throw new Error(`${name}: no platform in its name, so it is missing for another reason`);
    const libc = os !== 'linux' ? null : words.some((word) => word.startsWith('musl')) ? 'musl' : words.includes('gnu') ? 'glibc' : null;
    lock.packages[`node_modules/${name}`] = {
      version,
      ...(cpu && { cpu: [cpu] }),
      ...(entry.dev && { dev: true }),
      ...(libc && { libc: [libc] }),
      optional: true,
      ...(os && { os: [os] }),
    };
    added.push(`${name}@${version}`);
  }
}
const sqlite = lock.packages['node_modules/better-sqlite3'];
if (sqlite && !sqlite.hasInstallScript) {
  sqlite.hasInstallScript = true;
  added.push('the mark of better-sqlite3');
}
const check = process.argv.includes('--check');
if (added.length > 0 && !check) {
  const root = lock.packages['']!;
  delete lock.packages[''];
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'));
  lock.packages = { '': root, ...Object.fromEntries(sorted) };
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
console.log(added.length === 0 ? 'package-lock.json is complete' : `${check ? 'missing' : 'entered'} ${added.length}: ${added.join(', ')}`);
if (check && added.length > 0) process.exitCode = 1;
