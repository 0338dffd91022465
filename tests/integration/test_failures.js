'use strict';
// The n-th call fails: disk, maps, threads, sockets, memory, one set after the other, n after n, until a life of
// runbookd passes without reaching the failure. It may refuse, or end with a sentence and a status; it may never be
// ended by a signal, hang, damage the store, or lose what it has acknowledged.
//
//     RUNBOOK_TEST_EVERY=1 node test_failures.js disk    every single call; without it a sample of the long sets

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, comment, sleep, TIME_FACTOR } = require('./lib/tap.js');
const { House, context } = require('./lib/house.js');
const { call, wait, waitForEvent, runbook } = require('./lib/runbooks.js');
const { randomUUID } = require('node:crypto');

const FAIL_NTH = process.env.FAIL_NTH || path.join(__dirname, '../../build/tests/tools/fail_nth/fail_nth.so');
const EVERY = Boolean(process.env.RUNBOOK_TEST_EVERY);
const LIFE_LIMIT_MS = 20000 * TIME_FACTOR; // a life takes 0.2 s; longer than this is a hang
const ANSWER_MS = 500 * TIME_FACTOR;

let house, alice, definition, url;
const started = []; // executions that were acknowledged, in whatever life

/** Start @runbookId's execution; true if it was acknowledged. */
async function startOne(key) {
  try {
    const reply = await alice.cmd(
      'start',
      { runbookId: definition.id, context: context(), input: { key } },
      { timeoutMs: ANSWER_MS },
    );
    if (reply.ok) started.push({ id: reply.body.executionId, key });
    return reply.ok;
  } catch {
    return false; // no engine, or no answer
  }
}

const event = (key) =>
  alice
    .event('go', { correlationId: key, payload: 1 }, { timeoutMs: ANSWER_MS })
    .catch(() => {});

/** Is it up? False when it ended instead. */
async function comesUp(engine) {
  const deadline = Date.now() + LIFE_LIMIT_MS / 2;
  while (engine.isRunning && Date.now() < deadline) {
    try {
      if ((await alice.request(alice.subject('query', 'stats'), undefined, { timeoutMs: 300 })).ok) return true;
    } catch {
      await sleep(5);
    }
  }
  return false;
}

/** One life with failure number @n of @set. Gives {exit, marks, calls, hung}. */
async function life(set, n, extra = {}) {
  const mark = path.join(house.dir, 'mark');
  fs.rmSync(mark, { force: true });
  const engine = house.startEngine({
    LD_PRELOAD: FAIL_NTH,
    RUNBOOK_FAIL_PROGRAM: 'runbookd',
    RUNBOOK_FAIL_SET: set,
    RUNBOOK_FAIL_NTH: String(n),
    RUNBOOK_FAIL_MARK: mark,
    ASAN_OPTIONS: `${process.env.ASAN_OPTIONS || ''}:verify_asan_link_order=0`,
    DRAIN_TIMEOUT_MS: '2000',
    ...extra,
  });
  if (await comesUp(engine)) {
    const key = `${set}${n}-${randomUUID()}`;
    if (await startOne(key)) await event(key);
    await startOne(`${key}b`);
    await sleep(30);
  }
  engine.child.kill('SIGTERM');
  const exit = await Promise.race([engine.ended, sleep(LIFE_LIMIT_MS)]);
  if (!exit) await engine.end('SIGKILL');
  const lines = fs.existsSync(mark) ? fs.readFileSync(mark, 'utf8').trim().split('\n').filter(Boolean) : [];
  const calls = lines.find((l) => l.startsWith('calls '));
  return {
    exit: exit || engine.exit,
    hung: !exit,
    marks: lines.filter((l) => l !== calls),
    calls: calls ? Number(calls.slice(6)) : undefined,
  };
}

/** Everything that was ever acknowledged is there, and goes on to its end. */
async function nothingLost() {
  house.startEngine();
  await house.engineReady();
  for (const { id, key } of started.splice(0)) {
    const x = await alice.execution(id);
    if (['completed', 'failed'].includes(x.status)) continue;
    await alice.event('go', { correlationId: key, payload: 1 });
    await alice.until(id, (y) => ['completed', 'failed'].includes(y.status), { timeoutMs: 20000 });
  }
  await house.engine.end();
}

/** Numbers from 1 to @total: all of them, or an evenly spread @most with the first ones dense. */
function numbers(total, most) {
  const all = Array.from({ length: total }, (_, i) => i + 1);
  if (EVERY || total <= most) return all;
  return all.filter((n) => n <= most / 4 || Math.floor((n * most) / total) !== Math.floor(((n - 1) * most) / total));
}

async function every(set, most, extra) {
  const { calls, exit } = await life(set, 0, extra);
  assert.deepEqual(exit, { code: 0, signal: null }, 'without a failure it ends as asked');
  assert.ok(calls > 0, `${set}: nothing was counted`);
  let reached = 0;
  const outcomes = {};
  for (const n of numbers(Math.ceil(calls * 1.1), most)) {
    const from = house.engine.logText().length;
    const { exit: end, marks, hung } = await life(set, n, extra);
    const what = `${set} call ${n} of ${calls} (${marks.join(', ') || 'not reached'})`;
    assert.ok(!hung, `${what}: it hangs`);
    // SIGTERM may come before the program listens for it: then nothing has begun.
    const early = end.signal === 'SIGTERM';
    assert.ok(!end.signal || early, `${what}: ended by ${end.signal}`);
    assert.ok([0, 1, 2, 70].includes(end.code) || early, `${what}: status ${end.code}`);
    if (end.code) {
      const said = house.engine.logText().slice(from);
      assert.match(said, /"level":"error".*|runbookd: /, `${what}: it says nothing`);
    }
    outcomes[early ? 'early' : end.code] = (outcomes[early ? 'early' : end.code] || 0) + 1;
    if (marks.length > 0) {
      reached += 1;
      await house.checkStore(house.dataDir, []);
    }
    if (n % 25 === 0) await nothingLost();
  }
  await nothingLost();
  await house.checkStore();
  comment(`${set}: ${calls} calls in a life, ${reached} failures; ends by status: ${JSON.stringify(outcomes)}`);
  assert.ok(reached > 0, `${set}: no failure was ever reached`);
}

const LIMITS = { timeoutMs: EVERY ? 3600000 : 150000 };
test('every call for the disk (EIO)', LIMITS, () => every('disk', 48));
test('every call for the disk (ENOSPC)', LIMITS, () => every('disk', 20, { RUNBOOK_FAIL_ERRNO: '28' }));
test('every map', LIMITS, () => every('map', 40, { RUNBOOK_FAIL_ERRNO: '12' }));
test('every thread and process', LIMITS, () => every('thread', 24, { RUNBOOK_FAIL_ERRNO: '11' }));
test('every call for a socket', LIMITS, () => every('socket', 24, { RUNBOOK_FAIL_ERRNO: '104' }));
test('allocations, one at a time', LIMITS, () => every('memory', 40));
test('allocations, forty in a row', LIMITS, () => every('memory', 16, { RUNBOOK_FAIL_RUN: '40' }));
test('allocations, none from one on', LIMITS, () => every('memory', 16, { RUNBOOK_FAIL_RUN: '1000000000' }));

run(async () => {
  house = await House.start({ engine: false });
  alice = house.person('alice');
  url = house.receiver.url;
  definition = runbook('frail', [
    call('a', `${url}/a`),
    wait('w', 1, ['a']),
    waitForEvent('e', 'go', ['w'], { correlationId: '${input.key}', timeoutMs: 600000 }),
    call('b', `${url}/b`, ['e']),
  ]);
  house.startEngine();
  await house.engineReady();
  await alice.register(definition);
  await house.engine.end();
});
