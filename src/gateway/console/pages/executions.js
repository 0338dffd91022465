// Executions: filtered, newest first, a page at a time, live.

import * as api from '../api.js';
import { h } from '../dom.js';
import { ago, duration, shortId, timeOf } from '../format.js';
import { EXECUTION_STATUS, executionPill, executionStatus, isEnded } from '../status.js';
import { button, empty, errorBox, loading, progressBar } from '../ui.js';
import { refresher } from '../refresh.js';
import { href, linkExecution } from '../url.js';
import { VirtualRows } from '../virtual.js';

const PAGE = 50;
const ASK_MOST = 1000; // at a time
const ASKS_MOST = 5; // a filter that little fits may need many
const REFRESH_MS = 1000; // live events come in crowds: one look a second is enough
const FILTERS = ['runbookId', 'status', 'initiatedBy', 'since', 'until'];

export function executionsPage(ctx) {
  const state = { items: null, next: null, error: null, wanted: PAGE, busy: false, runbooks: [], asked: '' };
  const rows = new VirtualRows({ rowHeight: 60, draw: ctx.draw });
  const reading = refresher({
    read,
    failed(e) {
      state.error = e;
      state.busy = false;
      ctx.draw();
    },
    leastMs: REFRESH_MS,
  });
  ctx.onClose(() => (rows.close(), reading.close()));

  const filter = () => Object.fromEntries(FILTERS.map((name) => [name, toApi(name, ctx.query[name])]));

  /** As many as are shown, from the newest. */
  async function read(signal) {
    const asked = filter();
    state.asked = JSON.stringify(asked);
    const items = [];
    let cursor;
    let asks = 0;
    do {
      const limit = Math.min(state.wanted - items.length, ASK_MOST);
      const page = await api.get('executions', { ...asked, limit, cursor }, signal);
      items.push(...page.executions);
      cursor = page.nextCursor;
    } while (cursor && items.length < state.wanted && ++asks < ASKS_MOST);
    state.items = items;
    state.next = cursor || null;
    state.error = null;
    state.busy = false;
    ctx.draw();
  }
  reading.now();
  api.all('runbooks', 'runbooks').then(
    (items) => ((state.runbooks = items), ctx.draw()),
    () => {},
  );

  function more() {
    state.wanted = state.items.length + PAGE;
    state.busy = true;
    reading.restart();
    ctx.draw();
  }

  ctx.live('stream', {
    onOpen: reading.soon,
    onEvent: (event) => /^runbook\.(execution|step)\./.test(event.type || '') && reading.soon(),
  });
  ctx.every(10000, ctx.draw); // "3 min ago" moves on

  const set = (name) => (e) => ctx.setQuery({ [name]: e.target.value || undefined });
  const field = (label, input) =>
    h('label', { class: 'filter' }, h('span', { class: 'label' }, label), input);

  function filters() {
    return h(
      'form',
      {
        class: 'filters',
        role: 'search',
        'aria-label': 'Filter executions',
        onsubmit: (e) => e.preventDefault(),
      },
      field(
        'Runbook',
        h('input', {
          list: 'runbook-ids',
          value: ctx.query.runbookId || '',
          placeholder: 'Any',
          autocomplete: 'off',
          onchange: set('runbookId'),
        }),
      ),
      h(
        'datalist',
        { id: 'runbook-ids' },
        state.runbooks.map((r) => h('option', { value: r.id, key: r.id }, r.name)),
      ),
      field(
        'Status',
        h(
          'select',
          { value: ctx.query.status || '', onchange: set('status') },
          h('option', { value: '' }, 'Any'),
          Object.entries(EXECUTION_STATUS).map(([id, s]) => h('option', { value: id, key: id }, s.text)),
        ),
      ),
      field(
        'Started by',
        h('input', {
          value: ctx.query.initiatedBy || '',
          placeholder: 'Anybody',
          autocomplete: 'off',
          onchange: set('initiatedBy'),
        }),
      ),
      field(
        'Since',
        h('input', { type: 'datetime-local', value: ctx.query.since || '', onchange: set('since') }),
      ),
      field(
        'Until',
        h('input', { type: 'datetime-local', value: ctx.query.until || '', onchange: set('until') }),
      ),
      FILTERS.some((f) => ctx.query[f])
        ? button('Clear', () => ctx.setQuery(Object.fromEntries(FILTERS.map((f) => [f, undefined]))), {
            kind: 'small',
          })
        : null,
    );
  }

  const nameOf = (id) => state.runbooks.find((r) => r.id === id)?.name || id;
  const row = (x) =>
    h(
      'tr',
      { key: x.id, class: 'row' },
      h('td', { class: 'col-status' }, executionPill(x.status)),
      h(
        'td',
        { class: 'col-main' },
        h('a', { class: 'row-link', href: linkExecution(x.id), title: x.runbookId }, nameOf(x.runbookId)),
        h(
          'span',
          { class: 'sub' },
          h('code', { title: x.id }, shortId(x.id)),
          nameOf(x.runbookId) === x.runbookId ? null : [' · ', x.runbookId],
          ` · version ${x.runbookVersion}`,
          x.originalExecutionId ? ' · replay' : null,
          x.parentExecutionId ? ' · child' : null,
          h('span', { class: 'only-phone' }, ` · ${x.initiatedBy} · ${ago(x.createdAt || x.startTime)}`),
        ),
      ),
      h('td', { class: 'hide-phone' }, x.initiatedBy),
      h('td', { class: 'hide-phone' }, timeOf(x.startTime || x.createdAt, ago(x.startTime || x.createdAt))),
      h(
        'td',
        { class: 'number hide-phone' },
        duration(
          x.durationMs ?? (x.startTime && !isEnded(x.status) ? Date.now() - Date.parse(x.startTime) : null),
        ),
      ),
      h('td', { class: 'col-progress hide-phone' }, progressBar(x.progress, executionStatus(x.status).tone)),
    );

  function list() {
    if (!state.items.length)
      return FILTERS.some((f) => ctx.query[f])
        ? empty('No execution fits these filters.')
        : empty(
            'Nothing has been started yet.',
            h('p', null, h('a', { href: href(['runbooks']) }, 'Start a runbook'), ', and it shows here by itself.'),
          );
    return [
      rows.table({
        label: 'Executions',
        items: state.items,
        row,
        head: h(
          'tr',
          null,
          h('th', { scope: 'col', class: 'col-status' }, 'Status'),
          h('th', { scope: 'col' }, 'Execution'),
          h('th', { scope: 'col', class: 'hide-phone' }, 'Started by'),
          h('th', { scope: 'col', class: 'hide-phone' }, 'When'),
          h('th', { scope: 'col', class: 'number hide-phone' }, 'Duration'),
          h('th', { scope: 'col', class: 'hide-phone' }, 'Steps'),
        ),
      }),
      state.next
        ? h(
            'div',
            { class: 'actions is-center' },
            button('Show older ones', more, { busy: state.busy }),
          )
        : null,
    ];
  }

  return {
    title: () => 'Executions',
    update() {
      if (JSON.stringify(filter()) === state.asked) return;
      state.wanted = PAGE;
      reading.restart();
    },
    view: () => [
      h('div', { class: 'page-head' }, h('h1', null, 'Executions')),
      filters(),
      errorBox(state.error, { retry: reading.now, isRetried: true }),
      state.items ? list() : state.error ? null : loading(),
    ],
  };
}

/** The inputs give local times without a zone. */
function toApi(name, value) {
  if (!value || (name !== 'since' && name !== 'until')) return value;
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}
