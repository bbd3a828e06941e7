/** The table "who may import whom" holds because the linter says so: each forbidden line is tried where it is forbidden. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));

/** What the linter says of each file of a project that has nothing but these files and our configuration. */
function lint(files: readonly (readonly [path: string, text: string, ...rest: unknown[]])[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'boundaries-'));
  try {
    const config = JSON.parse(readFileSync(join(project, 'biome.json'), 'utf8'));
    writeFileSync(join(folder, 'biome.json'), JSON.stringify({ ...config, $schema: undefined, vcs: { enabled: false } }));
    return files.map(([path, text]) => {
      const own = join(folder, path);
      mkdirSync(dirname(own), { recursive: true });
      writeFileSync(own, `${text}\n`);
      const args = ['lint', '--only=noRestrictedImports', '--only=noProcessEnv', own];
      const { stdout, stderr } = spawnSync(join(project, 'node_modules', '.bin', 'biome'), args, { cwd: folder, encoding: 'utf8' });
      rmSync(own);
      return stdout + stderr;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('imports that skip a door are refused with the name of the right one', () => {
  const table: [string, string, RegExp][] = [
    ['shared/x.ts', "import 'node:fs';", /shared\/ knows zod and itself/],
    ['shared/x.ts', "import '../electron/host.ts';", /shared\/ knows zod and itself/],
    ['electron/core/x.ts', "import '../adapters/http.ts';", /core knows no transport/],
    ['electron/core/jobs/x.ts', "import '../../host.ts';", /does not know the composition roots/],
    ['electron/core/x.ts', "import 'electron';", /name electron/],
    ['electron/core/runners/x.ts', "import 'undici';", /Only core\/egress\.ts opens a connection/],
    ['electron/core/x.ts', "import 'better-sqlite3';", /Only core\/store\/ holds SQL/],
    ['electron/core/x.ts', 'console.log(process.env.HOME);', /noProcessEnv/],
    ['electron/adapters/x.ts', "import '../core/dispatch.ts';", /The door of the core is core\/core\.ts/],
    ['electron/adapters/x.ts', "import '../core/store/store.ts';", /The door of the core is core\/core\.ts/],
    ['electron/adapters/x.ts', "import 'electron';", /name electron/],
    ['electron/desktop.ts', "import 'electron';", /name electron/],
    ['renderer/x.tsx', "import '../electron/core/core.ts';", /knows shared\/ only/],
    ['renderer/views/x.tsx', "import 'node:fs';", /knows shared\/ only/],
  ];
  const said = lint(table);
  for (const [i, [path, line, message]] of table.entries()) assert.match(said[i]!, message, `${path}: ${line}`);
});

test('imports through the doors pass', () => {
  const table: [string, string][] = [
    ['shared/x.ts', "import { z } from 'zod';\nimport './errors.ts';\nz;"],
    ['electron/core/x.ts', "import '../../shared/errors.ts';\nimport './store/store.ts';\nimport 'node:crypto';"],
    ['electron/core/egress.ts', "import 'undici';"],
    ['electron/core/store/x.ts', "import 'better-sqlite3';"],
    ['electron/adapters/x.ts', "import '../core/core.ts';\nimport '../../shared/contract.ts';\nimport 'fastify';"],
    ['electron/adapters/ipc.ts', "import 'electron';"],
    ['electron/main.ts', "import 'electron';\nconsole.log(process.env.HOME);"],
    ['renderer/x.tsx', "import 'react';\nimport '../shared/model.ts';"],
  ];
  const said = lint(table);
  for (const [i, [path, text]] of table.entries())
    assert.match(said[i]!, /Checked 1 file.*No fixes applied/s, `${path}: ${text}\n${said[i]}`);
});

test('SQL is written in core/store/ only', () => {
  const sql = /['"`]\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+(TABLE|INDEX|TRIGGER)|PRAGMA)\s/s;
  const files = globSync('{shared,electron,renderer,resources}/**/*.{ts,tsx}', { cwd: project }).filter(
    (file) => !file.startsWith(join('electron', 'core', 'store')) && !/\.test\.ts$|testing\.ts$/.test(file),
  );
  assert.ok(files.length > 50, `${files.length} files read`);
  assert.deepEqual(
    files.filter((file) => sql.test(readFileSync(join(project, file), 'utf8'))),
    [],
  );
});
