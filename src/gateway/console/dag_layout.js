// Where the steps of a graph are drawn. Pure; runs in dag_worker.js, off the page's thread.
//
// Loops are boxes: the inside of one is laid out first, then the box takes part in its parent's layout as one
// large node. One level is laid out by dagre, whose drawings are the nicest; it needs seconds for a thousand
// steps and draws a step with fifty successors fifty wide, so large or wide levels go through `layered`, which
// is linear in all but its sorting and folds wide rows.

import dagre from './vendor/dagre.esm.js';
import { layered } from './dag_layered.js';
import { NODE_HEIGHT, NODE_WIDTH } from './dag_size.js';

const BOX_PAD = 20;
const GAP_X = 32;
const GAP_Y = 48;
const DAGRE_NODES_MOST = 250; // measured: 250 nodes with 500 edges take about 0.3 s, 1,000 take 4 s
const ROW_MOST = 14; // steps side by side, before a row is folded

/** @graph: {nodes: [{id, group}], edges: [{from, to}]}; @folded: ids of loops drawn without their inside.
 * Gives {width, height, nodes: {id: {x, y, width, height}} (top left corners), boxes: {loop id: {x, y, width,
 * height}}, edges: [{index, points: [{x, y}…]}]} */
export function layout(graph, folded = []) {
  const closed = new Set(folded);
  const groupOf = new Map(graph.nodes.map((n) => [n.id, n.group]));
  const inside = new Map();
  for (const n of graph.nodes) {
    if (!inside.has(n.group)) inside.set(n.group, []);
    inside.get(n.group).push(n.id);
  }
  const order = levelsFromInside(inside, groupOf);
  const hidden = new Set();
  for (const n of graph.nodes)
    for (let g = n.group; g; g = groupOf.get(g)) if (closed.has(g)) hidden.add(n.id);

  const sizes = new Map();
  const levels = new Map();
  const edges = liftEdges(graph, groupOf, hidden);
  for (const group of order) {
    if (group !== null && (closed.has(group) || hidden.has(group))) continue;
    const ids = (inside.get(group) || []).filter((id) => !hidden.has(id));
    const nodes = ids.map((id) => ({ id, ...(sizes.get(id) || { width: NODE_WIDTH, height: NODE_HEIGHT }) }));
    const level = layoutLevel(
      nodes,
      edges.filter((e) => e.level === group),
    );
    levels.set(group, level);
    if (group !== null)
      sizes.set(group, {
        width: Math.max(level.width, NODE_WIDTH) + 2 * BOX_PAD,
        height: level.height + NODE_HEIGHT + 2 * BOX_PAD + 12,
      });
  }
  return place(levels, inside, closed, hidden);
}

function levelsFromInside(inside, groupOf) {
  const depth = (group) => {
    let n = 0;
    for (let g = group; g !== null && g !== undefined && n < 1000; g = groupOf.get(g)) n++;
    return n;
  };
  return [...inside.keys()].sort((a, b) => depth(b) - depth(a));
}

/** Every edge belongs to the innermost level that holds both its ends, or the boxes around them. */
function liftEdges(graph, groupOf, hidden) {
  const chain = (id) => {
    const ids = [id];
    for (let g = groupOf.get(id); g; g = groupOf.get(g)) ids.push(g);
    return ids.reverse(); // outermost first
  };
  const found = [];
  graph.edges.forEach((e, index) => {
    if (hidden.has(e.from) && hidden.has(e.to)) return;
    const a = chain(e.from);
    const b = chain(e.to);
    let k = 0;
    while (k < a.length - 1 && k < b.length - 1 && a[k] === b[k]) k++;
    if (a[k] === b[k]) return; // from a loop into its own inside: the box says that
    found.push({ index, from: a[k], to: b[k], level: k ? a[k - 1] : null });
  });
  return found;
}

function layoutLevel(nodes, edges) {
  const width = widest(nodes, edges);
  if (nodes.length > DAGRE_NODES_MOST || width > ROW_MOST)
    return layered(nodes, edges, { gapX: GAP_X, gapY: GAP_Y, rowMost: ROW_MOST });
  return withDagre(nodes, edges);
}

/** Steps on the fullest layer, when each stands as high as it can. */
function widest(nodes, edges) {
  const rank = new Map(nodes.map((n) => [n.id, 0]));
  const waits = new Map(nodes.map((n) => [n.id, 0]));
  const out = new Map(nodes.map((n) => [n.id, []]));
  for (const e of edges) {
    out.get(e.from).push(e.to);
    waits.set(e.to, waits.get(e.to) + 1);
  }
  const queue = nodes.filter((n) => waits.get(n.id) === 0).map((n) => n.id);
  const count = new Map();
  for (let i = 0; i < queue.length; i++) {
    const r = rank.get(queue[i]);
    count.set(r, (count.get(r) || 0) + 1);
    for (const to of out.get(queue[i])) {
      rank.set(to, Math.max(rank.get(to), r + 1));
      waits.set(to, waits.get(to) - 1);
      if (waits.get(to) === 0) queue.push(to);
    }
  }
  return Math.max(0, ...count.values());
}

function withDagre(nodes, edges) {
  const g = new dagre.graphlib.Graph({ multigraph: true });
  g.setGraph({ rankdir: 'TB', nodesep: GAP_X, ranksep: GAP_Y, marginx: 0, marginy: 0 });
  g.setDefaultEdgeLabel(() => ({}));
  for (const n of nodes) g.setNode(n.id, { width: n.width, height: n.height });
  for (const e of edges) g.setEdge(e.from, e.to, {}, String(e.index));
  dagre.layout(g);
  const placed = new Map();
  for (const n of nodes) {
    const at = g.node(n.id);
    placed.set(n.id, { x: at.x - n.width / 2, y: at.y - n.height / 2, width: n.width, height: n.height });
  }
  const lines = edges.map((e) => ({
    index: e.index,
    points: g.edge(e.from, e.to, String(e.index)).points.map(({ x, y }) => ({ x, y })),
  }));
  return shiftToOrigin(placed, lines);
}

function shiftToOrigin(placed, lines) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const p of placed.values()) {
    left = Math.min(left, p.x);
    top = Math.min(top, p.y);
    right = Math.max(right, p.x + p.width);
    bottom = Math.max(bottom, p.y + p.height);
  }
  for (const { points } of lines)
    for (const { x } of points) {
      left = Math.min(left, x);
      right = Math.max(right, x);
    }
  if (left === Infinity) [left, top, right, bottom] = [0, 0, 0, 0];
  for (const p of placed.values()) {
    p.x -= left;
    p.y -= top;
  }
  for (const line of lines) line.points = line.points.map((p) => ({ x: p.x - left, y: p.y - top }));
  return { placed, lines, width: right - left, height: bottom - top };
}

/** Put the levels into each other, outermost first. */
function place(levels, inside, closed, hidden) {
  const result = { width: 0, height: 0, nodes: {}, boxes: {}, edges: [] };
  const todo = [{ group: null, x: 0, y: 0 }];
  for (let i = 0; i < todo.length; i++) {
    const { group, x, y } = todo[i];
    const level = levels.get(group);
    if (!level) continue;
    if (group === null) Object.assign(result, { width: level.width, height: level.height });
    for (const [id, p] of level.placed) {
      const at = { x: p.x + x, y: p.y + y, width: p.width, height: p.height };
      if (inside.has(id) && !closed.has(id) && !hidden.has(id)) {
        result.boxes[id] = at;
        result.nodes[id] = { x: at.x, y: at.y, width: at.width, height: NODE_HEIGHT };
        const inner = levels.get(id);
        const indent = (at.width - (inner ? inner.width : 0)) / 2;
        todo.push({ group: id, x: at.x + indent, y: at.y + NODE_HEIGHT + BOX_PAD });
      } else {
        result.nodes[id] = at;
      }
    }
    for (const line of level.lines)
      result.edges.push({ index: line.index, points: line.points.map((p) => ({ x: p.x + x, y: p.y + y })) });
  }
  return result;
}
