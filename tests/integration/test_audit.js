'use strict';
// What an auditor gets: lifecycle events without gaps, chained by hash, in the stream and in the engine
// alike; logs that carry the legal context; evidence of every call.

const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House, context, nats, PREFIX } = require('./lib/house.js');
const { canonical, sha256 } = require('./lib/canonical.js');
const { chainFault } = require('./lib/chain.js');
const { call, conditional, approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

let house, alice, bob, url;
let id, messages;

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

test('an execution with everything in it', async () => {
  house.receiver.on('/flaky', (_, n) =>
    n === 1 ? { status: 503 } : { body: { t: 'h\u00e9 \u20ac \u{1F600}', n: 1.5e-7 } },
  );
  const definition = runbook('audited', [
    call('a', `${url}/flaky`),
    conditional(
      'if',
      { field: 'a.n', operator: 'lt', value: 1 },
      { dependsOn: ['a'], trueBranch: 'ask', falseBranch: 'no' },
    ),
    approval('ask', ['bob'], 1),
    wait('no', 1),
    waitForEvent('ev', 'audit.event', ['ask'], { correlationId: '${execution.id}' }),
    wait('w', 5, ['ev'], {
      evidence: [
        { type: 'note', sourceRef: 'ticket/${input.ticket}', confidence: 0.75, value: { t: '${input.ticket}' } },
      ],
    }),
  ]);
  await alice.register(definition);
  id = await alice.startId(definition.id, { ticket: 'T-9', weird: { '\u20ac': 1, '\r': 2, 'a b': 1e21 } });
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  await alice.cmd(`approve.${id}.ask`, { decision: 'approved' }); // refused: her own
  await bob.cmd(`approve.${id}.ask`, { decision: 'approved', comments: 'ok' });
  await alice.stepStatus(id, 'ev', 'awaiting_event');
  await alice.cmd(`pause.${id}`, {});
  await alice.cmd(`resume.${id}`, {});
  await alice.event('audit.event', { correlationId: id, payload: { p: [1, 2, 3] } });
  await alice.until(id, 'completed');
  messages = await house.auditOf(id);
});

test('the stream has every event once, in order, without a gap', () => {
  assert.deepEqual(
    messages.map((m) => m.body.sequence),
    messages.map((_, i) => i + 1),
  );
  assert.deepEqual(
    messages.map((m) => m.id),
    messages.map((_, i) => `${id}/${i + 1}`),
  );
});

test("the hash chain holds, computed by somebody else's code", () => {
  assert.equal(chainFault(messages.map((m) => m.body)), null);
});

test('a changed event is noticed', () => {
  const forged = messages.map((m) => structuredClone(m.body));
  forged[3].data.by = 'nobody';
  assert.match(chainFault(forged), /event 4/);
  const missing = messages.map((m) => m.body).filter((_, i) => i !== 5);
  assert.match(chainFault(missing), /event 6/);
});

test('the bytes published are the canonical form', () => {
  for (const m of messages) assert.equal(m.text, canonical(m.body));
});

test('events are CloudEvents 1.0 of the protocol', () => {
  let last = 0;
  for (const { body, subject } of messages) {
    assert.equal(body.specversion, '1.0');
    assert.equal(body.id, `${id}/${body.sequence}`);
    assert.match(body.source, /runbookd/);
    assert.match(body.type, /^runbook\.(execution|step|approval|event|evidence|command)\.[a-z_]+$/);
    assert.equal(subject, `${PREFIX}.acme.lifecycle.${id}.${body.type.replace('runbook.', '')}`);
    assert.ok(body.subject === id || body.subject.startsWith(`${id}/`), body.subject);
    assert.match(body.time, TIME);
    assert.equal(body.datacontenttype, 'application/json');
    assert.ok(body.data && typeof body.data === 'object');
    assert.ok(Date.parse(body.time) >= last, 'time goes back');
    last = Date.parse(body.time);
  }
});

test('the events tell the story', () => {
  const types = messages.map((m) => m.body.type.replace('runbook.', ''));
  for (const type of [
    'execution.started',
    'execution.completed',
    'execution.resumed',
    'execution.paused',
    'step.started',
    'step.completed',
    'step.retrying',
    'step.skipped',
    'step.awaiting_approval',
    'step.awaiting_event',
    'approval.recorded',
    'event.received',
    'evidence.recorded',
  ]) {
    assert.ok(types.includes(type), `${type} is missing: ${types.join(' ')}`);
  }
  assert.ok(types.includes('approval.refused'));
  assert.equal(types[0], 'execution.started');
  assert.equal(types.at(-1), 'execution.completed');
  const recorded = messages.find((m) => m.body.type === 'runbook.approval.recorded').body;
  assert.equal(recorded.data.by, 'bob');
});

test('query history gives the same events as the stream', async () => {
  const events = await alice.all(`history.${id}`, 'events');
  assert.deepEqual(
    events,
    messages.map((m) => m.body),
  );
  const paged = await alice.all(`history.${id}`, 'events', { limit: 3 });
  assert.deepEqual(paged, events, 'in pages of three');
});

test("logs carry the execution's context and come in order", async () => {
  const logs = await alice.all(`logs.${id}`, 'logs');
  assert.ok(logs.length > 0);
  for (const entry of logs) {
    assert.equal(entry.executionId, id);
    assert.equal(entry.tenantId, 'acme');
    assert.match(entry.timestamp, TIME);
    assert.ok(['debug', 'info', 'warn', 'error'].includes(entry.level), entry.level);
    assert.ok(typeof entry.message === 'string' && entry.message);
    assert.deepEqual(entry.legalBasis, context().legalBasis);
    assert.deepEqual(entry.assumptions, context().assumptions);
  }
  assert.deepEqual(
    logs.map((l) => l.timestamp),
    logs.map((l) => l.timestamp).sort(),
  );
  assert.equal(new Set(logs.map((l) => l.id)).size, logs.length);
  const onlyA = await alice.all(`logs.${id}`, 'logs', { stepId: 'a' });
  assert.ok(onlyA.length > 0 && onlyA.every((l) => l.stepId === 'a'));
  const warnings = await alice.all(`logs.${id}`, 'logs', { level: 'warn' });
  assert.ok(
    warnings.every((l) => l.level === 'warn' || l.level === 'error'),
    'the level filter',
  );
});

test('logs are in the audit stream as well', async () => {
  const published = await eventually(
    async () => {
      const list = await house.auditMessages(`${PREFIX}.acme.log.${id}.>`);
      return list.length > 0 && list;
    },
    { what: 'logs in the stream' },
  );
  const logs = await alice.all(`logs.${id}`, 'logs');
  assert.deepEqual(
    published.map((m) => m.body.id),
    logs.map((l) => l.id),
  );
  for (const m of published) assert.equal(m.subject, `${PREFIX}.acme.log.${id}.${m.body.level}`);
});

test('every call leaves evidence with digests', async () => {
  const evidence = await alice.all(`evidence.${id}`, 'evidence');
  const calls = evidence.filter((e) => e.stepId === 'a');
  assert.ok(calls.length >= 1, JSON.stringify(evidence));
  for (const e of evidence) {
    assert.match(e.id, UUID_V7);
    assert.match(e.timestamp, TIME);
    assert.match(e.sha256, /^[0-9a-f]{64}$/);
    assert.ok(e.confidence >= 0 && e.confidence <= 1);
    assert.ok(e.type && e.sourceRef);
  }
  const note = evidence.find((e) => e.type === 'note');
  assert.ok(note, "the definition's own evidence");
  assert.equal(note.sourceRef, 'ticket/T-9');
  assert.equal(note.confidence, 0.75);
  assert.equal(note.sha256, sha256(canonical(note.value)));
});

test('a live subscription hears what the stream has', async () => {
  const heard = [];
  const subscription = house.connection.subscribe(`${PREFIX}.acme.lifecycle.>`, {
    callback: (_, m) => heard.push(Buffer.from(m.data).toString()),
  });
  await house.connection.flush();
  const definition = runbook('live', [wait('a', 1), wait('b', 1, ['a'])]);
  await alice.register(definition);
  const live = await alice.startId(definition.id, {});
  const stored = await house.auditOf(live);
  await sleep(50);
  subscription.unsubscribe();
  assert.deepEqual(
    heard.filter((t) => t.includes(live)),
    stored.map((m) => m.text),
  );
});

test('registering is audited', async () => {
  const definition = runbook('registered', [wait('a', 1)]);
  await bob.register(definition);
  const found = await eventually(
    async () => {
      const all = await house.auditMessages(`${PREFIX}.acme.lifecycle.>`);
      return all.find(
        (m) => m.body.type === 'runbook.runbook.registered' && JSON.stringify(m.body).includes(definition.id),
      );
    },
    { what: 'runbook.registered' },
  );
  assert.match(JSON.stringify(found.body), /bob/);
});

test('the audit stream is kept as an audit stream', async () => {
  const jsm = await house.connection.jetstreamManager();
  const { config } = await jsm.streams.info('RUNBOOK_AUDIT');
  assert.equal(config.storage, 'file');
  assert.equal(config.retention, 'limits');
  assert.equal(config.deny_delete, true);
  assert.equal(config.deny_purge, true);
  const queue = (await jsm.streams.info('RUNBOOK_QUEUE')).config;
  assert.equal(queue.storage, 'file');
});

test('the engine publishes again what the stream has lost', { timeoutMs: 60000 }, async () => {
  const definition = runbook('lost', [wait('a', 1)]);
  await alice.register(definition);
  const ids = [];
  for (let n = 0; n < 20; n++) ids.push(await alice.startId(definition.id, { n }));
  for (const x of ids) await house.auditOf(x);
  // The store goes back to nothing, as after losing the machine that held it.
  await house.natsServer.end('SIGKILL');
  require('node:fs').rmSync(`${house.dir}/jetstream`, { recursive: true, force: true });
  await house.startNats();
  await eventually(
    async () => {
      for (const x of ids) {
        const events = (await house.auditEvents(x)).map((m) => m.body);
        if (!events.length || chainFault(events)) return false;
      }
      return true;
    },
    { what: 'all events of 20 executions in the new stream', timeoutMs: 30000, everyMs: 200 },
  );
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
