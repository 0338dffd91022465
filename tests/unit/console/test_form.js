// Forms from schemas, places in texts, streams, addresses, lengths of time.

import './setup.js';
import assert from 'node:assert/strict';
import test from 'node:test';
import { CONTEXT_SCHEMA, fromRaw, makeField, toRaw } from '../../../src/gateway/console/form_model.js';
import { href, parse } from '../../../src/gateway/console/url.js';
import { lineOf, placeOf } from '../../../src/gateway/console/text_places.js';

const object = (properties, required = []) => ({ type: 'object', properties, required });

test('a kind of field for each kind of schema', () => {
  const kinds = (schema) => makeField(schema).kind;
  assert.equal(kinds({ type: 'string' }), 'text');
  assert.equal(kinds({ type: 'string', maxLength: 4000 }), 'textarea');
  assert.equal(kinds({ type: 'integer' }), 'integer');
  assert.equal(kinds({ enum: [1, 'a'] }), 'enum');
  assert.equal(kinds({ const: 1 }), 'enum');
  assert.equal(kinds({ type: 'array', items: { type: 'string' } }), 'array');
  assert.equal(kinds({ type: 'array' }), 'json');
  assert.equal(kinds(object({ a: {} })), 'object');
  assert.equal(kinds({ type: 'object' }), 'json');
  assert.equal(kinds({ oneOf: [] }), 'json');
  assert.equal(kinds({ type: ['string', 'null'] }), 'json');
  assert.equal(kinds(true), 'json');
  assert.deepEqual(
    makeField(object({ a: {}, hostName: {} }, ['hostName'])).fields.map((f) => f.label),
    ['Host name', 'A'],
  );
});

test('what is typed becomes the value, what was a value is shown again', () => {
  const schema = object(
    {
      host: { type: 'string' },
      n: { type: 'integer', default: 3 },
      on: { type: 'boolean' },
      level: { enum: ['low', 'high'] },
      tags: { type: 'array', items: { type: 'string' } },
      owner: object({ name: { type: 'string' } }, ['name']),
      more: {},
    },
    ['host', 'level'],
  );
  const field = makeField(schema);
  const value = {
    host: 'ws',
    n: 5,
    on: false,
    level: 'high',
    tags: ['a', 'b'],
    owner: { name: 'kim' },
    more: { x: [1] },
    unknown: 1,
  };
  assert.deepEqual(fromRaw(field, toRaw(field, value)), { value, errors: [] });
  const raw = toRaw(field, undefined);
  raw.members.host = 'ws';
  raw.members.level = '0';
  assert.deepEqual(fromRaw(field, raw), { value: { host: 'ws', level: 'low', n: 3 }, errors: [] });
});

test('errors are at their places', () => {
  const schema = object(
    {
      'a/b': { type: 'string', minLength: 2, pattern: '^x' },
      n: { type: 'integer', minimum: 1, maximum: 9 },
      mail: { type: 'string', format: 'email' },
      tags: { type: 'array', minItems: 1, items: { type: 'string' } },
      free: {},
      owner: object({ name: { type: 'string' } }, ['name']),
    },
    ['a/b', 'tags'],
  );
  const field = makeField(schema);
  const raw = toRaw(field, undefined);
  const paths = () =>
    fromRaw(field, raw)
      .errors.map((e) => e.path)
      .sort();
  assert.deepEqual(paths(), ['/a~1b', '/tags']);
  raw.members['a/b'] = 'y';
  raw.members.n = '12';
  raw.members.mail = 'nobody';
  raw.members.tags = ['ok', ''];
  raw.members.free = '{';
  assert.deepEqual(paths(), ['/a~1b', '/a~1b', '/free', '/mail', '/n', '/tags/1']);
  raw.members.n = '1.5';
  assert.match(fromRaw(field, raw).errors.find((e) => e.path === '/n').message, /whole/);
});

test('an optional object that nothing is given of asks for nothing', () => {
  const field = makeField(
    object({ owner: object({ name: { type: 'string' }, mail: { type: 'string' } }, ['name']) }),
  );
  const raw = toRaw(field, undefined);
  assert.deepEqual(fromRaw(field, raw), { value: {}, errors: [] });
  raw.members.owner.members.mail = 'a@b';
  assert.deepEqual(
    fromRaw(field, raw).errors.map((e) => e.path),
    ['/owner/name'],
  );
});

test('a pattern of another dialect is left to the engine', () => {
  const field = makeField(object({ a: { type: 'string', pattern: '(?<n>x)(?P=n)[' } }));
  const raw = toRaw(field, { a: 'x' });
  assert.deepEqual(fromRaw(field, raw).errors, []);
});

test('the context asks for authority and classification', () => {
  const field = makeField(CONTEXT_SCHEMA);
  const found = fromRaw(field, toRaw(field, undefined));
  assert.deepEqual(
    found.errors.map((e) => e.path),
    ['/legalBasis/authority', '/legalBasis/classification'],
  );
});

// ---- places ----

const at = (text, pointer) => {
  const { start, end } = placeOf(text, pointer);
  return text.slice(start, end);
};

test('pointers into JSON', () => {
  const text =
    '{\n "a": [1, {"b/c": "x, ]"}, true],\n "steps": [{"id": "one"}, {"id": "two", "config": {"url": 7}}]\n}';
  assert.equal(at(text, '/a/0'), '1');
  assert.equal(at(text, '/a/1/b~1c'), '"x, ]"');
  assert.equal(at(text, '/a/2'), 'true');
  assert.equal(at(text, '/steps/1/config/url'), '7');
  assert.equal(at(text, '/steps/1/config'), '"config"');
  assert.equal(at(text, '/steps/1/missing'), at(text, '/steps/1'));
  assert.equal(lineOf(text, placeOf(text, '/steps/1/config/url').start).line, 3);
  assert.deepEqual(lineOf(text, 0), { line: 1, column: 1 });
  for (const broken of ['', '{', '{"a"', '{"a":', '[1,', '{"a":[1,2', '"x'])
    assert.ok(placeOf(broken, '/a/1/b').start <= broken.length);
});

test('pointers into YAML', () => {
  const text = [
    '# a comment',
    'id: x',
    'steps:',
    '  - id: one',
    '    config:',
    '      url: "a"',
    '  - {id: two, config: {url: b, list: [p, q]}}',
    '  -',
    '    id: three',
    'other:',
    '- first',
    '- key: 1',
    '  "quoted key": 2',
    'last: end',
  ].join('\n');
  const line = (pointer) => lineOf(text, placeOf(text, pointer).start).line;
  assert.equal(line('/id'), 2);
  assert.equal(line('/steps/0/config/url'), 6);
  assert.equal(at(text, '/steps/0/id'), 'id: one');
  assert.equal(at(text, '/steps/1/config/url'), 'url: b');
  assert.equal(at(text, '/steps/1/config/list/1'), 'q');
  assert.equal(line('/steps/2/id'), 9);
  assert.equal(line('/other/0'), 11);
  assert.equal(line('/other/1/quoted key'), 13);
  assert.equal(line('/last'), 14);
  assert.equal(line('/steps/0/nothing'), 4);
});

// ---- the stream ----

test('events of a stream, however they are cut', async () => {
  const { createParser } = await import('../../../src/gateway/console/stream.js');
  const text =
    ': hello\n\nid: 0\n\nid: 1\nevent: lifecycle\ndata: {"a":1}\n\ndata: x\r\ndata: y\r\n\r\n' +
    'retry: 1500\nid: 2\ndata:z\n\n: ping\n\n';
  for (const size of [1, 2, 3, 7, 1000]) {
    const events = [];
    const ids = [];
    let retry;
    const parse = createParser({
      onEvent: (e) => events.push({ ...e, id: ids.at(-1) }),
      onId: (id) => ids.push(id),
      onRetry: (ms) => (retry = ms),
    });
    for (let i = 0; i < text.length; i += size) parse(text.slice(i, i + size));
    assert.deepEqual(events, [
      { id: '1', event: 'lifecycle', data: '{"a":1}' },
      { id: '1', event: undefined, data: 'x\ny' },
      { id: '2', event: undefined, data: 'z' },
    ]);
    assert.deepEqual(ids, ['0', '1', '2'], 'the first without an event');
    assert.equal(retry, 1500);
  }
  const parse = createParser({ onEvent: () => {} });
  assert.throws(() => parse('x'.repeat(5 << 20)), /too long/);
});

// ---- addresses and lengths of time ----

test('addresses keep what they are given', () => {
  const to = href(['executions', 'a/b c'], { step: 'x[0]', tab: undefined, q: '' });
  assert.equal(to, '#/executions/a%2Fb%20c?step=x%5B0%5D');
  assert.deepEqual(parse(to), { segments: ['executions', 'a/b c'], query: { step: 'x[0]' } });
  assert.deepEqual(parse('#/%zz'), { segments: ['%zz'], query: {} });
  assert.deepEqual(parse(''), { segments: [], query: {} });
});

test('lengths of time', async () => {
  const { ago, duration } = await import('../../../src/gateway/console/format.js');
  assert.deepEqual(
    [0, 999, 1300, 9999, 61000, 3600000, 7500000, 90000000, undefined].map((ms) => duration(ms)),
    ['0 ms', '999 ms', '1.3 s', '9.9 s', '1 min 1 s', '1 h', '2 h 5 min', '1 d 1 h', '–'],
  );
  const now = Date.parse('2026-01-01T00:10:00Z');
  assert.equal(ago('2026-01-01T00:07:00Z', now), '3 min ago');
  assert.equal(ago('2026-01-01T00:12:00Z', now), 'in 2 min');
  assert.equal(ago('nonsense', now), '–');
});
