// Writing a runbook: the engine's own checker while one types, its errors at their places, the graph beside it.

import * as api from '../api.js';
import { DagHost } from '../dag_host.js';
import { buildGraph } from '../dag_model.js';
import { h } from '../dom.js';
import { TextEditor } from '../editor_text.js';
import { plural } from '../format.js';
import { icon } from '../icons.js';
import { lineOf, placeOf } from '../text_places.js';
import { button, errorBox, loading, notice } from '../ui.js';
import { href, linkRunbook } from '../url.js';

const PAUSE_MS = 350; // after the last key

const SAMPLE = `id: my-runbook
name: My runbook
version: 1.0.0
description: What it is for.

inputSchema:
  type: object
  required: [host]
  properties:
    host: {type: string, title: Host, minLength: 1}

steps:
  - id: ask
    name: Somebody agrees
    type: human-approval
    dependsOn: []
    approvalConfig:
      approvers: [bob, carol]
      minApprovals: 1
      timeoutMs: 3600000
      timeoutAction: fail
      prompt: "Go on with \${input.host}?"

  - id: settle
    name: Let it settle
    type: wait
    dependsOn: [ask]
    config: {durationMs: 1000}
`;

// The order in which people write a definition's members; the engine gives them sorted by name.
const ORDER = [
  'id',
  'name',
  'version',
  'description',
  'type',
  'dependsOn',
  'condition',
  'inputSchema',
  'input',
  'config',
  'approvalConfig',
  'loopConfig',
  'timeoutMs',
  'retryPolicy',
  'onFailure',
  'compensateWith',
  'defaultRetryPolicy',
  'globalTimeoutMs',
  'steps',
  'output',
  'outputSchema',
];

function inHumanOrder(value, depth = 0) {
  if (Array.isArray(value)) return value.map((v) => inHumanOrder(v, depth + 1));
  if (value === null || typeof value !== 'object') return value;
  const rank = (key) => (ORDER.includes(key) ? ORDER.indexOf(key) : ORDER.length);
  const keys = depth <= 2 ? Object.keys(value).sort((a, b) => rank(a) - rank(b)) : Object.keys(value);
  return Object.fromEntries(
    keys.map((key) => [key, key === 'steps' ? inHumanOrder(value[key], depth + 1) : value[key]]),
  );
}

export function editorPage(ctx) {
  const state = {
    saved: SAMPLE,
    check: 'idle',
    problems: [],
    error: null,
    summary: null,
    busy: false,
    failure: null,
    graphNote: '',
    isLoading: Boolean(ctx.query.from),
  };
  const editor = new TextEditor({
    value: SAMPLE,
    onInput: changed,
    label: 'Definition of the runbook, JSON or YAML',
  });
  const dag = new DagHost({
    label: 'Graph of what is being written',
    announce: ctx.announce,
    onSelect: goToStep,
  });
  let timer = 0;
  let controller = null;
  let graph = null;
  ctx.onClose(() => (clearTimeout(timer), controller?.abort(), dag.close()));

  async function load() {
    if (ctx.query.from) {
      try {
        const answer = await api.runbook(ctx.query.from, ctx.query.version);
        state.saved = JSON.stringify(inHumanOrder(answer.runbook), null, 2);
        editor.setValue(state.saved);
      } catch (e) {
        state.error = e;
      }
      state.isLoading = false;
    }
    check();
  }
  load();

  function changed() {
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE_MS);
    state.check = 'waiting';
    state.failure = null;
    ctx.draw();
  }

  function setGraph(definition, note = '') {
    graph = buildGraph(definition);
    state.graphNote = note;
    dag.setGraph(graph);
  }

  /** Ask the engine's checker what registering this would say. */
  async function check() {
    controller?.abort();
    const mine = (controller = new AbortController());
    const text = editor.value;
    state.check = 'checking';
    let isDrawn = false;
    try {
      setGraph(JSON.parse(text));
      isDrawn = true;
    } catch {
      isDrawn = false; // YAML, or unfinished: the checker's answer has the definition
    }
    ctx.draw();
    try {
      const answer = await api.definition(text, { validate: true, signal: mine.signal });
      if (mine !== controller) return;
      state.check = 'valid';
      state.summary = answer;
      setProblems([], text);
      if (answer.definition) setGraph(answer.definition);
      else if (!isDrawn) state.graphNote = 'Too large to be drawn while it is written as YAML.';
      state.error = null;
    } catch (e) {
      if (mine !== controller || mine.signal.aborted) return;
      const isRefusal = e.status >= 400 && e.status < 500 && e.status !== 401 && e.status !== 429;
      state.check = isRefusal ? 'invalid' : 'unknown';
      state.error = isRefusal ? null : e;
      setProblems(isRefusal ? problemsOf(e, text) : [], text);
      if (!isDrawn && graph) state.graphNote = 'As it was last understood.';
    }
    paintProblems();
    ctx.draw();
  }

  function problemsOf(error, text) {
    if (error.details.length) return error.details.map((d) => ({ ...d, place: placeOf(text, d.path || '') }));
    // Syntax: the sentence names the line.
    const m = /line (\d+)(?:,? column (\d+))?/.exec(error.message);
    let place = { start: 0, end: 1 };
    if (m) {
      const lines = text.split('\n').slice(0, Number(m[1]) - 1);
      const start = lines.reduce((sum, l) => sum + l.length + 1, 0) + Math.max(0, Number(m[2] || 1) - 1);
      const end = text.indexOf('\n', start);
      place = { start: Math.min(start, text.length), end: end < 0 ? text.length : end };
    }
    return [{ path: '', message: error.message, place }];
  }

  function setProblems(problems, text) {
    state.problems = problems
      .map((p) => ({ ...p, ...lineOf(text, p.place.start) }))
      .sort((a, b) => a.place.start - b.place.start);
    editor.setMarks(state.problems.map((p) => p.place));
  }

  /** Steps with problems are marked in the graph too. */
  /** In the graph too, as long as it is of this text: in an older one the numbers mean other steps. */
  function paintProblems() {
    const count = new Map();
    for (const p of state.graphNote ? [] : state.problems) {
      const m = /^\/steps\/(\d+)/.exec(p.path || '');
      const node = m && graph?.nodes.find((n) => n.index === Number(m[1]));
      if (node) count.set(node.id, (count.get(node.id) || 0) + 1);
    }
    dag.setStates((id) =>
      count.has(id)
        ? { tone: 'bad', icon: 'warning', text: plural(count.get(id), 'problem'), status: 'failed' }
        : null,
    );
  }

  function goToStep(id) {
    const node = graph?.byId.get(id);
    if (node && !state.graphNote) editor.goTo(placeOf(editor.value, `/steps/${node.index}/id`));
  }

  async function register() {
    state.busy = true;
    state.failure = null;
    ctx.draw();
    try {
      const answer = await api.definition(editor.value);
      state.saved = editor.value;
      ctx.announce(answer.status === 'unchanged' ? 'It is registered already.' : 'Registered.');
      ctx.go(linkRunbook(answer.runbook.id, answer.runbook.version));
    } catch (e) {
      state.failure = e;
      if (e.details?.length) {
        setProblems(problemsOf(e, editor.value), editor.value);
        paintProblems();
      }
    }
    state.busy = false;
    ctx.draw();
  }

  function format() {
    try {
      editor.setValue(JSON.stringify(JSON.parse(editor.value), null, 2));
      changed();
    } catch {
      ctx.announce('Only JSON without errors can be put in order.');
    }
  }

  const VERDICTS = {
    idle: () => null,
    waiting: () => h('span', { class: 'faint' }, '…'),
    checking: () => h('span', { class: 'faint' }, 'Checking…'),
    unknown: () => h('span', { class: 'with-icon tone-wait' }, icon('warning'), 'Not checked'),
    invalid: () =>
      h('span', { class: 'with-icon tone-bad' }, icon('cross'), plural(state.problems.length, 'problem')),
    valid: () =>
      h(
        'span',
        { class: 'with-icon tone-good' },
        icon('check'),
        state.summary.status === 'unchanged'
          ? 'Registered already, unchanged'
          : `Valid, ${plural(state.summary.runbook.stepCount, 'step')}`,
      ),
  };

  function problemList() {
    if (!state.problems.length) return null;
    return h(
      'ol',
      { class: 'problems', 'aria-label': 'Problems' },
      state.problems
        .slice(0, 100)
        .map((p, i) =>
          h(
            'li',
            { key: `${i}${p.path}` },
            h(
              'button',
              { type: 'button', class: 'problem', onclick: () => editor.goTo(p.place) },
              h('span', { class: 'problem-place' }, `Line ${p.line}`),
              p.path ? h('code', null, p.path) : null,
              h('span', null, p.message),
            ),
          ),
        ),
    );
  }

  const isJson = () => /^\s*\{/.test(editor.value);

  return {
    title: () => (ctx.query.from ? `Edit ${ctx.query.from}` : 'New runbook'),
    isUnsaved: () => editor.value !== state.saved,
    mayLeave: () =>
      editor.value === state.saved || window.confirm('What you have written is not registered. Leave it?'),
    update: () => {},
    signedIn: () => (ctx.query.from && !state.saved ? load() : check()),
    view: () => [
      h(
        'p',
        { class: 'crumbs' },
        h('a', { href: href(['runbooks']) }, 'Runbooks'),
        ctx.query.from
          ? [' / ', h('a', { href: linkRunbook(ctx.query.from, ctx.query.version) }, ctx.query.from)]
          : null,
      ),
      h(
        'div',
        { class: 'page-head' },
        h(
          'div',
          null,
          h('h1', null, ctx.query.from ? `Edit ${ctx.query.from}` : 'New runbook'),
          h('p', { class: 'lead' }, 'JSON or YAML. A version never changes: give new content a new version.'),
        ),
        h(
          'div',
          { class: 'actions' },
          isJson() ? button('Format', format) : null,
          button('Register', register, {
            kind: 'primary',
            busy: state.busy,
            disabled: state.check === 'invalid',
          }),
        ),
      ),
      state.failure && !state.problems.length
        ? errorBox(state.failure, { title: 'It was not registered.' })
        : null,
      errorBox(state.error),
      state.isLoading
        ? loading()
        : h(
            'div',
            { class: 'editor' },
            h(
              'section',
              { class: 'editor-text', 'aria-label': 'Definition' },
              h('div', { class: 'editor-verdict', role: 'status' }, VERDICTS[state.check]()),
              editor.vnode(),
              problemList(),
            ),
            h(
              'section',
              { class: 'editor-graph', 'aria-label': 'Preview' },
              state.graphNote ? notice('wait', 'clock', h('p', null, state.graphNote)) : null,
              dag.vnode(),
            ),
          ),
    ],
  };
}
