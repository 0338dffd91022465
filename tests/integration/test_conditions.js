'use strict';
// Conditions, branches, joins and skips: what the definition says and what the status then shows.

const { test, run, assert } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { conditional, wait, step, runbook } = require('./lib/runbooks.js');

let house, alice;

const INPUT = {
  n: 5, real: 5.5, s: 'quarantine', list: ['a', 'b', 3], object: { k: { deep: [10, 20] } }, no: false, nothing: null,
  'odd name': 1,
};

/** [field, operator, value, holds] */
const OPERATORS = [
  ['input.n', 'eq', 5, true], ['input.n', 'eq', 5.0, true], ['input.n', 'eq', '5', false],
  ['input.object', 'eq', { k: { deep: [10, 20] } }, true], ['input.nothing', 'eq', null, true],
  ['input.n', 'ne', 6, true], ['input.n', 'ne', 5, false], ['input.s', 'ne', 'other', true],
  ['input.n', 'gt', 4, true], ['input.n', 'gt', 5, false], ['input.real', 'gt', 5, true],
  ['input.n', 'lt', 6, true], ['input.n', 'lt', 5, false], ['input.s', 'lt', 'r', true],
  ['input.n', 'gte', 5, true], ['input.n', 'gte', 6, false],
  ['input.n', 'lte', 5, true], ['input.n', 'lte', 4, false],
  ['input.s', 'in', ['quarantine', 'x'], true], ['input.n', 'in', [1, 2], false],
  ['input.n', 'notIn', [1, 2], true], ['input.n', 'notIn', [5], false],
  ['input.list', 'contains', 3, true], ['input.list', 'contains', 'c', false], ['input.s', 'contains', 'rant', true],
  ['input.s', 'startsWith', 'quar', true], ['input.s', 'startsWith', 'Quar', false],
  ['input.s', 'endsWith', 'tine', true], ['input.s', 'endsWith', 'x', false],
  ['input.s', 'matches', '^q.*e$', true], ['input.s', 'matches', '^x', false],
  ['input.s', 'exists', undefined, true], ['input.absent', 'exists', undefined, false],
  ['input.absent', 'notExists', undefined, true], ['input.n', 'notExists', undefined, false],
  ['input.object.k.deep[1]', 'eq', 20, true], ['input["odd name"]', 'eq', 1, true], ['input.no', 'eq', false, true],
  ['n', 'eq', 5, true], ['execution.tenantId', 'eq', 'acme', true],
  ['context.legalBasis.classification', 'eq', 'SENSITIVE', true],
];
const condition = ([field, operator, value]) => ({ field, operator, ...(value !== undefined && { value }) });

async function runOne(steps, input = INPUT, extra = {}) {
  const definition = runbook('conditions', steps, extra);
  await alice.register(definition);
  return alice.ended(await alice.startId(definition.id, input));
}
const status = (x) => Object.fromEntries(Object.entries(x.stepResults).map(([id, s]) => [id,
    s.skipReason || s.status]));

test('every operator, as a branch and as the condition of a step', async () => {
  const steps = OPERATORS.flatMap((o, i) => [
    conditional(`c${i}`, condition(o)),
    { ...wait(`w${i}`, 1), condition: condition(o) },
  ]);
  const x = await runOne(steps, INPUT, { maxConcurrentSteps: 100 });
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  OPERATORS.forEach((o, i) => {
    assert.equal(x.stepResults[`c${i}`].output.result, o[3], JSON.stringify(o));
    assert.equal(x.stepResults[`w${i}`].status, o[3] ? 'completed' : 'skipped', JSON.stringify(o));
  });
  assert.equal(new Set(OPERATORS.map((o) => o[1])).size, 14, 'all of the protocol are there');
});

test('all, any and not, in each other', async () => {
  const yes = { field: 'input.n', operator: 'eq', value: 5 };
  const no = { field: 'input.n', operator: 'eq', value: 6 };
  const cases = [
    [{ all: [yes, yes] }, true], [{ all: [yes, no] }, false], [{ any: [no, yes] }, true], [{ any: [no, no] }, false],
    [{ not: no }, true], [{ not: { all: [yes, { any: [no, { not: yes }] }] } }, true],
    [{ any: [{ all: [yes, { not: no }] }, no] }, true], [{ not: { not: { not: yes } } }, false],
  ];
  const x = await runOne(cases.map(([c], i) => conditional(`c${i}`, c)));
  cases.forEach(([c, holds], i) => assert.equal(x.stepResults[`c${i}`].output.result, holds, JSON.stringify(c)));
});

test('branches with lists of targets; every skip says why, also those that are carried on', async () => {
  const x = await runOne([
    conditional('c', condition(['input.n', 'gt', 4]), { trueBranch: ['t1', 't2'], falseBranch: ['f1', 'f2'] }),
    wait('t1', 1, ['c']),
    wait('t2', 1, ['c']),
    wait('f1', 1, ['c']),
    wait('f2', 1, ['c']),
    wait('f3', 1, ['f1', 'f2']),
    wait('f4', 1, ['f3']),
    wait('join', 1, ['t1', 'f4']),
    { ...wait('guarded', 1), condition: condition(['input.n', 'lt', 0]) },
    wait('behind', 1, ['guarded']),
  ]);
  assert.equal(x.status, 'completed');
  assert.deepEqual(status(x), {
    c: 'completed', t1: 'completed', t2: 'completed', f1: 'branch_not_taken', f2: 'branch_not_taken',
    f3: 'dependencies_skipped', f4: 'dependencies_skipped', join: 'completed', guarded: 'condition_false',
    behind: 'dependencies_skipped',
  });
  const events = await alice.all(`history.${x.id}`, 'events');
  assert.equal(events.find((e) => e.subject.endsWith('/f4') && e.type.endsWith('skipped')).data.skipReason,
      'dependencies_skipped');
});

test('conditionals behind conditionals', async () => {
  const tree = (n) => [
    conditional('root', condition(['input.n', 'gt', 10]), { trueBranch: 'big', falseBranch: 'small' }),
    conditional('big', condition(['input.n', 'gt', 100]), { dependsOn: ['root'], trueBranch: 'huge',
        falseBranch: 'large' }),
    conditional('small', condition(['input.n', 'gt', 1]), { dependsOn: ['root'], trueBranch: 'few',
        falseBranch: 'one' }),
    ...['huge', 'large'].map((id) => wait(id, 1, ['big'])),
    ...['few', 'one'].map((id) => wait(id, 1, ['small'])),
    wait('end', 1, ['huge', 'large', 'few', 'one']),
  ];
  for (const [n, taken] of [[1000, 'huge'], [50, 'large'], [5, 'few'], [1, 'one']]) {
    const x = await runOne(tree(), { n });
    for (const id of ['huge', 'large', 'few', 'one'])
      assert.equal(x.stepResults[id].status, id === taken ? 'completed' : 'skipped', `${n}: ${id}`);
    assert.equal(x.stepResults.end.status, 'completed');
  }
});

test('joins: "all" waits for all, "any" for one; with nothing but skips both are skipped', async () => {
  const never = { condition: condition(['input.n', 'lt', 0]) };
  const x = await runOne([
    wait('fast', 1),
    wait('slow', 300),
    { ...wait('off', 1), ...never },
    { ...wait('off2', 1), ...never },
    wait('all', 1, ['fast', 'slow', 'off']),
    { ...wait('any', 1, ['fast', 'slow']), joinPolicy: 'any' },
    { ...wait('any-none', 1, ['off', 'off2']), joinPolicy: 'any' },
    wait('all-none', 1, ['off', 'off2']),
  ]);
  const at = (id, member) => Date.parse(x.stepResults[id][member]);
  assert.ok(at('any', 'startTime') < at('slow', 'endTime'), '"any" did not wait');
  assert.ok(at('all', 'startTime') >= at('slow', 'endTime'), '"all" waited');
  assert.equal(x.stepResults['any-none'].skipReason, 'dependencies_skipped');
  assert.equal(x.stepResults['all-none'].skipReason, 'dependencies_skipped');
});

test('what is missing or of another kind fulfils no comparison', async () => {
  const x = await runOne([
    ['input.absent.more', 'gt', 1], ['input.list', 'gt', 1], ['input.absent', 'eq', null], ['input.absent', 'ne', 1],
    ['input.n', 'matches', '5'], ['input.absent', 'in', [1]],
  ].map((c, i) => conditional(`c${i}`, condition(c))));
  assert.equal(x.status, 'completed');
  const held = [0, 1, 2, 3, 4, 5].map((i) => x.stepResults[`c${i}`].output.result);
  assert.deepEqual(held, [false, false, false, true, false, false],
      'of a missing field only ne, notIn, notExists hold');
});

test('conditions over outputs of steps and items of loops', async () => {
  const x = await runOne([
    step('t', 'transform', [], { config: { jq: '{score: (.n * 20)}' } }),
    { ...wait('high', 1, ['t']), condition: condition(['t.score', 'gte', 100]) },
    { ...wait('low', 1, ['t']), condition: condition(['steps.t.output.score', 'lt', 100]) },
    step('l', 'loop', [], { config: { bodyStepId: 'b' }, loopConfig: { maxIterations: 10,
        iterateOver: 'input.list' } }),
    { ...wait('b', 1), condition: condition(['loop.item', 'eq', 'b']) },
  ]);
  assert.equal(x.status, 'completed', JSON.stringify(x.error));
  const { high, low } = status(x);
  assert.deepEqual({ high, low }, { high: 'completed', low: 'condition_false' });
  assert.deepEqual([0, 1, 2].map((i) => x.stepResults[`b[${i}]`].status), ['skipped', 'completed', 'skipped']);
});

run(async () => {
  house = await House.start({ receiver: false });
  alice = house.person('alice');
});
