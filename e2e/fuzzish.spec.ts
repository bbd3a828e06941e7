/** F23: whatever comes in is text on the screen, never HTML of ours, and nothing breaks at its length or direction. */
import { expect, type Page, test } from '@playwright/test';
import { type App, openView, signIn, startApp } from './app.ts';

const markup = '<img src=x onerror="window.hit=1"><script>window.hit=2</script><b>bold</b>';
const texts = {
  markup,
  'right to left': 'مرحبا بالعالم \u202Eabc\u202C שלום עולם',
  emoji: '👩‍👩‍👧‍👦🏳️‍🌈'.repeat(40),
  '10 kB without a space': 'x'.repeat(10_240),
  '10 kB of emoji': '🎯'.repeat(2560),
  'control characters': 'a\u0000b\u001b[31mred\u2028line\u2029end\uFEFF',
  combining: `Z${'\u0301\u0323\u0336'.repeat(200)}algo`,
};

let app: App;
test.beforeAll(async () => {
  app = await startApp();
  for (const text of Object.values(texts))
    await app.dispatch({ query: `echo ${text}`, route: 'OS.echo', params: { text, [markup]: text } });
});
test.afterAll(() => app?.close());

function watch(page: Page): { violations: string[] } {
  const seen: { violations: string[] } = { violations: [] };
  page.on('pageerror', (error) => seen.violations.push(String(error)));
  page.on('console', (message) => /Content Security Policy|Refused to/.test(message.text()) && seen.violations.push(message.text()));
  page.on('dialog', (dialog) => {
    seen.violations.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  return seen;
}

/** Nothing ran, nothing of ours was made of it, the page did not grow wider than the window. */
async function expectInert(page: Page): Promise<void> {
  expect(await page.evaluate(() => (window as { hit?: number }).hit ?? null)).toBeNull();
  expect(await page.locator('img[src="x"], main b, main script').count()).toBe(0);
  const { wide, window: inner } = await page.evaluate(() => ({ wide: document.documentElement.scrollWidth, window: innerWidth }));
  expect(wide).toBeLessThanOrEqual(inner);
}

test('F23: strange texts in the queue, a job and the audit stay text', async ({ page }) => {
  const seen = watch(page);
  await signIn(page, app);
  await openView(page, 'Queue');
  const rows = page.getByRole('grid', { name: 'Jobs' }).getByRole('row');
  await expect(rows.nth(Object.keys(texts).length)).toBeVisible();
  await expectInert(page);
  for (let index = 1; index <= Object.keys(texts).length; index += 1) {
    await rows.nth(index).click();
    await expect(page.getByRole('region', { name: 'Job details' })).toBeVisible();
    await expectInert(page);
  }
  await openView(page, 'Audit');
  await page.getByRole('grid', { name: 'Audit chain' }).getByRole('row').nth(1).click();
  await expectInert(page);
  expect(seen.violations).toEqual([]);
});

for (const [name, text] of Object.entries(texts)) {
  test(`F23: ${name}: typed, resolved, dispatched and shown as text`, async ({ page }) => {
    const seen = watch(page);
    await signIn(page, app);
    const composer = page.getByRole('textbox', { name: 'Dispatch', exact: true });
    await composer.fill(`echo ${text}`.replaceAll('\u0000', ''));
    await expect(page.getByTestId('resolved-route')).toHaveText('OS.echo');
    await composer.press('Enter');
    await expect(page.getByRole('region', { name: 'Crossing details' })).toBeVisible();
    await expectInert(page);
    await openView(page, 'Routes');
    await page.getByRole('tab', { name: 'Rule tester' }).click();
    await page.getByRole('textbox', { name: 'Text to test' }).fill(text.replaceAll('\u0000', ''));
    await expect(page.getByRole('region', { name: 'Scores' })).toBeVisible();
    await expectInert(page);
    expect(seen.violations).toEqual([]);
  });
}

test('the smallest window the app promises, 1024 by 640, and 4K', async ({ page }) => {
  await signIn(page, app);
  for (const size of [
    { width: 1024, height: 640 },
    { width: 3840, height: 2160 },
  ]) {
    await page.setViewportSize(size);
    for (const view of ['Dispatch', 'Queue', 'Routes', 'Health', 'GPU', 'Audit', 'Settings'] as const) {
      await openView(page, view);
      const { wide, tall } = await page.evaluate(() => ({
        wide: document.documentElement.scrollWidth - innerWidth,
        tall: document.documentElement.scrollHeight - innerHeight,
      }));
      expect([view, size.width, Math.max(0, wide), Math.max(0, tall)]).toEqual([view, size.width, 0, 0]);
    }
  }
});
