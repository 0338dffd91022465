// Parts that several pages use: errors, tabs, values, buttons, questions.

import { h, render } from './dom.js';
import { icon } from './icons.js';
import { bytes } from './format.js';
import { isPassing } from './refresh.js';

const CODE_TEXT = {
  FORBIDDEN: 'You may not see or do this.',
  UNREACHABLE: 'No connection.',
  OVERLOADED: 'The engine is busy.',
  UNAUTHENTICATED: 'You have to sign in.',
  UNAVAILABLE: 'Out of reach at the moment.',
};
// Asking once more gives the same answer.
const FINAL = new Set([403, 404, 410]);

const titleOf = (error) =>
  CODE_TEXT[error.code] || (error.status === 404 ? 'Not found.' : 'That did not work.');

/** The engine's sentences have no capital letter and no full stop: they may stand within others. */
const sentence = (text) => {
  const whole = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
};

/** An error as a sentence, with its places. @isRetried: by a refresher, where that may help. */
export function errorBox(error, { title, retry, isRetried } = {}) {
  if (!error) return null;
  return h(
    'div',
    { class: 'notice tone-bad', role: 'alert' },
    icon('warning'),
    h(
      'div',
      { class: 'notice-text' },
      h(
        'p',
        null,
        h('strong', null, title || titleOf(error)),
        ' ',
        sentence(error.message || ''),
        isRetried && isPassing(error) ? ' It is tried again by itself.' : null,
      ),
      error.details?.length
        ? h(
            'ul',
            null,
            error.details
              .slice(0, 100)
              .map((d) => h('li', null, d.path ? [h('code', null, d.path), ' '] : null, d.message)),
          )
        : null,
      error.code && error.code !== 'UNREACHABLE' ? h('p', { class: 'faint' }, `Code: ${error.code}`) : null,
      retry && !FINAL.has(error.status)
        ? h('button', { type: 'button', class: 'button', onclick: retry }, 'Try again')
        : null,
    ),
  );
}

export const notice = (tone, iconName, ...content) =>
  h(
    'div',
    { class: ['notice', `tone-${tone}`] },
    icon(iconName),
    h('div', { class: 'notice-text' }, ...content),
  );

const isNarrow = window.matchMedia?.('(max-width: 980px)'); // as in pages.css: one column
const isCalm = window.matchMedia?.('(prefers-reduced-motion: reduce)');

/** In one column what a choice has opened is below what was chosen: go there, once it is drawn. */
export function bringIntoSight(selector) {
  if (!isNarrow?.matches) return;
  requestAnimationFrame(() =>
    requestAnimationFrame(() => {
      const el = document.querySelector(selector);
      if (el && el.getBoundingClientRect().top > window.innerHeight * 0.6)
        el.scrollIntoView({ block: 'start', behavior: isCalm?.matches ? 'auto' : 'smooth' });
    }),
  );
}

export const loading = (text = 'Loading…') => h('p', { class: 'loading', role: 'status' }, text);
export const empty = (title, ...content) =>
  h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), ...content);

/** Links that look like tabs: every tab has an address. @items: [{id, text, count?}]. */
export function tabs(label, items, current, hrefOf) {
  return h(
    'nav',
    { class: 'tabs', 'aria-label': label },
    h(
      'ul',
      null,
      items.map((t) =>
        h(
          'li',
          { key: t.id },
          h(
            'a',
            { href: hrefOf(t.id), 'aria-current': t.id === current ? 'true' : undefined },
            t.text,
            t.count !== undefined && t.count !== null ? h('span', { class: 'count' }, t.count) : null,
          ),
        ),
      ),
    ),
  );
}

export const button = (text, onclick, { kind = '', iconName, disabled, label, key, busy } = {}) =>
  h(
    'button',
    {
      type: 'button',
      key,
      class: ['button', kind && `is-${kind}`],
      onclick,
      disabled: Boolean(disabled || busy),
      'aria-label': label,
      'aria-busy': busy ? 'true' : undefined,
    },
    iconName ? icon(iconName) : null,
    h('span', null, text),
  );

export const linkButton = (text, to, { kind = '', iconName } = {}) =>
  h(
    'a',
    { class: ['button', kind && `is-${kind}`], href: to },
    iconName ? icon(iconName) : null,
    h('span', null, text),
  );

/** A list of facts. @rows: [[name, value]…]; those without a value are left out. */
export const facts = (rows, className = '') =>
  h(
    'dl',
    { class: ['facts', className] },
    rows
      .filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
      .map(([name, value]) => h('div', { key: name }, h('dt', null, name), h('dd', null, value))),
  );

// ---- values ----

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
const SHOWN_MOST = 200000;

/** Pretty JSON as pieces with classes. */
export function jsonPieces(text) {
  const pieces = [];
  let at = 0;
  for (const m of text.matchAll(TOKEN)) {
    if (m.index > at) pieces.push(text.slice(at, m.index));
    const kind = m[1] ? (m[2] ? 'j-key' : 'j-string') : m[3] ? 'j-word' : 'j-number';
    pieces.push(h('span', { class: kind }, m[1] || m[3] || m[4]));
    if (m[2]) pieces.push(m[2]);
    at = m.index + m[0].length;
  }
  pieces.push(text.slice(at));
  return pieces;
}

export function copyButton(text, label = 'Copy') {
  return h(
    'button',
    {
      type: 'button',
      class: 'icon-button copy',
      'aria-label': label,
      title: label,
      onclick: async function () {
        let done = true;
        try {
          await navigator.clipboard.writeText(typeof text === 'function' ? text() : text);
        } catch {
          done = false;
        }
        this.title = done ? 'Copied' : 'The browser does not allow copying here';
        this.classList.toggle('is-done', done);
        setTimeout(() => this.classList.remove('is-done'), 1500);
      },
    },
    icon('copy'),
  );
}

/** A JSON value to look at; keyboard users can scroll it. */
export function jsonView(value, { label = 'Value' } = {}) {
  if (value === undefined) return h('p', { class: 'faint' }, 'None.');
  const whole = JSON.stringify(value, null, 2);
  const text = whole.length > SHOWN_MOST ? whole.slice(0, SHOWN_MOST) : whole;
  return h(
    'div',
    { class: 'json-box' },
    copyButton(() => whole, `Copy ${label.toLowerCase()}`),
    h(
      'pre',
      { class: 'json', tabindex: '0', role: 'region', 'aria-label': label },
      text.length > 20000 ? text : jsonPieces(text),
    ),
    whole.length > SHOWN_MOST
      ? h(
          'p',
          { class: 'faint' },
          `The first ${bytes(SHOWN_MOST)} of ${bytes(whole.length)}; copying takes all.`,
        )
      : null,
  );
}

export const hashText = (hash) =>
  hash
    ? h(
        'span',
        { class: 'hash' },
        h('code', { title: hash }, `${hash.slice(0, 12)}…${hash.slice(-6)}`),
        copyButton(hash, 'Copy the hash'),
      )
    : '–';

export const idText = (id, text = id) =>
  h('span', { class: 'hash' }, h('code', { title: id }, text), copyButton(id, 'Copy the id'));

export function progressBar(progress, tone = 'active') {
  const total = progress?.total || 0;
  const done = progress ? progress.completed + progress.failed + progress.skipped : 0;
  const part = (n, name) =>
    n ? h('span', { class: `bar-${name}`, style: { width: `${(n / total) * 100}%` } }) : null;
  if (!progress || !total) return null;
  return h(
    'span',
    { class: ['progress', `tone-${tone}`] },
    h(
      'span',
      { class: 'bar', 'aria-hidden': 'true' },
      part(progress.completed, 'good'),
      part(progress.failed, 'bad'),
      part(progress.skipped, 'muted'),
    ),
    h('span', { class: 'progress-text' }, `${done} of ${total}`),
  );
}

// ---- questions ----

/** Ask before doing. @fields: [{name, label, type: 'text' | 'textarea', required?, hint?}]. Gives the fields' values,
 * or null when the person thinks better of it. */
export function ask({ title, text, action, kind = 'primary', fields = [] }) {
  return new Promise((resolve) => {
    const values = Object.fromEntries(fields.map((f) => [f.name, '']));
    const dialog = document.createElement('dialog');
    dialog.className = 'dialog';
    dialog.setAttribute('aria-labelledby', 'dialog-title');
    const before = document.activeElement;
    let answer = null;
    const input = (f) =>
      h(
        'label',
        { class: 'field' },
        h('span', { class: 'label' }, f.label),
        h(f.type === 'textarea' ? 'textarea' : 'input', {
          name: f.name,
          required: f.required,
          maxlength: 16000,
          rows: f.type === 'textarea' ? 3 : undefined,
          oninput: (e) => (values[f.name] = e.target.value),
        }),
        f.hint ? h('span', { class: 'hint' }, f.hint) : null,
      );
    render(
      dialog,
      h(
        'form',
        { method: 'dialog', onsubmit: () => (answer = values) },
        h('h2', { id: 'dialog-title' }, title),
        text ? h('p', null, text) : null,
        fields.map(input),
        h(
          'div',
          { class: 'actions' },
          h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Go back'),
          h('button', { type: 'submit', class: ['button', `is-${kind}`] }, action),
        ),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      before?.focus?.();
      resolve(answer);
    });
    document.getElementById('dialogs').append(dialog);
    dialog.showModal();
  });
}
