// The history: every lifecycle event, and the check of its chain in this browser.

import * as api from './api.js';
import { verifyChain } from './chain.js';
import { h } from './dom.js';
import { eventPath } from './execution_model.js';
import { duration, plural, timeOf } from './format.js';
import { icon } from './icons.js';
import { button, errorBox, facts, hashText, jsonView, loading, notice } from './ui.js';
import { VirtualRows } from './virtual.js';

const TONES = [
  [/\.(failed|refused|expired)$/, 'bad', 'cross'],
  [/\.(completed|recorded|compensated)$/, 'good', 'check'],
  [/\.(started|resumed|received)$/, 'active', 'play'],
  [/\.(retrying|paused|pausing|awaiting_\w+|waiting|escalated|compensating)$/, 'wait', 'clock'],
];
const look = (type) => {
  const found = TONES.find(([pattern]) => pattern.test(type));
  return found ? { tone: found[1], icon: found[2] } : { tone: 'muted', icon: 'dots' };
};

/** What an event tells, in few words. */
export function summary(event) {
  const d = event.data || {};
  const parts = [];
  if (d.by) parts.push(`by ${d.by}`);
  if (d.decision) parts.push(d.decision);
  if (d.comments) parts.push(`“${d.comments}”`);
  if (d.attempt > 1) parts.push(`attempt ${d.attempt}`);
  if (d.durationMs !== undefined) parts.push(duration(d.durationMs));
  if (d.reason) parts.push(typeof d.reason === 'string' ? d.reason.replaceAll('_', ' ') : '');
  if (d.code) parts.push(d.code);
  if (d.error) parts.push(`${d.error.code || ''} ${d.error.message || ''}`.trim());
  if (d.message) parts.push(d.message);
  if (d.eventType) parts.push(d.eventType);
  if (d.approvers) parts.push(`asks ${d.approvers.join(', ')}`);
  return parts.join(' · ');
}

export function historyTab(page) {
  const { ctx } = page;
  const rows = new VirtualRows({ rowHeight: 44, draw: ctx.draw });
  const state = { check: null, checking: false, error: null, open: null, filter: '' };

  async function check() {
    state.checking = true;
    state.check = state.error = null;
    ctx.draw();
    try {
      const events = page.history;
      const mine = await verifyChain(events);
      // What the engine says its state ends with; it may have moved on since the events were read.
      const answer = await api
        .get(api.executionPath(page.id, 'audit'), { events: 'false' })
        .catch(() => null);
      const head = answer?.verification?.head;
      state.check = {
        ...mine,
        head,
        isHead: !head || head.sequence > mine.last.sequence ? null : head.hash === mine.last.hash,
      };
      ctx.announce(mine.faultCount ? `${mine.faultCount} faults in the chain.` : 'The chain is whole.');
    } catch (e) {
      state.error = e;
    }
    state.checking = false;
    ctx.draw();
  }

  function verdict() {
    const c = state.check;
    if (!c) return null;
    if (c.faultCount || c.isHead === false)
      return notice(
        'bad',
        'warning',
        h(
          'p',
          null,
          h('strong', null, 'The history is not what it says. '),
          c.faultCount
            ? `${plural(c.faultCount, 'fault')} in ${plural(c.count, 'event')}:`
            : 'Its last hash is not the one that the engine’s state names.',
        ),
        h(
          'ul',
          null,
          c.faults.map((f) => h('li', { key: `${f.sequence}${f.fault}` }, f.message)),
        ),
      );
    return notice(
      'good',
      'shield',
      h(
        'p',
        null,
        h('strong', null, 'The chain is whole. '),
        `All ${plural(c.count, 'event')} have the hash they carry and name the one before; `,
        'computed in this browser just now.',
        c.isHead ? ' The last hash is the one that the engine’s state names.' : null,
      ),
      h(
        'p',
        null,
        'Last hash: ',
        hashText(c.last.hash),
        ' Keep it elsewhere, and nobody can cut off the history’s end unseen.',
      ),
    );
  }

  function detail(event) {
    return h(
      'div',
      { class: 'event-detail' },
      facts(
        [
          ['Hash', hashText(event.hash)],
          ['Hash before', hashText(event.prevhash)],
          ['Source', event.source],
          ['Time', event.time],
        ],
        'is-row',
      ),
      jsonView(event, { label: `Event ${event.sequence}` }),
    );
  }

  function row(event) {
    const type = (event.type || '').replace(/^runbook\./, '');
    const { tone, icon: name } = look(type);
    const path = eventPath(event);
    const isOpen = state.open === event.sequence;
    return h(
      'tr',
      { key: `e${event.sequence}`, class: ['row', isOpen && 'is-selected'] },
      h('td', { class: 'number col-number' }, event.sequence),
      h('td', { class: 'col-time' }, timeOf(event.time)),
      h(
        'td',
        null,
        h(
          'button',
          {
            type: 'button',
            class: 'link-button',
            'aria-expanded': String(isOpen),
            onclick: () => ((state.open = isOpen ? null : event.sequence), ctx.draw()),
          },
          h(
            'span',
            { class: ['with-icon', `tone-${tone}`] },
            icon(name),
            h('span', null, type.replaceAll('_', ' ')),
          ),
        ),
        h('span', { class: 'sub only-phone' }, path),
      ),
      h('td', { class: 'hide-phone' }, path ? h('a', { href: page.stepHref(path) }, path) : '–'),
      h(
        'td',
        { class: 'hide-phone col-text' },
        event.omittedBytes ? `too large: ${event.omittedBytes} bytes` : summary(event),
      ),
    );
  }

  return {
    close: () => rows.close(),
    view() {
      if (page.historyError) return errorBox(page.historyError, { retry: page.loadHistory });
      if (!page.history) return loading();
      const needle = state.filter.toLowerCase();
      const items = needle
        ? page.history.filter((e) => `${e.type} ${eventPath(e)} ${summary(e)}`.toLowerCase().includes(needle))
        : page.history;
      const opened = items.find((e) => e.sequence === state.open);
      return [
        h(
          'div',
          { class: 'filters' },
          h(
            'label',
            { class: 'filter grow' },
            h('span', { class: 'label' }, 'Search'),
            h('input', {
              type: 'search',
              value: state.filter,
              placeholder: 'Type, step, person or reason',
              oninput: (e) => ((state.filter = e.target.value), ctx.draw()),
            }),
          ),
          button(state.checking ? 'Checking…' : 'Check the chain', check, {
            iconName: 'shield',
            busy: state.checking,
          }),
        ),
        errorBox(state.error),
        verdict(),
        opened
          ? h(
              'section',
              { class: 'panel', key: 'opened', 'aria-label': `Event ${opened.sequence}` },
              detail(opened),
            )
          : null,
        rows.table({
          label: 'History',
          items,
          row,
          head: h(
            'tr',
            null,
            h('th', { scope: 'col', class: 'number' }, 'No.'),
            h('th', { scope: 'col' }, 'Time'),
            h('th', { scope: 'col' }, 'Event'),
            h('th', { scope: 'col', class: 'hide-phone' }, 'Step'),
            h('th', { scope: 'col', class: 'hide-phone' }, 'What'),
          ),
        }),
      ];
    },
  };
}
