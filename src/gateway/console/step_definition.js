// What a step's definition says, as facts for people. Used beside the graphs.

import { h } from './dom.js';
import { duration } from './format.js';
import { icon, stepType } from './icons.js';
import { facts, jsonView } from './ui.js';

const OPERATORS = {
  eq: 'equals',
  ne: 'is not',
  gt: '>',
  lt: '<',
  gte: '≥',
  lte: '≤',
  in: 'is one of',
  notIn: 'is none of',
  contains: 'contains',
  startsWith: 'starts with',
  endsWith: 'ends with',
  matches: 'matches',
  exists: 'exists',
  notExists: 'does not exist',
};

/** A condition in words. */
export function conditionText(condition) {
  if (!condition || typeof condition !== 'object') return '';
  if (Array.isArray(condition.all)) return condition.all.map(inBrackets).join(' and ');
  if (Array.isArray(condition.any)) return condition.any.map(inBrackets).join(' or ');
  if (condition.not) return `not (${conditionText(condition.not)})`;
  const value = condition.value === undefined ? '' : ` ${JSON.stringify(condition.value)}`;
  return `${condition.field} ${OPERATORS[condition.operator] || condition.operator}${value}`;
}
const inBrackets = (c) => (c.all || c.any ? `(${conditionText(c)})` : conditionText(c));

const list = (v) => (Array.isArray(v) ? v.join(', ') : v);
const retryText = (p) =>
  p &&
  `up to ${p.maxAttempts} attempts, after ${duration(p.initialDelayMs)} to ${duration(p.maxDelayMs)}, ` +
    `× ${p.backoffMultiplier ?? 2}`;

/** Rows that depend on the step's type. */
function typeRows(step) {
  const config = step.config || {};
  const approval = step.approvalConfig || {};
  const loop = { ...step.loopConfig, ...(step.type === 'loop' ? config : {}) };
  const rows = {
    'call-service': () => [
      [
        'Calls',
        config.protocol === 'grpc'
          ? `gRPC ${config.service}/${config.method}`
          : h('code', null, `${config.method || 'GET'} ${config.url}`),
      ],
      ['Target', config.target],
    ],
    'human-approval': () => [
      ['Approvers', list(approval.approvers)],
      ['Needed', approval.minApprovals],
      [
        'Time for it',
        approval.timeoutMs && `${duration(approval.timeoutMs)}, then ${approval.timeoutAction || 'fail'}`,
      ],
      ['Asks', approval.prompt],
      ['Escalates to', list(approval.escalateTo)],
    ],
    conditional: () => [
      ['If', conditionText(config.condition)],
      ['Yes leads to', list(config.trueBranch)],
      ['No leads to', list(config.falseBranch)],
    ],
    loop: () => [
      ['Repeats', loop.bodyStepId],
      ['Once for each of', loop.iterateOver && h('code', null, String(loop.iterateOver))],
      ['While', loop.continueWhile && conditionText(loop.continueWhile)],
      ['At most', loop.maxIterations],
      ['Side by side', loop.concurrency],
    ],
    'wait-for-event': () => [
      ['Event', h('code', null, String(config.eventType || ''))],
      ['Correlation', config.correlationId && h('code', null, String(config.correlationId))],
      ['Waits at most', config.timeoutMs && duration(config.timeoutMs)],
    ],
    wait: () => [
      ['Waits', typeof config.durationMs === 'number' ? duration(config.durationMs) : config.durationMs],
      ['Until', config.until],
    ],
    'run-runbook': () => [
      ['Runs', config.runbookId && h('code', null, `${config.runbookId} ${config.version || ''}`)],
    ],
    transform: () => [
      ['Program', (config.program || config.jq) && h('code', null, config.program || config.jq)],
    ],
    'publish-event': () => [['Subject', config.subject && h('code', null, config.subject)]],
  };
  return rows[step.type]?.() || [];
}

/** The facts of a step, and all of its definition behind a fold. */
export function stepDefinition(node, { defaultRetryPolicy } = {}) {
  const { step } = node;
  return [
    step.description ? h('p', null, step.description) : null,
    facts([
      ['Type', h('span', { class: 'with-icon' }, icon(stepType(step.type).icon), stepType(step.type).text)],
      ['Id', h('code', null, step.id)],
      ['After', list(step.dependsOn)],
      ['Joins', step.joinPolicy === 'any' ? 'as soon as any of them is done' : null],
      ['Only if', step.condition && conditionText(step.condition)],
      ...typeRows(step),
      ['Needs permission', list(step.requiredPermissions)],
      ['Time limit', step.timeoutMs && duration(step.timeoutMs)],
      [
        'Retries',
        retryText(
          step.retryPolicy || (['call-service', 'transform'].includes(step.type) ? defaultRetryPolicy : null),
        ),
      ],
      ['On failure', step.onFailure === 'continue' ? 'the others go on' : null],
      ['Undone by', step.compensateWith && h('code', null, step.compensateWith)],
      ['Evidence', step.evidence?.length ? step.evidence.map((e) => e.type).join(', ') : null],
    ]),
    h(
      'details',
      { class: 'fold-box', key: 'definition' },
      h('summary', null, 'Definition of the step'),
      jsonView(step, { label: 'Definition of the step' }),
    ),
  ];
}
