// Who is asking: a token, or a name where the gateway asks for no proof (AUTH_MODE=none, loopback only).

import * as api from '../api.js';
import { h } from '../dom.js';
import { identity, setIdentity } from '../session.js';
import { refusal, signIn, tokenField } from '../sign_in_token.js';
import { button, loading, notice } from '../ui.js';
import { timeOf } from '../format.js';
import { href } from '../url.js';

const NAME = /^[^\s/]{1,128}$/;

export function signInPage(ctx) {
  const me = identity();
  const state = {
    user: (!me?.token && me?.user) || '',
    tenant: (!me?.token && me?.tenant) || 'default',
    token: '',
    asks: null, // does the gateway want a token? null: not known
    isTold: false, // it has answered that, or can't
    error: null,
    busy: false,
  };

  // Without any identity: a gateway that asks for tokens refuses this, one that doesn't wants a name.
  api.get('health').then(
    (answer) => {
      if (typeof answer?.auth === 'string') state.asks = answer.auth !== 'none';
      state.isTold = true;
      ctx.draw();
    },
    () => {
      state.isTold = true;
      ctx.draw();
    },
  );

  async function enter(ask) {
    state.busy = true;
    state.error = null;
    ctx.draw();
    try {
      setIdentity(await ask());
      window.dispatchEvent(new Event('runbook-identity'));
      const back = ctx.query.back;
      ctx.go(back && back.startsWith('#/') && !back.startsWith('#/sign-in') ? back : href(['runbooks']));
    } catch (e) {
      state.error = e;
    }
    state.busy = false;
    ctx.draw();
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
          enter(() => api.identify({ user, tenant }));
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
    return h(
      'form',
      {
        class: 'panel',
        key: 'token',
        onsubmit: (e) => {
          e.preventDefault();
          enter(() => signIn(state.token));
        },
      },
      h('h2', null, 'Sign in with a token'),
      h(
        'p',
        { class: 'hint' },
        'A JWT or an access token of this installation. It is kept in this tab only (session storage) ',
        'and goes along as Authorization header.',
      ),
      tokenField(state, ctx.draw),
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
        refusal(state.error),
        who
          ? h(
              'p',
              null,
              'Signed in as ',
              h('strong', null, who.user),
              ' of tenant ',
              h('strong', null, who.tenant),
              who.expiresAt ? [', until ', timeOf(who.expiresAt)] : null,
              '. ',
              button('Sign out', leave),
            )
          : null,
        state.isTold
          ? h(
              'div',
              { class: 'two-columns' },
              state.asks === true ? null : nameForm(),
              state.asks === false ? null : tokenForm(),
            )
          : loading(),
      ];
    },
  };
}
