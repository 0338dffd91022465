'use strict';
// The accounts and permissions that deploy/nats ships, with the real server: what each may do, and what
// nobody may.

const fs = require('node:fs');
const path = require('node:path');
const { test, run, assert, eventually, sleep } = require('./lib/tap.js');
const { House, Person, Program, PREFIX, RUNBOOKD, freePort, nats } = require('./lib/house.js');
const { chainFault } = require('./lib/chain.js');
const { Web } = require('./lib/web.js');
const { approval, wait, waitForEvent, runbook } = require('./lib/runbooks.js');

const NAMES = ['engine', 'gateway', 'alice', 'bob', 'carol', 'edr', 'geo', 'auditor'];
const accounts = fs.readFileSync(path.join(__dirname, '../../deploy/nats/accounts.conf'), 'utf8');
const passwords = Object.fromEntries(NAMES.map((n) => [`${n.toUpperCase()}_PASSWORD`, `pw-${n}`]));

let house;
const people = {};
const violations = [];

/** @user's connection; what the server refuses him is noted. */
async function enter(user) {
  const connection = await house.connect({ user, pass: `pw-${user}`, inboxPrefix: `_INBOX.${user}` });
  (async () => {
    for await (const s of connection.status())
      if (s.type === 'error') violations.push(`${user}: ${s.data} ${s.permissionContext?.subject ?? ''}`);
  })();
  return new Person(connection, user);
}

/** The server refuses @attempt with a permissions violation. */
async function forbidden(person, attempt) {
  const before = violations.length;
  await Promise.resolve(attempt()).catch(() => {});
  await person.connection.flush();
  await eventually(() => violations.length > before, { what: 'a permissions violation', timeoutMs: 2000 });
}

test('people run a runbook with each other', async () => {
  const { alice, bob, edr } = people;
  const definition = runbook('accounts', [
    approval('ask', ['bob'], 1),
    waitForEvent('ev', 'edr.done', ['ask'], { correlationId: '${execution.id}' }),
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.stepStatus(id, 'ask', 'awaiting_approval');
  assert.ok((await bob.cmd(`approve.${id}.ask`, { decision: 'approved' })).ok);
  await alice.stepStatus(id, 'ev', 'awaiting_event');
  assert.ok((await edr.event('edr.done', { correlationId: id, payload: { n: 1 } })).ok);
  await alice.until(id, 'completed');
});

test('nobody publishes as another, on whatever subject', async () => {
  const { alice, edr } = people;
  for (const subject of [
    'acme.cmd.bob.start',
    'acme.query.bob.stats',
    'acme.event.bob.x',
    'acme.queue.bob.start',
    'umbrella.cmd.alice.start',
    'acme.lifecycle.x.execution.started',
    'acme.log.x.info',
    'checkpoint.x',
  ]) {
    await forbidden(alice, () => alice.connection.publish(`${PREFIX}.${subject}`));
  }
  for (const subject of [
    '$JS.API.INFO',
    '$JS.API.STREAM.DELETE.RUNBOOK_AUDIT',
    '$JS.API.STREAM.PURGE.RUNBOOK_AUDIT',
    '_R_.x',
    '_INBOX.bob.x',
  ]) {
    await forbidden(alice, () => alice.connection.publish(subject));
  }
  await forbidden(edr, () => edr.connection.publish(`${PREFIX}.acme.cmd.edr.start`));
});

test("nobody reads what is another's", async () => {
  const { alice, auditor } = people;
  for (const subject of ['_INBOX.>', '_INBOX.bob.>', `${PREFIX}.acme.cmd.>`, '>', '$JS.>']) {
    await forbidden(alice, () => {
      alice.connection.subscribe(subject, { callback: () => {} });
    });
  }
  await forbidden(auditor, () => {
    auditor.connection.subscribe(`${PREFIX}.acme.query.>`, { callback: () => {} });
  });
});

test("tenants' people hear their lifecycle events live", async () => {
  const { alice, bob } = people;
  const heard = [];
  bob.connection.subscribe(`${PREFIX}.acme.lifecycle.>`, { callback: (_, m) => heard.push(m.subject) });
  await bob.connection.flush();
  const definition = runbook('heard', [wait('w', 1)]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await eventually(() => heard.includes(`${PREFIX}.acme.lifecycle.${id}.execution.completed`), {
    what: 'the events',
  });
});

test("an acknowledgement cannot be aimed at somebody else's command", async () => {
  const { alice, bob } = people;
  const definition = runbook('victim', [wait('w', 60000)]);
  await bob.register(definition);
  const id = await bob.startId(definition.id, {});
  for (const family of ['cmd', 'queue']) {
    alice.connection.publish(`${PREFIX}.acme.queue.alice.x`, Buffer.from('{}'), {
      reply: `${PREFIX}.acme.${family}.bob.cancel.${id}`,
    });
    alice.connection.publish(`${PREFIX}.acme.query.alice.stats`, Buffer.from('{}'), {
      reply: `${PREFIX}.acme.${family}.bob.cancel.${id}`,
    });
  }
  await alice.connection.flush();
  await sleep(500);
  assert.equal((await bob.execution(id)).status, 'running');
  await bob.cmd(`cancel.${id}`, {});
});

test("the durable queue works from a tenant's account", async () => {
  const { alice } = people;
  const definition = runbook('queued', [wait('w', 1)]);
  const ack = await alice.connection.request(alice.subject('queue', 'register'), Person.encode(definition), {
    timeout: 5000,
    headers: Person.headers({ id: definition.id }),
  });
  assert.equal(JSON.parse(Buffer.from(ack.data)).stream, 'RUNBOOK_QUEUE');
  await eventually(async () => (await alice.query(`runbook.${definition.id}`)).ok, {
    what: 'the registered runbook',
  });
});

test('the auditor reads the whole stream, and cannot change it', async () => {
  const { alice, auditor } = people;
  const definition = runbook('read', [wait('w', 1)]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.until(id, 'completed');
  const ask = async (api, body = {}) =>
    JSON.parse(
      Buffer.from(
        (await auditor.connection.request(`audit.api.${api}`, Person.encode(body), { timeout: 3000 })).data,
      ),
    );
  const events = await eventually(
    async () => {
      const found = [];
      for (let seq = 1; ;) {
        const { message, error } = await ask('STREAM.MSG.GET.RUNBOOK_AUDIT', {
          seq,
          next_by_subj: `${PREFIX}.acme.lifecycle.${id}.>`,
        });
        if (error) break;
        found.push(JSON.parse(Buffer.from(message.data, 'base64')));
        seq = message.seq + 1;
      }
      return found.at(-1)?.type === 'runbook.execution.completed' && found;
    },
    { what: 'the events' },
  );
  assert.equal(chainFault(events), null);
  assert.ok((await ask('STREAM.INFO.RUNBOOK_AUDIT')).state.messages > 0);
  for (const api of [
    'STREAM.DELETE.RUNBOOK_AUDIT',
    'STREAM.PURGE.RUNBOOK_AUDIT',
    'STREAM.MSG.DELETE.RUNBOOK_AUDIT',
    'CONSUMER.CREATE.RUNBOOK_AUDIT',
  ]) {
    await forbidden(auditor, () => auditor.connection.publish(`$JS.API.${api}`, Person.encode({})));
  }
});

test('the auditor keeps checkpoints by the command line, and has the stored ones from the stream', async () => {
  const { alice, auditor } = people;
  const env = {
    NATS_URL: house.natsUrl,
    NATS_USER: 'auditor',
    NATS_PASSWORD: 'pw-auditor',
    NATS_INBOX_PREFIX: '_INBOX.auditor',
    RUNBOOK_TENANT: '',
    RUNBOOK_USER: '',
  };
  const definition = runbook('kept', [wait('w', 1)]);
  await alice.register(definition);
  let followed, id;
  house.cli(['checkpoints', '--follow', '--timeout', '3s'], { env }).then((done) => (followed = done));
  for (let n = 0; !followed; n++) {
    id = await alice.startId(definition.id, { n }); // so that there are checkpoints to hear
    await alice.until(id, 'completed');
    await sleep(300);
  }
  assert.equal(followed.code, 4, followed.err);
  assert.match(followed.out, /"type":"runbook.checkpoint"/);
  const ask = (seq) =>
    auditor.connection.request(
      'audit.api.STREAM.MSG.GET.RUNBOOK_AUDIT',
      Person.encode({ seq, next_by_subj: `${PREFIX}.checkpoint.*` }),
      { timeout: 3000 },
    );
  const file = path.join(house.dir, 'stored.jsonl');
  await eventually(
    async () => {
      let text = '';
      for (let seq = 1, message; (message = JSON.parse(Buffer.from((await ask(seq)).data)).message); )
        [seq, text] = [message.seq + 1, `${text}${Buffer.from(message.data, 'base64')}\n`];
      fs.writeFileSync(file, text);
      return text.includes(id);
    },
    { what: 'a stored checkpoint of the last execution' },
  );
  const history = path.join(house.dir, 'history.jsonl');
  const events = await alice.all(`history.${id}`, 'events');
  fs.writeFileSync(history, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
  const done = await house.cli(['history', '--verify', '-f', history, '--checkpoints', file], { env });
  assert.equal(done.code, 0, done.err);
  assert.match(done.out, /are attested by checkpoint/);
});

test('a worker takes tasks and gives results under its own name, and hears what is published; no more', async () => {
  const { alice } = people;
  const worker = people['geo'];
  const said = [];
  worker.connection.subscribe(`${PREFIX}.acme.out.>`, { callback: (_, m) => said.push(m.subject) });
  const definition = runbook('work', [
    { id: 'do', name: 'do', type: 'custom:geo', dependsOn: [] },
    { id: 'tell', name: 'tell', type: 'publish-event', dependsOn: ['do'], config: { subject: 'done' } },
  ]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  const base = `${PREFIX}.acme.result.geo`;
  const task = (await worker.request(`${base}.next.custom:geo`, { expiresMs: 3000 })).body;
  assert.equal(task.executionId, id);
  const reply = await worker.request(`${base}.${task.taskToken}`, { status: 'completed', output: 1 });
  assert.equal(reply.body.status, 'accepted');
  await alice.until(id, 'completed');
  await eventually(() => said.length > 0, { what: 'the message' });
  assert.deepEqual(said, [`${PREFIX}.acme.out.done`]);
  for (const subject of [
    'acme.result.other.next.custom:geo',
    `acme.result.bob.${task.taskToken}`,
    'umbrella.result.geo.next.custom:geo',
    'acme.cmd.geo.start',
    'acme.out.forged',
    'acme.task.custom:geo',
  ])
    await forbidden(worker, () => worker.connection.publish(`${PREFIX}.${subject}`));
  await forbidden(worker, () => worker.connection.publish('$JS.API.STREAM.INFO.RUNBOOK_TASKS'));
  await forbidden(alice, () => alice.connection.publish(`${PREFIX}.acme.result.geo.next.custom:geo`));
});

test('the auditor finds the service', async () => {
  const { auditor } = people;
  const reply = await auditor.connection.request('$SRV.PING.runbook', undefined, { timeout: 3000 });
  assert.equal(JSON.parse(Buffer.from(reply.data)).name, 'runbook');
});

test('the command line works with an inbox of its own', async () => {
  const done = await house.cli(['list', '--json'], {
    env: { NATS_USER: 'alice', NATS_PASSWORD: 'pw-alice', NATS_INBOX_PREFIX: '_INBOX.alice' },
  });
  assert.equal(done.code, 0, done.err);
  assert.ok(done.json, done.out);
});

test('a gateway of its own speaks for people, and can no more than that', async () => {
  const port = await freePort();
  const program = process.env.RUNBOOK_GATEWAY || path.join(path.dirname(RUNBOOKD), '../gateway/runbook-gateway');
  const env = { NATS_URL: house.natsUrl, NATS_USER: 'gateway', NATS_PASSWORD: 'pw-gateway', PORT: String(port) };
  const gateway = new Program('runbook-gateway', program, [], env, path.join(house.dir, 'gateway.log'));
  house.programs.push(gateway);
  const web = new Web(`http://127.0.0.1:${port}`, { 'X-User': 'alice', 'X-Tenant': 'acme' });
  await eventually(async () => (await web.get('/health/ready')).status === 200, { what: 'the gateway' });
  const definition = runbook('by-gateway', [wait('w', 1)]);
  assert.equal((await web.post('/api/v1/runbooks', definition)).status, 201);
  const all = await web.stream('/api/v1/stream');
  assert.equal(all.status, 200, all.rest);
  const id = await people.alice.startId(definition.id, {});
  const one = await web.stream(`/api/v1/executions/${id}/stream`);
  const isDone = (s) => s.types().includes('runbook.execution.completed');
  await eventually(() => isDone(one) && isDone(all), { what: 'the events' });
  one.close();
  all.close();
  assert.deepEqual(await gateway.end(), { code: 0, signal: null });
  assert.ok(!gateway.logText().includes('"level":"error"'));
  const user = await house.connect({ user: 'gateway', pass: 'pw-gateway', inboxPrefix: '_INBOX.gateway' });
  const refusals = [];
  (async () => {
    for await (const s of user.status()) if (s.type === 'error') refusals.push(s.permissionContext?.subject);
  })();
  const wanted = [
    `${PREFIX}.acme.lifecycle.x.execution.started`,
    `${PREFIX}.acme.queue.alice.start`,
    '$JS.API.STREAM.DELETE.RUNBOOK_AUDIT',
    '$JS.API.CONSUMER.CREATE.RUNBOOK_QUEUE',
  ];
  for (const subject of wanted) user.publish(subject);
  await user.flush();
  await eventually(() => wanted.every((s) => refusals.includes(s)), { what: `refusals, had ${refusals}` });
});

run(async () => {
  house = await House.start({
    natsConf: `listen: "127.0.0.1:PORT"\njetstream { store_dir: "STORE" }\n${accounts}`,
    natsEnv: passwords,
    receiver: false,
    connect: { user: 'alice', pass: 'pw-alice', inboxPrefix: '_INBOX.alice' },
    probeUser: 'alice',
    env: { NATS_USER: 'engine', NATS_PASSWORD: 'pw-engine', CHECKPOINT_INTERVAL_MS: '200' },
  });
  for (const name of NAMES) if (name !== 'engine' && name !== 'gateway') people[name] = await enter(name);
});
