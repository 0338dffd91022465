'use strict';
// Definitions in few words.

const { randomUUID } = require('node:crypto');

const ONCE = { maxAttempts: 1, initialDelayMs: 0, maxDelayMs: 0, backoffMultiplier: 1 };
const QUICK = { maxAttempts: 3, initialDelayMs: 20, maxDelayMs: 100, backoffMultiplier: 2 };

const step = (id, type, dependsOn, extra = {}) => ({ id, name: id, type, dependsOn, ...extra });

/** A POST to @url. */
const call = (id, url, dependsOn = [], { config = {}, ...extra } = {}) =>
  step(id, 'call-service', dependsOn, { config: { url, method: 'POST', ...config }, ...extra });

const conditional = (id, condition, { dependsOn = [], ...branches } = {}) =>
  step(id, 'conditional', dependsOn, { config: { condition, ...branches } });

const approval = (id, approvers, minApprovals, dependsOn = [], { approvalConfig = {}, ...extra } = {}) =>
  step(id, 'human-approval', dependsOn, {
    approvalConfig: { approvers, minApprovals, timeoutMs: 60000, timeoutAction: 'fail', ...approvalConfig },
    ...extra,
  });

const waitForEvent = (id, eventType, dependsOn = [], config = {}, extra = {}) =>
  step(id, 'wait-for-event', dependsOn, { config: { eventType, timeoutMs: 60000, ...config }, ...extra });

const wait = (id, durationMs, dependsOn = [], extra = {}) =>
  step(id, 'wait', dependsOn, { config: { durationMs }, ...extra });

/** A definition with an id that no other case has. */
const runbook = (name, steps, extra = {}) => ({
  id: `${name}-${randomUUID().slice(0, 8)}`,
  name,
  version: '1.0.0',
  steps,
  defaultRetryPolicy: QUICK,
  ...extra,
});

module.exports = { ONCE, QUICK, step, call, conditional, approval, waitForEvent, wait, runbook };
