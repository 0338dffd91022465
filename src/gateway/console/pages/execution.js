// One execution: what it is doing, and all that is known about it. The parts are in ../execution_*.js.

import * as api from '../api.js';
import { controls } from '../execution_controls.js';
import { applyEvent, stateReader } from '../execution_model.js';
import { headView } from '../execution_head.js';
import { historyTab } from '../execution_history.js';
import { evidenceTab, logsTab } from '../execution_records.js';
import { stepSide } from '../execution_step.js';
import { stepsTab } from '../execution_steps.js';
import { timelineTab } from '../execution_timeline.js';
import { DagHost } from '../dag_host.js';
import { buildGraph, parsePath } from '../dag_model.js';
import { h } from '../dom.js';
import { refresher } from '../refresh.js';
import { isEnded } from '../status.js';
import { bringIntoSight, errorBox, jsonView, loading, notice, tabs } from '../ui.js';
import { href } from '../url.js';

const NEWS_MOST = 20000; // events while one answer is waited for; the answer after it has what is beyond
const HISTORY_TABS = new Set(['timeline', 'history']);

export function executionPage(ctx) {
  const { id } = ctx.params;
  const page = {
    ctx,
    id,
    execution: null,
    definition: null,
    digest: null,
    graph: null,
    error: null,
    history: null, // events, once somebody looks at them
    historyError: null,
    isHistoryLoading: false,
    refreshSoon: () => state.soon(),
    stepHref: (path) => href(['executions', id], { ...ctx.query, step: path }),
    selectStep: (path) => ctx.setQuery({ step: path }),
    loadHistory,
  };
  let news = []; // events since the last question was asked
  let isRepainted = true;
  let seenStep = ctx.query.step;
  const state = refresher({
    read,
    failed(e) {
      page.error = e;
      ctx.draw();
    },
  });
  ctx.onClose(state.close);

  const dag = new DagHost({
    label: 'Graph of the execution',
    announce: ctx.announce,
    onSelect: (step) => page.selectStep(pathFor(step)),
  });
  ctx.onClose(() => dag.close());
  const actions = controls(page);
  const parts = {
    timeline: timelineTab(page),
    steps: stepsTab(page),
    logs: logsTab(page),
    evidence: evidenceTab(page),
    history: historyTab(page),
  };
  const side = stepSide(page, actions);
  for (const part of [...Object.values(parts), side]) if (part.close) ctx.onClose(() => part.close());

  /** The path that a click on a step of the graph means: that of the iteration being looked at, else the first. */
  function pathFor(step) {
    const all = Object.keys(page.execution?.stepResults || {}).filter((p) => parsePath(p).id === step);
    const focus = parsePath(ctx.query.step || '').indices;
    const text = focus.map((i) => `[${i}]`).join('');
    const path = all.find((p) => text && p === step + text) || (all.includes(step) ? step : all[0]) || step;
    return path === ctx.query.step ? undefined : path;
  }

  async function read(signal) {
    news = [];
    const execution = await api.execution(id, { signal });
    if (!page.definition) {
      const answer = await api.runbook(execution.runbookId, execution.runbookVersion);
      page.definition = answer.runbook;
      page.digest = answer.versions?.find((v) => v.version === execution.runbookVersion)?.sha256;
      page.graph = buildGraph(answer.runbook);
      dag.setGraph(page.graph);
    }
    // The answer may be older than what was heard while it was under way: that stays heard.
    for (const event of news) if (event.sequence > execution.lastSequence) applyEvent(execution, event);
    const before = page.execution;
    page.execution = execution;
    page.error = null;
    if (before && isEnded(execution.status) && !isEnded(before.status))
      ctx.announce(`The execution is ${execution.status}.`);
    changed();
  }

  async function loadHistory() {
    if (page.isHistoryLoading || page.history) return;
    page.isHistoryLoading = true;
    try {
      const waiting = [];
      page.pendingEvents = waiting;
      const events = await api.all(api.executionPath(id, 'history'), 'events');
      page.history = events;
      page.pendingEvents = null;
      for (const e of waiting) addToHistory(e);
      page.historyError = null;
    } catch (e) {
      page.historyError = e;
    }
    page.isHistoryLoading = false;
    ctx.draw();
  }

  function addToHistory(event) {
    if (page.pendingEvents) {
      page.pendingEvents.push(event);
      return;
    }
    if (!page.history) return;
    const last = page.history.at(-1)?.sequence || 0;
    if (event.sequence === last + 1) page.history.push(event);
    else if (event.sequence > last) {
      page.history = null; // something was missed
      if (HISTORY_TABS.has(tabOf())) loadHistory();
    }
  }

  // From now on: what was before is read at once. A connection made anew goes on where the last one ended.
  ctx.live(`${api.executionPath(id, 'stream')}?from=now`, {
    onOpen: state.soon,
    onEvent(event) {
      if (event.level !== undefined && event.message !== undefined) {
        parts.logs.onLog(event);
        side.onLog(event);
        return;
      }
      if (!event.type) return;
      addToHistory(event);
      if (news.length < NEWS_MOST) news.push(event);
      if (page.execution && applyEvent(page.execution, event)) changed();
      if (event.type.startsWith('runbook.evidence.')) parts.evidence.onChange();
      state.soon();
    },
  });
  state.now();
  ctx.every(1000, () => page.execution && !isEnded(page.execution.status) && ctx.draw());

  function changed() {
    isRepainted = false; // with the next drawing: events come faster than pictures
    ctx.draw();
  }

  function repaint() {
    if (isRepainted || !page.execution) return;
    isRepainted = true;
    dag.setStates(stateReader(page.execution, parsePath(ctx.query.step || '').indices));
  }

  const tabOf = () => ctx.query.tab || 'graph';
  const toTab = (tab) => href(['executions', id], { ...ctx.query, tab: tab === 'graph' ? undefined : tab });

  function valuesTab() {
    const x = page.execution;
    return h(
      'div',
      { class: 'two-columns' },
      h('section', null, h('h2', null, 'Input'), jsonView(x.input ?? undefined, { label: 'Input' })),
      h(
        'section',
        null,
        h('h2', null, 'Output'),
        x.output === null || x.output === undefined
          ? h('p', { class: 'faint' }, isEnded(x.status) ? 'There is no output.' : 'Not there yet.')
          : jsonView(x.output, { label: 'Output' }),
      ),
      h('section', null, h('h2', null, 'Context'), jsonView(x.context ?? undefined, { label: 'Context' })),
    );
  }

  function body() {
    const tab = tabOf();
    if (HISTORY_TABS.has(tab) && !page.history && !page.historyError) loadHistory();
    const view = tab === 'values' ? valuesTab() : parts[tab] ? parts[tab].view() : dag.vnode();
    const selected = ctx.query.step && tab !== 'values' ? side.view(ctx.query.step) : null;
    return h(
      'section',
      { class: ['tab-body', 'split', selected && 'has-side'], key: `tab-${tab}`, 'aria-label': tab },
      h('div', { class: 'split-main', key: 'main' }, view),
      selected,
    );
  }

  return {
    title: () =>
      page.execution
        ? `${page.definition?.name || page.execution.runbookId}: ${page.execution.status}`
        : 'Execution',
    update() {
      dag.select(parsePath(ctx.query.step || '').id || undefined);
      if (ctx.query.step && ctx.query.step !== seenStep) bringIntoSight('.side');
      seenStep = ctx.query.step;
      changed();
    },
    view() {
      const x = page.execution;
      repaint();
      dag.select(parsePath(ctx.query.step || '').id || undefined);
      return [
        h(
          'p',
          { class: 'crumbs' },
          h('a', { href: href(['executions']) }, 'Executions'),
          x?.parentExecutionId
            ? [' / ', h('a', { href: href(['executions', x.parentExecutionId]) }, 'parent execution')]
            : null,
        ),
        x ? headView(page, actions) : h('h1', null, 'Execution'),
        errorBox(page.error, { retry: state.now, isRetried: true }),
        actions.messages(),
        x?.isDryRun
          ? notice(
              'wait',
              'warning',
              h('p', null, h('strong', null, 'Dry run: '), 'nothing outside was called.'),
            )
          : null,
        x
          ? [
              tabs(
                'Views of the execution',
                [
                  { id: 'graph', text: 'Graph' },
                  { id: 'timeline', text: 'Timeline' },
                  { id: 'steps', text: 'Steps', count: x.progress?.total },
                  { id: 'logs', text: 'Logs' },
                  { id: 'evidence', text: 'Evidence' },
                  { id: 'history', text: 'History' },
                  { id: 'values', text: 'Values' },
                ],
                tabOf(),
                toTab,
              ),
              body(),
            ]
          : page.error
            ? null
            : loading(),
      ];
    },
  };
}
