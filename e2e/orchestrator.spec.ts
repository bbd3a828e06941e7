/** The orchestrator as a new user meets it: a slow flow and its callback, cancel, the power cord, equal stories. */
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, type Page, test } from '@playwright/test';
import type { Orchestrated, OrchestratorAnswer } from '../shared/contract.ts';
import type { JobDetail, Lane, RouteSummary, VerifyReport } from '../shared/model.ts';
import { type App, openView, signIn, startApp, takePicture } from './app.ts';

test.describe.configure({ mode: 'serial' });

let app: App;
let page: Page;
test.beforeAll(async ({ browser }) => {
  app = await startApp();
  page = await browser.newPage();
  await signIn(page, app);
  await openView(page, 'Queue');
});
test.afterAll(async () => {
  await page?.close();
  await app?.close();
});

const orchestrate = (body: Record<string, unknown>) => app.send<Orchestrated>('POST', '/orchestrate', body);
const job = (id: string) => app.get<JobDetail>(`/jobs/${id}`);
const details = () => page.getByRole('region', { name: 'Job details' });
async function open(words: string): Promise<void> {
  await page.getByRole('grid', { name: 'Jobs' }).getByRole('row').filter({ hasText: words }).first().click();
  // Under the pointer the list holds still.
  await page.mouse.move(0, 0);
}

interface Received {
  id: string;
  signature: string;
  body: { job_id: string; intent: string; status: string; result: unknown };
}

test('a flow that is slow answers 202 after 8 s, goes on, and its callback arrives signed', async ({ browserName: _ }, info) => {
  const { routes } = await app.get<{ routes: RouteSummary[] }>('/routes');
  const inbox = routes.find(({ service }) => service === 'inbox')!.endpoint!;
  const began = Date.now();
  const { status, body } = await orchestrate({ intent: 'demo.slow', inputs: { seconds: 12 }, mode: 'flow', callback_url: inbox });
  const waited = Date.now() - began;
  expect([status, body.status, body.result, body.will_callback]).toEqual([202, 'running', null, true]);
  expect(waited).toBeGreaterThanOrEqual(8000);
  await open('demo.slow');
  await expect(details()).toContainText(body.job_id!);
  await takePicture(page, info, 'orchestrator-1-slow-flow-goes-on');

  let received: Received[] = [];
  await expect(async () => {
    received = ((await (await fetch(inbox)).json()) as { results: Received[] }).results.filter((one) => one.body.job_id === body.job_id);
    expect(received).toHaveLength(1);
  }).toPass({ timeout: 20_000 });
  const [{ id, signature, body: said }] = received as [Received];
  expect([said.intent, said.status]).toEqual(['demo.slow', 'succeeded']);
  const { deliveries, state, starts } = await job(body.job_id!);
  expect([state, starts, deliveries.length, deliveries[0]?.state]).toEqual(['succeeded', 1, 1, 'delivered']);
  // Standard Webhooks: HMAC-SHA256 over id.timestamp.body. The receiver did not keep the timestamp; it is within seconds of the attempt.
  const secret = Buffer.from((await readFile(join(app.home, 'webhook.secret'), 'utf8')).trim().slice('whsec_'.length), 'base64');
  const at = Math.floor(deliveries[0]!.attempts[0]!.at / 1000);
  const signatures = [at - 1, at, at + 1].map(
    (second) => `v1,${createHmac('sha256', secret).update(`${id}.${second}.${deliveries[0]!.body}`).digest('base64')}`,
  );
  expect(signatures).toContain(signature);
  await expect(details()).toContainText('delivered');
  await takePicture(page, info, 'orchestrator-2-callback-delivered');
});

test('cancel stops a flow within a second, and says so', async ({ browserName: _ }, info) => {
  const { body } = await orchestrate({ intent: 'demo.slow', inputs: { seconds: 60 }, mode: 'flow', wait_ms: 0 });
  await open('Running');
  await expect(details()).toContainText(body.job_id!);
  await page.getByRole('button', { name: 'Cancel job' }).click();
  await expect(details()).toContainText('It was cut off and is cancelled.');
  const cancelled = await job(body.job_id!);
  expect([cancelled.state, cancelled.finishedAt! - cancelled.cancelRequestedAt! < 1000]).toEqual(['cancelled', true]);
  await takePicture(page, info, 'orchestrator-3-cancelled');
});

test('two equal stories: the second is held off for 5 s, then stands in line and runs after the first', async ({
  browserName: _,
}, info) => {
  const enqueue = (story: string) =>
    app.send<OrchestratorAnswer>('POST', '/api/orchestrator/dispatch', { action: 'enqueue_story', payload: { story_id: story } });
  const first = await enqueue('STORY-001');
  expect([first.status, first.body.success]).toEqual([200, true]);
  const early = await enqueue('STORY-001');
  expect([early.status, early.body.error?.code]).toEqual([429, 'limited']);
  const other = await enqueue('STORY-002');
  const waiting = await job(other.body.job_id!);
  expect([waiting.state, waiting.waits?.kind]).toEqual(['queued', 'lane']);
  await page.getByRole('tab', { name: /^Lanes/ }).click();
  await expect(page.getByRole('main')).toContainText('stories');
  await takePicture(page, info, 'orchestrator-4-stories-in-their-lane');
  await expect(async () => {
    expect((await job(other.body.job_id!)).state).toBe('succeeded');
  }).toPass({ timeout: 40_000 });
  const [one, two] = await Promise.all([job(first.body.job_id!), job(other.body.job_id!)]);
  expect([one.state, two.startedAt! >= one.finishedAt!]).toEqual(['succeeded', true]);
  await page.getByRole('tab', { name: /^Jobs/ }).click();
});

test('the power cord changes nothing but the boot report', async ({ browser }, info) => {
  const lane = (n: number) => orchestrate({ intent: 'demo.lane', inputs: { seconds: 3, n }, mode: 'flow', wait_ms: 0 });
  const [running, waiting] = [await lane(1), await lane(2)];
  expect((await app.get<{ lanes: Lane[] }>('/lanes')).lanes[0]).toMatchObject({
    running: [running.body.job_id],
    queued: [waiting.body.job_id],
  });
  await app.kill();
  app = await startApp(['--demo'], app.home);
  await page.close();
  page = await browser.newPage();
  await signIn(page, app);
  await openView(page, 'Queue');
  const report = page.getByRole('region', { name: 'After the restart' });
  await expect(report).toContainText(running.body.job_id!);
  await takePicture(page, info, 'orchestrator-5-boot-report');
  await expect(async () => {
    expect((await job(waiting.body.job_id!)).state).toBe('succeeded');
  }).toPass({ timeout: 20_000 });
  expect((await job(running.body.job_id!)).state).toBe('unknown');
  const verified = await app.send<VerifyReport>('POST', '/audit/verify', {});
  expect(verified.body).toMatchObject({ ok: true, fault: null });
});
