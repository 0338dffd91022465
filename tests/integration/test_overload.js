'use strict';
// More than the engine can take, in every way we know: it says no in words, keeps within its memory, goes on serving
// others, and is as before when it is over.
//
// The memory that counts is what the process has allocated (RssAnon): the store's pages are the system's to take back.

const fs = require('node:fs');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { test, run, assert, atEnd, comment, eventually, sleep, TIME_FACTOR } = require('./lib/tap.js');
const { House, context, nats } = require('./lib/house.js');
const { ONCE, call, step, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

const MEMORY_MAX_MB = 512;
const BASE_MB = 64; // the program itself: libraries, threads, buffers
const PAYLOAD_MAX = 64 << 20;
const INBOX_MAX = 512;

let house, alice, bob, simple;
let peak = 0;

const encode = (x) => Buffer.from(JSON.stringify(x));

function memoryMb() {
  const text = fs.readFileSync(`/proc/${house.engine.child.pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(text)[1]) / 1024;
}

/** Run @work, looking at the memory meanwhile: it stays within the cap, and ten in a hundred. */
async function within(what, work) {
  let highest = 0;
  const look = () => (highest = Math.max(highest, memoryMb()));
  const timer = setInterval(look, 15);
  const at = Date.now();
  let result;
  try {
    result = await work();
  } finally {
    clearInterval(timer);
  }
  look();
  peak = Math.max(peak, highest);
  comment(`${what}: at most ${highest.toFixed(0)} MiB, ${memoryMb().toFixed(0)} afterwards, ${Date.now() - at} ms`);
  // AddressSanitizer keeps what is freed: there the number says nothing.
  if (TIME_FACTOR === 1)
    assert.ok(highest <= (MEMORY_MAX_MB + BASE_MB) * 1.1, `${what}: ${highest} MiB of ${MEMORY_MAX_MB}`);
  return result;
}

/** How often each answer came. */
function tally(replies) {
  const counts = {};
  for (const r of replies) counts[r.error || 'ok'] = (counts[r.error || 'ok'] || 0) + 1;
  return counts;
}

/** One who is not part of it runs something, again and again, until @done; gives how long each run took. */
async function meanwhile(done) {
  const took = [];
  for (let i = 0; !done.now; i++) {
    const at = Date.now();
    const x = await bob.ended(await bob.startId(simple.id, { i, at }), { timeoutMs: 20000 });
    assert.equal(x.status, 'completed');
    took.push(Date.now() - at);
    await sleep(20);
  }
  return took.sort((a, b) => a - b);
}

/** The flood comes from a thread with a connection of its own, so that it does not slow down whoever measures. */
async function flood() {
  const { url, prefix, runbookId, n, body } = workerData;
  const connection = await nats.connect({ servers: url });
  const counts = {};
  const sentences = new Set();
  await Promise.all(
    Array.from({ length: n }, async (_, i) => {
      const reply = await connection.request(`${prefix}.start`, encode({ ...body, runbookId, input: { i } }), {
        timeout: 60000,
      });
      const { error, message } = JSON.parse(Buffer.from(reply.data));
      counts[error || 'ok'] = (counts[error || 'ok'] || 0) + 1;
      if (message) sentences.add(message);
    }),
  );
  parentPort.postMessage({ counts, sentences: [...sentences] });
  await connection.close();
}

test('ten times more commands than fit: all are answered, others hardly notice', { timeoutMs: 120000 }, async () => {
  const idle = runbook('idle', [waitForEvent('w', 'never.comes')]);
  const nora = house.person('nora', 'noisy');
  await nora.register(idle);
  const done = { now: false };
  const quiet = meanwhile(done);
  const n = 20 * INBOX_MAX;
  const { counts, sentences } = await within(`${n} starts at once`, async () => {
    const worker = new Worker(__filename, {
      workerData: {
        url: house.natsUrl,
        prefix: nora.subject('cmd', '').slice(0, -1),
        runbookId: idle.id,
        n,
        body: { context: context({ initiatedBy: 'nora', tenantId: 'noisy' }) },
      },
    });
    return new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  });
  done.now = true;
  const took = await quiet;
  const worst = took.at(-1);
  comment(`${JSON.stringify(counts)}; the quiet one: ${took.length} runs, ${took[took.length >> 1]} to ${worst} ms`);
  assert.equal((counts.ok || 0) + (counts.OVERLOADED || 0), n, 'ok or OVERLOADED, none without an answer');
  assert.ok(counts.OVERLOADED > 0, 'some were too many');
  assert.ok(counts.ok >= INBOX_MAX / 2, 'and some were not');
  for (const sentence of sentences) assert.match(sentence, /too many|too much/);
  assert.ok(took.length > 3 && worst < 2000 * TIME_FACTOR, `the quiet one waited ${worst} ms`);
});

test('bodies of 64 MiB are refused in words', { timeoutMs: 120000 }, async () => {
  const pad = PAYLOAD_MAX - 1000;
  const bodies = {
    'one long text': ['register', '{"id":"x","description":"', 'a', '","steps":[]}', /INVALID_RUNBOOK/],
    'millions of numbers': ['register', '{"id":"x","steps":[', '1,', '1]}', /TOO_LARGE/],
    'millions of arrays': ['register', '{"id":"x","steps":[', '[[]],', '1]}', /TOO_LARGE/],
    'millions of objects': ['register', '{"id":"x","steps":[', '{"a":{}},', '1]}', /TOO_LARGE/],
    'a start': ['start', '{"runbookId":"x","input":"', 'a', '"}', /TOO_LARGE/],
    'an approval': ['approve.0190a000-0000-7000-8000-000000000000.s', '{"comments":"', 'a', '"}', /TOO_LARGE/],
  };
  const done = { now: false };
  const quiet = meanwhile(done);
  await within('64 MiB', async () => {
    for (const [what, [verb, head, unit, tail, expected]] of Object.entries(bodies)) {
      const body = Buffer.concat([
        Buffer.from(head),
        Buffer.alloc(Math.floor(pad / unit.length) * unit.length, unit),
        Buffer.from(tail),
      ]);
      const reply = await alice.cmd(verb, body, { timeoutMs: 60000 });
      assert.match(reply.error, expected, `${what}: ${reply.text.slice(0, 200)}`);
      assert.ok(reply.body.message.length > 20);
    }
  });
  done.now = true;
  const took = await quiet;
  comment(`meanwhile ${took.length} runs of the quiet one, ${took[took.length >> 1]} ms, at most ${took.at(-1)} ms`);
  assert.ok(took.at(-1) < 6000 * TIME_FACTOR);
});

test('documents 100,000 levels deep', async () => {
  const deep = '['.repeat(100000) + ']'.repeat(100000);
  await within('depth', async () => {
    for (const [verb, body] of [
      ['register', `{"id":"x","steps":${deep}}`],
      ['register', `id: x\nsteps: ${deep}`],
      ['start', `{"runbookId":"x","input":${deep}}`],
    ]) {
      const reply = await alice.cmd(verb, body);
      assert.equal(reply.error, 'TOO_DEEP', reply.text.slice(0, 200));
    }
    assert.equal((await alice.event('deep', `{"payload":${deep}}`)).error, 'TOO_DEEP');
  });
});

test('a million steps, and as many as are allowed', { timeoutMs: 60000 }, async () => {
  const definition = (n, more) =>
    encode({
      id: `steps-${n}`,
      name: 'many',
      version: '1',
      steps: Array.from({ length: n }, (_, i) => ({ id: `s${i}`, type: 'wait', ...more })),
    });
  await within('a million steps', async () => {
    const reply = await alice.cmd('register', definition(1000000), { timeoutMs: 30000 });
    assert.match(reply.error, /TOO_LARGE|LIMIT_EXCEEDED/, reply.text.slice(0, 200));
    assert.match(reply.text, /MEMORY_MAX_MB|LIMIT_STEPS/);
  });
  await within('20,000 steps', async () => {
    const allowed = definition(20000, { name: 's', config: { durationMs: 1 } });
    const reply = await alice.cmd('register', allowed, { timeoutMs: 30000 });
    assert.ok(reply.ok, reply.text.slice(0, 200));
  });
});

test('loops and runbooks without an end meet theirs', { timeoutMs: 60000 }, async () => {
  const loop = runbook('endless', [
    step('loop', 'loop', [], {
      loopConfig: { maxIterations: 1000, continueWhile: { field: 'input.go', operator: 'eq', value: true } },
      config: { bodyStepId: 'body' },
    }),
    wait('body', 0),
  ]);
  const self = runbook('self', []);
  self.steps = [step('again', 'run-runbook', [], { config: { runbookId: self.id, input: {} }, retryPolicy: ONCE })];
  const jq = runbook('jq', [
    step('spin', 'transform', [], { config: { jq: 'def f: f; f' }, timeoutMs: 800, retryPolicy: ONCE }),
  ]);
  const big = runbook('jqbig', [
    step('grow', 'transform', [], { config: { jq: '[range(1e9)]' }, timeoutMs: 5000, retryPolicy: ONCE }),
  ]);
  await within('endless', async () => {
    for (const [definition, expected] of [
      [loop, /LIMIT|ITERATION|maxIterations/i],
      [self, /DEPTH|DEEP/i],
      [jq, /TRANSFORM_TIMEOUT/],
      [big, /TRANSFORM_/],
    ]) {
      await alice.register(definition);
      const x = await alice.ended(await alice.startId(definition.id, { go: true }), { timeoutMs: 30000 });
      assert.equal(x.status, 'failed');
      assert.match(JSON.stringify(x), expected);
    }
  });
});

test('100,000 early events: a cap for each tenant', { timeoutMs: 120000 }, async () => {
  const nora = house.person('nora', 'eventful');
  const counts = {};
  const pad = 'x'.repeat(200);
  await within('100,000 events', async () => {
    for (let batch = 0; batch < 50; batch++) {
      const replies = await Promise.all(
        Array.from({ length: 2000 }, (_, i) =>
          nora.event('early', { correlationId: `${batch}/${i}`, payload: { pad } }, { timeoutMs: 60000 }),
        ),
      );
      for (const [k, v] of Object.entries(tally(replies))) counts[k] = (counts[k] || 0) + v;
    }
  });
  comment(JSON.stringify(counts));
  assert.equal(Object.values(counts).reduce((a, b) => a + b), 100000, 'each has its answer');
  assert.ok(counts.ok > 0 && counts.LIMIT_EXCEEDED > 0);
  assert.deepEqual(Object.keys(counts).filter((k) => !['ok', 'LIMIT_EXCEEDED', 'OVERLOADED'].includes(k)), []);
  assert.ok((await bob.event('early', { correlationId: 'mine', payload: {} })).ok, "another tenant's are kept");
});

test('large inputs and large answers, many at once', { timeoutMs: 150000 }, async () => {
  const answer = Buffer.alloc(700 * 1024, 'y');
  house.receiver.on('/large', { body: answer, headers: { 'Content-Type': 'text/plain' } });
  const fetch = runbook('fetch', [
    call('a', `${house.receiver.url}/large`, [], {
      retryPolicy: { ...ONCE, maxAttempts: 20, initialDelayMs: 100, maxDelayMs: 500 },
    }),
  ]);
  const keep = runbook('keep', [waitForEvent('w', 'never.comes')]);
  await alice.register(fetch);
  await alice.register(keep);
  const ids = await within('300 answers of 700 KiB', async () => {
    const started = await Promise.all(
      Array.from({ length: 300 }, (_, i) => alice.start(fetch.id, { i }, {}, { timeoutMs: 60000 })),
    );
    const fine = started.filter((r) => r.ok).map((r) => r.body.executionId);
    for (const id of fine) await alice.ended(id, { timeoutMs: 60000 });
    return fine;
  });
  for (const id of ids.slice(0, 20)) assert.equal((await alice.execution(id)).status, 'completed');
  const blob = 'b'.repeat(900 * 1024);
  const replies = await within('400 inputs of 900 KiB', () =>
    Promise.all(Array.from({ length: 400 }, (_, i) => alice.start(keep.id, { i, blob }, {}, { timeoutMs: 60000 }))),
  );
  const counts = tally(replies);
  comment(JSON.stringify(counts));
  assert.equal((counts.ok || 0) + (counts.OVERLOADED || 0), 400);
  assert.ok(counts.ok > 0);
});

test('when it is over it is as before', async () => {
  const done = { now: false };
  setTimeout(() => (done.now = true), 500);
  const took = await meanwhile(done);
  comment(`${took.length} runs, ${took[took.length >> 1]} ms; ${memoryMb().toFixed(0)} MiB, once ${peak.toFixed(0)}`);
  const reply = await alice.start(simple.id, { over: true });
  assert.ok(reply.ok, reply.text);
  const stats = (await alice.query('stats')).body.engine;
  assert.equal(stats.writable, true);
  assert.equal(stats.inboxDepth, 0);
});

test("a tenant's own limits", async () => {
  await house.restartEngine('SIGTERM', { TENANT_EXECUTIONS_MAX: '5', TENANT_TASKS_MAX: '3' });
  const dora = house.person('dora', 'small'), emil = house.person('emil', 'other');
  const keep = runbook('keep', [waitForEvent('w', 'never.comes')]);
  house.receiver.on('/hang', { hang: true });
  const hang = runbook('hang', [call('a', `${house.receiver.url}/hang`)]);
  for (const person of [dora, emil]) {
    await person.register(keep);
    await person.register(hang);
  }
  const replies = await Promise.all(Array.from({ length: 8 }, (_, i) => dora.start(keep.id, { i })));
  assert.deepEqual(tally(replies), { ok: 5, OVERLOADED: 3 });
  assert.match(replies.find((r) => r.error).body.message, /TENANT_EXECUTIONS_MAX=5/);
  assert.ok((await emil.start(keep.id, {})).ok);
  for (let i = 0; i < 3; i++) assert.ok((await emil.start(hang.id, { i })).ok);
  const fourth = await emil.start(hang.id, { i: 4 });
  assert.equal(fourth.error, 'OVERLOADED');
  assert.match(fourth.body.message, /TENANT_TASKS_MAX=3/);
});

const prepare = async () => {
  house = await House.start({
    env: { MEMORY_MAX_MB: String(MEMORY_MAX_MB), INBOX_MAX: String(INBOX_MAX) },
    natsConf: [
      'listen: 127.0.0.1:PORT',
      'jetstream { store_dir: "STORE" }',
      `max_payload: ${PAYLOAD_MAX}`,
      `max_pending: ${4 * PAYLOAD_MAX}`,
    ].join('\n'),
  });
  alice = house.person('alice');
  bob = house.person('bob', 'bystander');
  bob.connection = await house.connect();
  simple = runbook('simple', [wait('w', 1), wait('x', 1, ['w'])]);
  await alice.register(simple);
  await bob.register(simple);
};

if (isMainThread) run(prepare);
else flood();
