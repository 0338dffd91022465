'use strict';
// A bad network between the engine and nats-server, and a nats-server that has lost or refuses things. After it has
// healed every execution has ended, every step was called with one key, and the audit is whole.

const fs = require('node:fs');
const path = require('node:path');
const { randomUUID } = require('node:crypto');
const { test, run, assert, atEnd, comment, eventually, sleep } = require('./lib/tap.js');
const { House, context, nats } = require('./lib/house.js');
const { Proxy } = require('./lib/proxy.js');
const { chainFault } = require('./lib/chain.js');
const { call, conditional, wait, runbook } = require('./lib/runbooks.js');

const PATIENCE_MS = 45000;

let house, proxy, alice, work;

/** A careful client: the same command id until there is an answer. */
function startSurely(n) {
  const id = randomUUID();
  return eventually(
    async () => {
      const body = { runbookId: work.id, context: context(), input: { n } };
      const reply = await alice.cmd('start', body, { id, timeoutMs: 700 });
      if (!reply.ok) throw new Error(reply.text);
      return reply.body.executionId;
    },
    { what: `start ${n}`, timeoutMs: PATIENCE_MS, everyMs: 30 },
  );
}

/** All are completed, and their audit is whole: no gap, no change, each id once for whoever knows ids. */
async function settled(ids, { seconds = 45 } = {}) {
  for (const id of ids) await alice.until(id, 'completed', { timeoutMs: PATIENCE_MS });
  for (const id of ids)
    await eventually(
      async () => {
        const seen = new Map();
        for (const m of await house.auditEvents(id)) seen.set(m.body.sequence, m.body);
        const events = [...seen.values()].sort((a, b) => a.sequence - b.sequence);
        return events.at(-1)?.type === 'runbook.execution.completed' && chainFault(events) === null;
      },
      { what: `the whole audit of ${id}`, timeoutMs: seconds * 1000, everyMs: 100 },
    );
}

let counter = 0;

/** Start @n, five at a time, while @fault plays; gives their ids. */
async function under(fault, n = 40) {
  const keys = house.receiver.keys('/work').size;
  const playing = fault();
  const ids = [];
  for (let i = 0; i < n; i += 5)
    ids.push(...(await Promise.all(Array.from({ length: 5 }, () => startSurely(counter++)))));
  await playing;
  proxy.heal();
  assert.equal(new Set(ids).size, n, 'every start is one execution');
  await settled(ids);
  assert.equal(house.receiver.keys('/work').size - keys, 2 * n, 'each step was called, with a key of its own');
  return ids;
}

test('a slow road is only slow', async () => {
  await under(async () => {
    proxy.set({ mode: 'delay', ms: 25 });
    await sleep(1000);
  });
});

test('connections cut again and again', { timeoutMs: 90000 }, async () => {
  const before = proxy.accepted;
  await under(async () => {
    for (let round = 0; round < 8; round++) {
      await sleep(120 + 40 * (round % 4));
      proxy.cut({ refuse: round % 3 === 2 });
      await sleep(60);
      proxy.heal();
    }
  });
  assert.ok(proxy.accepted - before >= 8, `${proxy.accepted - before} connections in all`);
});

test('a line that stands still, and goes on', { timeoutMs: 90000 }, async () => {
  await under(async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(200);
      proxy.set({ mode: 'stall' });
      await sleep(700);
      proxy.heal();
    }
  });
});

test('a line that stands still is left after a while, and another one is made', { timeoutMs: 120000 }, async () => {
  const before = proxy.accepted;
  const id = await startSurely(counter++);
  await alice.until(id, 'completed');
  proxy.set({ mode: 'stall' });
  const stuck = [...proxy.connections];
  await eventually(() => stuck.every((c) => !proxy.connections.has(c)) || proxy.accepted > before, {
    what: 'the engine leaving dead connections',
    timeoutMs: 30000,
    everyMs: 100,
  });
  proxy.heal();
  proxy.cut();
  await settled([await startSurely(counter++)]);
});

test('the server hears us, we do not hear it', { timeoutMs: 90000 }, async () => {
  const ids = await under(async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(150);
      proxy.set({ mode: 'pass' }, { mode: 'drop' });
      await sleep(500);
      proxy.heal();
      proxy.cut(); // what was dropped is missing in the stream of bytes: the connection is of no use
    }
  });
  // What was published and not acknowledged is published again; the stream knows its ids.
  for (const id of ids) {
    const events = await house.auditEvents(id);
    assert.equal(new Set(events.map((m) => m.id)).size, events.length, 'each event once');
  }
});

test('we hear the server, it does not hear us', { timeoutMs: 90000 }, async () => {
  await under(async () => {
    for (let round = 0; round < 3; round++) {
      await sleep(150);
      proxy.set({ mode: 'drop' }, { mode: 'pass' });
      await sleep(500);
      proxy.heal();
      proxy.cut();
    }
  });
});

test('a trickle of bytes', { timeoutMs: 90000 }, async () => {
  await under(async () => {
    await sleep(100);
    proxy.set({ mode: 'trickle', bytes: 512, ms: 2 });
    await sleep(1500);
    proxy.heal();
  }, 20);
});

test('a slow reader of the audit stream holds up nobody', { timeoutMs: 90000 }, async () => {
  const jsm = await house.connection.jetstreamManager();
  const slow = await house.connect();
  atEnd(() => slow.close().catch(() => {}));
  const opts = nats.consumerOpts();
  opts.durable('slow-auditor');
  opts.manualAck();
  opts.ackExplicit();
  opts.maxAckPending(1);
  opts.deliverTo(nats.createInbox());
  const subscription = await slow.jetstream().subscribe('runbook.v1.acme.lifecycle.>', opts);
  const seen = [];
  const reading = (async () => {
    for await (const m of subscription) {
      seen.push(m.headers?.get('Nats-Msg-Id'));
      await sleep(seen.length < 30 ? 20 : 0);
      m.ack();
    }
  })();
  const at = Date.now();
  const ids = await under(async () => {});
  comment(`40 executions in ${Date.now() - at} ms beside a reader of 50 messages a second`);
  const { state } = await jsm.streams.info('RUNBOOK_AUDIT', { subjects_filter: 'runbook.v1.acme.lifecycle.>' });
  const total = Object.values(state.subjects).reduce((sum, n) => sum + n, 0);
  await eventually(() => seen.length >= total, { what: 'the slow reader at the end', timeoutMs: 60000 });
  await subscription.unsubscribe();
  await reading;
  for (const id of ids) assert.ok(seen.includes(`${id}/1`), `${id}/1`);
});

test('a full audit stream: work goes on, and what it refused comes later', { timeoutMs: 90000 }, async () => {
  const jsm = await house.connection.jetstreamManager();
  const { config, state } = await jsm.streams.info('RUNBOOK_AUDIT');
  await jsm.streams.update('RUNBOOK_AUDIT', { ...config, max_bytes: state.bytes + 20000, discard: 'new' });
  const ids = [];
  for (let i = 0; i < 30; i++) ids.push(await startSurely(counter++));
  for (const id of ids) await alice.until(id, 'completed', { timeoutMs: PATIENCE_MS });
  const stats = (await alice.query('stats')).body.engine;
  assert.ok(stats.outboxPublishedRow < stats.outboxRow, 'something waits in the outbox');
  await eventually(() => /stream is full|refuses|can't be published/.test(house.engine.logText()), {
    what: 'a word in the log',
  });
  await jsm.streams.update('RUNBOOK_AUDIT', { ...config, max_bytes: -1 });
  await settled(ids);
});

function copyStore(to) {
  fs.rmSync(to, { recursive: true, force: true });
  fs.cpSync(path.join(house.dir, 'jetstream'), to, { recursive: true });
}

test('a store that was rolled back gets what it has lost', { timeoutMs: 90000 }, async () => {
  const copy = path.join(house.dir, 'copy');
  const early = await under(async () => {}, 10);
  await house.natsServer.end('SIGTERM');
  copyStore(copy);
  await house.startNats();
  const late = await under(async () => {}, 30);
  await house.natsServer.end('SIGKILL');
  fs.rmSync(path.join(house.dir, 'jetstream'), { recursive: true });
  fs.cpSync(copy, path.join(house.dir, 'jetstream'), { recursive: true });
  await house.startNats();
  await settled([...early, ...late]);
  await under(async () => {}, 10);
});

test('a queue rolled back behind its consumer skips nothing that comes after', { timeoutMs: 90000 }, async () => {
  const stream = path.join(house.dir, 'jetstream/jetstream/$G/streams/RUNBOOK_QUEUE');
  const js = () => house.connection.jetstream({ timeout: 3000 });
  const enqueue = (n) =>
    eventually(
      () =>
        js().publish(
          alice.subject('queue', 'start'),
          JSON.stringify({ runbookId: work.id, context: context(), input: { n } }),
          { msgID: `queued-${n}` },
        ),
      { what: `queued ${n}`, timeoutMs: 20000 },
    );
  const done = async () =>
    (await alice.all('executions', 'executions', { runbookId: work.id, status: 'completed' })).length;
  const before = await done();
  for (let i = 0; i < 5; i++) await enqueue(counter++);
  await eventually(async () => (await done()) === before + 5, { what: 'five of the queue' });
  await house.natsServer.end('SIGTERM');
  assert.ok(fs.existsSync(path.join(stream, 'msgs')), `${stream}/msgs`);
  const msgs = path.join(house.dir, 'msgs');
  fs.cpSync(path.join(stream, 'msgs'), msgs, { recursive: true });
  await house.startNats();
  for (let i = 0; i < 25; i++) await enqueue(counter++);
  await eventually(async () => (await done()) === before + 30, { what: 'thirty of the queue' });
  await house.natsServer.end('SIGTERM');
  fs.rmSync(path.join(stream, 'msgs'), { recursive: true });
  fs.cpSync(msgs, path.join(stream, 'msgs'), { recursive: true }); // the consumer's own state stays ahead
  await house.startNats();
  await house.engineReady({ timeoutMs: 20000 });
  for (let i = 0; i < 10; i++) await enqueue(counter++);
  await eventually(async () => (await done()) === before + 40, {
    what: 'ten more, none skipped',
    timeoutMs: 30000,
  });
});

test('the chaos of all that', { timeoutMs: 150000 }, async () => {
  const seed = Number(process.env.RUNBOOK_TEST_SEED || Date.now() % 100000);
  comment(`RUNBOOK_TEST_SEED=${seed}`);
  let x = seed || 1;
  const random = (n) => (x = (x * 48271) % 2147483647) % n;
  const modes = [
    () => proxy.cut(),
    () => proxy.cut({ refuse: true }),
    () => proxy.set({ mode: 'stall' }),
    () => proxy.set({ mode: 'delay', ms: random(100) }),
    () => proxy.set({ mode: 'trickle', bytes: 1 + random(300), ms: 1 + random(5) }),
    () => proxy.set({ mode: 'pass' }, { mode: 'stall' }),
    () => proxy.set({ mode: 'stall' }, { mode: 'pass' }),
  ];
  await under(async () => {
    for (let round = 0; round < 15; round++) {
      modes[random(modes.length)]();
      await sleep(random(400));
      proxy.heal();
      if (random(4) === 0) {
        await house.natsServer.end(random(2) ? 'SIGKILL' : 'SIGTERM');
        await house.startNats();
      }
      if (random(5) === 0) await house.restartEngine('SIGKILL');
      await sleep(random(150));
    }
  }, 60);
});

run(async () => {
  house = await House.start({ engine: false });
  proxy = new Proxy(house.natsPort);
  await proxy.start();
  atEnd(() => proxy.stop());
  house.options.env = { NATS_URL: proxy.url };
  house.startEngine();
  await house.engineReady();
  alice = house.person('alice');
  work = runbook('work', [
    conditional('c', { field: 'input.n', operator: 'gte', value: 0 }),
    call('a', `${house.receiver.url}/work`, ['c']),
    wait('w', 10, ['a']),
    call('b', `${house.receiver.url}/work`, ['w']),
  ]);
  await alice.register(work);
});
