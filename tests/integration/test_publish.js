'use strict';
// publish-event: what arrives, who has confirmed it, and what happens while NATS is away.

const { test, run, assert, sleep, eventually } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, step, runbook } = require('./lib/runbooks.js');

let house, alice;

const publish = (id, config, extra = {}) => step(id, 'publish-event', [], { config, ...extra });

/** Everything that arrives on @subject from now on. */
async function listen(subject) {
  const messages = [];
  const subscription = house.connection.subscribe(subject, { callback: (_, m) => messages.push(m) });
  await house.connection.flush();
  messages.end = () => subscription.unsubscribe();
  return messages;
}

test('a message arrives below out., with id, trace and the payload', async () => {
  const heard = await listen('runbook.v1.acme.out.>');
  const definition = runbook('announce', [
    publish('tell', {
      subject: 'hosts.${input.host}.isolated',
      payload: { host: '${input.host}', n: 1 },
      headers: { 'X-Kind': 'isolation' },
    }),
  ]);
  await alice.register(definition);
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const id = await alice.startId(
    definition.id,
    { host: 'h-17' },
    {},
    { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } },
  );
  const x = await alice.until(id, 'completed');
  await eventually(() => heard.length > 0, { what: 'the message' });
  const [m] = heard;
  assert.equal(m.subject, 'runbook.v1.acme.out.hosts.h-17.isolated');
  assert.equal(Buffer.from(m.data).toString(), '{"host":"h-17","n":1}');
  assert.ok(!m.reply, 'where no stream listens nobody is asked for an answer');
  assert.match(m.headers.get('Nats-Msg-Id'), /^[0-9a-f]{64}$/);
  assert.ok(m.headers.get('traceparent').includes(trace));
  assert.equal(m.headers.get('X-Kind'), 'isolation');
  assert.equal(m.headers.get('Content-Type'), 'application/json');
  assert.equal(m.headers.get('Runbook-Execution-Id'), id);
  assert.equal(m.headers.get('Runbook-Step-Path'), 'tell');
  assert.deepEqual(x.stepResults.tell.output, {
    messageId: m.headers.get('Nats-Msg-Id'),
    subject: 'runbook.v1.acme.out.hosts.h-17.isolated',
  });
  heard.end();
});

test('without a payload the step\'s input is sent', async () => {
  const heard = await listen('runbook.v1.acme.out.plain');
  const definition = runbook('plain', [publish('tell', { subject: 'plain' })]);
  await alice.register(definition);
  await alice.until(await alice.startId(definition.id, { a: [1, 'x'] }), 'completed');
  await eventually(() => heard.length > 0, { what: 'the message' });
  assert.equal(Buffer.from(heard[0].data).toString(), '{"a":[1,"x"]}');
  heard.end();
});

test('a stream that listens has it before the step completes', async () => {
  const jsm = await house.connection.jetstreamManager();
  await jsm.streams.add({ name: 'ORDERS', subjects: ['runbook.v1.acme.out.orders.>'] });
  const definition = runbook('orders', [publish('tell', { subject: 'orders.new', payload: { n: '${input.n}' } })]);
  await alice.register(definition);
  for (let n = 1; n <= 20; n++) {
    const x = await alice.until(await alice.startId(definition.id, { n }), 'completed');
    const { stream, sequence, duplicate } = x.stepResults.tell.output;
    assert.deepEqual({ stream, sequence, duplicate }, { stream: 'ORDERS', sequence: n, duplicate: false });
    const stored = await jsm.streams.getMessage('ORDERS', { seq: n });
    assert.deepEqual(JSON.parse(Buffer.from(stored.data).toString()), { n });
  }
});

test('a stream that refuses is a retryable failure that says so', async () => {
  const jsm = await house.connection.jetstreamManager();
  await jsm.streams.add({
    name: 'SMALL',
    subjects: ['runbook.v1.acme.out.small.>'],
    max_msgs: 1,
    discard: 'new',
  });
  const definition = runbook('small', [
    publish('tell', { subject: 'small.x', payload: '${input.n}' }, { timeoutMs: 600, retryPolicy: ONCE }),
  ]);
  await alice.register(definition);
  await alice.until(await alice.startId(definition.id, { n: 1 }), 'completed');
  const x = await alice.until(await alice.startId(definition.id, { n: 2 }), 'failed');
  assert.equal(x.stepResults.tell.error.code, 'TIMEOUT');
  assert.equal(x.stepResults.tell.error.retryable, true);
  assert.match(x.stepResults.tell.error.message, /maximum messages exceeded/);
});

test('nothing leaves the tenant\'s out.', async () => {
  const heard = await listen('>');
  for (const subject of ['a.*', '>', 'a b', 'a..b', '.a', 'a.', 'a\nb', 'x'.repeat(300)]) {
    const definition = runbook('outside', [
      publish('tell', { subject: '${input.subject}' }, { retryPolicy: ONCE }),
    ]);
    await alice.register(definition);
    const x = await alice.until(await alice.startId(definition.id, { subject }), 'failed');
    assert.equal(x.stepResults.tell.error.code, 'CONFIG_INVALID', subject);
    assert.equal(x.stepResults.tell.error.retryable, false);
  }
  const definition = runbook('deeper', [publish('tell', { subject: '${input.subject}', payload: 1 })]);
  await alice.register(definition);
  await alice.until(await alice.startId(definition.id, { subject: '$JS.API.STREAM.PURGE.X' }), 'completed');
  await sleep(50);
  const subjects = heard.map((m) => m.subject).filter((s) => s.includes('.out.'));
  assert.deepEqual(subjects, ['runbook.v1.acme.out.$JS.API.STREAM.PURGE.X']);
  heard.end();
});

test('headers that mean something to the server are refused', async () => {
  for (const name of ['Nats-Rollup', 'nats-msg-id', 'Runbook-Step-Path', 'traceparent', 'a b', '']) {
    const definition = runbook('headers', [
      publish('tell', { subject: 'x', headers: { [name]: 'all' } }, { retryPolicy: ONCE }),
    ]);
    const reply = await alice.cmd('register', definition);
    if (!reply.ok) continue; // what can be seen at registration is told then
    const x = await alice.until(await alice.startId(definition.id, {}), 'failed');
    assert.equal(x.stepResults.tell.error.code, 'CONFIG_INVALID', name);
  }
});

test('what no message can hold fails for good', async () => {
  const definition = runbook('large', [
    publish('tell', { subject: 'large', payload: { a: '${input.a}', b: '${input.a}' } }),
  ]);
  await alice.register(definition);
  const x = await alice.until(await alice.startId(definition.id, { a: 'x'.repeat(150 * 1024) }), 'failed');
  assert.equal(x.stepResults.tell.error.code, 'MESSAGE_TOO_LARGE');
  assert.match(x.stepResults.tell.error.message, /262144 bytes.*max_payload/);
  assert.equal(x.stepResults.tell.attemptNumber, 1);
});

test('while NATS is away a message waits, and a stream gets it once', { timeoutMs: 60000 }, async () => {
  const definition = runbook('away', [
    step('first', 'wait', [], { config: { durationMs: 1500 } }),
    step('tell', 'publish-event', ['first'], { config: { subject: 'orders.away', payload: 'once' } }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await house.natsServer.end();
  await sleep(2500);
  await house.startNats();
  const x = await alice.until(id, 'completed', { timeoutMs: 30000 });
  assert.equal(x.stepResults.tell.attemptNumber, 1, 'no attempt was spent on it');
  assert.equal(x.stepResults.tell.output.stream, 'ORDERS');
  const jsm = await house.connection.jetstreamManager();
  const info = await jsm.streams.info('ORDERS', { subjects_filter: 'runbook.v1.acme.out.orders.away' });
  assert.equal(info.state.subjects['runbook.v1.acme.out.orders.away'], 1);
});

run(async () => {
  const natsConf = 'listen: 127.0.0.1:PORT\nmax_payload: 262144\njetstream { store_dir: "STORE" }\n';
  house = await House.start({ receiver: false, natsConf });
  alice = house.person('alice');
});
