// The timeline: a bar for every attempt and every wait, drawn from the history's events.

import { h } from './dom.js';
import { parsePath } from './dag_model.js';
import { ticks, timeline } from './execution_model.js';
import { duration, timeText } from './format.js';
import { isEnded } from './status.js';
import { empty, errorBox, loading } from './ui.js';
import { VirtualRows } from './virtual.js';

const KIND_TEXT = {
  run: 'Attempt',
  retry: 'Pause before the next attempt',
  approval: 'Waiting for approval',
  event: 'Waiting for an event',
  wait: 'Waiting',
};
const OUTCOME_TEXT = {
  completed: 'completed',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
  done: 'done',
};

export function timelineTab(page) {
  const { ctx } = page;
  const rows = new VirtualRows({ rowHeight: 40, draw: ctx.draw });
  let made = { events: null, count: 0, model: null };

  /** Made anew only when there are new events. */
  function model() {
    if (made.events !== page.history || made.count !== page.history.length)
      made = { events: page.history, count: page.history.length, model: timeline(page.history) };
    return made.model;
  }

  const nameOf = (path) => page.graph?.byId.get(parsePath(path).id)?.name || path;

  function barText(bar, end) {
    const name = bar.kind === 'run' ? `Attempt ${bar.attempt}` : KIND_TEXT[bar.kind];
    const outcome = bar.to === null ? 'under way' : OUTCOME_TEXT[bar.outcome] || '';
    const took = duration((bar.to ?? end) - bar.from);
    return `${name}${outcome ? `, ${outcome}` : ''}: ${took}, from ${timeText(new Date(bar.from).toISOString())}`;
  }

  function track(row, from, span, end) {
    const percent = (ms) => `${((ms - from) / span) * 100}%`;
    return h(
      'div',
      { class: 'track' },
      row.bars.map((bar, i) => {
        const to = bar.to ?? end;
        const text = barText(bar, end);
        return h(
          'span',
          {
            key: String(i),
            class: ['gantt', `kind-${bar.kind}`, `end-${bar.to === null ? 'open' : bar.outcome}`],
            title: text,
            style: { left: percent(bar.from), width: `max(3px, ${((to - bar.from) / span) * 100}%)` },
          },
          h('span', { class: 'visually-hidden' }, text),
        );
      }),
    );
  }

  function chart() {
    const { rows: items, from, to } = model();
    const end = isEnded(page.execution.status)
      ? Math.max(to, Date.parse(page.execution.endTime) || to)
      : Math.max(Date.now(), to);
    const span = Math.max(1, end - from);
    const marks = ticks(span, window.innerWidth < 700 ? 3 : 6);
    const axis = h(
      'div',
      { class: 'axis', 'aria-hidden': 'true' },
      marks.map((t) =>
        h(
          'span',
          {
            key: String(t),
            class: ['tick', t / span > (window.innerWidth < 700 ? 0.75 : 0.9) && 'is-last'],
            style: { left: `${(t / span) * 100}%` },
          },
          t === 0 ? '0' : duration(t).replace('.0 s', ' s'),
        ),
      ),
    );
    if (!items.length) return empty('No step has begun yet.');
    return [
      rows.table({
        label: 'Timeline of the attempts',
        className: 'timeline',
        items,
        head: h(
          'tr',
          null,
          h('th', { scope: 'col' }, 'Step'),
          h(
            'th',
            { scope: 'col', class: 'axis-cell' },
            h('span', { class: 'visually-hidden' }, 'Attempts and waits'),
            axis,
          ),
        ),
        row: (r) =>
          h(
            'tr',
            { key: r.path, class: ['row', ctx.query.step === r.path && 'is-selected'] },
            h(
              'th',
              { scope: 'row', class: 'col-main' },
              h(
                'a',
                { class: 'row-link', href: page.stepHref(r.path), title: r.path },
                h('span', { class: 'clip' }, nameOf(r.path)),
                r.path.includes('[') ? h('code', null, r.path.slice(r.path.indexOf('['))) : null,
              ),
            ),
            h('td', { class: 'track-cell' }, track(r, from, span, end)),
          ),
      }),
      h(
        'ul',
        { class: 'legend', 'aria-label': 'What the bars mean' },
        [
          ['run', 'completed', 'Attempt'],
          ['run', 'failed', 'Failed attempt'],
          ['run', 'open', 'Under way'],
          ['retry', '', 'Pause before a retry'],
          ['approval', '', 'Approval'],
          ['event', '', 'Event'],
          ['wait', '', 'Wait'],
        ].map(([kind, outcome, text]) =>
          h('li', { key: text }, h('span', { class: ['gantt', `kind-${kind}`, `end-${outcome}`] }), text),
        ),
      ),
    ];
  }

  return {
    close: () => rows.close(),
    view: () =>
      page.historyError
        ? errorBox(page.historyError, { retry: page.loadHistory })
        : page.history
          ? chart()
          : loading(),
  };
}
