// What waits for this person's word, and exactly what it is about.

import * as api from '../api.js';
import { isWhatWasShown } from '../approval_hash.js';
import { buildGraph } from '../dag_model.js';
import { h } from '../dom.js';
import { ago, duration, plural, shortId, timeOf } from '../format.js';
import { icon } from '../icons.js';
import { refresher } from '../refresh.js';
import { stepInput } from '../step_input.js';
import { ask, button, empty, errorBox, facts, hashText, jsonView, loading, notice } from '../ui.js';
import { linkExecution, linkRunbook } from '../url.js';

const REFRESH_MS = 800;
const PAGE = 20; // cards
const CHANGES_APPROVALS =
  /^runbook\.(approval\.|step\.awaiting_approval|execution\.(cancelled|failed|paused|resumed))/;

export function approvalsPage(ctx) {
  const state = { items: null, error: null, done: [], shown: PAGE };
  const cards = new Map(); // what belongs to a card while it is shown: {details, comment, busy, error}
  let opening = Promise.resolve();
  const reading = refresher({
    leastMs: REFRESH_MS,
    async read(signal) {
      const items = await api.all('approvals', 'approvals', { limit: 100 }, { signal });
      state.items = [...items.filter(isAsked), ...items.filter((a) => !isAsked(a))];
      state.error = null;
      openShown();
      ctx.setApprovalCount(state.items.length);
      ctx.draw();
    },
    failed(e) {
      state.error = e;
      ctx.draw();
    },
  });
  ctx.onClose(reading.close);

  /** What somebody came here for, from an execution's page, stands first. */
  function isAsked(a) {
    const { execution, step } = ctx.query;
    return a.executionId === execution && (!step || a.stepPath === step);
  }

  const keyOf = (a) => `${a.executionId}/${a.stepPath}/${a.hash}`;

  reading.now();

  ctx.live('stream', {
    onOpen: reading.soon,
    onEvent: (e) => CHANGES_APPROVALS.test(e.type || '') && reading.soon(),
  });
  ctx.every(1000, ctx.draw); // deadlines count down

  /** Details of the cards that are shown, one after the other: each asks for a whole execution. */
  function openShown() {
    for (const a of state.items.slice(0, state.shown)) {
      if (cards.has(keyOf(a))) continue;
      cards.set(keyOf(a), { details: null, comment: '', busy: false, error: null });
      opening = opening.then(() => ctx.isCurrent() && open(a));
    }
  }

  function showMore() {
    state.shown += PAGE;
    openShown();
    ctx.draw();
  }

  /** Fetch what the list does not have: context, the step's own input, and hold it against the hash. */
  async function open(a) {
    const card = cards.get(keyOf(a));
    try {
      const [execution, answer] = await Promise.all([
        api.execution(a.executionId),
        api.runbook(a.runbookId, a.runbookVersion),
      ]);
      const input = stepInput(buildGraph(answer.runbook), execution, a.stepPath);
      const digest = answer.versions?.find((v) => v.version === a.runbookVersion)?.sha256;
      const result = execution.stepResults[a.stepPath];
      const isSame =
        'value' in input && digest
          ? await isWhatWasShown({
              attempt: result?.attemptNumber,
              executionId: a.executionId,
              input: input.value,
              prompt: a.prompt,
              runbookDigest: digest,
              stepPath: a.stepPath,
              hash: a.hash,
            })
          : null;
      card.details = { context: execution.context, input, isSame, digest };
    } catch (e) {
      card.details = { failure: e };
    }
    ctx.draw();
  }

  async function vote(a, decision) {
    const card = cards.get(keyOf(a));
    if (decision === 'rejected') {
      const sure = await ask({
        title: `Reject “${a.stepName}”?`,
        kind: 'danger',
        action: 'Reject',
        text: 'A vote can’t be taken back. If too few others can still approve, the step fails.',
      });
      if (!sure) return;
    }
    card.busy = true;
    card.error = null;
    ctx.draw();
    try {
      const answer = await api.command(api.executionPath(a.executionId, 'steps', a.stepPath, 'approve'), {
        decision,
        hash: a.hash,
        comments: card.comment.trim() || undefined,
      });
      state.done = [{ ...a, decision, answer }, ...state.done].slice(0, 20);
      state.items = state.items.filter((other) => keyOf(other) !== keyOf(a));
      ctx.announce(`${decision === 'approved' ? 'Approved' : 'Rejected'}: ${a.stepName}.`);
      reading.soon();
    } catch (e) {
      card.error = e;
    }
    card.busy = false;
    ctx.draw();
  }

  function deadline(a) {
    if (!a.deadline) return h('span', null, 'No deadline');
    const left = Date.parse(a.deadline) - Date.now();
    return h(
      'span',
      { class: ['with-icon', left < 300000 ? 'tone-bad' : left < 3600000 ? 'tone-wait' : ''] },
      icon('clock'),
      left > 0
        ? ['due in ', duration(Math.floor(left / 1000) * 1000).replace('.0 s', ' s')]
        : 'deadline has passed',
      ' · ',
      timeOf(a.deadline),
    );
  }

  function seal(details) {
    if (!details || details.failure) return null;
    if (details.isSame)
      return h(
        'p',
        { class: 'with-icon tone-good' },
        icon('shield'),
        'What you see here is what the engine recorded: its hash was computed again in this browser.',
      );
    if (details.isSame === false)
      return notice(
        'wait',
        'warning',
        h(
          'p',
          null,
          h('strong', null, 'The hash can’t be confirmed here. '),
          'What this page worked out differs from what the engine recorded, or the rules do. ',
          'Your vote still binds to the recorded hash.',
        ),
      );
    return h('p', { class: 'hint' }, details.input.reason || 'The hash can’t be computed again here.');
  }

  function votes(a) {
    if (!a.approvals?.length) return 'nobody yet';
    return h(
      'ul',
      { class: 'plain' },
      a.approvals.map((v) =>
        h(
          'li',
          { key: v.user },
          h('strong', null, v.user),
          v.decision === 'approved' ? ' approved ' : ' rejected ',
          timeOf(v.at, ago(v.at)),
          v.comments ? h('q', null, v.comments) : null,
        ),
      ),
    );
  }

  function legal(details) {
    const basis = details?.context?.legalBasis;
    if (!basis) return null;
    return [
      facts(
        [
          ['Authority', basis.authority],
          ['Classification', basis.classification],
          ['Case', basis.caseId],
        ],
        'is-row',
      ),
      details.context.assumptions?.length
        ? h(
            'div',
            null,
            h('h4', null, 'Assumptions'),
            h(
              'ul',
              null,
              details.context.assumptions.map((t) => h('li', { key: t }, t)),
            ),
          )
        : null,
    ];
  }

  function cardView(a) {
    const key = keyOf(a);
    const card = cards.get(key) || {};
    const details = card.details;
    const approved = (a.approvals || []).filter((v) => v.decision === 'approved').length;
    const id = `approval-${key.replaceAll(/[^A-Za-z0-9]/g, '-')}`;
    return h(
      'article',
      { class: 'panel approval', key, 'aria-labelledby': id },
      h(
        'div',
        { class: 'page-head' },
        h('h2', { id }, a.stepName || a.stepId),
        h(
          'span',
          { class: 'pill tone-wait' },
          icon('person'),
          h('span', null, `${approved} of ${a.minApprovals} approvals`),
        ),
      ),
      h(
        'p',
        { class: 'sub' },
        h('a', { href: linkRunbook(a.runbookId, a.runbookVersion) }, a.runbookId),
        ` ${a.runbookVersion} · execution `,
        h('a', { href: linkExecution(a.executionId, { step: a.stepPath }) }, shortId(a.executionId)),
        ` · asked for by ${a.initiatedBy}, `,
        timeOf(a.requestedAt, ago(a.requestedAt)),
      ),
      h('p', { class: 'sub' }, deadline(a)),
      h(
        'blockquote',
        { class: 'prompt' },
        a.prompt === undefined || a.prompt === null
          ? 'The runbook gives no question: look at the content below.'
          : typeof a.prompt === 'string'
            ? a.prompt
            : JSON.stringify(a.prompt),
      ),
      h('h3', null, 'What is approved'),
      details?.failure
        ? errorBox(details.failure)
        : !details
          ? loading()
          : [
              'value' in details.input
                ? jsonView(details.input.value, { label: 'Content of the step' })
                : null,
              seal(details),
            ],
      h(
        'details',
        { class: 'fold-box' },
        h('summary', null, 'Input of the whole execution'),
        a.inputBytes
          ? h('p', { class: 'hint' }, `${a.inputBytes} bytes: see the execution.`)
          : jsonView(a.input, { label: 'Input of the execution' }),
      ),
      facts(
        [
          ['Hash', hashText(a.hash)],
          ['Step', h('code', null, a.stepPath)],
        ],
        'is-row',
      ),
      legal(details),
      h('h3', null, 'Votes'),
      votes(a),
      h(
        'label',
        { class: 'field' },
        h('span', { class: 'label' }, 'Comment', h('span', { class: 'optional' }, ' optional')),
        h('textarea', {
          rows: 2,
          maxlength: 16000,
          value: card.comment || '',
          oninput: (e) => (card.comment = e.target.value),
        }),
      ),
      errorBox(card.error, { title: 'The vote was not taken.' }),
      h(
        'div',
        { class: 'actions is-main' },
        button('Reject', () => vote(a, 'rejected'), {
          kind: 'danger',
          iconName: 'cross',
          busy: card.busy,
          label: `Reject ${a.stepName}`,
        }),
        button('Approve', () => vote(a, 'approved'), {
          kind: 'good',
          iconName: 'check',
          busy: card.busy,
          label: `Approve ${a.stepName}`,
        }),
      ),
    );
  }

  const doneView = (d) =>
    h(
      'li',
      { key: keyOf(d) },
      icon(d.decision === 'approved' ? 'check' : 'cross'),
      ` ${d.decision === 'approved' ? 'Approved' : 'Rejected'} `,
      h('a', { href: linkExecution(d.executionId) }, d.stepName),
      ` of ${d.runbookId}: ${plural(d.answer.approvals ?? 0, 'approval')} of ${d.answer.required ?? d.minApprovals}.`,
    );

  return {
    title: () => 'My approvals',
    isUnsaved: () => [...cards.values()].some((c) => c.comment.trim() !== '' && c.busy),
    view: () => [
      h(
        'div',
        { class: 'page-head' },
        h(
          'div',
          null,
          h('h1', null, 'My approvals'),
          h(
            'p',
            { class: 'lead' },
            state.items
              ? state.items.length
                ? `${plural(state.items.length, 'decision')} waiting for you`
                : ' '
              : ' ',
          ),
        ),
      ),
      errorBox(state.error, { retry: reading.now, isRetried: true }),
      state.done.length
        ? h(
            'section',
            { class: 'notice tone-good', 'aria-label': 'Decided just now' },
            h('ul', { class: 'plain' }, state.done.map(doneView)),
          )
        : null,
      ctx.query.execution && state.items && ![...state.items, ...state.done].some(isAsked)
        ? notice(
            'wait',
            'person',
            h(
              'p',
              null,
              h('strong', null, 'The one you came for does not wait for you. '),
              'It has been decided, you have voted already, or others decide it. ',
              h('a', { href: linkExecution(ctx.query.execution) }, 'Back to the execution'),
            ),
          )
        : null,
      state.items
        ? state.items.length
          ? [
              h('div', { class: 'cards' }, state.items.slice(0, state.shown).map(cardView)),
              state.items.length > state.shown
                ? h('div', { class: 'actions' }, button(`Show more of the ${state.items.length}`, showMore))
                : null,
            ]
          : empty(
              'Nothing waits for you.',
              h('p', null, 'When an execution needs your approval, it shows here by itself.'),
            )
        : state.error
          ? null
          : loading(),
    ],
  };
}
