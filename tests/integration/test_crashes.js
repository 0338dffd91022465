'use strict';
// Hard ends: kill -9 before every system call that writes, a disk that fills up and is given room again and again,
// a process that is stopped past its deadlines, many engines on one directory.

const fs = require('node:fs');
const path = require('node:path');
const { execFileSync } = require('node:child_process');
const { randomBytes, randomUUID } = require('node:crypto');
const { test, run, assert, atEnd, comment, eventually, sleep, TIME_FACTOR } = require('./lib/tap.js');
const { House, Program, RUNBOOKD, context } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { approval, call, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

// What LMDB and the data directory are written with. A call is counted for each thread by itself.
const WRITE_CALLS = 'pwrite64,pwritev,write,fdatasync,fsync,ftruncate,rename';
const KILLS_MOST = 60; // no life has that many writes in one thread
let house, alice, url, definition;

function works(command, args) {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A case that this machine can't run says why instead. */
function skipped(why) {
  comment(`SKIP ${why}`);
}

// ---- kill -9 before every write --------------------------------------------------------------------------------

const started = [];

/** A careful client: what is answered is noted. Gives false when there is nobody to answer. */
async function startOne() {
  const key = `k${randomUUID()}`;
  try {
    const options = { timeoutMs: 700 * TIME_FACTOR };
    const reply = await alice.cmd('start', { runbookId: definition.id, context: context(), input: { key } }, options);
    if (!reply.ok) return false;
    started.push({ id: reply.body.executionId, key });
    await alice.event('go', { correlationId: key, payload: 1 }, options);
    return true;
  } catch {
    return false;
  }
}

/** A life that is killed before the @n-th write of some thread. True: it was. */
async function killedAt(n) {
  const args = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${WRITE_CALLS}`];
  args.push('-e', `inject=${WRITE_CALLS}:signal=SIGKILL:when=${n}`, '--', RUNBOOKD);
  const log = path.join(house.dir, 'runbookd.log');
  const engine = new Program('runbookd', 'strace', args, { ...house.engineEnv(), LOG_LEVEL: 'error' }, log);
  house.engine = engine;
  house.programs.push(engine);
  const deadline = Date.now() + 5000 * TIME_FACTOR;
  while (engine.isRunning && Date.now() < deadline)
    if (await startOne()) break;
    else await sleep(10);
  for (let i = 0; i < 3 && engine.isRunning; i++) await startOne();
  await Promise.race([engine.ended, sleep(100)]);
  const killed = !engine.isRunning;
  await engine.end('SIGKILL');
  return killed;
}

test('kill -9 before every write: nothing is lost, the store is whole', { timeoutMs: 240000 }, async () => {
  const probe = ['-qq', '-o', '/dev/null', '-e', 'trace=fsync', '-e', 'inject=fsync:signal=SIGKILL:when=9', 'true'];
  if (!works('strace', probe)) return skipped('strace is missing or may not trace here');
  let kills = 0;
  let lost = 0;
  await house.engine.end();
  for (let n = 1; n <= KILLS_MOST; n++) {
    if (!(await killedAt(n))) break;
    kills += 1;
    await house.checkStore(house.dataDir, []);
    if (n % 8 && n > 1) continue;
    house.startEngine();
    await house.engineReady();
    for (const { id, key } of started.splice(0)) {
      await alice.event('go', { correlationId: key, payload: 1 });
      await alice.until(id, 'completed', { timeoutMs: 20000 });
      lost += chainFault(await alice.all(`history.${id}`, 'events')) !== null;
    }
    await house.engine.end('SIGKILL');
  }
  comment(`${kills} kills`);
  assert.equal(lost, 0);
  assert.ok(kills >= 10, `${kills} kills`);
  house.startEngine();
  await house.engineReady();
  for (const { id, key } of started.splice(0)) {
    await alice.event('go', { correlationId: key, payload: 1 });
    await alice.until(id, 'completed', { timeoutMs: 20000 });
  }
  await house.engine.end();
  await house.checkStore();
  assert.equal(house.receiver.keys('/a').size, new Set(house.receiver.toPath('/a').map((r) => r.text)).size);
  house.startEngine();
  await house.engineReady();
});

// ---- a disk that fills up --------------------------------------------------------------------------------------

test('a full disk: starts are refused, people go on, room brings it back', { timeoutMs: 120000 }, async () => {
  const disk = path.join(house.dir, 'disk');
  fs.mkdirSync(disk);
  if (!works('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'runbook-test', disk]))
    return skipped('mounting a small file system needs root');
  atEnd(() => works('umount', ['-l', disk]));
  await house.engine.end();
  const env = { DATA_DIR: path.join(disk, 'data'), LOG_LEVEL: 'warn' };
  house.startEngine(env);
  await house.engineReady();
  const full = runbook('full', [
    approval('ok', ['bob'], 1),
    waitForEvent('e', 'go', ['ok'], { correlationId: '${input.key}' }),
  ]);
  await alice.register(full);
  const bob = house.person('bob');
  const text = () => randomBytes(45000).toString('base64'); // nothing that packing makes smaller
  for (let cycle = 0; cycle < 3; cycle++) {
    const open = [];
    let refusal;
    for (let i = 0; i < 2000 && !refusal; i++) {
      const key = `c${cycle}-${i}`;
      const reply = await alice.start(full.id, { key, text: text() });
      if (reply.ok) open.push({ id: reply.body.executionId, key });
      else refusal = reply;
    }
    assert.equal(refusal?.error, 'STORE_FULL');
    assert.equal(refusal.status, 507);
    assert.ok(open.length > 5, `only ${open.length} went in`);
    comment(`cycle ${cycle}: ${open.length} executions, then STORE_FULL`);
    // Approving, cancelling and finishing have room kept for them.
    for (const [i, { id, key }] of open.slice(0, 30).entries()) {
      if (i % 3 === 2) {
        const reply = await alice.cmd(`cancel.${id}`, { reason: 'full' });
        assert.ok(reply.ok, reply.text);
        continue;
      }
      const vote = await bob.cmd(`approve.${id}.ok`, { decision: 'approved' });
      assert.ok(vote.ok, vote.text);
      const event = await alice.event('go', { correlationId: key, payload: 1 });
      assert.equal(event.body.status, 'delivered', event.text);
      assert.equal((await alice.execution(id)).status, 'completed');
    }
    assert.equal((await alice.start(full.id, { key: 'no', text: 'small' })).error, 'STORE_FULL', 'it is still full');
    assert.ok(works('mount', ['-o', `remount,size=${12 + 6 * cycle}m`, disk]));
    await eventually(async () => (await alice.start(full.id, { key: `again${cycle}`, text: 'x' })).ok, {
      what: 'a start, with room again',
    });
    if (cycle === 1) await house.restartEngine('SIGKILL', env);
  }
  await house.engine.end();
  await house.checkStore(env.DATA_DIR);
  house.startEngine();
  await house.engineReady();
});

/** T: stopped. */
const threadState = (pid, thread) =>
  fs
    .readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .charAt(0);

// ---- stopped ---------------------------------------------------------------------------------------------------

test('stopped past its deadlines it goes on: each fires once, none early', { timeoutMs: 60000 }, async () => {
  house.receiver.on('/never', { hang: true });
  const late = runbook('late', [
    call('c', `${url}/never`, [], {
      timeoutMs: 1000,
      retryPolicy: { maxAttempts: 1, initialDelayMs: 0, maxDelayMs: 0, backoffMultiplier: 1 },
      onFailure: 'continue',
    }),
    wait('w', 1200),
    approval('ok', ['bob'], 1, [], { approvalConfig: { timeoutMs: 1500 }, onFailure: 'continue' }),
    call('d', `${url}/after`, ['w']),
  ]);
  await alice.register(late);
  const id = await alice.startId(late.id, {});
  await alice.stepStatus(id, 'w', 'waiting');
  const { pid } = house.engine.child;
  process.kill(pid, 'SIGSTOP');
  const states = () => fs.readdirSync(`/proc/${pid}/task`).map((t) => threadState(pid, t));
  await eventually(() => states().every((s) => s === 'T'), { what: 'all of its threads to stop' });
  await assert.rejects(alice.request(alice.subject('query', 'stats'), undefined, { timeoutMs: 300 }));
  await sleep(3000);
  assert.equal(house.receiver.toPath('/after').length, 0, 'nothing happens while it stands');
  process.kill(pid, 'SIGCONT');
  const x = await alice.ended(id, { timeoutMs: 20000 });
  assert.equal(x.stepResults.w.status, 'completed');
  assert.equal(x.stepResults.c.status, 'failed');
  assert.equal(x.stepResults.ok.status, 'failed');
  assert.ok(x.stepResults.w.durationMs >= 1200);
  assert.equal(house.receiver.toPath('/after').length, 1);
  assert.equal(house.receiver.toPath('/never').length, 1);
  const history = await alice.all(`history.${id}`, 'events');
  assert.equal(chainFault(history), null);
  assert.equal(history.filter((e) => e.type === 'runbook.approval.expired').length, 1);
  assert.equal(chainFault((await house.auditOf(id)).map((m) => m.body)), null);
});

// ---- many engines ----------------------------------------------------------------------------------------------

test('eight engines on one directory at once: one runs, seven say who', { timeoutMs: 60000 }, async () => {
  await house.engine.end();
  const log = (i) => path.join(house.dir, `crowd${i}.log`);
  const crowd = Array.from(
    { length: 8 },
    (_, i) => new Program(`crowd${i}`, RUNBOOKD, [], { ...house.engineEnv(), PORT: '0' }, log(i)),
  );
  await eventually(() => crowd.filter((p) => p.isRunning).length === 1, { what: 'all but one to end' });
  await sleep(300);
  const [winner] = crowd.filter((p) => p.isRunning);
  assert.ok(winner, 'one goes on');
  for (const p of crowd.filter((q) => q !== winner)) {
    assert.deepEqual(p.exit, { code: 1, signal: null });
    assert.match(p.logText(), /in use by another engine/);
  }
  house.engine = winner;
  await house.engineReady();
  await winner.end();
  await house.checkStore();
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  definition = runbook('hard', [
    call('a', `${url}/a`, [], { config: { body: { key: '${input.key}' } } }),
    waitForEvent('e', 'go', ['a'], { correlationId: '${input.key}', timeoutMs: 600000 }),
  ]);
  await alice.register(definition);
});
