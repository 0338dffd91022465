// From a JSON pointer to a place in the text that somebody edits, for JSON and for YAML as people write it. Pure.
//
// JSON is walked token by token. YAML is walked by its block structure: keys of one mapping stand at one column,
// items of one list begin with "- " at one column. Where the walk can't go on (flow collections over several
// lines, anchors) it ends at an ancestor: less exact, never wrong.

/** {start, end} (offsets) of the value, or the key, that @pointer names in @text. */
export function placeOf(text, pointer) {
  const segments = pointer
    .split('/')
    .slice(1)
    .map((s) => s.replaceAll('~1', '/').replaceAll('~0', '~'));
  return /^\s*[{[]/.test(text) ? inJson(text, segments) : inYaml(text, segments);
}

/** {line, column} from 1 of an offset. */
export function lineOf(text, offset) {
  const before = text.slice(0, offset);
  const line = before.split('\n').length;
  return { line, column: offset - (before.lastIndexOf('\n') + 1) + 1 };
}

// ---- JSON ----

const BLANK = /[ \t\r\n]/;

function skipBlanks(text, i) {
  while (i < text.length && BLANK.test(text[i])) i++;
  return i;
}

function skipString(text, i) {
  for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
  return Math.min(i + 1, text.length);
}

function skipValue(text, i) {
  let depth = 0;
  while (i < text.length) {
    const c = text[i];
    if (c === '"') i = skipString(text, i);
    else if (c === '{' || c === '[') (depth++, i++);
    else if (c === '}' || c === ']') {
      if (depth === 0) return i;
      depth--;
      i++;
    } else if (depth === 0 && (c === ',' || BLANK.test(c))) return i;
    else i++;
    if (depth === 0 && (text[i - 1] === '}' || text[i - 1] === ']' || c === '"')) return i;
  }
  return i;
}

function inJson(text, segments) {
  let at = skipBlanks(text, 0);
  let found = { start: at, end: Math.min(at + 1, text.length) };
  for (const segment of segments) {
    const child =
      text[at] === '{' ? member(text, at, segment) : text[at] === '[' ? element(text, at, segment) : null;
    if (!child) return found;
    at = child.value;
    found = shownPlace(text, child);
  }
  return found;
}

/** A small value itself; of an object or list its key, or, in a list, its bracket. */
function shownPlace(text, { start, value }) {
  if (text[value] !== '{' && text[value] !== '[') return { start: value, end: skipValue(text, value) };
  return start === value ? { start, end: start + 1 } : { start, end: skipString(text, start) };
}

/** Where the member @name of the object at @at is: {start: its key, value}. */
function member(text, at, name) {
  let i = skipBlanks(text, at + 1);
  let last = null;
  while (text[i] === '"') {
    const start = i;
    i = skipString(text, i);
    let key;
    try {
      key = JSON.parse(text.slice(start, i));
    } catch {
      return last;
    }
    i = skipBlanks(text, i);
    if (text[i] !== ':') return last;
    const value = skipBlanks(text, i + 1);
    if (key === name) last = { start, value };
    i = skipBlanks(text, skipValue(text, value));
    if (text[i] !== ',') break;
    i = skipBlanks(text, i + 1);
  }
  return last;
}

function element(text, at, index) {
  let i = skipBlanks(text, at + 1);
  for (let n = 0; i < text.length && text[i] !== ']'; n++) {
    if (String(n) === index) return { start: i, value: i };
    const next = skipValue(text, i);
    if (next === i) return null;
    i = skipBlanks(text, next);
    if (text[i] !== ',') return null;
    i = skipBlanks(text, i + 1);
  }
  return null;
}

// ---- YAML ----

/** Lines that say something: {indent, text, start}; "- " counts as indentation of what stands behind it. */
function yamlLines(text) {
  const lines = [];
  let start = 0;
  for (const line of text.split('\n')) {
    const body = line.trimStart();
    if (body && !body.startsWith('#') && body !== '---')
      lines.push({ indent: line.length - body.length, text: body, start: start + line.length - body.length });
    start += line.length + 1;
  }
  return lines;
}

function inYaml(text, segments) {
  const lines = yamlLines(text);
  if (!lines.length) return { start: 0, end: 0 };
  let block = { lines, indent: lines[0].indent };
  let found = { start: lines[0].start, end: lines[0].start + lines[0].text.length };
  for (const [k, segment] of segments.entries()) {
    const isList = block.lines[0]?.text === '-' || block.lines[0]?.text.startsWith('- ');
    const next = isList ? yamlItem(block, Number(segment)) : yamlMember(block, segment);
    if (!next) return found;
    found = next.place;
    if (next.flow !== undefined) return inFlow(text, next, segments.slice(k + 1)) || found;
    block = next.block;
  }
  return found;
}

/** Flow collections on one line are nearly JSON: walk them with unquoted keys allowed. */
function inFlow(text, { flow }, segments) {
  let at = flow;
  let place = null;
  for (const segment of segments) {
    const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at);
    const parts = flowParts(text, at, end);
    const part = text[at] === '[' ? parts[Number(segment)] : parts.find((p) => p.key === segment);
    if (!part) return place;
    place = { start: part.start, end: part.end };
    at = part.value;
    if (text[at] !== '{' && text[at] !== '[') return place;
  }
  return place;
}

function flowParts(text, at, end) {
  const parts = [];
  let depth = 0;
  let start = at + 1;
  for (let i = at + 1; i < end; i++) {
    const c = text[i];
    if (c === '"') i = skipString(text, i) - 1;
    else if (c === '{' || c === '[') depth++;
    else if ((c === '}' || c === ']') && depth > 0) depth--;
    else if (depth === 0 && (c === ',' || c === '}' || c === ']')) {
      parts.push(flowPart(text, start, i));
      start = i + 1;
      if (c !== ',') break;
    }
  }
  return parts;
}

function flowPart(text, from, to) {
  const raw = text.slice(from, to);
  const start = from + raw.length - raw.trimStart().length;
  const m = /^\s*(?:"([^"]*)"|([^:"{[]+?))\s*:\s*/.exec(raw);
  return {
    start,
    end: from + raw.trimEnd().length,
    key: m ? (m[1] ?? m[2]).trim() : undefined,
    value: m ? from + m[0].length : start,
  };
}

function childBlock(lines, from, indent, rest) {
  const inner = rest ? [rest] : [];
  for (let i = from; i < lines.length && lines[i].indent > indent; i++) inner.push(lines[i]);
  return { lines: inner, indent: inner[0]?.indent ?? indent + 1 };
}

function yamlItem(block, index) {
  let n = -1;
  for (let i = 0; i < block.lines.length; i++) {
    const line = block.lines[i];
    if (line.indent < block.indent) return null;
    if (line.indent > block.indent || !/^-(\s|$)/.test(line.text)) continue;
    n++;
    if (n !== index) continue;
    const dash = /^-\s*/.exec(line.text)[0].length;
    const rest = line.text.slice(dash)
      ? { indent: line.indent + dash, text: line.text.slice(dash), start: line.start + dash }
      : null;
    const place = { start: line.start + (rest ? dash : 0), end: line.start + line.text.length };
    if (rest && /^[{[]/.test(rest.text)) return { place, flow: rest.start };
    return { place, block: childBlock(block.lines, i + 1, line.indent, rest) };
  }
  return null;
}

function yamlMember(block, name) {
  for (let i = 0; i < block.lines.length; i++) {
    const line = block.lines[i];
    if (line.indent !== block.indent) continue;
    const m = /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^:#]+?))\s*:(?:\s+|$)/.exec(line.text);
    if (!m || (m[1] ?? m[2] ?? m[3]) !== name) continue;
    const value = line.text.slice(m[0].length);
    const place = { start: line.start, end: line.start + (value ? line.text.length : m[0].trimEnd().length) };
    if (/^[{[]/.test(value)) return { place, flow: line.start + m[0].length };
    // A list may stand at its key's own column.
    const from = i + 1;
    const next = block.lines[from];
    if (!value && next && next.indent === line.indent && /^-(\s|$)/.test(next.text)) {
      let to = from;
      while (
        to < block.lines.length &&
        (block.lines[to].indent > line.indent || /^-(\s|$)/.test(block.lines[to].text))
      )
        to++;
      return { place, block: { lines: block.lines.slice(from, to), indent: next.indent } };
    }
    return { place, block: childBlock(block.lines, from, line.indent, null) };
  }
  return null;
}
