'use strict';
// A test program is a list of named cases, run one after the other, reported as TAP. Every case has a
// time limit; a failed case prints what it failed on and, through `onFailure`, whatever else helps (the
// tails of the servers' logs).

const assert = require('node:assert/strict');

const CASE_TIMEOUT_MS = 30000;
// Sanitized and emulated programs are slower; their runs give more time.
const TIME_FACTOR = Number(process.env.RUNBOOK_TEST_TIME_FACTOR || 1);

const cases = [];
const cleanups = [];
const failureHooks = [];

/** Register a case. @options.timeoutMs: its limit. */
function test(title, options, fn) {
  if (typeof options === 'function') [fn, options] = [options, {}];
  cases.push({ title, fn, timeoutMs: (options.timeoutMs || CASE_TIMEOUT_MS) * TIME_FACTOR });
}

/** Run @fn when the program ends, whatever happened; last registered first. */
function atEnd(fn) {
  cleanups.push(fn);
}

/** @fn returns lines that are printed when a case fails. */
function onFailure(fn) {
  failureHooks.push(fn);
}

const comment = (text) =>
  String(text)
    .split('\n')
    .forEach((line) => console.log(`# ${line}`));

function withTimeout(promise, ms, what) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no end within ${ms} ms`)), ms);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function runCleanups() {
  while (cleanups.length) {
    try {
      await withTimeout(Promise.resolve(cleanups.pop()()), 15000 * TIME_FACTOR, 'cleaning up');
    } catch (e) {
      comment(`cleaning up: ${e.stack}`);
      process.exitCode = 1;
    }
  }
}

/** Run everything registered. @setup runs first; when it fails, every case fails with it. */
async function run(setup) {
  const wanted = process.argv[2] ? cases.filter((c) => c.title.includes(process.argv[2])) : cases;
  let failed = 0;
  let broken = null;
  console.log(`1..${wanted.length}`);
  if (wanted.length === 0) {
    comment(`no case is called ${process.argv[2]}`);
    process.exitCode = 1;
  }
  try {
    if (setup) await withTimeout(setup(), 30000 * TIME_FACTOR, 'setting up');
  } catch (e) {
    broken = e;
  }
  for (const [i, c] of wanted.entries()) {
    const begun = Date.now();
    try {
      if (broken) throw broken;
      await withTimeout(Promise.resolve(c.fn()), c.timeoutMs, c.title);
      console.log(`ok ${i + 1} - ${c.title}`);
    } catch (e) {
      failed += 1;
      console.log(`not ok ${i + 1} - ${c.title}`);
      comment(e.stack || e);
      if (!broken || i === 0) {
        for (const hook of failureHooks) comment(hook());
      }
    }
    comment(`${Date.now() - begun} ms`);
  }
  await runCleanups();
  process.exit(failed || process.exitCode ? 1 : 0);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, async () => {
    await runCleanups();
    process.exit(1);
  });
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Thrown by a probe that will never succeed. */
class Hopeless extends Error {}

/** Ask @probe again and again until it gives something truthy. */
async function eventually(probe, { timeoutMs = 10000, everyMs = 20, what = 'what was waited for' } = {}) {
  const deadline = Date.now() + timeoutMs * TIME_FACTOR;
  let last;
  for (;;) {
    try {
      const got = await probe();
      if (got) return got;
      last = undefined;
    } catch (e) {
      if (e instanceof Hopeless) throw e;
      last = e;
    }
    if (Date.now() > deadline)
      throw new Error(
        `${what} did not come within ${timeoutMs * TIME_FACTOR} ms${last ? `: ${last.message}` : ''}`,
      );
    await sleep(everyMs);
  }
}

module.exports = { test, atEnd, onFailure, run, comment, sleep, eventually, Hopeless, assert, TIME_FACTOR };
