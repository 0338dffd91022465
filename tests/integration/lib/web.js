'use strict';
// The gateway as a foreign HTTP client sees it: requests and streams of events.

const http = require('node:http');
const net = require('node:net');

class Web {
  /** @headers go with every request. */
  constructor(base, headers = {}) {
    this.base = base;
    this.headers = headers;
  }

  /** The same place, asked as somebody else. */
  as(user, tenant = this.headers['X-Tenant']) {
    return new Web(this.base, { ...this.headers, 'X-User': user, ...(tenant ? { 'X-Tenant': tenant } : {}) });
  }

  /** Any request: {status, headers, text, body}. @body: an object is sent as JSON, a string as it is. */
  async send(method, path, { body, headers = {} } = {}) {
    const options = { method, headers: { ...this.headers, ...headers }, redirect: 'manual' };
    if (body !== undefined) {
      const isText = typeof body === 'string' || body instanceof Uint8Array;
      options.body = isText ? body : JSON.stringify(body);
      options.headers = { 'Content-Type': 'application/json', ...options.headers };
    }
    const response = await fetch(this.base + path, options);
    const text = await response.text();
    let json;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: response.status, headers: response.headers, text, body: json };
  }

  get(path, headers) {
    return this.send('GET', path, { headers });
  }

  post(path, body, headers) {
    return this.send('POST', path, { body, headers });
  }

  /** A request whose headers fetch would not send (Host, Origin…): {status, headers, text}. */
  raw(method, path, headers, body) {
    const { hostname, port } = new URL(this.base);
    return new Promise((resolve, reject) => {
      const request = http.request({ hostname, port, method, path, headers: { ...this.headers, ...headers } }, (r) => {
        let text = '';
        r.on('data', (chunk) => (text += chunk));
        r.on('end', () => resolve({ status: r.statusCode, headers: r.headers, text }));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  /** Bytes as they are, over a socket; gives all that comes back until the end, or for @ms. */
  bytes(text, ms = 3000) {
    const { hostname, port } = new URL(this.base);
    return new Promise((resolve) => {
      let got = '';
      const socket = net.connect(port, hostname);
      const end = () => {
        clearTimeout(timer);
        socket.destroy();
        resolve(got);
      };
      const timer = setTimeout(end, ms);
      socket.on('connect', () => socket.write(text));
      socket.on('data', (chunk) => (got += chunk.toString('latin1')));
      socket.on('error', end);
      socket.on('close', end);
    });
  }

  /** Open a stream of events. */
  stream(path, headers = {}) {
    return EventStream.open(this.base + path, { ...this.headers, ...headers });
  }
}

/** Server-sent events, gathered in `events` ({id, event, data}) as they come. */
class EventStream {
  static open(url, headers) {
    return new Promise((resolve, reject) => {
      const request = http.get(url, { headers: { Accept: 'text/event-stream', ...headers } }, (response) => {
        const stream = new EventStream();
        Object.assign(stream, { request, response, status: response.statusCode, headers: response.headers });
        Object.assign(stream, { events: [], comments: 0, rest: '', isEnded: false });
        response.setEncoding('utf8');
        response.on('data', (chunk) => stream.take(chunk));
        response.on('close', () => (stream.isEnded = true));
        response.on('error', () => (stream.isEnded = true));
        resolve(stream);
      });
      request.on('error', reject);
    });
  }

  take(chunk) {
    this.rest += chunk;
    if (this.status !== 200) return;
    for (let end; (end = this.rest.indexOf('\n\n')) >= 0; ) {
      const lines = this.rest.slice(0, end).split('\n');
      this.rest = this.rest.slice(end + 2);
      const event = {};
      for (const line of lines) {
        const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
        if (name === '') this.comments += 1;
        else event[name] = value;
      }
      if (event.id) this.place = event.id;
      if (event.data === undefined) continue;
      event.data = JSON.parse(event.data);
      this.events.push(event);
    }
  }

  /** Where to go on; known before the first event. */
  get lastId() {
    return this.place;
  }

  /** The sequence numbers of the lifecycle events, in the order in which they came. */
  sequences() {
    return this.events.filter((e) => e.event === 'lifecycle').map((e) => e.data.sequence);
  }

  types() {
    return this.events.filter((e) => e.event === 'lifecycle').map((e) => e.data.type);
  }

  close() {
    this.request.destroy();
  }
}

module.exports = { Web, EventStream };
