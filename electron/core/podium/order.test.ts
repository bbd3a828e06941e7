import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readOrder, weigh } from './order.ts';

const read = (params: Record<string, unknown>, text: string | null = null) => {
  const order = readOrder({ params, text });
  if ('code' in order) return `${order.code} ${order.issues?.[0]?.path ?? ''}`.trim();
  return 'command' in order ? { [order.kind]: order.command } : order.kind;
};

test('an action of seed 004, a command of Podium and plain words mean the same', () => {
  const orders = {
    ENQUEUE_STORY: [
      read({ action: 'enqueue_story', story_id: 'STORY-001' }),
      read({ type: 'ENQUEUE_STORY', storyId: 'STORY-001' }),
      read({}, 'play story-001'),
    ],
    ENQUEUE_PLAN: [
      read({ action: 'enqueue_plan', plan_id: 'SKOREQ-1' }),
      read({ type: 'ENQUEUE_PLAN', planId: 'SKOREQ-1' }),
      read({}, 'run skoreq-1'),
    ],
    CANCEL_STORY: [
      read({ action: 'halt', story_id: 'STORY-001' }),
      read({ type: 'CANCEL_STORY', storyId: 'STORY-001' }),
      read({}, 'stop STORY-001'),
    ],
  };
  for (const [type, same] of Object.entries(orders)) {
    assert.equal(Object.values(same[0] as object)[0].type, type);
    assert.deepEqual(same, [same[0], same[0], same[0]]);
  }
  assert.deepEqual([read({ action: 'halt' }), read({}, 'halt the orchestrator')], ['halt', 'halt']);
  assert.deepEqual([read({ action: 'status' }), read({}, 'show the queue of the orchestrator')], ['status', 'status']);
  assert.deepEqual(read({}, 'play the next story'), { command: { type: 'START_ORCHESTRATOR' } });
  assert.deepEqual(read({}, 'force STORY-9'), { enqueue: { type: 'FORCE_ENQUEUE_STORY', storyId: 'STORY-9' } });
});

test('what else is in the payload goes along; who asked from where does not', () => {
  const params = { action: 'enqueue_story', story_id: 'S1', nonce: 'nonce-123', priority: 3, source: 'command-center', user_id: 'mark' };
  assert.deepEqual(read(params), { enqueue: { nonce: 'nonce-123', priority: 3, storyId: 'S1', type: 'ENQUEUE_STORY' } });
});

test('what is no order is refused, and the member that does not fit is named', () => {
  const wrong: [Record<string, unknown>, string | null, string][] = [
    [{ action: 'enqueue_story' }, null, 'input_invalid params.story_id'],
    [{ action: 'enqueue_story', story_id: 7 }, null, 'input_invalid params.story_id'],
    [{ action: 'enqueue_plan', story_id: 'S1' }, null, 'input_invalid params.plan_id'],
    [{ action: 'dance' }, null, 'input_invalid params.action'],
    [{ type: 'cancel story' }, null, 'input_invalid params.type'],
    [{}, 'what a day', 'status'],
    [{}, 'sing me a song', 'input_invalid'],
    [{}, null, 'input_invalid'],
  ];
  for (const [params, text, expected] of wrong) assert.deepEqual(read(params, text), expected);
});

test('only what enqueues has a subject, and equal stories have equal ones however they are written', () => {
  const about = (params: Record<string, unknown>, text: string | null = null) => weigh({ params, text }).subject;
  assert.deepEqual(
    [
      about({ action: 'enqueue_story', story_id: 'story-1' }),
      about({ type: 'FORCE_ENQUEUE_STORY', storyId: 'STORY-1' }),
      about({}, 'queue story-1'),
    ],
    ['story:STORY-1', 'story:STORY-1', 'story:STORY-1'],
  );
  assert.equal(about({ action: 'enqueue_plan', plan_id: 'SKOREQ-1' }), 'plan:SKOREQ-1');
  assert.deepEqual([about({ action: 'halt', story_id: 'S1' }), about({ action: 'status' }), about({}, 'nonsense')], [null, null, null]);
});

test('asking is no action, whatever words it is asked in', () => {
  const asked = [
    { params: { action: 'status' }, text: null },
    { params: {}, text: 'show the queue of the orchestrator' },
    { params: {}, text: 'nonsense' },
    { params: { action: 'halt' }, text: null },
    { params: {}, text: 'play STORY-001' },
  ];
  assert.deepEqual(
    asked.map((each) => weigh(each).action),
    [false, false, false, true, true],
  );
});
