'use strict';
// Pause, resume, cancel.

const { test, run, assert, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { call, wait, waitForEvent, approval, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url;

async function started(definition, input = {}) {
  await alice.register(definition);
  return alice.startId(definition.id, input);
}

test('pause lets steps in flight finish and starts no new one', async () => {
  house.receiver.on('/slow', { delayMs: 400 });
  const id = await started(runbook('pause', [call('a', `${url}/slow`), call('b', `${url}/after`, ['a'])]));
  await alice.stepStatus(id, 'a', 'running');
  const reply = await alice.cmd(`pause.${id}`, {});
  assert.ok(reply.ok, reply.text);
  assert.equal(reply.body.executionId, id);
  assert.equal(reply.body.status, 'pausing');
  const x = await alice.until(id, 'paused');
  assert.equal(x.stepResults.a.status, 'completed');
  await sleep(100);
  assert.equal(house.receiver.toPath('/after').length, 0);
  const again = await alice.cmd(`pause.${id}`, {});
  assert.equal(again.error, 'WRONG_STATE', again.text);
  const resumed = await alice.cmd(`resume.${id}`, {});
  assert.ok(resumed.ok, resumed.text);
  assert.equal(resumed.body.status, 'resumed');
  await alice.until(id, 'completed');
  assert.equal(house.receiver.toPath('/after').length, 1);
});

test('deadlines of waits freeze while paused', async () => {
  const id = await started(runbook('freeze', [wait('a', 500)]));
  await alice.stepStatus(id, 'a', 'waiting');
  assert.ok((await alice.execution(id)).stepResults.a.waitingFor.until);
  assert.equal((await alice.cmd(`pause.${id}`, {})).body.status, 'paused');
  await sleep(800);
  const paused = await alice.execution(id);
  assert.equal(paused.status, 'paused');
  assert.deepEqual(paused.stepResults.a.waitingFor, { type: 'time' }, 'no time can be named');
  await alice.cmd(`resume.${id}`, {});
  const x = await alice.until(id, 'completed');
  assert.ok(x.durationMs >= 1250, `a wait of 500 ms, paused for 800, was over after ${x.durationMs}`);
});

test('with freezeClocks false they run on', async () => {
  const id = await started(runbook('thaw', [wait('a', 400)]));
  await alice.stepStatus(id, 'a', 'waiting');
  await alice.cmd(`pause.${id}`, { freezeClocks: false });
  await sleep(700);
  await alice.cmd(`resume.${id}`, {});
  const x = await alice.until(id, 'completed', { timeoutMs: 300 });
  assert.ok(x.durationMs < 1500, `${x.durationMs}`);
});

test('cancel aborts what is in flight, and says who and why', async () => {
  house.receiver.on('/hang', { hang: true });
  const id = await started(
    runbook('cancel', [
      call('a', `${url}/hang`),
      waitForEvent('b', 'never'),
      wait('c', 60000),
      wait('d', 1, ['a', 'b', 'c']),
    ]),
  );
  await alice.until(id, () => house.receiver.toPath('/hang').length === 1, { what: 'the request' });
  const begun = Date.now();
  const reply = await alice.cmd(`cancel.${id}`, { reason: 'no longer needed' });
  assert.ok(reply.ok, reply.text);
  assert.equal(reply.body.status, 'cancelled');
  const x = await alice.until(id, 'cancelled');
  assert.ok(Date.now() - begun < 3000);
  assert.equal(x.cancelledBy, 'alice');
  assert.equal(x.cancellationReason, 'no longer needed');
  for (const step of ['a', 'b', 'c']) assert.equal(x.stepResults[step].status, 'cancelled');
  assert.notEqual(x.stepResults.d.status, 'completed');
  await alice.until(id, () => house.receiver.toPath('/hang')[0].aborted, { what: 'the aborted request' });
});

test('what has ended can be neither paused, resumed nor cancelled', async () => {
  const id = await started(runbook('over', [wait('a', 1)]));
  await alice.until(id, 'completed');
  for (const verb of ['pause', 'resume', 'cancel']) {
    const reply = await alice.cmd(`${verb}.${id}`, {});
    assert.equal(reply.error, 'WRONG_STATE', `${verb}: ${reply.text}`);
    assert.equal(reply.status, 409);
  }
});

test('a paused execution keeps votes and events that come', async () => {
  const id = await started(
    runbook('paused-votes', [
      approval('ask', ['bob'], 1),
      waitForEvent('ev', 'paused.event', [], { correlationId: '${execution.id}' }),
      wait('end', 1, ['ask', 'ev']),
    ]),
  );
  await alice.stepStatus(id, 'ev', 'awaiting_event');
  await alice.cmd(`pause.${id}`, {});
  assert.ok((await bob.cmd(`approve.${id}.ask`, { decision: 'approved' })).ok);
  assert.ok((await alice.event('paused.event', { correlationId: id, payload: { n: 1 } })).ok);
  await sleep(100);
  const x = await alice.execution(id);
  assert.equal(x.status, 'paused');
  assert.equal(x.stepResults.end.status === 'completed', false);
  await alice.cmd(`resume.${id}`, {});
  await alice.until(id, 'completed');
});

test('compensations run in reverse order when the execution is cancelled', async () => {
  const order = [];
  for (const name of ['undo-a', 'undo-b'])
    house.receiver.on(`/${name}`, () => {
      order.push(name);
      return { body: {} };
    });
  const id = await started(
    runbook('undo', [
      call('a', `${url}/do-a`, [], { compensateWith: 'undo-a' }),
      call('b', `${url}/do-b`, ['a'], { compensateWith: 'undo-b' }),
      wait('c', 60000, ['b']),
      call('undo-a', `${url}/undo-a`),
      call('undo-b', `${url}/undo-b`),
    ]),
  );
  await alice.stepStatus(id, 'c', 'waiting');
  await alice.cmd(`cancel.${id}`, { reason: 'undo it' });
  await alice.until(id, 'cancelled');
  assert.deepEqual(order, ['undo-b', 'undo-a']);
});

test('an execution survives a restart in every state', async () => {
  const definition = runbook('states', [
    approval('ask', ['bob'], 1),
    waitForEvent('ev', 'states.event', [], { correlationId: '${execution.id}' }),
    wait('w', 1500),
    wait('end', 1, ['ask', 'ev', 'w']),
  ]);
  const running = await started(definition, { n: 1 });
  const paused = await alice.startId(definition.id, { n: 2 });
  await alice.stepStatus(paused, 'ev', 'awaiting_event');
  await alice.cmd(`pause.${paused}`, {});
  await house.restartEngine('SIGTERM');
  assert.equal(house.engine.isRunning, true);
  assert.equal((await alice.execution(paused)).status, 'paused');
  const x = await alice.execution(running);
  assert.equal(x.stepResults.ask.status, 'awaiting_approval');
  assert.equal(x.stepResults.ev.status, 'awaiting_event');
  await alice.cmd(`resume.${paused}`, {});
  for (const id of [running, paused]) {
    assert.ok((await bob.cmd(`approve.${id}.ask`, { decision: 'approved' })).ok);
    assert.ok((await alice.event('states.event', { correlationId: id, payload: {} })).ok);
  }
  for (const id of [running, paused]) await alice.until(id, 'completed');
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
