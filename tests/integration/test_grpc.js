'use strict';
// gRPC calls against a server that is not ours, with and without TLS, and against servers that misbehave.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test, run, assert, atEnd, eventually, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, QUICK, step, call, runbook } = require('./lib/runbooks.js');
const { GrpcServer, http2Server, descriptorSet, makeCertificate, status } = require('./lib/grpc_server.js');

let house, alice, server, certificate, set;

/** A gRPC step; @to: a port of a server without TLS, or {port, tls}. */
function grpc(id, to, dependsOn = [], { config = {}, ...extra } = {}) {
  const { port, tls = false } = typeof to === 'object' ? to : { port: to };
  return step(id, 'call-service', dependsOn, {
    config: {
      protocol: 'grpc',
      target: `127.0.0.1:${port}`,
      tls,
      service: 'shop.v1.Orders',
      method: 'Place',
      descriptorSet: set,
      ...config,
    },
    ...extra,
  });
}

async function runOne(name, steps, { input = {}, ...extra } = {}) {
  const definition = runbook(name, Array.isArray(steps) ? steps : [steps], extra);
  await alice.register(definition);
  return alice.ended(await alice.startId(definition.id, input));
}

/** One call with this behaviour of the server; gives the result of its step. */
async function behave(behaviour, fn, { config = {}, ...extra } = {}) {
  if (fn) server.on(behaviour, fn);
  const body = { behaviour, ...config.body };
  const x = await runOne(behaviour, grpc('a', server.port, [], { ...extra, config: { ...config, body } }));
  return x.stepResults.a;
}

const failWith = (code, details = '', metadata = {}) => ({ error: { code, details, metadata } });
const failTimes = (n, answer) => (_, count) => (count <= n ? answer : { reply: { order_id: 'late' } });

// ---- what goes there and comes back -----------------------------------------------------------------------

const ORDER = {
  customerName: 'Zoë ☕',
  totalCents: '9007199254740993',
  priority: 'PRIORITY_HIGH',
  lines: [
    { sku: 'a', count: 1 },
    { sku: 'b', count: 4294967295 },
  ],
  labels: { x: 'y', '': 'empty' },
  blob: 'AAEC/w==',
  due: '2026-01-31T12:00:00.250Z',
  extra: { deep: [1, null, { a: true }] },
  note: 'n',
  cash: true,
};

for (const tls of [false, true])
  test(`JSON goes there and comes back, ${tls ? 'with' : 'without'} TLS`, async () => {
    const behaviour = `echo-${tls}`;
    server.on(behaviour, ({ request }) => ({
      reply: { ...request, order_id: 'o-7', accepted: true, status: 'new' },
      trailers: { 'x-cost': '3' },
    }));
    const x = await runOne(
      behaviour,
      [
        grpc('a', { port: tls ? server.tlsPort : server.port, tls }, [], {
          config: { body: { ...ORDER, behaviour } },
        }),
        step('b', 'conditional', ['a'], {
          config: { condition: { field: 'a.attempts', operator: 'eq', value: 0 } },
        }),
      ],
      {},
    );
    assert.equal(x.status, 'completed', JSON.stringify(x.stepResults));
    const [{ request }] = server.of(behaviour);
    assert.equal(request.customer_name, ORDER.customerName);
    assert.equal(request.total_cents, ORDER.totalCents);
    assert.equal(request.priority, 'PRIORITY_HIGH');
    assert.deepEqual([...request.blob], [0, 1, 2, 255]);
    assert.deepEqual(request.due, { seconds: '1769860800', nanos: 250000000 });
    assert.equal(request.payment ?? 'cash', 'cash');
    const { output } = x.stepResults.a;
    assert.deepEqual(output.body, {
      accepted: true,
      attempts: 0, // unset fields are there with their defaults
      blob: ORDER.blob,
      due: ORDER.due,
      extra: ORDER.extra,
      filler: '',
      labels: ORDER.labels,
      lines: ORDER.lines,
      note: 'n',
      orderId: 'o-7',
      priority: 'PRIORITY_HIGH',
      status: 'new',
      totalCents: ORDER.totalCents,
    });
    assert.equal(output.orderId, 'o-7');
    assert.equal(output.status, 'OK', "the message's own `status` gives way");
    assert.equal(output.trailers['grpc-status'], '0');
    assert.equal(output.trailers['x-cost'], '3');
    assert.match(output.headers['content-type'], /^application\/grpc/);
  });

test('what is not in the answer: fields with defaults, but no messages and no optional ones', async () => {
  const { output } = await behave('empty', () => ({ reply: {} }));
  assert.equal(output.body.orderId, '');
  assert.deepEqual(output.body.lines, []);
  assert.equal(output.body.totalCents, '0');
  assert.equal('due' in output.body, false);
  assert.equal('note' in output.body, false);
});

test("the step's input is the message where no body is given; null is an empty one", async () => {
  const x = await runOne('default', grpc('a', server.port), {
    input: { customerName: 'In', behaviour: 'default' },
  });
  assert.equal(x.status, 'completed');
  assert.equal(server.of('default')[0].request.customer_name, 'In');
  const y = await runOne('null', grpc('a', server.port, [], { config: { body: null } }), { input: { x: 1 } });
  assert.equal(y.status, 'completed');
  const z = await runOne('unknown', grpc('a', server.port), { input: { customer: 'x' } });
  assert.equal(z.stepResults.a.error.code, 'CONFIG_INVALID');
  assert.match(z.stepResults.a.error.message, /the step's input is not a shop.v1.OrderRequest: .*customer/);
});

test('metadata, secrets and what the engine says itself', async () => {
  await behave('metadata', null, {
    config: {
      metadata: { 'X-Plain': 'p', 'x-secret': 'key ${secrets.token}!', 'x-raw-bin': 'AAEC' },
      auth: { bearerSecret: 'token' },
    },
  });
  const [{ metadata, deadlineMs }] = server.of('metadata');
  assert.equal(metadata['x-plain'], 'p');
  assert.equal(metadata['x-secret'], 'key s3cret!');
  assert.deepEqual([...metadata['x-raw-bin']], [0, 1, 2]);
  assert.equal(metadata.authorization, 'Bearer s3cret');
  assert.equal(metadata['x-tenant-id'], 'acme');
  assert.equal(metadata['x-initiated-by'], 'alice');
  assert.match(metadata['idempotency-key'], /^[0-9a-f]{64}$/);
  assert.match(metadata['user-agent'], /^runbookd\//);
  assert.ok(deadlineMs > 20000 && deadlineMs <= 30000, `the default timeout, not ${deadlineMs}`);
});

test('the evidence and the log of a call', async () => {
  const config = { body: { behaviour: 'evidence' } };
  const x = await runOne('evidence', grpc('a', server.port, [], { config }));
  const [evidence] = (await alice.query(`evidence.${x.id}`)).body.evidence;
  assert.equal(evidence.type, 'grpc-exchange');
  assert.equal(evidence.sourceRef, `gRPC http://127.0.0.1:${server.port}/shop.v1.Orders/Place`);
  assert.equal(evidence.value.status, 'OK');
  assert.match(evidence.value.requestSha256, /^[0-9a-f]{64}$/);
  const { logs } = (await alice.query(`logs.${x.id}`)).body;
  assert.ok(logs.some((l) => /^gRPC .* → OK in \d+ ms$/.test(l.message)));
});

// ---- statuses and attempts ----------------------------------------------------------------------------------

const RETRIED = new Set(['ABORTED', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE']);

test('every status', { timeoutMs: 60000 }, async () => {
  const names = Object.keys(status).filter((name) => Number.isNaN(Number(name)) && name !== 'OK');
  assert.equal(names.length, 16);
  const results = await Promise.all(
    names.map((name) => behave(`status-${name}`, () => failWith(status[name], `it is ${name} – ü`))),
  );
  for (const [i, name] of names.entries()) {
    const { error, attemptNumber } = results[i];
    assert.equal(error.code, `GRPC_${name}`);
    assert.equal(error.retryable, RETRIED.has(name), name);
    assert.equal(attemptNumber, RETRIED.has(name) ? QUICK.maxAttempts : 1, name);
    assert.equal(error.details.status, name);
    assert.equal(error.details.message, `it is ${name} – ü`);
    assert.match(error.message, new RegExp(`answered ${name}: it is ${name} – ü`));
  }
});

test('a retry has the same idempotency key', async () => {
  const { output, attemptNumber } = await behave('flaky', failTimes(2, failWith(status.UNAVAILABLE)));
  assert.equal(output.orderId, 'late');
  assert.equal(attemptNumber, 3);
  const keys = new Set(server.of('flaky').map((c) => c.metadata['idempotency-key']));
  assert.equal(keys.size, 1);
  await behave('own-key', failTimes(1, failWith(status.ABORTED)), { config: { idempotencyKey: 'mine' } });
  assert.deepEqual(
    server.of('own-key').map((c) => c.metadata['idempotency-key']),
    ['mine', 'mine'],
  );
});

const gap = (behaviour) => {
  const [first, second] = server.of(behaviour);
  return second.atMs - first.atMs;
};

test('grpc-retry-pushback-ms is honoured', async () => {
  await behave('pushback', failTimes(1, failWith(status.UNAVAILABLE, '', { 'grpc-retry-pushback-ms': '700' })));
  assert.ok(gap('pushback') >= 690, `came again after ${gap('pushback')} ms`);
  const no = await behave('no-more', () => failWith(status.UNAVAILABLE, '', { 'grpc-retry-pushback-ms': '-1' }));
  assert.equal(no.attemptNumber, 1);
  assert.equal(no.error.retryable, false);
});

/** A field of protobuf's, for the messages below that no .proto of ours has. */
const field = (number, value) =>
  typeof value === 'number'
    ? Buffer.from([(number << 3) | 0, value])
    : Buffer.concat([Buffer.from([(number << 3) | 2, value.length]), Buffer.from(value)]);

test('details of an error, and the RetryInfo among them', async () => {
  const any = (type, ...fields) =>
    field(3, Buffer.concat([field(1, `type.googleapis.com/${type}`), field(2, Buffer.concat(fields))]));
  const details = Buffer.concat([
    field(1, 14),
    field(2, 'm'),
    any('google.rpc.RetryInfo', field(1, field(1, 1))),
    any('shop.v1.Line', field(1, 'sku-1')),
  ]);
  const answer = failWith(status.UNAVAILABLE, 'm', { 'grpc-status-details-bin': details });
  await behave('retry-info', failTimes(1, answer));
  assert.ok(gap('retry-info') >= 990, `came again after ${gap('retry-info')} ms`);
  const { error } = await behave('details', () => answer, { retryPolicy: ONCE });
  assert.deepEqual(error.details.details, [
    { '@type': 'type.googleapis.com/google.rpc.RetryInfo', value: 'CgIIAQ==' },
    { '@type': 'type.googleapis.com/shop.v1.Line', count: 0, sku: 'sku-1' },
  ]);
});

test('a method that the server does not have', async () => {
  const config = { method: 'Forgotten', body: {} };
  const x = await runOne('forgotten', grpc('a', server.port, [], { config }));
  assert.equal(x.stepResults.a.error.code, 'GRPC_UNIMPLEMENTED');
});

test('a circuit breaker counts what is the fault of the server', async () => {
  const bare = await http2Server((stream) =>
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '13' }, { endStream: true }),
  );
  atEnd(() => bare.stop());
  const breaker = { failureThreshold: 2, windowMs: 60000, openMs: 60000 };
  const steps = [1, 2, 3].map((i) =>
    grpc(`s${i}`, bare.port, i > 1 ? [`s${i - 1}`] : [], {
      config: { body: {}, circuitBreaker: breaker },
      retryPolicy: ONCE,
      onFailure: 'continue',
    }),
  );
  const x = await runOne('breaker', steps);
  assert.equal(x.stepResults.s2.error.code, 'GRPC_INTERNAL');
  assert.equal(x.stepResults.s3.error.code, 'CIRCUIT_OPEN', JSON.stringify(x.stepResults.s3));
});

// ---- time ---------------------------------------------------------------------------------------------------

for (const tls of [false, true])
  test(`a server that hangs: deadline and end of the call, ${tls ? 'with' : 'without'} TLS`, async () => {
    const behaviour = `hang-${tls}`;
    server.on(behaviour, () => ({ hang: true }));
    const port = tls ? server.tlsPort : server.port;
    const x = await runOne(
      'hang',
      grpc('a', { port, tls }, [], { config: { body: { behaviour } }, timeoutMs: 400, retryPolicy: ONCE }),
    );
    const { error } = x.stepResults.a;
    assert.match(error.code, /^(TIMEOUT|GRPC_DEADLINE_EXCEEDED)$/);
    assert.equal(error.retryable, true);
    const [kept] = server.of(behaviour);
    assert.ok(kept.deadlineMs > 0 && kept.deadlineMs <= 400, `the server was given ${kept.deadlineMs} ms`);
    await eventually(() => kept.cancelled, { what: 'the end of the call at the server' });
    const next = await runOne('after', grpc('a', { port, tls }, [], { config: { body: {} } }));
    assert.equal(next.status, 'completed', 'the next call is none the worse');
  });

for (const tls of [false, true])
  test(`cancelling ends the call at the server, ${tls ? 'with' : 'without'} TLS`, async () => {
    const behaviour = `cancel-${tls}`;
    server.on(behaviour, () => ({ hang: true }));
    const port = tls ? server.tlsPort : server.port;
    const definition = runbook('cancel', [grpc('a', { port, tls }, [], { config: { body: { behaviour } } })]);
    await alice.register(definition);
    const id = await alice.startId(definition.id, {});
    await eventually(() => server.of(behaviour).length === 1, { what: 'the call' });
    assert.equal(server.of(behaviour)[0].cancelled, false);
    await alice.cmd(`cancel.${id}`, { reason: 'enough' });
    await eventually(() => server.of(behaviour)[0].cancelled, { what: 'the end of the call at the server' });
    assert.equal((await alice.ended(id)).status, 'cancelled');
  });

test('an answer that trickles', { timeoutMs: 20000 }, async () => {
  const bare = await http2Server((stream) => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.write(Buffer.from([0, 0, 0, 0, 200]));
    const drip = setInterval(() => stream.write(Buffer.from([10])), 50);
    stream.on('close', () => clearInterval(drip));
  });
  atEnd(() => bare.stop());
  const begun = Date.now();
  const x = await runOne(
    'trickle',
    grpc('a', bare.port, [], { config: { body: {} }, timeoutMs: 700, retryPolicy: ONCE }),
  );
  assert.equal(x.stepResults.a.error.code, 'TIMEOUT');
  assert.match(x.stepResults.a.error.message, /the answer was not complete/);
  assert.ok(Date.now() - begun < 5000);
});

// ---- servers that misbehave ---------------------------------------------------------------------------------

test('a server that is away, and one that goes away', async () => {
  const x = await runOne('away', grpc('a', 1, [], { config: { body: {} } }));
  assert.equal(x.stepResults.a.error.code, 'CONNECT');
  assert.equal(x.stepResults.a.attemptNumber, QUICK.maxAttempts);
  let n = 0;
  const bare = await http2Server((stream) => {
    n += 1;
    if (n < 3) stream.session.destroy();
    else answer(stream, [0, 0, 0, 0, 0]);
  });
  atEnd(() => bare.stop());
  const y = await runOne('gone', grpc('a', bare.port, [], { config: { body: {} } }));
  assert.equal(y.status, 'completed', JSON.stringify(y.stepResults.a));
  assert.equal(y.stepResults.a.attemptNumber, 3);
});

/** Respond with @bytes as the body and @trailers (null: none). */
function answer(stream, bytes, trailers = { 'grpc-status': '0' }, headers = {}) {
  stream.resume();
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', ...headers },
    { waitForTrailers: trailers !== null },
  );
  stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  stream.end(Buffer.from(bytes));
}

const onlyHttp = (stream, code) => stream.respond({ ':status': code }, { endStream: true });

/** Kind: what the server does, the code and message of the error, and whether it is retried. */
const STRANGE = {
  'no status': [(s) => answer(s, [0, 0, 0, 0, 0], null), 'GRPC_INTERNAL', /without a status/, false],
  'no message': [(s) => answer(s, []), 'GRPC_INTERNAL', /no message came/, false],
  'two messages': [(s) => answer(s, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 'GRPC_INTERNAL', /more than one/, false],
  'half a message': [(s) => answer(s, [0, 0, 0, 0, 9, 10]), 'GRPC_INTERNAL', /shorter than its frame/, false],
  'compressed all the same': [(s) => answer(s, [1, 0, 0, 0, 0]), 'GRPC_INTERNAL', /compressed/, false],
  'no protobuf': [(s) => answer(s, [0, 0, 0, 0, 2, 0x0a, 0x7f]), 'GRPC_INTERNAL', /can't be read/, false],
  'text that is not UTF-8': [
    (s) => answer(s, [0, 0, 0, 0, 3, 0x0a, 1, 0xff]),
    'GRPC_INTERNAL',
    /not UTF-8/,
    false,
  ],
  'a status without number': [(s) => answer(s, [], { 'grpc-status': 'x' }), 'GRPC_UNKNOWN', /UNKNOWN/, false],
  'a status of the future': [(s) => answer(s, [], { 'grpc-status': '77' }), 'GRPC_UNKNOWN', /UNKNOWN/, false],
  'only trailers': [
    (s) =>
      s.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true }),
    'GRPC_NOT_FOUND',
    /NOT_FOUND/,
    false,
  ],
  'a web page': [
    (s) => answer(s, '<html>', null, { 'content-type': 'text/html' }),
    'GRPC_UNKNOWN',
    /not with gRPC/,
    false,
  ],
  'HTTP 401': [(s) => onlyHttp(s, 401), 'GRPC_UNAUTHENTICATED', /HTTP status 401/, false],
  'HTTP 403': [(s) => onlyHttp(s, 403), 'GRPC_PERMISSION_DENIED', /403/, false],
  'HTTP 404': [(s) => onlyHttp(s, 404), 'GRPC_UNIMPLEMENTED', /404/, false],
  'HTTP 429': [(s) => onlyHttp(s, 429), 'GRPC_UNAVAILABLE', /429/, true],
  'HTTP 500': [(s) => onlyHttp(s, 500), 'GRPC_UNKNOWN', /500/, true],
  'HTTP 503': [(s) => onlyHttp(s, 503), 'GRPC_UNAVAILABLE', /503/, true],
  'the stream reset': [(s) => s.close(2), 'RESET', /broke/, true],
  'a body without end': [
    (s) => {
      s.respond({ ':status': 200, 'content-type': 'application/grpc' });
      const more = () => {
        while (!s.destroyed && s.write(Buffer.alloc(65536)));
      };
      s.on('drain', more);
      more();
    },
    'RESPONSE_TOO_LARGE',
    /more than \d+ bytes/,
    false,
  ],
};

test('answers that are none', { timeoutMs: 60000 }, async () => {
  const kinds = Object.keys(STRANGE);
  const bare = await http2Server((stream, headers) => STRANGE[kinds[Number(headers['x-kind'])]][0](stream));
  atEnd(() => bare.stop());
  const results = await Promise.all(
    kinds.map((_, i) =>
      runOne(
        'strange',
        grpc('a', bare.port, [], {
          config: { body: {}, metadata: { 'x-kind': `${i}` } },
          retryPolicy: ONCE,
        }),
      ),
    ),
  );
  for (const [i, kind] of kinds.entries()) {
    const [, code, message, retryable] = STRANGE[kind];
    const { error } = results[i].stepResults.a;
    assert.equal(error?.code, code, `${kind}: ${JSON.stringify(results[i].stepResults.a)}`);
    assert.match(error.message, message, kind);
    assert.equal(error.retryable, retryable, kind);
  }
});

test('a message that is too large is refused', async () => {
  const large = await behave('large', () => ({ reply: { filler: 'x'.repeat(900 * 1024) } }));
  assert.equal(large.error.code, 'RESPONSE_TOO_LARGE');
  assert.equal(large.attemptNumber, 1);
  const fits = await behave('fits', () => ({ reply: { filler: 'x'.repeat(400 * 1024) } }));
  assert.equal(fits.status, 'completed');
  // Little on the wire, much as JSON: two bytes an entry, each shown with all its fields.
  const bare = await http2Server((stream) => {
    const lines = Buffer.alloc(2 * 150000, Buffer.from([0x22, 0]));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(lines.length, 1);
    answer(stream, Buffer.concat([head, lines]));
  });
  atEnd(() => bare.stop());
  const x = await runOne('bomb', grpc('a', bare.port, [], { config: { body: {} } }));
  assert.equal(x.stepResults.a.error.code, 'RESPONSE_TOO_LARGE', JSON.stringify(x.stepResults.a));
});

// ---- where it may go ----------------------------------------------------------------------------------------

test('a certificate of nobody known is refused; HTTP and gRPC do not share connections', async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'runbook-other-'));
  atEnd(() => fs.rmSync(dir, { recursive: true }));
  const other = await http2Server((stream) => answer(stream, [0, 0, 0, 0, 0]), makeCertificate(dir));
  atEnd(() => other.stop());
  const x = await runOne(
    'untrusted',
    grpc('a', { port: other.port, tls: true }, [], { config: { body: {} }, retryPolicy: ONCE }),
  );
  assert.equal(x.stepResults.a.error.code, 'TLS');

  // One port for both: first comes HTTP/1.1, whose connection stays open.
  const both = await http2Server(() => {}, certificate);
  atEnd(() => both.stop());
  both.server.on('request', (request, response) => {
    if (request.httpVersionMajor === 1) {
      response.end('{"plain":true}');
    } else {
      response.writeHead(200, { 'content-type': 'application/grpc' });
      response.addTrailers({ 'grpc-status': '0' });
      response.end(Buffer.alloc(5));
    }
  });
  const y = await runOne('both', [
    call('h1', `https://127.0.0.1:${both.port}/`),
    grpc('g1', { port: both.port, tls: true }, ['h1'], { config: { body: {} } }),
    call('h2', `https://127.0.0.1:${both.port}/`, ['g1']),
    grpc('g2', { port: both.port, tls: true }, ['h2'], { config: { body: {} } }),
  ]);
  assert.equal(y.status, 'completed', JSON.stringify(y.stepResults));
});

test('a server that speaks HTTP/1.1 only', async () => {
  const { port } = new URL(house.receiver.url);
  const x = await runOne('http1', grpc('a', port, [], { config: { body: {} }, retryPolicy: ONCE }));
  assert.equal(x.status, 'failed');
  assert.match(x.stepResults.a.error.code, /^(RESET|PROTOCOL|TRANSPORT)$/);
});

test('private addresses are refused unless allowed', async () => {
  const x = await runOne('private', grpc('a', 1, [], { config: { target: '127.0.0.2:50051', body: {} } }));
  assert.equal(x.stepResults.a.error.code, 'ADDRESS_REFUSED');
  assert.equal(x.stepResults.a.attemptNumber, 1);
});

// ---- the example ----

test('the example of deploy/examples, against a server of its .proto', async () => {
  const folder = path.join(__dirname, '../../deploy/examples/grpc-health');
  const health = { '': 'SERVING', 'shop.v1.Orders': 'NOT_SERVING' };
  const port = await server.addService(
    path.join(folder, 'health.proto'),
    (root) => root.grpc.health.v1.Health,
    { Check: (asked, done) => done(null, { status: health[asked.request.service] }) },
    certificate,
  );
  await alice.register(fs.readFileSync(path.join(folder, 'grpc-health.yaml'), 'utf8'));
  const fine = await alice.ended(await alice.startId('grpc-health', { target: `localhost:${port}` }));
  assert.equal(fine.status, 'completed');
  assert.equal(fine.stepResults['look-after'].status, 'skipped');
  const ill = await alice.startId('grpc-health', { target: `localhost:${port}`, service: 'shop.v1.Orders' });
  await alice.stepStatus(ill, 'look-after', 'awaiting_approval');
  await house.person('bob').cmd(`approve.${ill}.look-after`, { decision: 'approved' });
  assert.equal((await alice.ended(ill)).status, 'completed');
});

// ---- registration -------------------------------------------------------------------------------------------

test('what registering finds wrong', async () => {
  const faults = async (config, more = {}) => {
    const reply = await alice.cmd('register', runbook('wrong', [grpc('a', 1, [], { config, ...more })]));
    assert.equal(reply.error, 'INVALID_RUNBOOK', reply.text);
    return reply.body.details.map((d) => `${d.path} ${d.message}`);
  };
  const cases = [
    [{ service: 'shop.v1.Order' }, /^\/steps\/0\/config\/service .*no such service; it has shop\.v1\.Orders$/],
    [{ method: 'Plac' }, /^\/steps\/0\/config\/method .*no such method; it has Place, Forgotten, Watch$/],
    [{ method: 'Watch' }, /^\/steps\/0\/config\/method .*is a stream/],
    [{ descriptorSet: 'AAAA' }, /^\/steps\/0\/config\/descriptorSet is no FileDescriptorSet/],
    [{ descriptorSet: '!' }, /^\/steps\/0\/config\/descriptorSet must be a FileDescriptorSet in base64/],
    [{ descriptorSet: undefined }, /^\/steps\/0\/config\/descriptorSet is required/],
    [{ body: { customerNam: 'x' } }, /^\/steps\/0\/config\/body is not a shop\.v1\.OrderRequest: .*customerNam/],
    [{ body: { lines: 5 } }, /^\/steps\/0\/config\/body is not a shop\.v1\.OrderRequest/],
    [{ target: 'http://h:1' }, /^\/steps\/0\/config\/target must be host:port/],
    [{ metadata: { 'grpc-timeout': '1S' } }, /^\/steps\/0\/config\/metadata\/grpc-timeout .*reserved/],
  ];
  for (const [config, wanted] of cases) {
    const found = await faults(config);
    assert.equal(found.length, 1, found.join('\n'));
    assert.match(found[0], wanted);
  }
  // Well-known imports may be missing from the set, others not.
  const alone = descriptorSet([]);
  const config = { descriptorSet: alone, body: { due: ORDER.due } };
  const x = await runOne('alone', grpc('a', server.port, [], { config }));
  assert.equal(x.status, 'completed');
});

test('a target, service and method from templates', async () => {
  const config = {
    target: '127.0.0.1:${input.port}',
    service: '${input.service}',
    method: '${input.method}',
    body: { customerName: '${input.method}' },
  };
  const definition = runbook('templates', [grpc('a', 1, [], { config, retryPolicy: ONCE })]);
  await alice.register(definition);
  const once = async (input) => (await alice.ended(await alice.startId(definition.id, input))).stepResults.a;
  const good = { port: server.port, service: 'shop.v1.Orders', method: 'Place' };
  assert.equal((await once(good)).status, 'completed');
  for (const input of [
    { ...good, service: 'a.B' },
    { ...good, method: 'Plac/../x' },
    { ...good, port: `${server.port}/x?` },
    { ...good, method: 'Watch' },
  ]) {
    const { error } = await once(input);
    assert.equal(error.code, 'CONFIG_INVALID', JSON.stringify(error));
    assert.equal(error.retryable, false);
  }
});

test('a restart in the middle of a call: it is made again, with the same key', { timeoutMs: 40000 }, async () => {
  server.on('restart', (_, n) => (n === 1 ? { hang: true } : { reply: { order_id: 'again' } }));
  const config = { body: { behaviour: 'restart' } };
  const definition = runbook('restart', [grpc('a', server.port, [], { config })]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await eventually(() => server.of('restart').length === 1, { what: 'the call' });
  await house.restartEngine('SIGKILL');
  const x = await alice.ended(id);
  assert.equal(x.stepResults.a.output.orderId, 'again');
  const [first, second] = server.of('restart');
  assert.equal(first.metadata['idempotency-key'], second.metadata['idempotency-key']);
  await sleep(100);
  assert.equal(server.of('restart').length, 2);
});

run(async () => {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'runbook-grpc-'));
  atEnd(() => fs.rmSync(dir, { recursive: true }));
  certificate = makeCertificate(dir);
  fs.mkdirSync(path.join(dir, 'secrets'));
  fs.writeFileSync(path.join(dir, 'secrets', 'token'), 's3cret');
  set = descriptorSet();
  server = new GrpcServer();
  await server.start(certificate);
  atEnd(() => server.stop());
  house = await House.start({
    env: {
      HTTP_ALLOW: '127.0.0.1,localhost',
      HTTP_CA_FILE: certificate.certFile,
      SECRETS_DIR: path.join(dir, 'secrets'),
    },
  });
  alice = house.person('alice');
});
