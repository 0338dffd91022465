'use strict';
// Server-sent events: live, resumed without gaps whatever dies, only what one may read, slow readers, the end.

const net = require('node:net');
const path = require('node:path');
const { test, run, assert, atEnd, eventually, sleep } = require('./lib/tap.js');
const { House, Program, RUNBOOKD, context, freePort, TENANT } = require('./lib/house.js');
const { Proxy } = require('./lib/proxy.js');
const { Web } = require('./lib/web.js');
const { approval, call, wait, runbook } = require('./lib/runbooks.js');

let house, web, alice, bob;

const API = '/api/v1';
const ENDED = 'runbook.execution.completed';

async function register(steps) {
  const made = runbook('stream', steps);
  const answer = await alice.post(`${API}/runbooks`, made);
  assert.equal(answer.status, 201, answer.text);
  return made;
}

async function start(runbookId, authorizedUsers) {
  const basis = context({ initiatedBy: undefined, tenantId: undefined });
  if (authorizedUsers) basis.legalBasis.authorizedUsers = authorizedUsers;
  const answer = await alice.post(`${API}/executions`, {
    runbookId,
    context: basis,
    options: { skipIdempotencyCheck: true },
  });
  assert.equal(answer.status, 201, answer.text);
  return answer.body.executionId;
}

/** @n waits of @ms, one after the other. */
const chain = (n, ms) => Array.from({ length: n }, (_, i) => wait(`s${i}`, ms, i ? [`s${i - 1}`] : []));

const countFrom = (first, n) => Array.from({ length: n }, (_, i) => first + i);

/** The numbers of the whole history. */
async function history(id) {
  const answer = await alice.get(`${API}/executions/${id}/history?limit=1000`);
  return answer.body.events.map((e) => e.sequence);
}

const ends = (stream) => eventually(() => stream.types().includes(ENDED), { what: 'the end of the execution' });

test('an execution from its first event to its last, while it runs', async () => {
  const id = await start((await register(chain(4, 150))).id);
  const stream = await alice.stream(`${API}/executions/${id}/stream`);
  assert.equal(stream.status, 200);
  await ends(stream);
  assert.deepEqual(stream.sequences(), await history(id));
  assert.match(stream.lastId, /^\d+\.\d+$/);
  stream.close();
});

test('log entries come too, each once, and ids lead on from any event', async () => {
  house.receiver.on('/t', { body: {} });
  const made = await register([
    call('t', `${house.receiver.url}/t`),
    ...chain(3, 30).map((s, i) => (i ? s : { ...s, dependsOn: ['t'] })),
  ]);
  const id = await start(made.id);
  await eventually(async () => (await alice.get(`${API}/executions/${id}`)).body.execution.status === 'completed');
  const logs = (await alice.get(`${API}/executions/${id}/logs?limit=1000`)).body.logs;
  const whole = await alice.stream(`${API}/executions/${id}/stream`);
  await ends(whole);
  await eventually(() => whole.events.filter((e) => e.event === 'log').length === logs.length);
  const all = whole.events.map((e) => e.id);
  whole.close();
  assert.equal(new Set(all).size, all.length);
  for (const at of [0, 2, all.length - 2]) {
    const rest = await alice.stream(`${API}/executions/${id}/stream`, { 'Last-Event-ID': all[at] });
    await eventually(() => rest.events.length >= all.length - at - 1);
    await sleep(100);
    assert.deepEqual(rest.events.map((e) => e.id), all.slice(at + 1));
    rest.close();
  }
});

test('a stream that begins now shows what comes', async () => {
  const id = await start((await register(chain(2, 400))).id);
  await sleep(100);
  const stream = await alice.stream(`${API}/executions/${id}/stream?from=now`);
  await ends(stream);
  const whole = await history(id);
  assert.ok(stream.sequences()[0] > 1);
  assert.deepEqual(stream.sequences(), whole.slice(whole.indexOf(stream.sequences()[0])));
  stream.close();
});

test('a stream that begins now has heard nothing yet when the network fails: it misses nothing either', async () => {
  // A gateway of its own behind a network of its own: the engine goes on meanwhile.
  const proxy = new Proxy(house.natsPort);
  await proxy.start();
  atEnd(() => proxy.stop());
  const port = await freePort();
  const program = new Program(
    'runbook-gateway',
    process.env.RUNBOOK_GATEWAY || path.join(path.dirname(RUNBOOKD), '../gateway/runbook-gateway'),
    [],
    { NATS_URL: proxy.url, PORT: String(port), AUTH_MODE: 'none' },
    path.join(house.dir, 'gateway.log'),
  );
  house.programs.push(program);
  atEnd(() => program.end());
  const far = new Web(`http://127.0.0.1:${port}`).as('alice', TENANT);
  await eventually(async () => (await far.get('/health/ready')).status === 200, { what: 'the gateway' });

  const id = await start((await register([approval('ask', ['bob'], 1)])).id);
  await eventually(async () => {
    const { execution } = (await alice.get(`${API}/executions/${id}`)).body;
    return execution.stepResults.ask?.status === 'awaiting_approval';
  });
  const known = (await alice.get(`${API}/executions/${id}`)).body.lastSequence;
  const stream = await far.stream(`${API}/executions/${id}/stream?from=now`);
  assert.equal(stream.status, 200);
  proxy.cut({ refuse: true });
  const vote = await bob.post(`${API}/executions/${id}/steps/ask/approve`, { decision: 'approved' });
  assert.equal(vote.status, 200, vote.text);
  await eventually(async () => (await alice.get(`${API}/executions/${id}`)).body.execution.status === 'completed');
  assert.equal(stream.events.length, 0, 'nothing of it came through');
  proxy.heal();
  await ends(stream);
  assert.deepEqual(stream.sequences(), (await history(id)).slice(known));
  stream.close();
});

test('a stream that began now goes on from an id without what was before', async () => {
  house.receiver.on('/before', { body: {} });
  const id = await start((await register([call('t', `${house.receiver.url}/before`), wait('s', 600, ['t'])])).id);
  const logs = async () => (await alice.get(`${API}/executions/${id}/logs?limit=1000`)).body;
  const steps = async () => (await alice.get(`${API}/executions/${id}`)).body.execution.stepResults;
  await eventually(async () => (await steps()).s?.status === 'waiting');
  const before = await logs();
  assert.ok(before.logs.length > 0);
  assert.equal(before.lastSequence, before.logs.length);
  const stream = await alice.stream(`${API}/executions/${id}/stream?from=now`);
  await ends(stream);
  const first = stream.events[0];
  assert.ok(stream.events.every((e) => e.event !== 'log' || !before.logs.some((l) => l.id === e.data.id)));
  stream.close();
  const again = await alice.stream(`${API}/executions/${id}/stream`, { 'Last-Event-ID': first.id });
  await ends(again);
  const whole = await eventually(async () => {
    const { length } = (await logs()).logs;
    return again.events.filter((e) => e.event === 'log').length >= length - before.logs.length && again.events;
  });
  assert.deepEqual(whole.filter((e) => e.event === 'log' && before.logs.some((l) => l.id === e.data.id)), []);
  again.close();
});

test('cut off before the first event, one comes back to where one was', async () => {
  const id = await start((await register([approval('ask', ['bob'], 1)])).id);
  await eventually(async () => {
    const { execution } = (await alice.get(`${API}/executions/${id}`)).body;
    return execution.stepResults.ask?.status === 'awaiting_approval';
  });
  const known = (await alice.get(`${API}/executions/${id}`)).body.lastSequence;
  const places = new Map();
  for (const place of [`executions/${id}/stream`, 'stream']) {
    const stream = await alice.stream(`${API}/${place}?from=now`);
    await eventually(() => stream.lastId, { what: 'the place' });
    assert.equal(stream.events.length, 0);
    stream.close();
    places.set(place, stream.lastId);
  }
  assert.ok((await bob.post(`${API}/executions/${id}/steps/ask/approve`, { decision: 'approved' })).status === 200);
  for (const place of [`executions/${id}/stream`, 'stream']) {
    const again = await alice.stream(`${API}/${place}`, { 'Last-Event-ID': places.get(place) });
    await ends(again);
    assert.deepEqual(again.sequences(), (await history(id)).slice(known), place);
    again.close();
  }
});

test('an answer and the events behind it lead to the state there is, whenever one begins to look', async () => {
  const { applyEvent } = await import('../../src/gateway/console/execution_model.js');
  const made = await register(chain(6, 30));
  const until = Date.now() + 4000;
  const statuses = (x) => Object.fromEntries(Object.entries(x.stepResults).map(([path, r]) => [path, r.status]));
  let n = 0;
  async function look() {
    while (Date.now() < until) {
      const id = await start(made.id);
      await sleep(Math.random() * 150);
      const stream = await alice.stream(`${API}/executions/${id}/stream?from=now`);
      const { execution, lastSequence } = (await alice.get(`${API}/executions/${id}`)).body;
      if (execution.status !== 'completed') await ends(stream);
      for (const { event, data } of stream.events)
        if (event === 'lifecycle' && data.sequence > lastSequence) applyEvent(execution, data);
      const final = (await alice.get(`${API}/executions/${id}`)).body.execution;
      assert.deepEqual([execution.status, statuses(execution)], [final.status, statuses(final)], id);
      stream.close();
      n += 1;
    }
  }
  await Promise.all(Array.from({ length: 4 }, look));
  assert.ok(n >= 4, `${n} executions`);
});

test('many events behind: page after page, in order', { timeoutMs: 60000 }, async () => {
  const id = await start((await register(chain(700, 0))).id);
  const stream = await alice.stream(`${API}/executions/${id}/stream`);
  await eventually(() => stream.types().includes(ENDED), { timeoutMs: 40000, what: 'the end' });
  const got = stream.sequences();
  assert.ok(got.length > 1000, `${got.length} events`);
  assert.deepEqual(got, countFrom(1, got.length));
  stream.close();
});

test('what may not be read can not be streamed', async () => {
  const id = await start((await register(chain(1, 1))).id, ['alice']);
  const own = await bob.stream(`${API}/executions/${id}/stream`);
  assert.equal(own.status, 403);
  const none = await alice.stream(`${API}/executions/01a20000-0000-7000-8000-000000000000/stream`);
  assert.equal(none.status, 404);
  const odd = await alice.stream(`${API}/executions/${id}/stream`, { 'Last-Event-ID': 'yesterday' });
  assert.equal(odd.status, 400);
  assert.equal((await alice.stream(`${API}/executions/${id}/stream?from=here`)).status, 400);
});

test("a tenant's events, without what one may not read, resumed from any of them", async () => {
  const made = await register(chain(2, 20));
  const forAll = await alice.stream(`${API}/stream`);
  const forBob = await bob.stream(`${API}/stream`);
  const foreign = await web.as('alice', 'umbrella').stream(`${API}/stream?from=start`);
  assert.deepEqual([forAll.status, forBob.status, foreign.status], [200, 200, 200]);
  const secret = await start(made.id, ['alice']);
  const open = await start(made.id, ['alice', 'bob']);
  const last = await start(made.id);
  const has = (stream, id) => stream.events.some((e) => e.data.type === ENDED && e.data.subject.startsWith(id));
  await eventually(() => [secret, open, last].every((id) => has(forAll, id)), { what: "alice's events" });
  await eventually(() => [open, last].every((id) => has(forBob, id)), { what: "bob's events" });
  assert.ok(!JSON.stringify(forBob.events).includes(secret));
  assert.equal(foreign.events.length, 0);
  for (const id of [secret, open, last]) {
    const mine = forAll.events.filter((e) => e.event === 'lifecycle' && e.data.subject.startsWith(id));
    assert.deepEqual(mine.map((e) => e.data.sequence), await history(id));
  }
  const ids = forAll.events.map((e) => e.id);
  const rest = await alice.stream(`${API}/stream`, { 'Last-Event-ID': ids[3] });
  await eventually(() => rest.events.length >= ids.length - 4);
  const names = (stream) => stream.events.map((e) => e.data.id);
  assert.deepEqual(names(rest).slice(0, ids.length - 4), names(forAll).slice(4));
  for (const stream of [forAll, forBob, foreign, rest]) stream.close();
});

/** Read @id's events to the end, coming back with the last id whenever the stream ends. */
async function follow(path, isDone, from = '') {
  const seen = [];
  let lastId;
  for (let tries = 0; tries < 200 && !isDone(seen); tries++) {
    let stream;
    try {
      stream = await alice.stream(path + (lastId ? '' : from), lastId ? { 'Last-Event-ID': lastId } : {});
    } catch {
      await sleep(50);
      continue;
    }
    if (stream.status !== 200) {
      stream.close();
      await sleep(50);
      continue;
    }
    let n = 0;
    while (!stream.isEnded && !isDone(seen)) {
      seen.push(...stream.events.slice(n));
      n = stream.events.length;
      await sleep(10);
    }
    seen.push(...stream.events.slice(n));
    lastId = stream.lastId || lastId;
    stream.close();
  }
  return seen;
}

const lifecycle = (events) => events.filter((e) => e.event === 'lifecycle').map((e) => e.data.sequence);
const isComplete = (events) => events.some((e) => e.data.type === ENDED);

test('kill -9 of the engine in the midst: no gap, nothing twice', { timeoutMs: 90000 }, async () => {
  const made = await register(chain(60, 30));
  const id = await start(made.id);
  const one = follow(`${API}/executions/${id}/stream`, isComplete);
  const all = follow(`${API}/stream`, (seen) =>
    seen.some((e) => e.data.type === ENDED && e.data.subject.startsWith(id)), '?from=start');
  for (let i = 0; i < 3; i++) {
    await sleep(300);
    await house.restartEngine('SIGKILL');
  }
  const whole = lifecycle(await one);
  assert.deepEqual(whole, await history(id));
  const mine = (await all).filter((e) => e.event === 'lifecycle' && e.data.subject.startsWith(id));
  assert.deepEqual([...new Set(mine.map((e) => e.data.sequence))], await history(id));
});

test('NATS goes and comes back: the stream stays, and misses nothing', { timeoutMs: 90000 }, async () => {
  const made = await register(chain(40, 50));
  const id = await start(made.id);
  const stream = await alice.stream(`${API}/executions/${id}/stream`);
  const all = await alice.stream(`${API}/stream`);
  await eventually(() => stream.events.length > 5);
  await house.natsServer.end('SIGKILL');
  const told = (what) => () => [stream, all].every((s) => s.events.some((e) => e.event === what));
  await eventually(told('away'), { what: 'word that NATS is away' });
  await house.startNats();
  await eventually(told('back'), { timeoutMs: 30000, what: 'word that it is back' });
  await eventually(() => stream.types().includes(ENDED), { timeoutMs: 30000, what: 'the end of the execution' });
  assert.deepEqual(stream.sequences(), await history(id));
  assert.ok(!stream.isEnded);
  const mine = () => all.events.filter((e) => e.event === 'lifecycle' && e.data.subject?.startsWith(id));
  await eventually(() => mine().some((e) => e.data.type === ENDED), { timeoutMs: 30000, what: "the tenant's events" });
  const got = [...new Set(mine().map((e) => e.data.sequence))];
  assert.deepEqual(got, countFrom(got[0], got.length));
  stream.close();
  all.close();
});

test('a reader that takes nothing is dropped, and told why', { timeoutMs: 90000 }, async () => {
  const made = await register(chain(3000, 0));
  const { hostname, port } = new URL(web.base);
  const socket = net.connect({ host: hostname, port, highWaterMark: 1024 });
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write(
    `GET ${API}/stream?from=start HTTP/1.1\r\nHost: ${hostname}\r\nX-User: alice\r\nX-Tenant: ${TENANT}\r\n\r\n`,
  );
  await eventually(() => text.includes('event: lifecycle'));
  socket.pause();
  /* More than the kernel keeps on both sides. */
  const ids = [await start(made.id), await start(made.id), await start(made.id)];
  for (const id of ids)
    await eventually(
      async () => (await alice.get(`${API}/executions/${id}/stats`)).body.status === 'completed',
      { timeoutMs: 40000, what: 'the execution' },
    );
  await sleep(24000);
  socket.resume();
  await eventually(() => text.includes('event: dropped'), { what: 'the reason' });
  assert.match(text, /"reason":"slow_reader"/);
  socket.destroy();
});

test('one user can not take all streams', { timeoutMs: 60000 }, async () => {
  const greedy = web.as('greedy', TENANT);
  const streams = [];
  for (let i = 0; i < 16; i++)
    streams.push(...(await Promise.all(Array.from({ length: 8 }, () => greedy.stream(`${API}/stream`)))));
  assert.ok(streams.every((s) => s.status === 200));
  const more = await greedy.stream(`${API}/stream`);
  assert.equal(more.status, 429);
  const other = await alice.stream(`${API}/stream`);
  assert.equal(other.status, 200);
  for (const stream of [...streams, more, other]) stream.close();
  assert.equal((await alice.send('HEAD', `${API}/stream`, { headers: { Accept: '*/*' } })).status, 200);
});

test('streams that were left do not count for long', { timeoutMs: 40000 }, async () => {
  const hasty = web.as('hasty', TENANT);
  for (let round = 0; round < 3; round++) {
    await eventually(
      async () => {
        const streams = await Promise.all(Array.from({ length: 60 }, () => hasty.stream(`${API}/stream`)));
        const isGood = streams.every((s) => s.status === 200);
        for (const stream of streams) stream.close();
        return isGood;
      },
      { timeoutMs: 6000, everyMs: 500, what: 'room for sixty streams' },
    );
  }
});

test('heartbeats keep a silent stream alive', { timeoutMs: 40000 }, async () => {
  const stream = await alice.stream(`${API}/stream`);
  await eventually(() => stream.comments >= 1, { timeoutMs: 20000, what: 'a heartbeat' });
  assert.equal(stream.isEnded, false);
  stream.close();
});

test('a stop tells the streams, and answers what is under way', async () => {
  const stream = await alice.stream(`${API}/stream`);
  const begun = Date.now();
  house.engine.child.kill('SIGTERM');
  const exit = await house.engine.ended;
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.ok(Date.now() - begun < 8000, `${Date.now() - begun} ms`);
  assert.equal(stream.events.at(-1).event, 'end');
  assert.equal(stream.events.at(-1).data.reason, 'stopping');
  house.startEngine();
  await house.engineReady();
});

run(async () => {
  house = await House.start();
  web = new Web(`http://127.0.0.1:${house.enginePort}`);
  await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
  alice = web.as('alice', TENANT);
  bob = web.as('bob', TENANT);
});
