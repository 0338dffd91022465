// The input that a step was given, worked out again from what the execution shows. Pure.
//
// The engine does not record inputs of steps. They are, however, made of nothing but the definition, the
// execution's input and context, and the outputs of other steps; the rules are those of subjects' templates. For an
// approval the result is held against the recorded hash of what was shown (approval_hash.js).

import { makePath, parsePath } from './dag_model.js';

class Missing extends Error {}

/** The segments of `a.b[0]["c d"]`. */
export function pathSegments(text) {
  const segments = [];
  const pattern = /\s*(?:\.?([^.[\]\s"]+)|\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\])/gy;
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex;
    const m = pattern.exec(text);
    if (!m) {
      if (text.slice(at).trim() === '') break;
      throw new Missing(`not a path: ${text}`);
    }
    if (m[2] !== undefined) segments.push(Number(m[2]));
    else if (m[3] !== undefined) segments.push(JSON.parse(`"${m[3]}"`));
    else segments.push(m[1]);
  }
  return segments;
}

function follow(value, segments) {
  let at = value;
  for (const s of segments) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, s)) throw new Missing(`nothing at ${s}`);
    at = at[s];
  }
  return at;
}

/** What the step at @path sees. @execution: the API's; @graph: of its definition. */
function scopeOf(graph, execution, path) {
  const { id, indices, undoes } = parsePath(path);
  const node = graph.byId.get(id);
  const deps = dependencies(graph, node);
  const outputOf = (step) => {
    const known = graph.byId.get(step);
    if (!known) throw new Missing(`no step ${step}`);
    // Steps inside the same loops are seen as this iteration has them, the others as the outer one has.
    for (let n = indices.length; n >= 0; n--) {
      const result = execution.stepResults[makePath(step, indices.slice(0, n))];
      if (!result) continue;
      if (result.status !== 'completed' || result.output === undefined) break;
      return result.output;
    }
    throw new Missing(`no output of ${step}`);
  };
  const loop = () => {
    if (!node.group || !indices.length) throw new Missing('not in a loop');
    const index = indices.at(-1);
    const over = graph.byId.get(node.group).step.loopConfig?.iterateOver;
    if (over === undefined) return { index };
    const outer = scopeOf(graph, execution, makePath(node.group, indices.slice(0, -1)));
    const items = typeof over === 'string' ? outer.path(over.replace(/^\$\{(.*)\}$/s, '$1')) : over;
    return { index, item: items[index] };
  };
  return {
    node,
    deps,
    outputOf,
    loop,
    undoes,
    path: (text) => resolvePath(text, { node, deps, outputOf, loop, execution }),
  };
}

function dependencies(graph, node) {
  const named = (node.step.dependsOn || []).filter((d) => graph.byId.has(d));
  const branches = graph.edges.filter(
    (e) => e.to === node.id && (e.kind === 'true' || e.kind === 'false') && !named.includes(e.from),
  );
  return [...named, ...branches.map((e) => e.from)];
}

function resolvePath(text, scope) {
  const [first, ...rest] = pathSegments(text);
  const { execution } = scope;
  switch (first) {
    case 'input':
      return follow(execution.input, rest);
    case 'context':
      return follow(execution.context, rest);
    case 'execution':
      return follow({ ...execution, tenantId: execution.context?.tenantId }, rest);
    case 'loop':
      return follow(scope.loop(), rest);
    case 'steps':
      return followStep(scope, rest);
    case 'secrets':
      throw new Missing('secrets are never shown');
  }
  if (scope.deps.includes(first)) return follow(scope.outputOf(first), rest);
  for (const dep of scope.deps) {
    try {
      return follow(scope.outputOf(dep), [first, ...rest]);
    } catch (e) {
      if (!(e instanceof Missing)) throw e;
    }
  }
  return follow(execution.input, [first, ...rest]);
}

/** `steps.a.field` is the output's field; `steps.a.output.field` works too. */
function followStep(scope, [step, ...rest]) {
  const output = scope.outputOf(step);
  const isField = output !== null && typeof output === 'object' && Object.hasOwn(output, rest[0]);
  return follow(output, rest[0] === 'output' && !isField ? rest.slice(1) : rest);
}

const PLACE = /\$\{((?:[^{}"]|"(?:[^"\\]|\\.)*")*)\}/g;

function expression(text, scope) {
  const cut = text.indexOf('??');
  if (cut < 0) return scope.path(text.trim());
  try {
    return scope.path(text.slice(0, cut).trim());
  } catch (e) {
    if (!(e instanceof Missing)) throw e;
    const fallback = text.slice(cut + 2).trim();
    try {
      return JSON.parse(fallback);
    } catch {
      return fallback;
    }
  }
}

/** @template with all its `${…}` filled in. */
export function fill(template, scope) {
  if (Array.isArray(template)) return template.map((v) => fill(v, scope));
  if (template !== null && typeof template === 'object')
    return Object.fromEntries(Object.entries(template).map(([k, v]) => [k, fill(v, scope)]));
  if (typeof template !== 'string') return template;
  const places = [...template.matchAll(PLACE)];
  if (places.length === 1 && places[0][0] === template) return expression(places[0][1], scope);
  return template.replaceAll(PLACE, (_, text) => {
    const value = expression(text, scope);
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

/** {value} or {reason}: the input of the step at @path. */
export function stepInput(graph, execution, path) {
  const { id } = parsePath(path);
  const node = graph?.byId.get(id);
  if (!node) return { reason: 'The definition has no such step.' };
  try {
    const scope = scopeOf(graph, execution, path);
    if (node.step.input !== undefined) return { value: fill(node.step.input, scope) };
    return { value: defaultInput(scope, execution) };
  } catch (e) {
    if (e instanceof Missing)
      return { reason: `It can’t be worked out from what the execution shows (${e.message}).` };
    return { reason: 'It can’t be worked out here.' };
  }
}

/** `{<dependency>: <its output>}` of those that completed; without dependencies the execution's input. */
function defaultInput(scope, execution) {
  if (scope.undoes) return scope.outputOf(scope.undoes);
  if (scope.deps.length === 0) return scope.node.group ? scope.loop() : execution.input;
  const value = {};
  for (const dep of scope.deps) {
    try {
      value[dep] = scope.outputOf(dep);
    } catch (e) {
      if (!(e instanceof Missing)) throw e;
    }
  }
  return value;
}
