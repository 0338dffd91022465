'use strict';
// Signing in to the console, in a real browser: by name, by JWT, by a token of the file; out; and again when what was
// accepted no longer is, with nothing lost that was typed.

const { createHash, generateKeyPairSync, randomBytes, sign } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { run, assert, sleep } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { Browser, browserTests } = require('./lib/browser.js');
const { approval, runbook } = require('./lib/runbooks.js');

let house, browser, alice;
const browserTest = browserTests(() => browser);
const status = (page, text) => page.locator('.execution-head h1 .pill', { hasText: text }).waitFor();

browserTest('signing in by name, and out', async (open) => {
  const page = await open(null);
  await browser.open(page, '#/executions?status=failed');
  await page.getByRole('heading', { name: 'Who is asking?' }).waitFor();
  await page.getByLabel('User').fill('alice');
  assert.equal(await page.getByLabel('Token').count(), 0, 'a token is not asked for where none is taken');
  await page.getByLabel('Tenant').fill('acme');
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByRole('heading', { name: 'Executions' }).waitFor();
  assert.match(page.url(), /#\/executions\?status=failed$/, 'back to where he wanted to go');
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  await page.getByRole('link', { name: 'alice · acme' }).click();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Sign in' }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
});

// ---- the engine asks for proof from here on ----

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT of @key for @user, good for so many seconds (the gateway gives 60 more: clocks differ). */
function jwt(key, user, seconds = 300) {
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const text = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part({ sub: user, tenant: 'acme', exp })}`;
  return `${text}.${sign(null, Buffer.from(text), key.privateKey).toString('base64url')}`;
}

browserTest(
  'signing in with a JWT, approving by it, signing in again when it has ended',
  async (open) => {
    const [key, stranger] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
    const file = path.join(house.dir, 'keys.json');
    fs.writeFileSync(file, JSON.stringify({ keys: [key.publicKey.export({ format: 'jwk' })] }));
    await house.engine.end();
    house.startEngine({ AUTH_MODE: 'jwt', AUTH_JWKS_FILE: file });
    await house.engineReady();
    const page = await open(null);
    await browser.open(page, '#/executions');
    await page.getByRole('heading', { name: 'Who is asking?' }).waitFor();
    const give = async (where, token, button = 'Sign in') => {
      await where.getByLabel('Token').fill(token);
      await where.getByRole('button', { name: button, exact: true }).click();
    };
    await give(page, 'a b');
    await page.getByText('That is not a token').waitFor();
    await give(page, jwt(stranger, 'alice'));
    await page.getByText('Was it copied whole?').waitFor();
    await give(page, jwt(key, 'alice', -3600));
    await page.getByText('The token has expired. Get a new one').waitFor();
    await page.getByText(/\(1 h ago\)/).waitFor();
    const token = jwt(key, 'alice');
    await page.getByLabel('Token').fill(`Authorization: Bearer ${token}\n`);
    await page.getByLabel('Token').press('Enter');
    await page.getByRole('heading', { name: 'Executions' }).waitFor();
    await page.getByRole('link', { name: 'alice · acme' }).waitFor();
    await page.locator('.live.is-live').waitFor();
    assert.ok(!(await page.evaluate(() => location.href + document.cookie + localStorage.length)).includes(token));
    assert.ok(!(await page.content()).includes(token), 'not on the page either');

    // What is done counts for whom the token names.
    const definition = runbook('by-token', [approval('ask', ['bob'], 1)], { idempotency: 'none' });
    await alice.register(definition);
    const id = await alice.startId(definition.id, {});
    const bob = await open(null);
    await browser.open(bob, '#/approvals');
    await give(bob, jwt(key, 'bob'));
    const card = bob.getByRole('article', { name: 'ask', exact: true });
    await card.getByRole('button', { name: /^Approve/ }).click();
    await bob.getByText('1 approval of 1').waitFor();
    const done = await alice.until(id, 'completed');
    assert.deepEqual(done.stepResults.ask.approvals.map((v) => v.user), ['bob']);

    // The token ends while she fills in a form: the page asks, and nothing is lost.
    await page.getByRole('link', { name: 'alice · acme' }).click();
    await page.getByRole('button', { name: 'Sign out' }).click();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    const end = Date.now() + 8000;
    await give(page, jwt(key, 'alice', -60 + 8));
    await page.getByRole('link', { name: 'alice · acme' }).waitFor();
    await browser.open(page, `#/runbooks/${definition.id}/start`);
    await page.getByLabel('Authority').fill('INVESTIGATION');
    await page.getByLabel('Classification').fill('SENSITIVE');
    await sleep(Math.max(0, end - Date.now()) + 1100);
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    const again = page.getByRole('dialog', { name: 'Sign in again' });
    await again.getByText('the token has expired').waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'forgotten at once');
    await give(again, jwt(key, 'alice', -3600));
    await again.getByText('The token has expired. Get a new one').waitFor();
    await give(again, jwt(key, 'carol'));
    await again.getByText('the page was opened by alice · acme').waitFor();
    await again.getByRole('button', { name: 'Not now' }).click();
    assert.equal(await page.getByLabel('Authority').inputValue(), 'INVESTIGATION');
    await page.getByRole('link', { name: 'Sign in again' }).click();
    await give(again, jwt(key, 'alice'));
    await again.waitFor({ state: 'detached' });
    assert.equal(await page.getByLabel('Classification').inputValue(), 'SENSITIVE');
    await page.getByRole('button', { name: 'Start', exact: true }).click();
    await status(page, 'Running');
    const started = /executions\/([0-9a-f-]+)/.exec(page.url())[1];
    assert.equal((await alice.execution(started)).initiatedBy, 'alice');

    // On a page that only watches, the stream's end is what tells.
    await page.evaluate((t) => sessionStorage.setItem('runbook.identity', t), JSON.stringify({
      user: 'alice', tenant: 'acme', token: jwt(key, 'alice', -57),
    }));
    await page.reload();
    await page.locator('.live.is-live').waitFor();
    await again.waitFor();
    await give(again, jwt(key, 'alice'));
    await again.waitFor({ state: 'detached' });
    await page.locator('.live.is-live').waitFor();
    await house.person('bob').cmd(`approve.${started}.ask`, { decision: 'approved' });
    await status(page, 'Completed');
  },
  { timeoutMs: 60000 },
);

// The last one.
browserTest('signing in with a token', async (open) => {
  const token = randomBytes(32).toString('hex');
  const file = path.join(house.dir, 'tokens');
  fs.writeFileSync(file, `${createHash('sha256').update(token).digest('hex')} alice acme\n`, { mode: 0o600 });
  await house.engine.end();
  house.startEngine({ AUTH_MODE: 'token', AUTH_TOKENS_FILE: file });
  await house.engineReady();
  const page = await open(null);
  await browser.open(page, '#/executions');
  await page.getByLabel('Token').waitFor();
  assert.equal(await page.getByLabel('Tenant').count(), 0, 'no name is asked for');
  await page.getByLabel('Token').fill('a'.repeat(64));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Not accepted.').waitFor();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('heading', { name: 'Executions' }).waitFor();
  await page.locator('.live.is-live').waitFor();
  assert.ok(!page.url().includes(token), 'not in the address');
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  fs.writeFileSync(file, `${'0'.repeat(64)} bob acme\n`);
  await house.restartEngine('SIGTERM', { AUTH_MODE: 'token', AUTH_TOKENS_FILE: file });
  await page.getByRole('link', { name: 'Runbooks', exact: true }).click();
  await page.getByText('no longer accepts').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, 'forgotten');
});

run(async () => {
  house = await House.start();
  alice = house.person('alice');
  browser = await Browser.start(`http://127.0.0.1:${house.enginePort}`);
});
