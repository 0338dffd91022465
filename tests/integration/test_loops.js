'use strict';
// Loops: over arrays and while a condition holds, bodies of several steps, loops in loops, failures, the cap, the cost.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, comment, eventually } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, call, step, wait, runbook } = require('./lib/runbooks.js');

let house, alice, url;

const loop = (id, body, loopConfig, dependsOn = []) =>
  step(id, 'loop', dependsOn, { config: { bodyStepId: body }, loopConfig: { maxIterations: 1000, ...loopConfig } });
const jq = (id, program, dependsOn = [], extra = {}) => step(id, 'transform', dependsOn,
    { config: { jq: program }, ...extra });

async function runOne(steps, input = {}, extra = {}, options = {}) {
  const definition = runbook('loops', steps, extra);
  await alice.register(definition);
  return alice.ended(await alice.startId(definition.id, input), { timeoutMs: 60000, ...options });
}

test('over an array: items, indexes, paths, and what comes out', async () => {
  const x = await runOne(
    [
      loop('l', 'b', { iterateOver: 'input.hosts' }),
      jq('b', '.', [], { input: { host: '${loop.item.name}', at: '${loop.index}',
          text: '#${loop.index}: ${loop.item.name}' } }),
      wait('after', 1, ['l']),
    ],
    { hosts: [{ name: 'h0' }, { name: 'h1' }, { name: 'h2' }] },
    { output: { all: '${steps.l.output}' } },
  );
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.output.all, {
    iterations: 3,
    items: [0, 1, 2].map((i) => ({ host: `h${i}`, at: i, text: `#${i}: h${i}` })),
  });
  assert.deepEqual(
    Object.keys(x.stepResults).filter((p) => p.startsWith('b')).sort(),
    ['b[0]', 'b[1]', 'b[2]'],
  );
  assert.equal(x.stepResults.after.status, 'completed');
});

test('an empty array runs nothing; what is no array is an error', async () => {
  const steps = [loop('l', 'b', { iterateOver: 'input.items' }), wait('b', 1)];
  const x = await runOne(steps, { items: [] });
  assert.deepEqual(x.stepResults.l.output, { items: [], iterations: 0 });
  const y = await runOne(steps, { items: 'abc' });
  assert.equal(y.stepResults.l.error.code, 'LOOP_NOT_ARRAY');
});

test('continueWhile looks anew before each iteration, at fresh data', async () => {
  let left = 4;
  house.receiver.on('/poll', () => ({ body: { left: --left } }));
  const x = await runOne([
    loop('l', 'poll', {
      maxIterations: 50,
      continueWhile: { any: [{ field: 'loop.index', operator: 'eq', value: 0 }, { field: 'poll.left',
          operator: 'gt', value: 0 }] },
    }),
    call('poll', `${url}/poll`),
  ]);
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.equal(x.stepResults.l.output.iterations, 4);
  assert.equal(house.receiver.toPath('/poll').length, 4);
});

test('a body of several steps, with a branch and a join in it', async () => {
  const x = await runOne(
    [
      loop('l', 'first', { iterateOver: 'input.items', concurrency: 3 }),
      jq('first', '{n: .n}', [], { input: { n: '${loop.item}' } }),
      step('big', 'conditional', ['first'], {
        config: { condition: { field: 'first.n', operator: 'gt', value: 1 }, trueBranch: 'yes', falseBranch: 'no' },
      }),
      jq('yes', '"big"', ['big']),
      jq('no', '"small"', ['big']),
      jq('last', '[.[]] | last', ['yes', 'no']),
    ],
    { items: [1, 2, 3] },
  );
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.stepResults.l.output.items, ['small', 'big', 'big']);
  assert.equal(x.stepResults['yes[0]'].skipReason, 'branch_not_taken');
});

test('loops in loops: paths and items of both', async () => {
  const x = await runOne(
    [
      loop('rows', 'cells', { iterateOver: 'input.rows' }),
      loop('cells', 'cell', { iterateOver: 'loop.item', concurrency: 2 }),
      jq('cell', '.v * 10', [], { input: { v: '${loop.item}' } }),
    ],
    { rows: [[1, 2], [], [3]] },
  );
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.stepResults.rows.output.items.map((r) => r.items), [[10, 20], [], [30]]);
  for (const p of ['cells[0]', 'cell[0][0]', 'cell[0][1]', 'cells[1]', 'cell[2][0]'])
    assert.equal(x.stepResults[p]?.status, 'completed', p);
});

test('concurrency: as many at a time as it says, one without it', async () => {
  for (const [concurrency, most] of [[undefined, 1], [4, 4]]) {
    let open = 0;
    let seen = 0;
    house.receiver.on('/slow', async () => {
      seen = Math.max(seen, ++open);
      await new Promise((resolve) => setTimeout(resolve, 40));
      open--;
      return { body: {} };
    });
    const steps = [loop('l', 'b', { iterateOver: 'input.items', ...(concurrency && { concurrency }) }), call('b',
        `${url}/slow`)];
    const x = await runOne(steps, { items: Array.from({ length: 12 }, (_, i) => i) }, { maxConcurrentSteps: 10 });
    assert.equal(x.status, 'completed');
    assert.equal(seen, most);
  }
});

test('failureTolerance: so many iterations may fail, one more fails the loop', async () => {
  house.receiver.on('/odd', (r) => ({ status: r.body.n % 2 ? 400 : 200, body: {} }));
  const steps = (failureTolerance) => [
    loop('l', 'b', { iterateOver: 'input.items', failureTolerance }),
    call('b', `${url}/odd`, [], { config: { body: { n: '${loop.item}' } }, retryPolicy: ONCE }),
  ];
  const x = await runOne(steps(2), { items: [0, 1, 2, 3, 4] });
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.equal(x.stepResults.l.output.iterations, 5);
  assert.equal(x.stepResults.l.output.items[1], null);
  assert.equal(x.stepResults['b[3]'].status, 'failed');
  const y = await runOne(steps(1), { items: [0, 1, 2, 3, 4] });
  assert.equal(y.status, 'failed');
  assert.equal(y.stepResults.l.error.code, 'LOOP_ITERATION_FAILED');
});

test('a failed iteration is retried by a person, and the loop goes on', async () => {
  let broken = true;
  house.receiver.on('/mend', (r) => ({ status: broken && r.body.n === 1 ? 400 : 200, body: {} }));
  const x = await runOne(
    [
      loop('l', 'b', { iterateOver: 'input.items' }),
      call('b', `${url}/mend`, [], { config: { body: { n: '${loop.item}' } }, retryPolicy: ONCE }),
      wait('after', 1, ['l']),
    ],
    { items: [0, 1, 2] },
  );
  assert.equal(x.status, 'failed');
  broken = false;
  const reply = await alice.cmd(`retry.${x.id}.b%5B1%5D`, {});
  assert.ok(reply.ok, reply.text);
  const y = await alice.ended(x.id);
  assert.equal(y.status, 'completed');
  assert.equal(y.stepResults.after.status, 'completed');
  assert.equal(house.receiver.toPath('/mend').filter((r) => r.body.n === 0).length, 1,
      'what was done is not done again');
});

test('the cap: 1000 iterations run, 1001 items are a clear failure and run nothing', async () => {
  const steps = [loop('l', 'b', { iterateOver: 'input.items' }), step('b', 'conditional', [], {
    config: { condition: { field: 'loop.index', operator: 'gte', value: 0 } } })];
  const items = (n) => ({ items: Array.from({ length: n }, (_, i) => i) });
  const x = await runOne(steps, items(1000));
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.equal(x.stepResults.l.output.iterations, 1000);
  const y = await runOne(steps, items(1001));
  assert.equal(y.stepResults.l.error.code, 'LOOP_LIMIT');
  assert.equal(Object.keys(y.stepResults).filter((p) => p.startsWith('b')).length, 0);
});

test('a thousand iterations cost ten times what a hundred do, in time and on disk', { timeoutMs: 120000 }, async () => {
  const data = path.join(house.dataDir, 'data.mdb');
  const used = async () => {
    const reply = await alice.query('stats');
    return { inputs: reply.body.engine?.inputs ?? reply.body.stats?.engine?.inputs ?? 0,
        blocks: fs.statSync(data).blocks };
  };
  const measure = async (n) => {
    const steps = [loop('l', 'b', { iterateOver: 'input.items', concurrency: 5 }), call('b', `${url}/linear`)];
    const begun = Date.now();
    const x = await runOne(steps, { items: Array.from({ length: n }, (_, i) => i) }, { maxConcurrentSteps: 5 });
    assert.equal(x.status, 'completed');
    const ms = Date.now() - begun;
    const events = await alice.all(`history.${x.id}`, 'events');
    const audit = await eventually(async () => {
      const messages = await house.auditMessages(`runbook.v1.acme.lifecycle.${x.id}.>`);
      return messages.length >= events.length && messages;
    }, { timeoutMs: 30000 });
    return { ms, events: events.length, bytes: audit.reduce((sum, m) => sum + m.text.length, 0),
        blocks: (await used()).blocks };
  };
  await measure(50);
  const start = (await used()).blocks;
  const small = await measure(100);
  const large = await measure(1000);
  const disk = [small.blocks - start, large.blocks - small.blocks].map((b) => b * 512);
  comment(`100: ${small.ms} ms, ${small.events} events, ${small.bytes} bytes of events, store +${disk[0]} bytes`);
  comment(`1000: ${large.ms} ms, ${large.events} events, ${large.bytes} bytes of events, store +${disk[1]} bytes`);
  assert.ok(large.events < small.events * 10.5, 'events are linear');
  assert.ok(large.bytes < small.bytes * 11, 'the history is linear');
  assert.ok(large.ms < Math.max(small.ms, 50) * 40, `time is far from linear: ${small.ms} ms and ${large.ms} ms`);
  assert.ok(disk[1] < 1000 * 16384, `${disk[1] / 1000} bytes an iteration in the store`);
});

run(async () => {
  house = await House.start();
  alice = house.person('alice');
  url = house.receiver.url;
});
