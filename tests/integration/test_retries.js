'use strict';
// Attempts: what is retried, when, how often, with which key; and what happens when time runs out.

const { test, run, assert } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, call, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice, url;

async function runOne(name, steps, extra = {}) {
  const definition = runbook(name, steps, extra);
  await alice.register(definition);
  return alice.ended(await alice.startId(definition.id, {}));
}

const failTimes = (n, answer) => (_, count) => (count <= n ? answer : { body: { done: true } });

test('a 503 is retried with growing delays and one idempotency key', async () => {
  house.receiver.on('/flaky', failTimes(3, { status: 503 }));
  const x = await runOne('flaky', [
    call('a', `${url}/flaky`, [], {
      retryPolicy: { maxAttempts: 5, initialDelayMs: 100, maxDelayMs: 1000, backoffMultiplier: 2, jitter: 0 },
    }),
  ]);
  assert.equal(x.status, 'completed');
  assert.equal(x.stepResults.a.attemptNumber, 4);
  const requests = house.receiver.toPath('/flaky');
  assert.equal(requests.length, 4);
  assert.equal(house.receiver.keys('/flaky').size, 1, 'the key is the same for every attempt');
  const gaps = requests.slice(1).map((r, i) => r.atMs - requests[i].atMs);
  [100, 200, 400].forEach((least, i) => {
    assert.ok(gaps[i] >= least - 2, `retry ${i + 1} came after ${gaps[i]} ms, not ${least}`);
    assert.ok(gaps[i] < least + 1500, `retry ${i + 1} came after ${gaps[i]} ms`);
  });
});

test('attempts end at maxAttempts', async () => {
  house.receiver.on('/down', { status: 500, body: { why: 'down' } });
  const x = await runOne('down', [
    call('a', `${url}/down`, [], {
      retryPolicy: { maxAttempts: 3, initialDelayMs: 5, maxDelayMs: 10, backoffMultiplier: 1 },
    }),
  ]);
  assert.equal(x.status, 'failed');
  assert.equal(house.receiver.toPath('/down').length, 3);
  assert.equal(x.stepResults.a.attemptNumber, 3);
  assert.match(JSON.stringify(x.stepResults.a.error), /500/);
});

test('a 4xx is not retried; 408, 425 and 429 are', async () => {
  for (const status of [400, 401, 403, 404, 409, 422]) {
    house.receiver.on(`/s${status}`, { status });
    const x = await runOne(`s${status}`, [call('a', `${url}/s${status}`)]);
    assert.equal(x.status, 'failed');
    assert.equal(house.receiver.toPath(`/s${status}`).length, 1, `${status} was retried`);
  }
  for (const status of [408, 425, 429, 502, 504]) {
    house.receiver.on(`/s${status}`, failTimes(1, { status }));
    const x = await runOne(`s${status}`, [call('a', `${url}/s${status}`)]);
    assert.equal(x.status, 'completed', `${status} was not retried`);
  }
});

test('Retry-After is honoured', async () => {
  house.receiver.on('/later', failTimes(1, { status: 429, headers: { 'Retry-After': '1' } }));
  const x = await runOne('later', [call('a', `${url}/later`)]);
  assert.equal(x.status, 'completed');
  const [first, second] = house.receiver.toPath('/later');
  assert.ok(second.atMs - first.atMs >= 990, `came again after ${second.atMs - first.atMs} ms`);
});

test('error filters of the policy decide', async () => {
  const policy = { maxAttempts: 3, initialDelayMs: 5, maxDelayMs: 5, backoffMultiplier: 1 };
  house.receiver.on('/f1', { status: 503 });
  const x = await runOne('f1', [
    call('a', `${url}/f1`, [], { retryPolicy: { ...policy, nonRetryableErrors: ['HTTP_503'] } }),
  ]);
  assert.equal(x.status, 'failed');
  assert.equal(house.receiver.toPath('/f1').length, 1);
  assert.equal(x.stepResults.a.error.code, 'HTTP_503');
  house.receiver.on('/f2', failTimes(1, { status: 404 }));
  const y = await runOne('f2', [
    call('a', `${url}/f2`, [], { retryPolicy: { ...policy, retryableErrors: ['HTTP_4*'] } }),
  ]);
  assert.equal(y.status, 'completed');
});

test('connections refused and reset are retried', async () => {
  house.receiver.on('/reset', failTimes(2, { reset: true }));
  const x = await runOne('reset', [call('a', `${url}/reset`)]);
  assert.equal(x.status, 'completed');
  const y = await runOne('refused', [
    call('a', 'http://127.0.0.1:1/x', [], {
      retryPolicy: { maxAttempts: 2, initialDelayMs: 1, maxDelayMs: 1, backoffMultiplier: 1 },
    }),
  ]);
  assert.equal(y.status, 'failed');
  assert.equal(y.stepResults.a.attemptNumber, 2);
});

test('timeoutMs aborts the attempt', async () => {
  house.receiver.on('/hang', { hang: true });
  const begun = Date.now();
  const x = await runOne('hang', [call('a', `${url}/hang`, [], { timeoutMs: 300, retryPolicy: ONCE })]);
  assert.equal(x.status, 'failed');
  assert.ok(Date.now() - begun >= 300);
  assert.match(x.stepResults.a.error.code, /TIMEOUT/);
  const [request] = house.receiver.toPath('/hang');
  assert.equal(request.aborted, true, 'the connection was left open');
});

test('globalTimeoutMs ends everything', async () => {
  house.receiver.on('/hang2', { hang: true });
  const x = await runOne(
    'global',
    [call('a', `${url}/hang2`), wait('b', 60000), waitForEvent('c', 'never.comes')],
    { globalTimeoutMs: 400 },
  );
  assert.equal(x.status, 'failed');
  assert.match(JSON.stringify(x.error), /TIMEOUT/i);
  assert.ok(x.durationMs >= 400 && x.durationMs < 5000, `${x.durationMs}`);
});

test('an event that stays away fails the step', async () => {
  const x = await runOne('no-event', [waitForEvent('a', 'never.comes', [], { timeoutMs: 200 })]);
  assert.equal(x.status, 'failed');
  assert.match(x.stepResults.a.error.code, /TIMEOUT/);
});

test('a slow server does not hold up other executions', async () => {
  house.receiver.on('/stuck', { hang: true });
  const stuck = runbook(
    'stuck',
    Array.from({ length: 5 }, (_, i) => call(`s${i}`, `${url}/stuck`, [], { timeoutMs: 20000 })),
  );
  await alice.register(stuck);
  const id = await alice.startId(stuck.id, {});
  await alice.stepStatus(id, 's4', 'running');
  const begun = Date.now();
  const x = await runOne('quick', [call('a', `${url}/quick`)]);
  assert.equal(x.status, 'completed');
  assert.ok(Date.now() - begun < 3000);
  await alice.cmd(`cancel.${id}`, { reason: 'enough' });
  await alice.until(id, 'cancelled');
});

test('a person retries the failed step of a failed execution', async () => {
  house.receiver.on('/mend', failTimes(1, { status: 400 }));
  const definition = runbook('mend', [call('a', `${url}/mend`), wait('b', 1, ['a'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.until(id, 'failed');
  const wrong = await alice.cmd(`retry.${id}.b`, {});
  assert.equal(wrong.error, 'WRONG_STATE', wrong.text);
  const reply = await alice.cmd(`retry.${id}.a`, {});
  assert.ok(reply.ok, reply.text);
  assert.equal(reply.body.status, 'retried');
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.a.attemptNumber, 2);
  assert.equal(house.receiver.keys('/mend').size, 1);
});

test('calls into private networks are refused unless allowed', async () => {
  for (const target of [
    'http://10.255.255.1/',
    'http://169.254.169.254/latest',
    'http://[::1]:1/',
    'http://0x0a000001/',
  ]) {
    const x = await runOne('private', [call('a', target, [], { retryPolicy: ONCE, timeoutMs: 2000 })]);
    assert.equal(x.status, 'failed');
    assert.match(
      x.stepResults.a.error.code,
      /FORBIDDEN|REFUSED|BLOCKED|NOT_ALLOWED|DENIED/,
      `${target}: ${JSON.stringify(x.stepResults.a.error)}`,
    );
  }
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
});
