// All runbooks of the tenant.

import * as api from '../api.js';
import { h } from '../dom.js';
import { ago, plural, timeOf } from '../format.js';
import { empty, errorBox, linkButton, loading } from '../ui.js';
import { refresher } from '../refresh.js';
import { href, linkRunbook } from '../url.js';
import { VirtualRows } from '../virtual.js';

const REFRESH_MS = 1000;

export function runbooksPage(ctx) {
  const state = { items: null, error: null, isWhole: false };
  const rows = new VirtualRows({ rowHeight: 60, draw: ctx.draw });
  ctx.onClose(() => rows.close());

  const reading = refresher({
    async read(signal) {
      const isFirst = !state.items; // page by page; later all at once, or the list would shrink first
      const onPage = (items, page) => {
        if (!isFirst) return;
        state.items = [...items];
        state.isWhole = !page.nextCursor;
        ctx.draw();
      };
      state.items = await api.all('runbooks', 'runbooks', {}, { onPage, signal });
      state.isWhole = true;
      state.error = null;
      ctx.draw();
    },
    failed(e) {
      state.error = e;
      ctx.draw();
    },
    leastMs: REFRESH_MS,
  });
  ctx.onClose(reading.close);
  ctx.live('stream', {
    onOpen: reading.soon,
    onEvent: (event) => event.type === 'runbook.runbook.registered' && reading.soon(),
  });
  reading.now();

  function shown() {
    const words = (ctx.query.q || '').toLowerCase().split(/\s+/).filter(Boolean);
    return (state.items || []).filter((r) => {
      const text = `${r.id} ${r.name} ${r.description || ''}`.toLowerCase();
      return words.every((w) => text.includes(w));
    });
  }

  const row = (r) =>
    h(
      'tr',
      { key: r.id, class: 'row' },
      h(
        'td',
        { class: 'col-main' },
        h('a', { class: 'row-link', href: linkRunbook(r.id) }, r.name || r.id),
        h(
          'span',
          { class: 'sub' },
          h('code', null, r.id),
          r.description ? h('span', { class: 'sub-text' }, ` ${r.description}`) : null,
        ),
      ),
      h('td', { class: 'col-narrow' }, h('code', null, r.version)),
      h('td', { class: 'col-narrow number hide-phone' }, r.stepCount),
      h(
        'td',
        { class: 'hide-phone' },
        r.registeredAt ? timeOf(r.registeredAt, ago(r.registeredAt)) : '–',
        r.registeredBy ? h('span', { class: 'sub' }, `by ${r.registeredBy}`) : null,
      ),
      h(
        'td',
        { class: 'col-action' },
        h(
          'a',
          {
            class: 'button is-small',
            href: href(['runbooks', r.id, 'start']),
            'aria-label': `Start ${r.name || r.id}`,
          },
          'Start',
        ),
      ),
    );

  function list() {
    const items = shown();
    if (!state.items.length)
      return empty(
        'There are no runbooks yet.',
        h(
          'p',
          null,
          'Write one in the ',
          h('a', { href: href(['editor']) }, 'editor'),
          ', or register a file: ',
          h('code', null, 'runbook register file.yaml'),
        ),
      );
    if (!items.length)
      return empty('No runbook matches.', h('p', null, 'The search looks at ids, names and descriptions.'));
    return rows.table({
      label: 'Runbooks',
      head: h(
        'tr',
        null,
        h('th', { scope: 'col' }, 'Runbook'),
        h('th', { scope: 'col' }, 'Version'),
        h('th', { scope: 'col', class: 'number hide-phone' }, 'Steps'),
        h('th', { scope: 'col', class: 'hide-phone' }, 'Registered'),
        h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Actions')),
      ),
      items,
      row,
    });
  }

  return {
    title: () => 'Runbooks',
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h(
          'div',
          null,
          h('h1', null, 'Runbooks'),
          h(
            'p',
            { class: 'lead' },
            state.items ? plural(state.items.length, 'runbook') + (state.isWhole ? '' : ' so far') : ' ',
          ),
        ),
        h('div', { class: 'actions' }, linkButton('New runbook', href(['editor']), { iconName: 'plus' })),
      ),
      errorBox(state.error, { retry: reading.now, isRetried: true }),
      h(
        'div',
        { class: 'filters' },
        h(
          'label',
          { class: 'filter grow' },
          h('span', { class: 'label' }, 'Search'),
          h('input', {
            type: 'search',
            value: ctx.query.q || '',
            placeholder: 'Id, name or description',
            oninput: (e) => ctx.setQuery({ q: e.target.value || undefined }),
          }),
        ),
      ),
      state.items ? list() : state.error ? null : loading(),
    ],
  };
}
