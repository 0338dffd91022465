'use strict';
// A remote worker in plain NATS: takes tasks of one type, works on them, says how far it is, gives the result.
//
//     npm install nats
//     NATS_URL=nats://127.0.0.1:4222 node worker.js            (serves custom:geo of tenant acme as "geo-worker")
//
// README.md beside this file says what a worker owes the engine; everything it says is done in `Worker` below.

const { connect, JSONCodec } = require('nats');
const codec = JSONCodec();

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What a handler throws to fail its attempt. */
class TaskError extends Error {
  constructor(code, message, { retryable = false, details } = {}) {
    super(message);
    Object.assign(this, { code, retryable, details });
  }
}

class Worker {
  /** @handler (task, {progress, log, signal}) gives the output, or throws. */
  constructor(nc, { prefix = 'runbook.v1', tenant, name, type, handler, concurrency = 1, waitMs = 5000 }) {
    Object.assign(this, { nc, type, handler, concurrency, waitMs });
    this.base = `${prefix}.${tenant}.result.${name}`;
    this.stopping = false;
  }

  start() {
    this.lanes = Array.from({ length: this.concurrency }, () => this.lane());
    return this;
  }

  /** Take no more tasks; resolves when those at hand are done. */
  stop() {
    this.stopping = true;
    return Promise.all(this.lanes);
  }

  async lane() {
    while (!this.stopping) {
      const task = await this.next().catch(() => null);
      if (task) await this.work(task);
    }
  }

  /** The next task, or null when none came within a few seconds. */
  async next() {
    const ask = { expiresMs: this.waitMs, heartbeats: true };
    const answer = await this.nc.request(`${this.base}.next.${this.type}`, codec.encode(ask), {
      timeout: this.waitMs + 3000,
    });
    const body = codec.decode(answer.data);
    if (body.error) {
      await sleep(500); // the engine says why: it is stopping, or has no JetStream
      return null;
    }
    return body.taskToken ? body : null;
  }

  /** Say something about a task, again and again until the engine has heard it. */
  async report(task, body) {
    for (let pause = 100; ; pause = Math.min(pause * 2, 2000)) {
      try {
        const answer = await this.nc.request(`${this.base}.${task.taskToken}`, codec.encode(body), { timeout: 5000 });
        const reply = codec.decode(answer.data);
        if (!['OVERLOADED', 'UNAVAILABLE', 'STORE_FULL'].includes(reply.error)) return reply;
      } catch {
        // the engine is away for a moment
      }
      if (Date.now() > Date.parse(task.deadline) + 60000) return { ignored: true, reason: 'nobody listens' };
      await sleep(pause);
    }
  }

  async work(task) {
    const gone = new AbortController();
    let progress;
    const logs = [];
    const beat = async () => {
      const body = { status: 'heartbeat', progress, logs: logs.splice(0) };
      const reply = await this.report(task, body);
      if (reply.ignored || reply.cancelled) gone.abort(reply.reason);
    };
    const timer = setInterval(() => beat().catch(() => {}), (task.heartbeatTimeoutMs || 30000) / 3);
    const tools = {
      signal: gone.signal, // aborted when nobody waits for this attempt any more
      log: (message, level = 'info') => logs.push({ level, message }),
      progress: (share) => {
        progress = share;
        return beat();
      },
    };
    let result;
    try {
      result = { status: 'completed', output: (await this.handler(task, tools)) ?? null };
    } catch (e) {
      const { code = 'WORKER_FAILED', message, retryable = false, details } = e;
      result = { status: 'failed', error: { code: String(code), message: String(message), retryable, details } };
    } finally {
      clearInterval(timer);
    }
    const reply = gone.signal.aborted ? null : await this.report(task, { ...result, logs });
    if (reply && reply.error)
      await this.report(task, {
        status: 'failed',
        error: { code: 'RESULT_REFUSED', message: reply.message, retryable: false },
      });
  }
}

/** Where a host is, as far as this example knows. */
async function locate(task, { log, progress }) {
  const { address } = task.input;
  if (!address) throw new TaskError('NO_ADDRESS', 'the input has no address');
  log(`looking for ${address}`);
  await progress(0.5);
  return { address, country: address.startsWith('10.') ? 'private' : 'unknown' };
}

async function main() {
  const env = process.env;
  const name = env.RUNBOOK_USER || 'geo-worker';
  const nc = await connect({
    servers: env.NATS_URL || 'nats://127.0.0.1:4222',
    user: env.NATS_USER,
    pass: env.NATS_PASSWORD,
    inboxPrefix: env.NATS_INBOX_PREFIX || '_INBOX',
    maxReconnectAttempts: -1,
  });
  const worker = new Worker(nc, {
    tenant: env.RUNBOOK_TENANT || 'acme',
    name,
    type: env.WORKER_TYPE || 'custom:geo',
    concurrency: Number(env.WORKER_CONCURRENCY || 4),
    handler: locate,
  }).start();
  const end = () => worker.stop().then(() => nc.drain());
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  console.log(`${name} serves ${worker.type}`);
}

if (require.main === module) main();
module.exports = { Worker, TaskError, locate };
