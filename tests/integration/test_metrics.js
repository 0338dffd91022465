'use strict';
// What Prometheus scrapes: promtool has nothing to say against the page, the numbers are those of what has
// happened, and the dashboard names no metric that the page does not have.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const { test, run, assert, eventually } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { ONCE, call, conditional, approval, wait, runbook } = require('./lib/runbooks.js');

const DASHBOARD = path.join(__dirname, '../../deploy/grafana/runbook.json');

let house, alice, bob, url;

async function page() {
  const response = await fetch(`http://127.0.0.1:${house.enginePort}/metrics`);
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
  return response.text();
}

/** Sum of the samples of @name whose labels hold all of @labels. */
function sum(text, name, labels = {}) {
  let total = 0;
  let seen = false;
  for (const line of text.split('\n')) {
    const m = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!m || m[1] !== name) continue;
    if (!Object.entries(labels).every(([k, v]) => (m[2] ?? '').includes(`${k}="${v}"`))) continue;
    total += Number(m[3]);
    seen = true;
  }
  assert.ok(seen, `the page has no ${name} with ${JSON.stringify(labels)}`);
  return total;
}

test('promtool finds nothing wrong with the page of a busy engine', async () => {
  house.receiver.on('/flaky', (_request, n) => ({ status: n % 2 ? 503 : 200 }));
  house.receiver.on('/broken', { status: 400 });
  const ok = runbook('busy', [
    call('flaky', `${url}/flaky`),
    conditional('which', { field: 'input.a', operator: 'eq', value: 1 }, { dependsOn: ['flaky'], trueBranch: 'nap' }),
    wait('nap', 5, ['which']),
  ]);
  const bad = runbook('bad', [call('broken', `${url}/broken`, [], { retryPolicy: ONCE })]);
  const ask = runbook('ask', [approval('may-we', ['bob'], 1)]);
  for (const definition of [ok, bad, ask]) await alice.register(definition);
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push(await alice.startId(ok.id, { a: 1, i }));
  for (const id of ids) await alice.until(id, 'completed');
  await alice.until(await alice.startId(bad.id, {}), 'failed');
  const open = await alice.startId(ask.id, {});
  await alice.stepStatus(open, 'may-we', 'awaiting_approval');
  assert.equal((await alice.cmd('start', { runbookId: 'no-such' })).ok, false);

  const text = await page();
  const promtool = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  assert.equal(promtool.error, undefined, 'promtool (package prometheus) is missing');
  assert.equal(promtool.status, 0, `${promtool.stdout}${promtool.stderr}`);
  assert.equal(`${promtool.stdout}${promtool.stderr}`.trim(), '');

  assert.equal(sum(text, 'runbook_executions_started_total', { runbook: ok.id }), 3);
  assert.equal(sum(text, 'runbook_executions_ended_total', { runbook: ok.id, status: 'completed' }), 3);
  assert.equal(sum(text, 'runbook_executions_ended_total', { runbook: bad.id, status: 'failed' }), 1);
  assert.equal(sum(text, 'runbook_executions', { runbook: ask.id, status: 'running' }), 1);
  assert.equal(sum(text, 'runbook_executions', { runbook: ok.id }), 0);
  assert.equal(sum(text, 'runbook_step_duration_seconds_count', { type: 'wait', outcome: 'completed' }), 3);
  assert.equal(sum(text, 'runbook_step_duration_seconds_count', { type: 'call-service', outcome: 'failed' }), 1);
  assert.equal(sum(text, 'runbook_step_retries_total', { type: 'call-service' }), 3);
  assert.ok(sum(text, 'runbook_step_duration_seconds_sum', { type: 'wait' }) >= 0.015);
  assert.ok(sum(text, 'runbook_commit_seconds_count') > 5);
  assert.ok(sum(text, 'runbook_refused_total') >= 1);
  assert.equal(sum(text, 'runbook_nats_connected'), 1);
  assert.equal(sum(text, 'runbook_store_writable'), 1);
  assert.ok(sum(text, 'process_resident_memory_bytes') > 1e6);
  assert.ok(sum(text, 'runbook_store_used_bytes') > 1000);

  assert.ok((await bob.cmd(`approve.${open}.may-we`, { decision: 'approved' })).ok);
  await alice.until(open, 'completed');
  assert.equal(sum(await page(), 'runbook_executions', { runbook: ask.id }), 0);
});

test('after a kill what is under way is counted again, and nothing twice', async () => {
  const ask = runbook('survives', [approval('may-we', ['bob'], 1)]);
  await alice.register(ask);
  const id = await alice.startId(ask.id, {});
  await alice.stepStatus(id, 'may-we', 'awaiting_approval');
  await house.restartEngine('SIGKILL');
  const text = await page();
  assert.equal(sum(text, 'runbook_executions', { runbook: ask.id, status: 'running' }), 1);
  assert.equal(sum(text, 'runbook_executions_started_total', { runbook: ask.id }), 0);
});

test('while NATS is away the page says so, and how often it came back', async () => {
  const before = sum(await page(), 'runbook_nats_reconnects_total');
  await house.natsServer.end('SIGKILL');
  await eventually(async () => sum(await page(), 'runbook_nats_connected') === 0, { what: 'not connected' });
  await house.startNats();
  await eventually(async () => sum(await page(), 'runbook_nats_connected') === 1, { what: 'connected again' });
  await eventually(async () => sum(await page(), 'runbook_nats_reconnects_total') > before, { what: 'counted' });
});

test('the dashboard names only metrics that there are', async () => {
  const families = new Set(
    [...(await page()).matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name, kind]) =>
      kind === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
  const dashboard = JSON.parse(fs.readFileSync(DASHBOARD, 'utf8'));
  const expressions = dashboard.panels.flatMap((p) => (p.targets ?? []).map((t) => t.expr));
  const named = new Set(expressions.flatMap((e) => e.match(/\b(?:runbook|process)_[a-z_]+/g) ?? []));
  assert.ok(named.size > 20, `${named.size} metrics are named`);
  assert.deepEqual([...named].filter((name) => !families.has(name)), []);
});

run(async () => {
  house = await House.start();
  url = house.receiver.url;
  alice = house.person('alice');
  bob = house.person('bob');
});
