'use strict';
// The command line end to end: what a person types, what comes out, and with which exit status.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert } = require('./lib/tap.js');
const { House, freePort, RUNBOOKD } = require('./lib/house.js');
const { call, approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

const EXAMPLES = path.join(__dirname, '../../deploy/examples');
const EXAMPLE = path.join(EXAMPLES, 'incident-response.yaml');
const BASIS = ['--authority', 'INVESTIGATION', '--classification', 'SENSITIVE', '--case-id', 'CASE-7'];

let house, url;

/** The command's outcome; its status must be @status. */
async function cli(status, args, options) {
  const done = await house.cli(args, options);
  assert.equal(done.code, status, `runbook ${args.join(' ')}\n${done.out}\n${done.err}`);
  return done;
}

function fileOf(definition) {
  const file = path.join(house.dir, `${definition.id}.json`);
  fs.writeFileSync(file, JSON.stringify(definition));
  return file;
}

async function registered(definition) {
  await cli(0, ['register', fileOf(definition)]);
  return definition.id;
}

const lines = (text) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('validate works without a server', async () => {
  const offline = { env: { NATS_URL: 'nats://127.0.0.1:1' } };
  const examples = fs.readdirSync(EXAMPLES, { recursive: true }).filter((name) => name.endsWith('.yaml'));
  assert.ok(examples.length >= 2);
  for (const name of examples) await cli(0, ['validate', path.join(EXAMPLES, name)], offline);
  const bad = fileOf({ ...runbook('bad', [wait('a', 1, ['nowhere'])]), colour: 'red' });
  const done = await cli(1, ['validate', bad], offline);
  assert.match(done.out + done.err, /nowhere/);
  assert.match(done.out + done.err, /colour/);
});

test('register, start --wait, status, list, history, logs, evidence', async () => {
  house.receiver.on('/cli', { body: { word: 'yes' } });
  const id = await registered(runbook('cli', [call('a', `${url}/cli`), wait('b', 5, ['a'])]));
  const started = await cli(0, ['start', id, ...BASIS, '--input', '{"n":1}', '--wait', '--json']);
  const events = lines(started.out);
  assert.ok(events.length > 3, started.out);
  const listed = await cli(0, ['list', '--runbook', id, '--json']);
  const execution = listed.json.executions[0].id;
  assert.match(started.out, new RegExp(execution));
  const status = await cli(0, ['status', execution, '--json']);
  assert.equal(status.json.execution.status, 'completed');
  assert.equal(status.json.execution.context.legalBasis.caseId, 'CASE-7');
  assert.match((await cli(0, ['status', execution])).out, /completed/);
  const history = await cli(0, ['history', execution, '--json']);
  assert.match(history.out, /runbook\.execution\.completed/);
  await cli(0, ['history', execution, '--verify']);
  assert.ok((await cli(0, ['logs', execution, '--json'])).out.includes(execution));
  assert.match((await cli(0, ['evidence', execution, '--json'])).out, /sha256/);
  assert.match((await cli(0, ['runbooks'])).out, new RegExp(id));
});

test('start --wait ends with 1 when the execution fails, 5 when it is cancelled', async () => {
  house.receiver.on('/cli-no', { status: 400 });
  const fails = await registered(runbook('cli-fails', [call('a', `${url}/cli-no`)]));
  await cli(1, ['start', fails, ...BASIS, '--wait']);
  const waits = await registered(runbook('cli-waits', [wait('a', 60000)]));
  const waiting = cli(5, ['start', waits, ...BASIS, '--wait']);
  let id;
  while (!id) id = (await cli(0, ['list', '--runbook', waits, '--json'])).json.executions[0]?.id;
  await cli(0, ['cancel', id, '--reason', 'enough']);
  await waiting;
});

test('approve, reject and event', async () => {
  const id = await registered(
    runbook('cli-people', [
      approval('ask', ['bob'], 1),
      waitForEvent('ev', 'cli.event', ['ask'], { correlationId: '${execution.id}' }),
    ]),
  );
  const bob = { env: { RUNBOOK_USER: 'bob' } };
  const start = async () => (await cli(0, ['start', id, ...BASIS, '--again', '--quiet'])).out.trim();
  const rejected = await start();
  await cli(0, ['reject', rejected, 'ask', '--comment', 'no'], bob);
  assert.equal((await cli(0, ['status', rejected, '--json'])).json.execution.status, 'failed');
  const approved = await start();
  assert.match((await cli(0, ['approvals'], bob)).out, new RegExp(`ask|${approved}`));
  const refused = await cli(1, ['approve', approved, 'ask']);
  assert.match(refused.err, /approver/i);
  await cli(0, ['approve', approved, 'ask'], bob);
  await cli(0, ['event', 'cli.event', '--correlation', approved, '--payload', '{"n":1}']);
  assert.equal((await cli(0, ['status', approved, '--json'])).json.execution.status, 'completed');
});

test('pause and resume', async () => {
  const id = await registered(runbook('cli-pause', [wait('a', 300), wait('b', 1, ['a'])]));
  const execution = (await cli(0, ['start', id, ...BASIS, '--quiet'])).out.trim();
  await cli(0, ['pause', execution]);
  assert.equal((await cli(0, ['status', execution, '--json'])).json.execution.status, 'paused');
  await cli(0, ['resume', execution]);
  await cli(0, ['watch', execution]);
  assert.equal((await cli(0, ['status', execution, '--json'])).json.execution.status, 'completed');
});

test('graph in three forms', async () => {
  assert.match((await cli(0, ['graph', EXAMPLE])).out, /approve-isolation/);
  assert.match((await cli(0, ['graph', EXAMPLE, '--format', 'dot'])).out, /^digraph/m);
  assert.match((await cli(0, ['graph', EXAMPLE, '--format', 'mermaid'])).out, /^(graph|flowchart)/m);
});

test('what is wrong gets its exit status and a sentence', async () => {
  assert.match((await cli(2, ['strat'])).err, /start/, 'the nearest command');
  await cli(2, ['start']);
  await cli(2, ['list', '--no-such-option']);
  assert.match((await cli(1, ['start', 'no-such-runbook', ...BASIS])).err, /no-such-runbook/);
  await cli(1, ['status', '0190b7a2-5b1c-7cc0-9a3e-0f4b2f6d9e11']);
  const nobody = { env: { NATS_URL: `nats://127.0.0.1:${await freePort()}` } };
  assert.match((await cli(3, ['list'], nobody)).err, /NATS/);
  await cli(0, ['--help']);
  await cli(0, ['start', '--help']);
  await cli(0, ['version']);
});

test('--json: whatever comes out is JSON, a line each, and stderr is silent', async () => {
  const id = await registered(runbook('cli-json', [wait('a', 1)]));
  const waits = await registered(runbook('cli-json-waits', [approval('ask', ['bob'], 1)]));
  const start = async (what) => (await cli(0, ['start', what, ...BASIS, '--again', '-q'])).out.trim();
  const [done, open] = [await start(id), await start(waits)];
  const file = path.join(house.dir, `${id}.json`);
  const nobody = { env: { NATS_URL: `nats://127.0.0.1:${await freePort()}` } };
  for (const [status, line, options] of [
    [0, `start ${id} ${BASIS.join(' ')} --again --wait`],
    [0, `watch ${done}`],
    [0, `status ${done}`],
    [0, `history ${done}`],
    [0, `history ${done} --verify`],
    [0, `logs ${done}`],
    [0, `logs -f ${done}`],
    [0, `evidence ${done}`],
    [0, `replay ${done} --mode verify`],
    [0, `replay ${done}`],
    [0, `show ${id}`],
    [0, `graph ${id}`],
    [0, `graph ${file}`],
    [0, `validate ${file}`],
    [0, `register ${file}`],
    [0, 'runbooks'],
    [0, 'list'],
    [0, 'approvals'],
    [0, 'stats'],
    [0, 'version'],
    [0, 'event cli.json'],
    [0, `backup --runbookd ${RUNBOOKD} ${house.dataDir} ${path.join(house.dir, 'copy-a')}`],
    [0, `backup --runbookd ${RUNBOOKD} --no-check ${house.dataDir} ${path.join(house.dir, 'copy-b')}`],
    [1, `backup --runbookd ${RUNBOOKD} ${house.dataDir} ${house.dir}`],
    [1, `backup ${house.dataDir} ${path.join(house.dir, 'copy-c')} --runbookd /nowhere/runbookd`],
    [0, `pause ${open}`],
    [0, `resume ${open}`],
    [1, `approve ${open} ask`],
    [1, `retry ${done} a`],
    [0, `cancel ${open}`],
    [1, `status ${open.replace(/^./, 'f')}`],
    [1, 'validate /nowhere'],
    [2, 'start'],
    [2, 'strat'],
    [2, 'list --status lost'],
    [2, `event x --payload {`],
    [3, 'list', nobody],
  ]) {
    const { out, err } = await cli(status, [...line.split(' '), '--json'], options);
    const documents = out === '' ? [] : lines(out);
    const silent = /^(evidence|logs)/.test(line); /* none there: no lines */
    assert.ok(documents.length > 0 || silent, `${line}: nothing came`);
    if (status > 0) assert.ok(documents.at(-1).error && documents.at(-1).message, `${line}: ${out}`);
    if (!line.startsWith('backup')) assert.equal(err, '', line);
  }
});

test('-q prints ids and nothing else', async () => {
  const id = await registered(runbook('cli-quiet', [approval('ask', ['dora'], 1), wait('w', 60000, ['ask'])]));
  const execution = (await cli(0, ['start', id, ...BASIS, '-q'])).out.trim();
  assert.match(execution, /^[0-9a-f-]{36}$/);
  const dora = { env: { RUNBOOK_USER: 'dora' } };
  for (const [line, out, options] of [
    ['approvals', `${execution} ask\n`, dora],
    [`approve ${execution} ask`, `${execution}\n`, dora],
    [`pause ${execution}`, `${execution}\n`],
    [`cancel ${execution}`, `${execution}\n`],
    [`list --runbook ${id}`, `${execution}\n`],
    [`status ${execution}`, 'cancelled\n'],
  ])
    assert.equal((await cli(0, [...line.split(' '), '-q'], options)).out, out, line);
});

test('without an engine it says so', async () => {
  await house.engine.end('SIGTERM');
  const done = await cli(3, ['list']);
  assert.match(done.err, /engine|runbookd/);
  house.startEngine();
  await house.engineReady();
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
});
