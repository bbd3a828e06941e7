/** The cortex as a new user meets it, on the demo's pretended card: one model for two senses, a wait and a swap, a smaller tier, the switch, a grant cut off, a server that dies. */
import { expect, type Page, test } from '@playwright/test';
import OpenAI from 'openai';
import type { Orchestrated } from '../shared/contract.ts';
import type { CortexState, GpuWaiter, Grant, Lease, Resolved } from '../shared/cortex.ts';
import type { AuditEntry } from '../shared/model.ts';
import { type App, dispatcher, openView, signIn, startApp, takePicture } from './app.ts';

test.describe.configure({ mode: 'serial' });

let app: App;
let page: Page;
test.beforeAll(async ({ browser }) => {
  app = await startApp();
  page = await browser.newPage();
  await signIn(page, app);
  await openView(page, 'GPU');
});
test.afterAll(async () => {
  await page?.close();
  await app?.close();
});

const cortex = () => app.get<CortexState>('/cortex');
const grants = () => app.get<{ grants: Grant[]; leases: Lease[]; queue: GpuWaiter[] }>('/grants');
const grant = (need: Record<string, unknown>, task: string, more: Record<string, unknown> = {}) =>
  app.send<Grant>('POST', '/grants', { need, task, ...more });
const revoke = (id: string) => app.send<{ id: string }>('DELETE', `/grants/${id}`);
const warm = async () =>
  (await cortex()).models.filter(({ phase, egress }) => phase === 'warm' && egress !== 'remote').map(({ provider }) => provider);
const resolve = async (need: string, ...more: string[]) => {
  const { code, output } = await dispatcher(app.home, ['resolve', '--need', need, ...more, '--json']);
  return { code, plan: JSON.parse(output) as Resolved };
};
const auditRows = async (outcome: string, provider: string) =>
  (await app.get<{ entries: AuditEntry[] }>('/audit?limit=200')).entries.filter(
    (entry) => entry.outcome === outcome && entry.detail.includes(`"${provider}"`),
  );

test('vision and text need one multimodal server, and asking loads nothing', async ({ browserName: _ }, info) => {
  const { code, plan } = await resolve('vision-analysis,text-generation');
  expect([code, plan.outcome, plan.evictions]).toEqual([0, 'grant', []]);
  expect(plan.assignments.map(({ capability, provider }) => [capability, provider])).toEqual([
    ['text-generation', 'demo-vl'],
    ['vision-analysis', 'demo-vl'],
  ]);
  expect(await warm()).toEqual([]);

  const { status, body } = await grant({ capabilities: ['vision-analysis', 'text-generation'] }, 'look at a picture');
  expect([status, body.models.map(({ model }) => model)]).toEqual([200, ['demo-vl:7b']]);
  expect(await warm()).toEqual(['demo-vl']);
  await expect(page.getByRole('main', { name: 'GPU' })).toContainText('demo-vl');
  await takePicture(page, info, 'cortex-1-one-multimodal-server');
  await revoke(body.id);
});

test('a second big model waits with an ETA, and swaps in when the first lease ends', async ({ browserName: _ }, info) => {
  const first = await grant({ capabilities: ['tool-use'], tier: '70B' }, 'plan the week', { ttl_ms: 120_000 });
  expect([first.status, first.body.models[0]?.tier]).toEqual([200, '70B']);
  const second = grant({ capabilities: ['code-generation'] }, 'write the code');
  await expect(async () => expect((await grants()).queue).toHaveLength(1)).toPass();
  const [waiter] = (await grants()).queue as [GpuWaiter];
  expect([waiter.position, waiter.eta !== null && waiter.eta > Date.now(), waiter.waitsFor.length]).toEqual([0, true, 1]);
  await expect(page.getByRole('main', { name: 'GPU' })).toContainText('code-generation');
  await takePicture(page, info, 'cortex-2-waits-with-an-eta');

  await revoke(first.body.id);
  const { status, body } = await second;
  expect([status, body.models.map(({ provider }) => provider)]).toEqual([200, ['demo-coder']]);
  expect(await warm()).toEqual(['demo-coder']);
  await takePicture(page, info, 'cortex-3-swapped');
  await revoke(body.id);
});

test('under pressure 70B becomes 8B, and the reason is shown', async ({ browserName: _ }, info) => {
  const eyes = await grant({ capabilities: ['vision-analysis'] }, 'watch the door');
  const { plan } = await resolve('tool-use');
  expect([plan.outcome, plan.assignments[0]?.tier, plan.downgrade?.from, plan.downgrade?.to]).toEqual(['grant', '8B', '70B', '8B']);
  expect(plan.downgrade?.cause).toContain(eyes.body.models[0]!.provider);
  await openView(page, 'Dispatch');
  await page.getByRole('textbox', { name: 'Dispatch', exact: true }).fill('make a plan for the week');
  await expect(page.getByTestId('plan')).toContainText('8B');
  await page.getByRole('button', { name: 'Show the plan' }).click();
  await expect(page.getByRole('region', { name: 'Plan' })).toContainText(eyes.body.models[0]!.provider);
  await takePicture(page, info, 'cortex-4-a-smaller-tier-before-enter');
  await openView(page, 'GPU');
  const small = await grant({ capabilities: ['tool-use'] }, 'plan the day');
  expect(small.body.models[0]?.tier).toBe('8B');
  expect(small.body.reasons.join(' ')).toContain('8B');
  await takePicture(page, info, 'cortex-4-a-smaller-tier');
  await revoke(small.body.id);
  await revoke(eyes.body.id);
});

test('sovereign removes the cloud', async ({ browserName: _ }, info) => {
  expect((await resolve('long-context')).plan.assignments[0]?.provider).toBe('demo-cloud');
  const away = await grant({ capabilities: ['long-context'] }, 'read the archive');
  await page.getByRole('switch', { name: /sovereign/i }).click();
  await expect(async () => {
    const { code, plan } = await resolve('long-context');
    expect([code, plan.outcome, plan.error?.code]).toEqual([3, 'refusal', 'sovereign_refused']);
  }).toPass();
  const { grants: all } = await grants();
  expect(all.find(({ id }) => id === away.body.id)?.revoked?.why).toContain('overeign');
  const late = await fetch(`${away.body.base_url}/models`, { headers: { authorization: `Bearer ${away.body.api_key}` } });
  expect(late.status).toBe(401);
  await takePicture(page, info, 'cortex-5-sovereign-without-the-cloud');
  await app.send('POST', '/dispatch', { route: 'OS.sovereign.set', params: { on: false }, confirm: true });
});

test('openai streams through a grant and is cut off when its job ends', async ({ browserName: _ }, info) => {
  const job = await app.send<Orchestrated>('POST', '/orchestrate', {
    intent: 'demo.slow',
    inputs: { seconds: 60 },
    mode: 'flow',
    wait_ms: 0,
  });
  const { body } = await grant({ capabilities: ['text-generation'] }, job.body.job_id!);
  const client = new OpenAI({ baseURL: body.base_url, apiKey: body.api_key!, maxRetries: 0 });
  const stream = await client.chat.completions.create({
    model: body.models[0]!.model,
    messages: [{ role: 'user', content: 'Tell me about the house with one door.' }],
    max_tokens: 2000,
    stream: true,
  });
  let words = '';
  let cancelledAt = 0;
  const reading = (async () => {
    for await (const chunk of stream) {
      words += chunk.choices[0]?.delta?.content ?? '';
      if (cancelledAt === 0 && words.length > 40) {
        cancelledAt = Date.now();
        await app.send('POST', `/jobs/${job.body.job_id}/cancel`, {});
      }
    }
  })();
  await expect(reading).rejects.toThrow(/grant|ended|revoked/i);
  expect(words.length).toBeGreaterThan(40);
  const revoked = (await grants()).grants.find(({ id }) => id === body.id)?.revoked;
  expect([revoked?.why.includes(job.body.job_id!), revoked!.at - cancelledAt < 1500]).toEqual([true, true]);
  await takePicture(page, info, 'cortex-6-cut-off-with-its-job');
});

test('a model server that is killed in the middle of a pulse heals', async ({ browserName: _ }, info) => {
  const asked = grant({ capabilities: ['speech'] }, 'say good morning');
  // It is loaded, and is being asked whether it answers.
  await expect(async () => expect(await auditRows('model_warm', 'demo-voice')).toHaveLength(1)).toPass({ intervals: [50] });
  // Its pulse takes a second and a half.
  await app.dispatch({ route: 'DEMO.control', params: { stop: 'ollama' } });
  await app.dispatch({ route: 'DEMO.control', params: { start: 'ollama' } });
  const { status, body } = await asked;
  expect([status, body.models[0]?.provider]).toEqual([200, 'demo-voice']);
  expect((await auditRows('model_pulse_failed', 'demo-voice')).length).toBeGreaterThan(0);
  await takePicture(page, info, 'cortex-7-healed');
  await revoke(body.id);
});
