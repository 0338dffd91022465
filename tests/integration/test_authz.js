'use strict';
// requiredPermissions: the authorization service is asked before every attempt, over HTTP (in the shape of Open
// Policy Agent's data API) or on a NATS subject. No answer is no.

const fs = require('node:fs');
const path = require('node:path');
const { createHash } = require('node:crypto');
const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, QUICK, step, call, approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

const POLICY = '/v1/data/runbook/allow';
const MAY = { requiredPermissions: ['hosts:isolate'] };
let house, alice, url, opa;

const decide = (answer) => house.receiver.on(POLICY, answer);
const ALLOW = { body: { result: { allow: true, reason: 'on duty' } } };
const DENY = { body: { result: { allow: false, reason: 'not on duty' } } };

async function startOne(name, steps, extra = {}, input = {}) {
  const definition = runbook(name, steps, extra);
  await alice.register(definition);
  return alice.startId(definition.id, input);
}
const runOne = async (...args) => alice.ended(await startOne(...args));
const questions = (id) => house.receiver.toPath(POLICY).filter((r) => r.body.input.executionId === id);

test('allowed: it runs, and history says who allowed what', async () => {
  decide(ALLOW);
  const x = await runOne('allow', [call('a', `${url}/allowed`, [], MAY)]);
  assert.equal(x.status, 'completed');
  assert.equal(x.stepResults.a.attemptNumber, 1);
  const [q] = questions(x.id);
  assert.equal(q.method, 'POST');
  assert.equal(q.headers.authorization, 'Bearer s3cret');
  assert.equal(q.headers['content-type'], 'application/json');
  const { configSha256, ...asked } = q.body.input;
  assert.match(configSha256, /^[0-9a-f]{64}$/);
  assert.deepEqual(asked, {
    attempt: 1,
    authority: 'INVESTIGATION',
    caseId: 'CASE-7',
    classification: 'SENSITIVE',
    executionId: x.id,
    initiatedBy: 'alice',
    permissions: ['hosts:isolate'],
    runbookId: x.runbookId,
    runbookVersion: '1.0.0',
    stepId: 'a',
    stepPath: 'a',
    stepType: 'call-service',
    tenantId: 'acme',
  });
  const events = await alice.all(`history.${x.id}`, 'events');
  const types = events.map((e) => e.type.replace('runbook.', ''));
  assert.ok(types.indexOf('step.ready') < types.indexOf('evidence.recorded'));
  assert.ok(types.indexOf('evidence.recorded') < types.indexOf('step.started'));
  const decision = events.find((e) => e.data.evidenceType === 'authorization').data;
  assert.equal(decision.decision, 'allow');
  assert.equal(decision.reason, 'on duty');
  assert.deepEqual(decision.permissions, ['hosts:isolate']);
  assert.equal(decision.sourceRef, `POST ${opa}`);
  assert.equal(decision.sha256, createHash('sha256').update(JSON.stringify(ALLOW.body)).digest('hex'));
  const evidence = await alice.all(`evidence.${x.id}`, 'evidence');
  const { value } = evidence.find((e) => e.type === 'authorization');
  assert.equal(value.allow, true);
  assert.equal(value.questionSha256, createHash('sha256').update(q.text).digest('hex'));
  const verify = await alice.cmd(`replay.${x.id}`, { mode: 'verify' });
  assert.equal(verify.body.identical, true, verify.text);
});

test('denied: failed for good, with the reason, and nothing was sent', async () => {
  decide(DENY);
  const x = await runOne('deny', [call('a', `${url}/denied`, [], { ...MAY, retryPolicy: QUICK })]);
  assert.equal(x.status, 'failed');
  assert.equal(x.stepResults.a.error.code, 'AUTHZ_DENIED');
  assert.match(x.stepResults.a.error.message, /not on duty/);
  assert.equal(questions(x.id).length, 1);
  assert.equal(house.receiver.toPath('/denied').length, 0);
  const events = await alice.all(`history.${x.id}`, 'events');
  assert.equal(events.find((e) => e.data.evidenceType === 'authorization').data.decision, 'deny');
  decide(ALLOW);
  assert.ok((await alice.cmd(`retry.${x.id}.a`, {})).ok);
  assert.equal((await alice.ended(x.id)).status, 'completed');
});

test('the short shape: {"result": true}', async () => {
  decide({ body: { result: true } });
  assert.equal((await runOne('short', [call('a', `${url}/x`, [], MAY)])).status, 'completed');
  decide({ body: { result: false } });
  const x = await runOne('short', [call('a', `${url}/x`, [], MAY)]);
  assert.equal(x.stepResults.a.error.code, 'AUTHZ_DENIED');
});

test('500, garbage, an undefined policy, no connection, a hang: no answer is no, retried by the policy', async () => {
  const none = [
    [{ status: 500 }, /500/],
    [{ body: 'yes' }, /not a JSON object/],
    [{ body: {} }, /no "result"/],
    [{ body: { result: { allow: 'true' } } }, /no "allow"/],
    [{ reset: true }, /connection/],
    [{ hang: true }, /400 ms/],
    [{ status: 302, headers: { Location: '/v1/data/other' } }, /302/],
  ];
  for (const [answer, why] of none) {
    decide(answer);
    const policy = { ...QUICK, maxAttempts: 2 };
    const x = await runOne('none', [call('a', `${url}/none`, [], { ...MAY, retryPolicy: policy })]);
    assert.equal(x.status, 'failed', JSON.stringify(answer));
    assert.equal(x.stepResults.a.error.code, 'AUTHZ_UNAVAILABLE');
    assert.match(x.stepResults.a.error.message, why);
    assert.equal(x.stepResults.a.attemptNumber, 2);
    // On a connection that was kept alive and is then reset, the HTTP client sends a question once more by itself.
    assert.ok(questions(x.id).length === 2 || (answer.reset && questions(x.id).length > 2), JSON.stringify(answer));
  }
  assert.equal(house.receiver.toPath('/none').length, 0);
});

test('it answers at last: the retry goes through', async () => {
  let count = 0;
  decide(() => (++count < 3 ? { status: 503 } : ALLOW));
  const x = await runOne('at-last', [call('a', `${url}/x`, [], { ...MAY, retryPolicy: QUICK })]);
  assert.equal(x.status, 'completed');
  assert.equal(x.stepResults.a.attemptNumber, 3);
});

test('every attempt asks again', async () => {
  decide((r) => (r.body.input.attempt === 1 ? ALLOW : DENY));
  house.receiver.on('/flaky', { status: 503 });
  const x = await runOne('again', [call('a', `${url}/flaky`, [], { ...MAY, retryPolicy: QUICK })]);
  assert.equal(x.stepResults.a.error.code, 'AUTHZ_DENIED');
  assert.equal(house.receiver.toPath('/flaky').length, 1);
});

test('every type of step asks: also approvals, waits, loops and bodies, sub-runbooks, compensations', async () => {
  decide(ALLOW);
  const child = runbook('child', [call('c', `${url}/child`, [], MAY)]);
  await alice.register(child);
  const definition = runbook('types', [
    wait('w', 1, [], MAY),
    step('cond', 'conditional', ['w'], {
      ...MAY,
      config: { condition: { field: 'input.yes', operator: 'eq', value: true } },
      compensateWith: 'undo',
    }),
    step('l', 'loop', ['cond'], {
      ...MAY,
      config: { bodyStepId: 'b' },
      loopConfig: { maxIterations: 10, iterateOver: 'input.items' },
    }),
    call('b', `${url}/body`, [], MAY),
    step('r', 'run-runbook', ['l'], { ...MAY, config: { runbookId: child.id, input: {} } }),
    step('t', 'transform', ['r'], { ...MAY, config: { jq: '1' } }),
    waitForEvent('e', 'go', ['t'], { correlationId: '${execution.id}' }, MAY),
    approval('h', ['bob'], 1, ['e'], MAY),
    call('bad', `${url}/bad`, ['h'], { retryPolicy: ONCE }),
    call('undo', `${url}/undo`, [], MAY),
  ]);
  house.receiver.on('/bad', { status: 400 });
  await alice.register(definition);
  const id = await alice.startId(definition.id, { yes: true, items: [1, 2] });
  await alice.stepStatus(id, 'e', 'awaiting_event');
  await alice.event('go', { correlationId: id, payload: {} });
  await alice.stepStatus(id, 'h', 'awaiting_approval');
  assert.ok((await house.person('bob').cmd(`approve.${id}.h`, { decision: 'approved' })).ok);
  const x = await alice.ended(id);
  assert.equal(x.status, 'failed');
  assert.deepEqual(
    questions(id)
      .map((q) => q.body.input.stepPath)
      .sort(),
    ['b[0]', 'b[1]', 'cond', 'e', 'h', 'l', 'r', 't', 'undo~cond', 'w'],
  );
  const childId = x.stepResults.r.childExecutionId;
  assert.deepEqual(
    questions(childId).map((q) => q.body.input.stepPath),
    ['c'],
  );
  assert.equal(house.receiver.toPath('/undo').length, 1);
});

test('while it asks the step is ready and says what it waits for; a cancel takes the question back', async () => {
  decide({ hang: true });
  const patient = { ...MAY, retryPolicy: { ...QUICK, maxAttempts: 50 } };
  const id = await startOne('asking', [call('a', `${url}/never`, [], patient)]);
  const x = await alice.until(id, (y) => y.stepResults.a.waitingFor?.type === 'authorization');
  assert.equal(x.stepResults.a.status, 'ready');
  assert.deepEqual(x.stepResults.a.waitingFor.permissions, ['hosts:isolate']);
  assert.ok((await alice.cmd(`cancel.${id}`, { reason: 'enough' })).ok);
  assert.equal((await alice.execution(id)).status, 'cancelled');
  await eventually(() => questions(id).every((q) => q.aborted));
  assert.equal(house.receiver.toPath('/never').length, 0);
});

test('a pause waits for the answer; after the resume it is asked anew', async () => {
  decide({ ...ALLOW, delayMs: 150 });
  const id = await startOne('pause', [call('a', `${url}/paused`, [], MAY)]);
  await eventually(() => questions(id).length === 1);
  assert.equal((await alice.cmd(`pause.${id}`, {})).body.status, 'pausing');
  await alice.until(id, 'paused');
  await sleep(50);
  assert.equal(house.receiver.toPath('/paused').length, 0);
  decide(DENY);
  await alice.cmd(`resume.${id}`, {});
  assert.equal((await alice.ended(id)).stepResults.a.error.code, 'AUTHZ_DENIED');
});

test('an engine killed while asking asks again, and runs the step once', async () => {
  let hang = true;
  decide(() => (hang ? { hang: true } : ALLOW));
  const policy = { ...QUICK, maxAttempts: 100, maxDelayMs: 20 };
  const id = await startOne('killed', [call('a', `${url}/killed`, [], { ...MAY, retryPolicy: policy })]);
  await eventually(() => questions(id).length >= 1);
  const before = questions(id).length;
  hang = false;
  await house.restartEngine('SIGKILL', engineEnv());
  const x = await alice.ended(id);
  assert.equal(x.status, 'completed');
  assert.ok(questions(id).length > before);
  assert.equal(house.receiver.toPath('/killed').length, 1);
  const verify = await alice.cmd(`replay.${id}`, { mode: 'verify' });
  assert.equal(verify.body.identical, true, verify.text);
});

test('a dry run shows the permissions and asks nothing', async () => {
  decide(DENY);
  const definition = runbook('dry', [call('a', `${url}/dry`, [], MAY)]);
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, {}, { options: { dryRun: true } }));
  assert.deepEqual(x.stepResults.a.output.requiredPermissions, ['hosts:isolate']);
  assert.equal(questions(x.id).length, 0);
});

test('a hundred questions at once, and slots are kept', async () => {
  let most = 0;
  let open = 0;
  decide(async () => {
    most = Math.max(most, ++open);
    await sleep(5);
    open--;
    return ALLOW;
  });
  const steps = Array.from({ length: 100 }, (_, i) => call(`s${i}`, `${url}/many`, [], MAY));
  const x = await runOne('many', steps, { maxConcurrentSteps: 7 });
  assert.equal(x.status, 'completed');
  assert.ok(most <= 7, `${most} questions at once with maxConcurrentSteps 7`);
});

test('over NATS: who listens on the subject decides; nobody there is no', async () => {
  const subject = 'policy.runbook';
  await house.restartEngine('SIGTERM', { AUTHZ_URL: `nats:${subject}`, AUTHZ_TIMEOUT_MS: '400' });
  const nobody = await runOne('nobody', [call('a', `${url}/x`, [], { ...MAY, retryPolicy: ONCE })]);
  assert.equal(nobody.stepResults.a.error.code, 'AUTHZ_UNAVAILABLE');
  assert.match(nobody.stepResults.a.error.message, /nobody listens on the NATS subject policy\.runbook/);
  let answer = { result: { allow: true, reason: 'by bus' } };
  const seen = [];
  const subscription = house.connection.subscribe(subject, {
    callback: (_, m) => {
      seen.push(JSON.parse(Buffer.from(m.data).toString()));
      if (answer) m.respond(Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer)));
    },
  });
  await house.connection.flush();
  const x = await runOne('bus', [call('a', `${url}/x`, [], MAY)]);
  assert.equal(x.status, 'completed');
  assert.equal(seen[0].input.executionId, x.id);
  const events = await alice.all(`history.${x.id}`, 'events');
  const decision = events.find((e) => e.data.evidenceType === 'authorization').data;
  assert.equal(decision.sourceRef, `nats:${subject}`);
  assert.equal(decision.reason, 'by bus');
  answer = { result: false };
  assert.equal((await runOne('bus', [call('a', `${url}/x`, [], MAY)])).stepResults.a.error.code, 'AUTHZ_DENIED');
  for (const [bad, why] of [
    ['{', /line 1/],
    [undefined, /400 ms/],
  ]) {
    answer = bad;
    const y = await runOne('bus', [call('a', `${url}/x`, [], { ...MAY, retryPolicy: ONCE })]);
    assert.equal(y.stepResults.a.error.code, 'AUTHZ_UNAVAILABLE');
    assert.match(y.stepResults.a.error.message, why);
  }
  subscription.unsubscribe();
});

test('without AUTHZ_URL such a step is denied at once, in a sentence that names the setting', async () => {
  await house.restartEngine('SIGTERM');
  const x = await runOne('unset', [call('a', `${url}/x`, [], { ...MAY, retryPolicy: QUICK })]);
  assert.equal(x.stepResults.a.error.code, 'AUTHZ_UNAVAILABLE');
  assert.match(x.stepResults.a.error.message, /AUTHZ_URL/);
  assert.equal(x.stepResults.a.attemptNumber, 1);
});

test('a wrong AUTHZ_URL stops the start', async () => {
  await house.engine.end();
  for (const [value, why] of [
    ['opa:8181', /AUTHZ_URL/],
    ['nats:a.>', /no wildcards/],
  ]) {
    const engine = house.startEngine({ AUTHZ_URL: value });
    const { code } = await engine.ended;
    assert.equal(code, 1);
    assert.match(engine.logText().trim().split('\n').at(-1), why);
  }
});

const engineEnv = () => ({
  AUTHZ_URL: opa,
  AUTHZ_TIMEOUT_MS: '400',
  AUTHZ_TOKEN_FILE: path.join(house.dir, 'token'),
  HTTP_ALLOW: '127.0.0.1',
});

run(async () => {
  house = await House.start({ engine: false });
  alice = house.person('alice');
  url = house.receiver.url;
  opa = `${url}${POLICY}`;
  fs.writeFileSync(path.join(house.dir, 'token'), 's3cret\n');
  house.startEngine(engineEnv());
  await house.engineReady();
});
