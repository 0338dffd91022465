// A text area with line numbers, colours, and underlined places. The text area holds the text; the layers behind it
// show the same text with colours and marks. All grow with the text and one box around them scrolls.

import { h, render } from './dom.js';

const COLOURED_MOST = 60000; // characters; larger texts are shown plain, typing must stay quick
const JSON_TOKEN =
  /("(?:[^"\\\n]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b)/g;
const YAML_TOKEN = new RegExp(
  [
    /(^|[\s{,-])([A-Za-z_][\w.-]*)(?=:(?:\s|$))/, // a key
    /(#[^\n]*)/,
    /("(?:[^"\\\n]|\\.)*"|'[^'\n]*')/,
    /\b(true|false|null|\d+(?:\.\d+)?)\b/,
  ]
    .map((r) => r.source)
    .join('|'),
  'gm',
);

export class TextEditor {
  constructor({ value, onInput, label }) {
    Object.assign(this, { value, onInput, label, marks: [] });
  }

  vnode() {
    return h('div', { class: 'code', keep: true, key: 'code', ref: (el) => this.mount(el) });
  }

  mount(el) {
    this.el = el;
    this.gutter = document.createElement('div');
    this.gutter.className = 'code-gutter';
    this.gutter.setAttribute('aria-hidden', 'true');
    this.colours = this.layer('code-colours');
    this.under = this.layer('code-marks');
    this.area = document.createElement('textarea');
    Object.assign(this.area, {
      className: 'code-area',
      spellcheck: false,
      wrap: 'off',
      value: this.value,
      autocomplete: 'off',
    });
    this.area.setAttribute('aria-label', this.label);
    this.area.setAttribute('autocapitalize', 'none');
    this.area.addEventListener('input', () => this.changed());
    this.area.addEventListener('keydown', (e) => this.onKey(e));
    const body = document.createElement('div');
    body.className = 'code-body';
    body.append(this.under, this.colours, this.area); // marks lie under the letters
    el.replaceChildren(this.gutter, body);
    this.paint();
  }

  layer(name) {
    const el = document.createElement('pre');
    el.className = name;
    el.setAttribute('aria-hidden', 'true');
    return el;
  }

  changed() {
    this.value = this.area.value;
    this.marks = [];
    this.paint();
    this.onInput(this.value);
  }

  /** Enter keeps the line's indentation; Tab keeps its meaning, so that the keyboard gets out again. */
  onKey(event) {
    if (event.key !== 'Enter' || event.ctrlKey || event.metaKey || event.shiftKey || event.isComposing)
      return;
    const before = this.area.value.slice(0, this.area.selectionStart);
    const line = before.slice(before.lastIndexOf('\n') + 1);
    const indent = /^\s*(- )?/.exec(line)[0].replace('- ', '  ') + (/[{[:]\s*$/.test(line) ? '  ' : '');
    if (!indent) return;
    event.preventDefault();
    document.execCommand('insertText', false, `\n${indent}`);
  }

  setValue(value) {
    this.value = value;
    this.marks = [];
    if (!this.area) return;
    this.area.value = value;
    this.paint();
  }

  /** @marks: [{start, end}] to underline. */
  setMarks(marks) {
    this.marks = marks;
    if (this.area) this.paintMarks();
  }

  paint() {
    const text = this.value;
    const lines = text.split('\n').length;
    if (lines !== this.lines) {
      this.lines = lines;
      this.gutter.textContent = Array.from({ length: lines }, (_, i) => i + 1).join('\n');
    }
    render(this.colours, colourPieces(text), '\n');
    this.paintMarks();
  }

  paintMarks() {
    const pieces = [];
    let at = 0;
    for (const { start, end } of [...this.marks].sort((a, b) => a.start - b.start)) {
      if (start < at) continue;
      pieces.push(
        this.value.slice(at, start),
        h('span', { class: 'mark' }, this.value.slice(start, Math.max(end, start + 1)) || ' '),
      );
      at = Math.max(end, start + 1);
    }
    pieces.push(this.value.slice(at), '\n');
    render(this.under, pieces);
  }

  /** Put the cursor to @place and bring it into sight. */
  goTo({ start, end }) {
    if (!this.area) return;
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(start, Math.max(end, start));
    const line = this.value.slice(0, start).split('\n').length - 1;
    const height = this.area.offsetHeight / Math.max(this.lines, 1);
    this.el.scrollTo({ top: Math.max(0, line * height - this.el.clientHeight / 3), left: 0 });
    this.el.scrollIntoView({ block: 'nearest' });
  }
}

function colourPieces(text) {
  if (text.length > COLOURED_MOST) return [text];
  const isJson = /^\s*[{[]/.test(text);
  const pieces = [];
  let at = 0;
  const put = (from, to, name) => {
    if (from > at) pieces.push(text.slice(at, from));
    pieces.push(h('span', { class: name }, text.slice(from, to)));
    at = to;
  };
  for (const m of text.matchAll(isJson ? JSON_TOKEN : YAML_TOKEN)) {
    if (isJson) {
      const token = m[1] || m[3] || m[4];
      put(
        m.index,
        m.index + token.length,
        m[1] ? (m[2] ? 'j-key' : 'j-string') : m[3] ? 'j-word' : 'j-number',
      );
    } else if (m[2]) put(m.index + m[1].length, m.index + m[0].length, 'j-key');
    else put(m.index, m.index + m[0].length, m[3] ? 'j-comment' : m[4] ? 'j-string' : 'j-number');
  }
  pieces.push(text.slice(at));
  return pieces;
}
