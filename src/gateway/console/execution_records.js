// Logs and evidence of an execution, or of one of its steps.

import * as api from './api.js';
import { parsePath } from './dag_model.js';
import { h } from './dom.js';
import { timeOf } from './format.js';
import { icon } from './icons.js';
import { button, empty, errorBox, facts, hashText, jsonView, loading } from './ui.js';

const LEVELS = {
  debug: ['muted', 'dots'],
  info: ['active', 'dots'],
  warn: ['wait', 'warning'],
  error: ['bad', 'cross'],
};
const PAGE = 200;
const KEPT = 5000;

/** A list that is read page by page and may grow at its end. */
export class Records {
  constructor(page, what, query = {}) {
    Object.assign(this, { page, what, query, items: null, next: null, error: null, busy: false });
    this.arrived = []; // live, while an answer is waited for
  }

  async load({ more = false } = {}) {
    if (this.busy) return;
    this.busy = true;
    this.arrived = [];
    try {
      const answer = await api.get(api.executionPath(this.page.id, this.what), {
        ...this.query,
        limit: PAGE,
        cursor: more ? this.next : undefined,
      });
      const got = answer[this.what] || [];
      this.items = more ? [...this.items, ...got] : got;
      this.next = answer.nextCursor || null;
      this.error = null;
    } catch (e) {
      this.error = e;
    }
    this.busy = false;
    for (const entry of this.arrived) this.push(entry);
    this.page.ctx.draw();
  }

  /** What came live; only once the end has been read, and each once. */
  push(entry) {
    if (this.busy && this.arrived.length < KEPT) this.arrived.push(entry);
    if (!this.items || this.next || this.items.length >= KEPT || this.items.some((i) => i.id === entry.id))
      return;
    this.items = [...this.items, entry];
    this.page.ctx.draw();
  }

  view(row, none) {
    if (this.error) return errorBox(this.error, { retry: () => this.load() });
    if (!this.items) {
      this.load();
      return loading();
    }
    if (!this.items.length && !this.next) return empty(none);
    return [
      row(this.items),
      this.next
        ? h(
            'div',
            { class: 'actions is-center' },
            button('Show more', () => this.load({ more: true }), { busy: this.busy }),
          )
        : null,
    ];
  }
}

export function logList(entries, { withStep = true } = {}) {
  return h(
    'ol',
    { class: 'log', 'aria-label': 'Log' },
    entries.map((e) => {
      const [tone, name] = LEVELS[e.level] || LEVELS.info;
      return h(
        'li',
        { key: e.id, class: `tone-${tone}` },
        h('span', { class: 'log-time' }, timeOf(e.timestamp)),
        h('span', { class: 'log-level' }, icon(name), h('span', null, e.level)),
        h(
          'span',
          { class: 'log-text' },
          withStep && e.stepPath ? h('code', { class: 'log-step' }, e.stepPath) : null,
          e.message,
          e.metadata && Object.keys(e.metadata).length
            ? h(
                'details',
                { class: 'inline-fold' },
                h('summary', null, 'more'),
                jsonView(e.metadata, { label: 'Metadata' }),
              )
            : null,
        ),
      );
    }),
  );
}

export function evidenceList(items, { withStep = true, stepHref } = {}) {
  return h(
    'div',
    { class: 'cards is-small' },
    items.map((e) =>
      h(
        'article',
        { class: 'panel', key: e.id, 'aria-label': `Evidence ${e.type}` },
        h(
          'h3',
          { class: 'with-icon' },
          icon('shield'),
          h('span', null, typeof e.type === 'string' ? e.type : JSON.stringify(e.type)),
        ),
        facts([
          ['Source', typeof e.sourceRef === 'string' ? e.sourceRef : JSON.stringify(e.sourceRef)],
          [
            'Confidence',
            e.confidence === undefined || e.confidence === null
              ? null
              : `${Math.round(e.confidence * 100)} %`,
          ],
          ['Step', withStep && e.stepPath ? h('a', { href: stepHref(e.stepPath) }, e.stepPath) : null],
          ['When', timeOf(e.timestamp)],
          ['SHA-256', hashText(e.sha256)],
        ]),
        e.value !== undefined
          ? h(
              'details',
              { class: 'fold-box' },
              h('summary', null, 'Value'),
              jsonView(e.value, { label: 'Evidence' }),
            )
          : null,
      ),
    ),
  );
}

export function logsTab(page) {
  const { ctx } = page;
  let records = new Records(page, 'logs');
  let level = '';

  function setLevel(next) {
    level = next;
    records = new Records(page, 'logs', level ? { level } : {});
    ctx.draw();
  }

  return {
    onLog: (entry) => (!level || entry.level === level) && records.push(entry),
    view: () => [
      h(
        'div',
        { class: 'filters' },
        h(
          'label',
          { class: 'filter' },
          h('span', { class: 'label' }, 'Level'),
          h(
            'select',
            { value: level, onchange: (e) => setLevel(e.target.value) },
            h('option', { value: '' }, 'All'),
            Object.keys(LEVELS).map((l) => h('option', { value: l, key: l }, l)),
          ),
        ),
      ),
      records.view((items) => logList(items), 'Nothing has been logged.'),
    ],
  };
}

export function evidenceTab(page) {
  const records = new Records(page, 'evidence');
  let timer = 0;
  return {
    close: () => clearTimeout(timer),
    onChange() {
      if (!records.items) return;
      timer ||= setTimeout(() => ((timer = 0), records.load()), 1000);
    },
    view: () =>
      records.view((items) => evidenceList(items, { stepHref: page.stepHref }), 'There is no evidence yet.'),
  };
}

/** Those of a step: logs are asked for by step id and then told apart by iteration. */
export const ofPath = (items, path) =>
  parsePath(path).indices.length
    ? items.filter((i) => i.stepPath === path)
    : items.filter((i) => !i.stepPath || i.stepPath === path);
