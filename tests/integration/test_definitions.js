'use strict';
// What registering finds wrong with a definition, before anything runs.

const { test, run, assert } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { step, runbook } = require('./lib/runbooks.js');

let house, alice;

const paths = (reply) => reply.body.details.map((d) => d.path).sort();
const count = (config, extra) => step('count', 'custom:wordcount', [], { ...(config && { config }), ...extra });

test("a plugin's schema refuses configs at registration, with their places", async () => {
  const bad = runbook('plugin', [
    count({ top: -1, minLength: 'three', color: 'red' }),
    { ...count({ top: 5000 }), id: 'again', dependsOn: ['count'] },
  ]);
  const reply = await alice.cmd('register', bad);
  assert.equal(reply.error, 'INVALID_RUNBOOK');
  assert.equal(reply.status, 400);
  assert.deepEqual(paths(reply), [
    '/steps/0/config/color',
    '/steps/0/config/minLength',
    '/steps/0/config/top',
    '/steps/1/config/top',
  ]);
  for (const d of reply.body.details) assert.match(d.message, /keyword/);
  const checked = await alice.query('validate', bad);
  assert.deepEqual(paths(checked), paths(reply), 'the query validate says the same');
  assert.equal((await alice.query(`runbook.${bad.id}`)).error, 'RUNBOOK_NOT_FOUND');
});

test('all faults come at once: those of the plugin beside all others', async () => {
  const bad = runbook('both', [count({ top: -1 }), step('x', 'wait', ['nowhere'], { config: { durationMs: 1 } })]);
  const reply = await alice.cmd('register', bad);
  assert.deepEqual(paths(reply), ['/steps/0/config/top', '/steps/1/dependsOn/0']);
});

test('what a template may still become is left to the attempt', async () => {
  const open = runbook('open', [count({ top: '${input.top}' }, { input: { text: 'a b a' } })]);
  await alice.register(open);
  const good = await alice.ended(await alice.startId(open.id, { top: 1 }));
  assert.equal(good.status, 'completed');
  const bad = await alice.ended(await alice.startId(open.id, { top: 'many' }));
  assert.equal(bad.stepResults.count.error.code, 'CONFIG_INVALID');
  const never = runbook('never', [count({ top: '${input.top}', color: '${input.color}' })]);
  assert.deepEqual(paths(await alice.cmd('register', never)), ['/steps/0/config/color']);
});

test('a registered definition stays, also when the plugin is gone', async () => {
  const definition = runbook('stays', [count({ top: 1 }, { input: { text: 'a' } })]);
  await alice.register(definition);
  await house.restartEngine('SIGTERM', { PLUGIN_DIR: '' });
  const id = await alice.startId(definition.id, {});
  await alice.stepStatus(id, 'count', 'running'); // a task for a worker, and there is none
  await house.restartEngine('SIGTERM');
  const x = await alice.ended(id);
  assert.equal(x.status, 'completed');
  assert.equal(x.stepResults.count.attemptNumber, 1, 'the same attempt is sent out again, to the plugin');
});

run(async () => {
  house = await House.start({ receiver: false });
  alice = house.person('alice');
});
