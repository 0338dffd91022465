'use strict';
// A store without its engine: the consistency check, and copies taken while the engine works.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, eventually } = require('./lib/tap.js');
const { House, Program, RUNBOOKD } = require('./lib/house.js');
const { call, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice, url, definition;

/** Start @n executions, ten at a time; gives their ids. */
async function startMany(n, from = 0) {
  const ids = [];
  for (let i = 0; i < n; i += 10) {
    const group = Array.from({ length: Math.min(10, n - i) }, (_, k) =>
      alice.startId(definition.id, { key: `k${from + i + k}` }),
    );
    ids.push(...(await Promise.all(group)));
  }
  return ids;
}

test('a running engine keeps the check out, with a sentence that says what to do', async () => {
  const { code, out, err } = await house.tool(['--check', house.dataDir]);
  assert.equal(code, 2);
  assert.equal(out, '');
  assert.match(err, new RegExp(`in use by another engine \\(process ${house.engine.child.pid}\\)`));
  assert.match(err, /--backup/);
});

test('what is no data directory is named', async () => {
  for (const [dir, sentence] of [
    [path.join(house.dir, 'nowhere'), /No such file/],
    [house.dir, /not a data directory/],
    [house.engine.logFile, /not a directory/],
  ]) {
    const { code, err } = await house.tool(['--check', dir]);
    assert.equal(code, 2, dir);
    assert.match(err, sentence);
    assert.ok(err.includes(dir));
  }
  assert.equal(fs.existsSync(path.join(house.dir, 'nowhere')), false, 'nothing was made');
});

test('copies taken under load are whole, each of them', { timeoutMs: 90000 }, async () => {
  let over = false;
  await startMany(10);
  const load = (async () => {
    for (let n = 10; !over; n += 20) await startMany(20, n);
  })();
  try {
    for (let i = 0; i < 5; i++) {
      const copy = path.join(house.dir, `copy${i}`);
      const { code, err } = await house.tool(['--backup', house.dataDir, copy]);
      assert.equal(code, 0, err);
      const { faultCount, checked } = JSON.parse(await house.checkStore(copy, ['--json']));
      assert.equal(faultCount, 0);
      assert.ok(checked.executions > 0);
    }
  } finally {
    over = true;
    await load;
  }
  const second = await house.tool(['--backup', house.dataDir, path.join(house.dir, 'copy0')]);
  assert.notEqual(second.code, 0);
  assert.match(second.err, /not empty; a backup never overwrites/);
});

test('runbook backup: a copy that was checked', async () => {
  const copy = path.join(house.dir, 'by-cli');
  const { code, out, err } = await house.cli(['backup', house.dataDir, copy, '--runbookd', RUNBOOKD]);
  assert.equal(code, 0, err);
  assert.match(out, /^copied .* to .*by-cli\nchecked .*\n0 fault\(s\)\n$/);
  const again = await house.cli(['backup', house.dataDir, copy, '--runbookd', RUNBOOKD]);
  assert.equal(again.code, 1);
  assert.match(again.err, /never overwrites/);
  const lost = await house.cli(['backup', house.dataDir, copy, '--runbookd', '/nowhere/runbookd']);
  assert.equal(lost.code, 1);
  assert.match(lost.err, /there is no \/nowhere\/runbookd here/);
});

test('an engine that is started without stdin, stdout and stderr writes no log into its store', async () => {
  await house.engine.end();
  const bare = new Program(
    'runbookd',
    '/bin/sh',
    ['-c', 'exec "$0" <&- >&- 2>&-', RUNBOOKD],
    { ...house.engineEnv(), LOG_LEVEL: 'debug' },
    path.join(house.dir, 'bare.log'),
  );
  house.programs.push(bare);
  house.engine = bare;
  await house.engineReady();
  await startMany(10, 5000);
  assert.equal((await bare.end()).code, 0);
  assert.equal(fs.readFileSync(path.join(house.dataDir, 'data.mdb')).includes('"message":"ready"'), false);
  await house.checkStore();
  house.startEngine();
  await house.engineReady();
});

test('the check of a stopped engine: all journals replayed, no fault', async () => {
  await house.engine.end();
  const told = JSON.parse(await house.checkStore(house.dataDir, ['--deep', '--json']));
  assert.equal(told.faultCount, 0);
  assert.deepEqual(told.faults, []);
  assert.equal(told.replayed, told.checked.executions);
  assert.ok(told.checked['lifecycle events'] > told.checked.executions);
  const text = await house.checkStore(house.dataDir, []);
  assert.match(text, /\n0 fault\(s\)\n$/);
});

test('a store with a page that was altered has faults, and the exit status says so', async () => {
  const dir = path.join(house.dir, 'altered');
  fs.mkdirSync(dir);
  const data = fs.readFileSync(path.join(house.dataDir, 'data.mdb'));
  // Somebody gives himself the name of another user in every plainly stored text.
  const changed = Buffer.from(data.toString('latin1').replaceAll('alice', 'mally'), 'latin1');
  assert.notDeepEqual(changed, data);
  fs.writeFileSync(path.join(dir, 'data.mdb'), changed);
  const { code, out } = await house.tool(['--check', dir, '--json']);
  assert.equal(code, 1);
  const told = JSON.parse(out);
  assert.ok(told.faultCount > 0 && told.faults.length > 0);
  for (const f of told.faults) assert.ok(f.table && f.sentence);
});

test('an engine carries on from a copy', async () => {
  fs.rmSync(house.dataDir, { recursive: true });
  fs.renameSync(path.join(house.dir, 'copy4'), house.dataDir);
  house.startEngine({}, ['--adopt-restored']);
  await house.engineReady();
  for (const x of await alice.all('executions', 'executions', { status: 'running' }))
    await alice.event('go', { correlationId: (await alice.execution(x.id)).input.key, payload: 1 });
  await eventually(async () => (await alice.all('executions', 'executions', { status: 'running' })).length === 0, {
    what: 'all executions of the copy to end',
    timeoutMs: 30000,
  });
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  definition = runbook('stored', [
    call('a', `${url}/a`),
    wait('w', 5, ['a']),
    waitForEvent('e', 'go', ['w'], { correlationId: '${input.key}', timeoutMs: 600000 }),
  ]);
  await alice.register(definition);
});
