'use strict';
// REST: every endpoint over real HTTP, with its status codes and shapes; the API's description held against the
// running server; headers, paging, caching; what is refused.

const Ajv = require('ajv/dist/2020').default;
const addFormats = require('ajv-formats').default;
const { test, run, assert, eventually } = require('./lib/tap.js');
const { House, context, TENANT } = require('./lib/house.js');
const { Web } = require('./lib/web.js');
const { approval, wait, runbook } = require('./lib/runbooks.js');

const API = '/api/v1';
let house, alice, bob, web, definition;

const start = (who, runbookId, input = {}, extra = {}) =>
  who.post(`${API}/executions`, {
    runbookId,
    input,
    context: context({ initiatedBy: undefined, tenantId: undefined }),
    ...extra,
  });

async function startId(who, runbookId, input, extra) {
  const answer = await start(who, runbookId, input, extra);
  assert.equal(answer.status, 201, answer.text);
  return answer.body.executionId;
}

const until = (who, id, status) =>
  eventually(async () => (await who.get(`${API}/executions/${id}`)).body.execution.status === status, {
    what: `${id}: ${status}`,
  });

async function register(who, ...steps) {
  const made = runbook('web', steps);
  const answer = await who.post(`${API}/runbooks`, made);
  assert.equal(answer.status, 201, answer.text);
  return made;
}

/** A failed execution: its only step calls a port on which nobody listens. */
async function failed(who) {
  const made = await register(who, {
    id: 'call',
    name: 'call',
    type: 'call-service',
    dependsOn: [],
    config: { url: `http://127.0.0.1:1/`, method: 'GET' },
    retryPolicy: { maxAttempts: 1, initialDelayMs: 1, maxDelayMs: 1, backoffMultiplier: 1 },
  });
  const id = await startId(who, made.id);
  await until(who, id, 'failed');
  return id;
}

test('a runbook is registered, listed and read', async () => {
  const answer = await alice.post(`${API}/runbooks`, definition);
  assert.equal(answer.status, 201);
  assert.equal(answer.body.version, 'v1');
  assert.equal(answer.body.runbook.stepCount, 1);
  assert.equal(answer.headers.get('location'), `${API}/runbooks/${definition.id}`);
  const list = await alice.get(`${API}/runbooks`);
  assert.equal(list.body.count, list.body.runbooks.length);
  assert.ok(list.body.runbooks.some((r) => r.id === definition.id && r.stepCount === 1));
  const one = await alice.get(`${API}/runbooks/${definition.id}?version=1.0.0`);
  assert.equal(one.body.runbook.id, definition.id);
  const none = await alice.get(`${API}/runbooks/nowhere`);
  assert.deepEqual([none.status, none.body.error], [404, 'RUNBOOK_NOT_FOUND']);
});

test('a definition as YAML, one that is checked only, one with errors', async () => {
  const step = '{id: a, name: a, type: wait, dependsOn: [], config: {durationMs: 1}}';
  const yaml = `id: web-yaml\nname: y\nversion: "1"\nsteps:\n  - ${step}\n`;
  const checked = await alice.post(`${API}/runbooks/validate`, yaml, { 'Content-Type': 'application/yaml' });
  assert.deepEqual([checked.status, checked.body.status], [200, 'new'], checked.text);
  assert.equal((await alice.get(`${API}/runbooks/web-yaml`)).status, 404);
  assert.equal((await alice.post(`${API}/runbooks`, yaml, { 'Content-Type': 'application/yaml' })).status, 201);
  const bad = await alice.post(`${API}/runbooks`, { ...definition, id: 'bad', steps: [{ id: 'x' }] });
  assert.deepEqual([bad.status, bad.body.error], [400, 'INVALID_RUNBOOK']);
  assert.ok(bad.body.details.length && bad.body.details[0].path.startsWith('/steps/0'), bad.text);
  const other = await alice.post(`${API}/runbooks`, { ...definition, name: 'changed' });
  assert.deepEqual([other.status, other.body.error], [409, 'VERSION_CONFLICT']);
});

test('an execution starts once, and its duplicate is told', async () => {
  const first = await start(alice, definition.id, { n: 1 });
  assert.equal(first.status, 201);
  assert.equal(first.body.status, 'started');
  assert.equal(first.headers.get('location'), `${API}/executions/${first.body.executionId}`);
  const second = await start(alice, definition.id, { n: 1 });
  assert.equal(second.status, 200);
  assert.deepEqual([second.body.duplicate, second.body.executionId], [true, first.body.executionId]);
  await until(alice, first.body.executionId, 'completed');
  const x = (await alice.get(`${API}/executions/${first.body.executionId}`)).body.execution;
  assert.equal(x.context.initiatedBy, 'alice');
  assert.equal(x.context.tenantId, TENANT);
  assert.equal(x.stepResults.a.status, 'completed');
  const stats = (await alice.get(`${API}/executions/${first.body.executionId}/stats`)).body;
  assert.deepEqual([stats.status, stats.progress.completed], ['completed', 1]);
});

test('the same Idempotency-Key does a command once', async () => {
  const made = await register(alice, wait('w', 60000));
  const key = { 'Idempotency-Key': `key-${Date.now()}` };
  const wanted = { runbookId: made.id, context: context(), options: { skipIdempotencyCheck: true } };
  const send = () => alice.post(`${API}/executions`, wanted, key);
  const [a, b] = [await send(), await send()];
  assert.equal(a.body.executionId, b.body.executionId);
  const other = await alice.post(`${API}/executions/${a.body.executionId}/cancel`, {}, key);
  assert.deepEqual([other.status, other.body.error], [400, 'INVALID_REQUEST']);
  const body = { commandId: `cmd-${Date.now()}`, reason: 'enough' };
  const one = await alice.post(`${API}/executions/${a.body.executionId}/cancel`, body);
  const two = await alice.post(`${API}/executions/${a.body.executionId}/cancel`, body);
  assert.deepEqual([one.status, one.body.status, two.status], [200, 'cancelled', 200], two.text);
});

test('pause, resume, cancel', async () => {
  const made = await register(alice, wait('w', 60000));
  const id = await startId(alice, made.id);
  const command = async (verb, body) => (await alice.post(`${API}/executions/${id}/${verb}`, body)).body.status;
  assert.match(await command('pause'), /^paus(ed|ing)$/);
  assert.equal(await command('resume'), 'resumed');
  assert.equal(await command('cancel', { reason: 'no need' }), 'cancelled');
  const x = (await alice.get(`${API}/executions/${id}`)).body.execution;
  assert.deepEqual([x.status, x.cancelledBy, x.cancellationReason], ['cancelled', 'alice', 'no need']);
  const again = await alice.post(`${API}/executions/${id}/pause`);
  assert.deepEqual([again.status, again.body.error], [409, 'WRONG_STATE']);
});

test('an approval: who may, who has', async () => {
  const made = await register(alice, approval('ask', ['bob', 'alice'], 1));
  const id = await startId(alice, made.id);
  const pending = await eventually(async () => {
    const list = (await bob.get(`${API}/approvals`)).body.approvals;
    return list.find((a) => a.executionId === id);
  });
  const vote = (who, body) => who.post(`${API}/executions/${id}/steps/ask/approve`, body);
  assert.equal((await vote(alice, { decision: 'approved' })).body.error, 'SELF_APPROVAL');
  assert.equal((await vote(web.as('carol', TENANT), { decision: 'approved' })).body.error, 'NOT_AN_APPROVER');
  assert.equal((await vote(bob, { decision: 'approved', userId: 'alice' })).body.error, 'IDENTITY_MISMATCH');
  const done = await vote(bob, { decision: 'approved', comments: 'fine', hash: pending.hash });
  assert.deepEqual([done.status, done.body.approvals], [200, 1], done.text);
  await until(alice, id, 'completed');
});

test('retry and replay', async () => {
  const id = await failed(alice);
  const retried = await alice.post(`${API}/executions/${id}/steps/call/retry`);
  assert.deepEqual([retried.status, retried.body.status], [200, 'retried']);
  await until(alice, id, 'failed');
  const again = await alice.post(`${API}/executions/${id}/replay`, {});
  assert.deepEqual([again.status, again.body.status], [201, 'replaying']);
  assert.equal(again.headers.get('location'), `${API}/executions/${again.body.executionId}`);
  const checked = await alice.post(`${API}/executions/${id}/replay`, { mode: 'verify' });
  assert.deepEqual([checked.status, checked.body.identical], [200, true]);
  const none = await alice.post(`${API}/executions/${id}/steps/nope/retry`);
  assert.deepEqual([none.status, none.body.error], [404, 'STEP_NOT_FOUND']);
});

test('an external event', async () => {
  const event = { eventType: 'order.shipped', correlationId: 'o 1', payload: { n: 1 } };
  const answer = await alice.post(`${API}/events`, event);
  assert.deepEqual([answer.status, answer.body.status], [202, 'stored']);
  const bad = await alice.post(`${API}/events`, { eventType: 'a..b' });
  assert.deepEqual([bad.status, bad.body.details[0].path], [400, '/eventType']);
  assert.equal((await alice.post(`${API}/events`, { payload: 1 })).body.details[0].path, '/eventType');
  assert.equal((await alice.post(`${API}/events`, '{')).body.error, 'INVALID_JSON');
});

test('lists: pages, filters, parameters that nobody knows', async () => {
  const made = await register(alice, wait('a', 1));
  for (let n = 0; n < 5; n++) await startId(alice, made.id, { n });
  const seen = [];
  let cursor = '';
  do {
    const page = (await alice.get(`${API}/executions?runbookId=${made.id}&limit=2${cursor}`)).body;
    assert.ok(page.executions.length <= 2);
    seen.push(...page.executions.map((x) => x.id));
    cursor = page.nextCursor ? `&cursor=${encodeURIComponent(page.nextCursor)}` : '';
  } while (cursor);
  assert.equal(new Set(seen).size, 5);
  assert.deepEqual((await alice.get(`${API}/executions?initiatedBy=nobody`)).body.executions, []);
  for (const [query, word] of [
    ['limit=0', 'limit'],
    ['limit=x', 'limit'],
    ['status=sleeping', 'status'],
    ['state=failed', 'state'],
    ['limit=1&limit=2', 'twice'],
    ['since=yesterday', 'since'],
  ]) {
    const answer = await alice.get(`${API}/executions?${query}`);
    assert.deepEqual([answer.status, answer.body.error], [400, 'INVALID_REQUEST'], query);
    assert.ok(answer.text.includes(word), answer.text);
  }
});

test("what is another tenant's is not there; what is another user's is refused", async () => {
  const basis = context({ initiatedBy: undefined, tenantId: undefined });
  basis.legalBasis.authorizedUsers = ['alice'];
  const id = await startId(alice, definition.id, { secret: Date.now() }, { context: basis });
  for (const path of ['', '/history', '/logs', '/evidence', '/audit', '/stats', '/stream']) {
    const own = await bob.get(`${API}/executions/${id}${path}`, { Accept: '*/*' });
    assert.deepEqual([own.status, own.body.error], [403, 'FORBIDDEN'], path);
    const other = await web.as('alice', 'umbrella').get(`${API}/executions/${id}${path}`, { Accept: '*/*' });
    assert.deepEqual([other.status, other.body.error], [404, 'EXECUTION_NOT_FOUND'], path);
  }
});

test('without headers the body says who asks, and where', async () => {
  await web.as('dave', 'initech').post(`${API}/runbooks`, definition);
  const answer = await web.post(`${API}/executions`, {
    runbookId: definition.id,
    context: context({ initiatedBy: 'dave', tenantId: 'initech' }),
  });
  assert.equal(answer.status, 201, answer.text);
  const x = (await web.as('dave', 'initech').get(`${API}/executions/${answer.body.executionId}`)).body.execution;
  assert.deepEqual([x.context.initiatedBy, x.context.tenantId], ['dave', 'initech']);
  assert.equal((await web.get(`${API}/runbooks`)).status, 200);
});

test('names with anything in them travel whole', async () => {
  const user = web.as('joe@example.com/x y', 'a.b*c');
  const made = { ...runbook('odd', [wait('a', 1)]), id: 'odd.name_1' };
  assert.equal((await user.post(`${API}/runbooks`, made)).status, 201);
  assert.equal((await user.get(`${API}/runbooks/${made.id}`)).body.runbook.id, made.id);
  const none = await user.get(`${API}/runbooks/${encodeURIComponent('odd / näme.1')}`);
  assert.deepEqual([none.status, none.body.error], [404, 'RUNBOOK_NOT_FOUND']);
  const id = await startId(user, made.id);
  assert.equal((await user.get(`${API}/executions/${id}`)).body.execution.initiatedBy, 'joe@example.com/x y');
});

test('HEAD, OPTIONS, 404, 405, 406, 415', async () => {
  const head = await alice.send('HEAD', `${API}/runbooks`);
  assert.deepEqual([head.status, head.text], [200, '']);
  assert.ok(Number(head.headers.get('content-length')) > 0);
  const options = await alice.send('OPTIONS', `${API}/runbooks`);
  assert.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, POST, OPTIONS']);
  const wrong = await alice.send('DELETE', `${API}/runbooks`);
  assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, HEAD, POST, OPTIONS']);
  assert.equal(wrong.body.error, 'INVALID_REQUEST');
  assert.equal((await alice.send('GET', `${API}/executions/x/pause`)).status, 405);
  const nowhere = await alice.get(`${API}/nothing`);
  assert.deepEqual([nowhere.status, nowhere.body.version], [404, 'v1']);
  assert.equal((await alice.get(`${API}/runbooks`, { Accept: 'text/html' })).status, 406);
  assert.equal((await alice.get(`${API}/runbooks`, { Accept: 'text/html, application/*;q=0.5' })).status, 200);
  assert.equal((await alice.get(`${API}/stream`, { Accept: 'application/json' })).status, 406);
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/yaml'])
    assert.equal((await alice.post(`${API}/executions`, '{}', { 'Content-Type': type })).status, 415, type);
});

test('an answer that has not changed is not sent again', async () => {
  const first = await alice.get(`${API}/runbooks/${definition.id}`);
  const tag = first.headers.get('etag');
  assert.match(tag, /^"[0-9a-f]{32}"$/);
  const again = await alice.get(`${API}/runbooks/${definition.id}`, { 'If-None-Match': tag });
  assert.deepEqual([again.status, again.text], [304, '']);
  assert.equal((await alice.get(`${API}/runbooks/${definition.id}`, { 'If-None-Match': '"x"' })).status, 200);
  const page = await web.get('/');
  assert.equal((await web.get('/', { 'If-None-Match': page.headers.get('etag') })).status, 304);
});

test('request ids come back, or are made', async () => {
  assert.equal((await alice.get('/health/live', { 'X-Request-Id': 'abc-1' })).headers.get('x-request-id'), 'abc-1');
  assert.match((await alice.get('/health/live')).headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
  const odd = await alice.get('/health/live', { 'X-Request-Id': 'a"b<c' });
  assert.match(odd.headers.get('x-request-id'), /^[0-9a-f-]{36}$/);
});

test('bodies that are too large are refused, announced or not', async () => {
  const large = JSON.stringify({ comments: 'x'.repeat(200000) });
  const path = `${API}/executions/x/pause`;
  const announced = await alice.post(path, large);
  assert.deepEqual([announced.status, announced.body.error], [413, 'TOO_LARGE']);
  const headers = { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' };
  const chunked = await alice.raw('POST', path, headers, large);
  assert.equal(chunked.status, 413);
  const input = 'x'.repeat(900000);
  const fits = await alice.post(`${API}/executions`, { runbookId: definition.id, context: context(), input });
  assert.equal(fits.status, 201, fits.text);
  assert.equal((await alice.get(`${API}/runbooks?limit=${'1'.repeat(9000)}`)).status, 414);
});

test('headers that keep browsers from mischief', async () => {
  const answer = await alice.get(`${API}/runbooks`);
  assert.equal(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.match(answer.headers.get('content-security-policy'), /frame-ancestors 'none'/);
  assert.equal(answer.headers.get('access-control-allow-origin'), null);
  const page = await web.get('/');
  assert.match(page.headers.get('content-type'), /^text\/html/);
  assert.match(page.headers.get('content-security-policy'), /default-src 'self'/);
});

test('without authentication: no foreign names, no foreign pages', async () => {
  const at = (headers, method = 'GET') => alice.raw(method, `${API}/runbooks/validate`, headers).then((r) => r.status);
  const get = (headers) => alice.raw('GET', `${API}/runbooks`, headers).then((r) => r.status);
  assert.equal(await get({ Host: 'evil.example' }), 403);
  assert.equal(await get({ Host: 'localhost.evil.example:80' }), 403);
  assert.equal(await get({ Host: '127.0.0.1.evil.example' }), 403);
  assert.equal(await get({ Host: 'localhost:1234' }), 200);
  assert.equal(await get({ Host: '[::1]:80' }), 200);
  const own = new URL(web.base).host;
  assert.equal(await at({ Host: own, Origin: 'https://evil.example' }, 'POST'), 403);
  assert.equal(await at({ Host: own, Origin: 'null' }, 'POST'), 403);
  assert.equal(await at({ Host: own, 'Sec-Fetch-Site': 'cross-site' }, 'POST'), 403);
  assert.equal(await at({ Host: own, Origin: `http://${own}` }, 'POST'), 400); /* only its body is missing */
});

test('health and metrics', async () => {
  assert.deepEqual((await web.get('/health/live')).body, { version: 'v1', status: 'live' });
  const ready = await web.get('/health/ready');
  assert.deepEqual([ready.status, ready.body.status, ready.body.checks.nats], [200, 'ready', 'ok']);
  assert.equal((await web.get(`${API}/health`)).status, 200);
  const metrics = await web.get('/metrics');
  assert.match(metrics.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  assert.match(metrics.text, /^runbook_gateway_responses_total\{class="2xx"\} [1-9]/m);
  assert.match(metrics.text, /^runbook_build_info\{/m);
});

test('nothing behind the console but its files', async () => {
  for (const path of [
    '/console/../openapi.json',
    '/console/%2e%2e/openapi.json',
    '/console/..%2fopenapi.json',
    '/console//index.html',
    '/console/index.html/',
    '/console/',
    '/console',
    '/../etc/passwd',
    '/console/index.html%00.js',
  ]) {
    const { status } = await web.raw('GET', path, {});
    assert.ok(status === 404 || status === 400, `${path}: ${status}`);
  }
});

// ---- the description ---------------------------------------------------------------------------------

/** A value for each parameter; others are any text. */
const PARAMS = {
  limit: 1,
  after: 0,
  steps: false,
  events: false,
  stepsAfter: 'call',
  version: '1.0.0',
  status: 'failed',
  only: 'input',
  level: 'info',
  since: '2020-01-01T00:00:00Z',
  until: '2099-01-01T00:00:00Z',
  startTime: '2020-01-01T00:00:00Z',
  endTime: '2099-01-01T00:00:00Z',
};

/** For every path that the description has: how it is called here. */
async function calls() {
  const made = await register(alice, wait('w', 60000));
  const running = await startId(alice, made.id, { walk: 1 });
  const paused = await startId(alice, made.id, { walk: 2 });
  await alice.post(`${API}/executions/${paused}/pause`);
  const asking = await register(alice, approval('ask', ['bob'], 1));
  const asked = await startId(alice, asking.id);
  await eventually(async () => (await bob.get(`${API}/approvals`)).body.count > 0);
  const broken = await failed(alice);
  const of = (id) => ({ id });
  return {
    'GET /api/v1/runbooks/{id}': { path: of(definition.id) },
    'POST /api/v1/runbooks': { body: runbook('walk', [wait('a', 1)]), status: 201 },
    'POST /api/v1/runbooks/validate': { body: runbook('walk', [wait('a', 1)]) },
    'POST /api/v1/executions': {
      body: { runbookId: definition.id, context: context(), input: { walk: 3 } },
      status: 201,
    },
    'POST /api/v1/events': { body: { eventType: 'walk.done' }, status: 202 },
    'POST /api/v1/executions/{id}/pause': { path: of(running) },
    'POST /api/v1/executions/{id}/resume': { path: of(paused) },
    'POST /api/v1/executions/{id}/cancel': { path: of(running), body: {} },
    'POST /api/v1/executions/{id}/replay': { path: of(broken), body: { mode: 'verify' } },
    'POST /api/v1/executions/{id}/steps/{stepId}/retry': { path: { id: broken, stepId: 'call' } },
    'POST /api/v1/executions/{id}/steps/{stepId}/approve': {
      path: { id: asked, stepId: 'ask' }, body: { decision: 'approved' }, who: bob },
    ...Object.fromEntries(
      ['', '/audit', '/evidence', '/history', '/logs', '/stats'].map((rest) => [
        `GET /api/v1/executions/{id}${rest}`, { path: of(broken) }]),
    ),
    'GET /api/v1/executions/{id}/stream': { path: of(broken), isStream: true },
    'GET /api/v1/stream': { isStream: true },
    'GET /api/v1/approvals': { who: bob },
  };
}

test('the description is true: every operation, every schema', { timeoutMs: 60000 }, async () => {
  const api = (await web.get(`${API}/openapi.json`)).body;
  assert.equal(api.openapi, '3.1.0');
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  ajv.addSchema({ $id: 'api', components: api.components });
  const check = (schema, value, what) => {
    const rooted = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"api#/'));
    const validate = ajv.compile(rooted);
    assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors)} ${JSON.stringify(value).slice(0, 400)}`);
  };
  const prepared = await calls();
  let n = 0;
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const name = `${method.toUpperCase()} ${path}`;
      const call = prepared[name] || {};
      const url = path.replace(/\{(\w+)\}/g, (_, p) => encodeURIComponent(call.path[p]));
      n += 1;
      if (call.isStream) {
        const stream = await alice.stream(url);
        assert.equal(stream.status, 200, name);
        assert.match(stream.headers['content-type'], /^text\/event-stream/);
        stream.close();
        continue;
      }
      const answer = await (call.who || alice).send(method.toUpperCase(), url, { body: call.body });
      assert.equal(answer.status, call.status || 200, `${name}: ${answer.text}`);
      const [type, content] = Object.entries(operation.responses[answer.status].content)[0];
      assert.ok(answer.headers.get('content-type').startsWith(type), name);
      if (type === 'application/json') check(content.schema, answer.body, name);
      if (call.body) check(operation.requestBody.content['application/json'].schema, call.body, name);
      // What it takes is what it says: another parameter, another method is refused in the form that it says.
      const refused = await alice.send('PUT', url);
      assert.equal(refused.status, 405, name);
      check(api.components.schemas.Error, refused.body, name);
      for (const p of (operation.parameters || []).filter((q) => q.in === 'query' && q.name !== 'cursor')) {
        const taken = await (call.who || alice).get(`${url}?${p.name}=${PARAMS[p.name] ?? 'x'}`);
        assert.equal(taken.status, 200, `${name} ${p.name}: ${taken.text}`);
      }
    }
  }
  assert.ok(n >= 29, `${n} operations`);
});

run(async () => {
  house = await House.start();
  web = new Web(`http://127.0.0.1:${house.enginePort}`);
  await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
  alice = web.as('alice', TENANT);
  bob = web.as('bob', TENANT);
  definition = runbook('web', [wait('a', 1)]);
  await alice.post(`${API}/runbooks`, definition);
});
