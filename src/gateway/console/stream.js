// Server-sent events over fetch, since EventSource can't send an Authorization header. Resumes with
// Last-Event-ID, so that nothing is missed while the connection is away; reconnects with growing pauses; closes
// itself while nobody looks at the tab (browsers allow six connections to one place, for all tabs together).

import { address, unauthenticated } from './api.js';
import { identity, identityHeaders } from './session.js';

const PAUSE_FIRST_MS = 500;
const PAUSE_MOST_MS = 15000;
const SILENCE_MS = 60000; // the gateway sends a heartbeat more often than that
const HIDDEN_MS = 20000;
const ASK_MS = 5000; // where there is no stream to be had
const LINE_MOST = 4 << 20;

/** Cuts a stream of text into events; @onEvent({event, data}), @onId(id): where to go on, before its event and also
 * without one, @onRetry(ms). */
export function createParser({ onEvent, onId = () => {}, onRetry = () => {} }) {
  let rest = '';
  let event = { data: [] };
  function line(text) {
    if (text === '') {
      if (event.id !== undefined) onId(event.id);
      if (event.data.length) onEvent({ event: event.event, data: event.data.join('\n') });
      event = { data: [] };
      return;
    }
    if (text.startsWith(':')) return;
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') event.data.push(value);
    else if (field === 'event') event.event = value;
    else if (field === 'id' && !value.includes('\0')) event.id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) onRetry(Number(value));
  }
  return (chunk) => {
    rest += chunk;
    if (rest.length > LINE_MOST) throw new Error('a line of the stream is too long');
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(rest);
      if (!end) return;
      line(rest.slice(0, end.index));
      rest = rest.slice(end.index + end[0].length);
    }
  };
}

/** Open @path's stream. @onEvent(data as JSON, event name); @onOpen(): connected (again), state may have moved on
 * meanwhile; @onState('live' | 'away' | 'connecting' | 'reconnecting' | 'asleep' | 'refused', sentence). Gives a
 * function that closes it. */
export function openStream(path, { onEvent, onOpen, onState }) {
  let lastId;
  let pause = PAUSE_FIRST_MS;
  let controller = null;
  let timer = 0;
  let hiddenTimer = 0;
  let isClosed = false;
  let tries = 0;
  let asking = 0;

  const say = (state, text) => !isClosed && onState(state, text);

  function later() {
    if (isClosed) return;
    say('reconnecting', 'The live connection is away; trying again.');
    clearTimeout(timer);
    timer = setTimeout(connect, pause * (0.7 + Math.random() * 0.6));
    pause = Math.min(pause * 2, PAUSE_MOST_MS);
  }

  async function read(response, mine) {
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(), SILENCE_MS);
    };
    const parse = createParser({
      onId: (id) => (lastId = id),
      onRetry: (ms) => (pause = Math.min(Math.max(ms, PAUSE_FIRST_MS), PAUSE_MOST_MS)),
      onEvent({ event, data }) {
        let body;
        try {
          body = JSON.parse(data);
        } catch {
          return;
        }
        if (event === 'gap')
          onOpen?.(); // what is missing will never come: look anew
        else if (event === 'away') say('away', 'The gateway has lost NATS: what happens now shows later.');
        else if (event === 'back') say('live', 'Live');
        else onEvent(body, event);
      },
    });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (;;) {
        heard();
        const { value, done } = await reader.read();
        if (done) return;
        pause = PAUSE_FIRST_MS;
        parse(value);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  async function connect() {
    if (isClosed) return;
    const mine = new AbortController();
    controller = mine;
    say(tries++ ? 'reconnecting' : 'connecting');
    try {
      const headers = { Accept: 'text/event-stream', ...identityHeaders() };
      if (lastId !== undefined) headers['Last-Event-ID'] = lastId;
      const response = await fetch(address(path), {
        headers,
        signal: mine.signal,
        cache: 'no-store',
        credentials: 'omit',
      });
      if (response.status === 401) {
        say('refused', 'No live updates until you have signed in again.');
        unauthenticated(new Error('the token has ended'));
        return;
      }
      if (
        response.status >= 400 &&
        response.status < 500 &&
        response.status !== 429 &&
        response.status !== 408
      ) {
        say(
          'refused',
          `No live updates: the server answered ${response.status}. The page asks now and then instead.`,
        );
        clearInterval(asking);
        asking = setInterval(() => document.hidden || onOpen?.(), ASK_MS);
        return;
      }
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      say('live', 'Live');
      onOpen?.();
      await read(response, mine);
    } catch {
      // Whatever ended the connection: it is made anew, and the state read again.
    }
    if (controller === mine) later();
  }

  function hang() {
    clearTimeout(timer);
    const old = controller;
    controller = null;
    old?.abort();
  }

  function onVisibility() {
    clearTimeout(hiddenTimer);
    if (document.hidden) {
      hiddenTimer = setTimeout(() => {
        hang();
        say('asleep', 'Live updates rest while the tab is hidden.');
      }, HIDDEN_MS);
    } else if (!controller) {
      pause = PAUSE_FIRST_MS;
      connect();
    }
  }
  /** Somebody has signed in (again): by the new token from here on. */
  function onIdentity() {
    if (!identity()) return;
    clearInterval(asking);
    hang();
    pause = PAUSE_FIRST_MS;
    if (!document.hidden) connect();
  }
  document.addEventListener('visibilitychange', onVisibility);
  window.addEventListener('runbook-identity', onIdentity);
  connect();
  return () => {
    isClosed = true;
    document.removeEventListener('visibilitychange', onVisibility);
    window.removeEventListener('runbook-identity', onIdentity);
    clearTimeout(hiddenTimer);
    clearInterval(asking);
    hang();
  };
}
