/** A recording stand-in for the electron module: what main and window code calls is kept, what the real one would emit is emitted by hand. */
import { EventEmitter } from 'node:events';
import type { DownFrame, UpFrame } from '../shared/contract.ts';
import type { Port } from '../shared/port.ts';
import { type Electron, origin } from './window.ts';

// The real handlers are typed by electron.d.ts where they are set; here they are only kept and called.
// biome-ignore lint/suspicious/noExplicitAny: see above.
type Handler = (...given: any[]) => any;

export class FakeFrame {
  detached = false;
  parent: FakeFrame | null = null;
  processId = 7;
  routingId = 1;
  origin: string;
  constructor(from = origin) {
    this.origin = from;
  }
}

let contentsCount = 0;

export class FakeContents extends EventEmitter {
  id = ++contentsCount;
  mainFrame = new FakeFrame();
  sent: { channel: string; frame: unknown }[] = [];
  toPage = new EventEmitter();
  destroyed = false;
  url = '';
  openHandler: Handler = () => ({ action: 'allow' });
  setWindowOpenHandler(handler: Handler): void {
    this.openHandler = handler;
  }
  isDestroyed(): boolean {
    return this.destroyed;
  }
  getURL(): string {
    return this.url;
  }
  send(channel: string, frame?: unknown): void {
    const copy = structuredClone(frame);
    this.sent.push({ channel, frame: copy });
    setImmediate(() => this.toPage.emit(channel, copy));
  }
}

export interface StandIn {
  electron: Electron;
  app: EventEmitter & {
    switches: Record<string, string | undefined>;
    sandboxed: boolean;
    exited: number | null;
    paths: Record<string, string>;
    lock: boolean;
    quit(): void;
  };
  ipcMain: EventEmitter;
  session: EventEmitter & { handlers: Record<string, Handler> };
  windows: {
    options: Electron.BrowserWindowConstructorOptions;
    webContents: FakeContents;
    shown: number;
    focused: boolean;
    loaded: string[];
  }[];
  opened: string[];
  errors: string[];
  asked: { message: string; detail: string }[];
  /** Button that the person presses in the next question; 1 is Cancel. */
  press: { button: number };
  schemes: { scheme: string; privileges: Record<string, boolean> }[];
  shortcuts: Map<string, () => void>;
  notifications: { title: string; body: string }[];
}

export function createStandIn(): StandIn {
  const app = Object.assign(new EventEmitter(), {
    switches: {} as Record<string, string | undefined>,
    sandboxed: false,
    exited: null as number | null,
    paths: {} as Record<string, string>,
    lock: true,
    isPackaged: true,
    enableSandbox() {
      app.sandboxed = true;
    },
    commandLine: {
      appendSwitch(name: string, value?: string) {
        app.switches[name] = value;
      },
    },
    setPath(name: string, path: string) {
      app.paths[name] = path;
    },
    requestSingleInstanceLock: () => app.lock,
    whenReady: async () => {},
    exit(code: number) {
      app.exited ??= code;
      app.emit('exited');
    },
    quit() {
      const event = stoppable();
      app.emit('will-quit', event);
      if (!event.prevented) app.exit(0);
    },
  });
  const handlers: Record<string, Handler> = {};
  const keep = (name: string) => (handler: Handler) => {
    handlers[name] = handler;
  };
  const session = Object.assign(new EventEmitter(), {
    handlers,
    ...Object.fromEntries(
      [
        'setPermissionRequestHandler',
        'setPermissionCheckHandler',
        'setDevicePermissionHandler',
        'setBluetoothPairingHandler',
        'setDisplayMediaRequestHandler',
        'setSpellCheckerEnabled',
      ].map((name) => [name, keep(name)]),
    ),
    webRequest: { onBeforeRequest: keep('onBeforeRequest') },
    protocol: { handle: (scheme: string, handler: Handler) => keep(`${scheme}:`)(handler) },
  });
  const ipcMain = new EventEmitter();
  const standIn: Omit<StandIn, 'electron'> = {
    app,
    ipcMain,
    session,
    windows: [],
    opened: [],
    errors: [],
    asked: [],
    press: { button: 1 },
    schemes: [],
    shortcuts: new Map(),
    notifications: [],
  };

  class BrowserWindow extends EventEmitter {
    webContents = new FakeContents();
    options: unknown;
    shown = 0;
    focused = false;
    loaded: string[] = [];
    constructor(options: unknown) {
      super();
      this.options = options;
      standIn.windows.push(this as never);
      app.emit('web-contents-created', {}, this.webContents);
    }
    async loadURL(url: string) {
      this.loaded.push(url);
      this.webContents.url = url;
    }
    show() {
      this.shown++;
    }
    focus() {
      this.focused = true;
    }
    isFocused() {
      return this.focused;
    }
    isMinimized() {
      return false;
    }
    isDestroyed() {
      return this.webContents.destroyed;
    }
  }
  class Tray extends EventEmitter {
    setToolTip() {}
    setContextMenu() {}
  }
  class Notification extends EventEmitter {
    static isSupported = () => true;
    about: { title: string; body: string };
    constructor(about: { title: string; body: string }) {
      super();
      this.about = about;
    }
    show() {
      standIn.notifications.push(this.about);
    }
  }
  const electron = {
    app,
    ipcMain,
    BrowserWindow,
    Tray,
    Notification,
    Menu: { buildFromTemplate: (template: unknown) => template },
    nativeImage: { createFromPath: () => ({ resize: () => ({}) }) },
    nativeTheme: { shouldUseDarkColors: false },
    protocol: { registerSchemesAsPrivileged: (schemes: StandIn['schemes']) => void standIn.schemes.push(...schemes) },
    session: { defaultSession: session },
    globalShortcut: {
      register: (key: string, action: () => void) => void standIn.shortcuts.set(key, action),
      unregisterAll: () => standIn.shortcuts.clear(),
    },
    shell: { openExternal: async (url: string) => void standIn.opened.push(url) },
    dialog: {
      showErrorBox: (title: string, content: string) => void standIn.errors.push(`${title}: ${content}`),
      showMessageBox: async (question: { message: string; detail: string }) => {
        standIn.asked.push(question);
        return { response: standIn.press.button };
      },
    },
  } as unknown as Electron;
  return { electron, ...standIn };
}

/** An event that can be prevented, as Electron gives them to listeners. */
export function stoppable(): { prevented: boolean; preventDefault(): void } {
  return {
    prevented: false,
    preventDefault() {
      this.prevented = true;
    },
  };
}

/** What the preload script gives the page of `contents`, over the stand-in. */
export function openPagePort(ipcMain: EventEmitter, contents: FakeContents): Port<UpFrame, DownFrame> {
  const event = () => ({ sender: contents, senderFrame: contents.mainFrame });
  ipcMain.emit('dispatcher:open', event());
  return {
    send: (frame) => void ipcMain.emit('dispatcher:frame', event(), structuredClone(frame)),
    onFrame: (listener) => void contents.toPage.on('dispatcher:frame', listener),
    onClose: (listener) => void contents.toPage.on('dispatcher:close', listener),
    close: () => contents.emit('destroyed'),
  };
}
