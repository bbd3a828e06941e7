/** Electron's composition root: the one file that loads the electron module, environment and arguments handed on. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as electron from 'electron';
import { startDesktop } from './desktop.ts';
import { homeFolder } from './home.ts';
import { projectFolder, rendererFolder } from './host.ts';

const { values } = parseArgs({
  args: process.argv.slice(electron.app.isPackaged ? 1 : 2),
  options: { demo: { type: 'boolean' }, mock: { type: 'boolean' }, port: { type: 'string' } },
  // Chromium's own switches are among the arguments.
  strict: false,
});

// Not awaited: Electron becomes ready only when this module has run to its end.
void startDesktop(electron, {
  home: homeFolder(process.env),
  demo: values.demo === true,
  mock: values.mock === true,
  port: typeof values.port === 'string' && /^\d+$/.test(values.port) ? Number(values.port) : null,
  env: process.env,
  rendererFolder,
  preload: fileURLToPath(new URL('./preload.cjs', import.meta.url)),
  icon: join(projectFolder, 'resources', 'icon.png'),
});
