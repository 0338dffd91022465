// The panel of one step of an execution: state, input, output, error, logs, evidence, votes, definition.

import * as api from './api.js';
import { isWhatWasShown } from './approval_hash.js';
import { byStep, makePath, parsePath } from './dag_model.js';
import { h } from './dom.js';
import { evidenceList, logList, ofPath, Records } from './execution_records.js';
import { ago, bytes, duration, timeOf } from './format.js';
import { icon } from './icons.js';
import { SKIP_REASONS, stepPill } from './status.js';
import { stepDefinition } from './step_definition.js';
import { stepInput } from './step_input.js';
import { button, errorBox, facts, jsonView, linkButton, loading } from './ui.js';
import { href, linkExecution } from './url.js';

export function stepSide(page, actions) {
  const { ctx } = page;
  let current = null; // {path, logs, evidence, seal}
  let tab = 'overview';

  function open(path) {
    if (current?.path === path) return;
    const { id } = parsePath(path);
    current = {
      path,
      logs: new Records(page, 'logs', { stepId: id }),
      evidence: new Records(page, 'evidence'),
      seal: null,
    };
  }

  /** For an approval: is the input worked out here the one that was hashed when it was asked for? */
  async function checkSeal(mine, input, result) {
    mine.seal = {};
    try {
      const events = await api.all(api.executionPath(page.id, 'history'), 'events');
      const asked = events
        .filter((e) => e.type === 'runbook.step.awaiting_approval' && e.subject === `${page.id}/${mine.path}`)
        .at(-1);
      if (asked?.data?.shownSha256 && page.digest)
        mine.seal = {
          isSame: await isWhatWasShown({
            attempt: result.attemptNumber,
            executionId: page.id,
            input,
            prompt: asked.data.prompt,
            runbookDigest: page.digest,
            stepPath: mine.path,
            hash: asked.data.shownSha256,
          }),
          prompt: asked.data.prompt,
        };
    } catch {
      mine.seal = {};
    }
    ctx.draw();
  }

  function waitingText(w) {
    if (!w) return null;
    const when = w.until || w.deadline;
    // Paused, a wait for so long has no end that could be named.
    const stands = w.type === 'time' && !when && ['pausing', 'paused'].includes(page.execution.status);
    const text = {
      approval: () => `${w.minApprovals} of ${(w.approvers || []).join(', ')}`,
      event: () => [
        h('code', null, w.eventType),
        w.correlationId ? [' with ', h('code', null, w.correlationId)] : null,
      ],
      time: () => null,
      retry: () => 'the next attempt',
      authorization: () => `leave for ${(w.permissions || []).join(', ')}`,
    }[w.type]?.();
    return [
      text,
      when
        ? [
            text ? ', ' : null,
            w.type === 'time' || w.type === 'retry' ? 'until ' : 'at most until ',
            timeOf(when),
            ` (${ago(when)})`,
          ]
        : null,
      stands ? 'its clock, which stands still while the execution is paused' : null,
    ];
  }

  function overview(node, result) {
    return [
      facts([
        ['Status', stepPill(result.status)],
        ['Because', result.skipReason && (SKIP_REASONS[result.skipReason] || result.skipReason)],
        ['Attempts', result.attemptNumber],
        ['Started', result.startTime && timeOf(result.startTime)],
        ['Ended', result.endTime && timeOf(result.endTime)],
        ['Duration', result.durationMs !== undefined ? duration(result.durationMs) : null],
        ['Waits for', waitingText(result.waitingFor)],
        [
          'Child',
          result.childExecutionId &&
            h('a', { href: linkExecution(result.childExecutionId) }, 'open the child execution'),
        ],
      ]),
      result.error || result.errorBytes ? errorView(result) : null,
      result.approvals?.length
        ? h(
            'div',
            null,
            h('h3', null, 'Votes'),
            h(
              'ul',
              { class: 'plain' },
              result.approvals.map((v) =>
                h(
                  'li',
                  { key: v.user, class: 'with-icon' },
                  icon(v.decision === 'approved' ? 'check' : 'cross'),
                  h(
                    'span',
                    null,
                    h('strong', null, v.user),
                    ` ${v.decision} `,
                    timeOf(v.at, ago(v.at)),
                    v.comments ? h('q', null, v.comments) : null,
                  ),
                ),
              ),
            ),
          )
        : null,
      h(
        'div',
        { class: 'actions' },
        result.status === 'awaiting_approval'
          ? linkButton(
              'Go to my approvals',
              href(['approvals'], { execution: page.id, step: current.path }),
              { kind: 'primary', iconName: 'person' },
            )
          : null,
        actions.canRetry(result)
          ? button('Try again…', () => actions.retry(current.path, node?.name || current.path), {
              kind: 'primary',
              iconName: 'redo',
            })
          : null,
      ),
    ];
  }

  function errorView(result) {
    if (result.errorBytes)
      return h('p', { class: 'faint' }, `The error has ${bytes(result.errorBytes)}: too large to be shown.`);
    const { code, message, ...rest } = result.error;
    return h(
      'div',
      { class: 'notice tone-bad' },
      icon('warning'),
      h(
        'div',
        { class: 'notice-text' },
        h('p', null, h('strong', null, code || 'Failed'), ' ', message || ''),
        Object.keys(rest).length
          ? h(
              'details',
              { class: 'inline-fold' },
              h('summary', null, 'Details'),
              jsonView(rest, { label: 'Error' }),
            )
          : null,
      ),
    );
  }

  function inputView(node, result) {
    const began = result.status && !['pending', 'skipped'].includes(result.status);
    if (!began) return h('p', { class: 'faint' }, 'The step has not begun.');
    const input = stepInput(page.graph, page.execution, current.path);
    if (!('value' in input)) return h('p', { class: 'faint' }, input.reason);
    const isApproval = node?.type === 'human-approval';
    if (isApproval && !current.seal) checkSeal(current, input.value, result);
    return [
      isApproval && current.seal?.prompt
        ? h(
            'blockquote',
            { class: 'prompt' },
            typeof current.seal.prompt === 'string'
              ? current.seal.prompt
              : JSON.stringify(current.seal.prompt),
          )
        : null,
      jsonView(input.value, { label: 'Input of the step' }),
      isApproval && current.seal?.isSame
        ? h(
            'p',
            { class: 'with-icon tone-good' },
            icon('shield'),
            'Its hash is the one recorded when approval was asked for.',
          )
        : h(
            'p',
            { class: 'hint' },
            'Worked out here from the definition and the recorded values: the engine keeps outputs, not inputs.',
          ),
    ];
  }

  function outputView(result) {
    if (result.outputBytes)
      return h(
        'p',
        { class: 'faint' },
        `The output has ${bytes(result.outputBytes)}: too large to be shown here.`,
      );
    return result.output === undefined
      ? h('p', { class: 'faint' }, 'There is no output.')
      : jsonView(result.output, { label: 'Output of the step' });
  }

  const bodies = {
    overview: (node, result) => overview(node, result),
    input: (node, result) => inputView(node, result),
    output: (node, result) => outputView(result),
    logs: () =>
      current.logs.view(
        (items) => logList(ofPath(items, current.path), { withStep: false }),
        'This step has logged nothing.',
      ),
    evidence: () =>
      current.evidence.view((items) => {
        const mine = items.filter((e) => e.stepPath === current.path);
        return mine.length
          ? evidenceList(mine, { withStep: false, stepHref: page.stepHref })
          : h('p', { class: 'faint' }, 'This step has given no evidence.');
      }, 'This step has given no evidence.'),
    definition: (node) => (node ? stepDefinition(node, page.definition) : loading()),
  };

  /** In a loop: the way to the other iterations. */
  function iterations(path) {
    const { id, indices } = parsePath(path);
    if (!indices.length) return null;
    const all = byStep(page.execution.stepResults).get(id) || [];
    const at = all.findIndex((e) => e.path === path);
    const link = (entry, name, text) =>
      entry
        ? h(
            'a',
            { class: 'button is-small', href: page.stepHref(entry.path), 'aria-label': `${text} iteration` },
            icon(name),
          )
        : null;
    return h(
      'div',
      { class: 'pager' },
      link(all[at - 1], 'minus', 'Previous'),
      h('span', null, 'Iteration ', h('code', null, makePath('', indices)), ` · ${at + 1} of ${all.length}`),
      link(all[at + 1], 'plus', 'Next'),
    );
  }

  return {
    close() {},
    onLog: (entry) => current && entry.stepPath === current.path && current.logs.push(entry),
    view(path) {
      open(path);
      const { id } = parsePath(path);
      const node = page.graph?.byId.get(id);
      const result = page.execution.stepResults[path] || { status: 'pending' };
      const names = {
        overview: 'Overview',
        input: 'Input',
        output: 'Output',
        logs: 'Logs',
        evidence: 'Evidence',
        definition: 'Definition',
      };
      const counts = { logs: result.logCount, evidence: result.evidenceCount };
      return h(
        'aside',
        { class: 'side', key: 'side', 'aria-label': `Step ${node?.name || path}` },
        h(
          'div',
          { class: 'side-head' },
          h('div', null, h('h2', null, node?.name || path), node?.name === path ? null : h('code', null, path)),
          h(
            'button',
            {
              type: 'button',
              class: 'icon-button',
              'aria-label': 'Close the step',
              onclick: () => page.selectStep(undefined),
            },
            icon('cross'),
          ),
        ),
        iterations(path),
        h(
          'div',
          { class: 'mini-tabs', role: 'group', 'aria-label': 'About the step' },
          Object.entries(names).map(([name, text]) =>
            h(
              'button',
              {
                type: 'button',
                key: name,
                'aria-pressed': String(tab === name),
                onclick: () => ((tab = name), ctx.draw()),
              },
              text,
              counts[name] ? h('span', { class: 'count' }, counts[name]) : null,
            ),
          ),
        ),
        h(
          'div',
          { class: 'side-body', key: `${path}-${tab}` },
          node || result.status !== 'pending'
            ? bodies[tab](node, result)
            : errorBox(new Error('The execution has no such step.')),
        ),
      );
    },
  };
}
