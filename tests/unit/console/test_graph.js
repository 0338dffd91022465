// From definitions to graphs, positions and what the pages make of an execution.

import './setup.js';
import assert from 'node:assert/strict';
import test from 'node:test';
import { layout } from '../../../src/gateway/console/dag_layout.js';
import { buildGraph, inOrder, makePath, parsePath } from '../../../src/gateway/console/dag_model.js';
import {
  applyEvent,
  stateReader,
  ticks,
  timeline,
  treeRows,
} from '../../../src/gateway/console/execution_model.js';
import { stepInput } from '../../../src/gateway/console/step_input.js';

const step = (id, dependsOn = [], extra = {}) => ({
  id,
  name: id.toUpperCase(),
  type: 'wait',
  dependsOn,
  ...extra,
});
const loop = (id, body, dependsOn = [], extra = {}) =>
  step(id, dependsOn, { type: 'loop', config: { bodyStepId: body }, ...extra });

const NESTED = {
  steps: [
    step('first'),
    loop('outer', 'a', ['first'], { loopConfig: { iterateOver: 'input.hosts' } }),
    step('a'),
    loop('inner', 'b', ['a'], { loopConfig: { iterateOver: 'loop.item.keys' } }),
    step('b'),
    step('c', ['b']),
    step('last', ['outer']),
  ],
};

test('branches, compensations and dependencies', () => {
  const graph = buildGraph({
    steps: [
      step('if', [], { type: 'conditional', config: { trueBranch: ['yes', 'also'], falseBranch: 'no' } }),
      step('yes', ['if'], { compensateWith: 'undo' }),
      step('also'),
      step('no'),
      step('undo'),
      step('join', ['yes', 'no']),
    ],
  });
  const edge = (from, to) => graph.edges.find((e) => e.from === from && e.to === to);
  assert.deepEqual(
    [edge('if', 'yes').label, edge('if', 'also').kind, edge('if', 'no').label, edge('yes', 'undo').kind],
    ['yes', 'true', 'no', 'compensate'],
  );
  assert.equal(graph.edges.filter((e) => e.to === 'yes').length, 1, 'a branch and a dependency are one edge');
  assert.equal(graph.byId.get('undo').isCompensation, true);
  assert.ok(edge('yes', 'join'));
});

test('the body of a loop and what only hangs on it', () => {
  const graph = buildGraph(NESTED);
  const group = (id) => graph.byId.get(id).group;
  assert.deepEqual(['first', 'outer', 'a', 'inner', 'b', 'c', 'last'].map(group), [
    null,
    null,
    'outer',
    'outer',
    'inner',
    'inner',
    null,
  ]);
});

test('half-written definitions are drawn as far as they go', () => {
  for (const definition of [null, 7, [], {}, { steps: 'x' }, { steps: [null, 7, {}, { id: 4 }, { id: '' }] }])
    assert.equal(buildGraph(definition).nodes.length, 0);
  const graph = buildGraph({
    steps: [
      { id: 'a' },
      { id: 'a' },
      { id: 'b', dependsOn: 'a' },
      { id: 'c', dependsOn: ['nobody', 'c', 7], type: 'loop', config: { bodyStepId: 'c' } },
      { id: 'd', type: 'loop', config: { bodyStepId: 'e' } },
      { id: 'e', type: 'loop', config: { bodyStepId: 'd' } },
    ],
  });
  assert.deepEqual(
    graph.nodes.map((n) => n.id),
    ['a', 'b', 'c', 'd', 'e'],
  );
  assert.deepEqual(
    graph.edges.map((e) => `${e.from}>${e.to}`),
    ['a>b'],
  );
  assert.equal(Object.keys(layout(graph).nodes).length, 5);
});

test('cycles end', () => {
  const graph = buildGraph({
    steps: [step('a', ['c']), step('b', ['a']), step('c', ['b']), step('d', ['a'])],
  });
  assert.deepEqual(new Set(inOrder(graph)), new Set(['a', 'b', 'c', 'd']));
  assert.equal(Object.keys(layout(graph).nodes).length, 4);
});

test('paths', () => {
  assert.deepEqual(parsePath('body[3][0]'), { id: 'body', indices: [3, 0] });
  assert.deepEqual(parsePath('plain'), { id: 'plain', indices: [] });
  assert.deepEqual(parsePath('undo~body[2]'), { id: 'undo', indices: [2], undoes: 'body' });
  assert.equal(makePath('body', [3, 0]), 'body[3][0]');
});

function overlaps(result, ids) {
  const boxes = ids.map((id) => result.nodes[id]);
  for (let i = 0; i < boxes.length; i++)
    for (let k = i + 1; k < boxes.length; k++) {
      const [a, b] = [boxes[i], boxes[k]];
      if (
        a.x < b.x + b.width - 0.5 &&
        b.x < a.x + a.width - 0.5 &&
        a.y < b.y + b.height - 0.5 &&
        b.y < a.y + a.height - 0.5
      )
        return `${ids[i]} ${ids[k]}`;
    }
  return null;
}

test('a loop is a box around its inside, and folds', () => {
  const graph = buildGraph(NESTED);
  const open = layout(graph);
  assert.deepEqual(Object.keys(open.boxes).sort(), ['inner', 'outer']);
  const [outer, inner] = [open.boxes.outer, open.boxes.inner];
  const within = (a, b) =>
    a.x >= b.x && a.y >= b.y && a.x + a.width <= b.x + b.width && a.y + a.height <= b.y + b.height;
  assert.ok(within(inner, outer));
  assert.ok(within(open.nodes.c, inner));
  assert.equal(overlaps(open, ['first', 'a', 'b', 'c', 'last']), null);
  const folded = layout(graph, ['outer']);
  assert.deepEqual(Object.keys(folded.nodes).sort(), ['first', 'last', 'outer']);
  assert.ok(folded.height < open.height);
});

const shapes = {
  chain: (i) => (i ? [i - 1] : []),
  fan: (i, n) => (i === 0 ? [] : i < n - 1 ? [0] : Array.from({ length: n - 2 }, (_, k) => k + 1)),
  lattice: (i) => (i < 25 ? [] : [...new Set([i - 25, (Math.floor(i / 25) - 1) * 25 + ((i * 7) % 25)])]),
};
for (const [name, deps] of Object.entries(shapes))
  test(`a thousand steps are laid out in time: ${name}`, () => {
    const steps = Array.from({ length: 1000 }, (_, i) =>
      step(
        `s${i}`,
        deps(i, 1000).map((d) => `s${d}`),
      ),
    );
    const graph = buildGraph({ steps });
    const begun = performance.now();
    const result = layout(graph);
    const took = performance.now() - begun;
    assert.equal(Object.keys(result.nodes).length, 1000);
    assert.equal(
      overlaps(
        result,
        graph.nodes.map((n) => n.id),
      ),
      null,
    );
    assert.ok(took < 1500, `${took} ms`);
    assert.ok(result.width < 12000, `${result.width} wide`);
  });

// ---- executions ----

const event = (type, path, extra = {}) => ({
  type: `runbook.${type}`,
  subject: path ? `id/${path}` : 'id',
  time: '2026-01-01T00:00:00.000Z',
  data: {},
  ...extra,
});

test('events move the state on', () => {
  const x = { status: 'running', stepResults: {} };
  assert.equal(applyEvent(x, event('step.started', 'a', { data: { attempt: 1 } })), true);
  assert.equal(x.stepResults.a.status, 'running');
  applyEvent(x, event('step.failed', 'a', { data: { attempt: 2, durationMs: 7, error: { code: 'E' } } }));
  assert.deepEqual(
    [
      x.stepResults.a.status,
      x.stepResults.a.attemptNumber,
      x.stepResults.a.durationMs,
      x.stepResults.a.error.code,
    ],
    ['failed', 2, 7, 'E'],
  );
  applyEvent(x, event('execution.failed'));
  assert.equal(x.status, 'failed');
  assert.equal(applyEvent(x, event('evidence.recorded', 'a')), false);
  assert.equal(applyEvent(x, { type: 'other' }), false);
});

test('what the graph shows: one, many, and the iteration looked at', () => {
  const x = {
    stepResults: {
      a: { status: 'completed', durationMs: 5 },
      'b[0]': { status: 'completed' },
      'b[1]': { status: 'failed', error: { code: 'E' } },
    },
  };
  const all = stateReader(x);
  assert.equal(all('a').text, 'Completed · 5 ms');
  assert.deepEqual([all('b').status, all('b').text], ['failed', '2 of 2 done, 1 failed']);
  assert.equal(all('nowhere').status, 'pending');
  assert.equal(stateReader(x, [0])('b').status, 'completed');
  assert.match(stateReader(x, [1])('b').text, /^Failed · E/);
  assert.equal(stateReader(null)('a'), null);
});

test('the tree of steps unfolds loops and child executions', () => {
  const graph = buildGraph(NESTED);
  const done = { status: 'completed' };
  const execution = {
    id: 'x',
    stepResults: {
      first: { ...done, childExecutionId: 'kid' },
      outer: done,
      'a[0]': done,
      'inner[0]': done,
      'b[0][0]': done,
      'b[0][1]': done,
      'c[0][1]': done,
    },
  };
  const child = {
    graph: buildGraph({ steps: [step('k')] }),
    execution: { id: 'kid', stepResults: { k: done } },
  };
  const keys = (isOpen) => treeRows(graph, execution, isOpen, () => child).map((r) => r.key);
  assert.deepEqual(
    keys(() => false),
    ['first', 'outer', 'last'],
  );
  assert.deepEqual(
    keys(() => true),
    [
      'first',
      'first>k',
      'outer',
      'outer#0',
      'a[0]',
      'inner[0]',
      'inner[0]#0',
      'b[0][0]',
      'inner[0]#1',
      'b[0][1]',
      'c[0][1]',
      'last',
    ],
  );
});

test('the timeline: attempts, pauses between them, waits', () => {
  const at = (ms) => new Date(ms).toISOString();
  const { rows, from, to } = timeline([
    event('execution.started', '', { time: at(0) }),
    event('step.started', 'a', { time: at(10), data: { attempt: 1 } }),
    event('step.retrying', 'a', { time: at(30), data: { attempt: 1 } }),
    event('step.started', 'a', { time: at(50), data: { attempt: 2 } }),
    event('step.completed', 'a', { time: at(90) }),
    event('step.started', 'ask', { time: at(90) }),
    event('step.awaiting_approval', 'ask', { time: at(90) }),
    event('step.skipped', 'no', { time: at(95) }),
  ]);
  assert.deepEqual([from, to, rows.map((r) => r.path)], [0, 95, ['a', 'ask']]);
  assert.deepEqual(
    rows[0].bars.map((b) => [b.kind, b.attempt, b.from, b.to, b.outcome]),
    [
      ['run', 1, 10, 30, 'failed'],
      ['retry', 1, 30, 50, 'done'],
      ['run', 2, 50, 90, 'completed'],
    ],
  );
  assert.deepEqual(
    rows[1].bars.map((b) => [b.kind, b.to]),
    [['approval', null]],
  );
});

test('marks of an axis are few and round', () => {
  for (const span of [1, 950, 12345, 3600000, 86400000 * 400]) {
    const marks = ticks(span, 6);
    assert.ok(marks.length >= 1 && marks.length <= 8, `${span}: ${marks}`);
  }
  assert.deepEqual(ticks(1000, 5), [0, 200, 400, 600, 800, 1000]);
});

test('the input of a step is worked out again', () => {
  const graph = buildGraph({
    steps: [
      step('look'),
      step('use', ['look'], {
        input: {
          host: '${look.host}',
          text: 'at ${score ?? "no"} of ${input.who}',
          all: '${steps.look.output}',
          none: '${gone ?? null}',
        },
      }),
      step('plain', ['look', 'skip']),
      step('skip'),
      loop('each', 'one', ['look'], { loopConfig: { iterateOver: 'input.hosts' } }),
      step('one'),
      step('two', ['one'], { input: '${loop.item} ${loop.index} ${one.n}' }),
      step('bad', ['look'], { input: '${look.nothing}' }),
    ],
  });
  const execution = {
    id: 'x',
    input: { who: 'kim', hosts: ['h0', 'h1'] },
    context: {},
    stepResults: {
      look: { status: 'completed', output: { host: 'ws', score: 3 } },
      skip: { status: 'skipped' },
      'one[1]': { status: 'completed', output: { n: 7 } },
    },
  };
  const input = (path) => stepInput(graph, execution, path).value;
  assert.deepEqual(input('look'), execution.input);
  assert.deepEqual(input('use'), {
    host: 'ws',
    text: 'at 3 of kim',
    all: { host: 'ws', score: 3 },
    none: null,
  });
  assert.deepEqual(input('plain'), { look: { host: 'ws', score: 3 } });
  assert.deepEqual(input('one[1]'), { index: 1, item: 'h1' });
  assert.equal(input('two[1]'), 'h1 1 7');
  assert.match(stepInput(graph, execution, 'bad').reason, /nothing/);
  assert.ok(stepInput(graph, execution, 'nobody').reason);
});

test('what was undone: in the graph, in the tree, with its input', () => {
  const graph = buildGraph({ steps: [step('do', [], { compensateWith: 'undo' }), step('undo')] });
  const execution = {
    id: 'x',
    input: { a: 1 },
    stepResults: {
      do: { status: 'completed', output: { n: 3 } },
      'undo~do': { status: 'completed', durationMs: 2 },
    },
  };
  assert.equal(stateReader(execution)('undo').text, 'Completed · 2 ms');
  const keys = treeRows(
    graph,
    execution,
    () => false,
    () => null,
  ).map((r) => r.key);
  assert.deepEqual(keys, ['do', 'undo~do']);
  assert.deepEqual(stepInput(graph, execution, 'undo~do').value, { n: 3 });
});
