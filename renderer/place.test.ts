import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gpuPlaceOf, itemOf, placeOf, queueTabs } from './place.ts';

test('an address inside Queue leads back to where it was made', () => {
  for (const tab of queueTabs)
    for (const open of [null, 'job_1', 'files', 'a/b'])
      assert.deepEqual(placeOf(itemOf(tab, open), 'memory'), { tab, open }, `${tab} ${open}`);
});

test('without an address the tab that was last open is', () => {
  assert.deepEqual(placeOf(null, 'lanes'), { tab: 'lanes', open: null });
});

test('an address inside GPU names the tab and what is open in it; without one the tab that was last open is', () => {
  assert.deepEqual(
    ['models', 'models/a/b', null, 'elsewhere'].map((item) => gpuPlaceOf(item, 'grants')),
    [
      { tab: 'models', open: null },
      { tab: 'models', open: 'a/b' },
      { tab: 'grants', open: null },
      { tab: 'overview', open: null },
    ],
  );
});
