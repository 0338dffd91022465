'use strict';
// The durable queue: commands that wait in the stream RUNBOOK_QUEUE until an engine has committed them.

const { randomUUID } = require('node:crypto');
const { test, run, assert, eventually } = require('./lib/tap.js');
const { House, Person, context, nats, PREFIX } = require('./lib/house.js');
const { approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice, bob, simple;

/** Publish into the queue; gives the stream's acknowledgement. */
async function enqueue(person, verb, body, { id = randomUUID(), replyTo } = {}) {
  const headers = Person.headers({ id, headers: replyTo ? { 'Runbook-Reply-To': replyTo } : {} });
  const message = await house.connection.request(person.subject('queue', verb), Person.encode(body), {
    timeout: 5000,
    headers,
  });
  return JSON.parse(Buffer.from(message.data).toString());
}

async function queueLength() {
  const jsm = await house.connection.jetstreamManager();
  const consumers = await jsm.consumers.list('RUNBOOK_QUEUE').next();
  return consumers.reduce((sum, c) => sum + c.num_pending + c.num_ack_pending, 0);
}

const byInput = async (n) =>
  (await alice.all('executions', 'executions', { runbookId: simple.id })).filter((x) => x.id).length >= n;

/** Collect what arrives at a fresh inbox. */
function mailbox() {
  const subject = nats.createInbox();
  const letters = [];
  house.connection.subscribe(subject, {
    callback: (_, m) => letters.push(JSON.parse(Buffer.from(m.data).toString())),
  });
  return { subject, letters };
}

test('a start through the queue is acknowledged by the stream and carried out', async () => {
  const box = mailbox();
  const ack = await enqueue(
    alice,
    'start',
    { runbookId: simple.id, context: context(), input: { n: 1 } },
    { replyTo: box.subject },
  );
  assert.equal(ack.stream, 'RUNBOOK_QUEUE');
  assert.ok(ack.seq >= 1);
  const [result] = await eventually(() => box.letters.length && box.letters, { what: 'the result' });
  assert.equal(result.status, 'started');
  await alice.until(result.executionId, 'completed');
});

test('a refusal comes back the same way', async () => {
  const box = mailbox();
  await enqueue(alice, 'start', { runbookId: 'no-such', context: context() }, { replyTo: box.subject });
  await enqueue(alice, 'start', '{broken', { replyTo: box.subject });
  await enqueue(alice, 'no-such-verb', {}, { replyTo: box.subject });
  await eventually(() => box.letters.length === 3, { what: 'three refusals' });
  assert.deepEqual(box.letters.map((l) => l.error).sort(), [
    'INVALID_JSON',
    'INVALID_REQUEST',
    'RUNBOOK_NOT_FOUND',
  ]);
  await eventually(async () => (await queueLength()) === 0, {
    what: 'an empty queue: refused commands are acknowledged too',
  });
});

test('every command can be queued', async () => {
  const definition = runbook('queued', [
    approval('ask', ['bob'], 1),
    waitForEvent('ev', 'queued.event', ['ask'], { correlationId: '${execution.id}' }),
    wait('w', 60000, ['ev']),
  ]);
  const box = mailbox();
  await enqueue(alice, 'register', definition, { replyTo: box.subject });
  await eventually(() => box.letters.length === 1, { what: 'register' });
  await enqueue(alice, 'start', { runbookId: definition.id, context: context() }, { replyTo: box.subject });
  await eventually(() => box.letters.length === 2, { what: 'start' });
  const id = box.letters[1].executionId;
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  await enqueue(bob, `approve.${id}.ask`, { decision: 'approved' });
  await alice.stepStatus(id, 'ev', 'awaiting_event');
  await enqueue(alice, 'event.queued.event', { correlationId: id, payload: { q: 1 } });
  await alice.stepStatus(id, 'w', 'waiting');
  await enqueue(alice, `pause.${id}`, {});
  await alice.until(id, 'paused');
  await enqueue(alice, `resume.${id}`, {});
  await alice.until(id, 'running');
  await enqueue(alice, `cancel.${id}`, { reason: 'queued' });
  assert.equal((await alice.until(id, 'cancelled')).cancelledBy, 'alice');
});

test('one command id over both roads is one command', async () => {
  const id = randomUUID();
  const body = { runbookId: simple.id, context: context(), input: { both: id } };
  const direct = await alice.cmd('start', body, { id });
  const box = mailbox();
  await enqueue(alice, 'start', body, { id, replyTo: box.subject });
  const [queued] = await eventually(() => box.letters.length && box.letters, { what: 'the result' });
  assert.equal(queued.executionId, direct.body.executionId);
});

test('what was published while no engine was up is carried out when one is', async () => {
  await house.engine.end('SIGTERM');
  const box = mailbox();
  const ids = [];
  for (let n = 0; n < 100; n++) {
    const id = randomUUID();
    ids.push(id);
    await enqueue(
      alice,
      'start',
      { runbookId: simple.id, context: context(), input: { away: n } },
      { id, replyTo: box.subject },
    );
  }
  await assert.rejects(
    alice.cmd('start', { runbookId: simple.id, context: context() }),
    { code: '503' },
    'plain requests are told at once that nobody is there',
  );
  house.startEngine();
  await house.engineReady();
  await eventually(() => box.letters.length >= 100, { what: '100 results', timeoutMs: 20000 });
  const executions = new Set(box.letters.map((l) => l.executionId));
  assert.equal(executions.size, 100);
  for (const x of executions) await alice.until(x, 'completed');
  await eventually(async () => (await queueLength()) === 0, { what: 'an empty queue' });
  assert.ok(await byInput(100));
});

test('kill -9 while it drains the queue: each is carried out once', { timeoutMs: 60000 }, async () => {
  await house.engine.end('SIGKILL');
  const before = (await executionsBefore()).length;
  const keys = Array.from({ length: 500 }, () => randomUUID());
  for (const key of keys)
    await enqueue(alice, 'start', { runbookId: simple.id, context: context(), input: { key } }, { id: key });
  for (let round = 0; round < 4; round++) {
    house.startEngine();
    await new Promise((resolve) => setTimeout(resolve, 60 + round * 70));
    await house.engine.end('SIGKILL');
  }
  house.startEngine();
  await house.engineReady();
  await eventually(async () => (await queueLength()) === 0, { what: 'an empty queue', timeoutMs: 45000 });
  const all = await alice.all('executions', 'executions', { runbookId: simple.id });
  assert.equal(all.length, before + 500);
});

/** The executions there are, asked through an engine that is started just for it. */
async function executionsBefore() {
  house.startEngine();
  await house.engineReady();
  const all = await alice.all('executions', 'executions', { runbookId: simple.id });
  await house.engine.end('SIGKILL');
  return all;
}

test('a result is sent to inboxes only', async () => {
  const before = (await house.auditMessages(`${PREFIX}.acme.lifecycle.intruder.>`)).length;
  await enqueue(
    alice,
    'start',
    { runbookId: 'no-such', context: context() },
    { replyTo: `${PREFIX}.acme.lifecycle.intruder.execution.started` },
  );
  await eventually(async () => (await queueLength()) === 0, { what: 'an empty queue' });
  assert.equal((await house.auditMessages(`${PREFIX}.acme.lifecycle.intruder.>`)).length, before);
});

test('a consumer that has gone is made again', async () => {
  const jsm = await house.connection.jetstreamManager();
  const [consumer] = await jsm.consumers.list('RUNBOOK_QUEUE').next();
  await jsm.consumers.delete('RUNBOOK_QUEUE', consumer.name);
  await house.restartEngine('SIGTERM');
  const box = mailbox();
  await enqueue(
    alice,
    'start',
    { runbookId: simple.id, context: context(), input: { consumer: 'new' } },
    { replyTo: box.subject },
  );
  await eventually(() => box.letters.length === 1, { what: 'the result' });
});

run(async () => {
  house = await House.start({ receiver: false });
  alice = house.person('alice');
  bob = house.person('bob');
  simple = runbook('simple', [wait('w', 1)]);
  await alice.register(simple);
});
