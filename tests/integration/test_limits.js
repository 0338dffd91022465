'use strict';
// Every limit that can be met from outside says which one it is, its value and what raises it (subjects/limits.md).

const { test, run, assert } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, step, call, wait, waitForEvent, approval, runbook } = require('./lib/runbooks.js');

let house, alice, url;

const long = (n) => 'x'.repeat(n);
const nested = (n) => JSON.parse('['.repeat(n) + ']'.repeat(n));
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** The whole of what a refusal says: sentence and details. */
const said = (reply) => `${reply.body.message} ${(reply.body.details || []).map((d) => d.message).join(' ')}`;

function check(reply, { code, limit, value, raise }) {
  assert.equal(reply.error, code, reply.text);
  const text = said(reply);
  assert.ok(text.includes(limit), `${limit} is not named: ${text}`);
  assert.ok(text.includes(String(value)), `${value} is not told: ${text}`);
  if (raise) assert.match(text, raise);
}

const one = (extra) => runbook('limits', [{ ...wait('a', 1), ...extra }]);
const definitions = [
  ['a name', () => ({ ...one(), name: long(1025) }), 'LIMIT_NAME_BYTES', 1024],
  ['a description', () => one({ description: long(65537) }), 'LIMIT_TEXT_BYTES', 65536],
  ['an id', () => ({ ...one(), id: long(129) }), '128', 128],
  ['permissions', () => one({ requiredPermissions: many(1001, String) }), 'LIMIT_PERMISSIONS', 1000],
  ['evidence', () => one({ evidence: many(101, () => ({ type: 't', sourceRef: 's' })) }),
      'LIMIT_EVIDENCE_SPECS', 100],
  ['retry codes', () => one({ retryPolicy: { maxAttempts: 1, retryableErrors: many(1001, (i) => `E${i}`) } }),
    'LIMIT_RETRY_CODES', 1000],
  ['attempts', () => one({ retryPolicy: { maxAttempts: 1001 } }), '1000', 1000],
  ['approvers', () => runbook('limits', [approval('a', many(1001, (i) => `u${i}`), 1)]), 'LIMIT_APPROVERS', 1000],
  ['headers', () => runbook('limits', [call('a', 'https://x.example/', [], {
    config: { headers: Object.fromEntries(many(101, (i) => [`h${i}`, 'v'])) } })]), 'LIMIT_HEADERS', 100],
  ['a program', () => runbook('limits', [step('a', 'transform', [], { config: { jq: `"${long(65536)}"` } })]),
    'LIMIT_PROGRAM_BYTES', 65536],
  ['a pattern', () => one({ condition: { field: 'input.x', operator: 'matches', value: long(1025) } }),
    'LIMIT_PATTERN_BYTES', 1024],
  ['a condition, deep', () => one({ condition: many(33, Number).reduce((c) => ({ not: c }), { field: 'input',
      operator: 'exists' }) }),
    'LIMIT_CONDITION_DEPTH', 32],
  ['a condition, wide', () => one({ condition: { all: many(1001, () => ({ field: 'input', operator: 'exists' })) } }),
    'LIMIT_CONDITION_NODES', 1000],
  ['a path', () => one({ condition: { field: `input${'.a'.repeat(65)}`, operator: 'exists' } }),
      'LIMIT_PATH_SEGMENTS', 64],
  ['iterations', () => runbook('limits', [
    step('l', 'loop', [], { config: { bodyStepId: 'b' }, loopConfig: { maxIterations: 1001,
        iterateOver: 'input.x' } }),
    wait('b', 1)]), '1000', 1000],
  ['loops in loops', () => runbook('limits', [
    ...many(9, (i) => step(`l${i}`, 'loop', [], {
      config: { bodyStepId: `l${i + 1}` }, loopConfig: { maxIterations: 1, iterateOver: 'input.x' } })),
    wait('l9', 1)]), 'LIMIT_LOOP_NESTING', 8],
  ['depth of sub-runbooks', () => ({ ...one(), maxDepth: 101 }), '100', 100],
  ['steps at a time', () => ({ ...one(), maxConcurrentSteps: 10001 }), '10000', 10000],
  ['a duration', () => one({ config: { durationMs: 4e11 } }), '316224000000', 316224000000],
  ['an event type', () => runbook('limits', [waitForEvent('a', long(257))]), 'LIMIT_EVENT_TYPE_BYTES', 256],
  ['patterns of a schema', () => ({ ...one(), inputSchema: {
    patternProperties: Object.fromEntries(many(1001, (i) => [`^p${i}$`, {}])) } }), 'SCHEMA_PATTERNS_MAX', 1000],
  ['a reference of a schema', () => ({ ...one(), inputSchema: { $ref: `#/${long(2049)}` } }),
      'SCHEMA_URI_BYTES_MAX', 2048],
];

for (const [what, make, limit, value] of definitions)
  test(`a definition's limit: ${what}`, async () => {
    const reply = await alice.cmd('register', make());
    assert.equal(reply.status >= 400, true, reply.text);
    const text = said(reply);
    assert.ok(text.includes(limit) && text.includes(String(value)), text);
  });

test('when limits are all that is wrong the code says so', async () => {
  const reply = await alice.cmd('register', { ...one(), name: long(1025) });
  assert.equal(reply.error, 'LIMIT_EXCEEDED');
  assert.equal(reply.status, 422);
});

test('deep documents, JSON and YAML', async () => {
  const deep = { ...one(), metadata: nested(70) };
  check(await alice.cmd('register', deep), { code: 'TOO_DEEP', limit: 'JSON_DEPTH_MAX', value: 64 });
  const yaml = `id: y\nmetadata: ${'['.repeat(70)}${']'.repeat(70)}\n`;
  check(await alice.cmd('register', yaml), { code: 'TOO_DEEP', limit: 'JSON_DEPTH_MAX', value: 64 });
});

test('YAML bombs', async () => {
  const bomb = many(10, (i) => `a${i}: &a${i} [${many(9, () => (i ? `*a${i - 1}` : 'x')).join(',')}]`).join('\n');
  check(await alice.cmd('register', bomb), { code: 'LIMIT_EXCEEDED', limit: 'YAML_', value: 'more than' });
});

const CONTEXT = { initiatedBy: 'alice', tenantId: 'acme', legalBasis: { authority: 'A', classification: 'B' } };

test('requests: values, contexts, texts, ids', async () => {
  const definition = runbook('values', [waitForEvent('w', 'never')]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, 1);
  const refusals = [
    [alice.start(definition.id, long(1048600)), 'TOO_LARGE', 'LIMIT_VALUE_BYTES', 1048576],
    [alice.start(definition.id, 1, { context: { ...CONTEXT, assumptions: [long(262144)] } }), 'TOO_LARGE',
      'LIMIT_CONTEXT_BYTES', 262144],
    [alice.start(definition.id, 1, { options: { idempotencyKey: long(257) } }), 'INVALID_REQUEST',
      'LIMIT_COMMAND_ID_BYTES', 256],
    [alice.start(definition.id, nested(70)), 'TOO_DEEP', 'JSON_DEPTH_MAX', 64],
    [alice.cmd('start', `{"x":"${long(1400000)}"}`), 'TOO_LARGE', 'BODY_BYTES_MAX', 1376256],
    [alice.event('e', { correlationId: 'c', payload: long(1048600) }), 'TOO_LARGE', 'LIMIT_VALUE_BYTES', 1048576],
    [alice.event('e', { correlationId: long(1025), payload: 1 }), 'INVALID_REQUEST', 'LIMIT_CORRELATION_BYTES', 1024],
    [alice.cmd(`cancel.${id}`, { reason: long(16385) }), 'INVALID_REQUEST', 'LIMIT_TEXT_ARG_BYTES', 16384],
    [alice.cmd(`cancel.${id}`, { reason: long(70000) }), 'TOO_LARGE', 'BODY_SMALL_MAX', 65536],
    [alice.query('executions', { x: long(70000) }), 'TOO_LARGE', 'BODY_SMALL_MAX', 65536],
    [alice.cmd(`cancel.${id}${'.x'.repeat(70)}`, {}), 'TOO_LARGE', 'SUBJECT_TOKENS_MAX', 64],
    [alice.cmd(`pause.${id}`, {}, { id: long(257) }), 'INVALID_REQUEST', '256', 256],
  ];
  for (const [reply, code, limit, value] of refusals) check(await reply, { code, limit, value });
  assert.equal((await alice.execution(id)).status, 'running', 'nothing of it did anything');
});

test('events that come early: as many as EARLY_EVENTS_MAX', async () => {
  const bob = house.person('bob', 'other');
  for (let i = 0; i < 3; i++) assert.ok((await bob.event('early', { correlationId: `c${i}`, payload: i })).ok);
  check(await bob.event('early', { correlationId: 'd', payload: 4 }), {
    code: 'LIMIT_EXCEEDED', limit: 'EARLY_EVENTS_MAX', value: 3, raise: /EARLY_EVENT_TTL_MS/ });
  assert.ok((await alice.event('early', { correlationId: 'x', payload: 1 })).ok, 'another tenant has its own');
});

test('attempts under way: TASKS_MAX', async () => {
  house.receiver.on('/tasks', { hang: true });
  const definition = runbook('tasks', many(4, (i) => call(`s${i}`, `${url}/tasks`)), { idempotency: 'none' });
  await alice.register(definition);
  const id = await alice.startId(definition.id, 1);
  check(await alice.start(definition.id, 1), { code: 'OVERLOADED', limit: 'TASKS_MAX', value: 4 });
  assert.ok((await alice.cmd(`cancel.${id}`, {})).ok);
});

/** Run @steps and give the error of step @id. */
async function failure(steps, id, input = {}, extra = {}) {
  const definition = runbook('failing', steps, { defaultRetryPolicy: ONCE, ...extra });
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, input), { timeoutMs: 30000 });
  assert.equal(x.status, 'failed', JSON.stringify(x.stepResults));
  return x.stepResults[id].error;
}

test("steps' limits: the error names them", async () => {
  house.receiver.on('/large', { body: { x: long(4000) } });
  house.receiver.on('/headers', { headers: { 'X-Long': long(9000), ...Object.fromEntries(many(7,
      (i) => [`H${i}`, long(9000)])) } });
  const loop = (config) => step('l', 'loop', [], { config: { bodyStepId: 'b' }, loopConfig: config });
  const jq = (program, input) => step('t', 'transform', [], { config: { jq: program }, ...(input && { input }) });
  const cases = [
    [[call('a', `${url}/large`)], 'a', 'RESPONSE_TOO_LARGE', 'HTTP_RESPONSE_BYTES_MAX', 2048],
    [[call('a', `${url}/headers`)], 'a', 'RESPONSE_TOO_LARGE', 'HTTP_HEADER_BYTES_MAX', 65536],
    [[call('a', `${url}/x?q=\${input.long}`)], 'a', 'URL_INVALID', 'HTTP_URL_BYTES_MAX', 16384],
    [[loop({ maxIterations: 2, iterateOver: 'input.items' }), wait('b', 1)], 'l', 'LOOP_LIMIT', 'maxIterations', 2],
    [[loop({ maxIterations: 3, continueWhile: { field: 'input', operator: 'exists' } }), wait('b', 1)], 'l',
        'LOOP_LIMIT',
      'LIMIT_LOOP_ITERATIONS', 1000],
    [[jq('"x" * 1100000')], 't', 'OUTPUT_TOO_LARGE', 'LIMIT_VALUE_BYTES', 1048576],
    [[jq('[range(1e9)]|length')], 't', 'TRANSFORM_TIMEOUT', 'TRANSFORM_CPU_MS', 300],
    [[jq('[limit(100000000; repeat("x"))]|length')], 't', /TRANSFORM_(MEMORY|TIMEOUT)/,
        /TRANSFORM_(MEMORY_MB|CPU_MS)/, ''],
    [[{ ...wait('a', 1), condition: { field: 'input.hostile', operator: 'matches', value: '^(a+)+$' } }], 'a',
        'PATTERN_LIMIT',
      'LIMIT_PATTERN_MATCH_STEPS', 100000],
    [[waitForEvent('a', 'e', [], { correlationId: '\${input.long}' })], 'a', 'CORRELATION_INVALID',
        'LIMIT_CORRELATION_BYTES',
      1024],
  ];
  const input = { long: long(20000), items: [1, 2, 3], hostile: `${'a'.repeat(40)}!` };
  for (const [steps, id, code, limit, value] of cases) {
    const error = await failure(steps, id, input);
    const names = (text, wanted) => (wanted instanceof RegExp ? wanted.test(text) : text.includes(wanted));
    assert.ok(names(error.code, code), JSON.stringify(error));
    assert.ok(names(error.message, limit), `${limit} is not named: ${error.message}`);
    assert.ok(error.message.includes(String(value)), `${value} is not told: ${error.message}`);
  }
});

test('sub-runbooks in sub-runbooks: maxDepth', async () => {
  const self = runbook('deep', [step('r', 'run-runbook', [], { config: { runbookId: 'SELF', input: {} } })],
      { maxDepth: 3 });
  self.steps[0].config.runbookId = self.id;
  await alice.register(self);
  const x = await alice.ended(await alice.startId(self.id, {}));
  assert.equal(x.status, 'failed');
  assert.match(JSON.stringify(x.error), /DEPTH_EXCEEDED|CHILD/);
  let child = x;
  while (child.stepResults.r.childExecutionId) {
    const next = await alice.query(`execution.${child.stepResults.r.childExecutionId}`);
    if (!next.ok) break;
    child = next.body.execution;
  }
  assert.equal(child.stepResults.r.error.code, 'DEPTH_EXCEEDED');
  assert.match(child.stepResults.r.error.message, /maxDepth, which is 3 .*at most to 100, LIMIT_DEPTH/);
});

test('log entries of one attempt are capped, and that is logged', async () => {
  const definition = runbook('logs', [step('t', 'transform', [], { config: { jq: 'last(range(300)|debug)' } })]);
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, {}));
  assert.equal(x.status, 'completed');
  const logs = await alice.all(`logs.${x.id}`, 'logs', { stepId: 't' });
  assert.equal(logs.filter((l) => /jq debug: \d/.test(l.message)).length, 100);
  assert.ok(logs.some((l) => /further messages .*100.*JQ_MESSAGES_MAX/.test(l.message)));
});

run(async () => {
  house = await House.start({
    natsConf: 'listen: 127.0.0.1:PORT\nmax_payload: 8MB\njetstream { store_dir: "STORE" }\n',
    env: {
      EARLY_EVENTS_MAX: '3',
      TASKS_MAX: '4',
      HTTP_RESPONSE_BYTES_MAX: '2048',
      TRANSFORM_CPU_MS: '300',
    },
  });
  alice = house.person('alice');
  url = house.receiver.url;
});
