/** Queue with a real core behind it: why a job waits, its whole life, callbacks, MCP servers, the memory, and what a restart found. */
import { join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { expect, type Page, test } from '@playwright/test';
import type { Crossing, Job, JobDetail, RouteSummary } from '../shared/model.ts';
import { type App, openView, signIn, startApp } from './app.ts';

test.describe.configure({ mode: 'serial' });

const root = join(import.meta.dirname, '..');
/** A flow of the demo that runs one at a time. */
const ROUTE = 'FLOW.demo.lane';
let app: App;
let page: Page;
const problems: string[] = [];

test.beforeAll(async ({ browser }) => {
  app = await startApp();
  // axe wants a context of its own.
  page = await (await browser.newContext()).newPage();
  page.on('pageerror', (error) => problems.push(String(error)));
  await signIn(page, app);
});
test.afterAll(async () => {
  await page?.context().close();
  await app?.close();
});

/** The answer of a built-in route by its HTTP path. */
const send = async <T>(method: string, path: string, body?: unknown) => (await app.send<T>(method, path, body)).body;

/** Starts a flow that takes a minute and gives its job once it has been accepted. */
async function start(words: string): Promise<Job> {
  void send('POST', '/dispatch', { route: ROUTE, query: words, params: { seconds: 60 } }).catch(() => {});
  let found: Job | undefined;
  await expect(async () => {
    const { jobs } = await send<{ jobs: Job[] }>('GET', `/jobs?route=${ROUTE}&limit=20`);
    found = jobs.find((job) => job.text === words);
    expect(found).toBeDefined();
  }).toPass();
  return found!;
}

const state = async (job: string) => (await send<JobDetail>('GET', `/jobs/${job}`)).state;
const rows = () => page.getByRole('grid', { name: 'Jobs' }).getByRole('row');
const openTab = (name: string) => page.getByRole('tab', { name: new RegExp(`^${name}`) }).click();

test('a job in a lane says why it waits and where it stands: in the list, in its timeline and in the lane', async () => {
  const first = await start('play the first');
  const second = await start('play the second');
  await openView(page, 'Queue');
  await openTab('Jobs');
  const row = rows().filter({ hasText: 'play the second' });
  await expect(row).toContainText('Queued');
  await expect(row).toContainText('next in line');
  await row.click();
  const details = page.getByRole('region', { name: 'Job details' });
  await expect(details.getByText('Stands in line')).toBeVisible();
  await expect(details).toContainText('the job “play the first” runs in the lane demo');

  await openTab('Lanes');
  const lane = page.getByRole('region', { name: 'Lane demo' });
  await expect(lane.getByRole('button', { name: /play the first/ })).toBeVisible();
  await expect(lane).toContainText('1 running, 1 in line');
  await lane.getByRole('button', { name: /play the second/ }).click();
  await expect(details).toBeVisible();
  expect([await state(first.id), await state(second.id)]).toEqual(['running', 'queued']);
});

test('x asks once, says what became of it, and the next in line begins', async () => {
  await rows().filter({ hasText: 'play the first' }).click();
  await expect(page.getByRole('region', { name: 'Job details' })).toContainText('Accepted');
  await page.getByRole('grid', { name: 'Jobs' }).press('x');
  const question = page.getByRole('alertdialog', { name: 'Cancel this job?' });
  await question.getByRole('button', { name: 'Let it run' }).click();
  await expect(rows().filter({ hasText: 'play the first' })).toContainText('Running');
  await page.getByRole('grid', { name: 'Jobs' }).press('x');
  await question.getByRole('button', { name: 'Cancel job' }).click();
  await expect(rows().filter({ hasText: 'play the first' })).toContainText('Cancelled');
  await expect(page.getByRole('region', { name: 'Job details' }).getByText('Cancel was asked for')).toBeVisible();
  await expect(rows().filter({ hasText: 'play the second' })).toContainText('Running');
});

test('a retry is a new job, and what becomes of it is told where it was asked for', async () => {
  await page.getByRole('region', { name: 'Job details' }).getByRole('button', { name: 'Retry' }).click();
  const told = page.getByRole('status').filter({ hasText: 'Open the new job' });
  await expect(told).toContainText('Queued');
  await told.getByRole('button', { name: 'Open the new job' }).click();
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await expect(rows().filter({ hasText: 'play the first' }).first()).toContainText('Cancelled');
});

test('search and filters ask the core, and the chips say how many there are', async () => {
  await page.keyboard.press('Escape');
  const chips = page.getByRole('group', { name: 'State' });
  await expect(chips.getByRole('button', { name: /^Cancelled/ })).toContainText('2');
  await chips.getByRole('button', { name: /^Cancelled/ }).click();
  await expect(rows()).toHaveCount(3);
  await page.keyboard.press('/');
  await page.keyboard.type('second');
  await expect(page.getByText('No job fits these filters')).toBeVisible();
  await chips.getByRole('button', { name: 'All' }).click();
  await expect(rows()).toHaveCount(2);
  await page.getByRole('searchbox', { name: 'Search jobs' }).press('Escape');
  await page.getByRole('button', { name: 'Lane', exact: true }).click();
  await page.getByRole('option', { name: 'demo', exact: true }).click();
  await expect(rows()).toHaveCount(4);
  await page.getByRole('button', { name: 'Any lane' }).click();
});

test('j and k walk through the jobs, Escape closes', async () => {
  const details = page.getByRole('region', { name: 'Job details' });
  await rows().nth(1).click();
  const first = page.url();
  await page.keyboard.press('j');
  await expect(page).not.toHaveURL(first);
  await page.keyboard.press('k');
  await expect(page).toHaveURL(first);
  await page.keyboard.press('Escape');
  await expect(details).toHaveCount(0);
});

test('the inspector shows the key of a job and what came of later calls under it', async () => {
  const call = { route: 'FND.salesforce', query: 'sync salesforce contacts', key: 'order-1042' };
  const ran = await send<Crossing>('POST', '/dispatch', call);
  const replayed = await send<Crossing>('POST', '/dispatch', call);
  expect(replayed.replayed?.job).toBe(ran.job);
  const refused = await send<Crossing>('POST', '/dispatch', { ...call, params: { action: 'list' } });
  expect(refused.error?.code).toBe('key_mismatch');
  await page.goto(`${app.url}/#queue/${ran.job}`);
  const details = page.getByRole('region', { name: 'Job details' });
  await expect(details.getByText('order-1042')).toBeVisible();
  const uses = details.getByRole('list', { name: 'Later calls under this key' }).getByRole('listitem');
  await expect(uses.nth(0)).toContainText(replayed.replayed!.how);
  await expect(uses.nth(1)).toContainText('mismatch');
  await expect(uses.nth(1)).toContainText('params');
});

test('a callback shows what was sent, its signature checks, and it is sent again by hand', async () => {
  const { routes } = await send<{ routes: RouteSummary[] }>('GET', '/routes');
  const inbox = routes.find((route) => route.service === 'inbox')!.endpoint!;
  await send('POST', '/dispatch', { route: 'FND.salesforce', query: 'find Ada Birch', callbackUrl: inbox });
  await openTab('Callbacks');
  const list = page.getByRole('grid', { name: 'Callbacks' });
  await expect(list.getByRole('row').nth(1)).toContainText('delivered');
  const [sent] = await received(inbox);
  await list.getByRole('row').nth(1).click();
  const details = page.getByRole('region', { name: 'Callback details' });
  await expect(details).toContainText(`webhook-id: ${sent!.id}`);
  await expect(details.getByRole('region', { name: 'Signed bytes' })).toContainText('"intent":"find Ada Birch"');

  await page.getByRole('button', { name: 'Check a signature of it' }).click();
  await page.getByLabel('webhook-signature').fill(sent!.signature);
  await page.getByRole('button', { name: 'Check', exact: true }).click();
  await expect(page.getByRole('status').filter({ hasText: 'It was signed with this secret' })).toBeVisible();
  const body = page.getByLabel('Body, byte for byte');
  await body.fill((await body.inputValue()).replace('Ada', 'Bob'));
  await page.getByRole('button', { name: 'Check', exact: true }).click();
  await expect(page.getByRole('status').filter({ hasText: /^body/ })).toBeVisible();

  await list.getByRole('row').nth(1).click();
  await page.getByRole('button', { name: 'Send again' }).click();
  await expect(details.getByText('Tries (2)')).toBeVisible();
  const [again, first] = await received(inbox);
  expect([again!.id, again!.body]).toEqual([first!.id, first!.body]);
});

test('an MCP server is added, seen in full, approved, and one of its tools called', async () => {
  test.slow();
  const program = join(root, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
  await openTab('MCP');
  await page.getByRole('button', { name: 'Add a server' }).first().click();
  await page.getByLabel('Name').fill('everything');
  await page.getByRole('textbox', { name: 'Command' }).fill(`"${process.execPath}" "${program}" stdio`);
  await expect(page.getByRole('list', { name: 'Arguments' }).getByRole('listitem')).toHaveText([process.execPath, program, 'stdio']);
  await page.getByRole('button', { name: 'Add to the registry' }).click();
  const details = page.getByRole('region', { name: 'MCP server details' });
  await expect(details.getByRole('status').filter({ hasText: 'Not approved' })).toBeVisible();

  await details.getByRole('button', { name: 'Look and approve' }).click();
  const dialog = page.getByRole('dialog', { name: 'Approve everything' });
  await expect(dialog.getByRole('region', { name: 'Program' })).toContainText(program);
  await dialog.getByRole('button', { name: 'Approve', exact: true }).click();
  await expect(details.getByRole('status').filter({ hasText: 'Ready' })).toBeVisible({ timeout: 30_000 });

  await details.getByRole('button', { name: /^echo/ }).click();
  await details.getByRole('textbox', { name: 'Params for echo' }).fill('{"message": "through the queue"}');
  await details.getByRole('button', { name: 'Try it' }).click();
  await expect(details.getByRole('region', { name: 'Result as text' })).toContainText('through the queue');

  await details.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('alertdialog', { name: 'Stop everything?' }).getByRole('button', { name: 'Stop server' }).click();
  await expect(details.getByRole('status').filter({ hasText: 'Not running' })).toBeVisible();
});

test('the memory: a text is kept, found by its words, and forgotten', async () => {
  await openTab('Memory');
  await page.getByRole('button', { name: 'Write' }).first().click();
  await page.getByLabel('Text', { exact: true }).fill('The Eiffel Tower is in Paris');
  await page.getByLabel('Tags').fill('places, facts');
  await page.getByLabel('Tags').press('Escape');
  await expect(page.getByLabel('Tags')).toHaveValue('places, facts');
  await page.getByRole('button', { name: 'Keep it' }).click();
  await expect(page.getByRole('region', { name: 'Kept text' })).toContainText('The Eiffel Tower');
  const search = page.getByRole('searchbox', { name: 'Search the memory' });
  await search.fill('tower');
  await search.press('Enter');
  const list = page.getByRole('grid', { name: 'Memory' });
  await expect(list.getByRole('row').nth(1)).toContainText('Paris');
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('alertdialog', { name: 'Forget this text?' }).getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByText('No kept text fits')).toBeVisible();
});

for (const colorScheme of ['light', 'dark'] as const)
  test(`axe finds nothing in the tabs of Queue, ${colorScheme}`, async () => {
    test.slow();
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await openView(page, 'Queue');
    for (const tab of ['Jobs', 'Lanes', 'Callbacks', 'MCP', 'Memory']) {
      await openTab(tab);
      const first = page.getByRole('main').getByRole('grid').getByRole('row').nth(1);
      if (await first.isVisible()) await first.click();
      await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
      const { violations } = await new AxeBuilder({ page })
        .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
        .analyze();
      const found = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${tab}: ${id}: ${node.target.join(' ')}`));
      expect(found).toEqual([]);
    }
  });

test('after a restart the report says what was found, and leads to each job', async ({ browser }) => {
  await start('play before the end');
  const waiting = await start('play after the end');
  await app.stop();
  app = await startApp(['--demo'], app.home);
  const fresh = await browser.newPage();
  await signIn(fresh, app);
  await openView(fresh, 'Queue');
  const report = fresh.getByRole('region', { name: 'After the restart' });
  await expect(report).toBeVisible();
  await report.getByRole('button', { name: waiting.id }).click();
  await expect(fresh.getByRole('region', { name: 'Job details' })).toContainText(waiting.id);
  await report.getByRole('button', { name: 'Dismiss the report' }).click();
  await expect(report).toHaveCount(0);
  await fresh.reload();
  await fresh.getByRole('grid', { name: 'Jobs' }).waitFor();
  await expect(report).toHaveCount(0);
  await fresh.close();
});

test('the page had no error of its own on the whole way', () => {
  expect(problems).toEqual([]);
});

// --- what stands around it ----------------------------------------------------------------------------------------------------

/** What the demo's inbox got, newest first. */
async function received(inbox: string): Promise<{ id: string; signature: string; body: unknown }[]> {
  const response = await fetch(inbox);
  return ((await response.json()) as { results: { id: string; signature: string; body: unknown }[] }).results;
}
