// The controls of a form's fields (form_model.js). Labels, hints and errors are tied to their controls.

import { h } from './dom.js';
import { icon } from './icons.js';
import { formatHint, toRaw } from './form_model.js';

let serial = 0;

/** A form: its field, what it holds, what is wrong. `touch` decides what errors are shown: none before a field was
 * left or the form was sent. */
export class FormState {
  constructor(field, value, draw) {
    this.field = field;
    this.raw = toRaw(field, value);
    this.draw = draw;
    this.errors = new Map();
    this.touched = new Set();
    this.showAll = false;
    this.prefix = `f${++serial}`;
  }

  setErrors(errors) {
    this.errors = new Map();
    for (const { path, message } of errors)
      this.errors.set(path, [...(this.errors.get(path) || []), message]);
  }

  shown(path) {
    return this.showAll || this.touched.has(path) ? this.errors.get(path) || [] : [];
  }
}

/** All controls. @check() is called after every change. */
export function formView(form, check) {
  const changed = () => {
    check();
    form.draw();
  };
  return control(form, form.field, form.raw, (raw) => (form.raw = raw), '', changed, true);
}

function control(form, field, raw, set, path, changed, isRoot = false) {
  if (field.kind === 'object') return objectControl(form, field, raw, path, changed, isRoot);
  if (field.kind === 'array') return arrayControl(form, field, raw, set, path, changed);
  return h(
    'div',
    { class: ['field', form.shown(path).length && 'has-error'], key: path },
    h('label', { class: 'label', for: idOf(form, path) }, field.label, mark(field)),
    input(form, field, raw, set, path, changed),
    below(form, field, path),
  );
}

const idOf = (form, path) => `${form.prefix}-${path.replaceAll(/[^A-Za-z0-9]/g, '-')}`;
const mark = (field) => (field.required ? null : h('span', { class: 'optional' }, ' optional'));

function below(form, field, path) {
  const errors = form.shown(path);
  return [
    field.hint ? h('p', { class: 'hint', id: `${idOf(form, path)}-hint` }, field.hint) : null,
    errors.length
      ? h(
          'p',
          { class: 'error-text', id: `${idOf(form, path)}-error` },
          icon('warning'),
          h('span', null, errors.join(' ')),
        )
      : null,
  ];
}

function described(form, field, path) {
  const ids = [];
  if (field.hint) ids.push(`${idOf(form, path)}-hint`);
  if (form.shown(path).length) ids.push(`${idOf(form, path)}-error`);
  return ids.join(' ') || undefined;
}

function input(form, field, raw, set, path, changed, ariaLabel) {
  const props = {
    id: idOf(form, path),
    'data-path': path,
    'aria-label': ariaLabel,
    'aria-describedby': described(form, field, path),
    'aria-invalid': form.shown(path).length ? 'true' : undefined,
    'aria-required': field.required ? 'true' : undefined,
    value: raw,
    oninput: (e) => {
      set(e.target.value);
      changed();
    },
    onblur: () => {
      form.touched.add(path);
      changed();
    },
  };
  const option = (value, text) => h('option', { value, key: value }, text);
  switch (field.kind) {
    case 'enum':
      return h(
        'select',
        props,
        field.required && raw !== '' ? null : option('', 'Choose…'),
        field.options.map((o, i) => option(String(i), typeof o === 'string' ? o : JSON.stringify(o))),
      );
    case 'boolean':
      return h(
        'select',
        props,
        field.required ? null : option('', 'Not given'),
        option('true', 'Yes'),
        option('false', 'No'),
      );
    case 'json':
      return h('textarea', { ...props, rows: 5, class: 'mono', spellcheck: 'false', placeholder: 'JSON' });
    case 'textarea':
      return h('textarea', { ...props, rows: 4 });
    case 'number':
    case 'integer':
      return h('input', {
        ...props,
        type: 'text',
        inputmode: field.kind === 'integer' ? 'numeric' : 'decimal',
        autocomplete: 'off',
      });
    default:
      return h('input', {
        ...props,
        type: 'text',
        autocomplete: 'off',
        spellcheck: 'false',
        placeholder: formatHint(field),
      });
  }
}

function objectControl(form, field, raw, path, changed, isRoot) {
  const inner = field.fields.map((f) =>
    control(
      form,
      f,
      raw.members[f.name],
      (v) => (raw.members[f.name] = v),
      `${path}/${f.name.replaceAll('~', '~0').replaceAll('/', '~1')}`,
      changed,
    ),
  );
  if (isRoot) return h('div', { class: 'fields', key: path }, inner);
  return h(
    'fieldset',
    { class: 'group', key: path },
    h('legend', null, field.label, mark(field)),
    field.hint ? h('p', { class: 'hint' }, field.hint) : null,
    h('div', { class: 'fields' }, inner),
    below(form, { hint: '' }, path),
  );
}

function arrayControl(form, field, raw, set, path, changed) {
  const put = (next) => {
    set(next);
    changed();
  };
  const isSimple = !['object', 'array', 'json', 'textarea'].includes(field.item.kind);
  const row = (item, i) =>
    h(
      'div',
      { class: ['array-row', isSimple && 'is-simple'], key: String(i) },
      isSimple
        ? h(
            'div',
            { class: 'field' },
            input(
              form,
              { ...field.item, hint: '' },
              item,
              (v) => (raw[i] = v),
              `${path}/${i}`,
              changed,
              `${field.label} ${i + 1}`,
            ),
            below(form, { hint: '' }, `${path}/${i}`),
          )
        : control(
            form,
            { ...field.item, label: `${field.label} ${i + 1}` },
            item,
            (v) => (raw[i] = v),
            `${path}/${i}`,
            changed,
          ),
      h(
        'button',
        {
          type: 'button',
          class: 'icon-button',
          'aria-label': `Remove ${field.label} ${i + 1}`,
          onclick: () => put(raw.filter((_, k) => k !== i)),
        },
        icon('minus'),
      ),
    );
  return h(
    'fieldset',
    { class: 'group is-array', key: path },
    h('legend', null, field.label, mark(field)),
    field.hint ? h('p', { class: 'hint' }, field.hint) : null,
    raw.map(row),
    h(
      'button',
      { type: 'button', class: 'button is-small', onclick: () => put([...raw, toRaw(field.item)]) },
      icon('plus'),
      h('span', null, `Add${raw.length ? ' another' : ''}`),
    ),
    below(form, { hint: '' }, path),
  );
}
