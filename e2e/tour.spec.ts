/** The newcomer's tour as the README tells it: one core, one browser, step after step. Each step leaves a picture. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, type Locator, type Page, test } from '@playwright/test';
import type { AuditEntry, Job } from '../shared/model.ts';
import { type App, dispatcher, openView, startApp, takePicture } from './app.ts';

test.describe.configure({ mode: 'serial' });

let app: App;
let page: Page;
const problems: string[] = [];

test.beforeAll(async ({ browser }) => {
  app = await startApp();
  page = await browser.newPage();
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
});
test.afterAll(async () => {
  await page?.close();
  await app?.close();
});

const composer = () => page.getByRole('textbox', { name: 'Dispatch', exact: true });

/** Types into the one large input and presses Enter. */
async function say(words: string): Promise<void> {
  await openView(page, 'Dispatch');
  const back = page.getByRole('button', { name: 'Back to history' });
  if (await back.isVisible()) await back.click();
  await composer().fill(words);
  await expect(page.getByTestId('resolved-route')).toBeVisible();
  await composer().press('Enter');
}

test('start with --demo: the command center opens once by its one-time address', async ({ browser }, info) => {
  const address = await app.signInUrl();
  await page.goto(address);
  await expect(page.getByRole('status').filter({ hasText: 'Connected' })).toBeVisible();
  await expect(page).toHaveTitle(/Dispatcher/);
  expect(page.url()).not.toContain('session');
  const [cookie] = await page.context().cookies();
  expect([cookie?.httpOnly, cookie?.sameSite]).toEqual([true, 'Strict']);
  const stranger = await browser.newPage();
  expect((await stranger.goto(address))?.status()).toBe(401);
  await stranger.close();
  await takePicture(page, info, '1-start');
});

test('type "sync salesforce contacts": where it will go and why, then what came back', async ({ browserName: _ }, info) => {
  await composer().fill('sync salesforce contacts');
  await expect(page.getByTestId('resolved-route')).toHaveText('FND.salesforce');
  await expect(page.getByText(/rule "salesforce" \(priority 100\) matches "salesforce"/)).toBeVisible();
  expect(await app.ledger('FND.salesforce')).toEqual([]);
  await composer().press('Enter');
  await expect(page.getByText('150', { exact: true }).first()).toBeVisible();
  const crossing = page.getByRole('region', { name: 'Crossing details' });
  await expect(crossing.getByText('execute')).toBeVisible();
  await expect(crossing.getByText(/#\d+/).first()).toBeVisible();
  const [line] = await app.ledger('FND.salesforce');
  expect([line?.path, line?.outcome]).toEqual(['/v1/salesforce', 'answered']);
  expect(line?.idempotencyKey).toMatch(/^att_/);
  await takePicture(page, info, '2-sync');
});

test('the 20 s deploy shows in the queue with its progress, and cancel stops it there and at the service', async ({
  browserName: _,
}, info) => {
  await say('deploy the website');
  await openView(page, 'Queue');
  const row = page.getByRole('grid', { name: 'Jobs' }).getByRole('row').filter({ hasText: 'deploy the website' });
  await expect(row).toContainText('CLD.deploy');
  await expect(row.getByRole('progressbar')).toBeVisible();
  const progress = async () => Number(await row.getByRole('progressbar').getAttribute('aria-valuenow'));
  const before = await progress();
  await expect.poll(progress).toBeGreaterThan(before);
  await row.click();
  await takePicture(page, info, '3-deploy-running');
  const pressed = Date.now();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await expect(row).toContainText(/cancelled/i);
  expect(Date.now() - pressed).toBeLessThan(5000);
  await expect.poll(async () => (await app.ledger('CLD.deploy')).at(-1)?.outcome).toBe('aborted');
  expect((await app.ledger('CLD.deploy')).at(-1)?.note).toMatch(/^stopped at \d+ %/);
  const { jobs } = await app.get<{ jobs: Job[] }>('/jobs?route=CLD.deploy');
  expect(jobs.map((job) => job.state)).toEqual(['cancelled']);
  await takePicture(page, info, '3-deploy-cancelled');
});

test('stop the CRM: Health sees it, the breaker opens, and both recover', async ({ browserName: _ }, info) => {
  test.slow();
  await say('stop the crm');
  await expect(page.getByText('stopped', { exact: false }).first()).toBeVisible();
  await openView(page, 'Health');
  await expect(page.getByRole('button', { name: /^FND\.salesforce: down/ })).toBeVisible({ timeout: 25_000 });
  await takePicture(page, info, '4-health-down');
  const failed = await Promise.all(Array.from({ length: 5 }, () => app.dispatch({ route: 'FND.salesforce' })));
  expect(new Set(failed.map((crossing) => crossing.ok))).toEqual(new Set([false]));
  const breakers = page.getByRole('region', { name: 'Breakers' });
  await expect(breakers.getByRole('listitem').filter({ hasText: 'FND.salesforce' })).toContainText('open');
  const refused = await app.dispatch({ route: 'FND.salesforce' });
  expect(refused.error?.code).toBe('breaker_open');
  expect(refused.attempts.filter((attempt) => attempt.error !== 'breaker_open')).toEqual([]);
  await takePicture(page, info, '4-breaker-open');

  await app.dispatch({ query: 'start the crm' });
  await breakers.getByRole('listitem').filter({ hasText: 'FND.salesforce' }).getByRole('button', { name: 'Reset breaker' }).click();
  await expect(breakers.getByText('FND.salesforce')).toHaveCount(0);
  await page.getByRole('button', { name: 'Probe all now' }).click();
  await expect(page.getByRole('button', { name: /^FND\.salesforce: healthy/ })).toBeVisible({ timeout: 25_000 });
  expect((await app.dispatch({ query: 'sync salesforce contacts' })).result).toEqual({ success: true, synced: 150, objects: ['Contact'] });
});

test('edit the registry in the app: an error is shown at its line, a good edit changes the route and keeps the comments', async ({
  browserName: _,
}, info) => {
  test.slow();
  const words = 'tune my trombone';
  expect((await app.resolve(words)).route).not.toBe('AI.report');
  await openView(page, 'Routes');
  await page.getByRole('tab', { name: /^Registry/ }).click();
  const editor = page.getByRole('textbox', { name: 'Registry file' });
  await editor.waitFor();
  const { text } = await app.get<{ text: string }>('/registry');
  const rule = '  - pattern: "trombone"\n    org: AI\n    service: report\n    priority: 300\n';
  const edited = text.replace(/^rules:\n/m, (line) => line + rule);
  expect(edited).not.toBe(text);

  await replaceAll(editor, edited.replace('service: report\n    priority: 300', 'service: reprot\n    priority: 300'));
  const line = edited.slice(0, edited.indexOf('service: report\n    priority: 300')).split('\n').length;
  const found = page.getByRole('region', { name: 'Problems' });
  await expect(found.getByText(new RegExp(`line ${line}:`)).first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Save', exact: false }).first()).toBeDisabled();
  await takePicture(page, info, '5-registry-error');

  await replaceAll(editor, edited);
  const save = page.locator('[data-save-registry]');
  await expect(save).toBeEnabled({ timeout: 30_000 });
  await save.click();
  const anyway = page.getByRole('button', { name: 'Save anyway' });
  await expect(anyway.or(page.getByText('Registry saved'))).toBeVisible();
  if (await anyway.isVisible()) await anyway.click();
  await expect(page.getByText('Registry saved')).toBeVisible();
  await takePicture(page, info, '5-registry-saved');
  const saved = await app.get<{ text: string }>('/registry');
  expect(saved.text).toBe(edited);

  await say(words);
  await expect(
    page
      .getByRole('region', { name: 'Crossing details' })
      .getByText(/rule "trombone"/)
      .first(),
  ).toBeVisible();
  expect((await app.resolve(words)).route).toBe('AI.report');
});

test('flip sovereign: the remote route is refused before its name is looked up, local ones go on', async ({ browserName: _ }, info) => {
  const sovereign = page.getByRole('switch', { name: 'Sovereign' });
  await sovereign.click();
  await expect(sovereign).toBeChecked();
  await say('deploy my cloudflare worker');
  await expect(page.getByText(/Sovereign is on/).first()).toBeVisible();
  await takePicture(page, info, '6-sovereign');
  const refused = await app.dispatch({ query: 'deploy my cloudflare worker' });
  expect([refused.error?.code, refused.attempts, refused.left]).toEqual(['sovereign_refused', [], []]);
  expect((await app.dispatch({ query: 'sync salesforce contacts' })).ok).toBe(true);

  await sovereign.click();
  const question = page.getByRole('alertdialog', { name: 'Turn sovereign off?' });
  await question.getByRole('button', { name: 'Allow remote routes' }).click();
  await expect(sovereign).not.toBeChecked();
  const { entries } = await app.get<{ entries: AuditEntry[] }>('/audit?limit=50');
  const changes = entries.filter((entry) => entry.kind === 'change' && entry.outcome === 'sovereign');
  expect(changes.map((entry) => JSON.parse(entry.detail).on)).toEqual([false, true]);
});

test('verify the audit chain, and see the drill find a changed byte in a copy', async ({ browserName: _ }, info) => {
  await openView(page, 'Audit');
  await page.getByRole('button', { name: 'Verify chain' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The chain is whole.' })).toBeVisible();
  await takePicture(page, info, '7-audit-whole');
  await page.getByRole('button', { name: 'Tamper drill' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'The change was found.' })).toBeVisible();
  await takePicture(page, info, '7-audit-drill');
});

test('A01: flip a byte in the database file: verify names the row', async ({ browserName: _ }, info) => {
  const { entries } = await app.get<{ entries: AuditEntry[] }>('/audit?limit=500');
  const victim = entries.find((entry) => entry.kind === 'intent' && entry.detail.includes('tune my trombone'))!;
  await app.stop();
  await expect(
    page
      .getByRole('alert')
      .getByText(/The connection to the core closed|Reconnect/)
      .first(),
  ).toBeVisible();
  await takePicture(page, info, '8-core-stopped');
  const whole = await dispatcher(app.home, ['audit', 'verify']);
  expect(whole.code, whole.output).toBe(0);

  const file = join(app.home, 'dispatcher.sqlite');
  const bytes = await readFile(file);
  const detail = Buffer.from(victim.detail);
  const at = bytes.indexOf(detail) + victim.detail.indexOf('trombone');
  expect(bytes.indexOf(detail)).toBeGreaterThan(0);
  bytes[at] = bytes[at]! ^ 0x20;
  await writeFile(file, bytes);
  const broken = await dispatcher(app.home, ['audit', 'verify']);
  expect(broken.code, broken.output).toBe(1);
  expect(broken.output).toMatch(new RegExp(`\\b${victim.seq}\\b`));
  info.attach('verify', { body: broken.output, contentType: 'text/plain' });
});

test('the page had no error of its own on the whole way', () => {
  // Refused and failed dispatches answer with 4xx and 5xx where a browser asks by HTTP, and a core that stopped cannot be reached.
  expect(problems.filter((problem) => !/Failed to load resource|WebSocket connection to/.test(problem))).toEqual([]);
});

/** Pastes a text over all that the editor has, as a person would. */
async function replaceAll(editor: Locator, text: string): Promise<void> {
  await editor.click();
  await page.keyboard.press('ControlOrMeta+a');
  await editor.evaluate((node, pasted) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', pasted);
    node.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
  }, text);
}
