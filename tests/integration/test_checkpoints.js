'use strict';
// Signed checkpoints as an auditor uses them: kept by the command line as they are published, verified, and a
// real history held against them. Most are signed by Node (lib/checkpoints.js), so that every forgery can be made,
// while the engine's own are off; the last case has the engine sign, and Node check.

const { spawn } = require('node:child_process');
const { randomUUID } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, atEnd, eventually } = require('./lib/tap.js');
const { House, PREFIX, RUNBOOK } = require('./lib/house.js');
const { Signer, checkpointFault, headOf, jsonLines, seal } = require('./lib/checkpoints.js');
const { chainFault } = require('./lib/chain.js');
const { wait, runbook } = require('./lib/runbooks.js');

let house, alice, id, history;

async function cli(status, args, options) {
  const done = await house.cli(args, options);
  assert.equal(done.code, status, `runbook ${args.join(' ')}\n${done.out}\n${done.err}`);
  return done;
}

function fileOf(name, events) {
  const file = path.join(house.dir, name);
  fs.writeFileSync(file, jsonLines(events));
  return file;
}

/** Hold the engine's history of `id`, or the one in @file, against @checkpoints. */
function holdAgainst(status, checkpoints, { file, args = [] } = {}) {
  const kept = fileOf('kept.jsonl', checkpoints);
  const events = file ? ['-f', file] : [id];
  return cli(status, ['history', ...events, '--verify', '--checkpoints', kept, ...args]);
}

/** Change event @sequence, and all behind it so that the chain holds again. */
function madeAnew(events, sequence) {
  const copy = structuredClone(events);
  copy[sequence - 1].data.by = 'nobody';
  for (let i = sequence - 1; i < copy.length; i++) {
    if (i > 0) copy[i].prevhash = copy[i - 1].hash;
    copy[i] = seal(copy[i]);
  }
  assert.equal(chainFault(copy), null);
  return copy;
}

/** `runbook checkpoints --follow …`, running: what it has said so far, and how it ends. */
function follow(...args) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', RUNBOOK, 'checkpoints', '--follow', ...args], {
    env: { ...process.env, NATS_URL: house.natsUrl, HOME: house.dir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const follower = { out: '', err: '', stop: () => child.kill('SIGTERM') };
  child.stdout.on('data', (data) => (follower.out += data));
  child.stderr.on('data', (data) => (follower.err += data));
  follower.ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  atEnd(() => child.kill('SIGKILL'));
  return follower;
}

const publish = (event) =>
  house.connection.publish(`${PREFIX}.checkpoint.${event.subject}`, Buffer.from(JSON.stringify(event)));

/** Publish the engine's first checkpoint until the follower has it: it is listening then. */
async function heardBy(follower, first) {
  await eventually(
    () => {
      publish(first);
      return follower.out.includes(first.hash) || follower.err.includes(first.hash);
    },
    { what: 'a follower that listens' },
  );
}

const said = (follower, what) =>
  eventually(() => (follower.out + follower.err).includes(what), { what: `"${what}", said by the follower` });

test('Node agrees with itself', () => {
  const signer = new Signer(randomUUID());
  const events = [signer.next(headOf(history)), signer.next()];
  assert.equal(checkpointFault(events), null);
  assert.match(checkpointFault([{ ...events[0], prevhash: 'x' }]), /hash/);
  assert.match(checkpointFault(events, new Signer('x').key), /signed by/);
});

test('whole checkpoints, of two engines in one file', async () => {
  const [a, b] = [new Signer(randomUUID()), new Signer(randomUUID())];
  const events = [a.next(headOf(history, 1)), b.next(), a.next(headOf(history)), b.next()];
  const file = fileOf('two.jsonl', events);
  const shown = await cli(0, ['checkpoints', file, '--key', a.key, '--key', b.key]);
  assert.ok(shown.out.includes(a.key) && shown.out.includes(b.engine), shown.out);
  const { json } = await cli(0, ['checkpoints', file, '--json']);
  assert.deepEqual(
    json.engines.map((e) => [e.engine, e.publicKey, e.firstSequence, e.lastSequence, e.heads, e.lastHash]),
    [a, b].map((s, i) => [s.engine, s.key, 1, 2, i === 0 ? 2 : 0, s.hash]),
  );
  await cli(0, ['checkpoints', '-'], { input: jsonLines(events) });
});

test('forged, altered and missing ones are told apart', async () => {
  const [signer, thief] = [new Signer(randomUUID()), new Signer(randomUUID())];
  const events = [signer.next(), signer.next(headOf(history, 2)), signer.next(), signer.next()];
  const forged = (change) => {
    const copy = structuredClone(events);
    change(copy);
    return copy;
  };
  for (const [expected, list] of [
    [/is signed by key/, forged((e) => (e[1] = thief.event(e[1].data.statement)))],
    [/was not signed by key/, forged((e) => (e[1].data.statement.heads[0].sequence = 1))],
    [/was altered/, forged((e) => (e[1].extra = 1))],
    [/something else than the signed/, forged((e) => (e[1] = seal({ ...e[1], id: e[0].id })))],
    [/checkpoint 2 of engine .* is missing/, forged((e) => e.splice(1, 1))],
    [/checkpoints 2 to 3 of engine .* are missing/, forged((e) => e.splice(1, 2))],
    [/stands behind|signed twice/, forged((e) => e.unshift(e.pop()))],
    [/was signed twice/, forged((e) => e.push(signer.event({ ...e[1].data.statement, heads: [] })))],
    [/not a checkpoint/, forged((e) => e.push(history[0]))],
  ]) {
    const done = await cli(1, ['checkpoints', fileOf('forged.jsonl', list)]);
    assert.match(done.err, expected);
  }
  const done = await cli(1, ['checkpoints', fileOf('fine.jsonl', events), '--key', thief.key]);
  assert.match(done.err, /not trusted/);
});

test('a history that is attested, and its newer end that is not', async () => {
  const signer = new Signer(randomUUID());
  const last = history.length;
  const checkpoints = [signer.next(headOf(history, 2)), signer.next(), signer.next(headOf(history, last - 2))];
  const done = await holdAgainst(0, checkpoints, { args: ['--key', signer.key] });
  const by = `checkpoint 3 of engine ${signer.engine}`;
  assert.ok(done.out.includes(`events 1 to ${last - 2} are attested by ${by}, signed with ${signer.key}\n`), done.out);
  assert.ok(done.out.includes(`events ${last - 1} to ${last} are not covered`), done.out);
  const { json } = await holdAgainst(0, checkpoints, { args: ['--json'] });
  const { hash } = history[last - 3];
  assert.deepEqual(json.attested, {
    sequence: last - 2,
    hash,
    engine: signer.engine,
    checkpoint: 3,
    publicKey: signer.key,
  });
  assert.equal(json.notCovered, 2);
  const whole = await holdAgainst(0, [...checkpoints, signer.next(headOf(history))]);
  assert.ok(!whole.out.includes('not covered'), whole.out);
});

test('a history made anew has another hash than the attested one', async () => {
  const signer = new Signer(randomUUID());
  const checkpoints = [signer.next(headOf(history))];
  const file = fileOf('anew.jsonl', madeAnew(history, 3));
  await cli(0, ['history', '-f', file, '--verify']);
  const done = await holdAgainst(1, checkpoints, { file });
  assert.match(done.err, new RegExp(`event ${history.length} was altered: checkpoint 1 of engine`));
  // An attested hash that the engine's own history does not have is the same.
  const other = new Signer(randomUUID());
  const wrong = await holdAgainst(1, [other.next({ ...headOf(history, 4), hash: 'e'.repeat(64) })]);
  assert.match(wrong.err, /event 4 was altered/);
});

test('a history that was cut off', async () => {
  const signer = new Signer(randomUUID());
  const checkpoints = [signer.next(headOf(history))];
  const file = fileOf('short.jsonl', history.slice(0, -1));
  await cli(0, ['history', '-f', file, '--verify']);
  const done = await holdAgainst(1, checkpoints, { file });
  assert.match(done.err, new RegExp(`cut off: it ends at event ${history.length - 1}, but checkpoint 1`));
  const later = new Signer(randomUUID());
  const beyond = { ...headOf(history), sequence: history.length + 5 };
  const { json } = await holdAgainst(1, [later.next(beyond)], { args: ['--json'] });
  assert.equal(json.verified, false);
  assert.match(json.faults[0], /cut off/);
  const gone = new Signer(randomUUID());
  const unknown = randomUUID();
  const kept = fileOf('gone.jsonl', [gone.next({ ...headOf(history), id: unknown })]);
  const denied = await cli(1, ['history', unknown, '--verify', '--checkpoints', kept]);
  assert.match(denied.err, /EXECUTION_NOT_FOUND/);
  assert.match(denied.err, /ends at event 0, but checkpoint 1/, 'the engine denies an execution that it attested');
});

test('what is not attested is not verified', async () => {
  const [signer, thief] = [new Signer(randomUUID()), new Signer(randomUUID())];
  assert.match((await holdAgainst(1, [signer.next()])).err, /no checkpoint .* attests/);
  const forged = [thief.next(headOf(history))];
  const done = await holdAgainst(1, forged, { args: ['--key', signer.key] });
  assert.match(done.err, /not trusted/);
  const gap = [signer.next(headOf(history)), signer.next(), signer.next()].filter((_, i) => i !== 1);
  assert.match((await holdAgainst(1, gap)).err, /is missing/, 'what is missing might have attested more');
});

test('--follow keeps what is published, each once, and ends quietly', async () => {
  const [a, b] = [new Signer(randomUUID()), new Signer(randomUUID())];
  const follower = follow();
  const events = [a.next(headOf(history, 1))];
  await heardBy(follower, events[0]);
  for (const event of [a.next(), b.next(), a.next(headOf(history)), b.next()]) events.push(event);
  for (const event of [...events, ...events]) publish(event);
  await said(follower, events.at(-1).hash);
  follower.stop();
  assert.equal(await follower.ended, 130);
  assert.equal(follower.err, '');
  assert.deepEqual(
    follower.out.trim().split('\n').map((line) => JSON.parse(line)),
    events,
  );
  const kept = path.join(house.dir, 'followed.jsonl');
  fs.writeFileSync(kept, follower.out);
  await cli(0, ['checkpoints', kept, '--key', a.key, '--key', b.key]);
  await cli(0, ['history', id, '--verify', '--checkpoints', kept]);

  // A day later it goes on from what was kept; one was missed meanwhile.
  a.next();
  fs.appendFileSync(kept, '{"data":{"algo'); // and the machine went down in the midst of a line
  const again = follow(kept);
  const late = a.next();
  await heardBy(again, late);
  again.stop();
  assert.equal(await again.ended, 1);
  assert.match(again.err, /checkpoint 4 of engine .* is missing/);
  assert.match(again.err, /followed\.jsonl:6: not a checkpoint/);
  assert.equal(again.out, `\n${JSON.stringify(JSON.parse(again.out))}\n`, 'a line of its own');
  assert.deepEqual(JSON.parse(again.out), late, 'it is kept all the same');
});

test('--follow tells faults on stderr and by its exit status', async () => {
  const [signer, thief] = [new Signer(randomUUID()), new Signer(randomUUID())];
  const follower = follow('--json', '--key', signer.key);
  await heardBy(follower, signer.next());
  publish(thief.next());
  publish({ subject: signer.engine, not: 'a checkpoint' });
  house.connection.publish(`${PREFIX}.checkpoint.${signer.engine}`, Buffer.from([0xff, 0x0a, 0x00]));
  const last = signer.next();
  publish(last);
  await said(follower, last.hash);
  follower.stop();
  assert.equal(await follower.ended, 1);
  assert.match(follower.err, /which is not trusted/);
  assert.equal(follower.err.match(/not a checkpoint/g).length, 2);
  for (const line of follower.out.trim().split('\n')) JSON.parse(line);
});

test("the engine's own checkpoints, checked by Node and by the command line", async () => {
  await house.restartEngine('SIGTERM', { CHECKPOINT_INTERVAL_MS: '100' });
  const [, key] = await eventually(() => house.engine.logText().match(/"publicKey":"([^"]+)"/), { what: 'the key' });
  const definition = runbook('signed', [wait('a', 300), wait('b', 300, ['a'])]);
  await alice.register(definition);
  const own = await alice.startId(definition.id, {});
  await alice.until(own, 'completed');
  const [, engine] = (await alice.all(`history.${own}`, 'events'))[0].source.match(/^runbookd\/(.+)$/);
  const attests = (event, sequence) =>
    event.data.statement.heads.some((head) => head.id === own && head.sequence === sequence);
  const events = await alice.all(`history.${own}`, 'events');
  const published = await eventually(
    async () => {
      const messages = await house.auditMessages(`${PREFIX}.checkpoint.${engine}`);
      return messages.some((m) => attests(m.body, events.length)) && messages;
    },
    { what: 'a checkpoint of the last event' },
  );
  const checkpoints = published.map((m) => m.body);
  assert.equal(checkpointFault(checkpoints, key), null);
  for (const [i, m] of published.entries()) assert.equal(m.id, `${engine}/${i + 1}`);
  assert.ok(checkpoints.filter((event) => event.data.statement.heads.some((head) => head.id === own)).length >= 2);
  const kept = fileOf('own.jsonl', checkpoints);
  assert.match((await cli(0, ['checkpoints', kept, '--key', key])).out, /none missing, none altered/);
  const held = await cli(0, ['history', own, '--verify', '--checkpoints', kept, '--key', key]);
  assert.ok(held.out.includes(`events 1 to ${events.length} are attested by checkpoint`), held.out);
  assert.ok(held.out.includes(`of engine ${engine}, signed with ${key}`), held.out);
  const file = fileOf('own-anew.jsonl', madeAnew(events, events.length));
  assert.match((await cli(1, ['history', '-f', file, '--verify', '--checkpoints', kept])).err, /was altered/);
});

run(async () => {
  house = await House.start({ receiver: false, env: { CHECKPOINT_INTERVAL_MS: '0' } });
  alice = house.person('alice');
  const definition = runbook('attested', [wait('a', 1), wait('b', 1, ['a'])]);
  await alice.register(definition);
  id = await alice.startId(definition.id, {});
  await alice.until(id, 'completed');
  history = await alice.all(`history.${id}`, 'events');
  assert.ok(history.length >= 6, `${history.length} events`);
});
