// Who is asking: a token, or a name where the gateway asks for no proof (AUTH_MODE=none, loopback only).

import * as api from '../api.js';
import { h } from '../dom.js';
import { identity, setIdentity, tokenClaims } from '../session.js';
import { button, errorBox, facts, notice } from '../ui.js';
import { timeOf } from '../format.js';
import { href } from '../url.js';

const NAME = /^[^\s/]{1,128}$/;

export function signInPage(ctx) {
  const me = identity();
  const state = {
    user: me?.user || '',
    tenant: me?.tenant || 'default',
    token: '',
    asks: null, // does the gateway want a token? null: not known
    error: null,
    busy: false,
  };

  // Without any identity: a gateway that asks for tokens refuses this, one that doesn't wants a name.
  api.get('health').then(
    (answer) => {
      if (typeof answer?.auth === 'string') state.asks = answer.auth !== 'none';
      ctx.draw();
    },
    () => {},
  );

  async function enter(next) {
    state.busy = true;
    state.error = null;
    const before = identity();
    setIdentity(next);
    ctx.draw();
    try {
      await api.get('approvals', { limit: 1 });
    } catch (e) {
      if (e.status === 401 || e.status === 403) {
        setIdentity(before);
        state.error = e;
      }
    }
    state.busy = false;
    window.dispatchEvent(new Event('runbook-identity'));
    ctx.draw();
    const back = ctx.query.back;
    if (!state.error)
      ctx.go(back && back.startsWith('#/') && !back.startsWith('#/sign-in') ? back : href(['runbooks']));
  }

  function leave() {
    setIdentity(null);
    state.user = '';
    window.dispatchEvent(new Event('runbook-identity'));
    ctx.draw();
  }

  const field = (label, props, hint) =>
    h(
      'label',
      { class: 'field' },
      h('span', { class: 'label' }, label),
      h('input', props),
      hint ? h('span', { class: 'hint' }, hint) : null,
    );

  function nameForm() {
    return h(
      'form',
      {
        class: 'panel',
        key: 'name',
        onsubmit: (e) => {
          e.preventDefault();
          const [user, tenant] = [state.user.trim(), state.tenant.trim() || 'default'];
          if (!NAME.test(user) || !NAME.test(tenant)) {
            state.error = new Error('Give a user and a tenant, each of up to 128 characters without blanks.');
            ctx.draw();
            return;
          }
          enter({ user, tenant });
        },
      },
      h('h2', null, 'Act as a user'),
      h(
        'p',
        { class: 'hint' },
        'For gateways that ask nobody who he is (AUTH_MODE=none). Whatever is done is recorded under this name.',
      ),
      field('User', {
        name: 'user',
        value: state.user,
        autocomplete: 'username',
        autocapitalize: 'none',
        spellcheck: 'false',
        oninput: (e) => (state.user = e.target.value),
      }),
      field('Tenant', {
        name: 'tenant',
        value: state.tenant,
        autocapitalize: 'none',
        spellcheck: 'false',
        oninput: (e) => (state.tenant = e.target.value),
      }),
      h(
        'div',
        { class: 'actions' },
        h('button', { class: 'button is-primary', type: 'submit', disabled: state.busy }, 'Continue'),
      ),
    );
  }

  function tokenForm() {
    const claims = state.token.includes('.') ? tokenClaims(state.token) : {};
    return h(
      'form',
      {
        class: 'panel',
        key: 'token',
        onsubmit: (e) => {
          e.preventDefault();
          const token = state.token.trim();
          if (/^[\x21-\x7e]{8,16384}$/.test(token)) return void enter({ token });
          state.error = new Error('That is not a token: it has no blanks and at least eight characters.');
          ctx.draw();
        },
      },
      h('h2', null, 'Sign in with a token'),
      h(
        'p',
        { class: 'hint' },
        'A JWT or an access token of this installation. It is kept in this tab only (session storage) ',
        'and goes along as Authorization header.',
      ),
      h(
        'label',
        { class: 'field' },
        h('span', { class: 'label' }, 'Token'),
        h('textarea', {
          name: 'token',
          rows: 4,
          value: state.token,
          autocomplete: 'off',
          spellcheck: 'false',
          class: 'mono',
          oninput: (e) => {
            state.token = e.target.value;
            ctx.draw();
          },
        }),
      ),
      claims.user || claims.tenant
        ? facts([
            ['It names', claims.user],
            ['Tenant', claims.tenant],
            ['Valid until', claims.expires ? timeOf(new Date(claims.expires * 1000).toISOString()) : null],
          ])
        : null,
      h(
        'div',
        { class: 'actions' },
        h('button', { class: 'button is-primary', type: 'submit', disabled: state.busy }, 'Sign in'),
      ),
    );
  }

  return {
    title: () => 'Sign in',
    view() {
      const who = identity();
      return [
        h('h1', null, 'Who is asking?'),
        ctx.query.refused && !state.error
          ? notice(
              'wait',
              'warning',
              h('p', null, 'The server no longer accepts what you signed in with. Sign in again.'),
            )
          : null,
        errorBox(state.error, { title: state.error?.status ? 'Not accepted.' : 'That is not complete.' }),
        who
          ? h(
              'p',
              null,
              'Signed in as ',
              h('strong', null, who.user || tokenClaims(who.token).user || 'the owner of a token'),
              '. ',
              button('Sign out', leave),
            )
          : null,
        h(
          'div',
          { class: 'two-columns' },
          state.asks === true ? null : nameForm(),
          state.asks === false ? null : tokenForm(),
        ),
      ];
    },
  };
}
