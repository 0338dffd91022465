'use strict';
// Signed checkpoints by Node's own crypto: an engine's side that makes them (so that every kind of forgery can
// be made), and an auditor's side that checks them. It shares nothing with the engine or the command line.

const { createPublicKey, generateKeyPairSync, sign, verify } = require('node:crypto');
const { canonical, sha256 } = require('./canonical.js');
const { FIRST_PREVHASH } = require('./chain.js');

const rawKey = (publicKey) => Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url').toString('base64');

function keyOf(base64) {
  const x = Buffer.from(base64, 'base64').toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}

/** Put @event's hash right. */
function seal(event) {
  const { hash, ...rest } = event;
  return { ...rest, hash: sha256(canonical(rest)) };
}

/** The head of a history: {hash, id, sequence, tenant} of its event @sequence. */
function headOf(events, sequence = events.length, tenant = 'acme') {
  const event = events[sequence - 1];
  return { hash: event.hash, id: event.subject.split('/')[0], sequence: event.sequence, tenant };
}

/** An engine that signs checkpoints. */
class Signer {
  constructor(engine) {
    Object.assign(this, generateKeyPairSync('ed25519'), { engine, sequence: 0, hash: FIRST_PREVHASH });
  }

  get key() {
    return rawKey(this.publicKey);
  }

  /** The event around @statement, signed by @by. */
  event(statement, by = this) {
    const { engine, sequence, prevhash, time } = statement;
    const signature = sign(null, Buffer.from(canonical(statement)), by.privateKey).toString('base64');
    return seal({
      data: { algorithm: 'Ed25519', publicKey: by.key, signature, statement },
      datacontenttype: 'application/json',
      id: `${engine}/${sequence}`,
      prevhash,
      sequence,
      source: `runbookd/${engine}`,
      specversion: '1.0',
      subject: engine,
      time,
      type: 'runbook.checkpoint',
    });
  }

  /** The next checkpoint. */
  next(...heads) {
    const event = this.event({
      engine: this.engine,
      heads,
      prevhash: this.hash,
      sequence: ++this.sequence,
      time: new Date().toISOString(),
    });
    this.hash = event.hash;
    return event;
  }
}

/** What is wrong with @event as the @n-th checkpoint of the engine with @key, behind the one with hash @prevhash. */
function faultOf(event, n, key, prevhash) {
  const { algorithm, publicKey, signature, statement } = event.data;
  const { subject } = event;
  const { heads } = statement;
  const signed = Buffer.from(canonical(statement));
  if (algorithm !== 'Ed25519' || publicKey !== key) return `signed by ${algorithm} ${publicKey}`;
  if (!verify(null, signed, keyOf(key), Buffer.from(signature, 'base64'))) return 'not signed by its key';
  if (seal(event).hash !== event.hash) return 'its content does not give its hash';
  if (event.sequence !== n || statement.sequence !== n) return `has number ${event.sequence}`;
  if (event.prevhash !== prevhash || statement.prevhash !== prevhash) return 'does not follow the last';
  if (statement.time !== event.time) return 'two times';
  if (statement.engine !== subject || event.id !== `${subject}/${n}`) return 'two engines';
  if (event.type !== 'runbook.checkpoint' || event.source !== `runbookd/${subject}`) return 'of another kind';
  if (heads.length > 500) return `${heads.length} heads`;
  if (new Set(heads.map((head) => head.id)).size !== heads.length) return 'a chain twice';
  return null;
}

/** The first fault of @events, one engine's checkpoints in order from the very first, as a sentence; null: none. */
function checkpointFault(events, key = events[0]?.data.publicKey) {
  const attested = new Map();
  let prevhash = FIRST_PREVHASH;
  for (const [i, event] of events.entries()) {
    const fault = faultOf(event, i + 1, key, prevhash);
    if (fault) return `checkpoint ${i + 1}: ${fault}`;
    for (const head of event.data.statement.heads) {
      if (head.sequence < (attested.get(head.id) ?? 1)) return `checkpoint ${i + 1}: ${head.id} goes back`;
      attested.set(head.id, head.sequence);
    }
    prevhash = event.hash;
  }
  return null;
}

const jsonLines = (events) => events.map((event) => `${JSON.stringify(event)}\n`).join('');

module.exports = { Signer, checkpointFault, headOf, jsonLines, seal };
