'use strict';
// The service that runbooks call in the tests. It keeps every request, and answers by path with what a
// case has put there.

const http = require('node:http');

class Receiver {
  constructor() {
    this.requests = [];
    this.answers = new Map();
    this.server = http.createServer((request, response) => this.take(request, response));
    this.server.keepAliveTimeout = 60000;
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  /**
   * @answer: {status, headers, body, delayMs, hang, reset}, or a function (request, number of requests so
   * far on this path) of one. `body` may be an object (sent as JSON), a string or a buffer.
   */
  on(path, answer) {
    this.answers.set(path, answer);
  }

  toPath(path) {
    return this.requests.filter((r) => r.path === path);
  }

  keys(path) {
    return new Set(this.toPath(path).map((r) => r.key));
  }

  take(request, response) {
    const chunks = [];
    let kept, closedMs;
    const closed = () => {
      kept.aborted = !response.writableFinished;
      kept.closedMs = closedMs;
    };
    // A caller that gives up at once may be gone before what it sent has been read.
    response.on('close', () => {
      closedMs = Date.now();
      if (kept) closed();
    });
    request.on('error', () => {});
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const path = request.url.split('?')[0];
      const text = Buffer.concat(chunks).toString();
      kept = {
        method: request.method,
        path,
        url: request.url,
        headers: request.headers,
        text,
        key: request.headers['idempotency-key'],
        atMs: Date.now(),
        aborted: false,
      };
      try {
        kept.body = JSON.parse(text);
      } catch {
        kept.body = undefined;
      }
      this.requests.push(kept);
      if (closedMs) closed();
      const answers = this.answers.get(path) ?? { status: 200, body: { ok: true } };
      const answer = typeof answers === 'function' ? await answers(kept, this.toPath(path).length) : answers;
      kept.status = answer.status ?? 200; // what it was or will be answered
      if (answer.hang) return;
      if (answer.delayMs) await new Promise((resolve) => setTimeout(resolve, answer.delayMs));
      if (answer.reset) {
        request.socket.resetAndDestroy();
        return;
      }
      const isText = typeof answer.body === 'string' || Buffer.isBuffer(answer.body);
      const headers = {
        ...(answer.body !== undefined && !isText ? { 'Content-Type': 'application/json' } : {}),
        ...answer.headers,
      };
      response.writeHead(kept.status, headers);
      response.end(answer.body === undefined ? undefined : isText ? answer.body : JSON.stringify(answer.body));
    });
  }
}

module.exports = { Receiver };
