/** The desktop app: one instance, one core, one window, a tray icon, a key that brings the dispatch bar, and notifications. */
import { join } from 'node:path';
import { catalogue, toWire } from '../shared/errors.ts';
import type { Job } from '../shared/model.ts';
import { createIpcDoor } from './adapters/ipc.ts';
import type { Core } from './core/core.ts';
import { type HostOptions, openHost } from './host.ts';
import { createWindow, type Electron, lockApp, lockSession, origin } from './window.ts';

export interface DesktopOptions extends Omit<HostOptions, 'show'> {
  port: number | null;
  rendererFolder: string;
  preload: string;
  /** PNG of the window and the tray. */
  icon: string;
}

/** Shorter jobs end while somebody looks. */
const notableMs = 3000;
const key = 'CommandOrControl+Shift+Space';

/** Runs the app until it quits. A second instance hands its arguments to the first and ends. */
export async function startDesktop(electron: Electron, options: DesktopOptions): Promise<void> {
  const { app } = electron;
  // The lock is made in this folder, so there is one instance for each home.
  app.setPath('userData', join(options.home, 'window'));
  if (!app.requestSingleInstanceLock()) return app.exit(0);
  lockApp(electron);

  let window: ReturnType<typeof createWindow> | null = null;
  let attach: ReturnType<typeof createIpcDoor>['attach'] = () => {};
  const show = (view?: 'dispatch') => {
    if (!window || window.isDestroyed()) {
      window = createWindow(electron, options);
      attach(window.webContents);
    }
    // A change of the fragment alone moves within the page; the same address again would load it anew.
    if (view && !window.webContents.getURL().endsWith(`#${view}`)) void window.loadURL(`${origin}/#${view}`);
    if (window.isMinimized()) window.restore();
    window.show();
    window.focus();
  };

  await app.whenReady();
  const stack = new AsyncDisposableStack();
  try {
    lockSession(electron.session.defaultSession, options.rendererFolder);
    const host = stack.use(await openHost({ ...options, show }));
    const door = stack.use(createIpcDoor(host.core, { ipcMain: electron.ipcMain, origin }));
    attach = door.attach;
    await host.openDoor(options.port);
    stack.defer(watchJobs(electron, host.core, { quiet: () => window?.isFocused() ?? false, show }));
  } catch (caught) {
    const { code, message, hint } = toWire(caught);
    if (code === 'internal') console.error(caught);
    electron.dialog.showErrorBox('Dispatcher cannot start', hint ? `${message}\n\n${hint}` : message);
    await stack.disposeAsync();
    return app.exit(catalogue[code].exit);
  }

  app.on('second-instance', () => show());
  app.on('activate', () => show());
  app.on('window-all-closed', () => {
    if (process.platform !== 'darwin') app.quit();
  });
  let ended = false;
  app.on('will-quit', (event) => {
    if (ended) return;
    event.preventDefault();
    ended = true;
    electron.globalShortcut.unregisterAll();
    void stack.disposeAsync().finally(() => app.exit(0));
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => app.quit());

  electron.globalShortcut.register(key, () => show('dispatch'));
  const tray = new electron.Tray(electron.nativeImage.createFromPath(options.icon).resize({ width: 18, height: 18 }));
  tray.setToolTip('Dispatcher');
  tray.setContextMenu(
    electron.Menu.buildFromTemplate([
      { label: 'Show', click: () => show() },
      { label: 'Dispatch ...', accelerator: key, click: () => show('dispatch') },
      { type: 'separator' },
      { label: 'Quit', click: () => app.quit() },
    ]),
  );
  tray.on('click', () => show());
  show();
}

/** Notifies of jobs that ended after a while, unless somebody is looking at the window anyway. Returns the way to stop. */
function watchJobs({ Notification }: Electron, core: Core, { quiet, show }: { quiet(): boolean; show(): void }): () => void {
  const tell = (job: Job) => {
    const title = job.state === 'succeeded' ? `${job.route} is done` : `${job.route ?? 'A request'} failed`;
    const notification = new Notification({ title, body: (job.errorMessage ?? job.text ?? job.why).slice(0, 200), silent: true });
    notification.on('click', () => show());
    notification.show();
  };
  return core.watch(0, {
    snapshot: () => {},
    events: (events) => {
      if (quiet() || !Notification.isSupported()) return;
      for (const event of events)
        if (
          event.type === 'job' &&
          event.job.finishedAt !== null &&
          (event.job.state === 'succeeded' || event.job.state === 'failed') &&
          (event.job.durationMs ?? 0) >= notableMs
        )
          tell(event.job);
    },
  });
}
