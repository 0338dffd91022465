'use strict';
// Targets: circuit breakers, rates, concurrency, and tenants that don't get into each other's way.

const { test, run, assert, atEnd, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { Receiver } = require('./lib/receiver.js');
const { ONCE, call, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url, limited; // limited: a receiver that the operator allows three calls at a time

const QUICK = { maxAttempts: 20, initialDelayMs: 10, maxDelayMs: 50, backoffMultiplier: 1, jitter: 0 };

async function targets(person) {
  const reply = await person.query('stats');
  assert.ok(reply.ok, reply.text);
  return reply.body.engine.targets;
}

const changes = () =>
  house.engine
    .logText()
    .split('\n')
    .filter((line) => line.includes('"circuit breaker'))
    .map((line) => JSON.parse(line))
    .map(({ tenant, state, failures }) => ({ tenant, state, failures }));

test('a breaker opens, lets a trial through, and closes when the target has healed', async () => {
  let broken = true;
  house.receiver.on('/shaky', () => (broken ? { status: 503 } : { body: { fine: true } }));
  const config = { circuitBreaker: { failureThreshold: 4, windowMs: 10000, openMs: 400, halfOpenCalls: 1 } };
  const definition = runbook('shaky', [call('a', `${url}/shaky`, [], { config, retryPolicy: QUICK })]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const [row] = await (async () => {
    for (;;) {
      const rows = (await targets(alice)).filter((t) => t.circuit === 'open' && t.refused > 0);
      if (rows.length) return rows;
      await sleep(20);
    }
  })();
  assert.equal(row.target, url);
  assert.deepEqual(await targets(bob), [], "another tenant's targets are not shown");
  const before = house.receiver.toPath('/shaky').length;
  assert.ok(before === 4 || before === 5, `${before} calls reached it`);
  await sleep(900);
  const during = house.receiver.toPath('/shaky').length;
  assert.ok(during - before <= 3, `${during - before} calls while it was open: only trials`);
  broken = false;
  const x = await alice.ended(id);
  assert.equal(x.status, 'completed');
  const states = changes().map((c) => c.state);
  assert.deepEqual(states.slice(0, 3), ['open', 'halfOpen', 'open']);
  assert.deepEqual(states.slice(-2), ['halfOpen', 'closed']);
  assert.deepEqual([changes()[0].tenant, changes()[0].failures], ['acme', '4']);
  const logs = await alice.all(`logs.${id}`, 'logs');
  const refusal = logs.find((l) => l.metadata?.code === 'CIRCUIT_OPEN');
  assert.match(refusal.message, /not called: too many calls to it failed; the next trial is in \d+ ms/);
  assert.equal((await targets(alice))[0].circuit, 'closed');
});

test('an open breaker is a retryable error with a name', async () => {
  house.receiver.on('/gone', { status: 500 });
  const config = { circuitBreaker: { failureThreshold: 1, openMs: 60000 } };
  const carol = house.person('carol', 'gone');
  const gone = runbook('gone', [call('a', `${url}/gone`, [], { config, retryPolicy: ONCE })]);
  await carol.register(gone);
  const first = await carol.ended(await carol.startId(gone.id, {}));
  assert.equal(first.stepResults.a.error.code, 'HTTP_500');
  const second = await carol.ended(await carol.startId(gone.id, { again: true }));
  assert.equal(second.stepResults.a.error.code, 'CIRCUIT_OPEN');
  assert.equal(second.stepResults.a.error.retryable, true);
  assert.equal(house.receiver.toPath('/gone').length, 1);
});

test('a rate limit is seen at the server', async () => {
  house.receiver.on('/metered', { body: {} });
  const config = { rateLimit: { perSecond: 20, burst: 3 } };
  const metered = runbook('metered', [call('a', `${url}/metered`, [], { config })]);
  await bob.register(metered);
  const ids = await Promise.all(Array.from({ length: 23 }, (_, i) => bob.startId(metered.id, { i })));
  for (const id of ids) assert.equal((await bob.ended(id)).status, 'completed');
  const times = house.receiver.toPath('/metered').map((r) => r.atMs).sort((a, b) => a - b);
  assert.equal(times.length, 23);
  assert.ok(times[22] - times[0] >= 950, `23 calls within ${times[22] - times[0]} ms`);
  for (let i = 0; i + 10 < times.length; i++)
    assert.ok(times[i + 10] - times[i] >= 330, `11 calls within ${times[i + 10] - times[i]} ms`);
});

test('concurrency of a definition is kept, and belongs to the tenant', async () => {
  let now = 0, most = 0;
  house.receiver.on('/narrow', async () => {
    most = Math.max(most, ++now);
    await sleep(50);
    now--;
    return { body: {} };
  });
  const narrow = runbook('narrow', [call('a', `${url}/narrow`, [], { config: { concurrency: 2 } })]);
  const dave = house.person('dave', 'narrow');
  await dave.register(narrow);
  const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => dave.startId(narrow.id, { i })));
  for (const id of ids) assert.equal((await dave.ended(id)).status, 'completed');
  assert.equal(most, 2);
});

test('the operator limits a target for all tenants', async () => {
  let now = 0, most = 0;
  limited.on('/shared', async () => {
    most = Math.max(most, ++now);
    await sleep(30);
    now--;
    return { body: {} };
  });
  const shared = runbook('shared', [call('a', `${limited.url}/shared`)]);
  const people = ['one', 'two'].map((t) => house.person('eve', t));
  const ids = [];
  for (const person of people) {
    await person.register(shared);
    for (let i = 0; i < 6; i++) ids.push([person, await person.startId(shared.id, { i })]);
  }
  for (const [person, id] of ids) assert.equal((await person.ended(id)).status, 'completed');
  assert.equal(most, 3);
});

test('one noisy tenant does not hold up another', async () => {
  limited.on('/busy', async () => {
    await sleep(40);
    return { body: {} };
  });
  const busy = runbook('busy', [call('a', `${limited.url}/busy`)]);
  const noisy = house.person('nora', 'noisy'), quiet = house.person('quinn', 'quiet');
  for (const person of [noisy, quiet]) await person.register(busy);
  // Three at a time, 40 ms each: 200 calls are almost three seconds of waiting.
  const ids = await Promise.all(Array.from({ length: 200 }, (_, i) => noisy.startId(busy.id, { i })));
  const took = [];
  for (let i = 0; i < 5; i++) {
    const at = Date.now();
    assert.equal((await quiet.ended(await quiet.startId(busy.id, { i }))).status, 'completed');
    took.push(Date.now() - at);
  }
  const left = (await noisy.query('stats')).body.executions.running;
  assert.ok(left > 50, `the noisy one has ${left} left when the quiet one is done (${took} ms)`);
  assert.ok(Math.max(...took) < 1000, `the quiet one took ${took} ms`);
  for (const id of ids) await noisy.ended(id);
});

test('wrong limits are found at registration', async () => {
  const bad = runbook('bad', [
    call('a', `${url}/x`, [], {
      config: { concurrency: 0, rateLimit: { burst: 3 }, circuitBreaker: { failureThreshold: '5', openMS: 3 } },
    }),
  ]);
  const reply = await alice.cmd('register', bad);
  assert.equal(reply.error, 'INVALID_RUNBOOK');
  const paths = reply.body.details.map((d) => d.path);
  for (const path of ['concurrency', 'rateLimit/perSecond', 'circuitBreaker/failureThreshold', 'circuitBreaker/openMS'])
    assert.ok(paths.includes(`/steps/0/config/${path}`), `${path} in ${paths}`);
});

run(async () => {
  limited = new Receiver();
  await limited.start();
  atEnd(() => limited.stop());
  const { host } = new URL(limited.url);
  house = await House.start({ env: { HTTP_TARGET_LIMITS: `elsewhere.example perSecond=1; ${host} concurrency=3` } });
  alice = house.person('alice');
  bob = house.person('bob', 'other');
  url = house.receiver.url;
});
