/** The window and every rule that locks it down. The electron module comes in as a value, so that all of it runs in a test. */
import type * as ElectronModule from 'electron';
import { loadAssets } from './adapters/assets.ts';

export type Electron = typeof ElectronModule;
type Session = ElectronModule.Session;

export const origin = 'app://dispatcher';

/** What a page of ours may ask of the system; everything else is refused. Copying text is all it needs. */
const permitted = new Set(['clipboard-sanitized-write']);

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; frame-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** Rules that hold before the app is ready and for every page that ever comes to be. Call before `whenReady`. */
export function lockApp(electron: Electron): void {
  const { app, protocol } = electron;
  protocol.registerSchemesAsPrivileged([{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } }]);
  app.enableSandbox();
  // Nothing here plays media, spell-checks, predicts or preconnects; each of these can open connections by itself.
  app.commandLine.appendSwitch('disable-features', 'MediaRouter,OptimizationHints,NetworkPrediction,Translate,AutofillServerCommunication');
  app.commandLine.appendSwitch('disable-background-networking');
  app.commandLine.appendSwitch('force-webrtc-ip-handling-policy', 'disable_non_proxied_udp');
  app.on('web-contents-created', (_event, contents) => {
    contents.on('will-attach-webview', (event) => event.preventDefault());
    contents.on('will-frame-navigate', (event) => event.preventDefault());
    contents.on('will-navigate', (event) => event.preventDefault());
    contents.on('will-redirect', (event) => event.preventDefault());
    contents.setWindowOpenHandler(({ url }) => {
      void openExternal(electron, url);
      return { action: 'deny' };
    });
  });
}

/** Rules of the session: permissions, devices, downloads, and no network but what serves the renderer. */
export function lockSession(session: Session, rendererFolder: string): void {
  const ours = (requesting: string) => requesting === origin || requesting.startsWith(`${origin}/`);
  session.setPermissionRequestHandler((_contents, permission, callback, details) =>
    callback(permitted.has(permission) && ours(details.requestingUrl)),
  );
  session.setPermissionCheckHandler((_contents, permission, requesting) => permitted.has(permission) && ours(requesting));
  session.setDevicePermissionHandler(() => false);
  session.setBluetoothPairingHandler((_details, callback) => callback({ confirmed: false }));
  session.setDisplayMediaRequestHandler((_request, callback) => callback({}));
  session.setSpellCheckerEnabled(false);
  // What the page itself has made, such as the export of the audit log, may be saved; nothing is fetched for it.
  session.on('will-download', (event, item) => {
    if (!item.getURL().startsWith(`blob:${origin}/`)) event.preventDefault();
  });
  session.webRequest.onBeforeRequest(({ url }, callback) =>
    callback({ cancel: !/^(app:\/\/dispatcher\/|data:|blob:|devtools:)/.test(url) }),
  );

  const assets = loadAssets(rendererFolder);
  session.protocol.handle('app', ({ url, method }) => {
    const { hostname, pathname } = new URL(url);
    const asset = hostname === 'dispatcher' && method === 'GET' ? assets.get(pathname) : undefined;
    const headers = {
      'Content-Security-Policy': policy,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cache-Control': 'no-store',
    };
    if (!asset) return new Response('Nothing there.', { status: 404, headers: { ...headers, 'Content-Type': 'text/plain' } });
    return new Response(new Uint8Array(asset.body), { headers: { ...headers, 'Content-Type': asset.type } });
  });
}

/** The one window, not shown before it has something to show. */
export function createWindow(electron: Electron, { preload, icon }: { preload: string; icon: string }): ElectronModule.BrowserWindow {
  const window = new electron.BrowserWindow({
    width: 1280,
    height: 860,
    minWidth: 1024,
    minHeight: 640,
    show: false,
    title: 'Dispatcher',
    icon,
    backgroundColor: electron.nativeTheme.shouldUseDarkColors ? '#111113' : '#fcfcfd',
    autoHideMenuBar: true,
    webPreferences: {
      preload,
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      nodeIntegrationInWorker: false,
      nodeIntegrationInSubFrames: false,
      webSecurity: true,
      allowRunningInsecureContent: false,
      experimentalFeatures: false,
      webviewTag: false,
      navigateOnDragDrop: false,
      spellcheck: false,
      safeDialogs: true,
      enableWebSQL: false,
      devTools: !electron.app.isPackaged,
    },
  });
  window.once('ready-to-show', () => window.show());
  void window.loadURL(`${origin}/`);
  return window;
}

/**
 * Opens a link in the system's browser, after the person has seen the address and agreed. Only http and https without credentials;
 * everything else (file, smb, javascript, other programs' schemes) is refused. True when it was opened.
 */
export async function openExternal({ dialog, shell }: Electron, link: string): Promise<boolean> {
  let url: URL;
  try {
    url = new URL(link);
  } catch {
    return false;
  }
  if ((url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '' || url.password !== '') return false;
  const { response } = await dialog.showMessageBox({
    type: 'question',
    message: `Open ${url.host} in your browser?`,
    detail: url.href.slice(0, 2000),
    buttons: ['Open', 'Cancel'],
    defaultId: 1,
    cancelId: 1,
    noLink: true,
  });
  if (response !== 0) return false;
  await shell.openExternal(url.href);
  return true;
}
