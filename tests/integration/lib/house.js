'use strict';
// A whole installation for one test program: nats-server, runbookd and a receiver of HTTP calls, on free
// loopback ports, in a temporary directory, gone when the program ends. Programs are started and killed
// by process id only, and the kernel ends them (PDEATHSIG) if the test program itself is killed.

const { spawn, execFile } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { randomUUID } = require('node:crypto');

let nats;
try {
  nats = require('nats');
} catch {
  console.log('Bail out! the nats package is missing: `npm ci` in tests/integration gets it (tests/run does)');
  process.exit(1);
}
const { Receiver } = require('./receiver.js');
const { atEnd, onFailure, sleep, eventually, Hopeless, TIME_FACTOR } = require('./tap.js');

const PREFIX = 'runbook.v1';
const TENANT = 'acme';
const REQUEST_TIMEOUT_MS = 5000 * TIME_FACTOR;
const LOG_TAIL_LINES = 40;

const program = (variable, fallback) => process.env[variable] || fallback;
const NATS_SERVER = program('NATS_SERVER', 'nats-server');
const BUILD = program('RUNBOOK_BUILD', path.join(__dirname, '../../../build'));
const RUNBOOKD = program('RUNBOOKD', path.join(BUILD, 'src/daemon/runbookd'));
const RUNBOOK = program('RUNBOOK', path.join(BUILD, 'src/cli/runbook'));

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** One running program; its output goes to a file. */
class Program {
  constructor(name, command, args, env, logFile) {
    const fd = fs.openSync(logFile, 'a');
    this.name = name;
    this.logFile = logFile;
    this.child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', fd, fd],
    });
    fs.closeSync(fd);
    this.ended = new Promise((resolve) => {
      this.child.on('exit', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
      this.child.on('error', (e) => {
        this.exit = { code: 127, signal: null, error: e };
        resolve(this.exit);
      });
    });
  }

  get isRunning() {
    return !this.exit;
  }

  /** End it and wait; after @patienceMs of SIGTERM comes SIGKILL. Returns {code, signal}. */
  async end(signal = 'SIGTERM', patienceMs = 10000) {
    if (this.isRunning) this.child.kill(signal);
    const late = setTimeout(() => this.child.kill('SIGKILL'), patienceMs * TIME_FACTOR);
    const exit = await this.ended;
    clearTimeout(late);
    return exit;
  }

  logText() {
    return fs.readFileSync(this.logFile, 'utf8');
  }

  tail() {
    const lines = this.logText().trimEnd().split('\n').slice(-LOG_TAIL_LINES);
    return [`---- ${this.name}${this.exit ? ` (ended: ${JSON.stringify(this.exit)})` : ''}`, ...lines].join('\n');
  }
}

class Reply {
  constructor(message) {
    this.text = Buffer.from(message.data).toString();
    this.headers = message.headers;
    try {
      this.body = JSON.parse(this.text);
    } catch {
      this.body = undefined;
    }
    this.error = this.body?.error;
    this.status = Number(message.headers?.get('Nats-Service-Error-Code') || 200);
    this.ok = !this.error;
  }
}

/** A person (or program) of a tenant, on a connection of its own or the house's. */
class Person {
  constructor(connection, user, tenant = TENANT) {
    Object.assign(this, { connection, user, tenant });
  }

  subject(family, rest) {
    return `${PREFIX}.${this.tenant}.${family}.${this.user}.${rest}`;
  }

  static encode(body) {
    if (body === undefined) return new Uint8Array();
    return typeof body === 'string' || body instanceof Uint8Array
      ? Buffer.from(body)
      : Buffer.from(JSON.stringify(body));
  }

  static headers({ id, headers = {} }) {
    const h = nats.headers();
    if (id) h.set('Nats-Msg-Id', id);
    for (const [name, value] of Object.entries(headers)) h.set(name, value);
    return h;
  }

  async request(subject, body, options = {}) {
    const message = await this.connection.request(subject, Person.encode(body), {
      timeout: options.timeoutMs || REQUEST_TIMEOUT_MS,
      headers: Person.headers(options),
    });
    return new Reply(message);
  }

  /** A command with a command id of its own, as a careful client sends it. */
  cmd(verb, body, options = {}) {
    return this.request(this.subject('cmd', verb), body, { id: randomUUID(), ...options });
  }

  query(what, body) {
    return this.request(this.subject('query', what), body);
  }

  event(type, body, options) {
    return this.request(this.subject('event', type), body, { id: randomUUID(), ...options });
  }

  async register(definition) {
    const reply = await this.cmd('register', definition);
    if (!reply.ok) throw new Error(`register: ${reply.text}`);
    return reply;
  }

  start(runbookId, input, extra = {}, options = {}) {
    return this.cmd(
      'start',
      { runbookId, context: context({ initiatedBy: this.user, tenantId: this.tenant }), input, ...extra },
      options,
    );
  }

  /** Start and give the execution's id; anything but a fresh start is an error. */
  async startId(runbookId, input, extra, options) {
    const reply = await this.start(runbookId, input, extra, options);
    if (!reply.ok || reply.body.duplicate) throw new Error(`start: ${reply.text}`);
    return reply.body.executionId;
  }

  async execution(id) {
    const reply = await this.query(`execution.${id}`);
    if (!reply.ok) throw new Error(`execution: ${reply.text}`);
    return reply.body.execution;
  }

  /** Wait until @predicate (a function or a status) holds for the execution. */
  until(id, predicate, options = {}) {
    const holds = typeof predicate === 'string' ? (x) => x.status === predicate : predicate;
    let seen;
    return eventually(
      async () => {
        seen = await this.execution(id);
        return holds(seen) && seen;
      },
      { what: `execution ${id}: ${predicate}`, ...options },
    ).catch((e) => {
      throw new Error(`${e.message}; last seen: ${JSON.stringify(seen, null, 1)}`);
    });
  }

  ended(id, options) {
    return this.until(id, (x) => ['completed', 'failed', 'cancelled'].includes(x.status), options);
  }

  stepStatus(id, step, status, options) {
    return this.until(id, (x) => x.stepResults[step]?.status === status, {
      what: `step ${step} of ${id}: ${status}`,
      ...options,
    });
  }

  /** All pages of a listing query. */
  async all(what, member, body = {}) {
    const items = [];
    let cursor;
    do {
      const reply = await this.query(what, { ...body, limit: body.limit || 1000, ...(cursor ? { cursor } : {}) });
      if (!reply.ok) throw new Error(`${what}: ${reply.text}`);
      items.push(...reply.body[member]);
      cursor = reply.body.nextCursor;
    } while (cursor);
    return items;
  }
}

function context(extra = {}) {
  return {
    legalBasis: { authority: 'INVESTIGATION', caseId: 'CASE-7', classification: 'SENSITIVE' },
    tenantId: TENANT,
    initiatedBy: 'alice',
    assumptions: ['Data is current'],
    dataScope: 'hosts of the test net',
    ...extra,
  };
}

class House {
  /**
   * @options.nats false: no nats-server yet; natsConf: text of its configuration (PORT and STORE are
   * replaced), instead of a server that asks nobody who he is; engine false: no runbookd yet; env:
   * settings of runbookd; receiver false: none.
   */
  static async start(options = {}) {
    const house = new House();
    house.options = options;
    house.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'runbook-test-'));
    house.programs = [];
    atEnd(() => house.end());
    onFailure(() =>
      [...new Map(house.programs.map((p) => [p.logFile, p])).values()].map((p) => p.tail()).join('\n'),
    );
    if (options.receiver !== false) {
      house.receiver = new Receiver();
      await house.receiver.start();
    }
    house.natsPort = await freePort();
    house.enginePort = await freePort();
    if (options.nats !== false) {
      await house.startNats();
      house.connection = await house.connect(options.connect);
    }
    if (options.engine !== false) {
      house.startEngine();
      await house.engineReady();
    }
    return house;
  }

  get natsUrl() {
    return `nats://127.0.0.1:${this.natsPort}`;
  }
  get dataDir() {
    return path.join(this.dir, 'data');
  }

  async startNats() {
    const store = path.join(this.dir, 'jetstream');
    let args = ['-a', '127.0.0.1', '-p', String(this.natsPort), '-js', '-sd', store];
    if (this.options.natsConf) {
      const conf = path.join(this.dir, 'nats.conf');
      fs.writeFileSync(conf, this.options.natsConf.replaceAll('PORT', this.natsPort).replaceAll('STORE', store));
      args = ['-c', conf];
    }
    this.natsServer = new Program(
      'nats-server',
      NATS_SERVER,
      args,
      this.options.natsEnv || {},
      path.join(this.dir, 'nats-server.log'),
    );
    this.programs.push(this.natsServer);
    await eventually(
      () =>
        new Promise((resolve, reject) => {
          if (!this.natsServer.isRunning) reject(new Error('nats-server ended'));
          const socket = net.connect(this.natsPort, '127.0.0.1');
          socket.once('data', () => {
            socket.destroy();
            resolve(true);
          });
          socket.once('error', reject);
        }),
      { what: 'nats-server' },
    );
  }

  connect(options = {}) {
    const { connect } = nats;
    return connect({
      servers: this.natsUrl,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      waitOnFirstConnect: true,
      ...options,
    }).then((connection) => {
      atEnd(() => connection.close().catch(() => {}));
      return connection;
    });
  }

  engineEnv() {
    return {
      NATS_URL: this.natsUrl,
      DATA_DIR: this.dataDir,
      PORT: String(this.enginePort),
      HTTP_ALLOW: '127.0.0.1',
      ...this.options.env,
    };
  }

  startEngine(env = {}, args = []) {
    this.engine = new Program(
      'runbookd',
      RUNBOOKD,
      args,
      { ...this.engineEnv(), ...env },
      path.join(this.dir, 'runbookd.log'),
    );
    this.programs.push(this.engine);
    return this.engine;
  }

  /** Wait until the engine answers on the house's connection. */
  engineReady(options = {}) {
    const probe = this.person(this.options.probeUser || 'probe');
    return eventually(
      async () => {
        if (!this.engine.isRunning) throw new Hopeless(`runbookd ended: ${JSON.stringify(this.engine.exit)}`);
        return (await probe.request(probe.subject('query', 'stats'), undefined, { timeoutMs: 1000 })).ok;
      },
      { what: 'runbookd', ...options },
    );
  }

  async restartEngine(signal = 'SIGTERM', env = {}) {
    await this.engine.end(signal);
    this.startEngine(env);
    await this.engineReady();
  }

  /** Run runbookd for something else than running (`--check`…); gives {code, out, err}. */
  tool(args, { env = {}, timeoutMs = 60000 * TIME_FACTOR } = {}) {
    return new Promise((resolve) => {
      execFile(
        RUNBOOKD,
        args,
        { env: { ...process.env, ...this.engineEnv(), ...env }, timeout: timeoutMs, maxBuffer: 64 << 20 },
        (error, out, err) => resolve({ code: error ? (error.code ?? error.signal) : 0, out, err }),
      );
    });
  }

  /** The consistency check of a store that no engine has open (the house's own by default) finds nothing. */
  async checkStore(dir = this.dataDir, args = ['--deep']) {
    const { code, out, err } = await this.tool(['--check', dir, ...args]);
    if (code !== 0) throw new Error(`runbookd --check ${dir} ended with ${code}:\n${out}${err}`);
    return out;
  }

  person(user, tenant) {
    return new Person(this.connection, user, tenant);
  }

  /** Run the command line; gives {code, out, err, json}. */
  cli(args, { env = {}, timeoutMs = 20000 * TIME_FACTOR, input } = {}) {
    return new Promise((resolve) => {
      const child = execFile(
        RUNBOOK,
        args,
        {
          env: {
            ...process.env,
            NATS_URL: this.natsUrl,
            RUNBOOK_TENANT: TENANT,
            RUNBOOK_USER: 'alice',
            HOME: this.dir,
            ...env,
          },
          timeout: timeoutMs,
          maxBuffer: 64 << 20,
        },
        (error, out, err) => {
          let json;
          try {
            json = JSON.parse(out);
          } catch {
            json = undefined;
          }
          resolve({ code: error ? (error.code ?? error.signal) : 0, out, err, json });
        },
      );
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  }

  /** The messages that the audit stream holds for @filter, in order: {subject, id, seq, body}. */
  async auditMessages(filter) {
    const jsm = await this.connection.jetstreamManager();
    const info = await jsm.streams.info('RUNBOOK_AUDIT', { subjects_filter: filter });
    const total = Object.values(info.state.subjects || {}).reduce((sum, n) => sum + n, 0);
    const messages = [];
    if (total === 0) return messages;
    const options = nats.consumerOpts();
    options.orderedConsumer();
    options.deliverAll();
    const subscription = await this.connection.jetstream().subscribe(filter, options);
    for await (const message of subscription) {
      messages.push({
        subject: message.subject,
        id: message.headers?.get('Nats-Msg-Id'),
        seq: message.seq,
        text: Buffer.from(message.data).toString(),
        body: JSON.parse(Buffer.from(message.data).toString()),
      });
      if (messages.length >= total) break;
    }
    return messages;
  }

  /** The lifecycle events of @id (or '*') as the audit stream has them, in order. */
  auditEvents(id, tenant = TENANT) {
    return this.auditMessages(`${PREFIX}.${tenant}.lifecycle.${id}.>`);
  }

  /** Wait until the stream holds the execution's last event, and give them all. */
  async auditOf(id, tenant = TENANT) {
    const last = /^runbook\.execution\.(completed|failed|cancelled)$/;
    return eventually(
      async () => {
        const messages = await this.auditEvents(id, tenant);
        return last.test(messages.at(-1)?.body.type) && messages;
      },
      { what: `the end of ${id} in the audit stream` },
    );
  }

  async end() {
    for (const program of this.programs) if (program !== this.natsServer) await program.end();
    if (this.natsServer) await this.natsServer.end();
    if (this.receiver) await this.receiver.stop();
    if (process.env.RUNBOOK_TEST_KEEP) console.log(`# kept: ${this.dir}`);
    else fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

module.exports = { House, Person, Program, context, freePort, sleep, PREFIX, TENANT, RUNBOOKD, RUNBOOK, nats };
