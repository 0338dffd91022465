// The console's frame: which page an address means, the bar on top, live updates, focus and titles.
//
// A page is a function of a context that gives {title(), view(), update?(query), close?()}. `view` says what is
// to be seen (dom.js); the context's `draw()` has it drawn before the next frame, however often it is called.

import * as api from './api.js';
import { h, render } from './dom.js';
import { icon } from './icons.js';
import { identity, setIdentity } from './session.js';
import { signInAgain } from './sign_in_token.js';
import { refresher } from './refresh.js';
import { openStream } from './stream.js';
import { errorBox } from './ui.js';
import { href, parse } from './url.js';
import { approvalsPage } from './pages/approvals.js';
import { editorPage } from './pages/editor.js';
import { executionPage } from './pages/execution.js';
import { executionsPage } from './pages/executions.js';
import { runbookPage } from './pages/runbook.js';
import { runbooksPage } from './pages/runbooks.js';
import { signInPage } from './pages/sign_in.js';
import { startPage } from './pages/start.js';

// pattern: segments of the address, ":name" is a parameter. section: which part of the bar is lit.
const ROUTES = [
  { pattern: ['runbooks'], page: runbooksPage, section: 'runbooks' },
  { pattern: ['runbooks', ':id'], page: runbookPage, section: 'runbooks' },
  { pattern: ['runbooks', ':id', 'start'], page: startPage, section: 'runbooks' },
  { pattern: ['executions'], page: executionsPage, section: 'executions' },
  { pattern: ['executions', ':id'], page: executionPage, section: 'executions' },
  { pattern: ['approvals'], page: approvalsPage, section: 'approvals' },
  { pattern: ['editor'], page: editorPage, section: 'editor' },
  { pattern: ['sign-in'], page: signInPage, section: 'sign-in' },
];

const SECTIONS = [
  ['runbooks', 'Runbooks'],
  ['executions', 'Executions'],
  ['approvals', 'Approvals'],
  ['editor', 'Editor'],
];

const AWAY = new Set(['away', 'reconnecting']);
const BADGE_EVERY_MS = 60000;
const BADGE_LEAST_MS = 1500;

const top = document.getElementById('top');
const main = document.getElementById('main');
const status = document.getElementById('status');

let current = null; // {route, key, page, context, closers}
let live = { state: 'off' };
let lapsed = null; // who was signed in until the server accepted it no longer
let isAsking = false;
let approvalCount = null;
let drawing = 0;
let shownFor = '';

function announce(text) {
  status.textContent = '';
  setTimeout(() => (status.textContent = text), 50);
}

function matchRoute(segments) {
  for (const route of ROUTES) {
    if (route.pattern.length !== segments.length) continue;
    const params = {};
    const fits = route.pattern.every((part, i) =>
      part.startsWith(':') ? ((params[part.slice(1)] = segments[i]), true) : part === segments[i],
    );
    if (fits) return { route, params };
  }
  return null;
}

// ---- the bar ----

const LIVE_TEXT = {
  off: '',
  connecting: 'Connecting',
  live: 'Live',
  away: 'Out of reach',
  reconnecting: 'Reconnecting',
  asleep: 'Resting',
  refused: 'Not live',
};

function whoText() {
  const me = identity();
  return me ? `${me.user} · ${me.tenant || 'default'}` : lapsed ? 'Sign in again' : 'Sign in';
}

function drawTop() {
  const section = current?.route.section;
  const link = ([name, text]) =>
    h(
      'li',
      { key: name },
      h(
        'a',
        { href: href([name]), class: 'nav-link', 'aria-current': section === name ? 'page' : undefined },
        text,
        name === 'approvals' && approvalCount
          ? h('span', { class: 'badge', 'aria-label': `${approvalCount} waiting for you` }, approvalCount)
          : null,
      ),
    );
  render(
    top,
    h(
      'a',
      { class: 'brand', href: href(['runbooks']), 'aria-label': 'Runbook, start page' },
      icon('child'),
      h('span', null, 'Runbook'),
    ),
    h('nav', { 'aria-label': 'Main' }, h('ul', { class: 'nav' }, SECTIONS.map(link))),
    h(
      'div',
      { class: 'top-right' },
      h(
        'span',
        { class: ['live', `is-${live.state}`], role: 'status', title: live.text || undefined },
        live.state === 'off'
          ? null
          : [h('span', { class: 'live-dot', 'aria-hidden': 'true' }), LIVE_TEXT[live.state]],
      ),
      h(
        'a',
        {
          class: 'who',
          href: href(['sign-in'], { back: section === 'sign-in' ? undefined : location.hash }),
          onclick: (e) => lapsed && (e.preventDefault(), askAgain()),
        },
        icon('person'),
        h('span', null, whoText()),
      ),
    ),
  );
}

function setApprovalCount(count) {
  if (count === approvalCount) return;
  approvalCount = count;
  drawTop();
}

const badge = refresher({
  leastMs: BADGE_LEAST_MS,
  async read(signal) {
    if (!identity() || document.hidden) return;
    const answer = await api.get('approvals', { limit: 100 }, signal);
    setApprovalCount(answer.nextCursor ? `${answer.count}+` : answer.count);
  },
  failed: () => setApprovalCount(null),
});

// ---- pages ----

function draw() {
  if (drawing) return;
  drawing = requestAnimationFrame(() => {
    drawing = 0;
    drawNow();
  });
}

function drawNow() {
  if (!current) return;
  let view;
  try {
    view = current.page.view();
  } catch (e) {
    console.error(e);
    view = errorBox(new Error(`This page could not be drawn: ${e.message}`));
  }
  render(main, h('div', { class: ['page', `page-${current.route.section}`], key: current.key }, view));
  showCurrent();
  const title = current.page.title();
  document.title = title ? `${title} – Runbook` : 'Runbook';
}

/** At phone width the lists of tabs are wider than the window: bring what is lit into sight, once an address. */
function showCurrent() {
  if (shownFor === location.hash) return;
  for (const lit of document.querySelectorAll('.nav [aria-current], .tabs [aria-current]')) {
    const box = lit.closest('nav');
    if (box.scrollWidth > box.clientWidth)
      box.scrollLeft = lit.offsetLeft - box.offsetLeft - (box.clientWidth - lit.offsetWidth) / 2;
    if (lit.closest('.tabs')) shownFor = location.hash;
  }
}

function makeContext(params, query, closers) {
  const context = {
    params,
    query,
    draw: () => current?.context === context && draw(),
    announce,
    setApprovalCount,
    isCurrent: () => current?.context === context,
    go: (to) => (location.hash = to),
    /** Change the address's query; undefined takes a member away. */
    setQuery(changes, { replace = true } = {}) {
      const to = href(parse(location.hash).segments, { ...context.query, ...changes });
      if (to === location.hash) return;
      if (replace) history.replaceState(null, '', to);
      else history.pushState(null, '', to);
      navigate();
    },
    every(ms, fn) {
      const timer = setInterval(() => !document.hidden && fn(), ms);
      closers.push(() => clearInterval(timer));
    },
    /** Live events of @path while the page is shown. */
    live(path, { onEvent, onOpen }) {
      const close = openStream(path, {
        onEvent(event, name) {
          if (/^runbook\.(approval|step\.awaiting_approval)/.test(event.type || '')) badge.soon();
          onEvent(event, name);
        },
        onOpen,
        onState(state, text) {
          if (
            live.state !== state &&
            (AWAY.has(state) || (state === 'live' && AWAY.has(live.state)))
          )
            announce(state === 'live' ? 'Live again.' : text || 'The live connection is away; trying again.');
          live = { state, text };
          drawTop();
        },
      });
      closers.push(close);
      return close;
    },
    onClose: (fn) => closers.push(fn),
  };
  return context;
}

function closePage() {
  if (!current) return;
  current.page.close?.();
  for (const close of current.closers.splice(0)) close();
  live = { state: 'off' };
}

function navigate() {
  const { segments, query } = parse(location.hash);
  if (segments.length === 0) {
    history.replaceState(null, '', href(['runbooks']));
    return navigate();
  }
  if (!identity() && !lapsed && segments[0] !== 'sign-in') {
    history.replaceState(null, '', href(['sign-in'], { back: location.hash }));
    return navigate();
  }
  const found = matchRoute(segments);
  const key = JSON.stringify(segments);
  if (current && current.key === key && found) {
    current.context.query = query;
    current.page.update?.(query);
    draw();
    drawTop();
    return undefined;
  }
  if (current?.page.mayLeave && !current.page.mayLeave()) {
    history.replaceState(null, '', current.address);
    return undefined;
  }
  const isFirst = !current;
  closePage();
  const closers = [];
  const route = found?.route || { section: '', page: notFoundPage };
  const context = makeContext(found?.params || {}, query, closers);
  current = { route, key, context, closers, page: null, address: location.hash };
  current.page = route.page(context);
  drawTop();
  drawNow();
  window.scrollTo(0, 0);
  if (!isFirst) {
    main.focus({ preventScroll: true });
    announce(current.page.title());
  }
  return undefined;
}

function notFoundPage() {
  return {
    title: () => 'Not found',
    view: () => [
      h('h1', null, 'There is no such page'),
      h('p', null, 'The address leads nowhere. ', h('a', { href: href(['runbooks']) }, 'All runbooks')),
    ],
  };
}

/** What was accepted no longer is. The page stays, with all that is typed, and the question comes over it. */
async function askAgain(why) {
  if (isAsking) return;
  isAsking = true;
  const before = lapsed;
  const next = await signInAgain(before, why);
  isAsking = false;
  if (!next) return;
  setIdentity(next);
  window.dispatchEvent(new Event('runbook-identity'));
  if (next.user === before.user && next.tenant === before.tenant) {
    announce('Signed in again.');
    return;
  }
  closePage(); // what is seen there is not his
  current = null;
  navigate();
}

api.whenUnauthenticated((error) => {
  if (parse(location.hash).segments[0] === 'sign-in') return;
  if (identity()) {
    lapsed = identity();
    setIdentity(null);
    setApprovalCount(null);
    drawTop();
  }
  if (lapsed) askAgain(error.message);
  else location.hash = href(['sign-in'], { back: location.hash, refused: '1' });
});

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the fragment is the page's address
  main.focus();
  main.scrollIntoView();
});
window.addEventListener('hashchange', () => {
  navigate();
  if (current) current.address = location.hash;
});
window.addEventListener('runbook-identity', () => {
  approvalCount = null;
  lapsed = null;
  badge.restart();
  if (identity()) current?.page.signedIn?.();
  drawTop();
});
window.addEventListener('beforeunload', (event) => {
  if (current?.page.isUnsaved?.()) event.preventDefault();
});

navigate();
badge.now();
setInterval(badge.now, BADGE_EVERY_MS);
