'use strict';
// Data on its way: templates and paths, inputs and outputs, schemas of steps and runbooks; dry runs, replays.

const { test, run, assert } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, QUICK, call, step, wait, runbook } = require('./lib/runbooks.js');

let house, alice, url;

const jq = (id, program, dependsOn = [], extra = {}) => step(id, 'transform', dependsOn,
    { config: { jq: program }, ...extra });

async function runOne(steps, input = {}, extra = {}) {
  const definition = runbook('data', steps, extra);
  await alice.register(definition);
  return alice.ended(await alice.startId(definition.id, input));
}

test('templates: kinds kept, texts put together, defaults, quoting, roots', async () => {
  const x = await runOne(
    [
      jq('first', '{n: 7, list: [1, {"c d": 2}], t: true, nil: null}'),
      jq('echo', '.', ['first'], {
        input: {
          number: '${first.n}', list: '${first.list}', flag: '${first.t}', nil: '${first.nil}',
          deep: '${first.list[1]["c d"]}', text: 'n=${first.n}, t=${first.t}, name=${input.name}',
          byRoot: '${steps.first.output.n}', short: '${n}', fromInput: '${name}',
          fallback: '${input.absent ?? 5}', word: '${input.absent ?? none given}', object: '${input.absent ?? {"a":1}}',
          present: '${input.name ?? x}', dollar: '$${input.name}',
          who: '${execution.initiatedBy}@${execution.tenantId}', why: '${context.legalBasis.caseId}',
          nested: [{ in: ['${first.n}'] }],
        },
      }),
    ],
    { name: 'böb' },
  );
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.stepResults.echo.output, {
    number: 7, list: [1, { 'c d': 2 }], flag: true, nil: null, deep: 2, text: 'n=7, t=true, name=böb', byRoot: 7,
        short: 7,
    fromInput: 'böb', fallback: 5, word: 'none given', object: { a: 1 }, present: 'böb', dollar: '${input.name}',
    who: 'alice@acme', why: 'CASE-7', nested: [{ in: [7] }],
  });
});

test('a path that leads nowhere fails the step, and says where it broke off', async () => {
  const x = await runOne([jq('a', '.', [], { input: '${input.host.name}' })], { host: {} });
  assert.equal(x.stepResults.a.error.code, 'TEMPLATE_MISSING');
  assert.match(x.stepResults.a.error.message, /input\.host/);
});

test('a path that can never resolve is refused at registration, with its place', async () => {
  const reply = await alice.cmd('register', runbook('never', [wait('a', 1), jq('b', '.', [],
      { input: '${a.output}' })]));
  assert.equal(reply.error, 'INVALID_RUNBOOK', 'b does not depend on a, and input may have no such field');
  assert.equal(reply.body.details[0].path, '/steps/1/input');
});

test("the default input is the dependencies' outputs, or the execution's input", async () => {
  const x = await runOne([jq('a', '{x: .v}'), jq('b', '2'), jq('c', '.', ['a', 'b'])], { v: 1 });
  assert.deepEqual(x.stepResults.c.output, { a: { x: 1 }, b: 2 });
});

test('outputs: of the sinks, or the template', async () => {
  const one = await runOne([jq('a', '1'), jq('b', '2', ['a'])]);
  assert.equal(one.output, 2);
  const two = await runOne([jq('a', '1'), jq('b', '2')]);
  assert.deepEqual(two.output, { a: 1, b: 2 });
  const own = await runOne([jq('a', '1')], { q: 9 }, { output: { sum: '${steps.a.output}', q: '${input.q}' } });
  assert.deepEqual(own.output, { sum: 1, q: 9 });
});

const HOST = {
  type: 'object', required: ['host'], unevaluatedProperties: false,
  properties: { host: { $ref: '#/$defs/name' }, port: { type: 'integer', minimum: 1, maximum: 65535 } },
  $defs: { name: { type: 'string', pattern: '^[a-z][a-z0-9-]*$' } },
};

test("a runbook's inputSchema refuses starts, every fault with its place and keyword", async () => {
  const definition = runbook('schema', [wait('a', 1)], { inputSchema: HOST });
  await alice.register(definition);
  const reply = await alice.start(definition.id, { host: 'UPPER', port: 70000 });
  assert.equal(reply.error, 'INVALID_INPUT');
  assert.deepEqual(reply.body.details.map((d) => d.path).sort(), ['/input/host', '/input/port']);
  const more = await alice.start(definition.id, { host: 'web-1', more: 1 });
  assert.deepEqual(more.body.details.map((d) => d.path), ['/input/more']);
  assert.match(reply.body.details.find((d) => d.path === '/input/host').message, /pattern/);
  assert.ok((await alice.start(definition.id, { host: 'web-1', port: 443 })).ok);
});

test('inputSchema and outputSchema of steps, outputSchema of the runbook', async () => {
  const bad = await runOne([jq('a', '.', [], { input: { port: 1 }, inputSchema: HOST })]);
  assert.equal(bad.stepResults.a.status, 'failed');
  assert.match(bad.stepResults.a.error.code, /SCHEMA|INPUT/);
  assert.match(JSON.stringify(bad.stepResults.a.error), /host/);
  let n = 0;
  house.receiver.on('/wobbly', () => ({ body: { host: ++n < 2 ? 'BAD' : 'good' } }));
  const shape = { type: 'object', properties: { host: { pattern: '^[a-z]+$' } }, required: ['host'] };
  const x = await runOne([call('a', `${url}/wobbly`, [], { outputSchema: shape, retryPolicy: QUICK })]);
  assert.equal(x.stepResults.a.error.retryable, false);
  assert.match(JSON.stringify(x.stepResults.a.error), /pattern/);
  const y = await runOne([jq('a', '{host: 5}')], {}, { outputSchema: HOST });
  assert.equal(y.status, 'failed');
  assert.match(JSON.stringify(y.error), /output/);
});

test('a bad schema is refused at registration, with its place', async () => {
  const reply = await alice.cmd('register', runbook('bad', [wait('a', 1)], {
    inputSchema: { type: 'strin', properties: { a: { minLength: -1 }, b: { $ref: '#/$defs/none' } } } }));
  const paths = reply.body.details.map((d) => d.path).sort();
  assert.deepEqual(paths, [
    '/inputSchema/properties/a/minLength', '/inputSchema/properties/b/$ref', '/inputSchema/type']);
});

test('hostile schemas and documents end soon', async () => {
  const definition = runbook('hostile', [wait('a', 1)], { inputSchema: { type: 'string', pattern: '^(a+)+$' } });
  await alice.register(definition);
  const begun = Date.now();
  const reply = await alice.start(definition.id, `${'a'.repeat(50000)}!`);
  assert.ok(!reply.ok, reply.text);
  assert.ok(Date.now() - begun < 3000);
});

test('a dry run shows each config as far as it can be resolved, and sends nothing', async () => {
  const definition = runbook('dry', [
    call('a', `${url}/dry/\${input.host}`, [], { config: { body: { id: '${input.id}' } } }),
    call('b', `${url}/dry/\${a.body.next}`, ['a']),
    step('sub', 'run-runbook', ['b'], { config: { runbookId: 'nowhere', input: { h: '${input.host}' } } }),
    wait('w', 3600000, ['sub']),
  ]);
  await alice.register(definition);
  const x = await alice.ended(await alice.startId(definition.id, { host: 'h1', id: 5 }, { options: { dryRun: true } }));
  assert.equal(x.status, 'completed');
  const { a, b, sub, w } = x.stepResults;
  assert.deepEqual([a.output.dryRun, a.output.type], [true, 'call-service']);
  assert.equal(a.output.config.url, `${url}/dry/h1`);
  assert.deepEqual(a.output.config.body, { id: 5 });
  assert.equal(b.output.unresolved.code, 'TEMPLATE_MISSING', 'what only a real answer could fill');
  assert.deepEqual(sub.output.config.input, { h: 'h1' });
  assert.equal(w.status, 'completed');
  assert.equal(house.receiver.requests.filter((r) => r.path.startsWith('/dry')).length, 0);
});

test('replays: rerun is a new execution, verify changes nothing and finds everything the same', async () => {
  const definition = runbook('replay', [
    call('a', `${url}/replayed`), jq('t', '.', ['a'], { input: '${input}' }),
    step('l', 'loop', ['t'], { config: { bodyStepId: 'b' }, loopConfig: { maxIterations: 5,
        iterateOver: 'input.items' } }),
    wait('b', 1),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, { items: [1, 2] });
  const x = await alice.ended(id);
  const verify = await alice.cmd(`replay.${id}`, { mode: 'verify' });
  assert.deepEqual([verify.body.identical, verify.body.divergences], [true, []], verify.text);
  assert.equal(house.receiver.toPath('/replayed').length, 1, 'verify calls nobody');
  const rerun = await alice.cmd(`replay.${id}`, { mode: 'rerun' });
  assert.equal(rerun.body.status, 'replaying', rerun.text);
  const y = await alice.ended(rerun.body.executionId);
  assert.deepEqual([y.isReplay, y.originalExecutionId], [true, id]);
  assert.deepEqual(y.stepResults.t.output, x.stepResults.t.output);
  assert.equal(house.receiver.toPath('/replayed').length, 2);
  assert.equal(house.receiver.keys('/replayed').size, 2, 'another execution, other keys');
});

test('compensations are retried and logged, and their failure is told', async () => {
  let n = 0;
  house.receiver.on('/undo-1', () => ({ status: ++n < 3 ? 503 : 200, body: {} }));
  house.receiver.on('/undo-2', { status: 400 });
  house.receiver.on('/boom', { status: 400 });
  const x = await runOne([
    call('one', `${url}/do`, [], { compensateWith: 'undo-one' }),
    call('two', `${url}/do`, ['one'], { compensateWith: 'undo-two' }),
    call('boom', `${url}/boom`, ['two'], { retryPolicy: ONCE }),
    call('undo-one', `${url}/undo-1`, [], { retryPolicy: QUICK }),
    call('undo-two', `${url}/undo-2`, [], { retryPolicy: QUICK }),
  ]);
  assert.equal(x.status, 'failed');
  assert.equal(n, 3);
  const events = await alice.all(`history.${x.id}`, 'events');
  assert.deepEqual(events.filter((e) => e.type.endsWith('step.compensated')).map((e) => e.subject), [`${x.id}/one`]);
  const logs = await alice.all(`logs.${x.id}`, 'logs');
  assert.ok(logs.some((l) => /compensation by "undo-two" did not succeed/.test(l.message)));
  assert.ok(logs.some((l) => /attempt 1 of 3 failed/.test(l.message)));
});

test('onFailure "continue": what comes after sees the error', async () => {
  house.receiver.on('/bad', { status: 400 });
  const x = await runOne([
    call('a', `${url}/bad`, [], { onFailure: 'continue', retryPolicy: ONCE }),
    jq('b', '.', ['a'], { input: { code: '${steps.a.error.code}', out: '${steps.a.output ?? nothing}' } }),
  ]);
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  assert.deepEqual(x.stepResults.b.output, { code: 'HTTP_400', out: 'nothing' });
});

run(async () => {
  house = await House.start();
  alice = house.person('alice');
  url = house.receiver.url;
});
