// Starting a runbook: a form made from its inputSchema, the context with its legal basis, options.

import * as api from '../api.js';
import { inOrder, buildGraph } from '../dag_model.js';
import { h } from '../dom.js';
import { CONTEXT_SCHEMA, fromRaw, makeField } from '../form_model.js';
import { FormState, formView } from '../form_view.js';
import { button, errorBox, loading, notice } from '../ui.js';
import { href, linkExecution, linkRunbook } from '../url.js';

const FILLED_IN = new Set(['tenantId', 'initiatedBy']);

export function startPage(ctx) {
  const { id } = ctx.params;
  const state = {
    definition: null,
    error: null,
    failure: null,
    busy: false,
    duplicate: null,
    pristine: '',
    isDone: false,
  };
  const options = { dryRun: false, pauseAt: '', idempotencyKey: '', skipIdempotencyCheck: false };
  let input;
  let context;
  let steps = [];

  const filledIn = () => JSON.stringify([input?.raw, context?.raw]);
  const isDirty = () => state.definition !== null && !state.isDone && filledIn() !== state.pristine;

  async function load() {
    state.error = null;
    try {
      const answer = await api.runbook(id, ctx.query.version);
      const before = ctx.query.like ? await api.execution(ctx.query.like) : null;
      state.definition = answer.runbook;
      steps = inOrder(buildGraph(answer.runbook));
      input = new FormState(
        makeField(answer.runbook.inputSchema || {}, { name: 'input' }),
        before?.input ?? undefined,
        ctx.draw,
      );
      if (!answer.runbook.inputSchema && before === null) input.raw = '{}';
      const old = Object.fromEntries(
        Object.entries(before?.context || {}).filter(([name]) => !FILLED_IN.has(name)),
      );
      context = new FormState(
        makeField(loosen(CONTEXT_SCHEMA, old), { name: 'context' }),
        before ? old : undefined,
        ctx.draw,
      );
      check();
      state.pristine = filledIn();
    } catch (e) {
      state.error = e;
    }
    ctx.draw();
  }
  load();

  function check() {
    const a = fromRaw(input.field, input.raw);
    const b = fromRaw(context.field, context.raw);
    input.setErrors(a.errors);
    context.setErrors(b.errors);
    return { input: a, context: b, errors: [...a.errors, ...b.errors] };
  }

  async function submit(event) {
    event.preventDefault();
    const found = check();
    input.showAll = context.showAll = true;
    if (found.errors.length) {
      state.failure = null;
      ctx.draw();
      requestAnimationFrame(() =>
        requestAnimationFrame(() => document.querySelector('main [aria-invalid="true"]')?.focus()),
      );
      ctx.announce(`${found.errors.length} fields need attention.`);
      return;
    }
    state.busy = true;
    state.failure = state.duplicate = null;
    ctx.draw();
    try {
      const answer = await api.command('executions', {
        runbookId: id,
        version: ctx.query.version || undefined,
        input: found.input.value,
        context: { assumptions: [], ...found.context.value },
        options: {
          dryRun: options.dryRun || undefined,
          pauseAt: options.pauseAt || undefined,
          idempotencyKey: options.idempotencyKey.trim() || undefined,
          skipIdempotencyCheck: options.skipIdempotencyCheck || undefined,
        },
      });
      state.isDone = true;
      if (answer.duplicate) state.duplicate = answer.executionId;
      else ctx.go(linkExecution(answer.executionId));
    } catch (e) {
      state.failure = e;
      place(e);
    }
    state.busy = false;
    ctx.draw();
  }

  /** Errors of the engine go to the fields that they name. */
  function place(error) {
    const strip = (prefix) => (d) =>
      d.path.startsWith(prefix) && { path: d.path.slice(prefix.length), message: d.message };
    const details = error.details.filter((d) => typeof d.path === 'string');
    const ofInput = details.map(strip('/input')).filter(Boolean);
    input.setErrors(error.code === 'INVALID_INPUT' && !ofInput.length ? details : ofInput);
    context.setErrors(details.map(strip('/context')).filter(Boolean));
  }

  const checkbox = (name, label, hint) =>
    h(
      'label',
      { class: 'check' },
      h('input', {
        type: 'checkbox',
        checked: options[name],
        onchange: (e) => ((options[name] = e.target.checked), ctx.draw()),
      }),
      h('span', null, label, h('span', { class: 'hint' }, hint)),
    );

  function optionFields() {
    return h(
      'details',
      { class: 'fold-box', key: 'options' },
      h('summary', null, 'Options'),
      h(
        'div',
        { class: 'fields' },
        checkbox('dryRun', 'Dry run', 'Decides and resolves everything, but calls nothing outside.'),
        checkbox(
          'skipIdempotencyCheck',
          'Start even if the same is running',
          'Without this, an equal start answers with the execution that exists.',
        ),
        h(
          'div',
          { class: 'field' },
          h(
            'label',
            { class: 'label', for: 'idempotency-key' },
            'Idempotency key',
            h('span', { class: 'optional' }, ' optional'),
          ),
          h('input', {
            id: 'idempotency-key',
            value: options.idempotencyKey,
            autocomplete: 'off',
            oninput: (e) => (options.idempotencyKey = e.target.value),
          }),
        ),
        h(
          'div',
          { class: 'field' },
          h(
            'label',
            { class: 'label', for: 'pause-at' },
            'Pause before step',
            h('span', { class: 'optional' }, ' optional'),
          ),
          h(
            'select',
            { id: 'pause-at', value: options.pauseAt, onchange: (e) => (options.pauseAt = e.target.value) },
            h('option', { value: '' }, 'Nowhere'),
            steps.map((s) => h('option', { value: s, key: s }, s)),
          ),
        ),
      ),
    );
  }

  return {
    title: () => `Start ${state.definition?.name || id}`,
    isUnsaved: () => isDirty() && !state.busy,
    mayLeave: () => !isDirty() || window.confirm('This has not been started. Leave what you have filled in?'),
    signedIn: () => state.error && load(),
    view() {
      const d = state.definition;
      return [
        h(
          'p',
          { class: 'crumbs' },
          h('a', { href: href(['runbooks']) }, 'Runbooks'),
          ' / ',
          h('a', { href: linkRunbook(id, ctx.query.version) }, d?.name || id),
        ),
        h('h1', null, `Start ${d?.name || id}`),
        d?.description ? h('p', { class: 'description' }, d.description) : null,
        errorBox(state.error, { retry: load }),
        state.duplicate
          ? notice(
              'wait',
              'copy',
              h(
                'p',
                null,
                h('strong', null, 'Nothing was started: '),
                'an execution with this input exists already. ',
                h('a', { href: linkExecution(state.duplicate) }, 'Open it'),
                ', or allow a second one under Options.',
              ),
            )
          : null,
        d
          ? h(
              'form',
              { class: 'start-form', onsubmit: submit, novalidate: true },
              h(
                'div',
                { class: 'two-columns' },
                h(
                  'section',
                  { class: 'panel', 'aria-labelledby': 'input-title' },
                  h('h2', { id: 'input-title' }, 'Input'),
                  d.inputSchema
                    ? null
                    : h('p', { class: 'hint' }, 'The runbook describes no input; give any JSON.'),
                  formView(input, check),
                ),
                h(
                  'section',
                  { class: 'panel', 'aria-labelledby': 'context-title' },
                  h('h2', { id: 'context-title' }, 'Context'),
                  formView(context, check),
                ),
              ),
              optionFields(),
              errorBox(state.failure, { title: 'It was not started.' }),
              h(
                'div',
                { class: 'actions is-main' },
                button('Cancel', () => {
                  state.isDone = true;
                  ctx.go(linkRunbook(id, ctx.query.version));
                }),
                h(
                  'button',
                  { class: 'button is-primary', type: 'submit', disabled: state.busy },
                  state.busy ? 'Starting…' : 'Start',
                ),
              ),
            )
          : state.error
            ? null
            : loading(),
      ];
    },
  };
}

/** Members of an earlier context that are not texts (a data scope may be anything) get a field for JSON. */
function loosen(schema, old) {
  const properties = { ...schema.properties };
  for (const [name, value] of Object.entries(old))
    if (properties[name]?.type === 'string' && typeof value !== 'string')
      properties[name] = { title: properties[name].title };
  return { ...schema, properties };
}
