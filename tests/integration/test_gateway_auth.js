'use strict';
// Who is asking: token files, JSON Web Tokens and the ways in which they are forged; CORS; the gateway as a program of
// its own in front of an engine.

const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, eventually, atEnd } = require('./lib/tap.js');
const { House, Program, context, freePort, RUNBOOKD } = require('./lib/house.js');
const { Web } = require('./lib/web.js');
const { wait, runbook } = require('./lib/runbooks.js');

const API = '/api/v1';
const GATEWAY = process.env.RUNBOOK_GATEWAY || path.join(path.dirname(RUNBOOKD), '../gateway/runbook-gateway');

let house;

/** A gateway with these settings; {web, program, port}. */
async function gateway(env, { ready = true } = {}) {
  const port = await freePort();
  const program = new Program(
    'runbook-gateway',
    GATEWAY,
    [],
    { NATS_URL: house.natsUrl, PORT: String(port), AUTH_MODE: 'none', ...env },
    path.join(house.dir, `gateway-${port}.log`),
  );
  house.programs.push(program);
  atEnd(() => program.end());
  const web = new Web(`http://127.0.0.1:${port}`);
  if (ready)
    await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
  return { web, program, port };
}

/** One that does not start: its exit code and its log. */
async function refused(env) {
  const { program } = await gateway(env, { ready: false });
  const { code } = await program.ended;
  return { code, log: program.logText() };
}

const file = (name, content) => {
  const place = path.join(house.dir, name);
  fs.writeFileSync(place, typeof content === 'string' ? content : JSON.stringify(content));
  return place;
};

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
const now = () => Math.floor(Date.now() / 1000);
const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

// ---- keys and tokens ------------------------------------------------------------------------------------

const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = crypto.generateKeyPairSync('ed25519');
const secret = crypto.randomBytes(32);
const stranger = crypto.generateKeyPairSync('ed25519');

const jwk = (key, kid, extra = {}) => ({ ...key.export({ format: 'jwk' }), kid, ...extra });
const keys = {
  keys: [
    jwk(rsa.publicKey, 'rsa', { use: 'sig', alg: 'RS256' }),
    jwk(ec.publicKey, 'ec'),
    jwk(ed.publicKey, 'ed'),
    { kty: 'oct', kid: 'hmac', k: secret.toString('base64url') },
    jwk(rsa.publicKey, 'other-use', { use: 'enc' }),
    { kty: 'unknown', kid: 'what' },
  ],
};

const signers = {
  RS256: (text) => crypto.sign('sha256', text, rsa.privateKey),
  ES256: (text) => crypto.sign('sha256', text, { key: ec.privateKey, dsaEncoding: 'ieee-p1363' }),
  EdDSA: (text) => crypto.sign(null, text, ed.privateKey),
  HS256: (text) => crypto.createHmac('sha256', secret).update(text).digest(),
};

const everyday = { sub: 'alice', tenant: 'acme', iss: 'idp', aud: 'runbook' };
const claims = (extra = {}) => ({ ...everyday, exp: now() + 300, ...extra });

function sign(alg, payload = claims(), { header = {}, signer = signers[alg] } = {}) {
  const text = `${part({ alg, typ: 'JWT', ...header })}.${part(payload)}`;
  return `${text}.${Buffer.from(signer(Buffer.from(text))).toString('base64url')}`;
}

let jwt;
const status = async (token) => (await jwt.web.get(`${API}/runbooks`, bearer(token))).status;

// ---- JSON Web Tokens ----------------------------------------------------------------------------------------

test('tokens of every kind of key say who asks', async () => {
  const made = runbook('jwt', [wait('a', 1)]);
  for (const [i, alg] of Object.keys(signers).entries()) {
    const user = `user-${alg}`;
    const token = bearer(sign(alg, claims({ sub: user })));
    assert.ok([200, 201].includes((await jwt.web.post(`${API}/runbooks`, made, token)).status));
    const started = await jwt.web.post(
      `${API}/executions`,
      { runbookId: made.id, input: { i }, context: context({ initiatedBy: undefined, tenantId: undefined }) },
      { ...token, 'X-User': 'mallory', 'X-Tenant': 'elsewhere' },
    );
    assert.equal(started.status, 201, `${alg}: ${started.text}`);
    const x = (await jwt.web.get(`${API}/executions/${started.body.executionId}`, token)).body.execution;
    assert.deepEqual([x.context.initiatedBy, x.context.tenantId], [user, 'acme']);
  }
});

test('a body can not say otherwise', async () => {
  const answer = await jwt.web.post(
    `${API}/executions`,
    { runbookId: 'x', context: context({ initiatedBy: 'bob' }) },
    bearer(sign('EdDSA')),
  );
  assert.deepEqual([answer.status, answer.body.error], [403, 'IDENTITY_MISMATCH']);
});

test('what is not a good token is refused', async () => {
  const good = sign('RS256');
  const [head, body, signature] = good.split('.');
  const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
  const publicDer = rsa.publicKey.export({ type: 'spki', format: 'der' });
  const byPublic = (key) => (text) => crypto.createHmac('sha256', key).update(text).digest();
  assert.equal(await status(good), 200);
  const bad = {
    'no algorithm': `${part({ alg: 'none' })}.${body}.`,
    'no algorithm, but a signature': `${part({ alg: 'none' })}.${body}.${signature}`,
    'None in capitals': `${part({ alg: 'NONE' })}.${body}.`,
    'an algorithm that is a list': `${part({ alg: ['RS256'] })}.${body}.${signature}`,
    'no header': `.${body}.${signature}`,
    'no signature': `${head}.${body}.`,
    'two parts': `${head}.${body}`,
    'four parts': `${good}.${signature}`,
    'other claims': `${head}.${part(claims({ sub: 'root' }))}.${signature}`,
    'another header': `${part({ alg: 'RS256', typ: 'JWT', kid: 'rsa' })}.${body}.${signature}`,
    'a cut signature': good.slice(0, -8),
    'padding': `${good}==`,
    'blanks within': `${head}. ${body}.${signature}`,
    'the public key as a secret (PEM)': sign('HS256', claims(), { signer: byPublic(publicPem) }),
    'the public key as a secret (DER)': sign('HS256', claims(), { signer: byPublic(publicDer) }),
    'the modulus as a secret': sign('HS256', claims(), { signer: byPublic(Buffer.from(keys.keys[0].n, 'base64url')) }),
    'an empty secret': sign('HS256', claims(), { signer: byPublic('') }),
    "a stranger's key": sign('EdDSA', claims(), { signer: (t) => crypto.sign(null, t, stranger.privateKey) }),
    "a stranger's key in the header": sign('EdDSA', claims(), {
      header: { jwk: jwk(stranger.publicKey, 'ed') },
      signer: (t) => crypto.sign(null, t, stranger.privateKey),
    }),
    'RSA with another digest': sign('RS512', claims(), { signer: (t) => crypto.sign('sha512', t, rsa.privateKey) }),
    'an EC signature as DER': sign('ES256', claims(), { signer: (t) => crypto.sign('sha256', t, ec.privateKey) }),
    'an EC signature of zeros': sign('ES256', claims(), { signer: () => Buffer.alloc(64) }),
    "another key's id": sign('EdDSA', claims(), { header: { kid: 'rsa' } }),
    'an id that is a number': sign('EdDSA', claims(), { header: { kid: 7 } }),
    'extensions that must be understood': sign('EdDSA', claims(), { header: { crit: ['b64'], b64: false } }),
    'another type': sign('EdDSA', claims(), { header: { typ: 'logout+jwt' } }),
    'expired': sign('EdDSA', claims({ exp: now() - 61 })),
    'never expiring': sign('EdDSA', claims({ exp: undefined })),
    'expiring at a text': sign('EdDSA', claims({ exp: '99999999999' })),
    'not valid yet': sign('EdDSA', claims({ nbf: now() + 120 })),
    'of the future': sign('EdDSA', claims({ iat: now() + 120 })),
    'of another issuer': sign('EdDSA', claims({ iss: 'idp2' })),
    'of no issuer': sign('EdDSA', claims({ iss: undefined })),
    'for another audience': sign('EdDSA', claims({ aud: ['other', 'runbook2'] })),
    'without a user': sign('EdDSA', claims({ sub: undefined })),
    'with a number as user': sign('EdDSA', claims({ sub: 7 })),
    'with an empty user': sign('EdDSA', claims({ sub: '' })),
    'with a control character in the user': sign('EdDSA', claims({ sub: 'a\u0001' })),
    'with a long user': sign('EdDSA', claims({ sub: 'x'.repeat(129) })),
    'without a tenant': sign('EdDSA', claims({ tenant: undefined })),
    'claims that are a list': sign('EdDSA', [1]),
    'claims that are no JSON': sign('EdDSA', '{"sub":'),
    'members twice': sign('EdDSA', `{"sub":"a","sub":"b","tenant":"acme","exp":${now() + 99}}`),
    'very long': `${head}.${'A'.repeat(9000)}.${signature}`,
    'nothing': '',
    'not a token': 'hello',
  };
  for (const [what, token] of Object.entries(bad)) {
    const answer = await jwt.web.get(`${API}/runbooks`, bearer(token));
    assert.deepEqual([answer.status, answer.body.error], [401, 'UNAUTHENTICATED'], what);
    assert.match(answer.headers.get('www-authenticate'), /^Bearer/);
  }
  const basic = { Authorization: `Basic ${part('a:b')}` };
  for (const headers of [{}, basic, { 'X-User': 'alice' }, { Cookie: `token=${good}` }])
    assert.equal((await jwt.web.get(`${API}/runbooks`, headers)).status, 401, JSON.stringify(headers));
  assert.equal((await jwt.web.get(`${API}/stream`, bearer(bad.expired))).status, 401);
});

test('clocks may differ a little, audiences may be several', async () => {
  assert.equal(await status(sign('EdDSA', claims({ exp: now() - 30, nbf: now() + 30, iat: now() + 30 }))), 200);
  assert.equal(await status(sign('EdDSA', claims({ aud: ['other', 'runbook'] }))), 200);
});

test('one can ask who one is taken for, and until when', async () => {
  const exp = now() + 300;
  const answer = await jwt.web.get(`${API}/identity`, bearer(sign('EdDSA', claims({ sub: 'carol', exp }))));
  assert.deepEqual(answer.body, {
    version: 'v1',
    user: 'carol',
    tenant: 'acme',
    expiresAt: new Date((exp + 60) * 1000).toISOString(),
  });
  assert.equal((await jwt.web.get(`${API}/identity`)).status, 401);
  const endless = await jwt.web.get(`${API}/identity`, bearer(sign('EdDSA', claims({ exp: 1e17 }))));
  assert.equal(endless.body.expiresAt, null);
});

test('a stream of events ends with the token it was opened with, and says so', async () => {
  const stream = await jwt.web.stream(`${API}/stream`, bearer(sign('EdDSA', claims({ exp: now() - 58 }))));
  assert.equal(stream.status, 200);
  await eventually(() => stream.isEnded, { what: 'the end' });
  const last = stream.events.at(-1);
  assert.deepEqual([last.event, last.data.reason], ['end', 'token_expired']);
});

test('what is public needs no token; what is not is refused before its body is read', async () => {
  for (const place of ['/', '/health/live', '/health/ready', '/metrics', `${API}/openapi.json`, `${API}/health`])
    assert.equal((await jwt.web.get(place)).status, 200, place);
  const large = await jwt.web.post(`${API}/runbooks`, 'x'.repeat(900000));
  assert.equal(large.status, 401);
});

test('a changed key set counts without a restart; a broken one does not', async () => {
  const fresh = crypto.generateKeyPairSync('ed25519');
  const signer = (text) => crypto.sign(null, text, fresh.privateKey);
  const token = sign('EdDSA', claims(), { header: { kid: 'new' }, signer });
  assert.equal(await status(token), 401);
  const place = path.join(house.dir, 'keys.json');
  file('next.json', { keys: [...keys.keys, jwk(fresh.publicKey, 'new')] });
  fs.renameSync(path.join(house.dir, 'next.json'), place);
  await eventually(async () => (await status(token)) === 200, { what: 'the new key' });
  fs.writeFileSync(place, '{"keys":');
  await eventually(() => jwt.program.logText().includes('is not taken'), { what: 'the complaint' });
  assert.equal(await status(token), 200);
  file('keys.json', keys);
  await eventually(async () => (await status(token)) === 401, { what: 'the withdrawal' });
});

test('no token stands in the log', async () => {
  const token = sign('EdDSA');
  await jwt.web.get(`${API}/runbooks?cursor=zzz`, bearer(token));
  const log = jwt.program.logText();
  assert.ok(log.includes('"route":"/api/v1/runbooks"'));
  assert.ok(!log.includes(token.slice(-40)) && !log.includes('zzz'));
});

// ---- token files ------------------------------------------------------------------------------------------

test('a file of digests: who has which token', async () => {
  const token = crypto.randomBytes(32).toString('hex');
  const digest = crypto.createHash('sha256').update(token).digest('hex');
  const tokens = file('tokens', `# people\n\n${digest} alice acme\n${'0'.repeat(64)} bob acme\n`);
  const { web } = await gateway({ AUTH_MODE: 'token', AUTH_TOKENS_FILE: tokens });
  assert.equal((await web.get(`${API}/runbooks`, bearer(token))).status, 200);
  for (const bad of [digest, '0'.repeat(64), `${token}0`, token.slice(1), '', 'alice'])
    assert.equal((await web.get(`${API}/runbooks`, bearer(bad))).status, 401, bad);
  const started = await web.post(`${API}/executions`, { runbookId: 'none', context: context() }, bearer(token));
  assert.equal(started.body.error, 'RUNBOOK_NOT_FOUND', started.text);
  const elsewhere = { runbookId: 'none', context: context({ tenantId: 'x' }) };
  const other = await web.post(`${API}/executions`, elsewhere, bearer(token));
  assert.equal(other.body.error, 'IDENTITY_MISMATCH');
});

// ---- starting -----------------------------------------------------------------------------------------------

test('settings of the same name have the same default in runbookd and in the program of its own', () => {
  const defaults = (program) =>
    Object.fromEntries(
      execFileSync(program, ['--check-config'], { env: {}, encoding: 'utf8' })
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s).slice(0, 2)),
    );
  const [ours, engine] = [defaults(GATEWAY), defaults(RUNBOOKD)];
  const shared = Object.keys(ours).filter((name) => name in engine);
  assert.ok(shared.length > 20, shared.join(' '));
  for (const name of shared) assert.equal(ours[name], engine[name], name);
});

test('wrong settings stop the start with a sentence', async () => {
  const weak = { kty: 'oct', k: crypto.randomBytes(16).toString('base64url') };
  const small = crypto.generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  for (const [env, word, code] of [
    [{ BIND_ADDRESS: '0.0.0.0' }, 'loopback', 1],
    [{ BIND_ADDRESS: '::' }, 'loopback', 1],
    [{ BIND_ADDRESS: '127.0.0.1.example' }, 'BIND_ADDRESS', 1],
    [{ AUTH_MODE: 'jwt' }, 'AUTH_JWKS_FILE', 1],
    [{ AUTH_MODE: 'token' }, 'AUTH_TOKENS_FILE', 1],
    [{ AUTH_MODE: 'jwt', AUTH_JWKS_FILE: file('weak', { keys: [weak] }) }, '32 bytes', 1],
    [{ AUTH_MODE: 'jwt', AUTH_JWKS_FILE: file('small', { keys: [small] }) }, '2048 bits', 1],
    [{ AUTH_MODE: 'jwt', AUTH_JWKS_FILE: file('empty', { keys: [] }) }, 'no key', 1],
    [{ AUTH_MODE: 'token', AUTH_TOKENS_FILE: file('bad', 'hello alice acme\n') }, ':1 must be', 1],
    [{ ENABLE_CORS: 'true', CORS_ORIGINS: '*' }, 'CORS_ORIGINS', 1],
    [{ PORT: String(house.enginePort) }, 'cannot listen', 1],
    [{ AUTH_MODE: 'sesame' }, 'AUTH_MODE', 2],
    [{ AUTH_MODE: 'sesame' }, 'none token jwt', 2],
    [{ PORT: '70000' }, 'PORT', 2],
  ]) {
    const { code: got, log } = await refused(env);
    assert.equal(got, code, `${JSON.stringify(env)}: ${log}`);
    assert.ok(log.includes(word), `${word}: ${log}`);
  }
});

// ---- other origins ------------------------------------------------------------------------------------------

test('pages of listed origins may, others may not', async () => {
  const { web } = await gateway({ ENABLE_CORS: 'true', CORS_ORIGINS: 'https://ops.example' });
  const at = (method, origin, more = {}) => web.raw(method, `${API}/runbooks`, { Origin: origin, ...more });
  const preflight = await at('OPTIONS', 'https://ops.example', { 'Access-Control-Request-Method': 'POST' });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://ops.example');
  assert.match(preflight.headers['access-control-allow-headers'], /Authorization/);
  assert.match(preflight.headers['access-control-allow-methods'], /POST/);
  const read = await at('GET', 'https://ops.example');
  assert.deepEqual([read.status, read.headers['access-control-allow-origin']], [200, 'https://ops.example']);
  assert.equal(read.headers.vary, 'Origin');
  assert.equal(read.headers['access-control-allow-credentials'], undefined);
  for (const origin of ['https://evil.example', 'https://ops.example.evil.example', 'null', 'http://ops.example']) {
    const other = await at('GET', origin);
    assert.equal(other.headers['access-control-allow-origin'], undefined, origin);
    assert.equal((await at('POST', origin)).status, 403, origin);
  }
});

// ---- in front of an engine that comes and goes -----------------------------------------------------------------

test('readiness follows the engine and NATS; what can not be answered is said', { timeoutMs: 60000 }, async () => {
  const { web } = await gateway({});
  const ready = async () => (await web.get('/health/ready')).status;
  await house.engine.end();
  const away = await web.get('/health/ready');
  assert.deepEqual([away.status, away.body.checks.engine, away.body.checks.nats], [503, 'silent', 'ok']);
  const answer = await web.as('alice', 'acme').get(`${API}/runbooks`);
  assert.deepEqual([answer.status, answer.body.error], [503, 'UNAVAILABLE']);
  assert.ok(answer.headers.get('retry-after'));
  house.startEngine();
  await house.engineReady();
  await eventually(async () => (await ready()) === 200);
  await house.natsServer.end();
  await eventually(async () => (await ready()) === 503);
  assert.equal((await web.get('/health/live')).status, 200);
  assert.equal((await web.as('alice', 'acme').get(`${API}/runbooks`)).status, 503);
  await house.startNats();
  await eventually(async () => (await ready()) === 200, { timeoutMs: 20000 });
});

test('it starts without NATS, and serves when NATS is there', { timeoutMs: 60000 }, async () => {
  await house.engine.end();
  await house.natsServer.end();
  const { web, program } = await gateway({}, { ready: false });
  await eventually(async () => (await web.get('/health/ready')).status === 503);
  await house.startNats();
  house.startEngine();
  await eventually(async () => (await web.get('/health/ready')).status === 200, { timeoutMs: 20000 });
  assert.equal((await web.as('alice', 'acme').get(`${API}/runbooks`)).status, 200);
  assert.deepEqual(await program.end(), { code: 0, signal: null });
});

run(async () => {
  house = await House.start({ receiver: false });
  jwt = await gateway({
    AUTH_MODE: 'jwt',
    AUTH_JWKS_FILE: file('keys.json', keys),
    AUTH_ISSUER: 'idp',
    AUTH_AUDIENCE: 'runbook',
    LOG_LEVEL: 'debug',
  });
});
