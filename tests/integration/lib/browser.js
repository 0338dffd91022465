'use strict';
// Debian's Chromium, driven by playwright-core, which brings no browser of its own. Every page notes what must not
// happen: errors on its console, exceptions, requests to anywhere but the gateway.

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { assert, atEnd, onFailure, test, TIME_FACTOR } = require('./tap.js');

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const WAIT_MS = 10000;

function bail(why) {
  console.log(`Bail out! ${why}`);
  process.exit(1);
}

function load(name) {
  try {
    return require(name);
  } catch {
    return bail(`the ${name} package is missing: \`npm ci\` in tests/integration gets it (tests/run does)`);
  }
}

function chromiumPath() {
  const places = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ];
  return (
    places.find((p) => p && fs.existsSync(p)) ||
    bail('chromium is missing: `deploy/packages test` installs it')
  );
}

/** What the browser itself writes on the console when an answer is an error, which pages then show. */
const isAnswer = (text) => /^Failed to load resource: the server responded with a status of 4\d\d/.test(text);

class Browser {
  static async start(base) {
    const { chromium } = load('playwright-core');
    const browser = new Browser();
    browser.base = base;
    browser.faults = [];
    browser.pages = [];
    const executablePath = chromiumPath();
    browser.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'runbook-browser-'));
    browser.chromium = await chromium.launch({
      executablePath,
      headless: true,
      args: FLAGS,
      env: { ...process.env, HOME: browser.dir },
    });
    atEnd(async () => {
      await browser.chromium.close();
      fs.rmSync(browser.dir, { recursive: true, force: true });
    });
    onFailure(
      () =>
        `faults on pages: ${JSON.stringify(browser.faults)}\n${browser.pages.map((p) => p.url()).join('\n')}`,
    );
    return browser;
  }

  /** A page of @user (null: who has not signed in). @options: width, height, dark. */
  async page(user, { width = 1280, height = 860, dark = false, tenant = 'acme' } = {}) {
    const context = await this.chromium.newContext({
      viewport: { width, height },
      colorScheme: dark ? 'dark' : 'light',
      reducedMotion: 'reduce',
    });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS * TIME_FACTOR);
    page.on(
      'console',
      (m) =>
        m.type() === 'error' && !isAnswer(m.text()) && this.isExpected !== true && this.faults.push(m.text()),
    );
    page.on('pageerror', (e) => this.faults.push(e.stack || e.message));
    page.on(
      'request',
      (r) =>
        /^(https?|wss?):/.test(r.url()) &&
        !r.url().startsWith(`${this.base}/`) &&
        this.faults.push(`request to ${r.url()}`),
    );
    page.on('dialog', (d) => {
      if (d.type() === 'beforeunload') return void d.accept();
      this.faults.push(`dialog: ${d.message()}`);
      return void d.dismiss();
    });
    if (user)
      await page.addInitScript((identity) => {
        if (!sessionStorage.getItem('runbook.identity')) sessionStorage.setItem('runbook.identity', identity);
      }, JSON.stringify({ user, tenant }));
    this.pages.push(page);
    page.once('close', () => (this.pages = this.pages.filter((p) => p !== page)));
    return page;
  }

  open(page, hash) {
    return page.goto(`${this.base}/${hash}`);
  }

  /** Take the faults noted so far. */
  takeFaults() {
    return this.faults.splice(0);
  }

  /** Violations of axe's rules (all of them, or those of @only) that are serious or worse: [{id, help, nodes}]. */
  async accessibility(page, only) {
    // By the debugger's way in: the page's own policy lets no inline script run. It stays while only the
    // fragment of the address changes.
    if (!(await page.evaluate(() => Boolean(globalThis.axe))))
      await page.evaluate(fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8'));
    const options = { resultTypes: ['violations'], ...(only && { runOnly: only }) };
    const { violations } = await page.evaluate((o) => globalThis.axe.run(document, o), options);
    return violations
      .filter((v) => ['serious', 'critical'].includes(v.impact))
      .map((v) => ({
        id: v.id,
        help: v.help,
        nodes: v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} | ${n.failureSummary.slice(0, 200)}`),
      }));
  }
}

/** Cases in the browser that @current gives: at the end of each no page may have complained or asked anybody else. */
function browserTests(current) {
  return (title, fn, options = {}) => {
    test(title, { timeoutMs: 30000, ...options }, async () => {
      const browser = current();
      browser.takeFaults();
      const pages = [];
      try {
        await fn(async (user, o) => {
          const page = await browser.page(user, o);
          pages.push(page);
          return page;
        });
        assert.deepEqual(browser.takeFaults(), []);
      } finally {
        browser.isExpected = false;
        for (const page of pages) await page.context().close();
      }
    });
  };
}

/** How far the page is wider than its window; 0 is right. */
const overhang = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

module.exports = { Browser, browserTests, overhang };
