'use strict';
// A TCP proxy that misbehaves: between the engine and nats-server, to make the faults that networks make.
// What it does to the bytes of a direction is its `mode`; it can be changed at any time, and counts for
// connections that are open, too.
//
//   pass       hand on at once
//   stall      take nothing: the sender's buffers fill up, nobody is told (a hung machine, a full link)
//   drop       take all and hand on nothing (one half of a connection is dead; the other may live)
//   delay      hand on after `ms`
//   trickle    hand on `bytes` every `ms`

const net = require('node:net');

const TRICKLE = { bytes: 64, ms: 5 };

/** One direction of one connection. */
class Pipe {
  constructor(from, to, way) {
    Object.assign(this, { from, to, way, waiting: [] });
    from.on('data', (chunk) => this.take(chunk));
    from.on('end', () => to.end());
    this.obey();
  }

  take(chunk) {
    const { mode, ms } = this.way;
    if (mode === 'drop') return;
    if (mode === 'delay') this.waiting.push({ at: Date.now() + ms, chunk });
    else if (mode === 'trickle' || this.waiting.length) this.waiting.push({ at: 0, chunk });
    else this.to.write(chunk);
    this.schedule();
  }

  /** The mode has changed. */
  obey() {
    if (this.way.mode === 'stall') this.from.pause();
    else this.from.resume();
    this.schedule();
  }

  schedule() {
    if (this.timer || !this.waiting.length || this.way.mode === 'stall') return;
    const { mode, ms } = this.way;
    const wait = mode === 'trickle' ? ms : Math.max(0, this.waiting[0].at - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.flush();
      this.schedule();
    }, wait);
  }

  flush() {
    if (this.to.destroyed) this.waiting = [];
    if (this.way.mode === 'trickle') {
      const first = this.waiting[0];
      if (!first) return;
      this.to.write(first.chunk.subarray(0, this.way.bytes));
      first.chunk = first.chunk.subarray(this.way.bytes);
      if (!first.chunk.length) this.waiting.shift();
      return;
    }
    while (this.waiting.length && this.waiting[0].at <= Date.now()) this.to.write(this.waiting.shift().chunk);
  }

  end() {
    clearTimeout(this.timer);
  }
}

class Proxy {
  /** @port: where the real server is, on loopback. */
  constructor(port) {
    this.target = port;
    this.up = { mode: 'pass' }; // client to server
    this.down = { mode: 'pass' }; // server to client
    this.connections = new Set();
    this.refusing = false;
    this.accepted = 0;
    this.server = net.createServer({ allowHalfOpen: true }, (client) => this.accept(client));
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    this.url = `nats://127.0.0.1:${this.port}`;
  }

  accept(client) {
    if (this.refusing) {
      client.resetAndDestroy();
      return;
    }
    this.accepted++;
    const server = net.connect({ port: this.target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    client.setNoDelay(true);
    const pipes = [new Pipe(client, server, this.up), new Pipe(server, client, this.down)];
    const connection = { client, server, pipes };
    this.connections.add(connection);
    const close = () => {
      client.destroy();
      server.destroy();
      connection.pipes.forEach((p) => p.end());
      this.connections.delete(connection);
    };
    for (const socket of [client, server]) socket.on('error', close).on('close', close);
  }

  /** Change what happens to the bytes: @up from the client, @down to it; both alike if there is only one. */
  set(up, down = up) {
    Object.assign(this.up, { ...TRICKLE }, up);
    Object.assign(this.down, { ...TRICKLE }, down);
    for (const c of this.connections) c.pipes.forEach((p) => p.obey());
  }

  heal() {
    this.refusing = false;
    this.set({ mode: 'pass' });
  }

  /** Reset all connections; @refuse: and all that come until heal(). */
  cut({ refuse = false } = {}) {
    this.refusing = refuse;
    for (const { client, server } of this.connections) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  async stop() {
    this.cut({ refuse: true });
    await new Promise((resolve) => this.server.close(resolve));
  }
}

module.exports = { Proxy };
