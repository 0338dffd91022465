'use strict';
// Two stores with one past: a restored, cloned or set-back store does nothing before somebody has said that it may,
// and who is taken over ends at once.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House, freePort } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { call, waitForEvent, runbook } = require('./lib/runbooks.js');

const EXIT_FENCED = 3;
let house, alice, url, definition;
let n = 0;

/** An execution that has made its first call and waits; go() lets it make the second. */
async function waiting() {
  const key = `k${++n}`;
  const id = await alice.startId(definition.id, { key });
  await alice.stepStatus(id, 'e', 'awaiting_event');
  return { id, key, go: () => alice.event('go', { correlationId: key, payload: 1 }) };
}

async function backup(name) {
  const dir = path.join(house.dir, name);
  const { code, err } = await house.tool(['--backup', house.dataDir, dir]);
  assert.equal(code, 0, err);
  return dir;
}

/** Start an engine that must refuse; gives what it said. */
async function refused(env = {}) {
  const from = fs.readFileSync(house.engine.logFile, 'utf8').length;
  const kept = house.engine;
  const engine = house.startEngine(env);
  const exit = await Promise.race([engine.ended, sleep(15000)]);
  await engine.end('SIGKILL');
  if (kept.isRunning) house.engine = kept;
  assert.deepEqual(exit, { code: 1, signal: null });
  return engine.logText().slice(from);
}

async function started(env, args) {
  house.startEngine(env, args);
  await house.engineReady();
}

test('restarts, also by kill -9 and without NATS, are nobody else’s start', { timeoutMs: 60000 }, async () => {
  await house.restartEngine('SIGKILL');
  await house.restartEngine('SIGTERM');
  await house.natsServer.end('SIGTERM');
  await house.engine.end('SIGKILL');
  house.startEngine();
  await eventually(() => /is not known yet/.test(house.engine.logText()), { what: 'a word about NATS being away' });
  await house.startNats();
  await house.engineReady();
  await house.restartEngine('SIGKILL');
});

test('a backup is not run on without a word, and makes no call', async () => {
  const x = await waiting();
  const copy = await backup('copy1');
  await x.go();
  await alice.until(x.id, 'completed'); // the original goes on; the copy still has that call before it
  await house.engine.end();
  const calls = house.receiver.requests.length;
  const said = await refused({ DATA_DIR: copy });
  assert.match(said, /This store is a copy/);
  assert.match(said, /--adopt-restored/);
  assert.equal(house.receiver.requests.length, calls);
});

test('adopted, it goes on: same keys, gapless audit; and the original is fenced off', async () => {
  const copy = path.join(house.dir, 'copy1');
  await started({ DATA_DIR: copy }, ['--adopt-restored']);
  const open = await alice.all('executions', 'executions', { status: 'running' });
  assert.equal(open.length, 1);
  const { id } = open[0];
  await alice.event('go', { correlationId: `k${n}`, payload: 1 });
  await alice.until(id, 'completed');
  const second = house.receiver.toPath('/b');
  assert.equal(second.length, 2);
  const keys = new Set(second.map((r) => r.key));
  assert.equal(keys.size, 1, 'the second call was made twice, by two stores, under one key: receivers can tell');
  assert.equal(chainFault(await alice.all(`history.${id}`, 'events')), null);
  await house.restartEngine('SIGKILL', { DATA_DIR: copy });
  await house.engine.end();
  assert.match(await refused(), /claimed this engine's identity on NATS/);
  await started({ DATA_DIR: copy });
  await house.engine.end();
});

test('the original can be taken back, on purpose', async () => {
  await started({}, ['--adopt-restored']);
  await house.restartEngine();
  await house.engine.end();
  assert.match(await refused({ DATA_DIR: path.join(house.dir, 'copy1') }), /claimed this engine's identity on NATS/);
  await started();
});

test('a clone beside its original is refused; adopted, it ends the original at once', async () => {
  const copy = await backup('copy2');
  const original = house.engine;
  assert.match(await refused({ DATA_DIR: copy }), /This store is a copy/);
  assert.equal(original.isRunning, true);
  assert.ok((await alice.query('stats')).ok);
  house.startEngine({ DATA_DIR: copy, PORT: String(await freePort()) }, ['--adopt-restored']);
  const exit = await Promise.race([original.ended, sleep(10000)]);
  assert.deepEqual(exit, { code: EXIT_FENCED, signal: null });
  assert.match(original.logText(), /fenced off/);
  await house.engineReady();
  await house.engine.end();
  await started({}, ['--adopt-restored']);
});

test('a disk that was set back (the same file, older content) is refused by what the bus knows', async () => {
  const copy = await backup('copy3');
  await house.restartEngine();
  await house.engine.end();
  fs.copyFileSync(path.join(copy, 'data.mdb'), path.join(house.dir, 'older'));
  const file = fs.openSync(path.join(house.dataDir, 'data.mdb'), 'r+');
  const content = fs.readFileSync(path.join(house.dir, 'older'));
  fs.ftruncateSync(file, 0);
  fs.writeSync(file, content, 0, content.length, 0);
  fs.closeSync(file);
  assert.match(await refused(), /claimed this engine's identity on NATS/);
  await started({}, ['--adopt-restored']);
  await house.engine.end();
});

test('a NATS server that has forgotten everything fences nobody off', async () => {
  await house.natsServer.end('SIGKILL');
  fs.rmSync(path.join(house.dir, 'jetstream'), { recursive: true });
  await house.startNats();
  await started();
  await house.restartEngine();
  const x = await waiting();
  await x.go();
  await alice.until(x.id, 'completed');
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  definition = runbook('fenced', [
    call('a', `${url}/a`),
    waitForEvent('e', 'go', ['a'], { correlationId: '${input.key}', timeoutMs: 600000 }),
    call('b', `${url}/b`, ['e']),
  ]);
  await alice.register(definition);
});
