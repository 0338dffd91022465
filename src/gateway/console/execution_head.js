// The head of an execution's page: what it is, on whose authority it runs, what is assumed, how far it is.

import { parsePath } from './dag_model.js';
import { h } from './dom.js';
import { duration, shortId, timeOf } from './format.js';
import { icon } from './icons.js';
import { executionPill, executionStatus, isEnded } from './status.js';
import { button, facts, idText, notice, progressBar } from './ui.js';
import { href, linkExecution, linkRunbook } from './url.js';

const text = (v) =>
  typeof v === 'string' ? v : v === undefined || v === null ? undefined : JSON.stringify(v);

function rangeText(range) {
  if (!range || typeof range !== 'object') return text(range);
  const { start, end } = range;
  return start || end ? `${start || '…'} – ${end || '…'}` : text(range);
}

function legalBasis(x) {
  const context = x.context || {};
  const basis = context.legalBasis || {};
  return h(
    'section',
    { class: 'legal', 'aria-label': 'Legal basis and assumptions' },
    facts(
      [
        ['Authority', basis.authority],
        ['Classification', basis.classification],
        ['Case', basis.caseId],
        ['Kept for', basis.retentionDays !== undefined ? `${basis.retentionDays} days` : undefined],
        ['Authorized', basis.authorizedUsers?.join(', ')],
        ['Data', text(context.dataScope)],
        ['Area', text(context.geographicScope)],
        ['Time range', rangeText(context.timeRange)],
        [
          'Assumptions',
          context.assumptions?.length
            ? h(
                'ul',
                { class: 'plain' },
                context.assumptions.map((a, i) => h('li', { key: String(i) }, a)),
              )
            : undefined,
        ],
      ],
      'is-row',
    ),
  );
}

/** The way to what failed, and on from there. */
function failedSteps(page, actions) {
  const paths = Object.entries(page.execution.stepResults)
    .filter(([, r]) => r.status === 'failed')
    .map(([path]) => path);
  if (!paths.length) return null;
  return h(
    'p',
    null,
    paths.length === 1 ? 'Failed: ' : 'Failed steps: ',
    paths
      .slice(0, 5)
      .map((path, i) => [
        i ? ', ' : null,
        h('a', { href: page.stepHref(path) }, nameOf(page, path)),
      ]),
    paths.length > 5 ? ` and ${paths.length - 5} more` : null,
    paths.length === 1 && actions.canRetry(page.execution.stepResults[paths[0]])
      ? [
          ' ',
          button('Try this step again…', () => actions.retry(paths[0], nameOf(page, paths[0])), {
            iconName: 'redo',
            kind: 'small',
          }),
        ]
      : null,
  );
}

const nameOf = (page, path) => page.graph?.byId.get(parsePath(path).id)?.name || path;

function votesText({ approvals = [], waitingFor }) {
  const given = approvals.filter((v) => v.decision === 'approved').length;
  return `${given} of ${waitingFor.minApprovals}; ${waitingFor.approvers.join(', ')}`;
}

function waiting(page) {
  const approvals = Object.entries(page.execution.stepResults).filter(
    ([, r]) => r.status === 'awaiting_approval',
  );
  if (!approvals.length || isEnded(page.execution.status)) return null;
  return notice(
    'wait',
    'person',
    h(
      'p',
      null,
      h('strong', null, 'Waiting for approval: '),
      approvals
        .slice(0, 5)
        .map(([path, r], i) => [
          i ? ', ' : null,
          h('a', { href: page.stepHref(path) }, nameOf(page, path)),
          r.waitingFor?.approvers ? ` (${votesText(r)})` : null,
        ]),
      approvals.length > 5 ? ` and ${approvals.length - 5} more` : null,
      '. ',
      h('a', { href: href(['approvals'], { execution: page.id }) }, 'My approvals'),
    ),
  );
}

export function headView(page, actions) {
  const x = page.execution;
  const took =
    x.durationMs ?? (x.startTime && !isEnded(x.status) ? Date.now() - Date.parse(x.startTime) : null);
  return h(
    'header',
    { class: 'execution-head', key: 'head' },
    h(
      'div',
      { class: 'page-head' },
      h(
        'div',
        null,
        h('h1', null, page.definition?.name || x.runbookId, ' ', executionPill(x.status)),
        h(
          'p',
          { class: 'lead' },
          h('a', { href: linkRunbook(x.runbookId, x.runbookVersion) }, x.runbookId),
          ` ${x.runbookVersion} · `,
          idText(x.id, shortId(x.id)),
        ),
      ),
      h('div', { class: 'actions' }, actions.buttons()),
    ),
    facts(
      [
        ['Started by', x.initiatedBy],
        ['Started', timeOf(x.startTime)],
        ['Duration', duration(took)],
        ['Steps', progressBar(x.progress, executionStatus(x.status).tone)],
        [
          'Replay of',
          x.originalExecutionId &&
            h('a', { href: linkExecution(x.originalExecutionId) }, shortId(x.originalExecutionId)),
        ],
        [
          'Cancelled by',
          x.cancelledBy && `${x.cancelledBy}${x.cancellationReason ? `: ${x.cancellationReason}` : ''}`,
        ],
      ],
      'is-row',
    ),
    legalBasis(x),
    x.error && x.status !== 'completed'
      ? h(
          'div',
          { class: 'notice tone-bad', key: 'error' },
          icon('warning'),
          h(
            'div',
            { class: 'notice-text' },
            h(
              'p',
              null,
              h('strong', null, x.error.code || 'Failed'),
              ' ',
              x.error.message || JSON.stringify(x.error),
            ),
            failedSteps(page, actions),
          ),
        )
      : null,
    waiting(page),
  );
}
