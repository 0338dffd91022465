'use strict';
// Tenants that share the durable queue: how long one waits behind another's flood.

const { randomUUID } = require('node:crypto');
const { test, run, assert, eventually } = require('./lib/tap.js');
const { House, Person, context, nats } = require('./lib/house.js');
const { wait, runbook } = require('./lib/runbooks.js');

const FLOOD = Number(process.env.RUNBOOK_TEST_FLOOD || 5000);
const EXECUTIONS_MAX = 200; // of a tenant at once

let house, loud, quiet, short, long;

/** Publish into the queue; the stream has it when the promise is kept. */
async function enqueue(person, verb, body, replyTo) {
  const ack = await house.connection.request(person.subject('queue', verb), Person.encode(body), {
    timeout: 20000,
    headers: Person.headers({ id: randomUUID(), headers: replyTo ? { 'Runbook-Reply-To': replyTo } : {} }),
  });
  assert.ok(JSON.parse(Buffer.from(ack.data).toString()).seq > 0, Buffer.from(ack.data).toString());
}

const start = (person, definition, replyTo) =>
  enqueue(
    person,
    'start',
    {
      runbookId: definition.id,
      context: context({ initiatedBy: person.user, tenantId: person.tenant }),
      input: { key: randomUUID() }, // else it is the same start
    },
    replyTo,
  );

async function flood(person, definition) {
  for (let sent = 0; sent < FLOOD; sent += 500)
    await Promise.all(Array.from({ length: 500 }, () => start(person, definition)));
}

/** Start one through the queue; milliseconds until its result came. */
async function startedWithin(person, definition, timeoutMs) {
  const subject = nats.createInbox();
  let letter;
  const subscription = house.connection.subscribe(subject, {
    callback: (_, m) => (letter = { at: Date.now(), ...JSON.parse(Buffer.from(m.data).toString()) }),
  });
  const since = Date.now();
  await start(person, definition, subject);
  await eventually(() => letter, { what: `the result for ${person.tenant}`, timeoutMs });
  subscription.unsubscribe();
  assert.equal(letter.status, 'started');
  return letter.at - since;
}

const running = async (person) => (await person.query('stats')).body.executions.running;

/** Between two deliveries; all that is held comes again in waves. */
async function held() {
  const text = await (await fetch(`http://127.0.0.1:${house.enginePort}/metrics`)).text();
  return Number(/^runbook_queue_held (\d+)$/m.exec(text)[1]);
}

async function queueLength() {
  const jsm = await house.connection.jetstreamManager();
  const consumers = await jsm.consumers.list('RUNBOOK_QUEUE').next();
  return consumers.reduce((sum, c) => sum + c.num_pending + c.num_ack_pending, 0);
}

test('a start behind 5,000 of another tenant waits until they are taken', { timeoutMs: 120000 }, async () => {
  await house.engine.end('SIGTERM');
  await flood(loud, short);
  const subject = nats.createInbox();
  let at;
  house.connection.subscribe(subject, { callback: () => (at = Date.now()) });
  await start(quiet, short, subject);
  house.startEngine();
  await house.engineReady();
  const ready = Date.now();
  await eventually(() => at, { what: 'the result', timeoutMs: 60000 });
  console.log(`# ${at - ready} ms after the engine was ready`);
  await eventually(async () => (await queueLength()) === 0, { what: 'an empty queue', timeoutMs: 60000 });
});

test('starts beyond a tenant\'s limit do not hold up another\'s', { timeoutMs: 120000 }, async () => {
  await house.engine.end('SIGTERM');
  house.startEngine({ TENANT_EXECUTIONS_MAX: String(EXECUTIONS_MAX) });
  await house.engineReady();
  await flood(loud, long);
  const ms = await startedWithin(quiet, short, 20000);
  console.log(`# ${ms} ms behind ${FLOOD} starts of which ${EXECUTIONS_MAX} may run`);
  assert.equal(await running(loud), EXECUTIONS_MAX);
  assert.equal(await queueLength(), FLOOD - EXECUTIONS_MAX, 'the others are kept');
  await eventually(async () => (await held()) > (FLOOD - EXECUTIONS_MAX) / 2, { what: 'most of them held back' });
});

test('what was held back is carried out when there is room, each once', { timeoutMs: 120000 }, async () => {
  await house.engine.end('SIGKILL');
  house.startEngine();
  await house.engineReady();
  const since = Date.now();
  await eventually(async () => (await queueLength()) === 0, { what: 'an empty queue', timeoutMs: 90000 });
  console.log(`# ${Date.now() - since} ms`);
  assert.equal(await running(loud), FLOOD);
});

run(async () => {
  house = await House.start({ receiver: false });
  loud = house.person('alice', 'loud');
  quiet = house.person('bob', 'quiet');
  short = runbook('short', [wait('w', 1)]);
  long = runbook('long', [wait('w', 3600000)]);
  for (const person of [loud, quiet]) for (const r of [short, long]) await person.register(r);
});
