'use strict';
// External events: correlation, order, early ones, ids.

const { randomUUID } = require('node:crypto');
const { test, run, assert, sleep } = require('./lib/tap.js');
const { House, PREFIX } = require('./lib/house.js');
const { wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice;

async function waiter(eventType, config = {}) {
  const definition = runbook(
    'waiter',
    [waitForEvent('ev', eventType, [], { correlationId: '${input.key ?? ""}', ...config })],
    { idempotency: 'none' },
  );
  await alice.register(definition);
  return {
    definition,
    start: async (input = {}) => {
      const id = await alice.startId(definition.id, input);
      await alice.until(id, (x) => x.stepResults.ev.status !== 'pending', { what: 'the waiting step' });
      return id;
    },
  };
}

const got = async (id) => (await alice.until(id, 'completed')).stepResults.ev.output;

test('an event finds its waiter by type and correlation', async () => {
  const type = `t.${randomUUID().slice(0, 8)}.done`;
  const w = await waiter(type);
  const [one, two] = [await w.start({ key: 'k1' }), await w.start({ key: 'k2' })];
  const reply = await alice.event(type, { correlationId: 'k2', payload: { n: 2 } });
  assert.ok(reply.ok, reply.text);
  assert.deepEqual(await got(two), { n: 2 });
  assert.equal((await alice.execution(one)).status, 'running');
  await alice.event(`${type}.other`, { correlationId: 'k1', payload: {} });
  assert.equal((await alice.execution(one)).status, 'running');
  await alice.event(type, { correlationId: 'k1', payload: { n: 1 } });
  assert.deepEqual(await got(one), { n: 1 });
});

test('an event that came early is kept', async () => {
  const type = `early.${randomUUID().slice(0, 8)}`;
  assert.ok((await alice.event(type, { correlationId: 'e', payload: { early: true } })).ok);
  const w = await waiter(type);
  assert.deepEqual(await got(await w.start({ key: 'e' })), { early: true });
});

test('early events survive a restart, and are consumed in order, each once', async () => {
  const type = `fifo.${randomUUID().slice(0, 8)}`;
  for (const n of [1, 2, 3]) await alice.event(type, { correlationId: 'f', payload: { n } });
  await house.restartEngine('SIGKILL');
  const w = await waiter(type);
  for (const n of [1, 2, 3]) assert.deepEqual(await got(await w.start({ key: 'f' })), { n });
  const fourth = await w.start({ key: 'f' });
  await sleep(100);
  assert.equal((await alice.execution(fourth)).status, 'running');
});

test('waiters are served first come, first served', async () => {
  const type = `queue.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const ids = [await w.start({ key: 'q' }), await w.start({ key: 'q' }), await w.start({ key: 'q' })];
  for (const n of [1, 2, 3]) await alice.event(type, { correlationId: 'q', payload: { n } });
  for (const [i, id] of ids.entries()) assert.deepEqual(await got(id), { n: i + 1 });
});

test('the same event id counts once', async () => {
  const type = `same.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const [one, two] = [await w.start({ key: 's' }), await w.start({ key: 's' })];
  const eventId = randomUUID();
  for (let i = 0; i < 3; i++)
    assert.ok(
      (
        await alice.event(
          type,
          { correlationId: 's', payload: { n: 1 }, eventId },
          { id: i ? randomUUID() : undefined },
        )
      ).ok,
    );
  await got(one);
  await sleep(150);
  assert.equal((await alice.execution(two)).status, 'running');
});

test('an event may be published without asking for an answer', async () => {
  const type = `pub.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const id = await w.start({ key: 'p' });
  const headers = require('nats').headers();
  headers.set('Nats-Msg-Id', randomUUID());
  house.connection.publish(
    `${PREFIX}.acme.event.alice.${type}`,
    Buffer.from(JSON.stringify({ correlationId: 'p', payload: { quiet: 1 } })),
    { headers },
  );
  assert.deepEqual(await got(id), { quiet: 1 });
});

test("tenants do not hear each other's events", async () => {
  const type = `tenant.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const id = await w.start({ key: 't' });
  assert.ok(
    (await house.person('alice', 'umbrella').event(type, { correlationId: 't', payload: { from: 'umbrella' } })).ok,
  );
  await sleep(100);
  assert.equal((await alice.execution(id)).status, 'running');
  await alice.event(type, { correlationId: 't', payload: { from: 'acme' } });
  assert.deepEqual(await got(id), { from: 'acme' });
});

test('bad events are refused', async () => {
  for (const body of [
    '{',
    '[]',
    { correlationId: 7 },
    { correlationId: 'x'.repeat(5000), payload: {} },
    { eventId: {} },
  ]) {
    const reply = await alice.event('bad.event', body);
    assert.ok(reply.error, JSON.stringify(body) + reply.text);
  }
});

test('an event for a cancelled waiter is kept for the next', async () => {
  const type = `gone.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const gone = await w.start({ key: 'g' });
  await alice.cmd(`cancel.${gone}`, {});
  await alice.event(type, { correlationId: 'g', payload: { n: 1 } });
  assert.deepEqual(await got(await w.start({ key: 'g' })), { n: 1 });
});

test('100 waiters, 100 events, all at once', async () => {
  const type = `crowd.${randomUUID().slice(0, 8)}`;
  const w = await waiter(type);
  const keys = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const [ids] = await Promise.all([
    Promise.all(keys.map((key) => alice.startId(w.definition.id, { key }))),
    Promise.all(keys.map((key) => alice.event(type, { correlationId: key, payload: { key } }))),
  ]);
  for (const [i, id] of ids.entries()) assert.deepEqual(await got(id), { key: keys[i] });
});

test('an event name with dots and percent-encoded characters', async () => {
  const w = await waiter('a.b.c@d');
  const id = await w.start({ key: 'x' });
  assert.ok((await alice.event('a.b.c%40d', { correlationId: 'x', payload: { ok: 1 } })).ok);
  assert.deepEqual(await got(id), { ok: 1 });
});

test('events wake a step that has begun to wait only after a timer', async () => {
  const definition = runbook('later', [
    wait('w', 300),
    waitForEvent('ev', 'later.event', ['w'], { correlationId: '${execution.id}' }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.event('later.event', { correlationId: id, payload: { soon: true } });
  assert.deepEqual(await got(id), { soon: true });
});

test('an early event is kept for EARLY_EVENT_TTL_MS, and no longer', async () => {
  await house.restartEngine('SIGTERM', { EARLY_EVENT_TTL_MS: '400' });
  const definition = runbook('ttl', [waitForEvent('e', 'brief', [], { timeoutMs: 1500, correlationId: '${input.k}' })]);
  await alice.register(definition);
  assert.equal((await alice.event('brief', { correlationId: 'kept', payload: 1 })).body.status, 'stored');
  const soon = await alice.ended(await alice.startId(definition.id, { k: 'kept' }));
  assert.equal(soon.status, 'completed');
  assert.equal((await alice.event('brief', { correlationId: 'late', payload: 1 })).body.status, 'stored');
  await sleep(600);
  const late = await alice.ended(await alice.startId(definition.id, { k: 'late' }));
  assert.equal(late.status, 'failed', 'it had expired');
  await house.restartEngine('SIGTERM');
});

run(async () => {
  house = await House.start({ receiver: false });
  alice = house.person('alice');
});
