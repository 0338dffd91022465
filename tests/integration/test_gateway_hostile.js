'use strict';
// Bad input over HTTP: what is malformed gets a clear 4xx, what is slow does not keep others out, memory stays flat.

const fs = require('node:fs');
const net = require('node:net');
const { test, run, assert, eventually, sleep, TIME_FACTOR } = require('./lib/tap.js');
const { House, TENANT } = require('./lib/house.js');
const { Web } = require('./lib/web.js');
const { wait, runbook } = require('./lib/runbooks.js');

const API = '/api/v1';
// Sanitizers hold freed memory back for a while: TIME_FACTOR widens the limits there.
const CONNECTIONS = 200; // HTTP_CONNECTIONS of this engine

let house, web, alice, host;

const rss = () => {
  const status = fs.readFileSync(`/proc/${house.engine.child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024;
};

const statusOf = (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] || 0);

const head = (method, path, headers = {}) =>
  [
    `${method} ${path} HTTP/1.1`,
    ...Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}`),
    '',
    '',
  ].join('\r\n');

/** @n sockets; @write is sent on each. Those that are open, closed ones taken out. */
async function sockets(n, write) {
  const open = new Set();
  for (let i = 0; i < n; i++) {
    const { hostname, port } = new URL(web.base);
    const socket = net.connect(port, hostname);
    socket.on('connect', () => write && socket.write(write));
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    socket.on('data', () => {});
    open.add(socket);
    if (i % 100 === 99) await sleep(5);
  }
  return open;
}

const closeAll = (open) => open.forEach((s) => s.destroy());

/** The gateway answers a stranger, soon. */
async function serves(what, timeoutMs = 10000) {
  await eventually(
    async () => {
      const text = await web.bytes(head('GET', '/health/live', { Connection: 'close' }), 2000);
      return statusOf(text) === 200;
    },
    { timeoutMs, what },
  );
}

test('requests that are none', async () => {
  for (const [text, expected] of [
    ['GARBAGE\r\n\r\n', [0, 400]],
    ['GET\r\n\r\n', [0, 400]],
    ['\u0000\u0001\u0002\u0003\r\n\r\n', [0, 400]],
    ['\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001', [0, 400]],
    ['GET / HTTP/9.9\r\nHost: localhost\r\n\r\n', [0, 400, 403, 505]],
    [`GET / HTTP/1.1\r\n\r\n`, [400, 403]],
    [`GET http://evil.example/api/v1/runbooks HTTP/1.1\r\nHost: ${host}\r\n\r\n`, [400]],
    [`CONNECT evil.example:443 HTTP/1.1\r\nHost: ${host}\r\n\r\n`, [400, 405]],
    [`GET ${API}/run\nbooks HTTP/1.1\r\nHost: ${host}\r\n\r\n`, [0, 400, 404]],
    [`POST ${API}/events HTTP/1.1\r\nHost: ${host}\r\nContent-Length: -1\r\n\r\n`, [0, 400]],
    [`POST ${API}/events HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 9x\r\n\r\n`, [0, 400]],
    [`POST ${API}/events HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 99999999999999999999999\r\n\r\n`, [0, 400, 413]],
    [`POST ${API}/events HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`, [0, 400, 415]],
  ]) {
    const answer = await web.bytes(text, 1000);
    assert.ok(expected.includes(statusOf(answer)), `${JSON.stringify(text)}: ${answer.slice(0, 200)}`);
  }
  await serves('after requests that are none');
});

test('headers without end are refused', async () => {
  const one = await web.bytes(head('GET', '/health/live', { 'X-Large': 'a'.repeat(100000) }), 2000);
  assert.ok([0, 400, 413, 431].includes(statusOf(one)), one.slice(0, 100));
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`X-${i}`, 'value']));
  const two = await web.bytes(head('GET', '/health/live', many), 2000);
  assert.ok([0, 400, 413, 431].includes(statusOf(two)), two.slice(0, 100));
  const line = await web.bytes(head('GET', `/${'a'.repeat(60000)}`), 2000);
  assert.ok([0, 400, 414].includes(statusOf(line)), line.slice(0, 100));
  await serves('after large headers');
});

test('paths that try something', async () => {
  for (const path of [
    '/..',
    '/../..//etc/passwd',
    '/api/v1/../../metrics',
    '/api/v1/%2e%2e/%2e%2e/metrics',
    '/api/v1/executions/%00',
    '/api/v1/executions/%ff%fe',
    '/api/v1/executions/%c0%ae%c0%ae',
    '/api/v1/executions/%',
    '/api/v1/executions/%zz',
    '/api/v1/executions/a%0d%0aX-Evil:%201',
    '/api/v1//runbooks',
    '/api/v1/runbooks/',
    '/api/v1/runbooks?limit=%ff',
    `/api/v1/runbooks?${'a=1&'.repeat(40)}`,
    `/${'a/'.repeat(30)}`,
  ]) {
    const answer = await alice.raw('GET', path, {});
    assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
    const body = JSON.parse(answer.text);
    assert.deepEqual([body.version, typeof body.message], ['v1', 'string'], path);
    assert.equal(answer.headers['x-evil'], undefined);
  }
});

test('names in a path can not leave their token of the subject', async () => {
  for (const name of ['*', '>', 'a.b', 'a.>', 'x.cancel', ' ', 'a b', '%2A', '日本']) {
    const answer = await alice.get(`${API}/executions/${encodeURIComponent(name)}`);
    assert.deepEqual([answer.status, answer.body.error], [404, 'EXECUTION_NOT_FOUND'], name);
  }
  for (const user of ['*', '>', 'alice.>', 'a b', 'a.b']) {
    const answer = await web.raw('GET', `${API}/runbooks`, { 'X-User': user, 'X-Tenant': user });
    assert.deepEqual([answer.status, JSON.parse(answer.text).count], [200, 0], user);
  }
  const long = await web.raw('GET', `${API}/runbooks`, { 'X-User': 'x'.repeat(129) });
  assert.equal(long.status, 400);
});

test('bodies that are no JSON, no UTF-8, too deep, of the wrong kind', async () => {
  const send = (body, type = 'application/json') => alice.post(`${API}/executions`, body, { 'Content-Type': type });
  for (const [body, error] of [
    ['', 'INVALID_JSON'],
    ['{', 'INVALID_JSON'],
    ['nonsense', 'INVALID_JSON'],
    [Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 'INVALID_JSON'],
    [Buffer.from('{"a":"\\ud800"}'), 'INVALID_JSON'],
    ['{"a":1,"a":2}', 'INVALID_JSON'],
    ['[1,2]', 'INVALID_REQUEST'],
    [`${'['.repeat(100)}${']'.repeat(100)}`, 'TOO_DEEP'],
    [`{"runbookId":${'9'.repeat(5000)}}`, undefined],
    ['{"stream":"x","seq":1}', 'INVALID_REQUEST'],
  ]) {
    const answer = await send(body);
    assert.ok(answer.status >= 400 && answer.status < 500, `${String(body).slice(0, 50)}: ${answer.status}`);
    if (error) assert.equal(answer.body.error, error, `${String(body).slice(0, 50)}: ${answer.text}`);
  }
  assert.equal((await alice.post(`${API}/executions`, '{}', { 'Content-Encoding': 'gzip' })).status, 415);
  assert.equal((await alice.send('GET', `${API}/runbooks`)).status, 200);
});

test('requests in one go are answered in their order', async () => {
  const n = 50;
  const requests = Array.from({ length: n }, (_, i) =>
    head('GET', `${API}/runbooks?limit=${i + 1}`, { 'X-Request-Id': `r${i}`, 'X-User': 'alice' }),
  );
  requests.push(head('GET', '/health/live', { Connection: 'close' }));
  const answer = await web.bytes(requests.join(''), 5000);
  const ids = [...answer.matchAll(/^X-Request-Id: r(\d+)/gm)].map((m) => Number(m[1]));
  assert.deepEqual(ids, Array.from({ length: n }, (_, i) => i));
});

test('chunks of one byte, and chunks without end', async () => {
  const body = JSON.stringify({ eventType: 'chunked.event' });
  const chunks = [...body].map((c) => `1\r\n${c}\r\n`).join('');
  const headers = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked', Connection: 'close' };
  const small = await web.bytes(`${head('POST', `${API}/events`, headers)}${chunks}0\r\n\r\n`);
  assert.equal(statusOf(small), 202, small);
  const before = rss();
  const block = `10000\r\n${'x'.repeat(65536)}\r\n`;
  const open = await sockets(8, head('POST', `${API}/events`, headers) + block.repeat(100));
  await sleep(1000);
  closeAll(open);
  await serves('after bodies without end');
  assert.ok(rss() - before < (80 << 20) * TIME_FACTOR, `${(rss() - before) >> 20} MiB more`);
});

test('half requests go when their time is over, and keep nobody out meanwhile', { timeoutMs: 90000 }, async () => {
  const half = await sockets(CONNECTIONS / 2, `GET /health/live HTTP/1.1\r\nHost: ${host}\r\nX-Half: `);
  const body = await sockets(
    20,
    head('POST', `${API}/events`, { 'Content-Type': 'application/json', 'Content-Length': '1000' }) + '{"a"',
  );
  await serves('beside half requests', 3000);
  const drip = setInterval(() => half.forEach((s) => s.write('a')), 500);
  await eventually(() => half.size === 0 && body.size === 0, { timeoutMs: 40000, what: 'the end of half requests' });
  clearInterval(drip);
  await serves('after half requests', 3000);
});

test('more connections than there is room for', { timeoutMs: 90000 }, async () => {
  const before = rss();
  const open = await sockets(2000, 'GET /health/live HTTP/1.1\r\nX-Slow: ');
  await serves('in a flood of connections', 30000);
  closeAll(open);
  await serves('after a flood of connections', 15000);
  assert.ok(rss() - before < (64 << 20) * TIME_FACTOR, `${(rss() - before) >> 20} MiB more`);
});

test('memory is flat over many requests of every kind', { timeoutMs: 90000 }, async () => {
  const made = runbook('flat', [wait('a', 1)]);
  await alice.post(`${API}/runbooks`, made);
  const round = async () => {
    for (let i = 0; i < 40; i++) {
      await Promise.all([
        alice.get(`${API}/runbooks`),
        alice.get(`${API}/runbooks/${made.id}`),
        alice.get(`${API}/nothing/${i}`),
        alice.post(`${API}/executions`, '{'),
        alice.post(`${API}/runbooks/validate`, made),
        alice.get(`${API}/executions/${i}/stream`, { Accept: '*/*' }),
        web.get('/'),
        alice.stream(`${API}/stream`).then((s) => s.close()),
        web.bytes(head('GET', `${API}/runbooks`, { 'X-User': 'alice', Connection: 'close' }).slice(0, 30 + i), 50),
      ]);
    }
  };
  await round();
  await round();
  const before = rss();
  for (let i = 0; i < 3; i++) await round();
  assert.ok(rss() - before < (16 << 20) * TIME_FACTOR, `${(rss() - before) >> 10} KiB more`);
});

run(async () => {
  house = await House.start({ receiver: false, env: { HTTP_CONNECTIONS: String(CONNECTIONS) } });
  host = `127.0.0.1:${house.enginePort}`;
  web = new Web(`http://${host}`);
  alice = web.as('alice', TENANT);
  await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
});
