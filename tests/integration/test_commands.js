'use strict';
// Commands: every error that a client can meet, bad input, identity, command ids, duplicates. One reply
// for each request, and nothing changed by what was refused.

const { randomUUID } = require('node:crypto');
const { test, run, assert, sleep } = require('./lib/tap.js');
const { House, context, nats, PREFIX } = require('./lib/house.js');
const { call, conditional, approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice, bob, mallory, url;

const HTTP_STATUS = {
  INVALID_JSON: 400,
  INVALID_REQUEST: 400,
  INVALID_RUNBOOK: 400,
  INVALID_INPUT: 400,
  FORBIDDEN: 403,
  IDENTITY_MISMATCH: 403,
  NOT_AN_APPROVER: 403,
  SELF_APPROVAL: 403,
  RUNBOOK_NOT_FOUND: 404,
  EXECUTION_NOT_FOUND: 404,
  STEP_NOT_FOUND: 404,
  WRONG_STATE: 409,
  ALREADY_DECIDED: 409,
  DUPLICATE_VOTE: 409,
  VERSION_CONFLICT: 409,
  TOO_LARGE: 413,
  TOO_DEEP: 422,
  LIMIT_EXCEEDED: 422,
};

/** The reply is one error in the protocol's form with one of @codes. */
function refused(reply, ...codes) {
  assert.ok(reply.body, `not JSON: ${reply.text.slice(0, 200)}`);
  assert.ok(codes.includes(reply.error), `${codes}: ${reply.text.slice(0, 500)}`);
  assert.equal(reply.body.version, 'v1');
  assert.ok(typeof reply.body.message === 'string' && reply.body.message.length > 8, reply.text);
  assert.equal(reply.headers.get('Nats-Service-Error-Code'), String(HTTP_STATUS[reply.error]), reply.error);
  assert.ok(reply.headers.get('Nats-Service-Error'));
  for (const d of reply.body.details || []) assert.ok(typeof d.message === 'string', reply.text);
}

const count = async () => (await alice.all('executions', 'executions')).length;

let simple;

/** A time-ordered UUID, as execution ids are. */
function uuidV7() {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

test('a definition with many errors gets all of them at once, with pointers', async () => {
  const reply = await alice.cmd('register', {
    id: 'broken',
    name: 'broken',
    version: '1',
    steps: [
      { id: 'a', name: 'a', type: 'call-service', dependsOn: ['b'], config: {} },
      { id: 'b', name: 'b', type: 'call-servise', dependsOn: ['a'] },
      { id: 'b', name: 'again', type: 'wait', dependsOn: ['nowhere'], config: { durationMs: -5 }, colour: 'red' },
    ],
  });
  refused(reply, 'INVALID_RUNBOOK');
  const all = JSON.stringify(reply.body.details);
  const paths = reply.body.details.map((d) => d.path);
  assert.ok(
    paths.every((p) => p === '' || p.startsWith('/')),
    all,
  );
  assert.match(all, /call-service/, 'the nearest known type is named');
  assert.match(all, /nowhere/);
  assert.ok(
    paths.some((p) => p.startsWith('/steps/1/type')),
    all,
  );
  assert.ok(
    paths.some((p) => p.startsWith('/steps/2')),
    all,
  );
  assert.ok(reply.body.details.length >= 4, all);
});

test('a cycle is named by its path', async () => {
  const reply = await alice.cmd(
    'register',
    runbook('cycle', [wait('a', 1, ['c']), wait('b', 1, ['a']), wait('c', 1, ['b']), wait('free', 1)]),
  );
  refused(reply, 'INVALID_RUNBOOK');
  const all = JSON.stringify(reply.body);
  for (const id of ['a', 'b', 'c']) assert.ok(new RegExp(`\\b${id}\\b`).test(all), all);
});

test('a registered version is immutable', async () => {
  const definition = runbook('version', [wait('a', 1)]);
  await alice.register(definition);
  assert.ok((await alice.cmd('register', definition)).ok, 'the same content again is fine');
  refused(await alice.cmd('register', { ...definition, name: 'other' }), 'VERSION_CONFLICT');
  assert.ok((await alice.cmd('register', { ...definition, name: 'other', version: '1.1.0' })).ok);
  const got = await alice.query(`runbook.${definition.id}`);
  assert.equal(got.body.runbook.version, '1.1.0', 'the newest is the default');
});

test('unknown names', async () => {
  const unknown = randomUUID();
  refused(await alice.start('no-such-runbook', {}), 'RUNBOOK_NOT_FOUND');
  refused(await alice.start(simple.id, {}, { version: '9.9.9' }), 'RUNBOOK_NOT_FOUND');
  for (const verb of ['pause', 'resume', 'cancel'])
    refused(await alice.cmd(`${verb}.${unknown}`, {}), 'EXECUTION_NOT_FOUND');
  refused(await alice.cmd(`approve.${unknown}.a`, { decision: 'approved' }), 'EXECUTION_NOT_FOUND');
  for (const what of ['execution', 'history', 'logs', 'evidence'])
    refused(await alice.query(`${what}.${unknown}`), 'EXECUTION_NOT_FOUND');
  refused(await alice.query('runbook.no-such-runbook'), 'RUNBOOK_NOT_FOUND');
  const id = await alice.startId(simple.id, { unknown });
  refused(await alice.cmd(`retry.${id}.no-such-step`, {}), 'STEP_NOT_FOUND');
  refused(await alice.cmd(`approve.${id}.no-such-step`, { decision: 'approved' }), 'STEP_NOT_FOUND');
});

test('malformed bodies: one error each, nothing started', async () => {
  const before = await count();
  const bodies = [
    ['', 'INVALID_JSON', 'INVALID_REQUEST'],
    ['{', 'INVALID_JSON'],
    ['{"a":1}x', 'INVALID_JSON'],
    ['nul', 'INVALID_JSON'],
    ['[1,2', 'INVALID_JSON'],
    ['{"a":1,"a":2}', 'INVALID_JSON', 'INVALID_REQUEST'],
    [Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 'INVALID_JSON'],
    [Buffer.from('{"runbookId":"\xC3("}', 'latin1'), 'INVALID_JSON'],
    ['{"runbookId":"\\ud800"}', 'INVALID_JSON', 'INVALID_REQUEST', 'RUNBOOK_NOT_FOUND'],
    ['[]', 'INVALID_REQUEST'],
    ['"text"', 'INVALID_REQUEST'],
    ['7', 'INVALID_REQUEST'],
    ['null', 'INVALID_REQUEST'],
    ['true', 'INVALID_REQUEST'],
    ['{}', 'INVALID_REQUEST'],
    [{ runbookId: 7, context: context() }, 'INVALID_REQUEST'],
    [{ runbookId: simple.id, context: 'x' }, 'INVALID_REQUEST'],
    [{ runbookId: simple.id, context: context(), executionId: 'not-a-uuid' }, 'INVALID_REQUEST'],
    [{ runbookId: simple.id, context: context(), options: { dryRun: 'yes' } }, 'INVALID_REQUEST'],
    [{ runbookId: simple.id, context: context({ legalBasis: 5 }) }, 'INVALID_REQUEST'],
    [{ runbookId: '', context: context() }, 'INVALID_REQUEST', 'RUNBOOK_NOT_FOUND'],
    [
      { runbookId: 'x'.repeat(5000), context: context() },
      'INVALID_REQUEST',
      'RUNBOOK_NOT_FOUND',
      'TOO_LARGE',
      'LIMIT_EXCEEDED',
    ],
    ['{"runbookId":"a\\u0000b"}', 'INVALID_JSON', 'INVALID_REQUEST', 'RUNBOOK_NOT_FOUND'],
    ['{"n":1e999}', 'INVALID_JSON', 'INVALID_REQUEST'],
  ];
  for (const [body, ...codes] of bodies) refused(await alice.cmd('start', body), ...codes);
  assert.equal(await count(), before);
});

test('absurd depth and size', async () => {
  const before = await count();
  const deep = (n) =>
    `{"runbookId":"${simple.id}","context":${JSON.stringify(context())},"input":${'['.repeat(n)}${']'.repeat(n)}}`;
  refused(await alice.cmd('start', deep(100000)), 'TOO_DEEP');
  refused(await alice.cmd('start', deep(2000)), 'TOO_DEEP');
  refused(
    await alice.cmd('register', `{"id":"x","steps":${'{"a":'.repeat(50000)}1${'}'.repeat(50000)}}`),
    'TOO_DEEP',
    'INVALID_RUNBOOK',
  );
  refused(
    await alice.start(simple.id, 'x'.repeat(1000000), { options: { idempotencyKey: 'k'.repeat(20000) } }),
    'TOO_LARGE',
    'INVALID_REQUEST',
    'LIMIT_EXCEEDED',
  );
  const id = await alice.startId(simple.id, { big: 1 });
  refused(
    await alice.cmd(`cancel.${id}`, { reason: 'r'.repeat(100000) }),
    'TOO_LARGE',
    'INVALID_REQUEST',
    'LIMIT_EXCEEDED',
  );
  assert.equal(await count(), before + 1);
  await alice.until(id, 'completed');
});

test('conditions nested too deep are refused', async () => {
  let condition = { field: 'input.a', operator: 'exists' };
  for (let i = 0; i < 200; i++) condition = { all: [condition] };
  refused(
    await alice.cmd('register', runbook('deep', [conditional('c', condition)])),
    'INVALID_RUNBOOK',
    'TOO_DEEP',
    'LIMIT_EXCEEDED',
  );
});

test('subjects with too few, too many or strange tokens', async () => {
  const ask = (subject, body = {}) => alice.request(`${PREFIX}.${subject}`, body, { id: randomUUID() });
  const id = randomUUID();
  for (const subject of [
    'acme.cmd.alice',
    'acme.cmd.alice.nothing',
    'acme.cmd.alice.pause',
    `acme.cmd.alice.pause.${id}.more`,
    'acme.cmd.alice.pause.not-a-uuid',
    `acme.cmd.alice.approve.${id}`,
    `acme.cmd.alice.retry.${id}`,
    'acme.cmd.alice.start.more',
    'acme.cmd.alice.register.more',
    'acme.query.alice.nothing',
    'acme.query.alice.execution',
    'acme.query.alice.execution.not-a-uuid',
    `acme.query.alice.history.${id}.x`,
    'acme.cmd.al%zzice.start',
    'acme.cmd.al%ice.start',
    'ac%00me.cmd.alice.start',
    'acme.query.alice',
    'acme.event.alice',
  ]) {
    let reply;
    try {
      reply = await ask(subject);
    } catch (e) {
      // too short for any subscription: the server itself says so at once
      assert.equal(e.code, '503', `${subject}: ${e.message}`);
      continue;
    }
    refused(reply, 'INVALID_REQUEST', 'EXECUTION_NOT_FOUND');
  }
});

test('exactly one reply for each request', async () => {
  const inbox = nats.createInbox();
  const got = [];
  const subscription = house.connection.subscribe(inbox, {
    callback: (_, m) => got.push(Buffer.from(m.data).toString()),
  });
  for (const body of ['{', '{}', '[]', JSON.stringify({ runbookId: 'nope', context: context() })]) {
    house.connection.publish(`${PREFIX}.acme.cmd.alice.start`, Buffer.from(body), { reply: inbox });
  }
  await sleep(500);
  subscription.unsubscribe();
  assert.equal(got.length, 4, got.join('\n'));
});

test('nobody speaks for another', async () => {
  const before = await count();
  refused(
    await mallory.cmd('start', { runbookId: simple.id, context: context({ initiatedBy: 'alice' }) }),
    'IDENTITY_MISMATCH',
  );
  refused(
    await alice.cmd('start', { runbookId: simple.id, context: context({ tenantId: 'other' }) }),
    'IDENTITY_MISMATCH',
  );
  const waiting = runbook('mine', [approval('ask', ['bob'], 1)]);
  await alice.register(waiting);
  const id = await alice.startId(waiting.id, {});
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  refused(await mallory.cmd(`approve.${id}.ask`, { decision: 'approved', approverId: 'bob' }), 'IDENTITY_MISMATCH');
  refused(await mallory.cmd(`cancel.${id}`, { userId: 'alice' }), 'IDENTITY_MISMATCH');
  refused(
    await mallory.cmd(
      `pause.${id}`,
      { userId: 'alice' },
      { headers: { 'Nats-Request-Info': '{"acc":"acme","user":"alice"}' } },
    ),
    'IDENTITY_MISMATCH',
  );
  assert.equal((await alice.execution(id)).status, 'running');
  assert.equal(await count(), before + 1);
});

test('a tenant does not see the other', async () => {
  const stranger = house.person('alice', 'umbrella');
  const id = await alice.startId(simple.id, { t: 1 });
  refused(await stranger.query(`execution.${id}`), 'EXECUTION_NOT_FOUND');
  refused(await stranger.cmd(`cancel.${id}`, {}), 'EXECUTION_NOT_FOUND');
  refused(await stranger.query(`runbook.${simple.id}`), 'RUNBOOK_NOT_FOUND');
  assert.equal((await stranger.query('executions')).body.executions.length, 0);
});

test('authorizedUsers decide who reads and controls', async () => {
  const waiting = runbook('secret', [wait('w', 60000)]);
  await alice.register(waiting);
  const reply = await alice.cmd('start', {
    runbookId: waiting.id,
    context: context({
      legalBasis: { authority: 'A', classification: 'SECRET', authorizedUsers: ['alice', 'bob'] },
    }),
  });
  assert.ok(reply.ok, reply.text);
  const id = reply.body.executionId;
  assert.equal((await bob.execution(id)).id, id);
  for (const what of ['execution', 'history', 'logs', 'evidence'])
    refused(await mallory.query(`${what}.${id}`), 'FORBIDDEN', 'EXECUTION_NOT_FOUND');
  refused(await mallory.cmd(`cancel.${id}`, {}), 'FORBIDDEN', 'EXECUTION_NOT_FOUND');
  assert.ok(
    !(await mallory.all('executions', 'executions')).some((x) => x.id === id),
    'the listing shows it to a stranger',
  );
  assert.ok((await bob.cmd(`cancel.${id}`, {})).ok);
});

test('the same command id again gives the recorded result and does nothing', async () => {
  const id = randomUUID();
  const first = await alice.start(simple.id, { once: id }, {}, { id });
  const second = await alice.start(simple.id, { once: id }, {}, { id });
  assert.ok(first.ok);
  assert.equal(second.text, first.text);
  const byBody = { commandId: randomUUID(), runbookId: simple.id, context: context(), input: { n: Math.random() } };
  const third = await alice.cmd('start', byBody, { id: undefined });
  const fourth = await alice.cmd('start', byBody, { id: undefined });
  assert.equal(fourth.text, third.text);
  assert.equal(third.body.duplicate, undefined);
  const wait60 = runbook('w', [wait('w', 60000)]);
  await alice.register(wait60);
  const x = await alice.startId(wait60.id, {});
  const cancelId = randomUUID();
  const cancelled = await alice.cmd(`cancel.${x}`, { reason: 'once' }, { id: cancelId });
  const again = await alice.cmd(`cancel.${x}`, { reason: 'once' }, { id: cancelId });
  assert.ok(cancelled.ok);
  assert.equal(again.text, cancelled.text, 'the second is answered as the first, not WRONG_STATE');
});

test('a command id is remembered across a restart', async () => {
  const id = randomUUID();
  const first = await alice.start(simple.id, { restart: id }, {}, { id });
  await house.restartEngine('SIGKILL');
  const second = await alice.start(simple.id, { restart: id }, {}, { id });
  assert.equal(second.text, first.text);
});

test('50 at once with one command id start one execution', async () => {
  const before = await count();
  const id = randomUUID();
  const replies = await Promise.all(
    Array.from({ length: 50 }, () => alice.start(simple.id, { many: id }, {}, { id })),
  );
  assert.equal(new Set(replies.map((r) => r.text)).size, 1);
  assert.equal(await count(), before + 1);
});

test('a command id used for two different commands is refused', async () => {
  const id = randomUUID();
  assert.ok((await alice.start(simple.id, { a: id }, {}, { id })).ok);
  const other = await alice.start(simple.id, { b: id }, {}, { id });
  assert.ok(other.error, other.text);
});

test('the same input is a duplicate, also while it runs', async () => {
  const slow = runbook('dup', [wait('w', 700)]);
  await alice.register(slow);
  const first = await alice.start(slow.id, { a: 1, b: { c: [1, 2] } });
  const second = await alice.start(slow.id, { b: { c: [1.0, 2] }, a: 1 });
  assert.equal(second.body.executionId, first.body.executionId);
  assert.equal(second.body.duplicate, true);
  await alice.until(first.body.executionId, 'completed');
  assert.equal((await alice.start(slow.id, { a: 1, b: { c: [1, 2] } })).body.duplicate, true);
  const other = await alice.start(slow.id, { a: 2 });
  assert.notEqual(other.body.executionId, first.body.executionId);
  const forced = await alice.start(
    slow.id,
    { a: 1, b: { c: [1, 2] } },
    { options: { skipIdempotencyCheck: true } },
  );
  assert.notEqual(forced.body.executionId, first.body.executionId);
  assert.notEqual(forced.body.duplicate, true);
});

test('after failing or cancelling, the same input starts anew', async () => {
  const slow = runbook('again', [wait('w', 60000)]);
  await alice.register(slow);
  const first = await alice.startId(slow.id, { x: 1 });
  await alice.cmd(`cancel.${first}`, {});
  await alice.until(first, 'cancelled');
  const second = await alice.startId(slow.id, { x: 1 });
  assert.notEqual(second, first);
  await alice.cmd(`cancel.${second}`, {});
});

test('30 starts at once with the same input are one execution', async () => {
  const slow = runbook('race', [wait('w', 300)]);
  await alice.register(slow);
  const replies = await Promise.all(Array.from({ length: 30 }, () => alice.start(slow.id, { same: true })));
  assert.equal(new Set(replies.map((r) => r.body.executionId)).size, 1);
  assert.equal(replies.filter((r) => !r.body.duplicate).length, 1);
});

test('a caller may choose the execution id, once', async () => {
  const executionId = uuidV7();
  const reply = await alice.start(simple.id, { chosen: 1 }, { executionId });
  assert.ok(reply.ok, reply.text);
  assert.equal(reply.body.executionId, executionId);
  const again = await alice.start(simple.id, { chosen: 2 }, { executionId });
  assert.ok(again.error, again.text);
  refused(await alice.start(simple.id, { chosen: 3 }, { executionId: 'not-a-uuid' }), 'INVALID_REQUEST');
});

test('inputSchema is held against the input', async () => {
  const definition = runbook('schema', [wait('w', 1)], {
    inputSchema: {
      type: 'object',
      required: ['host'],
      properties: { host: { type: 'string', minLength: 1 }, n: { type: 'integer' } },
    },
  });
  await alice.register(definition);
  refused(await alice.start(definition.id, {}), 'INVALID_INPUT');
  const reply = await alice.start(definition.id, { host: '', n: 'x' });
  refused(reply, 'INVALID_INPUT');
  assert.equal(reply.body.details.length, 2, reply.text);
  assert.ok((await alice.start(definition.id, { host: 'h', n: 3 })).ok);
});

test('replies go to inboxes only: no way to write into our own output through them', async () => {
  const intruder = randomUUID();
  const heard = [];
  const forged = [
    `${PREFIX}.acme.lifecycle.${intruder}.execution.started`,
    `${PREFIX}.acme.log.${intruder}.info`,
    `${PREFIX}.checkpoint.${intruder}`,
    `${PREFIX}.acme.cmd.bob.start`,
    '$JS.API.STREAM.DELETE.RUNBOOK_AUDIT',
  ];
  // Our own requests arrive at cmd.bob too, if the engine sends its answers there.
  const subscriptions = forged.map((subject) =>
    house.connection.subscribe(subject, { callback: (_, m) => heard.push(m.subject) }),
  );
  for (const reply of forged) {
    house.connection.publish(`${PREFIX}.acme.query.alice.stats`, Buffer.from(''), { reply });
    house.connection.publish(`${PREFIX}.acme.cmd.alice.start`, Buffer.from('{}'), { reply });
    house.connection.publish('$SRV.PING.runbook', Buffer.from(''), { reply });
  }
  await house.connection.flush();
  await sleep(400);
  for (const subscription of subscriptions) subscription.unsubscribe();
  assert.deepEqual(heard, []);
  for (const family of ['lifecycle', 'log']) {
    assert.deepEqual(await house.auditMessages(`${PREFIX}.acme.${family}.${intruder}.>`), []);
  }
});

test('an answer that nats-server gives to somebody is no command of somebody else', async () => {
  // A publisher to the durable queue may name any subject for the stream's acknowledgement to go to.
  const definition = runbook('victim', [wait('w', 60000)]);
  await bob.register(definition);
  const id = await bob.startId(definition.id, {});
  for (const target of [`cmd.bob.cancel.${id}`, `queue.bob.cancel.${id}`, `cmd.bob.pause.${id}`]) {
    house.connection.publish(`${PREFIX}.acme.queue.mallory.nonsense`, Buffer.from('{}'), {
      reply: `${PREFIX}.acme.${target}`,
    });
  }
  await house.connection.flush();
  await sleep(500);
  assert.equal((await bob.execution(id)).status, 'running');
  await bob.cmd(`cancel.${id}`, {});
});

test('names are percent-encoded in subjects', async () => {
  const user = 'jos\u00e9@example.com';
  const token = encodeURIComponent(user).replaceAll('.', '%2E');
  const jose = house.person(token);
  const definition = runbook('encoded', [wait('w', 1)]);
  await jose.register(definition);
  const reply = await jose.cmd('start', { runbookId: definition.id, context: context({ initiatedBy: user }) });
  assert.ok(reply.ok, reply.text);
  const x = await jose.ended(reply.body.executionId);
  assert.equal(x.context.initiatedBy, user);
});

test('unknown fields in a command are ignored', async () => {
  const reply = await alice.start(simple.id, { q: Math.random() }, { somethingNew: { a: 1 } });
  assert.ok(reply.ok, reply.text);
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
  mallory = house.person('mallory');
  simple = runbook('simple', [wait('w', 1)]);
  await alice.register(simple);
});
