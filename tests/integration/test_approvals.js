'use strict';
// Approvals: who may vote, how often, what a quorum is, what time does.

const { test, run, assert, sleep } = require('./lib/tap.js');
const { House, context } = require('./lib/house.js');
const { approval, wait, runbook } = require('./lib/runbooks.js');

let house, alice, bob, carol, dave, mallory;

async function asked(approvers, min, approvalConfig = {}, startContext = {}) {
  const definition = runbook('ask', [
    approval('ask', approvers, min, [], { approvalConfig }),
    wait('after', 1, ['ask']),
  ]);
  await alice.register(definition);
  const reply = await alice.cmd('start', { runbookId: definition.id, context: context(startContext) });
  assert.ok(reply.ok, reply.text);
  await alice.stepStatus(reply.body.executionId, 'ask', 'awaiting_approval');
  return reply.body.executionId;
}

const vote = (person, id, decision, extra = {}) => person.cmd(`approve.${id}.ask`, { decision, ...extra });

test('two of three approve', async () => {
  const id = await asked(['bob', 'carol', 'dave'], 2);
  const first = await vote(bob, id, 'approved', { comments: 'looks right' });
  assert.ok(first.ok, first.text);
  assert.equal((await alice.execution(id)).stepResults.ask.status, 'awaiting_approval');
  assert.ok((await vote(carol, id, 'approved')).ok);
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.ask.output.approved, true);
  assert.equal(x.stepResults.ask.output.approvals.length, 2);
  const [one, two] = x.stepResults.ask.output.approvals;
  assert.deepEqual([one.user, one.decision, one.comments, two.user], ['bob', 'approved', 'looks right', 'carol']);
  const late = await vote(dave, id, 'approved');
  assert.ok(['ALREADY_DECIDED', 'WRONG_STATE'].includes(late.error), late.text);
});

test('it fails as soon as the quorum cannot be reached', async () => {
  const id = await asked(['bob', 'carol', 'dave'], 2);
  await vote(bob, id, 'rejected', { comments: 'no' });
  assert.equal((await alice.execution(id)).status, 'running');
  await vote(carol, id, 'rejected');
  const x = await alice.until(id, 'failed');
  assert.equal(x.stepResults.ask.status, 'failed');
});

test('one vote a person', async () => {
  const id = await asked(['bob', 'carol'], 2);
  assert.ok((await vote(bob, id, 'approved')).ok);
  const again = await vote(bob, id, 'approved');
  assert.equal(again.error, 'DUPLICATE_VOTE', again.text);
  const changed = await vote(bob, id, 'rejected');
  assert.equal(changed.error, 'DUPLICATE_VOTE', changed.text);
  assert.equal((await alice.execution(id)).stepResults.ask.status, 'awaiting_approval');
});

test('only approvers, and not those without authority over the execution', async () => {
  const id = await asked(
    ['bob', 'carol'],
    1,
    {},
    { legalBasis: { authority: 'A', classification: 'S', authorizedUsers: ['alice', 'bob', 'mallory'] } },
  );
  const stranger = await vote(mallory, id, 'approved');
  assert.equal(stranger.error, 'NOT_AN_APPROVER', stranger.text);
  const unauthorised = await vote(carol, id, 'approved');
  assert.ok(
    ['FORBIDDEN', 'NOT_AN_APPROVER', 'EXECUTION_NOT_FOUND'].includes(unauthorised.error),
    unauthorised.text,
  );
  assert.ok((await vote(bob, id, 'approved')).ok);
  await alice.until(id, 'completed');
});

test('the initiator does not approve what he asked for, unless the definition says so', async () => {
  const id = await asked(['alice', 'bob'], 1);
  const own = await vote(alice, id, 'approved');
  assert.equal(own.error, 'SELF_APPROVAL', own.text);
  assert.ok((await vote(bob, id, 'approved')).ok);
  const allowed = await asked(['alice', 'bob'], 1, { allowSelfApproval: true });
  assert.ok((await vote(alice, allowed, 'approved')).ok);
  await alice.until(allowed, 'completed');
});

test('refused attempts are in the history', async () => {
  const id = await asked(['bob'], 1);
  await vote(mallory, id, 'approved');
  await vote(alice, id, 'approved');
  const events = await alice.all(`history.${id}`, 'events');
  const refusals = events.filter((e) => /^runbook\.(approval|command)\.refused$/.test(e.type));
  assert.ok(refusals.length >= 2, events.map((e) => e.type).join(' '));
  assert.match(JSON.stringify(refusals), /mallory/);
  await vote(bob, id, 'approved');
});

test('a bad vote', async () => {
  const id = await asked(['bob'], 1);
  for (const body of [{}, { decision: 'maybe' }, { decision: 7 }, { decision: 'approved', comments: 9 }]) {
    const reply = await bob.cmd(`approve.${id}.ask`, body);
    assert.equal(reply.error, 'INVALID_REQUEST', JSON.stringify(body) + reply.text);
  }
  const wrongStep = await bob.cmd(`approve.${id}.after`, { decision: 'approved' });
  assert.equal(wrongStep.error, 'INVALID_REQUEST', wrongStep.text);
  await vote(bob, id, 'approved');
  await alice.until(id, 'completed');
});

test('timeouts: fail and reject', async () => {
  for (const timeoutAction of ['fail', 'reject']) {
    const id = await asked(['bob'], 1, { timeoutMs: 150, timeoutAction });
    const x = await alice.ended(id);
    assert.equal(x.status, 'failed');
    const events = await alice.all(`history.${id}`, 'events');
    assert.ok(
      events.some((e) => e.type === 'runbook.approval.expired'),
      events.map((e) => e.type).join(' '),
    );
    const late = await vote(bob, id, 'approved');
    assert.ok(['ALREADY_DECIDED', 'WRONG_STATE'].includes(late.error), late.text);
  }
});

test('timeoutAction "approve" needs the operator\'s consent', async () => {
  const definition = runbook('auto', [
    approval('ask', ['bob'], 1, [], { approvalConfig: { timeoutMs: 100, timeoutAction: 'approve' } }),
  ]);
  const refused = await alice.cmd('register', definition);
  assert.equal(refused.error, 'INVALID_RUNBOOK', refused.text);
  assert.match(refused.text, /ALLOW_TIMEOUT_APPROVE/);
  await house.restartEngine('SIGTERM', { ALLOW_TIMEOUT_APPROVE: 'true' });
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, {}));
  assert.equal(x.status, 'completed');
});

test('approvals that wait are listed for those who may decide them', async () => {
  const id = await asked(['bob', 'carol'], 2, { prompt: 'Isolate ${input.host ?? "it"}?' });
  const waiting = async (person) =>
    (await person.query('approvals')).body.approvals.filter((a) => a.executionId === id);
  const [mine] = await waiting(bob);
  assert.ok(mine, 'bob sees it');
  assert.equal(mine.stepId, 'ask');
  assert.equal(mine.prompt, 'Isolate it?');
  assert.equal((await waiting(alice)).length, 0, 'the initiator does not');
  assert.equal((await waiting(mallory)).length, 0, 'a stranger does not');
  await vote(bob, id, 'approved');
  assert.equal((await waiting(bob)).length, 0, 'who has voted does not');
  assert.equal((await waiting(carol)).length, 1);
  await vote(carol, id, 'approved');
  await alice.until(id, 'completed');
  assert.equal((await waiting(carol)).length, 0);
});

test('escalation lets others vote after a while', async () => {
  const id = await asked(['bob'], 1, { escalateTo: ['dave'], escalateAfterMs: 300 });
  assert.equal((await vote(dave, id, 'approved')).error, 'NOT_AN_APPROVER');
  await sleep(500);
  assert.ok((await vote(dave, id, 'approved')).ok);
  await alice.until(id, 'completed');
  const events = await alice.all(`history.${id}`, 'events');
  assert.ok(events.some((e) => e.type === 'runbook.approval.escalated'));
});

test('20 votes at once of 20 people: each counts once', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `voter-${i}`);
  const id = await asked(names, 20);
  const replies = await Promise.all(
    names.flatMap((n) => [vote(house.person(n), id, 'approved'), vote(house.person(n), id, 'approved')]),
  );
  assert.equal(replies.filter((r) => r.ok).length, 20);
  const x = await alice.until(id, 'completed');
  assert.equal(new Set(x.stepResults.ask.output.approvals.map((a) => a.user)).size, 20);
});

test('a vote with the hash of what was shown counts for that, and for nothing else', async () => {
  const definition = runbook('shown', [
    {
      ...approval('ask', ['bob'], 1, [], { approvalConfig: {
          prompt: 'Isolate ${input.host}, ${input.why ?? no reason}?' } }),
      input: { host: '${input.host}' },
    },
  ]);
  await alice.register(definition);
  const start = async (host) => {
    const reply = await alice.cmd('start', { runbookId: definition.id, context: context(), input: { host } });
    await alice.stepStatus(reply.body.executionId, 'ask', 'awaiting_approval');
    return reply.body.executionId;
  };
  const [one, two] = [await start('h1'), await start('h2')];
  const rows = await bob.all('approvals', 'approvals');
  const row = (id) => rows.find((r) => r.executionId === id);
  assert.equal(row(one).prompt, 'Isolate h1, no reason?');
  assert.match(row(one).hash, /^[0-9a-f]{64}$/);
  assert.notEqual(row(one).hash, row(two).hash);
  const wrong = await vote(bob, one, 'approved', { hash: row(two).hash });
  assert.equal(wrong.error, 'WRONG_STATE', wrong.text);
  assert.match(wrong.body.message, /hash/);
  assert.ok((await vote(bob, one, 'approved', { hash: row(one).hash })).ok);
  await alice.until(one, 'completed');
  const events = await alice.all(`history.${one}`, 'events');
  assert.equal(events.find((e) => e.type.endsWith('approval.recorded')).data.shownSha256, row(one).hash);
  assert.ok(events.some((e) => e.type.endsWith('approval.refused')), 'the wrong one is on record, too');
});

run(async () => {
  house = await House.start({ receiver: false });
  [alice, bob, carol, dave, mallory] = ['alice', 'bob', 'carol', 'dave', 'mallory'].map((n) => house.person(n));
});
