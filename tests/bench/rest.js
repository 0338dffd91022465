#!/usr/bin/env node
'use strict';
// REST beside the same calls over NATS: tests/bench/rest.js [SECONDS], with RUNBOOK_BUILD naming a build folder. Starts
// its own nats-server and runbookd on free ports and prints one JSON line a case (bench_rest.c).

const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { run, test, assert, eventually } = require('../integration/lib/tap.js');
const { House } = require('../integration/lib/house.js');
const { Web } = require('../integration/lib/web.js');

const build = process.env.RUNBOOK_BUILD || path.join(__dirname, '../../build');
const seconds = Number(process.argv[2]) || 3;
process.argv.length = 2;

test('REST beside NATS', { timeoutMs: 120000 }, async () => {
  const house = await House.start({ receiver: false });
  const web = new Web(`http://127.0.0.1:${house.enginePort}`, { 'X-User': 'bench', 'X-Tenant': 'bench' });
  await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
  const condition = { field: 'input.n', operator: 'gte', value: 0 };
  const step = { id: 'a', name: 'a', type: 'conditional', dependsOn: [], config: { condition } };
  const made = await web.post('/api/v1/runbooks', { id: 'bench', name: 'bench', version: '1', steps: [step] });
  assert.equal(made.status, 201, made.text);
  const done = spawnSync(
    path.join(build, 'tests/bench/bench_rest'),
    [house.natsUrl, String(house.enginePort), 'bench', String(seconds)],
    { stdio: 'inherit' },
  );
  assert.equal(done.status, 0);
});

run();
