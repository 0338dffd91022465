// The tree of steps: loops unfold into iterations, child executions into their steps.

import * as api from './api.js';
import { buildGraph } from './dag_model.js';
import { h } from './dom.js';
import { treeRows } from './execution_model.js';
import { duration, plural, timeOf } from './format.js';
import { icon, stepType } from './icons.js';
import { isEnded, stepPill } from './status.js';
import { linkExecution } from './url.js';
import { VirtualRows } from './virtual.js';

const CHILD_REFRESH_MS = 3000;

export function stepsTab(page) {
  const { ctx } = page;
  const rows = new VirtualRows({ rowHeight: 48, draw: ctx.draw });
  const folds = new Map();
  const children = new Map();
  let filter = '';

  const isOpen = (key, byDefault) => folds.get(key) ?? byDefault;
  function toggle(row) {
    folds.set(row.key, !row.isOpen);
    ctx.draw();
  }

  /** A child execution: fetched when its fold is opened, and again while it runs. */
  function childOf(id) {
    const known = children.get(id);
    if (known) return known.execution || known.error ? known : undefined;
    children.set(id, {});
    fetchChild(id);
    return undefined;
  }

  async function fetchChild(id) {
    try {
      const execution = await api.execution(id);
      const answer = await api.runbook(execution.runbookId, execution.runbookVersion);
      children.set(id, { execution, graph: buildGraph(answer.runbook) });
      if (!isEnded(execution.status)) setTimeout(() => ctx.isCurrent() && fetchChild(id), CHILD_REFRESH_MS);
    } catch (error) {
      children.set(id, { error });
    }
    ctx.draw();
  }

  const fold = (row, label) =>
    row.canOpen
      ? h(
          'button',
          {
            type: 'button',
            class: ['fold-button', row.isOpen && 'is-open'],
            'aria-expanded': String(row.isOpen),
            'aria-label': label,
            onclick: () => toggle(row),
          },
          icon('chevron'),
        )
      : h('span', { class: 'fold-room' });

  const indent = (row) => ({ 'padding-left': `${Math.min(row.depth, 8) * 18}px` });

  function stepRow(row) {
    const { node, result } = row;
    const isOwn = row.executionId === page.id;
    const to = isOwn ? page.stepHref(row.path) : linkExecution(row.executionId, { step: row.path });
    return h(
      'tr',
      { key: row.key, class: ['row', isOwn && ctx.query.step === row.path && 'is-selected'] },
      h(
        'td',
        { class: 'col-main' },
        h(
          'div',
          { class: 'tree-cell', style: indent(row) },
          fold(row, `${row.isOpen ? 'Hide' : 'Show'} what is inside ${node.name}`),
          icon(stepType(node.type).icon, stepType(node.type).text),
          h(
            'span',
            { class: 'tree-text' },
            h('a', { class: 'row-link', href: to }, node.name),
            h(
              'span',
              { class: 'sub' },
              h('code', null, row.path),
              row.iterations ? ` · ${plural(row.iterations, 'iteration')}` : null,
            ),
          ),
        ),
      ),
      h('td', { class: 'col-status' }, stepPill(result.status)),
      h('td', { class: 'number hide-phone' }, result.attemptNumber || '–'),
      h('td', { class: 'hide-phone' }, timeOf(result.startTime)),
      h(
        'td',
        { class: 'number hide-phone' },
        duration(
          result.durationMs ??
            (result.startTime && !result.endTime ? Date.now() - Date.parse(result.startTime) : null),
        ),
      ),
    );
  }

  function iterationRow(row) {
    return h(
      'tr',
      { key: row.key, class: 'row is-iteration' },
      h(
        'td',
        { class: 'col-main' },
        h(
          'div',
          { class: 'tree-cell', style: indent(row) },
          fold(row, `${row.isOpen ? 'Hide' : 'Show'} iteration ${row.number}`),
          icon('loop'),
          h('span', null, `Iteration ${row.number}`),
        ),
      ),
      h('td', { class: 'col-status' }, stepPill(row.status)),
      h('td', { class: 'hide-phone' }),
      h('td', { class: 'hide-phone' }),
      h('td', { class: 'hide-phone' }),
    );
  }

  const noteRow = (row) =>
    h(
      'tr',
      { key: row.key, class: 'row' },
      h(
        'td',
        { colspan: 2 },
        h(
          'div',
          { class: 'tree-cell faint', style: indent(row) },
          row.text,
          ' ',
          h('a', { href: linkExecution(row.id) }, 'Open it'),
        ),
      ),
    );

  const KINDS = { step: stepRow, iteration: iterationRow, note: noteRow };

  function shown() {
    const needle = filter.trim().toLowerCase();
    if (!needle) return treeRows(page.graph, page.execution, isOpen, childOf);
    // What is folded is looked through too; children as far as they have been fetched.
    const everything = treeRows(
      page.graph,
      page.execution,
      () => true,
      (id) => children.get(id),
    );
    return everything.filter(
      (r) =>
        r.kind === 'step' && `${r.path} ${r.node.name} ${r.result.status}`.toLowerCase().includes(needle),
    );
  }

  return {
    close: () => rows.close(),
    view() {
      const items = shown();
      return [
        h(
          'div',
          { class: 'filters' },
          h(
            'label',
            { class: 'filter grow' },
            h('span', { class: 'label' }, 'Find step'),
            h('input', {
              type: 'search',
              placeholder: 'Id, name or status',
              value: filter,
              oninput: (e) => ((filter = e.target.value), ctx.draw()),
            }),
          ),
        ),
        rows.table({
          label: 'Steps of the execution',
          items,
          head: h(
            'tr',
            null,
            h('th', { scope: 'col' }, 'Step'),
            h('th', { scope: 'col', class: 'col-status' }, 'Status'),
            h('th', { scope: 'col', class: 'number hide-phone' }, 'Attempts'),
            h('th', { scope: 'col', class: 'hide-phone' }, 'Started'),
            h('th', { scope: 'col', class: 'number hide-phone' }, 'Duration'),
          ),
          row: (r) => KINDS[r.kind](r),
        }),
        items.length ? null : h('p', { class: 'faint' }, 'No step matches.'),
      ];
    },
  };
}
