import assert from 'node:assert/strict';
import { test } from 'node:test';
import { itemOf, placeOf, queueTabs } from './place.ts';

test('an address inside Queue leads back to where it was made', () => {
  for (const tab of queueTabs)
    for (const open of [null, 'job_1', 'files', 'a/b'])
      assert.deepEqual(placeOf(itemOf(tab, open), 'memory'), { tab, open }, `${tab} ${open}`);
});

test('without an address the tab that was last open is', () => {
  assert.deepEqual(placeOf(null, 'lanes'), { tab: 'lanes', open: null });
});
