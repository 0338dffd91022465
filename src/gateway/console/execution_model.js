// An execution as it is kept on a page: what the API said, moved on by live events, read out for drawings. Pure.

import { byStep, inOrder, parsePath } from './dag_model.js';
import { duration } from './format.js';
import { foldStatus, isStepEnded, stepStatus } from './status.js';

const STEP_EVENTS = {
  ready: 'ready',
  started: 'running',
  retrying: 'retrying',
  awaiting_approval: 'awaiting_approval',
  awaiting_event: 'awaiting_event',
  waiting: 'waiting',
  completed: 'completed',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
};
const EXECUTION_EVENTS = {
  started: 'running',
  pausing: 'pausing',
  paused: 'paused',
  resumed: 'running',
  compensating: 'compensating',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
};

/** The step path of an event: what stands behind the execution's id in its subject. */
export const eventPath = (event) => {
  const cut = (event.subject || '').indexOf('/');
  return cut < 0 ? '' : event.subject.slice(cut + 1);
};

/** Move @execution on by a lifecycle event, as far as an event tells; true if something changed. The API is asked
 * again soon after, for what events don't hold. */
export function applyEvent(execution, event) {
  const m = /^runbook\.(step|execution)\.(\w+)$/.exec(event.type || '');
  if (!m || !execution) return false;
  if (m[1] === 'execution') {
    const status = EXECUTION_EVENTS[m[2]];
    if (!status) return false;
    execution.status = status;
    if (['completed', 'failed', 'cancelled'].includes(status)) execution.endTime = event.time;
    return true;
  }
  const path = eventPath(event);
  const status = STEP_EVENTS[m[2]];
  if (!path || !status) return false;
  const before = execution.stepResults[path] || {};
  const next = { ...before, status, attemptNumber: event.data?.attempt ?? before.attemptNumber };
  if (status === 'running' && !before.startTime) next.startTime = event.time;
  if (isStepEnded(status)) {
    next.endTime = event.time;
    if (event.data?.durationMs !== undefined) next.durationMs = event.data.durationMs;
  } else {
    delete next.endTime;
    delete next.durationMs;
  }
  if (status === 'failed' && event.data?.error) next.error = event.data.error;
  execution.stepResults[path] = next;
  return true;
}

const startsWith = (indices, prefix) => prefix.every((n, i) => indices[i] === n);

/** What the graph shows for each step: a function of the step's id. @focus: iteration indices to look at, or []. */
export function stateReader(execution, focus = []) {
  const results = byStep(execution?.stepResults);
  return (id) => {
    const all = results.get(id);
    if (!all) return execution ? describe({ status: 'pending' }) : null;
    const near = focus.length
      ? all.filter((e) => startsWith(e.indices, focus.slice(0, e.indices.length)))
      : all;
    const entries = near.length ? near : all;
    if (entries.length === 1) return describe(entries[0].result);
    const statuses = entries.map((e) => e.result.status);
    const ended = statuses.filter(isStepEnded).length;
    const status = foldStatus(statuses);
    const failed = statuses.filter((s) => s === 'failed').length;
    const look = stepStatus(status);
    const text = `${ended} of ${entries.length} done${failed ? `, ${failed} failed` : ''}`;
    return { status, tone: look.tone, icon: look.icon, text };
  };
}

function describe(result) {
  const look = stepStatus(result.status);
  let text = look.text;
  if (result.status === 'completed' && result.durationMs !== undefined)
    text += ` · ${duration(result.durationMs)}`;
  else if (result.attemptNumber > 1) text += ` · attempt ${result.attemptNumber}`;
  else if (result.status === 'failed' && result.error?.code) text += ` · ${result.error.code}`;
  return { status: result.status, tone: look.tone, icon: look.icon, text };
}

/** Rows of the tree of steps. @isOpen(key, default): is the fold open; @childOf(id): {execution, graph, error} of a
 * child execution, or undefined while it is not there. Rows: {key, depth, kind: "step" | "iteration" | "note", …}. */
export function treeRows(graph, execution, isOpen, childOf, depth = 0, prefix = '') {
  if (!graph || !execution) return [];
  const results = execution.stepResults;
  const order = inOrder(graph).map((id) => graph.byId.get(id));
  const byGroup = new Map();
  for (const node of order) {
    if (!byGroup.has(node.group)) byGroup.set(node.group, []);
    byGroup.get(node.group).push(node);
  }
  const iterations = iterationsOf(results, graph);
  const all = byStep(results);
  const rows = [];
  const walk = (group, indices, level) => {
    for (const node of byGroup.get(group) || []) {
      if (node.isCompensation && !indices.length) undoings(node, level);
      const path = node.id + indices.map((i) => `[${i}]`).join('');
      const result = results[path];
      if (!result && (indices.length || node.isCompensation)) continue;
      const key = `${prefix}${path}`;
      const numbers = iterations.get(path) || [];
      const child = result?.childExecutionId;
      const canOpen = numbers.length > 0 || Boolean(child);
      const open = canOpen && isOpen(key, numbers.length > 0 && numbers.length <= 3);
      rows.push({
        kind: 'step',
        key,
        depth: level,
        node,
        path,
        result: result || { status: 'pending' },
        canOpen,
        isOpen: open,
        iterations: numbers.length,
        child,
        executionId: execution.id,
      });
      if (!open) continue;
      if (child) rows.push(...childRows(child, isOpen, childOf, level + 1, `${key}>`));
      for (const n of numbers) {
        const iterationKey = `${key}#${n}`;
        const statuses = statusesOf(results, byGroup.get(node.id) || [], [...indices, n]);
        const inner = isOpen(iterationKey, numbers.length === 1);
        rows.push({
          kind: 'iteration',
          key: iterationKey,
          depth: level + 1,
          number: n,
          status: foldStatus(statuses),
          canOpen: true,
          isOpen: inner,
        });
        if (inner) walk(node.id, [...indices, n], level + 2);
      }
    }
  };
  // What was undone, at the top level: a compensation has a row for each step that it undid.
  const undoings = (node, level) => {
    for (const { path, result } of all.get(node.id) || [])
      if (parsePath(path).undoes)
        rows.push({
          kind: 'step',
          key: `${prefix}${path}`,
          depth: level,
          node,
          path,
          result,
          executionId: execution.id,
        });
  };
  walk(null, [], depth);
  return rows;
}

function childRows(id, isOpen, childOf, depth, prefix) {
  const child = childOf(id);
  if (!child)
    return [{ kind: 'note', key: `${prefix}wait`, depth, text: 'Loading the child execution…', id }];
  if (child.error) return [{ kind: 'note', key: `${prefix}error`, depth, text: child.error.message, id }];
  return treeRows(child.graph, child.execution, isOpen, childOf, depth, prefix);
}

/** Loop path → the numbers of its iterations that exist. */
function iterationsOf(results, graph) {
  const found = new Map();
  for (const path of Object.keys(results)) {
    const { id, indices } = parsePath(path);
    const group = graph.byId.get(id)?.group;
    if (!group || !indices.length) continue;
    const loop =
      group +
      indices
        .slice(0, -1)
        .map((i) => `[${i}]`)
        .join('');
    if (!found.has(loop)) found.set(loop, new Set());
    found.get(loop).add(indices.at(-1));
  }
  return new Map([...found].map(([path, set]) => [path, [...set].sort((a, b) => a - b)]));
}

function statusesOf(results, nodes, indices) {
  const suffix = indices.map((i) => `[${i}]`).join('');
  return nodes.map((n) => results[n.id + suffix]?.status).filter(Boolean);
}

// ---- the timeline ----

const BAR_KINDS = {
  started: 'run',
  retrying: 'retry',
  awaiting_approval: 'approval',
  awaiting_event: 'event',
  waiting: 'wait',
};
const BAR_ENDS = new Set(['completed', 'failed', 'skipped', 'cancelled']);

/** Rows of the timeline from the history: [{path, bars: [{kind, attempt, from, to (null: still open), outcome}]}], and
 * the span of all. Times are milliseconds. */
export function timeline(events) {
  const rows = new Map();
  let from = Infinity;
  let to = -Infinity;
  for (const event of events) {
    const at = Date.parse(event.time);
    if (Number.isNaN(at)) continue;
    from = Math.min(from, at);
    to = Math.max(to, at);
    const m = /^runbook\.step\.(\w+)$/.exec(event.type || '');
    const path = m && eventPath(event);
    if (!path) continue;
    const row = rows.get(path) || { path, bars: [] };
    const open = row.bars.at(-1)?.to === null ? row.bars.at(-1) : null;
    const kind = BAR_KINDS[m[1]];
    if (!kind && !BAR_ENDS.has(m[1])) continue;
    if (open) {
      open.to = at;
      // What a step waits for begins in the moment in which it is started: one bar, not two.
      if (kind && kind !== 'retry' && kind !== 'run' && open.kind === 'run' && at - open.from <= 1)
        row.bars.pop();
      else open.outcome = kind === 'retry' ? 'failed' : kind ? 'done' : m[1];
    }
    if (kind) row.bars.push({ kind, attempt: event.data?.attempt || 1, from: at, to: null, outcome: null });
    else if (!open && m[1] !== 'skipped')
      row.bars.push({ kind: 'run', attempt: event.data?.attempt || 1, from: at, to: at, outcome: m[1] });
    if (row.bars.length) rows.set(path, row);
  }
  if (from === Infinity) [from, to] = [0, 0];
  return { rows: [...rows.values()], from, to };
}

/** Round marks for an axis of @span milliseconds: at most @most of them. */
export function ticks(span, most = 6) {
  const steps = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000,
    900000, 1800000, 3600000, 7200000, 14400000, 28800000, 86400000, 172800000, 604800000, 2592000000,
  ];
  const step = steps.find((s) => span / s <= most) || steps.at(-1) * Math.ceil(span / steps.at(-1) / most);
  const marks = [];
  for (let t = 0; t <= span; t += step) marks.push(t);
  return marks;
}
