// How a status looks: a word, an icon and a tone. Colour alone never says it.

import { h } from './dom.js';
import { icon } from './icons.js';

// tone: a class of console.css. icon: a name of icons.js.
export const EXECUTION_STATUS = {
  pending: { text: 'Pending', tone: 'muted', icon: 'dots' },
  running: { text: 'Running', tone: 'active', icon: 'play' },
  pausing: { text: 'Pausing', tone: 'wait', icon: 'pause' },
  paused: { text: 'Paused', tone: 'wait', icon: 'pause' },
  compensating: { text: 'Compensating', tone: 'wait', icon: 'undo' },
  completed: { text: 'Completed', tone: 'good', icon: 'check' },
  failed: { text: 'Failed', tone: 'bad', icon: 'cross' },
  cancelled: { text: 'Cancelled', tone: 'muted', icon: 'stop' },
};

export const STEP_STATUS = {
  pending: { text: 'Pending', tone: 'muted', icon: 'dots' },
  ready: { text: 'Ready', tone: 'active', icon: 'dots' },
  running: { text: 'Running', tone: 'active', icon: 'play' },
  retrying: { text: 'Retrying', tone: 'wait', icon: 'redo' },
  awaiting_approval: { text: 'Awaiting approval', tone: 'wait', icon: 'person' },
  awaiting_event: { text: 'Awaiting event', tone: 'wait', icon: 'signal' },
  waiting: { text: 'Waiting', tone: 'wait', icon: 'clock' },
  completed: { text: 'Completed', tone: 'good', icon: 'check' },
  failed: { text: 'Failed', tone: 'bad', icon: 'cross' },
  skipped: { text: 'Skipped', tone: 'muted', icon: 'skip' },
  cancelled: { text: 'Cancelled', tone: 'muted', icon: 'stop' },
};

const ENDED = new Set(['completed', 'failed', 'cancelled']);
const STEP_ENDED = new Set(['completed', 'failed', 'cancelled', 'skipped']);

export const isEnded = (status) => ENDED.has(status);
export const isStepEnded = (status) => STEP_ENDED.has(status);

const unknown = (status) => ({ text: status || 'Unknown', tone: 'muted', icon: 'dots' });
export const executionStatus = (status) => EXECUTION_STATUS[status] || unknown(status);
export const stepStatus = (status) => STEP_STATUS[status] || unknown(status);

const pill = (look) =>
  h('span', { class: ['pill', `tone-${look.tone}`] }, icon(look.icon), h('span', null, look.text));
export const executionPill = (status) => pill(executionStatus(status));
export const stepPill = (status) => pill(stepStatus(status));

export const SKIP_REASONS = {
  branch_not_taken: 'the branch was not taken',
  condition_false: 'its condition was not met',
  dependencies_skipped: 'all it depends on was skipped',
  dry_run: 'this is a dry run',
};

// Which status stands for many steps (the iterations of a loop's body): the first that occurs.
const WEIGHT = [
  'failed',
  'awaiting_approval',
  'awaiting_event',
  'retrying',
  'running',
  'waiting',
  'ready',
  'pending',
  'cancelled',
  'completed',
  'skipped',
];

/** One status for many. A body that has not been reached in every iteration yet is still at work. */
export function foldStatus(statuses) {
  if (statuses.length === 0) return 'pending';
  const seen = new Set(statuses);
  const first = WEIGHT.find((s) => seen.has(s));
  return first || statuses[0];
}
