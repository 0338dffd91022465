// Forms from JSON Schemas. Pure: what fields there are, what they hold, what they mean, what is wrong with it.
//
// What a form can't show well (alternatives, references, free-form objects) becomes a field for JSON text. The
// engine checks the input again and has the last word; what is checked here is what people want to be told
// while they type.

const DEPTH_MOST = 4;
const LONG_TEXT = 120;
const COMBINERS = ['$ref', 'oneOf', 'anyOf', 'allOf', 'not', 'if', '$dynamicRef'];
const FORMATS = {
  email: [/^[^\s@]+@[^\s@]+$/, 'an e-mail address'],
  uri: [/^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$/, 'an address with its scheme, like https://…'],
  date: [/^\d{4}-\d\d-\d\d$/, 'a date like 2026-01-31'],
  'date-time': [
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/i,
    'a time like 2026-01-31T14:00:00Z',
  ],
  uuid: [/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, 'a UUID'],
  ipv4: [/^\d{1,3}(\.\d{1,3}){3}$/, 'an IPv4 address'],
};

/** How a value looks, where the schema says that it has a form. */
export const formatHint = (field) => /like (\S+)$/.exec(FORMATS[field.schema?.format]?.[1] || '')?.[1];

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
const words = (name) => {
  const text = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll(/[_-]+/g, ' ')
    .toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** The field for @schema. {kind, name, label, hint, required, schema, fields?, item?, options?} */
export function makeField(schema, { name = '', required = true, depth = 0 } = {}) {
  const s = isObject(schema) ? schema : {};
  const field = {
    name,
    label: typeof s.title === 'string' ? s.title : words(name) || 'Input',
    hint: typeof s.description === 'string' ? s.description : '',
    required,
    schema: s,
    kind: 'json',
  };
  if (COMBINERS.some((key) => key in s) || depth > DEPTH_MOST) return field;
  if (Array.isArray(s.enum) && s.enum.length) return { ...field, kind: 'enum', options: s.enum };
  if ('const' in s) return { ...field, kind: 'enum', options: [s.const] };
  if (s.type === 'string') return { ...field, kind: (s.maxLength || 0) > LONG_TEXT ? 'textarea' : 'text' };
  if (s.type === 'number' || s.type === 'integer' || s.type === 'boolean') return { ...field, kind: s.type };
  if (s.type === 'array' && isObject(s.items))
    return {
      ...field,
      kind: 'array',
      item: makeField(s.items, { name: '', required: true, depth: depth + 1 }),
    };
  if ((s.type === 'object' || (!s.type && isObject(s.properties))) && Object.keys(s.properties || {}).length)
    return { ...field, kind: 'object', fields: objectFields(s, depth) };
  return field;
}

function objectFields(s, depth) {
  const required = new Set(Array.isArray(s.required) ? s.required : []);
  // The engine gives members sorted by name, so their order says nothing: what must be given comes first.
  return Object.entries(s.properties)
    .map(([name, schema]) => makeField(schema, { name, required: required.has(name), depth: depth + 1 }))
    .sort((a, b) => b.required - a.required);
}

/** What the field's controls hold for @value (undefined: the schema's default, or nothing). */
export function toRaw(field, value) {
  const v = value === undefined ? field.schema.default : value;
  switch (field.kind) {
    case 'object': {
      const rest = isObject(v)
        ? Object.fromEntries(Object.entries(v).filter(([k]) => !field.fields.some((f) => f.name === k)))
        : {};
      return {
        rest,
        members: Object.fromEntries(
          field.fields.map((f) => [f.name, toRaw(f, isObject(v) ? v[f.name] : undefined)]),
        ),
      };
    }
    case 'array':
      return Array.isArray(v) ? v.map((item) => toRaw(field.item, item)) : [];
    case 'enum': {
      const i = field.options.findIndex((o) => JSON.stringify(o) === JSON.stringify(v));
      return i >= 0 ? String(i) : field.required && field.options.length === 1 ? '0' : '';
    }
    case 'boolean':
      return typeof v === 'boolean' ? String(v) : field.required ? 'false' : '';
    case 'json':
      return v === undefined ? '' : JSON.stringify(v, null, 2);
    default:
      return v === undefined || v === null ? '' : String(v);
  }
}

/** What @raw means: {value (undefined: not given), errors: [{path, message}]}. */
export function fromRaw(field, raw, path = '') {
  const errors = [];
  const value = read(field, raw, path, errors);
  return { value, errors };
}

const escapePointer = (name) => name.replaceAll('~', '~0').replaceAll('/', '~1');

function read(field, raw, path, errors) {
  const say = (message) => void errors.push({ path, message });
  if (field.kind === 'object') return readObject(field, raw, path, errors);
  if (field.kind === 'array') return readArray(field, raw, path, errors, say);
  const text = typeof raw === 'string' ? raw : '';
  // An empty text field is a forgotten one, not an empty text.
  if (text.trim() === '') return field.required ? say('Required.') : undefined;
  switch (field.kind) {
    case 'enum':
      return field.options[Number(text)];
    case 'boolean':
      return text === 'true';
    case 'number':
    case 'integer':
      return readNumber(field, text, say);
    case 'json':
      try {
        return JSON.parse(text);
      } catch (e) {
        return say(`Not JSON: ${e.message}`);
      }
    default:
      checkText(field.schema, text, say);
      return text;
  }
}

function readObject(field, raw, path, errors) {
  const value = { ...raw.rest };
  const found = [];
  let any = Object.keys(value).length > 0;
  for (const f of field.fields) {
    const member = read(f, raw.members[f.name], `${path}/${escapePointer(f.name)}`, found);
    if (member === undefined) continue;
    value[f.name] = member;
    any = true;
  }
  // An optional object of which nothing was given is not there, whatever it would require.
  if (!any && !field.required) return undefined;
  errors.push(...found);
  return value;
}

function readArray(field, raw, path, errors, say) {
  const s = field.schema;
  const items = raw.map((item, i) => read(field.item, item, `${path}/${i}`, errors));
  if (items.length === 0 && !field.required) return undefined;
  if (s.minItems !== undefined && items.length < s.minItems) say(`At least ${s.minItems} needed.`);
  if (s.maxItems !== undefined && items.length > s.maxItems) say(`At most ${s.maxItems} allowed.`);
  if (s.uniqueItems && new Set(items.map((v) => JSON.stringify(v))).size < items.length)
    say('No two may be equal.');
  return items.map((v) => (v === undefined ? null : v));
}

function readNumber(field, text, say) {
  const s = field.schema;
  const n = Number(text.trim().replace(',', '.'));
  if (!Number.isFinite(n)) return say('Must be a number.');
  if (field.kind === 'integer' && !Number.isInteger(n)) say('Must be a whole number.');
  if (s.minimum !== undefined && n < s.minimum) say(`Must be at least ${s.minimum}.`);
  if (s.maximum !== undefined && n > s.maximum) say(`Must be at most ${s.maximum}.`);
  if (typeof s.exclusiveMinimum === 'number' && n <= s.exclusiveMinimum)
    say(`Must be more than ${s.exclusiveMinimum}.`);
  if (typeof s.exclusiveMaximum === 'number' && n >= s.exclusiveMaximum)
    say(`Must be less than ${s.exclusiveMaximum}.`);
  if (s.multipleOf && Math.abs(n / s.multipleOf - Math.round(n / s.multipleOf)) > 1e-9)
    say(`Must be a multiple of ${s.multipleOf}.`);
  return n;
}

function checkText(s, text, say) {
  const length = [...text].length;
  if (s.minLength !== undefined && length < s.minLength) say(`At least ${s.minLength} characters needed.`);
  if (s.maxLength !== undefined && length > s.maxLength) say(`At most ${s.maxLength} characters allowed.`);
  if (typeof s.pattern === 'string') {
    let pattern = null;
    try {
      pattern = new RegExp(s.pattern, 'u');
    } catch {
      pattern = null; // of another dialect: the engine will tell
    }
    if (pattern && !pattern.test(text)) say(`Must match the pattern ${s.pattern}`);
  }
  const format = FORMATS[s.format];
  if (format && !format[0].test(text)) say(`Must be ${format[1]}.`);
}

/** The context of a start, as a schema of the same kind: protocol's `context` without what the engine fills in. */
export const CONTEXT_SCHEMA = {
  type: 'object',
  required: ['legalBasis'],
  properties: {
    legalBasis: {
      type: 'object',
      title: 'Legal basis',
      required: ['authority', 'classification'],
      properties: {
        authority: {
          type: 'string',
          title: 'Authority',
          minLength: 1,
          description: 'On what authority this is done, like INVESTIGATION or a statute.',
        },
        classification: {
          type: 'string',
          title: 'Classification',
          minLength: 1,
          description: 'How sensitive it is, like PUBLIC, INTERNAL or SENSITIVE.',
        },
        caseId: { type: 'string', title: 'Case' },
        retentionDays: { type: 'integer', title: 'Retention in days', minimum: 0 },
        authorizedUsers: {
          type: 'array',
          title: 'Authorized users',
          items: { type: 'string', minLength: 1 },
          description: 'If given, only these may read, control and approve. Name yourself too.',
        },
      },
    },
    assumptions: {
      type: 'array',
      title: 'Assumptions',
      items: { type: 'string', minLength: 1 },
      description: 'What is taken for granted; shown with every result.',
    },
    dataScope: { title: 'Data scope', type: 'string', description: 'Which data this is about.' },
    geographicScope: { title: 'Geographic scope', type: 'string' },
    timeRange: {
      type: 'object',
      title: 'Time range',
      properties: {
        start: { type: 'string', title: 'From', format: 'date-time' },
        end: { type: 'string', title: 'Until', format: 'date-time' },
      },
    },
  },
};
