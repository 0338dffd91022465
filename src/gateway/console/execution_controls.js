// What people may do to an execution, with the questions before and the answers after.

import * as api from './api.js';
import { h } from './dom.js';
import { isEnded } from './status.js';
import { ask, button, errorBox, linkButton, notice } from './ui.js';
import { href, linkExecution } from './url.js';

export function controls(page) {
  const { ctx, id } = page;
  const state = { busy: '', error: null, title: '', done: null };

  async function run(name, title, work) {
    state.busy = name;
    state.error = state.done = null;
    state.title = title;
    ctx.draw();
    try {
      state.done = await work();
      if (state.done?.text) ctx.announce(state.done.text);
    } catch (e) {
      state.error = e;
    }
    state.busy = '';
    page.refreshSoon();
    ctx.draw();
  }

  const path = (...rest) => api.executionPath(id, ...rest);

  const pause = () =>
    run('pause', 'It was not paused.', async () => {
      const answer = await api.command(path('pause'));
      return {
        tone: 'good',
        text: answer.status === 'paused' ? 'Paused.' : 'Pausing: steps under way are finished first.',
      };
    });

  const resume = () =>
    run('resume', 'It was not resumed.', async () => {
      await api.command(path('resume'));
      return { tone: 'good', text: 'Resumed.' };
    });

  async function cancel() {
    const answer = await ask({
      title: 'Cancel this execution?',
      action: 'Cancel the execution',
      kind: 'danger',
      text:
        'Steps under way are broken off, and what was done is undone where the runbook says how. ' +
        'This can’t be taken back.',
      fields: [{ name: 'reason', label: 'Reason', type: 'textarea', hint: 'Recorded in the history.' }],
    });
    if (answer)
      run('cancel', 'It was not cancelled.', async () => {
        await api.command(path('cancel'), { reason: answer.reason.trim() || undefined });
        return { tone: 'good', text: 'Cancelled.' };
      });
  }

  async function retry(stepPath, name) {
    const sure = await ask({
      title: `Try “${name}” again?`,
      action: 'Try again',
      text: 'The execution runs on from this step. The same idempotency key is sent as before.',
    });
    if (sure)
      run('retry', 'The step was not tried again.', async () => {
        await api.command(path('steps', stepPath, 'retry'));
        return { tone: 'good', text: 'The execution runs on.' };
      });
  }

  async function rerun() {
    const sure = await ask({
      title: 'Run it again?',
      action: 'Run again',
      text: 'A new execution with the same input and context. It does everything again, outside as well.',
    });
    if (sure)
      run('rerun', 'It was not run again.', async () => {
        const answer = await api.command(path('replay'), { mode: 'rerun' });
        return { tone: 'good', text: 'Running again as a new execution.', link: answer.executionId };
      });
  }

  const verify = () =>
    run('verify', 'It could not be verified.', async () => {
      const answer = await api.command(path('replay'), { mode: 'verify' });
      return answer.identical
        ? {
            tone: 'good',
            text: 'Verified: driving the recorded history through the engine again gives the same state.',
          }
        : {
            tone: 'bad',
            text: 'Not identical: the recorded history leads elsewhere.',
            divergences: answer.divergences,
          };
    });

  return {
    retry,
    canRetry: (result) => page.execution?.status === 'failed' && result?.status === 'failed',
    buttons() {
      const x = page.execution;
      const busy = Boolean(state.busy);
      const over = isEnded(x.status);
      return [
        !over && ['running', 'pending'].includes(x.status)
          ? button('Pause', pause, { iconName: 'pause', busy, key: 'pause' })
          : null,
        ['paused', 'pausing'].includes(x.status)
          ? button('Resume', resume, { iconName: 'play', busy, key: 'resume', kind: 'primary' })
          : null,
        !over ? button('Cancel…', cancel, { iconName: 'stop', busy, key: 'cancel', kind: 'danger' }) : null,
        over ? button('Verify', verify, { iconName: 'shield', busy, key: 'verify' }) : null,
        over ? button('Run again…', rerun, { iconName: 'redo', busy, key: 'rerun' }) : null,
        over
          ? linkButton(
              'Start with changes',
              href(['runbooks', x.runbookId, 'start'], { version: x.runbookVersion, like: id }),
              { iconName: 'edit' },
            )
          : null,
      ];
    },
    messages() {
      const { done } = state;
      return [
        errorBox(state.error, { title: state.title }),
        done
          ? notice(
              done.tone,
              done.tone === 'good' ? 'check' : 'warning',
              h(
                'p',
                null,
                done.text,
                done.link ? [' ', h('a', { href: linkExecution(done.link) }, 'Open it')] : null,
              ),
              done.divergences?.length
                ? h(
                    'ul',
                    null,
                    done.divergences
                      .slice(0, 20)
                      .map((d) =>
                        h(
                          'li',
                          null,
                          `At event ${d.sequence}, ${d.part}: expected `,
                          h('code', null, short(d.expected)),
                          ', got ',
                          h('code', null, short(d.actual)),
                        ),
                      ),
                  )
                : null,
            )
          : null,
      ];
    },
  };
}

const short = (value) => {
  const text = typeof value === 'string' ? value : JSON.stringify(value) || '';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};
