'use strict';
// Reading: the shapes of answers, paging, filters; the service protocol of NATS; definitions in YAML.

const { test, run, assert, eventually } = require('./lib/tap.js');
const { House, nats, TENANT } = require('./lib/house.js');
const { call, wait, conditional, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url;

test('runbooks: list and one', async () => {
  const definition = runbook('listed', [wait('a', 1), wait('b', 1, ['a'])], { description: 'what it does' });
  await alice.register(definition);
  const list = await alice.query('runbooks');
  assert.equal(list.body.version, 'v1');
  assert.equal(list.body.count, list.body.runbooks.length);
  const entry = list.body.runbooks.find((r) => r.id === definition.id);
  assert.equal(entry.name, 'listed');
  assert.equal(entry.version, '1.0.0');
  assert.equal(entry.description, 'what it does');
  assert.equal(entry.stepCount, 2);
  const one = await alice.query(`runbook.${definition.id}`);
  assert.deepEqual(
    one.body.runbook.steps.map((s) => s.id),
    ['a', 'b'],
  );
  await alice.register({ ...definition, version: '2.0.0' });
  const old = await alice.query(`runbook.${definition.id}`, { version: '1.0.0' });
  assert.equal(old.body.runbook.version, '1.0.0');
});

test('an execution keeps the version it started with', async () => {
  const definition = runbook('kept', [wait('a', 1)]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.register({ ...definition, version: '1.0.1', steps: [wait('z', 1)] });
  const x = await alice.until(id, 'completed');
  assert.equal(x.runbookVersion, '1.0.0');
  assert.deepEqual(Object.keys(x.stepResults), ['a']);
});

test("an execution's answer has what the protocol says", async () => {
  house.receiver.on('/x', { body: { y: 1 } });
  const definition = runbook('shape', [call('a', `${url}/x`)]);
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, { in: 1 }), 'completed');
  for (const name of [
    'id',
    'runbookId',
    'runbookVersion',
    'status',
    'context',
    'input',
    'output',
    'startTime',
    'endTime',
    'durationMs',
    'isReplay',
    'progress',
    'stepResults',
  ]) {
    assert.ok(name in x, `${name} is missing`);
  }
  assert.equal(x.isReplay, false);
  assert.deepEqual(x.input, { in: 1 });
  assert.equal(x.context.legalBasis.caseId, 'CASE-7');
  const s = x.stepResults.a;
  for (const name of [
    'status',
    'attemptNumber',
    'startTime',
    'endTime',
    'durationMs',
    'output',
    'evidenceCount',
    'logCount',
  ])
    assert.ok(name in s, `${name} is missing`);
  assert.equal(s.attemptNumber, 1);
  assert.ok(s.evidenceCount >= 1);
});

test('executions: newest first, in pages, filtered', async () => {
  const definition = runbook('paged', [conditional('c', { field: 'input.n', operator: 'gte', value: 0 })]);
  await alice.register(definition);
  const ids = [];
  for (let n = 0; n < 25; n++) ids.push(await alice.startId(definition.id, { n }));
  const failing = runbook('fails', [wait('w', 60000)]);
  await bob.register(failing);
  const cancelled = await bob.startId(failing.id, {});
  await bob.cmd(`cancel.${cancelled}`, {});
  const all = await alice.all('executions', 'executions', { runbookId: definition.id });
  assert.deepEqual(
    all.map((x) => x.id),
    [...ids].reverse(),
  );
  const page = await alice.query('executions', { runbookId: definition.id, limit: 10 });
  assert.equal(page.body.executions.length, 10);
  assert.ok(page.body.nextCursor);
  const paged = await alice.all('executions', 'executions', { runbookId: definition.id, limit: 7 });
  assert.deepEqual(
    paged.map((x) => x.id),
    all.map((x) => x.id),
  );
  const byStatus = await alice.all('executions', 'executions', { status: 'cancelled' });
  assert.ok(byStatus.length && byStatus.every((x) => x.status === 'cancelled'));
  // A list says of an execution what the execution's own answer says.
  const [shown] = byStatus.filter((x) => x.id === cancelled);
  const alone = await bob.execution(cancelled);
  for (const name of Object.keys(shown).filter((name) => name !== 'createdAt'))
    assert.deepEqual(shown[name], alone[name], name);
  assert.equal(shown.progress.percent, 100);
  const byWho = await alice.all('executions', 'executions', { initiatedBy: 'bob' });
  assert.deepEqual(
    byWho.map((x) => x.id),
    [cancelled],
  );
  const none = await alice.all('executions', 'executions', { until: '2020-01-01T00:00:00.000Z' });
  assert.equal(none.length, 0);
});

test('bad queries are refused', async () => {
  for (const body of [
    { limit: 0 },
    { limit: 100000 },
    { limit: 'x' },
    { cursor: '???' },
    { status: 'sleeping' },
    { since: 'yesterday' },
    '{',
    '[]',
  ]) {
    const reply = await alice.query('executions', body);
    assert.ok(
      ['INVALID_REQUEST', 'INVALID_JSON'].includes(reply.error),
      `${JSON.stringify(body)}: ${reply.text.slice(0, 200)}`,
    );
  }
});

test('stats count', async () => {
  const before = (await alice.query('stats')).body;
  assert.equal(before.version, 'v1');
  assert.ok(JSON.stringify(before).length > 50, JSON.stringify(before));
});

test('a definition in YAML', async () => {
  const id = `yaml-${Date.now()}`;
  const text = `# a comment
id: ${id}
name: From YAML
version: "1.0"
steps:
  - &first
    id: one
    name: One
    type: wait
    dependsOn: []
    config: {durationMs: 1}
  - id: two
    name: >
      Folded
      name
    type: conditional
    dependsOn: [one]
    config:
      condition: {field: input.go, operator: eq, value: true}
`;
  assert.ok((await alice.cmd('register', text)).ok);
  const x = await alice.until(await alice.startId(id, { go: true }), 'completed');
  assert.deepEqual(Object.keys(x.stepResults), ['one', 'two']);
  const bad = await alice.cmd('register', 'id: x\nsteps:\n  - id: [unclosed\n');
  assert.ok(['INVALID_JSON', 'INVALID_RUNBOOK'].includes(bad.error), bad.text);
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (let i = 0; i < 9; i++)
    bomb.push(`${'bcdefghij'[i]}: &${'bcdefghij'[i]} [${Array(9).fill(`*${'abcdefghij'[i]}`).join(',')}]`);
  assert.ok((await alice.cmd('register', bomb.join('\n'))).error, 'an alias bomb');
});

/** All answers to @subject within a while. */
async function gather(subject) {
  const answers = [];
  const inbox = nats.createInbox();
  const subscription = house.connection.subscribe(inbox, {
    callback: (_, m) => answers.push(JSON.parse(Buffer.from(m.data).toString())),
  });
  house.connection.publish(subject, undefined, { reply: inbox });
  await eventually(() => answers.length > 0, { what: subject });
  subscription.unsubscribe();
  return answers;
}

test('the service answers PING, INFO and STATS of the NATS service protocol', async () => {
  const [ping] = await gather('$SRV.PING');
  assert.equal(ping.type, 'io.nats.micro.v1.ping_response');
  assert.equal(ping.name, 'runbook');
  assert.match(ping.version, /^\d+\.\d+\.\d+/);
  assert.ok(ping.id);
  for (const subject of ['$SRV.PING.runbook', `$SRV.PING.runbook.${ping.id}`])
    assert.equal((await gather(subject))[0].id, ping.id);
  const [info] = await gather(`$SRV.INFO.runbook.${ping.id}`);
  assert.equal(info.type, 'io.nats.micro.v1.info_response');
  assert.ok(Array.isArray(info.endpoints) && info.endpoints.length >= 3, JSON.stringify(info));
  for (const e of info.endpoints) assert.ok(e.name && e.subject, JSON.stringify(e));
  const [stats] = await gather('$SRV.STATS.runbook');
  assert.equal(stats.type, 'io.nats.micro.v1.stats_response');
  assert.match(stats.started, /^\d{4}-/);
  const total = stats.endpoints.reduce((sum, e) => sum + e.num_requests, 0);
  assert.ok(total > 10, JSON.stringify(stats));
});

test("the foreign client's own service tools list it", async () => {
  const client = house.connection.services.client({ maxWait: 500 });
  const found = [];
  for await (const s of await client.ping('runbook')) found.push(s);
  assert.equal(found.length, 1);
  for await (const s of await client.stats('runbook')) assert.equal(s.name, 'runbook');
  for await (const s of await client.info('runbook')) assert.equal(s.name, 'runbook');
});

test(`queries are answered for tenants that have nothing (not ${TENANT})`, async () => {
  const other = house.person('zoe', 'empty-tenant');
  assert.deepEqual((await other.query('executions')).body.executions, []);
  assert.deepEqual((await other.query('runbooks')).body.runbooks, []);
  assert.deepEqual((await other.query('approvals')).body.approvals, []);
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
