// Signing in with a token: the field, what the token says of itself, why it was refused, and the question that comes
// when it has ended while a page is open.

import * as api from './api.js';
import { h, render } from './dom.js';
import { ago, timeOf } from './format.js';
import { takeToken, tokenClaims } from './session.js';
import { errorBox, facts, notice } from './ui.js';

// What helps, by what the gateway says.
const MENDS = [
  [/expired/, 'Get a new one where this one came from, and paste it here.'],
  [/not valid yet|future/, 'Wait until it is, or have the clock checked of the machine that issues tokens.'],
  [/verified/, 'Was it copied whole? A JWT has three parts with dots between. If so, its key is not known here.'],
  [/issuer|audience|names no/, 'It was made for something else: ask for one for this installation.'],
  [/not known/, 'Was it copied whole? If so, whoever runs this installation gives out new ones.'],
];

/** Ask the gateway who the owner of @text is. Gives the identity; throws an error that says how to mend it. */
export async function signIn(text) {
  const token = takeToken(text);
  if (!token) throw new Error('That is not a token: it has no blanks and at least eight characters.');
  try {
    return await api.identify({ token });
  } catch (e) {
    const mend = e.status === 401 && MENDS.find(([pattern]) => pattern.test(e.message));
    if (mend) e.message = `${e.message[0].toUpperCase()}${e.message.slice(1)}. ${mend[1]}`;
    throw e;
  }
}

export const refusal = (error) =>
  errorBox(error, { title: error?.status ? 'Not accepted.' : 'That is not complete.' });

/** The field, and under it what the token says; @state.token is what was typed. */
export function tokenField(state, draw) {
  const claims = tokenClaims(takeToken(state.token) || '');
  const end = claims.expires ? new Date(claims.expires * 1000).toISOString() : null;
  const isOver = end && Date.parse(end) < Date.now();
  return [
    h(
      'label',
      { class: 'field' },
      h('span', { class: 'label' }, 'Token'),
      h('textarea', {
        name: 'token',
        rows: 4,
        value: state.token,
        autocomplete: 'off',
        autocapitalize: 'none',
        spellcheck: 'false',
        class: 'mono',
        oninput: (e) => {
          state.token = e.target.value;
          draw();
        },
        // A token has one line: Enter is meant for the form.
        onkeydown: (e) => e.key === 'Enter' && (e.preventDefault(), e.target.form.requestSubmit()),
      }),
    ),
    claims.user || claims.tenant || end
      ? facts([
          ['It names', claims.user],
          ['Tenant', claims.tenant],
          [
            isOver ? 'Expired' : 'Valid until',
            end && h('span', { class: isOver ? 'tone-bad' : null }, timeOf(end), ` (${ago(end)})`),
          ],
        ])
      : null,
  ];
}

const nameOf = ({ user, tenant }) => `${user} · ${tenant}`;

/** The server no longer accepts @before: ask for a new token, over the page, which stays as it is. Gives the new
 * identity, or null: not now. */
export function signInAgain(before, why) {
  return new Promise((resolve) => {
    const state = { token: '', error: null, busy: false, other: null };
    const dialog = document.createElement('dialog');
    dialog.className = 'dialog';
    dialog.setAttribute('aria-labelledby', 'again-title');
    const focused = document.activeElement;
    let answer = null;

    async function submit(e) {
      e.preventDefault();
      if (state.busy) return;
      if (state.other) {
        answer = state.other;
        dialog.close();
        return;
      }
      state.busy = true;
      state.error = null;
      draw();
      try {
        const next = await signIn(state.token);
        if (next.user === before.user && next.tenant === before.tenant) {
          answer = next;
          dialog.close();
        } else state.other = next;
      } catch (e2) {
        state.error = e2;
      }
      state.busy = false;
      draw();
    }

    function draw() {
      const { other } = state;
      render(
        dialog,
        h(
          'form',
          { method: 'dialog', onsubmit: submit },
          h('h2', { id: 'again-title' }, 'Sign in again'),
          h(
            'p',
            null,
            `The server no longer accepts what you signed in with${why ? `: ${why}` : ''}. `,
            'The page behind stays as it is, and so does what you have typed.',
          ),
          refusal(state.error),
          other
            ? notice(
                'wait',
                'warning',
                h('p', null, `This token is for ${nameOf(other)}, the page was opened by ${nameOf(before)}. `),
                h('p', null, 'Going on opens it anew; what is typed there is lost.'),
              )
            : null,
          tokenField(state, () => ((state.other = null), draw())),
          h(
            'div',
            { class: 'actions' },
            h('button', { type: 'button', class: 'button', onclick: () => dialog.close() }, 'Not now'),
            h(
              'button',
              { type: 'submit', class: 'button is-primary', disabled: state.busy },
              other ? `Go on as ${other.user}` : 'Sign in',
            ),
          ),
        ),
      );
    }

    draw();
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(answer);
      focused?.focus?.({ preventScroll: true });
    });
    document.getElementById('dialogs').append(dialog);
    dialog.showModal();
    dialog.querySelector('textarea').focus();
  });
}
