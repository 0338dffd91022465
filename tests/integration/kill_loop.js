#!/usr/bin/env node
'use strict';
// kill -9 of runbookd at random moments while executions with HTTP steps run, until all have ended:
//
//     tests/integration/kill_loop.js [EXECUTIONS] [SEED]
//
// Nothing may be lost or doubled: every execution completes exactly once, each of its steps was called
// under one key, the history has no gap and its hash chain holds, in the engine and in the audit stream.

const { test, run, assert, eventually, sleep, comment } = require('./lib/tap.js');
const { randomUUID } = require('node:crypto');
const { House, context } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { call, conditional, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

const N = Number(process.argv[2] || process.env.RUNBOOK_TEST_KILLS || 200);
const SEED = Number(process.argv[3] || process.env.RUNBOOK_TEST_SEED || Date.now() % 1000000);
process.argv.length = 2; // the numbers are ours, not a case's title
const KILL_AFTER_MS = [15, 400]; // how long an engine may live after it answers, at least and at most
const KILLS_LEAST = 10; // where all is done before so many, there is more to do
const OUTSTANDING = 10; // executions under way at once

/** mulberry32: the same seed, the same moments. */
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

let house, alice;

test(`${N} executions under kill -9 (seed ${SEED})`, { timeoutMs: 120000 + N * 1000 }, async () => {
  const draw = random(SEED);
  const url = house.receiver.url;
  house.receiver.on('/step', async (r) => {
    await sleep(r.key.charCodeAt(0) % 8);
    return r.key.charCodeAt(1) % 11 === 0 &&
      house.receiver.toPath('/step').filter((q) => q.key === r.key).length === 1
      ? { status: 503 }
      : { body: { key: r.key } };
  });
  const policy = { maxAttempts: 100, initialDelayMs: 10, maxDelayMs: 50, backoffMultiplier: 2 };
  const definition = runbook('kill', [
    call('one', `${url}/step`, [], { retryPolicy: policy }),
    call('two', `${url}/step`, ['one'], { retryPolicy: policy }),
    conditional(
      'if',
      { field: 'two.key', operator: 'exists' },
      { dependsOn: ['two'], trueBranch: ['w'], falseBranch: ['never'] },
    ),
    wait('w', 15),
    wait('never', 1),
    waitForEvent('ev', 'kill.event', ['w'], { correlationId: '${input.key}', timeoutMs: 600000 }),
    call('three', `${url}/step`, ['ev'], { retryPolicy: policy }),
  ]);
  await alice.register(definition);

  let kills = 0;
  let over = false;
  const killer = (async () => {
    while (!over) {
      await sleep(KILL_AFTER_MS[0] + draw() * (KILL_AFTER_MS[1] - KILL_AFTER_MS[0]));
      if (over) break;
      await house.engine.end('SIGKILL');
      kills += 1;
      house.startEngine();
      await house.engineReady();
    }
  })();

  /** Ask with one command id until there is an answer. */
  const surely = (what, ask) =>
    eventually(
      async () => {
        const reply = await ask();
        if (!reply.ok) throw new Error(reply.text);
        return reply.body;
      },
      { what, timeoutMs: 60000, everyMs: 10 },
    );

  const executions = [];
  const one = async (i) => {
    const [startKey, eventKey, key] = [randomUUID(), randomUUID(), `k${i}`];
    const begun = await surely(`start ${i}`, () =>
      alice.cmd(
        'start',
        { runbookId: definition.id, context: context(), input: { key } },
        { id: startKey, timeoutMs: 700 },
      ),
    );
    await surely(`event ${i}`, () =>
      alice.event('kill.event', { correlationId: key, payload: { i } }, { id: eventKey, timeoutMs: 700 }),
    );
    await alice.until(begun.executionId, 'completed', { timeoutMs: 60000, everyMs: 50 });
    executions.push(begun.executionId);
  };
  let next = 0;
  const worker = async () => {
    while (next < N || kills < KILLS_LEAST) await one(next++);
  };
  try {
    await Promise.all(Array.from({ length: OUTSTANDING }, worker));
  } finally {
    over = true;
    await killer;
  }
  const total = next;
  comment(`${kills} kills, ${house.receiver.requests.length} calls for ${3 * total} steps`);

  assert.equal(new Set(executions).size, total, 'each start gave an execution of its own');
  const all = await alice.all('executions', 'executions', { runbookId: definition.id });
  assert.equal(all.length, total, 'no execution too many');
  assert.ok(all.every((x) => x.status === 'completed'));
  assert.equal(house.receiver.keys('/step').size, 3 * total, 'each step has one key');
  const perKey = new Map();
  for (const r of house.receiver.toPath('/step')) {
    const bodies = perKey.get(r.key) || perKey.set(r.key, new Set()).get(r.key);
    bodies.add(r.text);
  }
  for (const bodies of perKey.values()) assert.equal(bodies.size, 1, 'a repeated call says the same');
  for (const id of executions) {
    const history = await alice.all(`history.${id}`, 'events');
    assert.equal(chainFault(history), null, id);
    const ends = history.filter((e) => /^runbook\.execution\.(completed|failed|cancelled)$/.test(e.type));
    assert.equal(ends.length, 1, `${id} ended ${ends.length} times`);
    for (const s of ['one', 'two', 'three']) {
      const done = history.filter((e) => e.type === 'runbook.step.completed' && e.subject === `${id}/${s}`);
      assert.equal(done.length, 1, `${id}: ${s} completed ${done.length} times`);
    }
    assert.equal(history.filter((e) => e.type === 'runbook.event.received').length, 1, `${id}: one event`);
    const published = await house.auditOf(id);
    const unique = [...new Map(published.map((m) => [m.id, m.body])).values()];
    assert.deepEqual(unique, history, `${id}: the stream has what the engine has`);
    assert.equal(published.length, unique.length, `${id}: nothing is in the stream twice`);
  }
  await house.engine.end();
  comment(await house.checkStore());
});

run(async () => {
  house = await House.start();
  alice = house.person('alice');
});
