'use strict';
// Traces: an OTLP collector of our own gets a span for every execution and step, in the caller's trace, and what
// steps call hangs below their spans. A collector that is ill costs spans, never executions.

const { test, run, assert, eventually } = require('./lib/tap.js');
const { House } = require('./lib/house.js');
const { call, step, wait, runbook } = require('./lib/runbooks.js');

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const CALLER = 'b7ad6b7169203331';
const COLLECTOR = '/otel/v1/traces';

let house, alice, url;

function exports() {
  return house.receiver.toPath(COLLECTOR);
}
const spans = () =>
  exports()
    .filter((r) => r.status < 300)
    .flatMap((r) => r.body.resourceSpans)
    .flatMap((r) => r.scopeSpans)
    .flatMap((s) => s.spans);
const attribute = (span, key) => {
  const value = span.attributes.find((a) => a.key === key)?.value;
  return value?.stringValue ?? value?.intValue;
};
const spansOf = (id) => spans().filter((s) => attribute(s, 'runbook.execution.id') === id);
const allSpans = (id, n) => eventually(() => spansOf(id).length >= n && spansOf(id), { what: `${n} spans of ${id}` });

test('an execution is a span in the trace of its caller, and its steps are spans below it', async () => {
  const definition = runbook('traced', [call('look', `${url}/look`), wait('settle', 20, ['look'])]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, { a: 1 }, {}, { headers: { traceparent: `00-${TRACE}-${CALLER}-01` } });
  await alice.until(id, 'completed');
  const all = await allSpans(id, 3);
  assert.equal(all.length, 3);
  const whole = all.find((s) => s.name === definition.id);
  const look = all.find((s) => s.name === 'look');
  const settle = all.find((s) => s.name === 'settle');
  for (const s of all) {
    assert.equal(s.traceId, TRACE);
    assert.equal(s.status.code, 1);
    assert.ok(BigInt(s.endTimeUnixNano) >= BigInt(s.startTimeUnixNano));
  }
  assert.equal(whole.parentSpanId, CALLER);
  assert.equal(look.parentSpanId, whole.spanId);
  assert.equal(settle.parentSpanId, whole.spanId);
  assert.equal(new Set(all.map((s) => s.spanId)).size, 3);
  assert.equal(attribute(look, 'runbook.step.type'), 'call-service');
  assert.equal(attribute(look, 'runbook.step.attempt'), '1');
  assert.equal(look.kind, 3);
  assert.ok(BigInt(settle.endTimeUnixNano) - BigInt(settle.startTimeUnixNano) >= 20_000_000n);
  const [request] = house.receiver.toPath('/look');
  assert.equal(request.headers.traceparent, `00-${TRACE}-${look.spanId}-01`, "the receiver's parent is the step");
  const resource = exports()[0].body.resourceSpans[0].resource.attributes;
  assert.equal(resource.find((a) => a.key === 'service.name').value.stringValue, 'incidents');
  assert.equal(exports()[0].headers['x-team'], 'blue, green');
  assert.equal(exports()[0].headers['content-type'], 'application/json');
});

test('without a caller the execution is its own trace; a failure is a span with status error', async () => {
  house.receiver.on('/broken', { status: 400 });
  const definition = runbook('fails', [call('look', `${url}/broken`)]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.until(id, 'failed');
  const all = await allSpans(id, 2);
  const whole = all.find((s) => s.name === definition.id);
  assert.equal(whole.traceId, id.replaceAll('-', ''));
  assert.equal(whole.parentSpanId, undefined);
  assert.ok(all.every((s) => s.status.code === 2 && s.traceId === whole.traceId));
});

test('a trace that its caller does not sample is not exported, but passed on', async () => {
  const definition = runbook('unsampled', [call('look', `${url}/unsampled`)]);
  await alice.register(definition);
  const trace = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa';
  const id = await alice.startId(definition.id, {}, {}, { headers: { traceparent: `00-${trace}-${CALLER}-00` } });
  await alice.until(id, 'completed');
  const later = await alice.startId(definition.id, { later: true });
  await alice.until(later, 'completed');
  await allSpans(later, 2);
  assert.equal(spansOf(id).length, 0);
  assert.match(house.receiver.toPath('/unsampled')[0].headers.traceparent, new RegExp(`^00-${trace}-[0-9a-f]{16}-00$`));
});

test('a child execution hangs below the step that runs it', async () => {
  const child = runbook('child', [wait('inside', 1)]);
  const parent = runbook('parent', [step('sub', 'run-runbook', [], { config: { runbookId: child.id, input: {} } })]);
  await alice.register(child);
  await alice.register(parent);
  const id = await alice.startId(parent.id, {});
  const done = await alice.until(id, 'completed');
  const sub = (await allSpans(id, 2)).find((s) => s.name === 'sub');
  const inner = await eventually(() => spans().find((s) => s.name === child.id && s.parentSpanId === sub.spanId), {
    what: "the child's span",
  });
  assert.equal(inner.traceId, sub.traceId);
  assert.ok(done);
});

test('a collector that is away for a moment gets the spans later', async () => {
  let refusals = 2;
  house.receiver.on(COLLECTOR, () => ({ status: refusals-- > 0 ? 503 : 200 }));
  const definition = runbook('patient', [wait('only', 1)]);
  await alice.register(definition);
  const id = await alice.startId(definition.id, {});
  await alice.until(id, 'completed');
  const all = await eventually(
    () => refusals < 0 && spansOf(id).length >= 2 && spansOf(id),
    { what: 'the spans after refusals' },
  );
  assert.ok(all.length >= 2);
  house.receiver.on(COLLECTOR, { status: 200 });
});

run(async () => {
  house = await House.start({ engine: false });
  house.receiver.on(COLLECTOR, { status: 200 });
  house.startEngine({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${house.receiver.url}/otel/`,
    OTEL_EXPORTER_OTLP_HEADERS: 'X-Team=blue%2C%20green',
    OTEL_SERVICE_NAME: 'incidents',
  });
  await house.engineReady();
  alice = house.person('alice');
  url = house.receiver.url;
});
