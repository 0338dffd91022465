'use strict';
// The engine stopped, killed, started twice: what is in the store counts, and only one engine may have it.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House, Program, RUNBOOKD, freePort } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { call, wait, runbook } = require('./lib/runbooks.js');

let house, alice, url;

test('a second engine on the same directory is refused with a sentence', async () => {
  const log = path.join(house.dir, 'second.log');
  const second = new Program('second', RUNBOOKD, [], { ...house.engineEnv(), PORT: String(await freePort()) }, log);
  const exit = await Promise.race([second.ended, sleep(10000)]);
  await second.end('SIGKILL');
  assert.ok(exit && exit.code > 0, `it ended with ${JSON.stringify(exit)}`);
  assert.match(fs.readFileSync(log, 'utf8'), /another|already|in use|lock/i);
  assert.equal(house.engine.isRunning, true);
  assert.ok((await alice.query('stats')).ok, 'the first goes on');
});

test('an attempt in flight is made again after kill -9, with the same key', async () => {
  let n = 0;
  house.receiver.on('/once', () => (++n === 1 ? { hang: true } : { body: { ok: 1 } }));
  const definition = runbook('again', [call('a', `${url}/once`), wait('b', 1, ['a'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await eventually(() => n === 1, { what: 'the first call' });
  await house.restartEngine('SIGKILL');
  const x = await alice.until(id, 'completed');
  assert.equal(house.receiver.toPath('/once').length, 2);
  assert.equal(house.receiver.keys('/once').size, 1);
  assert.equal(x.stepResults.a.attemptNumber, 1, 'it is the same attempt');
});

test('a timer that came due while the engine was away fires once, at once', async () => {
  const definition = runbook('overdue', [wait('w', 400), call('a', `${url}/overdue`, ['w'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.stepStatus(id, 'w', 'waiting');
  await house.engine.end('SIGKILL');
  await sleep(700);
  assert.equal(house.receiver.toPath('/overdue').length, 0);
  house.startEngine();
  await house.engineReady();
  await alice.until(id, 'completed');
  assert.equal(house.receiver.toPath('/overdue').length, 1);
});

test('a timer of the future does not fire early after a restart', async () => {
  const definition = runbook('future', [wait('w', 1500)]);
  await alice.register(definition);
  const begun = Date.now();
  const id = await alice.startId(definition.id, {});
  await house.restartEngine('SIGKILL');
  await house.restartEngine('SIGTERM');
  await alice.until(id, 'completed');
  assert.ok(Date.now() - begun >= 1500);
});

test('SIGTERM ends with status 0, promptly', async () => {
  const begun = Date.now();
  const exit = await house.engine.end('SIGTERM', 15000);
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.ok(Date.now() - begun < 8000, `${Date.now() - begun} ms`);
  house.startEngine();
  await house.engineReady();
});

test('a retry that was waiting for its time goes on after a restart', async () => {
  house.receiver.on('/flaky', (_, n) => (n <= 2 ? { status: 503 } : { body: {} }));
  const definition = runbook('retrying', [
    call('a', `${url}/flaky`, [], {
      retryPolicy: { maxAttempts: 5, initialDelayMs: 500, maxDelayMs: 500, backoffMultiplier: 1 },
    }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.stepStatus(id, 'a', 'retrying');
  await house.restartEngine('SIGKILL');
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.a.attemptNumber, 3);
  assert.equal(chainFault((await house.auditOf(id)).map((m) => m.body)), null);
});

test('a wrong setting stops the start with a sentence that names it', async () => {
  for (const [name, value] of [
    ['DEFAULT_MAX_RETRIES', 'many'],
    ['MAX_CONCURRENT_STEPS', '-1'],
    ['STORAGE_BACKEND', 'postgres'],
    ['DEFAULT_BACKOFF_MULTIPLIER', '0'],
    ['HTTP_ALLOW', '300.1.2.3/99'],
  ]) {
    const log = path.join(house.dir, `wrong-${name}.log`);
    const dir = path.join(house.dir, `wrong-${name}`);
    const wrong = new Program('wrong', RUNBOOKD, [], { ...house.engineEnv(), DATA_DIR: dir, [name]: value }, log);
    const exit = await Promise.race([wrong.ended, sleep(8000)]);
    await wrong.end('SIGKILL');
    assert.ok(exit && exit.code > 0, `${name}=${value}: ${JSON.stringify(exit)}`);
    assert.match(fs.readFileSync(log, 'utf8'), new RegExp(name), `${name}=${value}`);
  }
});

test('a store that is not ours, or damaged, is refused with a sentence', async () => {
  const dir = path.join(house.dir, 'damaged');
  fs.mkdirSync(dir);
  for (const name of fs.readdirSync(house.dataDir)) {
    if (fs.statSync(path.join(house.dataDir, name)).isFile())
      fs.writeFileSync(path.join(dir, name), Buffer.alloc(8192, 0x5a));
  }
  const log = path.join(house.dir, 'damaged.log');
  const engine = new Program(
    'damaged',
    RUNBOOKD,
    [],
    { ...house.engineEnv(), DATA_DIR: dir, PORT: String(await freePort()) },
    log,
  );
  const exit = await Promise.race([engine.ended, sleep(8000)]);
  await engine.end('SIGKILL');
  assert.ok(exit && exit.code > 0 && !exit.signal, JSON.stringify(exit));
  assert.ok(fs.readFileSync(log, 'utf8').includes(dir), fs.readFileSync(log, 'utf8'));
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
});
