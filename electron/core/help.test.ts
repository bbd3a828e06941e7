import assert from 'node:assert/strict';
import { test } from 'node:test';
import { json, openCore, operate, type Seen, startService } from './testing.ts';

/** A stand-in for a small model server: it answers each chore with what `chores` says of the last message. */
function sidecarServer(chores: (asked: string) => unknown) {
  return startService(({ url, body }: Seen, response) => {
    response.setHeader('content-type', 'application/json');
    if (url === '/v1/models') return void response.end(JSON.stringify({ object: 'list', data: [{ id: 'small', object: 'model' }] }));
    if (url !== '/v1/chat/completions') {
      response.statusCode = 404;
      return void response.end('{}');
    }
    const { messages } = JSON.parse(body) as { messages: { content: string }[] };
    const said = chores(messages.map(({ content }) => content).join('\n'));
    response.end(
      JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: JSON.stringify(said) }, finish_reason: 'stop' }] }),
    );
  });
}

const registryOf = (service: string, sidecar: string | null) => `orgs:
  HOM:
    name: Home
    services:
      lamps:
        description: Lamps of the house
        endpoint: ${service}/lamps
        egress: local
        examples: [switch the lamp on, light in the kitchen, dim the lights, lamp off, bright lights please]
        input: { type: object, properties: { room: { type: string }, percent: { type: integer, minimum: 0, maximum: 100 } }, required: [room], additionalProperties: false }
      blinds:
        description: Blinds of the house
        endpoint: ${service}/blinds
        egress: local
        examples: [close the blinds, blinds up in the kitchen, lower the blinds, open the shutters, shutters down please]
${
  sidecar === null
    ? ''
    : `providers:
  small: { endpoint: ${sidecar}, egress: local, capabilities: [text-generation], model: small-1b, vram: 1 GB }
cortex:
  sidecar: { provider: small }
`
}`;

/** Asked again until the sidecar is warm, which is soon after the start. */
async function warm(core: Parameters<typeof operate>[0]): Promise<void> {
  const state = async () => ((await operate(core, 'OS.cortex')) as { sidecar: { state: string } | null }).sidecar?.state;
  for (let tries = 0; (await state()) !== 'warm'; tries++) {
    assert.ok(tries < 200, 'the sidecar never became warm');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

test('words become the parameters that a schema asks for, and wrong parameters are repaired once', async () => {
  await using service = await startService(json({ done: true }));
  await using small = await sidecarServer((asked) => (asked.includes('forty') ? { room: 'kitchen', percent: 40 } : { room: 'hall' }));
  await using core = await openCore(registryOf(service.url, small.url));
  await warm(core);
  const typed = await core.ask({ route: 'HOM.lamps', text: 'forty percent light in the kitchen' });
  const wrong = await core.ask({ route: 'HOM.lamps', params: { rom: 'hall' } });
  const right = await core.ask({ route: 'HOM.lamps', params: { room: 'attic' } });
  const sent = service.ledger.filter(({ url }) => url === '/lamps').map(({ body }) => JSON.parse(body).context ?? JSON.parse(body));
  assert.deepEqual(
    [typed, wrong, right].map(({ ok, boundaries }) => [ok, boundaries.find(({ boundary }) => boundary === 'sidecar')?.outcome]),
    [
      [true, 'rewrote'],
      [true, 'rewrote'],
      [true, 'passed'],
    ],
  );
  assert.deepEqual(
    sent.map(({ room, percent }) => ({ room, percent })),
    [
      { room: 'kitchen', percent: 40 },
      { room: 'hall', percent: undefined },
      { room: 'attic', percent: undefined },
    ],
  );
});

test('a tie of the operator is broken by the sidecar, and by nobody when it is not configured', async () => {
  await using service = await startService(json({ done: true }));
  await using small = await sidecarServer(() => ({ route: 'HOM.blinds' }));
  const words = 'something about the kitchen, you know';
  await using alone = await openCore(registryOf(service.url, null));
  const undecided = await alone.ask({ text: words, ask: true });
  await using core = await openCore(registryOf(service.url, small.url));
  await warm(core);
  const decided = await core.ask({ text: words, ask: true });
  assert.deepEqual(
    [undecided.error?.code, undecided.boundaries.some(({ boundary }) => boundary === 'sidecar'), decided.route, decided.why],
    ['route_uncertain', false, 'HOM.blinds', 'the sidecar took HOM.blinds of 2 that were near'],
  );
  // Not that of whoever was nearest.
  assert.equal(decided.confidence, undecided.error!.choices!.find(({ route }) => route === 'HOM.blinds')!.confidence);
});

test('a core that shuts down while the sidecar thinks runs nothing more', async () => {
  await using service = await startService(json({ done: true }));
  const thinking = Promise.withResolvers<void>();
  await using small = await startService(({ url, body }: Seen, response) => {
    if (url !== '/v1/chat/completions') return json({ object: 'list', data: [{ id: 'small', object: 'model' }] })({} as Seen, response);
    if (body.includes('slowly')) return thinking.resolve();
    json({ choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }] })({} as Seen, response);
  });
  const core = await openCore(registryOf(service.url, small.url));
  await warm(core);
  const asked = core.ask({ route: 'HOM.lamps', text: 'slowly dim the lights' });
  await thinking.promise;
  await core[Symbol.asyncDispose]();
  assert.deepEqual([(await asked).error?.code, service.ledger.filter(({ url }) => url === '/lamps')], ['shutting_down', []]);
});
