'use strict';
// Steps within steps: loops, sub-runbooks, transforms and plugins, in combination and across a kill.

const { test, run, assert, eventually } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { step, call, approval, conditional, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url;

test('transform: jq over the step input', async () => {
  const definition = runbook('jq', [
    step('sum', 'transform', [], { config: { jq: '{total: (.numbers | add), n: (.numbers | length)}' } }),
    step('wrong', 'transform', ['sum'], { config: { jq: '.total / "x"' }, onFailure: 'continue' }),
  ]);
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, { numbers: [1, 2, 3.5] }), 'completed');
  assert.deepEqual(x.stepResults.sum.output, { n: 3, total: 6.5 });
  assert.equal(x.stepResults.wrong.error.code, 'TRANSFORM_ERROR');
});

test('a plugin runs the custom type that it offers; nobody else’s', async () => {
  const definition = runbook('plugin', [
    step('count', 'custom:wordcount', [], { config: { top: 1 }, input: { text: '${input.text}' } }),
    step('none', 'custom:nobody', ['count'], { retryPolicy: { maxAttempts: 1 }, timeoutMs: 500 }),
  ]);
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, { text: 'to be or not to be' }));
  assert.equal(x.stepResults.count.output.words, 6);
  assert.equal(x.stepResults.none.error.code, 'TIMEOUT'); // the task is for workers, and none asked for it
  assert.equal(x.status, 'failed');
});

test('a loop over a sub-runbook with an approval inside, killed and resumed', { timeoutMs: 60000 }, async () => {
  const inner = runbook('inner', [
    approval('ask', ['bob'], 1),
    call('act', `${url}/act`, ['ask'], { config: { body: { host: '${input.host}' } } }),
  ]);
  const outer = runbook('outer', [
    step('each', 'loop', [], {
      config: { bodyStepId: 'one' },
      loopConfig: { iterateOver: 'input.hosts', concurrency: 3 },
    }),
    step('one', 'run-runbook', [], {
      config: { runbookId: inner.id, input: { host: '${loop.item}' } },
    }),
    conditional('all', { field: 'each.iterations', operator: 'eq', value: 3 }, { dependsOn: ['each'] }),
  ]);
  await alice.register(inner);
  await alice.register(outer);
  const id = await alice.startId(outer.id, { hosts: ['a', 'b', 'c'] });
  await alice.stepStatus(id, 'one[2]', 'running');
  const children = async () =>
    (await alice.all('executions', 'executions', { runbookId: inner.id })).map((x) => x.id);
  const ids = await children();
  assert.equal(ids.length, 3);

  assert.ok((await alice.cmd(`pause.${id}`, {})).ok);
  await alice.until(id, 'paused');
  for (const child of ids) await alice.until(child, 'paused');
  await house.restartEngine('SIGKILL');
  for (const child of ids) assert.ok((await bob.cmd(`approve.${child}.ask`, { decision: 'approved' })).ok);
  await alice.until(id, 'paused');
  assert.equal(house.receiver.toPath('/act').length, 0, 'nothing runs while paused');
  assert.ok((await alice.cmd(`resume.${id}`, {})).ok);

  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.each.output.iterations, 3);
  assert.deepEqual(house.receiver.toPath('/act').map((r) => r.body.host).sort(), ['a', 'b', 'c']);
  assert.equal(x.stepResults.all.output.result, true);
  const child = await alice.execution(ids[0]);
  assert.equal(child.parentExecutionId, id);
  const verified = await alice.cmd(`replay.${id}`, { mode: 'verify' });
  assert.equal(verified.body.identical, true, JSON.stringify(verified.body));
});

test('a cancelled parent cancels its children', async () => {
  const inner = runbook('kid', [approval('ask', ['bob'], 1)]);
  const outer = runbook('parent', [step('sub', 'run-runbook', [], { config: { runbookId: inner.id } })]);
  await alice.register(inner);
  await alice.register(outer);
  const id = await alice.startId(outer.id, {});
  const list = await alice.all('executions', 'executions', { runbookId: inner.id });
  assert.ok((await alice.cmd(`cancel.${id}`, { reason: 'enough' })).ok);
  await alice.until(id, 'cancelled');
  await alice.until(list[0].id, 'cancelled');
});

test('input and output cross; status shows the tree; a pause reaches the child and waits for it', async () => {
  let release;
  house.receiver.on('/inner', () => new Promise((resolve) => (release = () => resolve({ body: { done: true } }))));
  const inner = runbook('inner', [call('work', `${url}/inner`), step('end', 'transform', ['work'], {
    config: { jq: '{got: .}' }, input: '${input.what}' })]);
  const outer = runbook('outer', [
    step('sub', 'run-runbook', [], { config: { runbookId: inner.id, input: { what: 'for ${input.who}' } } }),
    step('after', 'transform', ['sub'], { config: { jq: '.' }, input: '${sub.got}' }),
  ]);
  await alice.register(inner);
  await alice.register(outer);
  const id = await alice.startId(outer.id, { who: 'you' });
  const parent = await alice.until(id, (x) => x.stepResults.sub.childExecutionId);
  const childId = parent.stepResults.sub.childExecutionId;
  const child = await alice.execution(childId);
  assert.deepEqual([child.parentExecutionId, child.input], [id, { what: 'for you' }]);
  await eventually(() => release);
  assert.equal((await alice.cmd(`pause.${id}`, {})).body.status, 'pausing');
  await alice.until(childId, 'pausing');
  assert.equal((await alice.execution(id)).status, 'pausing', 'it waits for its child');
  release();
  await alice.until(childId, 'paused');
  await alice.until(id, 'paused');
  assert.equal((await alice.execution(childId)).stepResults.end.status, 'ready', 'nothing new starts in the child');
  assert.ok((await alice.cmd(`resume.${id}`, {})).ok);
  const x = await alice.ended(id);
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.stepResults.sub.output, { got: 'for you' });
  assert.equal(x.stepResults.after.output, 'for you');
  assert.equal((await alice.execution(childId)).status, 'completed');
});

test('a failed child fails its step, retried with a fresh child', async () => {
  let n = 0;
  house.receiver.on('/once-bad', () => ({ status: ++n === 1 ? 400 : 200, body: {} }));
  const inner = runbook('fragile', [call('c', `${url}/once-bad`)]);
  const outer = runbook('patient', [step('sub', 'run-runbook', [], { config: { runbookId: inner.id } })]);
  await alice.register(inner);
  await alice.register(outer);
  const x = await alice.ended(await alice.startId(outer.id, {}));
  assert.equal(x.status, 'failed');
  const first = x.stepResults.sub.childExecutionId;
  assert.ok((await alice.cmd(`retry.${x.id}.sub`, {})).ok);
  const y = await alice.ended(x.id);
  assert.equal(y.status, 'completed', JSON.stringify(y.error));
  assert.notEqual(y.stepResults.sub.childExecutionId, first);
});

test('the history of a runbook that calls itself ends at maxDepth', async () => {
  const definition = runbook('self', [], { maxDepth: 3 });
  definition.steps = [
    step('again', 'run-runbook', [], { config: { runbookId: definition.id }, retryPolicy: { maxAttempts: 1 } }),
  ];
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, {}));
  assert.equal(x.status, 'failed');
  const list = await alice.all('executions', 'executions', { runbookId: definition.id });
  assert.equal(list.length, 4, 'one at each depth from 0 to 3');
});

run(async () => {
  house = await House.start({ env: { PLUGIN_DIR: process.env.PLUGIN_DIR } });
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
