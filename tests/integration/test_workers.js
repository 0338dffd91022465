'use strict';
// Remote workers through the real daemon: the Node example's worker, raw words on the wire, and (where it was built)
// the worker in C.

const path = require('node:path');
const { fork } = require('node:child_process');
const { test, run, assert, sleep, eventually, atEnd } = require('./lib/tap.js');
const { House, Program, nats, PREFIX, TENANT } = require('./lib/house.js');
const { ONCE, step, runbook } = require('./lib/runbooks.js');

const EXAMPLE = path.join(__dirname, '../../deploy/examples/worker-node/worker.js');
// The example finds its NATS client where the tests have theirs.
require('node:module').Module.globalPaths.push(path.join(__dirname, 'node_modules'));
process.env.NODE_PATH = path.join(__dirname, 'node_modules');
require('node:module').Module._initPaths();
const { Worker, TaskError } = require(EXAMPLE);

let house, alice, n_types = 0;

/** A type of tasks that no other case has. */
const freshType = (name) => `custom:${name}-${++n_types}`;
const custom = (id, type, extra = {}) => step(id, type, [], extra);
const base = (worker, tenant = TENANT) => `${PREFIX}.${tenant}.result.${worker}`;

function serve(type, handler, { name = 'w1', concurrency = 1 } = {}) {
  return new Worker(house.connection, { tenant: TENANT, name, type, handler, concurrency, waitMs: 300 }).start();
}

/** One word to the engine; gives its answer. */
async function say(worker, token, body, tenant) {
  const m = await house.connection.request(`${base(worker, tenant)}.${token}`, JSON.stringify(body), { timeout: 5000 });
  return JSON.parse(Buffer.from(m.data).toString());
}

async function next(worker, type, body = { expiresMs: 5000 }, tenant = TENANT) {
  const m = await house.connection.request(`${base(worker, tenant)}.next.${type}`, JSON.stringify(body), {
    timeout: 10000,
  });
  return JSON.parse(Buffer.from(m.data).toString());
}

async function startOne(type, extra = {}, input = {}) {
  const definition = runbook('work', [custom('do', type, extra)]);
  await alice.register(definition);
  return alice.startId(definition.id, input);
}

test('a task has all that a worker needs, and its output is the step\'s', async () => {
  const type = freshType('geo');
  let seen;
  const worker = serve(type, async (task) => {
    seen = task;
    return { country: 'IS', for: task.input.address };
  });
  const id = await startOne(type, { config: { precision: 'city', host: '${input.address}' } }, { address: '10.1.2.3' });
  const x = await alice.until(id, 'completed');
  assert.deepEqual(x.stepResults.do.output, { country: 'IS', for: '10.1.2.3' });
  assert.deepEqual(seen.config, { precision: 'city', host: '10.1.2.3' });
  assert.deepEqual(seen.input, { address: '10.1.2.3' });
  assert.equal(seen.context.legalBasis.caseId, 'CASE-7');
  assert.equal(seen.executionId, id);
  assert.deepEqual([seen.stepId, seen.stepPath, seen.type, seen.attempt], ['do', 'do', type, 1]);
  assert.equal(seen.tenantId, TENANT);
  assert.match(seen.idempotencyKey, /^[0-9a-f]{64}$/);
  assert.match(seen.taskToken, /^[A-Za-z0-9_-]{54}$/);
  assert.ok(Date.parse(seen.deadline) > Date.now());
  const logs = await alice.all(`logs.${id}`, 'logs');
  const signed = logs.some((l) => l.message === 'worker w1: completed' && l.metadata.worker === 'w1');
  assert.ok(signed, 'who did it is logged');
  await worker.stop();
});

test('a retryable error is tried again with the same key, a final one is not', async () => {
  const type = freshType('flaky');
  const tasks = [];
  const worker = serve(type, async (task) => {
    tasks.push(task);
    if (tasks.length === 1) throw new TaskError('BUSY', 'later', { retryable: true });
    if (tasks.length === 2) throw new TaskError('BROKEN', 'never', { details: { part: 7 } });
    return 1;
  });
  const x = await alice.until(await startOne(type), 'failed');
  assert.equal(tasks.length, 2);
  assert.equal(tasks[0].idempotencyKey, tasks[1].idempotencyKey);
  assert.notEqual(tasks[0].taskToken, tasks[1].taskToken);
  assert.deepEqual([tasks[0].attempt, tasks[1].attempt], [1, 2]);
  assert.deepEqual(x.stepResults.do.error, {
    code: 'BROKEN',
    details: { part: 7 },
    message: 'never',
    retryable: false,
  });
  await worker.stop();
});

test('progress, logs and evidence of a running attempt are visible', async () => {
  const type = freshType('slow');
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const worker = serve(type, async (task, { progress, log }) => {
    log('half of it is done');
    await progress(0.5);
    await finished;
    return null;
  });
  const id = await startOne(type);
  const x = await alice.until(id, (e) => e.stepResults.do.progress === 0.5);
  assert.equal(x.stepResults.do.status, 'running');
  assert.ok((await alice.all(`logs.${id}`, 'logs')).some((l) => l.message === 'half of it is done'));
  finish();
  const end = await alice.until(id, 'completed');
  assert.equal(end.stepResults.do.progress, undefined);
  await worker.stop();
});

test('evidence and logs of a result are recorded; replay verify finds nothing', async () => {
  const type = freshType('evident');
  const id = await startOne(type);
  const task = await next('w1', type);
  const beat = await say('w1', task.taskToken, {
    status: 'heartbeat',
    progress: 0.25,
    evidence: [{ type: 'scan', sourceRef: 'disk-1', confidence: 0.5, value: { n: 1 } }],
  });
  assert.deepEqual(beat, { version: 'v1', status: 'accepted', ignored: false, cancelled: false });
  assert.equal((await alice.execution(id)).stepResults.do.evidenceCount, 1, 'an accepted record is in the store');
  await say('w1', task.taskToken, {
    status: 'completed',
    output: 7,
    evidence: [{ type: 'image', sourceRef: 'disk-1', confidence: 1, value: 2 }],
    logs: [{ level: 'warn', message: 'nearly full', metadata: { percent: 97 } }],
  });
  await alice.until(id, 'completed');
  const evidence = await alice.all(`evidence.${id}`, 'evidence');
  assert.deepEqual(evidence.map((e) => [e.type, e.confidence]), [['scan', 0.5], ['image', 1]]);
  assert.ok((await alice.all(`logs.${id}`, 'logs')).some((l) => l.message === 'nearly full' && l.level === 'warn'));
  const verified = await alice.cmd(`replay.${id}`, { mode: 'verify' });
  assert.deepEqual([verified.body.identical, verified.body.divergences], [true, []]);
});

test('a worker that falls silent is lost, and another one does the work under the same key', async () => {
  const type = freshType('lost');
  const id = await startOne(type, { config: { heartbeatTimeoutMs: 300 } });
  const first = await next('w1', type, { expiresMs: 5000, heartbeats: true });
  assert.equal(first.heartbeatTimeoutMs, 300);
  for (let i = 0; i < 5; i++) {
    await sleep(150);
    assert.equal((await say('w1', first.taskToken, { status: 'heartbeat' })).status, 'accepted');
  }
  const second = await next('w2', type, { expiresMs: 10000 }); // w1 is silent from here on
  assert.equal(second.attempt, 2);
  assert.equal(second.idempotencyKey, first.idempotencyKey);
  const late = await say('w1', first.taskToken, { status: 'completed', output: 'late' });
  assert.deepEqual([late.ignored, late.cancelled], [true, false]);
  assert.match(late.reason, /not heard of/);
  assert.equal((await say('w2', second.taskToken, { status: 'completed', output: 'in time' })).status, 'accepted');
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.do.output, 'in time');
  const logs = await alice.all(`logs.${id}`, 'logs');
  assert.ok(logs.some((l) => /WORKER_LOST: worker "w1" was not heard of for 300 ms/.test(l.message)));
});

test('a worker process that is killed with SIGKILL is lost', async () => {
  const type = freshType('killed');
  const child = fork(EXAMPLE, [], {
    env: { ...process.env, NATS_URL: house.natsUrl, WORKER_TYPE: type, RUNBOOK_USER: 'doomed', HANG: '1' },
    execArgv: ['-r', path.join(__dirname, 'lib/hang.js')],
  });
  atEnd(() => child.kill('SIGKILL'));
  const id = await startOne(type, { config: { heartbeatTimeoutMs: 400 } }, { address: '10.0.0.1' });
  await alice.until(id, (e) => e.stepResults.do.progress > 0);
  await sleep(1000); // its heartbeats keep it alive longer than the limit
  assert.equal((await alice.execution(id)).stepResults.do.attemptNumber, 1);
  child.kill('SIGKILL');
  const worker = serve(type, async (task) => task.attempt, { name: 'rescuer' });
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.do.output, 2);
  await worker.stop();
});

test('repeated results and words about ended attempts are answered and ignored', async () => {
  const type = freshType('again');
  const id = await startOne(type);
  const task = await next('w1', type);
  assert.equal((await say('w1', task.taskToken, { status: 'completed', output: 1 })).status, 'accepted');
  const again = await say('w1', task.taskToken, { status: 'completed', output: 2 });
  assert.deepEqual([again.status, again.ignored], ['ignored', true]);
  assert.match(again.reason, /has its result already/);
  assert.equal((await say('w1', task.taskToken, { status: 'heartbeat' })).ignored, true);
  assert.equal((await alice.until(id, 'completed')).stepResults.do.output, 1);
});

test('a cancel reaches the worker with its next heartbeat; a task that nobody took is never given out', async () => {
  const type = freshType('cancelled');
  let aborted;
  const worker = serve(type, (task, { signal }) => {
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve((aborted = signal.reason))));
  });
  const id = await startOne(type, { config: { heartbeatTimeoutMs: 300 } });
  await sleep(250);
  assert.ok((await alice.cmd(`cancel.${id}`, { reason: 'enough' })).ok);
  await eventually(() => aborted, { what: 'the abort' });
  assert.match(aborted, /was cancelled/);
  await worker.stop();
  const other = await startOne(type);
  assert.ok((await alice.cmd(`cancel.${other}`)).ok);
  await sleep(200); // the answer comes before the executor hears of it
  assert.deepEqual(await next('w1', type, { expiresMs: 300 }), { version: 'v1', task: null });
});

test('who takes no task, and who gives no result, is told apart', async () => {
  const type = freshType('nobody');
  const untaken = await startOne(type, { timeoutMs: 300, retryPolicy: ONCE });
  let error = (await alice.until(untaken, 'failed')).stepResults.do.error;
  assert.equal(error.code, 'TIMEOUT');
  assert.match(error.message, /no worker took the task within 300 ms.*runbook\.v1\.acme\.task\.custom:nobody/);
  const taken = await startOne(type, { timeoutMs: 400, retryPolicy: ONCE });
  const task = await next('w7', type);
  assert.equal(task.executionId, taken, 'the one whose time was up is not given out any more');
  error = (await alice.until(taken, 'failed')).stepResults.do.error;
  assert.equal(error.code, 'TIMEOUT');
  assert.match(error.message, /worker "w7" has the task and gave no result within the step's 400 ms/);
});

test('the engine is killed while a worker works: the result counts, nothing is done twice', async () => {
  const type = freshType('survivor');
  let n = 0;
  const worker = serve(type, async () => {
    n++;
    await sleep(1500);
    return 'done';
  });
  const id = await startOne(type);
  await eventually(() => n === 1, { what: 'the task' });
  await house.engine.end('SIGKILL');
  await sleep(500);
  house.startEngine();
  await house.engineReady();
  const x = await alice.until(id, 'completed');
  assert.equal(x.stepResults.do.output, 'done');
  assert.equal(x.stepResults.do.attemptNumber, 1);
  assert.equal(n, 1);
  await worker.stop();
});

test('tasks wait in the stream while there is no worker, and over a restart of the engine', async () => {
  const type = freshType('patient');
  const id = await startOne(type);
  await sleep(100);
  await house.restartEngine('SIGKILL');
  const worker = serve(type, async (task) => task.attempt);
  assert.equal((await alice.until(id, 'completed')).stepResults.do.output, 1);
  await worker.stop();
});

test('only tokens that the engine gave to this tenant count', async () => {
  const type = freshType('forged');
  const id = await startOne(type);
  const task = await next('w1', type);
  const other = task.taskToken.slice(0, -6) + (task.taskToken.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA');
  const flip = (t, i) => t.slice(0, i) + (t[i] === 'A' ? 'B' : 'A') + t.slice(i + 1);
  for (const token of [other, flip(task.taskToken, 0), flip(task.taskToken, 30), 'x', `${task.taskToken}A`]) {
    const reply = await say('w1', token, { status: 'completed', output: 'forged' });
    assert.equal(reply.error, 'FORBIDDEN', token);
  }
  const foreign = await say('w1', task.taskToken, { status: 'completed', output: 'foreign' }, 'globex');
  assert.equal(foreign.error, 'FORBIDDEN');
  assert.deepEqual(await next('w1', type, { expiresMs: 200 }, 'globex'), { version: 'v1', task: null });
  assert.equal((await alice.execution(id)).status, 'running');
  await say('w1', task.taskToken, { status: 'completed', output: 'mine' });
  assert.equal((await alice.until(id, 'completed')).stepResults.do.output, 'mine');
});

test('what is malformed or too large is refused with its place, and may be said better', async () => {
  const type = freshType('malformed');
  const id = await startOne(type);
  const task = await next('w1', type);
  const refused = async (body, error, place) => {
    const reply = await say('w1', task.taskToken, body);
    assert.equal(reply.error, error, JSON.stringify(reply));
    if (place) assert.ok(reply.details.some((d) => d.path === place), JSON.stringify(reply));
  };
  await refused({}, 'INVALID_REQUEST', '/status');
  await refused({ status: 'done' }, 'INVALID_REQUEST', '/status');
  await refused({ status: 'heartbeat', progress: 50 }, 'INVALID_REQUEST', '/progress');
  await refused({ status: 'failed', error: { code: 'no blanks' } }, 'INVALID_REQUEST', '/error/code');
  await refused({ status: 'completed', logs: [{ text: 'x' }] }, 'INVALID_REQUEST', '/logs/0/message');
  await refused({ status: 'completed', evidence: 'x' }, 'INVALID_REQUEST', '/evidence');
  await refused([], 'INVALID_REQUEST');
  await refused({ stream: 'X', seq: 1 }, 'INVALID_REQUEST');
  const output = 'x'.repeat(1024 * 1024 + 1);
  await refused({ status: 'completed', output }, 'TOO_LARGE');
  await say('w1', task.taskToken, { status: 'failed', error: { message: 'so be it' } });
  const x = await alice.until(id, 'failed');
  assert.deepEqual(x.stepResults.do.error, { code: 'WORKER_FAILED', message: 'so be it', retryable: false });
});

test('a malformed request for a task is refused', async () => {
  const reply = async (tail, body) => {
    const m = await house.connection.request(`${base('w1')}.${tail}`, body, { timeout: 5000 });
    return JSON.parse(Buffer.from(m.data).toString()).error;
  };
  assert.equal(await reply('next.geo', ''), 'INVALID_REQUEST');
  assert.equal(await reply('next.custom:a%2A', ''), 'INVALID_REQUEST');
  assert.equal(await reply('next.custom:geo.x', ''), 'INVALID_REQUEST');
  assert.equal(await reply('next.custom:geo', '{"expiresMs":1}'), 'INVALID_REQUEST');
  assert.equal(await reply('next.custom:geo', 'nonsense'), 'INVALID_JSON');
});

test('config.heartbeatTimeoutMs must be a duration', async () => {
  for (const heartbeatTimeoutMs of [-1, 5, 'x', 1.5]) {
    const x = await alice.until(await startOne(freshType('config'), { config: { heartbeatTimeoutMs } }), 'failed');
    assert.equal(x.stepResults.do.error.code, 'CONFIG_INVALID');
  }
});

test('types may have dots', async () => {
  const type = 'custom:a.b.c';
  const worker = serve(type, async () => 'dots');
  worker.type = 'custom:a%2Eb%2Ec';
  assert.equal((await alice.until(await startOne(type), 'completed')).stepResults.do.output, 'dots');
  await worker.stop();
});

test('1,000 tasks over 4 workers: each done, each once', { timeoutMs: 120000 }, async () => {
  const type = freshType('many');
  const definition = runbook(
    'many',
    [
      step('each', 'loop', [], {
        loopConfig: { iterateOver: 'input.items', concurrency: 50 },
        config: { bodyStepId: 'do' },
      }),
      step('do', type, [], { input: { n: '${loop.item}' } }),
    ],
    { maxConcurrentSteps: 100 },
  );
  const reply = await alice.cmd('register', definition);
  assert.ok(reply.ok, reply.text);
  const counts = new Map();
  const workers = ['a', 'b', 'c', 'd'].map((name) =>
    serve(
      type,
      async (task) => {
        counts.set(task.input.n, (counts.get(task.input.n) || 0) + 1);
        return task.input.n;
      },
      { name, concurrency: 4 },
    ),
  );
  const items = Array.from({ length: 1000 }, (_, i) => i);
  const begun = Date.now();
  const id = await alice.startId(definition.id, { items });
  const x = await alice.until(id, 'completed', { timeoutMs: 100000, everyMs: 200 });
  console.log(`# 1,000 tasks in ${Date.now() - begun} ms`);
  assert.deepEqual(x.stepResults.each.output?.items ?? items, items);
  assert.equal(counts.size, 1000);
  assert.ok([...counts.values()].every((n) => n === 1), 'a task was done twice');
  await Promise.all(workers.map((w) => w.stop()));
  const jsm = await house.connection.jetstreamManager();
  const subjects_filter = `${PREFIX}.${TENANT}.task.${type}`;
  await eventually(async () => !(await jsm.streams.info('RUNBOOK_TASKS', { subjects_filter })).state.subjects, {
    what: 'the stream to hold none of them any more',
  });
});

const C_WORKER =
  process.env.EXAMPLE_WORKER ||
  path.join(process.env.RUNBOOK_BUILD || path.join(__dirname, '../../build'), 'deploy/example-worker');

function startC(type, name) {
  const env = { NATS_URL: house.natsUrl, RUNBOOK_TENANT: TENANT, RUNBOOK_USER: name, WORKER_TYPE: type };
  const program = new Program(name, C_WORKER, [], env, path.join(house.dir, `${name}.log`));
  house.programs.push(program);
  return program;
}

test('the worker in C: results, progress, logs, errors, cancels, a graceful stop', { timeoutMs: 60000 }, async () => {
  const type = freshType('count');
  const worker = startC(type, 'counter');
  const id = await startOne(type, {}, { text: 'four words are here' });
  const x = await alice.until(id, 'completed');
  const { words, attempt, key } = x.stepResults.do.output;
  assert.deepEqual([words, attempt], [4, 1]);
  assert.match(key, /^[0-9a-f]{64}$/);
  assert.ok((await alice.all(`logs.${id}`, 'logs')).some((l) => l.message === 'counting'));
  const failed = await alice.until(await startOne(type), 'failed');
  assert.deepEqual([failed.stepResults.do.error.code, failed.stepResults.do.attemptNumber], ['NO_TEXT', 2]);

  const slow = await startOne(type, { config: { sleepMs: 20000, heartbeatTimeoutMs: 300 } }, { text: 'a' });
  await alice.until(slow, (e) => e.stepResults.do.progress === 0.5);
  await sleep(1000); // its heartbeats keep it
  assert.equal((await alice.execution(slow)).stepResults.do.attemptNumber, 1);
  assert.ok((await alice.cmd(`cancel.${slow}`)).ok);
  await eventually(() => worker.logText().includes('nobody waits any more'), { what: 'the worker to hear of it' });

  const last = await startOne(type, { config: { sleepMs: 800 } }, { text: 'a b' });
  await alice.until(last, (e) => e.stepResults.do.progress === 0.5);
  assert.equal((await worker.end()).code, 0);
  assert.equal((await alice.until(last, 'completed')).stepResults.do.output.words, 2, 'what was at hand was finished');
});

test('the worker in C: killed, another takes over; engine killed, it waits', { timeoutMs: 60000 }, async () => {
  const type = freshType('count');
  const doomed = startC(type, 'doomed-c');
  const id = await startOne(type, { config: { sleepMs: 3000, heartbeatTimeoutMs: 400 } }, { text: 'x' });
  const before = await alice.until(id, (e) => e.stepResults.do.progress === 0.5);
  assert.equal(before.stepResults.do.attemptNumber, 1);
  await doomed.end('SIGKILL');
  startC(type, 'heir');
  const x = await alice.until(id, 'completed', { timeoutMs: 20000 });
  assert.equal(x.stepResults.do.output.attempt, 2);
  const other = await startOne(type, { config: { sleepMs: 1500 } }, { text: 'x y z' });
  await alice.until(other, (e) => e.stepResults.do.progress === 0.5);
  await house.engine.end('SIGKILL');
  await sleep(2500); // the worker is done by now, and has nobody to tell
  house.startEngine();
  await house.engineReady();
  const y = await alice.until(other, 'completed', { timeoutMs: 20000 });
  assert.deepEqual([y.stepResults.do.output.words, y.stepResults.do.attemptNumber], [3, 1]);
});

test('a worker may take tasks by JetStream itself', async () => {
  const type = freshType('jetstream');
  const id = await startOne(type);
  const jsm = await house.connection.jetstreamManager();
  await jsm.consumers.add('RUNBOOK_TASKS', {
    durable_name: 'mine',
    ack_policy: 'explicit',
    filter_subject: `${PREFIX}.${TENANT}.task.${type}`,
  });
  const js = house.connection.jetstream();
  const m = await js.pull('RUNBOOK_TASKS', 'mine');
  const task = JSON.parse(Buffer.from(m.data).toString());
  assert.equal(m.headers.get('Nats-Msg-Id'), task.taskToken);
  assert.equal((await say('raw', task.taskToken, { status: 'completed', output: 'raw' })).status, 'accepted');
  m.ack();
  assert.equal((await alice.until(id, 'completed')).stepResults.do.output, 'raw');
});

run(async () => {
  const natsConf = 'listen: 127.0.0.1:PORT\nmax_payload: 4MB\njetstream { store_dir: "STORE" }\n';
  house = await House.start({ receiver: false, natsConf });
  alice = house.person('alice');
});
