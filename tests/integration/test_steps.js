'use strict';
// Every kind of step through the whole road, and how steps follow from each other: joins, skips,
// conditions, outputs.

const { test, run, assert, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, step, call, conditional, approval, waitForEvent, wait, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url;

const statuses = (x) => Object.fromEntries(Object.entries(x.stepResults).map(([path, s]) => [path, s.status]));

test('all five kinds of step in one execution', async () => {
  house.receiver.on('/enrich', { body: { severity: 'high', host: 'h-17' } });
  const definition = runbook('road', [
    call('enrich', `${url}/enrich`),
    conditional(
      'is-high',
      { field: 'enrich.severity', operator: 'eq', value: 'high' },
      { dependsOn: ['enrich'], trueBranch: 'ask', falseBranch: 'note' },
    ),
    approval('ask', ['bob'], 1, ['is-high']),
    wait('note', 10, ['is-high']),
    call('isolate', `${url}/isolate`, ['ask'], { input: { host: '${steps.enrich.host}' } }),
    waitForEvent('confirmed', 'edr.confirmed', ['isolate'], { correlationId: '${steps.enrich.host}' }),
    wait('settle', 30, ['confirmed']),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, { alert: 'A-1' });
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  assert.ok((await bob.cmd(`approve.${id}.ask`, { decision: 'approved', comments: 'go' })).ok);
  await alice.stepStatus(id, 'confirmed', 'awaiting_event');
  assert.ok((await alice.event('edr.confirmed', { correlationId: 'h-17', payload: { at: 'now' } })).ok);
  const x = await alice.until(id, 'completed');
  assert.deepEqual(statuses(x), {
    enrich: 'completed',
    'is-high': 'completed',
    ask: 'completed',
    note: 'skipped',
    isolate: 'completed',
    confirmed: 'completed',
    settle: 'completed',
  });
  assert.deepEqual(x.stepResults.confirmed.output, { at: 'now' });
  assert.equal(x.stepResults.enrich.output.status, 200);
  assert.equal(x.stepResults.enrich.output.severity, 'high', 'fields of an object body stand at the top');
  assert.equal(x.stepResults.enrich.output.body.severity, 'high');
  assert.equal(x.stepResults.ask.output.approved, true);
  assert.deepEqual(house.receiver.toPath('/isolate').at(-1).body, { host: 'h-17' });
  assert.equal(x.stepResults.note.skipReason, 'branch_not_taken');
  assert.ok(x.stepResults.settle.durationMs >= 30, `a wait of 30 ms took ${x.stepResults.settle.durationMs}`);
  assert.equal(x.progress.total, 7);
  assert.equal(x.progress.completed, 6);
  assert.equal(x.progress.skipped, 1);
  assert.equal(x.progress.percent, 100);
  assert.match(x.startTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Date.parse(x.endTime) >= Date.parse(x.startTime));
});

test('a call-service request carries the headers that receivers need', async () => {
  const definition = runbook('headers', [
    call('one', `${url}/headers`, [], {
      config: { headers: { 'X-Mine': '${input.word}' }, query: { q: 'a b&c' } },
      input: { n: 1, list: [true, null] },
    }),
  ]);
  await alice.register(definition);
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const id = await alice.startId(
    definition.id,
    { word: 'hello' },
    {},
    { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } },
  );
  await alice.until(id, 'completed');
  const [request] = house.receiver.toPath('/headers');
  assert.equal(request.method, 'POST');
  assert.deepEqual(request.body, { n: 1, list: [true, null] });
  assert.equal(request.headers['x-mine'], 'hello');
  assert.equal(request.headers['x-tenant-id'], 'acme');
  assert.equal(request.headers['x-initiated-by'], 'alice');
  assert.match(request.headers.traceparent, new RegExp(`^00-${trace}-[0-9a-f]{16}-[0-9a-f]{2}$`));
  assert.ok(request.key && request.key.length >= 16);
  assert.equal(new URL(`http://x${request.url}`).searchParams.get('q'), 'a b&c');
});

test('GET has no body; 204 and bodies that are not JSON complete', async () => {
  house.receiver.on('/get', { body: { value: 7 } });
  house.receiver.on('/none', { status: 204 });
  house.receiver.on('/text', { body: 'plain words', headers: { 'Content-Type': 'text/plain' } });
  const definition = runbook('bodies', [
    call('get', `${url}/get`, [], { config: { method: 'GET' } }),
    call('none', `${url}/none`),
    call('text', `${url}/text`),
  ]);
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, {}), 'completed');
  assert.equal(house.receiver.toPath('/get')[0].text, '');
  assert.equal(x.stepResults.get.output.value, 7);
  assert.equal(x.stepResults.none.output.status, 204);
  assert.equal(x.stepResults.text.output.body, 'plain words');
});

test('a step starts as soon as its own dependencies are done', async () => {
  house.receiver.on('/slow', { delayMs: 1500 });
  const definition = runbook('no-levels', [
    call('slow', `${url}/slow`),
    call('a', `${url}/a`),
    call('b', `${url}/b`, ['a']),
    call('c', `${url}/c`, ['b']),
    call('join', `${url}/join`, ['slow', 'c']),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const x = await alice.stepStatus(id, 'c', 'completed');
  assert.equal(x.stepResults.slow.status, 'running');
  assert.equal(x.stepResults.join.status, 'pending');
  await alice.until(id, 'completed');
});

test('a branch not taken is skipped with all that hangs on it; a join runs', async () => {
  const definition = runbook('skips', [
    conditional(
      'if',
      { field: 'input.n', operator: 'gt', value: 10 },
      { trueBranch: ['big'], falseBranch: ['small'] },
    ),
    wait('big', 1),
    wait('big-2', 1, ['big']),
    wait('big-3', 1, ['big-2']),
    wait('small', 1),
    wait('join', 1, ['big-3', 'small']),
    wait('after', 1, ['join']),
  ]);
  await alice.register(definition);
  const low = await alice.until(await alice.startId(definition.id, { n: 3 }), 'completed');
  assert.deepEqual(statuses(low), {
    if: 'completed',
    big: 'skipped',
    'big-2': 'skipped',
    'big-3': 'skipped',
    small: 'completed',
    join: 'completed',
    after: 'completed',
  });
  const high = await alice.until(await alice.startId(definition.id, { n: 30 }), 'completed');
  assert.deepEqual(statuses(high), {
    if: 'completed',
    big: 'completed',
    'big-2': 'completed',
    'big-3': 'completed',
    small: 'skipped',
    join: 'completed',
    after: 'completed',
  });
});

test('a step whose condition is false is skipped, and so is what depends on it alone', async () => {
  const definition = runbook('conditions', [
    wait('first', 1),
    wait('maybe', 1, ['first'], { condition: { field: 'input.on', operator: 'eq', value: true } }),
    wait('then', 1, ['maybe']),
    wait('both', 1, ['first', 'then']),
  ]);
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, { on: false }), 'completed');
  assert.deepEqual(statuses(x), { first: 'completed', maybe: 'skipped', then: 'skipped', both: 'completed' });
});

test('onFailure "continue" lets the rest go on; else a failure fails the execution', async () => {
  house.receiver.on('/no', { status: 400, body: { why: 'no' } });
  const steps = (onFailure) => [call('bad', `${url}/no`, [], { onFailure }), wait('next', 1, ['bad'])];
  const goesOn = runbook('continue', steps('continue'));
  await alice.register(goesOn);
  const x = await alice.until(await alice.startId(goesOn.id, {}), 'completed');
  assert.equal(x.stepResults.bad.status, 'failed');
  assert.equal(x.stepResults.next.status, 'completed');
  const fails = runbook('fail', steps('fail'));
  await alice.register(fails);
  const y = await alice.until(await alice.startId(fails.id, {}), 'failed');
  assert.equal(y.stepResults.bad.status, 'failed');
  assert.notEqual(y.stepResults.next.status, 'completed');
  assert.match(JSON.stringify(y.error), /bad|400/);
});

test('joinPolicy "any" runs at the first completed dependency', async () => {
  const definition = runbook('any', [
    wait('fast', 5),
    wait('slow', 2000),
    wait('go', 1, ['fast', 'slow'], { joinPolicy: 'any' }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const x = await alice.stepStatus(id, 'go', 'completed', { timeoutMs: 1500 });
  assert.equal(x.stepResults.slow.status, 'waiting');
  await alice.cmd(`cancel.${id}`, {});
});

test('the output is what the sinks gave, or the output template', async () => {
  house.receiver.on('/out', { body: { n: 5 } });
  const plain = runbook('output', [call('a', `${url}/out`), call('b', `${url}/out`, ['a'])]);
  await alice.register(plain);
  const x = await alice.until(await alice.startId(plain.id, {}), 'completed');
  assert.equal(JSON.stringify(x.output).includes('"n":5'), true, JSON.stringify(x.output));
  const templated = runbook('output', [call('a', `${url}/out`)], {
    output: { five: '${steps.a.n}', text: 'n is ${steps.a.n}', none: '${steps.a.x ?? 9}' },
  });
  await alice.register(templated);
  const y = await alice.until(await alice.startId(templated.id, {}), 'completed');
  assert.deepEqual(y.output, { five: 5, text: 'n is 5', none: 9 });
});

test('no more steps run at once than the runbook allows', async () => {
  let now = 0,
    most = 0;
  house.receiver.on('/crowd', async () => {
    most = Math.max(most, ++now);
    await sleep(30);
    now -= 1;
    return { body: {} };
  });
  const definition = runbook(
    'crowd',
    Array.from({ length: 12 }, (_, i) => call(`s${i}`, `${url}/crowd`)),
    { maxConcurrentSteps: 3 },
  );
  await alice.register(definition);
  await alice.until(await alice.startId(definition.id, {}), 'completed');
  assert.equal(most, 3);
});

test('a dry run touches nothing outside', async () => {
  const definition = runbook('dry', [call('a', `${url}/dry`), wait('b', 1, ['a'])]);
  await alice.register(definition);
  const reply = await alice.start(definition.id, {}, { options: { dryRun: true } });
  assert.ok(reply.ok, reply.text);
  await alice.ended(reply.body.executionId);
  assert.equal(house.receiver.toPath('/dry').length, 0);
});

test('pauseAt stops before the step it names', async () => {
  const definition = runbook('pause-at', [wait('a', 1), wait('b', 1, ['a'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {}, { options: { pauseAt: 'b' } });
  const x = await alice.until(id, 'paused');
  assert.equal(x.stepResults.a.status, 'completed');
  assert.ok(['pending', 'ready'].includes(x.stepResults.b.status));
  assert.ok((await alice.cmd(`resume.${id}`, {})).ok);
  await alice.until(id, 'completed');
});

test('wait until a time of the past ends at once, of the future not early', async () => {
  const at = new Date(Date.now() + 600).toISOString();
  const definition = runbook('until', [
    step('past', 'wait', [], { config: { until: '2020-01-01T00:00:00.000Z' } }),
    step('future', 'wait', [], { config: { until: '${input.at}' } }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, { at });
  const x = await alice.until(id, 'completed');
  assert.ok(x.stepResults.past.durationMs < 500);
  assert.ok(Date.parse(x.stepResults.future.endTime) >= Date.parse(at), 'the timer fired early');
});

test('1,000 steps in a fan and a chain', { timeoutMs: 60000 }, async () => {
  const steps = [wait('root', 0)];
  for (let i = 0; i < 500; i++)
    steps.push(conditional(`fan${i}`, { field: 'input.x', operator: 'exists' }, { dependsOn: ['root'] }));
  for (let i = 0; i < 500; i++) {
    const before = i ? [`chain${i - 1}`] : steps.filter((s) => s.id.startsWith('fan')).map((s) => s.id);
    steps.push(conditional(`chain${i}`, { field: 'input.x', operator: 'exists' }, { dependsOn: before }));
  }
  const definition = runbook('big', steps, { defaultRetryPolicy: ONCE });
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, { x: 1 }), 'completed', { timeoutMs: 30000 });
  assert.equal(x.progress.completed, 1001);
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
