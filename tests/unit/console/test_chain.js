// Canonical JSON and the hash chain.

import './setup.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import test from 'node:test';
import { isWhatWasShown } from '../../../src/gateway/console/approval_hash.js';
import { canonical, sha256 } from '../../../src/gateway/console/canonical.js';
import { verifyChain, ZEROS } from '../../../src/gateway/console/chain.js';

const other = createRequire(import.meta.url)('../../integration/lib/canonical.js');
const nodeHash = (text) => createHash('sha256').update(text).digest('hex');

test('the example of RFC 8785', () => {
  const value = {
    numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
    literals: [null, true, false],
  };
  assert.equal(
    canonical(value),
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
});

test('members are in the order of UTF-16 code units', () => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, 1: 4, '\u{1f600}': 5, '\u0080': 6, '\u00f6': 7 };
  assert.deepEqual(
    [...canonical(value).matchAll(/:(\d)/g)].map((m) => Number(m[1])),
    [2, 4, 6, 7, 1, 5, 3],
  );
});

test('the integration tests’ own canonical form agrees', () => {
  const canonicalOther = other.canonical || Object.values(other).find((f) => typeof f === 'function');
  for (const value of [0, -0, 1e21, 1e-7, 'ü\u2028', [], {}, { b: [1, { z: null, a: -1.5 }], a: '' }])
    assert.equal(canonical(value), canonicalOther(value));
});

test('SHA-256 is that of the text’s UTF-8', async () => {
  assert.equal(await sha256('€'), nodeHash('€'));
});

function makeChain(n) {
  const events = [];
  let prevhash = ZEROS;
  for (let sequence = 1; sequence <= n; sequence++) {
    const event = { sequence, type: 'runbook.step.completed', data: { attempt: sequence }, prevhash };
    event.hash = nodeHash(canonical(event));
    prevhash = event.hash;
    events.push(event);
  }
  return events;
}

test('a whole chain', async () => {
  const events = makeChain(50);
  const found = await verifyChain(events);
  assert.deepEqual([found.count, found.faultCount, found.last.hash], [50, 0, events[49].hash]);
  const half = await verifyChain(events.slice(20), { sequence: 20, hash: events[19].hash });
  assert.equal(half.faultCount, 0);
});

test('what was changed, taken out, put elsewhere or left out shows', async () => {
  const faults = async (change) => {
    const events = makeChain(10);
    change(events);
    return (await verifyChain(events)).faults.map((f) => `${f.fault} ${f.sequence}`);
  };
  assert.deepEqual(await faults((e) => (e[4].data.attempt = 99)), ['hash 5']);
  assert.deepEqual(await faults((e) => e.splice(4, 1)), ['gap 6', 'link 6']);
  assert.deepEqual(await faults((e) => e.shift()), ['gap 2', 'link 2']);
  assert.deepEqual(await faults((e) => ([e[3], e[4]] = [e[4], e[3]])), [
    'gap 5',
    'link 5',
    'gap 4',
    'link 4',
    'gap 6',
    'link 6',
  ]);
  assert.deepEqual(await faults((e) => (e[2] = { sequence: 3, omittedBytes: 9 })), ['omitted 3']);
  // Hashed anew after the change: the next one tells.
  assert.deepEqual(
    await faults((e) => {
      const { hash, ...rest } = e[4];
      rest.data = { attempt: 99 };
      e[4] = { ...rest, hash: nodeHash(canonical(rest)) };
    }),
    ['link 6'],
  );
});

test('what is shown for approval', async () => {
  const shown = {
    attempt: 1,
    executionId: 'x',
    input: { a: 1 },
    prompt: 'Go?',
    runbookDigest: 'd',
    stepPath: 's',
  };
  const hash = nodeHash(canonical(shown));
  assert.equal(await isWhatWasShown({ ...shown, hash }), true);
  assert.equal(await isWhatWasShown({ ...shown, prompt: 'Stop?', hash }), false);
  const silent = nodeHash(canonical({ ...shown, prompt: null }));
  assert.equal(await isWhatWasShown({ ...shown, prompt: undefined, hash: silent }), true);
});
