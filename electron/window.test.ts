import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createStandIn, FakeContents, stoppable } from './testing.ts';
import { createWindow, lockApp, lockSession, openExternal, origin } from './window.ts';

const folder = mkdtempSync(join(tmpdir(), 'window-'));
after(() => rmSync(folder, { recursive: true, force: true }));
mkdirSync(join(folder, 'assets'));
writeFileSync(join(folder, 'index.html'), '<p>hello');
writeFileSync(join(folder, 'assets', 'main-12345678.js'), 'export {}');

/** Every permission that electron.d.ts knows, read from the declarations themselves. */
function everyPermission(): string[] {
  const text = readFileSync(new URL('../node_modules/electron/electron.d.ts', import.meta.url), 'utf8');
  const names = text.match(/setPermissionCheckHandler\(handler: \(\(webContents[^,]*, permission: ([^,]*), requestingOrigin/)?.[1];
  return [...(names ?? '').matchAll(/'([^']+)'/g)].map((match) => match[1]!);
}

test('E01: the window is sandboxed, isolated and without Node, and the app enables the sandbox for all', () => {
  const { electron, app, windows, schemes } = createStandIn();
  lockApp(electron);
  createWindow(electron, { preload: '/preload.cjs', icon: '/icon.png' });
  assert.equal(app.sandboxed, true);
  assert.deepEqual(schemes, [{ scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } }]);
  assert.deepEqual(windows[0]!.options.webPreferences, {
    preload: '/preload.cjs',
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
    devTools: false,
  });
  assert.deepEqual(windows[0]!.loaded, ['app://dispatcher/']);
});

test('E04: no page navigates, redirects, opens a window, attaches a webview or downloads', async () => {
  const { electron, app, session, asked, opened } = createStandIn();
  lockApp(electron);
  lockSession(electron.session.defaultSession, folder);
  const contents = new FakeContents();
  app.emit('web-contents-created', {}, contents);
  for (const name of ['will-navigate', 'will-frame-navigate', 'will-redirect', 'will-attach-webview']) {
    const event = stoppable();
    contents.emit(name, event);
    assert.equal(event.prevented, true, name);
  }
  assert.deepEqual(contents.openHandler({ url: 'file:///etc/passwd' }), { action: 'deny' });
  assert.deepEqual(contents.openHandler({ url: 'https://example.org/' }), { action: 'deny' });
  await new Promise(setImmediate);
  assert.deepEqual([asked.length, opened], [1, []]);
  for (const [url, prevented] of [
    ['https://example.com/file.zip', true],
    ['blob:https://example.com/1b2c', true],
    ['data:text/plain,x', true],
    [`blob:${origin}/0e8f`, false],
  ] as const) {
    const download = stoppable();
    session.emit('will-download', download, { getURL: () => url });
    assert.equal(download.prevented, prevented, url);
  }
});

test('E06: every permission of electron.d.ts is refused, by request and by check, but copying text from our own page', () => {
  const { electron, session } = createStandIn();
  lockSession(electron.session.defaultSession, folder);
  const { setPermissionRequestHandler: request, setPermissionCheckHandler: check } = session.handlers;
  const names = everyPermission();
  assert.ok(names.length > 30 && names.includes('geolocation'), `${names.length} names read`);
  const granted: string[] = [];
  for (const name of names)
    for (const from of [`${origin}/`, 'https://evil.test/', 'app://other/', `${origin}.evil.test/`]) {
      request!(null, name, (yes: boolean) => yes && granted.push(`request ${name} ${from}`), { requestingUrl: from });
      if (check!(null, name, from.replace(/\/$/, ''))) granted.push(`check ${name} ${from}`);
    }
  assert.deepEqual(granted, ['request clipboard-sanitized-write app://dispatcher/', 'check clipboard-sanitized-write app://dispatcher/']);
  assert.equal(session.handlers.setDevicePermissionHandler!({}), false);
  const answers: unknown[] = [];
  session.handlers.setDisplayMediaRequestHandler!({}, (answer: unknown) => answers.push(answer));
  session.handlers.setBluetoothPairingHandler!({}, (answer: unknown) => answers.push(answer));
  assert.deepEqual(answers, [{}, { confirmed: false }]);
});

test('the session loads the renderer and nothing else', async () => {
  const { electron, session } = createStandIn();
  lockSession(electron.session.defaultSession, folder);
  const cancelled = (url: string) => {
    let answer = false;
    session.handlers.onBeforeRequest!({ url }, ({ cancel }: { cancel: boolean }) => {
      answer = cancel;
    });
    return answer;
  };
  for (const url of ['http://evil.test/', 'https://fonts.test/a', 'ws://127.0.0.1:8000/ws', 'file:///etc/passwd', 'app://dispatcher.evil/'])
    assert.equal(cancelled(url), true, url);
  assert.equal(cancelled('app://dispatcher/assets/main-12345678.js'), false);

  const get = (url: string, method = 'GET'): Promise<Response> => Promise.resolve(session.handlers['app:']!({ url, method }));
  const page = await get('app://dispatcher/');
  assert.equal(await page.text(), '<p>hello');
  const csp = page.headers.get('content-security-policy') ?? '';
  assert.match(csp, /default-src 'none'; script-src 'self'; style-src 'self'/);
  assert.doesNotMatch(csp, /unsafe|http|\*/);
  assert.equal((await get('app://dispatcher/assets/main-12345678.js')).headers.get('content-type'), 'text/javascript; charset=utf-8');
  for (const url of [
    'app://dispatcher/../package.json',
    'app://dispatcher/%2e%2e/package.json',
    'app://other/',
    'app://dispatcher/nowhere',
  ])
    assert.equal((await get(url)).status, 404, url);
  assert.equal((await get('app://dispatcher/', 'POST')).status, 404);
});

test('E11: only http and https without credentials are opened outside, and only after a yes', async () => {
  const { electron, opened, asked, press } = createStandIn();
  press.button = 0;
  for (const link of [
    'file:///etc/passwd',
    'smb://host/x',
    'javascript:alert(1)',
    'ms-msdt:/id',
    '\\\\host\\share',
    'http://user@host/',
    'https://:pw@host/',
    'data:text/html,x',
    'not a link',
  ])
    assert.equal(await openExternal(electron, link), false, link);
  assert.deepEqual([asked, opened], [[], []]);
  assert.equal(await openExternal(electron, 'https://example.org/a?b'), true);
  press.button = 1;
  assert.equal(await openExternal(electron, 'https://example.org/c'), false);
  assert.deepEqual(opened, ['https://example.org/a?b']);
  assert.deepEqual(
    asked.map(({ detail }) => detail),
    ['https://example.org/a?b', 'https://example.org/c'],
  );
});
