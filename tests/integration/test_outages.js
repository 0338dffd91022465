'use strict';
// NATS away: at start, later, again and again under load. Nothing is lost, nothing is told twice.

const { randomUUID } = require('node:crypto');
const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House, context } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { call, conditional, wait, runbook } = require('./lib/runbooks.js');

let house, alice, url;

test('runbookd starts without NATS, says so, and comes up when NATS does', async () => {
  house.startEngine();
  await eventually(() => /NATS|nats/.test(house.engine.logText()), { what: 'a word about NATS in the log' });
  await sleep(500);
  assert.equal(house.engine.isRunning, true);
  await house.startNats();
  house.connection = await house.connect();
  await house.engineReady({ timeoutMs: 15000 });
  alice = house.person('alice');
});

test('steps in flight go on while NATS is away, and their events arrive later', async () => {
  house.receiver.on('/slow', { delayMs: 300 });
  const definition = runbook('away', [
    call('a', `${url}/slow`),
    call('b', `${url}/next`, ['a']),
    call('c', `${url}/last`, ['b']),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await house.natsServer.end('SIGKILL');
  await eventually(() => house.receiver.toPath('/last').length === 1, { what: 'the last call, without NATS' });
  await house.startNats();
  await alice.until(id, 'completed', { timeoutMs: 15000 });
  assert.equal(chainFault((await house.auditOf(id)).map((m) => m.body)), null);
});

test(
  'nats-server killed and restarted under load: all executions end, the audit is complete',
  { timeoutMs: 120000 },
  async () => {
    const n = Number(process.env.RUNBOOK_TEST_LOAD || 300);
    const definition = runbook('load', [
      conditional('c', { field: 'input.n', operator: 'gte', value: 0 }),
      call('a', `${url}/load`, ['c']),
      wait('w', 20, ['a']),
      call('b', `${url}/load`, ['w']),
    ]);
    await alice.register(definition);
    let stopped = false;
    const outages = (async () => {
      for (let round = 0; round < 4 && !stopped; round++) {
        await sleep(400 + 150 * round);
        await house.natsServer.end(round % 2 ? 'SIGTERM' : 'SIGKILL');
        await sleep(100 + 200 * (round % 3));
        await house.startNats();
      }
    })();
    // A careful client: the same command id until there is an answer.
    const startSurely = async (i) => {
      const id = randomUUID();
      return eventually(
        async () => {
          const reply = await alice.cmd(
            'start',
            { runbookId: definition.id, context: context(), input: { n: i } },
            { id, timeoutMs: 1000 },
          );
          if (!reply.ok) throw new Error(reply.text);
          return reply.body;
        },
        { what: `start ${i}`, timeoutMs: 60000, everyMs: 50 },
      );
    };
    const started = [];
    for (let i = 0; i < n; i += 10)
      started.push(...(await Promise.all(Array.from({ length: 10 }, (_, k) => startSurely(i + k)))));
    stopped = true;
    await outages;
    assert.equal(new Set(started.map((s) => s.executionId)).size, n, 'every start is one execution');
    for (const s of started) await alice.until(s.executionId, 'completed', { timeoutMs: 30000 });
    assert.equal(house.receiver.keys('/load').size, 2 * n, 'each step called with its own key');
    const all = await alice.all('executions', 'executions', { runbookId: definition.id });
    assert.equal(all.length, n);
    // The stream may hold an event twice (it forgets ids in a crash): the id tells.
    for (const s of started) {
      await eventually(
        async () => {
          const seen = new Map();
          for (const m of await house.auditEvents(s.executionId)) seen.set(m.body.sequence, m.body);
          const events = [...seen.values()].sort((a, b) => a.sequence - b.sequence);
          return events.at(-1)?.type === 'runbook.execution.completed' && chainFault(events) === null;
        },
        { what: `the whole audit of ${s.executionId}`, timeoutMs: 30000 },
      );
    }
  },
);

test('a stop while NATS is away is quick, and nothing is lost by it', async () => {
  const definition = runbook('stop', [wait('w', 600), wait('x', 1, ['w'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await house.natsServer.end('SIGKILL');
  const exit = await house.engine.end('SIGTERM', 15000);
  assert.deepEqual(exit, { code: 0, signal: null });
  await house.startNats();
  house.startEngine();
  await house.engineReady();
  await alice.until(id, 'completed');
  assert.equal(chainFault((await house.auditOf(id)).map((m) => m.body)), null);
});

run(async () => {
  house = await House.start({ nats: false, engine: false });
  url = house.receiver.url;
});
