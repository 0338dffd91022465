'use strict';
// A gRPC server that is not ours (@grpc/grpc-js), with and without TLS on two ports, which does what a request asks it
// to. It keeps every call. Beside it stand servers of bare HTTP/2, for what no gRPC server does of its own accord.

const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const http2 = require('node:http2');
const os = require('node:os');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, 'orders.proto');

/** What `descriptorSet` wants: protoc's own output. */
function descriptorSet(flags = ['--include_imports'], proto = PROTO) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'runbook-protoc-'));
  try {
    const out = path.join(dir, 'set');
    execFileSync('protoc', [...flags, `--descriptor_set_out=${out}`, '-I', path.dirname(proto), proto]);
    return fs.readFileSync(out).toString('base64');
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

/** A certificate for localhost and 127.0.0.1, signed by itself; files `key.pem` and `cert.pem` in @dir. */
function makeCertificate(dir) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(dir, name));
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
      .concat(['-keyout', key, '-out', cert, '-subj', '/CN=localhost'])
      .concat(['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']),
    { stdio: 'ignore' },
  );
  return { key: fs.readFileSync(key), cert: fs.readFileSync(cert), certFile: cert };
}

const bind = (server, credentials) =>
  new Promise((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', credentials, (e, port) => (e ? reject(e) : resolve(port))),
  );

const secure = ({ key, cert }) => grpc.ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: cert }]);

class GrpcServer {
  constructor() {
    this.others = [];
    this.calls = [];
    this.behaviours = new Map();
  }

  /** @fn(call kept, number of calls so far with this behaviour, the call of grpc-js) gives a reply or an error. */
  on(behaviour, fn) {
    this.behaviours.set(behaviour, fn);
  }

  of(behaviour) {
    return this.calls.filter((c) => c.request.behaviour === behaviour);
  }

  place(call, done) {
    const kept = {
      request: call.request,
      metadata: call.metadata.getMap(),
      deadlineMs: call.getDeadline() === Infinity ? Infinity : Number(call.getDeadline()) - Date.now(),
      host: call.getHost(),
      atMs: Date.now(),
      cancelled: false,
    };
    this.calls.push(kept);
    call.on('cancelled', () => {
      kept.cancelled = true;
      kept.cancelledMs = Date.now();
    });
    const behaviour = this.behaviours.get(call.request.behaviour) ?? (() => ({ reply: { order_id: 'o-1' } }));
    Promise.resolve(behaviour(kept, this.of(call.request.behaviour).length, call)).then((answer) => {
      if (answer.hang) return;
      if (answer.headers) call.sendMetadata(metadataOf(answer.headers));
      if (answer.error) done({ ...answer.error, metadata: metadataOf(answer.error.metadata ?? {}) });
      else done(null, answer.reply, metadataOf(answer.trailers ?? {}));
    });
  }

  async start(certificate) {
    const definition = loader.loadSync(PROTO, { keepCase: true, longs: String, enums: String, defaults: true });
    const { Orders } = grpc.loadPackageDefinition(definition).shop.v1;
    this.server = new grpc.Server({ 'grpc.max_send_message_length': -1, 'grpc.max_receive_message_length': -1 });
    this.server.addService(Orders.service, { Place: (call, done) => this.place(call, done) });
    this.port = await bind(this.server, grpc.ServerCredentials.createInsecure());
    this.tlsPort = await bind(this.server, secure(certificate));
  }

  /** Another server, for the service that @pick finds in @proto; gives its port, with TLS. */
  async addService(proto, pick, handlers, certificate) {
    const other = new grpc.Server();
    this.others.push(other);
    other.addService(pick(grpc.loadPackageDefinition(loader.loadSync(proto))).service, handlers);
    return bind(other, secure(certificate));
  }

  stop() {
    for (const server of [this.server, ...this.others]) server.forceShutdown();
  }
}

function metadataOf(object) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(object)) metadata.set(name, value);
  return metadata;
}

/** A server of bare HTTP/2; @onStream(stream, headers). Gives {port, stop}. */
async function http2Server(onStream, certificate) {
  const server = certificate
    ? http2.createSecureServer({ key: certificate.key, cert: certificate.cert, allowHTTP1: true })
    : http2.createServer();
  const sessions = new Set();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    port: server.address().port,
    stop() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

module.exports = { GrpcServer, http2Server, descriptorSet, makeCertificate, status: grpc.status };
