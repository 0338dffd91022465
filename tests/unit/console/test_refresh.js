// Reading state again: never two questions at a time, nothing forgotten, again by itself after a failure that passes.

import './setup.js';
import assert from 'node:assert/strict';
import test from 'node:test';
import { refresher } from '../../../src/gateway/console/refresh.js';

/** A refresher whose questions the test answers: `asked` holds {signal, answer(), fail(error)}. */
function make(options = {}) {
  const asked = [];
  const errors = [];
  const it = refresher({
    leastMs: 5,
    read: (signal) =>
      new Promise((resolve, reject) => asked.push({ signal, answer: resolve, fail: reject })),
    failed: (e) => errors.push(e),
    ...options,
  });
  return { it, asked, errors };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function count(asked, n) {
  for (let i = 0; i < 200 && asked.length < n; i++) await sleep(5);
  assert.equal(asked.length, n);
}

test('what happens while a question is under way is asked about behind it, not beside it', async () => {
  const { it, asked } = make();
  it.now();
  for (let i = 0; i < 5; i++) it.soon();
  it.now();
  await sleep(30);
  assert.equal(asked.length, 1);
  asked[0].answer();
  await count(asked, 2);
  asked[1].answer();
  await sleep(40);
  assert.equal(asked.length, 2, 'once for all of them');
  it.close();
});

test('crowds of events are one question', async () => {
  const { it, asked } = make();
  for (let i = 0; i < 100; i++) it.soon();
  await count(asked, 1);
  asked[0].answer();
  await sleep(40);
  assert.equal(asked.length, 1);
  it.close();
});

test('a failure that passes is tried again, one that does not is not', async () => {
  const { it, asked, errors } = make();
  it.now();
  asked[0].fail(Object.assign(new Error('not yours'), { status: 403 }));
  await sleep(30);
  assert.equal(errors.length, 1);
  await sleep(1700);
  assert.equal(asked.length, 1);
  it.now();
  asked[1].fail(Object.assign(new Error('no engine'), { status: 503 }));
  await sleep(2000);
  await count(asked, 3);
  // Somebody who can't wait, or an event, does not have to.
  asked[2].fail(Object.assign(new Error('no engine'), { status: 0 }));
  await sleep(5);
  it.soon();
  await sleep(60);
  assert.equal(asked.length, 4);
  asked[3].answer();
  it.close();
});

test('another question breaks off the one under way, whose answer no longer counts', async () => {
  const { it, asked, errors } = make();
  it.now();
  it.restart();
  assert.equal(asked.length, 2);
  assert.ok(asked[0].signal.aborted);
  asked[0].fail(new Error('aborted'));
  await sleep(10);
  assert.deepEqual(errors, []);
  it.close();
  assert.ok(asked[1].signal.aborted);
  it.soon();
  it.now();
  it.restart();
  await sleep(30);
  assert.equal(asked.length, 2, 'closed is closed');
});
