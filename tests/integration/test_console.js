'use strict';
// The console in a real browser against the real engine: what people do with it, from writing a runbook to replaying an
// execution, at desk and phone width, by mouse and by keyboard alone.

const { run, assert, eventually, sleep, comment, TIME_FACTOR } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { Browser, browserTests, overhang } = require('./lib/browser.js');
const { ONCE, approval, call, conditional, runbook, step, wait } = require('./lib/runbooks.js');

let house, browser, alice;
const link = (id, rest = '') => `#/executions/${id}${rest}`;

const browserTest = browserTests(() => browser);
const status = (page, text) => page.locator('.execution-head h1 .pill', { hasText: text }).waitFor();
const node = (page, id) => page.locator(`.node[data-id="${id}"]`);
const nodeSays = (page, id, text) => page.locator(`.node[data-id="${id}"][aria-label*="${text}"]`).waitFor();
const notice = (page, text) => page.locator('.notice', { hasText: text }).waitFor();

const WRITTEN = `id: rotate-key
name: Rotate a key
version: 1.0.0
inputSchema:
  type: object
  required: [host, days]
  properties:
    host: {type: string, title: Host, minLength: 2}
    days: {type: integer, title: Days, minimum: 1}
    tags: {type: array, title: Tags, items: {type: string}}
steps:
  - {id: look, name: Look it up, type: wait-for-event, config: {eventType: looked, timeoutMs: 600000}}
  - id: long
    name: Is it long?
    type: conditional
    dependsOn: [look]
    config: {condition: {field: input.days, operator: gt, value: 30}, trueBranch: ask, falseBranch: short}
  - {id: short, name: Short one, type: wait, dependsOn: [long], config: {durationMs: 1}}
  - id: ask
    name: Two agree
    type: human-approval
    dependsOn: [long]
    approvalConfig: {approvers: [bob, carol], minApprovals: 2, timeoutMs: 600000, timeoutAction: fail,
      prompt: "Rotate \${input.host}?"}
  - {id: rotate, name: Rotate it, type: wait, dependsOn: [ask], config: {durationMs: 300}}
`;

browserTest('a runbook is written with the checker beside, and registered', async (open) => {
  const page = await open('alice');
  await browser.open(page, '#/editor');
  const text = page.getByLabel('Definition of the runbook, JSON or YAML');
  await page.getByText('Valid, 2 steps').waitFor();
  await text.fill(
    WRITTEN.replace('type: conditional', 'type: conditionel').replace(
      'dependsOn: [ask]',
      'dependsOn: [nobody]',
    ),
  );
  const problems = page.getByRole('list', { name: 'Problems' });
  await problems.getByRole('button', { name: /Line 15.*\/steps\/1\/type.*conditional/ }).waitFor();
  await problems.getByRole('button', { name: /Line 25.*\/steps\/4\/dependsOn\/0.*nobody/ }).click();
  assert.equal(await text.evaluate((el) => el.value.slice(el.selectionStart, el.selectionEnd)), 'nobody');
  assert.ok((await page.locator('.code-marks .mark').count()) >= 2, 'underlined');
  assert.ok(await page.getByRole('button', { name: 'Register' }).isDisabled());
  await page.getByText('As it was last understood.').waitFor();
  assert.equal(await page.locator('.node.tone-bad').count(), 0, 'the graph is of what was before');
  await text.fill(`${WRITTEN}\n  - bad: [`);
  await problems.getByRole('button', { name: /^Line \d+ (?!\/)/ }).waitFor();
  await text.fill(WRITTEN);
  await page.getByText('Valid, 5 steps').waitFor();
  await page.locator('.dag-stage[data-steps="5"]').waitFor();
  await page.getByRole('button', { name: 'Register' }).click();
  await page.getByRole('heading', { name: 'Rotate a key' }).waitFor();
  await page.locator('.dag-stage[data-steps="5"]').waitFor();
  assert.deepEqual((await page.locator('.edge-label').allTextContents()).sort(), ['no', 'yes']);
  await node(page, 'ask').click();
  await page.getByRole('complementary', { name: 'Step Two agree' }).getByText('bob, carol').waitFor();
  assert.match(page.url(), /step=ask/);
  // What is registered can't be changed under the same version: the editor says so at its place.
  await page.getByRole('link', { name: 'Edit', exact: true }).click();
  await page.getByText('Registered already, unchanged').waitFor();
  const json = await text.inputValue();
  assert.match(json, /^\{\n {2}"id": "rotate-key",\n {2}"name"/, 'in the order in which people write');
  await text.fill(json.replace('Rotate it', 'Rotate it now'));
  await problems.getByRole('button', { name: /Line 4.*\/version/ }).waitFor();
});

let rotation;

/** A finished execution of that runbook; made here if the case before has not. */
async function someRotation() {
  if (rotation) return rotation;
  await alice.register(WRITTEN);
  const id = await alice.startId('rotate-key', { host: 'ws-0417', days: 90 });
  await alice.event('looked', { payload: { found: true } });
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  for (const name of ['bob', 'carol'])
    await house.person(name).cmd(`approve.${id}.ask`, { decision: 'approved' });
  await alice.until(id, 'completed');
  rotation = id;
  return id;
}

browserTest('started by the form, watched live, approved by two people', async (open) => {
  await alice.register(WRITTEN);
  const page = await open('alice');
  const bob = await open('bob');
  const carol = await open('carol');
  await browser.open(bob, '#/approvals');
  await bob.getByText('Nothing waits for you.').waitFor();
  await browser.open(page, '#/runbooks/rotate-key/start');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await page.locator('[aria-invalid="true"]').first().waitFor();
  assert.equal(
    await page.locator('[aria-invalid="true"]').count(),
    4,
    'host, days, authority, classification',
  );
  await page.getByLabel('Host', { exact: true }).fill('x');
  await page.getByText('At least 2 characters needed.').waitFor();
  await page.getByLabel('Host', { exact: true }).fill('ws-0417');
  await page.getByLabel('Days', { exact: true }).fill('0');
  await page.getByText('Must be at least 1.').waitFor();
  await page.getByLabel('Days', { exact: true }).fill('90');
  await page.getByRole('group', { name: 'Tags' }).getByRole('button', { name: 'Add' }).click();
  await page.getByLabel('Tags 1', { exact: true }).fill('vienna');
  await page.getByLabel('Authority').fill('INVESTIGATION');
  await page.getByLabel('Classification').fill('SENSITIVE');
  await page.getByLabel(/^Case/).fill('CASE-7');
  await page.getByRole('group', { name: 'Assumptions' }).getByRole('button', { name: 'Add' }).click();
  await page.getByLabel('Assumptions 1', { exact: true }).fill('The inventory is current');
  await page.getByRole('button', { name: 'Start', exact: true }).click();
  await status(page, 'Running');
  rotation = /executions\/([0-9a-f-]+)/.exec(page.url())[1];
  await page.locator('.live.is-live').waitFor();
  await nodeSays(page, 'look', 'Awaiting event');
  assert.ok((await alice.event('looked', { payload: { found: true } })).ok);
  await nodeSays(page, 'look', 'Completed');
  await nodeSays(page, 'short', 'Skipped');
  await nodeSays(page, 'ask', 'Awaiting approval');
  const legal = page.getByRole('region', { name: 'Legal basis and assumptions' });
  for (const text of ['INVESTIGATION', 'SENSITIVE', 'CASE-7', 'The inventory is current'])
    await legal.getByText(text).waitFor();
  const x = await alice.execution(rotation);
  assert.deepEqual(x.input, { host: 'ws-0417', days: 90, tags: ['vienna'] });

  // It shows up by itself at who may decide it.
  const card = bob.getByRole('article', { name: 'Two agree' });
  await card.getByText('Rotate ws-0417?').waitFor();
  await card.getByText('its hash was computed again in this browser').waitFor();
  await card.getByText(/due in 9 min/).waitFor();
  await card.getByLabel(/Comment/).fill('Looks right');
  await card.getByRole('button', { name: /^Approve/ }).click();
  await bob.getByText('1 approval of 2').waitFor();
  await page.getByText(/1 of 2; bob, carol/).waitFor();

  await browser.open(carol, '#/approvals');
  const second = carol.getByRole('article', { name: 'Two agree' });
  await second.getByText('Looks right').waitFor();
  await second.getByRole('button', { name: /^Approve/ }).click();
  await carol.getByText('2 approvals of 2').waitFor();
  await nodeSays(page, 'rotate', 'Completed');
  await status(page, 'Completed');

  await browser.open(bob, link(rotation, '?step=ask'));
  await bob.getByRole('complementary').getByText('Looks right').waitFor();
});

browserTest('what is known about an execution: timeline, steps, logs, history, values', async (open) => {
  const page = await open('alice');
  await browser.open(page, link(await someRotation(), '?tab=timeline'));
  const chart = page.getByRole('table', { name: 'Timeline of the attempts' });
  await chart
    .getByText(/Waiting for approval/)
    .first()
    .waitFor({ state: 'attached' });
  const bars = await chart.locator('tbody .gantt').count();
  assert.ok(bars >= 3, `${bars} bars`);
  await page.getByRole('link', { name: 'Logs' }).click();
  await page.getByRole('list', { name: 'Log' }).locator('li').first().waitFor();
  await page.getByRole('link', { name: 'Values' }).click();
  await page.getByRole('region', { name: 'Input' }).getByText('"ws-0417"').waitFor();
  await page.getByRole('link', { name: 'History' }).click();
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await notice(page, 'The chain is whole.');
  await page.getByText('The last hash is the one that the engine’s state names.').waitFor();
  await page.getByRole('link', { name: 'Steps' }).click();
  await page
    .getByRole('table', { name: 'Steps of the execution' })
    .getByRole('link', { name: 'Two agree' })
    .click();
  const side = page.getByRole('complementary');
  await side.getByRole('button', { name: 'Input' }).click();
  await side.getByText('Its hash is the one recorded').waitFor();
  await side.getByRole('button', { name: 'Output' }).click();
  await side.getByText('"approved"').first().waitFor();
  await page.reload();
  await page.getByRole('complementary', { name: 'Step Two agree' }).waitFor();
});

browserTest('a history that was tampered with is told', async (open) => {
  const page = await open('alice');
  await page.route('**/history?*', async (route) => {
    const response = await route.fetch();
    const body = await response.json();
    body.events[2].time = '2020-01-01T00:00:00.000Z';
    await route.fulfill({ response, json: body });
  });
  await browser.open(page, link(await someRotation(), '?tab=history'));
  await page.getByRole('button', { name: 'Check the chain' }).click();
  await notice(page, 'The history is not what it says.');
  await page.getByText('The content of event 3 does not have the hash it carries.').waitFor();
});

browserTest('pause, resume, cancel with a reason', async (open) => {
  let finish;
  const isOver = new Promise((resolve) => (finish = resolve));
  house.receiver.on('/slow', () => isOver);
  const definition = runbook(
    'pausable',
    [
      call('a', `${house.receiver.url}/slow`, [], { compensateWith: 'undo' }),
      wait('undo', 1),
      wait('b', 60000, ['a']),
      wait('clock', 60000),
    ],
    { idempotency: 'none' },
  );
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const page = await open('alice');
  await browser.open(page, link(id));
  await page.getByRole('button', { name: 'Pause' }).click();
  await status(page, 'Pausing');
  await node(page, 'clock').click();
  await page.getByRole('complementary').getByText('stands still while the execution is paused').waitFor();
  finish({ status: 200, body: {} });
  await nodeSays(page, 'a', 'Completed');
  await status(page, 'Paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await status(page, 'Running');
  await nodeSays(page, 'b', 'Waiting');
  await page
    .getByRole('complementary')
    .getByText(/until .*\(in \d+ s\)/)
    .waitFor();
  await page.getByRole('button', { name: 'Cancel…' }).click();
  await page.getByRole('button', { name: 'Go back' }).click();
  await page.getByRole('button', { name: 'Cancel…' }).click();
  await page.getByLabel('Reason').fill('Wrong host');
  await page.getByRole('button', { name: 'Cancel the execution' }).click();
  await status(page, 'Cancelled');
  await page.getByText('alice: Wrong host').waitFor();
  await nodeSays(page, 'undo', 'Completed');
  await node(page, 'undo').click();
  await page.getByRole('complementary', { name: 'Step undo' }).getByText('undo~a').waitFor();
});

browserTest('an answer that is older than an event does not undo it', async (open) => {
  const definition = runbook('late', [approval('ask', ['bob', 'carol'], 2)], { idempotency: 'none' });
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const page = await open('alice');
  await browser.open(page, link(id));
  await nodeSays(page, 'ask', 'Awaiting approval');
  await page.locator('.live.is-live').waitFor();
  await sleep(1200); // the reading behind the connection is over
  let heldBack, release;
  const isHeld = new Promise((resolve) => (heldBack = resolve));
  const isReleased = new Promise((resolve) => (release = resolve));
  await page.route(`**/executions/${id}`, async (route) => {
    const response = await route.fetch();
    heldBack();
    await isReleased;
    await route.fulfill({ response });
  });
  await house.person('bob').cmd(`approve.${id}.ask`, { decision: 'approved' });
  await isHeld;
  await house.person('carol').cmd(`approve.${id}.ask`, { decision: 'approved' });
  await nodeSays(page, 'ask', 'Completed');
  await status(page, 'Completed');
  const answered = page.waitForResponse((r) => r.url().endsWith(`/executions/${id}`));
  release();
  await (await answered).finished();
  const seen = new Set();
  for (let i = 0; i < 20; i++) {
    seen.add(await node(page, 'ask').getAttribute('aria-label'));
    await sleep(20);
  }
  assert.deepEqual([...seen].filter((text) => !text.includes('Completed')), []);
});

browserTest('failing, retrying the step, verifying, running again', async (open) => {
  let isBroken = true;
  house.receiver.on('/flaky', () =>
    isBroken ? { status: 500, body: { message: 'maintenance' } } : { status: 200, body: { ok: 1 } },
  );
  const definition = runbook(
    'flaky',
    [
      call('one', `${house.receiver.url}/fine`),
      call('two', `${house.receiver.url}/flaky`, ['one'], { retryPolicy: ONCE }),
    ],
    { idempotency: 'none' },
  );
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const page = await open('alice');
  await browser.open(page, link(id));
  await status(page, 'Failed');
  await nodeSays(page, 'two', 'Failed');
  await page
    .locator('.execution-head')
    .getByText(/answered 500/)
    .waitFor();
  await page.getByRole('button', { name: 'Try this step again…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Go back' }).click();
  await node(page, 'two').click();
  const side = page.getByRole('complementary', { name: 'Step two' });
  await side.getByRole('button', { name: /^Evidence/ }).click();
  await side.getByRole('article').first().waitFor();
  await side.getByRole('button', { name: 'Overview' }).click();
  isBroken = false;
  await side.getByRole('button', { name: 'Try again…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Try again' }).click();
  await status(page, 'Completed');
  await page.getByRole('button', { name: 'Verify' }).click();
  await notice(page, 'Verified:');
  await page.getByRole('button', { name: 'Run again…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Run again' }).click();
  await page.getByRole('link', { name: 'Open it' }).click();
  await page.getByText('Replay of').waitFor();
  await status(page, 'Completed');
});

browserTest('rejecting, after being asked; a vote too many is refused in words', async (open) => {
  const definition = runbook('reject', [approval('ask', ['bob', 'carol'], 2)], { idempotency: 'none' });
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  const page = await open('bob');
  const late = await open('carol');
  await browser.open(page, '#/approvals');
  await browser.open(late, '#/approvals');
  const card = page.getByRole('article', { name: 'ask', exact: true });
  await late.getByRole('article', { name: 'ask', exact: true }).getByText('was computed again').waitFor();
  // She does not hear that it has been decided meanwhile, and the browser tells that her requests are broken off.
  browser.isExpected = true;
  await late.route('**/api/v1/approvals**', (route) => route.abort());
  await card.getByRole('button', { name: /^Reject/ }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reject' }).click();
  await page.getByText('Rejected ask').waitFor();
  await alice.until(id, 'failed');
  await late
    .getByRole('article', { name: 'ask', exact: true })
    .getByRole('button', { name: /^Approve/ })
    .click();
  await late.getByText('The vote was not taken.').waitFor();
  assert.equal((await alice.execution(id)).stepResults.ask.status, 'failed');
});

browserTest('errors of the API are sentences', async (open) => {
  const page = await open('alice');
  await browser.open(page, '#/executions/01890000-0000-7000-8000-000000000000');
  await page.getByText('Not found. There is no execution').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Try again' }).count(), 0, 'it would be the same');
  await page.getByText('Code: EXECUTION_NOT_FOUND').waitFor();
  await browser.open(page, '#/nowhere/at/all');
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
});

browserTest('loops and child executions unfold', async (open) => {
  const child = runbook('child', [wait('inner', 1)], { idempotency: 'none' });
  await alice.register(child);
  const parent = runbook(
    'parent',
    [
      step('each', 'loop', [], {
        config: { bodyStepId: 'body' },
        loopConfig: { iterateOver: 'input.items', maxIterations: 9 },
      }),
      wait('body', 1),
      wait('tail', 1, ['body']),
      step('kid', 'run-runbook', ['each'], { config: { runbookId: child.id, input: {} } }),
    ],
    { idempotency: 'none' },
  );
  await alice.register(parent);
  const id = await alice.startId(parent.id, { items: [1, 2, 3, 4, 5] });
  await alice.until(id, 'completed');
  const page = await open('alice');
  await browser.open(page, link(id));
  await nodeSays(page, 'body', '5 of 5 done');
  await page.locator('.dag-stage[data-steps="4"]').waitFor();
  await page.locator('.fold[data-fold="each"]').click();
  await page.locator('.dag-stage[data-steps="2"]').waitFor();
  await page.getByRole('link', { name: 'Steps' }).click();
  const table = page.getByRole('table', { name: 'Steps of the execution' });
  await table.getByRole('button', { name: 'Show what is inside each' }).click();
  await table.getByRole('button', { name: 'Show iteration 3' }).click();
  await table.getByRole('link', { name: 'body' }).click();
  await page.getByRole('complementary').getByText('4 of 5').waitFor();
  assert.match(decodeURIComponent(page.url()), /step=body\[3\]/);
  await table.getByRole('button', { name: 'Show what is inside kid' }).click();
  await table.getByRole('link', { name: 'inner' }).waitFor();
  // Finding looks into what is folded.
  await browser.open(page, '#/executions');
  await browser.open(page, link(id, '?tab=steps'));
  await page.getByPlaceholder('Id, name or status').fill('body[4]');
  await table.getByRole('link', { name: 'body' }).click();
  await page.getByRole('complementary').getByText('5 of 5').waitFor();
});

browserTest(
  'a thousand steps',
  async (open) => {
    const steps = Array.from({ length: 1000 }, (_, i) =>
      wait(
        `s${i}`,
        1,
        i < 25 ? [] : [...new Set([`s${i - 25}`, `s${(Math.floor(i / 25) - 1) * 25 + ((i * 7) % 25)}`])],
      ),
    );
    const definition = runbook('thousand', steps, { idempotency: 'none', maxConcurrentSteps: 100 });
    await alice.register(definition);
    const id = await alice.startId(definition.id, {});
    const page = await open('alice');
    const begun = Date.now();
    await browser.open(page, link(id));
    await page.locator('.dag-stage[data-steps="1000"]').waitFor();
    const drawn = Date.now() - begun;
    await status(page, 'Completed');
    const find = page.getByRole('searchbox', { name: 'Find step' });
    await find.fill('s777');
    await page.getByText('1 of 1').waitFor();
    assert.ok(await node(page, 's777').isVisible());
    // Moving and zooming: how long the page's thread is busy with twenty wheel turns.
    const moved = await page.evaluate(async () => {
      const svg = document.querySelector('.dag-svg');
      const begin = performance.now();
      for (let i = 0; i < 20; i++) {
        svg.dispatchEvent(
          new WheelEvent('wheel', {
            deltaY: i % 2 ? 60 : -40,
            ctrlKey: i % 3 === 0,
            clientX: 600,
            clientY: 600,
            bubbles: true,
            cancelable: true,
          }),
        );
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
      return performance.now() - begin;
    });
    comment(`drawn after ${drawn} ms; 20 moves in ${Math.round(moved)} ms`);
    assert.ok(drawn < 8000 * TIME_FACTOR, `${drawn} ms`);
    await page.getByRole('link', { name: 'Steps' }).click();
    const table = page.getByRole('table', { name: 'Steps of the execution' });
    await table.locator('tbody .row').first().waitFor();
    assert.ok((await table.locator('tbody .row').count()) < 200, 'only the rows near the window');
    assert.equal(await table.getAttribute('aria-rowcount'), '1001');
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await table.getByText('s999', { exact: true }).first().waitFor();
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByRole('button', { name: 'Check the chain' }).click();
    await notice(page, 'The chain is whole.');
  },
  { timeoutMs: 60000 },
);

browserTest('nothing that a runbook says becomes markup', async (open) => {
  const evil = '<img src=x onerror="document.title=1/0"><script>alert(1)</script>';
  const definition = runbook(
    'evil',
    [approval('ask', ['bob'], 1, [], { name: evil, description: evil, approvalConfig: { prompt: evil } })],
    {
      name: evil,
      description: evil,
      idempotency: 'none',
      inputSchema: { type: 'object', properties: { a: { type: 'string', title: evil, description: evil } } },
    },
  );
  await alice.register(definition);
  const id = await alice.startId(definition.id, { a: evil });
  const page = await open('bob');
  for (const to of [
    '#/runbooks',
    `#/runbooks/${definition.id}?step=ask`,
    `#/runbooks/${definition.id}/start`,
    '#/approvals',
    link(id, '?tab=values'),
    link(id, '?tab=history'),
    link(id, '?step=ask'),
    `#/editor?from=${definition.id}`,
  ]) {
    await browser.open(page, to);
    await page.getByText('<img src=x').first().waitFor({ state: 'attached' });
    assert.equal(await page.locator('img, main script').count(), 0, to);
  }
  await alice.cmd(`cancel.${id}`, {});
});

browserTest('by keyboard alone: to a runbook, over its graph, to a started execution', async (open) => {
  const definition = runbook('keys', [wait('a', 1), wait('b', 1, ['a']), wait('c', 1, ['b'])], {
    idempotency: 'none',
  });
  await alice.register(definition);
  const page = await open('alice');
  await browser.open(page, '#/runbooks');
  await page.getByText(definition.id).waitFor();
  const focused = () =>
    page.evaluate(
      () => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent || '',
    );
  const tabTo = async (pattern, most = 60) => {
    for (let i = 0; i < most; i++) {
      await page.keyboard.press('Tab');
      if (pattern.test(await focused())) return;
    }
    assert.fail(`Tab never came to ${pattern}, but to ${await focused()}`);
  };
  await page.keyboard.press('Tab');
  assert.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await tabTo(/^Search$|^$/, 3);
  await page.keyboard.type(definition.id);
  await page.getByText('keys', { exact: true }).first().waitFor();
  await tabTo(/^keys$/);
  await page.keyboard.press('Enter');
  await page.locator('.dag-stage[data-steps="3"]').waitFor();
  await tabTo(/^a, Wait/);
  await page.keyboard.press('ArrowDown');
  assert.match(await focused(), /^b, Wait/);
  await page.keyboard.press('Enter');
  await page.getByRole('complementary', { name: 'Step b' }).waitFor();
  assert.match(await focused(), /^b, Wait/, 'the focus stays where it was');
  await page.keyboard.press('+');
  await page.keyboard.press('0');
  for (let i = 0; i < 60 && (await focused()) !== 'Start'; i++) await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Start keys' }).waitFor();
  await page.getByRole('textbox', { name: 'Input' }).focus();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('{}');
  await page.keyboard.press('Tab');
  await page.keyboard.type('AUDIT');
  await page.keyboard.press('Tab');
  await page.keyboard.type('PUBLIC');
  await page.keyboard.press('Enter');
  await status(page, 'Completed');
});

browserTest('the live connection comes back after the engine was away', async (open) => {
  const definition = runbook('away', [approval('ask', ['bob'], 1)], { idempotency: 'none' });
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const page = await open('alice');
  await browser.open(page, link(id));
  await page.locator('.live.is-live').waitFor();
  browser.isExpected = true; // the browser tells on its console that nobody answers
  await house.restartEngine('SIGTERM');
  await page.locator('.live.is-live').waitFor();
  await house.person('bob').cmd(`approve.${id}.ask`, { decision: 'approved' });
  await status(page, 'Completed');
  browser.isExpected = false;
});

browserTest('NATS goes: the page says so by itself, and goes on where it was', async (open) => {
  const definition = runbook('cut', [approval('ask', ['bob'], 1)], { idempotency: 'none' });
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const page = await open('alice');
  const list = await open('alice');
  await browser.open(page, link(id));
  await browser.open(list, '#/executions');
  for (const p of [page, list]) await p.locator('.live.is-live').waitFor();
  browser.isExpected = true; // the browser tells on its console that the answers are errors
  await house.natsServer.end();
  for (const p of [page, list]) await p.locator('.live.is-away').waitFor();
  await browser.open(list, '#/approvals');
  await list.getByText('It is tried again by itself.').waitFor();
  await house.startNats();
  await list.getByText('Nothing waits for you.').waitFor();
  for (const p of [page, list]) await p.locator('.live.is-live').waitFor();
  await eventually(() => house.person('bob').cmd(`approve.${id}.ask`, { decision: 'approved' }));
  await status(page, 'Completed');
});

const pagesToSee = (runbookId, id) => [
  '#/runbooks',
  `#/runbooks/${runbookId}?step=ask`,
  `#/runbooks/${runbookId}?tab=steps`,
  `#/runbooks/${runbookId}/start`,
  '#/executions',
  link(id, '?step=ask'),
  link(id, '?tab=timeline'),
  link(id, '?tab=steps&step=ask'),
  link(id, '?tab=logs'),
  link(id, '?tab=evidence'),
  link(id, '?tab=history'),
  link(id, '?tab=values'),
  '#/approvals',
  '#/editor',
  '#/sign-in',
];

async function settled(page) {
  await page.locator('main h1').waitFor();
  await page.waitForFunction(() => !document.querySelector('main .loading, .dag-note:not([hidden])'));
}

browserTest('at phone width nothing hangs over the edge', async (open) => {
  const definition = runbook(
    'phone',
    [approval('ask', ['bob'], 1, [], { approvalConfig: { prompt: `Long: ${'x'.repeat(200)}` } })],
    { idempotency: 'none' },
  );
  await alice.register(definition);
  const id = await alice.startId(definition.id, { text: 'y'.repeat(300) });
  const page = await open('bob', { width: 390, height: 844 });
  for (const to of pagesToSee(definition.id, id)) {
    await browser.open(page, to);
    await settled(page);
    assert.equal(await overhang(page), 0, to);
  }
  // A table of which only a part is drawn keeps its columns.
  const many = runbook(
    'many',
    Array.from({ length: 200 }, (_, i) => wait(`s${i}`, 1)),
    { idempotency: 'none', maxConcurrentSteps: 100 },
  );
  await alice.register(many);
  await browser.open(page, link(await alice.startId(many.id, {}), '?tab=steps'));
  const table = page.getByRole('table', { name: 'Steps of the execution' });
  const name = table.getByRole('link', { name: 's3', exact: true });
  const box = await name.locator('xpath=ancestor::td').boundingBox();
  assert.ok(box.width > 180, `the name has its room: ${box.width}`);
  assert.equal(await overhang(page), 0);
  // What a tap opens is below the graph: the page goes there.
  await browser.open(page, link(id));
  await node(page, 'ask').click();
  await page.getByRole('complementary').getByText('Awaiting approval').waitFor();
  await page.waitForFunction(() => {
    const { top, bottom } = document.querySelector('.side').getBoundingClientRect();
    return top < innerHeight / 2 || bottom <= innerHeight;
  });
  await page.getByRole('link', { name: 'Go to my approvals' }).click();
  assert.match(await page.getByRole('article').first().textContent(), /Long: x/, 'the one one came for is first');
  await alice.cmd(`cancel.${id}`, {});
});

for (const dark of [false, true])
  browserTest(
    `accessible by axe's rules, ${dark ? 'dark' : 'light'}`,
    async (open) => {
      const seen = await someRotation();
      const id = await alice.startId('rotate-key', { host: dark ? 'ws-2' : 'ws-1', days: 99 });
      await alice.event('looked', { payload: { found: true } });
      await alice.stepStatus(id, 'ask', 'awaiting_approval');
      const page = await open('bob', { dark });
      const found = [];
      for (const to of pagesToSee('rotate-key', seen)) {
        await browser.open(page, to);
        await settled(page);
        await sleep(50);
        // In the dark only the colours differ.
        for (const v of await browser.accessibility(page, dark && ['color-contrast']))
          found.push({ to, ...v });
      }
      assert.deepEqual(found, [], JSON.stringify(found, null, 1));
    },
    { timeoutMs: 60000 },
  );

run(async () => {
  house = await House.start();
  alice = house.person('alice');
  browser = await Browser.start(`http://127.0.0.1:${house.enginePort}`);
});
