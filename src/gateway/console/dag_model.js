// From a definition to a graph: which steps there are, what leads where, which steps a loop repeats. Pure.
//
// It also takes half-written definitions (the editor draws while somebody types): what makes no sense is
// left out, never an error.

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const list = (v) => (Array.isArray(v) ? v : v === undefined || v === null ? [] : [v]);
const strings = (v) => list(v).filter((s) => typeof s === 'string');

/** {nodes: [{id, name, type, step, group, isCompensation}], byId, edges: [{from, to, kind, label}], loops: [id]}.
 * group: the loop whose body the step is part of, or null. kind: "dependency", "true", "false", "compensate". */
export function buildGraph(definition) {
  const steps = list(definition?.steps).filter((s) => isObject(s) && typeof s.id === 'string' && s.id);
  const byId = new Map();
  for (const [index, step] of steps.entries()) {
    if (byId.has(step.id)) continue;
    byId.set(step.id, {
      id: step.id,
      index,
      name: typeof step.name === 'string' && step.name ? step.name : step.id,
      type: typeof step.type === 'string' ? step.type : '',
      step,
      group: null,
      isCompensation: false,
    });
  }
  const edges = readEdges(byId);
  const loops = groupBodies(byId, edges);
  return { nodes: [...byId.values()], byId, edges, loops };
}

function readEdges(byId) {
  const edges = new Map();
  const add = (from, to, kind, label) => {
    if (from === to || !byId.has(from) || !byId.has(to)) return;
    const key = `${from}\n${to}`;
    const known = edges.get(key);
    // A branch says more than the dependency that leads the same way.
    if (!known || known.kind === 'dependency') edges.set(key, { from, to, kind, label });
  };
  for (const node of byId.values()) {
    for (const from of strings(node.step.dependsOn)) add(from, node.id, 'dependency');
    if (node.type === 'conditional' && isObject(node.step.config)) {
      for (const to of strings(node.step.config.trueBranch)) add(node.id, to, 'true', 'yes');
      for (const to of strings(node.step.config.falseBranch)) add(node.id, to, 'false', 'no');
    }
  }
  for (const node of byId.values()) {
    const other = byId.get(node.step.compensateWith);
    if (!other || other === node) continue;
    other.isCompensation = true;
    const key = `${node.id}\n${other.id}`;
    if (!edges.has(key)) edges.set(key, { from: node.id, to: other.id, kind: 'compensate', label: 'undo' });
  }
  return [...edges.values()];
}

/** The body of a loop and the steps that only hang on it are its group, inner loops first. */
function groupBodies(byId, edges) {
  const into = new Map([...byId.keys()].map((id) => [id, []]));
  const out = new Map([...byId.keys()].map((id) => [id, []]));
  for (const e of edges) {
    if (e.kind === 'compensate') continue;
    into.get(e.to).push(e.from);
    out.get(e.from).push(e.to);
  }
  const loops = [...byId.values()].filter(
    (n) => n.type === 'loop' && byId.has(bodyOf(n)) && bodyOf(n) !== n.id,
  );
  const regions = loops.map((loop) => ({ loop, members: regionFrom(bodyOf(loop), loop.id, into, out) }));
  // The smallest region that holds a step is its own loop's.
  regions.sort((a, b) => a.members.size - b.members.size);
  for (const { loop, members } of regions)
    for (const id of members) if (byId.get(id).group === null) byId.get(id).group = loop.id;
  for (const loop of loops) if (hasOwnAncestor(loop, byId)) byId.get(loop.id).group = null;
  return loops.map((l) => l.id);
}

const bodyOf = (node) =>
  (isObject(node.step.config) && node.step.config.bodyStepId) || node.step.loopConfig?.bodyStepId;

function regionFrom(body, loopId, into, out) {
  const members = new Set([body]);
  const missing = new Map();
  const queue = [body];
  for (let i = 0; i < queue.length; i++) {
    for (const next of out.get(queue[i])) {
      if (members.has(next) || next === loopId) continue;
      const left = (missing.get(next) ?? into.get(next).length) - 1;
      missing.set(next, left);
      if (left > 0) continue;
      members.add(next);
      queue.push(next);
    }
  }
  return members;
}

function hasOwnAncestor(node, byId) {
  const seen = new Set([node.id]);
  for (let at = node.group; at; at = byId.get(at).group) {
    if (seen.has(at)) return true;
    seen.add(at);
  }
  return false;
}

// ---- paths of an execution: "body[3]", "inner[2][0]", "undo~body[3]" (undo, run because of body[3]) ----

/** {id, indices, undoes}: the step of the definition, the iterations, and for a compensation the step it undoes. */
export function parsePath(path) {
  const at = /((?:\[\d+\])*)$/.exec(path);
  const indices = [...at[1].matchAll(/\[(\d+)\]/g)].map((m) => Number(m[1]));
  const [id, undoes] = path.slice(0, path.length - at[1].length).split('~');
  return undoes === undefined ? { id, indices } : { id, indices, undoes };
}

export const makePath = (id, indices) => id + indices.map((i) => `[${i}]`).join('');

/** Step results by step: id → [{path, indices, result}], in the order of their iterations. */
export function byStep(stepResults) {
  const found = new Map();
  for (const [path, result] of Object.entries(stepResults || {})) {
    const { id, indices } = parsePath(path);
    if (!found.has(id)) found.set(id, []);
    found.get(id).push({ path, indices, result });
  }
  for (const entries of found.values())
    if (entries.length > 1) entries.sort((a, b) => compareIndices(a.indices, b.indices));
  return found;
}

export function compareIndices(a, b) {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/** Steps in an order in which each comes after what it waits for; cycles come last, as they are listed. */
export function inOrder(graph) {
  const waits = new Map(graph.nodes.map((n) => [n.id, 0]));
  const out = new Map(graph.nodes.map((n) => [n.id, []]));
  for (const e of graph.edges) {
    if (e.kind === 'compensate') continue;
    waits.set(e.to, waits.get(e.to) + 1);
    out.get(e.from).push(e.to);
  }
  const queue = graph.nodes.filter((n) => waits.get(n.id) === 0 && !n.isCompensation).map((n) => n.id);
  const seen = new Set(queue);
  for (let i = 0; i < queue.length; i++)
    for (const to of out.get(queue[i])) {
      waits.set(to, waits.get(to) - 1);
      if (waits.get(to) > 0 || seen.has(to)) continue;
      seen.add(to);
      queue.push(to);
    }
  return [...queue, ...graph.nodes.filter((n) => !seen.has(n.id)).map((n) => n.id)];
}
