/** WCAG 2.2 AA as far as axe can tell: every view, light and dark, with real data in it. */
import { AxeBuilder } from '@axe-core/playwright';
import { expect, type Page, test } from '@playwright/test';
import { type App, openView, signIn, startApp, viewNames } from './app.ts';

let app: App;
test.beforeAll(async () => {
  app = await startApp();
  await app.dispatch({ query: 'sync salesforce contacts' });
  await app.dispatch({ query: 'what is 2+2' });
  await app.dispatch({ route: 'FND.nothing' });
});
test.afterAll(() => app?.close());

async function findings(page: Page): Promise<string[]> {
  // Colours are judged once transitions have ended.
  await page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))));
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary?.split('\n')[1]?.trim()}`),
  );
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ colorScheme, contextOptions: { reducedMotion: 'reduce' } });
    for (const view of viewNames) {
      test(`axe finds nothing in ${view}`, async ({ page }) => {
        await signIn(page, app);
        await openView(page, view);
        expect(await findings(page)).toEqual([]);
      });
    }

    test('axe finds nothing in the tabs and dialogs of GPU', async ({ page }) => {
      await signIn(page, app);
      await openView(page, 'GPU');
      for (const name of ['Models', 'Grants', 'Capabilities', 'Servers']) {
        await page.getByRole('tab', { name: new RegExp(`^${name}`) }).click();
        await expect(page.getByRole('tab', { name: new RegExp(`^${name}`) })).toHaveAttribute('aria-selected', 'true');
        expect(await findings(page), name).toEqual([]);
      }
      for (const name of ['Load a model', 'New grant']) {
        await page.getByRole('button', { name }).first().click();
        await page.getByRole('dialog', { name }).waitFor();
        if (name === 'New grant') await page.getByRole('button', { name: 'tool-use', exact: false }).click();
        expect(await findings(page), name).toEqual([]);
        await page.keyboard.press('Escape');
      }
    });

    test('axe finds nothing in the palette, the keys and the tabs of Routes', async ({ page }) => {
      await signIn(page, app);
      await page.getByRole('button', { name: 'Search or run a command' }).click();
      await page.getByRole('dialog', { name: 'Search or run a command' }).waitFor();
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keys' }).waitFor();
      expect(await findings(page)).toEqual([]);
      await page.keyboard.press('Escape');
      await openView(page, 'Routes');
      for (const name of ['Rule tester', 'Registry']) {
        await page.getByRole('tab', { name }).click();
        if (name === 'Registry') await page.getByRole('textbox', { name: 'Registry file' }).waitFor();
        expect(await findings(page)).toEqual([]);
      }
    });
  });
}
