'use strict';
/*
 * Random schemas and values, tried by our validator and by ajv: both have to agree.
 *
 *   node differential.js RUN_LINES AJV_FOLDER [--seed N] [--cases N]
 *
 * Three comparisons, a TAP case each: verdicts on values; faults of schemas against ajv's reading of the
 * meta-schema; and the meta-schema itself, its eight documents embedded in one schema, run by our validator
 * on those same schemas, which exercises $dynamicRef across resources. A disagreement prints what is needed
 * to repeat it.
 *
 * What is known to differ, and therefore is not generated or not compared:
 *  - ajv counts all items as evaluated where `contains` stands (the specification: those that matched), and
 *    items that a branch evaluates which was not taken or failed; `unevaluatedItems` together with any of
 *    these is not compared.
 *  - ajv forgets `properties` beside `dependentSchemas` that don't apply, and what an `if` without branches
 *    evaluates; `unevaluatedProperties` together with these is not compared.
 *  - ajv lets some empty arrays pass `contains`, and some others where it stands beside `prefixItems`: not
 *    compared.
 *  - ajv takes the property "" for present when it is required: it never is.
 *  - ajv computes multipleOf in binary (4.35 is no multiple of 0.01 to it, 1e20 is one of 1.5): only steps
 *    that doubles hold exactly, and no large numbers beside them.
 *  - ajv follows schemas that apply themselves to the same value until its stack ends; ours are refused at
 *    once: not compared.
 *  - ajv checks neither patterns nor references against the meta-schema; ours are refused at compilation: not
 *    compared.
 *  - ajv resolves $dynamicRef statically in part; it is compared through the meta-schema only.
 *  - JavaScript has no integers beyond 2^53: none are generated.
 */
const { spawnSync } = require('child_process');
const fs = require('fs');
const path = require('path');

const [runLines, ajvFolder, ...options] = process.argv.slice(2);
const option = (name, fallback) => {
  const at = options.indexOf(name);
  return at < 0 ? fallback : Number(options[at + 1]);
};
const seed = option('--seed', 20201212);
const nCases = option('--cases', 2500);
const Ajv = require(path.join(ajvFolder, 'dist/2020')).default;

/* ---- random things ---- */

let state = seed >>> 0;
function random() {
  /* mulberry32 */
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];
const chance = (p) => random() < p;
const some = (list, p) => list.filter(() => chance(p));
const times = (n, make) => Array.from({ length: n }, make);

const NAMES = ['a', 'b', 'ab', 'c', 'ä', 'foo bar', ''];
const STRINGS = [
  '',
  'a',
  'b',
  'ab',
  'abc',
  'aaa',
  'B',
  'ä',
  '😀',
  '😀😀',
  '12',
  'a-b',
  'x\ny',
  ' ',
  '\u00a0',
  '_',
  '2020-01-01',
  'a.b',
  '{a}',
  '\u2028',
];
const NUMBERS = [
  0, 1, 2, 3, -1, -2, 5, 10, 0.5, 1.5, -0.5, 2.25, 100, 1e20, -1e20, 1e300, 9007199254740991, 1e-7,
];
const PATTERNS = [
  '^a',
  'b$',
  '^[a-c]+$',
  '\\d',
  '^\\w+$',
  '^\\s*$',
  '.',
  '^.$',
  'a|b',
  '^(?:ab)*$',
  '^[^a]*$',
  '\\p{L}',
  '^\\P{Lu}+$',
  '^\\S$',
  'a{2,}',
  '^\\u{1F600}+$',
  '(a)\\1',
  '^(?!a)',
  '^[\\w-]+$',
  '\\.',
  '^$',
  '[\\s\\d]',
  '^a?b?c?$',
  '(?<x>a)\\k<x>',
  '\\bb',
  'x.y',
  '^[\\W]',
];

const scalar = () =>
  pick([() => pick(STRINGS), () => pick(NUMBERS), () => below(4), () => null, () => true, () => false])();
function value(depth) {
  if (depth <= 0 || chance(0.4)) return scalar();
  return chance(0.5)
    ? times(below(4), () => value(depth - 1))
    : Object.fromEntries(some(NAMES, 0.4).map((n) => [n, value(depth - 1)]));
}

const requirable = (p) => some(NAMES, p).filter((n) => n !== '');
const KEYWORDS = {
  type: () =>
    chance(0.7)
      ? pick(['array', 'boolean', 'integer', 'null', 'number', 'object', 'string'])
      : [
          ...new Set(
            times(1 + below(3), () =>
              pick(['array', 'boolean', 'integer', 'null', 'number', 'object', 'string']),
            ),
          ),
        ],
  enum: () => times(1 + below(4), () => value(1)),
  const: () => value(2),
  minimum: () => pick(NUMBERS),
  maximum: () => pick(NUMBERS),
  exclusiveMinimum: () => pick(NUMBERS),
  exclusiveMaximum: () => pick(NUMBERS),
  multipleOf: () => pick([1, 2, 3, 0.5, 1.5, 0.25]),
  minLength: () => below(4),
  maxLength: () => below(4),
  pattern: () => pick(PATTERNS),
  minItems: () => below(3),
  maxItems: () => below(4),
  uniqueItems: () => chance(0.8),
  prefixItems: (d) => times(1 + below(3), () => schema(d - 1)),
  items: (d) => schema(d - 1),
  contains: (d) => schema(d - 1),
  minContains: () => below(3),
  maxContains: () => below(3),
  minProperties: () => below(3),
  maxProperties: () => below(4),
  required: () => requirable(0.2),
  properties: (d) => Object.fromEntries(some(NAMES, 0.4).map((n) => [n, schema(d - 1)])),
  patternProperties: (d) => Object.fromEntries(times(1 + below(2), () => [pick(PATTERNS), schema(d - 1)])),
  additionalProperties: (d) => schema(d - 1),
  propertyNames: (d) => schema(d - 1),
  dependentRequired: () => Object.fromEntries(some(NAMES, 0.3).map((n) => [n, requirable(0.2)])),
  dependentSchemas: (d) => Object.fromEntries(some(NAMES, 0.3).map((n) => [n, schema(d - 1)])),
  dependencies: (d) =>
    Object.fromEntries(some(NAMES, 0.3).map((n) => [n, chance(0.5) ? requirable(0.2) : schema(d - 1)])),
  allOf: (d) => times(1 + below(3), () => schema(d - 1)),
  anyOf: (d) => times(1 + below(3), () => schema(d - 1)),
  oneOf: (d) => times(1 + below(3), () => schema(d - 1)),
  not: (d) => schema(d - 1),
  if: (d) => schema(d - 1),
  then: (d) => schema(d - 1),
  else: (d) => schema(d - 1),
  unevaluatedProperties: (d) => schema(d - 1),
  unevaluatedItems: (d) => schema(d - 1),
  $ref: () =>
    pick([
      '/',
      '/#/$defs/a',
      'http://x/#/$defs/b',
      '/#named',
      'http://x/inner',
      'inner#deep',
      '/#/$defs/inner/$defs/d',
    ]),
  title: () => 'a title',
  format: () => 'email',
  default: () => value(1),
};
const NAMES_OF_KEYWORDS = Object.keys(KEYWORDS);
const FAMILIES = [
  ['type', 'enum', 'const'],
  ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ['minLength', 'maxLength', 'pattern'],
  [
    'minItems',
    'maxItems',
    'uniqueItems',
    'prefixItems',
    'items',
    'contains',
    'minContains',
    'maxContains',
    'unevaluatedItems',
  ],
  [
    'minProperties',
    'maxProperties',
    'required',
    'properties',
    'patternProperties',
    'additionalProperties',
    'propertyNames',
    'unevaluatedProperties',
  ],
  ['dependentRequired', 'dependentSchemas', 'dependencies', 'properties', 'unevaluatedProperties'],
  [
    'allOf',
    'anyOf',
    'oneOf',
    'not',
    'if',
    'then',
    'else',
    'unevaluatedProperties',
    'unevaluatedItems',
    'properties',
    'prefixItems',
  ],
  ['$ref', 'properties', 'unevaluatedProperties'],
];

function schema(depth) {
  if (depth <= 0 || chance(0.1)) return chance(0.5) ? chance(0.6) : { type: KEYWORDS.type() };
  const names = chance(0.5)
    ? some(pick(FAMILIES), 0.5)
    : times(1 + below(3), () => pick(NAMES_OF_KEYWORDS));
  return Object.fromEntries(names.map((n) => [n, KEYWORDS[n](depth)]));
}

function whole() {
  const s = schema(3);
  if (typeof s !== 'object') return s;
  const inner = {
    ...(chance(0.5) ? { type: 'object' } : {}),
    $id: 'inner',
    $defs: { d: { $anchor: 'deep', ...leaf() } },
  };
  return { $id: 'http://x/', ...s, $defs: { a: schema(2), b: { $anchor: 'named', ...leaf() }, inner } };
}
function leaf() {
  const s = schema(1);
  return typeof s === 'object' ? s : { not: s };
}

/** Something that may break the rules of schemas. */
function broken() {
  const s = JSON.parse(JSON.stringify(whole()));
  if (typeof s !== 'object') return s;
  for (let places = 1 + below(2), at = s; places > 0; places--, at = s) {
    while (chance(0.6)) {
      const below_ = Object.values(at).filter((v) => v && typeof v === 'object' && !Array.isArray(v));
      if (below_.length === 0) break;
      at = pick(below_);
    }
    at[
      pick([
        ...NAMES_OF_KEYWORDS.filter((n) => n !== '$ref'),
        '$id',
        '$anchor',
        '$dynamicAnchor',
        '$comment',
        '$vocabulary',
        'examples',
        'readOnly',
        'deprecated',
        'contentMediaType',
        'definitions',
      ])
    ] = chance(0.3)
      ? pick([
          {},
          [],
          [{}],
          [[]],
          { a: {} },
          { a: 1 },
          -1,
          1.5,
          0,
          true,
          'string',
          'x#y',
          '1x',
          'x',
          null,
          ['a', 'a'],
          ['string'],
          { a: ['b'] },
        ])
      : value(2);
  }
  return s;
}

/* ---- both validators ---- */

function ours(lines) {
  const done = spawnSync(runLines, [], {
    input: lines.map((l) => JSON.stringify(l)).join('\n') + '\n',
    maxBuffer: 1 << 30,
    encoding: 'utf8',
    timeout: 240000,
  });
  if (done.status !== 0)
    throw new Error(`run_lines ended with ${done.status ?? done.signal}: ${done.stderr}`);
  return done.stdout
    .trim()
    .split('\n')
    .map((l) => JSON.parse(l));
}

const newAjv = () =>
  new Ajv({
    strict: false,
    validateFormats: false,
    unicodeRegExp: true,
    logger: false,
    ownProperties: true,
    inlineRefs: false,
    validateSchema: false,
  });
const uses = (s, name) => JSON.stringify(s).includes(`"${name}":`);
const isHuge = (v) =>
  v && typeof v === 'object'
    ? Object.values(v).some(isHuge)
    : typeof v === 'number' && Math.abs(v) > 2 ** 50;
const hasEmpty = (v) =>
  (Array.isArray(v) && v.length === 0) || (v && typeof v === 'object' && Object.values(v).some(hasEmpty));
const hasBareIf = (s) =>
  s &&
  typeof s === 'object' &&
  (('if' in s && !('then' in s && 'else' in s)) || Object.values(s).some(hasBareIf));
const has = (s, one, other) =>
  s &&
  typeof s === 'object' &&
  ((one in s && other in s) || Object.values(s).some((v) => has(v, one, other)));
function isCompared(s) {
  const conditional = uses(s, 'dependentSchemas') || uses(s, 'dependencies');
  return (
    !(
      uses(s, 'unevaluatedItems') &&
      (conditional || ['contains', 'if', 'anyOf', 'oneOf'].some((n) => uses(s, n)))
    ) &&
    !(uses(s, 'unevaluatedProperties') && (conditional || hasBareIf(s))) &&
    !has(s, 'prefixItems', 'contains')
  );
}
const endless = (answer) => (answer.faults || []).some(([, message]) => message.includes('without end'));

/** What ajv says: true, false, or undefined when it doesn't compile the schema or its own code fails. */
function ajvVerdict(s, instance) {
  try {
    return newAjv().compile(s)(instance);
  } catch {
    return undefined;
  }
}

/** All ways to leave one thing out of a JSON value, or to put a part in its place. */
function* smaller(v) {
  if (!v || typeof v !== 'object') return;
  for (const key of Object.keys(v)) {
    if (Array.isArray(v)) {
      yield v.filter((_, i) => i !== Number(key));
    } else {
      const { [key]: _, ...rest } = v;
      yield rest;
    }
    const part = v[key];
    if (part && typeof part === 'object') {
      yield part;
      for (const less of [true, ...smaller(part)]) {
        if (Array.isArray(v)) yield v.map((one, i) => (i === Number(key) ? less : one));
        else yield { ...v, [key]: less };
      }
    }
  }
}

/** The same disagreement in fewer words, as far as some hundreds of trials get. */
function shrink(d) {
  const differs = (s, instance) => {
    const theirs = ajvVerdict(s, instance);
    const [answer] = ours([{ schema: s, instances: [instance] }]);
    return theirs !== undefined && answer.results && answer.results[0] !== (theirs ? 0 : 1);
  };
  let trials = 400;
  for (let again = true; again;) {
    again = false;
    for (const s of smaller(d.schema))
      if (trials-- > 0 && differs(s, d.instance)) {
        d = { ...d, schema: s };
        again = true;
        break;
      }
    for (const v of smaller(d.instance))
      if (trials-- > 0 && differs(d.schema, v)) {
        d = { ...d, instance: v };
        again = true;
        break;
      }
  }
  const theirs = ajvVerdict(d.schema, d.instance);
  return {
    schema: d.schema,
    instance: d.instance,
    ajv: theirs ? 'valid' : 'invalid',
    ours: theirs ? 'invalid' : 'valid',
  };
}

let nTap = 0;
let nFailed = 0;
function tap(title, compared, disagreements) {
  const good = disagreements.length === 0 && compared > 0;
  nFailed += !good;
  console.log(
    `${good ? 'ok' : 'not ok'} ${++nTap} - ${title}: ${compared} compared, ` +
      `${disagreements.length} disagreements (seed ${seed})`,
  );
  for (const d of disagreements.slice(0, 10))
    console.log(`#   ${JSON.stringify('instance' in d ? shrink(d) : d)}`);
}

function compareVerdicts() {
  const cases = times(nCases, () => ({ schema: whole(), instances: times(8, () => value(3)) })).filter(
    (c) => isCompared(c.schema),
  );
  const answers = ours(cases);
  const disagreements = [];
  let compared = 0;
  let nValid = 0;
  cases.forEach((c, i) => {
    if (endless(answers[i])) return;
    let validate;
    try {
      validate = newAjv().compile(c.schema);
    } catch (e) {
      if (!answers[i].faults) disagreements.push({ schema: c.schema, ajv: e.message, ours: 'compiles' });
      return;
    }
    if (answers[i].faults) {
      disagreements.push({ schema: c.schema, ajv: 'compiles', ours: answers[i].faults });
      return;
    }
    c.instances.forEach((instance, j) => {
      if (
        (uses(c.schema, 'multipleOf') && isHuge(instance)) ||
        (uses(c.schema, 'contains') && hasEmpty(instance))
      )
        return;
      let theirs;
      try {
        theirs = validate(instance);
      } catch {
        return; /* the code that ajv made fails */
      }
      compared++;
      nValid += theirs;
      if (answers[i].results[j] !== (theirs ? 0 : 1)) disagreements.push({ schema: c.schema, instance });
    });
  });
  tap(`verdicts on values, ${nValid} valid`, compared, disagreements);
}

function compareSchemas() {
  const refs = path.join(ajvFolder, 'dist/refs/json-schema-2020-12');
  const load = (name) => JSON.parse(fs.readFileSync(path.join(refs, name), 'utf8'));
  const meta = load('schema.json');
  const vocabularies = fs.readdirSync(path.join(refs, 'meta')).map((name) => load(`meta/${name}`));
  const bundle = {
    ...meta,
    $defs: Object.fromEntries(vocabularies.map((v) => [v.$id.split('/').pop(), v])),
  };
  const schemas = [meta, ...vocabularies, ...times(nCases, broken)];
  const compiled = ours(schemas.map((s) => ({ schema: s, instances: [] })));
  const [{ results, faults }] = ours([{ schema: bundle, instances: schemas }]);
  if (faults) throw new Error(`the meta-schema does not compile: ${JSON.stringify(faults)}`);
  const ajv = newAjv();
  const byFaults = [];
  const byMeta = [];
  let nFaults = 0;
  let nValid = 0;
  schemas.forEach((s, i) => {
    const good = ajv.validateSchema(s);
    nValid += good;
    if (results[i] !== (good ? 0 : 1))
      byMeta.push({ schema: s, ajv: good ? 'valid' : ajv.errors, ours: results[i] });
    /* what the meta-schema doesn't ask */
    const own =
      /pattern|leads nowhere|no schema of this document|without end|another schema|only the dialect/;
    const told = (compiled[i].faults || []).filter(([, message]) => !own.test(message));
    if ((compiled[i].faults || []).length > 0 && told.length === 0) return;
    nFaults++;
    if ((told.length === 0) !== good)
      byFaults.push({ schema: s, ajv: good ? 'valid' : ajv.errors, ours: told });
  });
  tap('faults of schemas', nFaults, byFaults);
  tap(`schemas as values of the meta-schema, ${nValid} valid`, schemas.length, byMeta);
}

compareVerdicts();
compareSchemas();
console.log(`1..${nTap}`);
process.exit(nFailed ? 1 : 0);
