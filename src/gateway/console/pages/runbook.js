// One runbook: its graph, its steps, its definition, its versions.

import * as api from '../api.js';
import { DagHost } from '../dag_host.js';
import { buildGraph, inOrder } from '../dag_model.js';
import { h } from '../dom.js';
import { duration, plural, timeOf } from '../format.js';
import { icon, stepType } from '../icons.js';
import { stepDefinition } from '../step_definition.js';
import { bringIntoSight, errorBox, facts, hashText, jsonView, linkButton, loading, tabs } from '../ui.js';
import { href, linkRunbook } from '../url.js';
import { VirtualRows } from '../virtual.js';

export function runbookPage(ctx) {
  const { id } = ctx.params;
  const state = { definition: null, versions: [], graph: null, error: null, asked: undefined };
  const rows = new VirtualRows({ rowHeight: 56, draw: ctx.draw });
  const dag = new DagHost({
    label: 'Graph of the runbook',
    announce: ctx.announce,
    onSelect: (step) => ctx.setQuery({ step: step === ctx.query.step ? undefined : step }),
  });
  ctx.onClose(() => (rows.close(), dag.close()));

  async function load() {
    const version = ctx.query.version;
    state.asked = version;
    state.error = null;
    try {
      const answer = await api.runbook(id, version);
      if (state.asked !== version) return;
      state.definition = answer.runbook;
      state.versions = answer.versions || [];
      state.graph = buildGraph(answer.runbook);
      dag.setGraph(state.graph);
    } catch (e) {
      state.error = e;
    }
    ctx.draw();
  }
  load();

  const tabOf = () => ctx.query.tab || 'graph';
  const toTab = (tab) => href(['runbooks', id], { ...ctx.query, tab: tab === 'graph' ? undefined : tab });
  const selected = () => state.graph?.byId.get(ctx.query.step);

  function stepPanel(node) {
    return h(
      'aside',
      { class: 'side', 'aria-label': `Step ${node.name}`, key: `step-${node.id}` },
      h(
        'div',
        { class: 'side-head' },
        h('h2', null, node.name),
        h(
          'button',
          {
            type: 'button',
            class: 'icon-button',
            'aria-label': 'Close the step',
            onclick: () => ctx.setQuery({ step: undefined }),
          },
          icon('cross'),
        ),
      ),
      stepDefinition(node, state.definition),
    );
  }

  function stepsTable() {
    const items = inOrder(state.graph).map((step) => state.graph.byId.get(step));
    return rows.table({
      label: 'Steps',
      items,
      head: h(
        'tr',
        null,
        h('th', { scope: 'col' }, 'Step'),
        h('th', { scope: 'col' }, 'Type'),
        h('th', { scope: 'col', class: 'hide-phone' }, 'After'),
      ),
      row: (n) =>
        h(
          'tr',
          { key: n.id, class: ['row', n.id === ctx.query.step && 'is-selected'] },
          h(
            'td',
            { class: 'col-main' },
            h('a', { class: 'row-link', href: href(['runbooks', id], { ...ctx.query, step: n.id }) }, n.name),
            h('span', { class: 'sub' }, h('code', null, n.id), n.group ? ` in loop ${n.group}` : null),
          ),
          h(
            'td',
            null,
            h('span', { class: 'with-icon' }, icon(stepType(n.type).icon), stepType(n.type).text),
          ),
          h('td', { class: 'hide-phone' }, (n.step.dependsOn || []).join(', ') || '–'),
        ),
    });
  }

  function versionsTable() {
    return h(
      'table',
      { class: 'table', 'aria-label': 'Versions' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          h('th', { scope: 'col' }, 'Version'),
          h('th', { scope: 'col' }, 'Registered'),
          h('th', { scope: 'col', class: 'hide-phone' }, 'By'),
          h('th', { scope: 'col' }, 'SHA-256'),
        ),
      ),
      h(
        'tbody',
        null,
        state.versions.map((v) =>
          h(
            'tr',
            { key: v.version, class: ['row', v.version === state.definition.version && 'is-selected'] },
            h('td', null, h('a', { href: linkRunbook(id, v.version) }, v.version)),
            h('td', null, timeOf(v.registeredAt)),
            h('td', { class: 'hide-phone' }, v.registeredBy),
            h('td', null, hashText(v.sha256)),
          ),
        ),
      ),
    );
  }

  function overview() {
    const d = state.definition;
    return facts(
      [
        ['Time limit', d.globalTimeoutMs && duration(d.globalTimeoutMs)],
        ['Steps at once', d.maxConcurrentSteps],
        [
          'Duplicates',
          { key: 'known by an idempotency key', none: 'every start is a new execution' }[d.idempotency],
        ],
        ['Written by', d.createdBy],
      ],
      'is-row',
    );
  }

  const bodies = {
    graph: () =>
      h(
        'div',
        { class: ['split', selected() && 'has-side'] },
        dag.vnode(),
        selected() ? stepPanel(selected()) : null,
      ),
    steps: () =>
      h(
        'div',
        { class: ['split', selected() && 'has-side'] },
        stepsTable(),
        selected() ? stepPanel(selected()) : null,
      ),
    definition: () => jsonView(state.definition, { label: 'Definition' }),
    versions: versionsTable,
  };

  return {
    title: () => state.definition?.name || id,
    signedIn: () => state.error && load(),
    update(query) {
      if (query.version !== state.asked) load();
      dag.select(query.step);
      if (query.step && query.step !== state.seen) bringIntoSight('.side');
      state.seen = query.step;
    },
    view() {
      const d = state.definition;
      dag.select(ctx.query.step);
      const version = d?.version;
      return [
        h('p', { class: 'crumbs' }, h('a', { href: href(['runbooks']) }, 'Runbooks')),
        h(
          'div',
          { class: 'page-head' },
          h(
            'div',
            null,
            h('h1', null, d?.name || id),
            h(
              'p',
              { class: 'lead' },
              h('code', null, id),
              version ? [' · version ', h('code', null, version)] : null,
              d ? ` · ${plural(d.steps?.length || 0, 'step')}` : null,
            ),
          ),
          h(
            'div',
            { class: 'actions' },
            linkButton('Executions', href(['executions'], { runbookId: id })),
            linkButton('Edit', href(['editor'], { from: id, version }), { iconName: 'edit' }),
            linkButton('Start', href(['runbooks', id, 'start'], { version: ctx.query.version }), {
              kind: 'primary',
              iconName: 'play',
            }),
          ),
        ),
        errorBox(state.error, { retry: load }),
        d
          ? [
              d.description ? h('p', { class: 'description' }, d.description) : null,
              overview(),
              tabs(
                'Views of the runbook',
                [
                  { id: 'graph', text: 'Graph' },
                  { id: 'steps', text: 'Steps', count: d.steps?.length },
                  { id: 'definition', text: 'Definition' },
                  { id: 'versions', text: 'Versions', count: state.versions.length },
                ],
                tabOf(),
                toTab,
              ),
              h(
                'section',
                { class: 'tab-body', key: `tab-${tabOf()}`, 'aria-label': tabOf() },
                (bodies[tabOf()] || bodies.graph)(),
              ),
            ]
          : state.error
            ? null
            : loading(),
      ];
    },
  };
}
