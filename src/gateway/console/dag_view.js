// A graph on the screen: drawn, moved, zoomed, searched, and walked with the keyboard.
//
// Positions come from the layout's worker. Moving and zooming change one transform. The steps are buttons of
// which one is in the tab order (the one walked to last); arrow keys go to the nearest step that way.

import { h, render, svg } from './dom.js';
import { arrowMarker, drawBox, drawEdge, drawFold, drawNode } from './dag_draw.js';
import { icon } from './icons.js';

const SCALE_MIN = 0.08;
const SCALE_MAX = 2;
const FAR = 0.42; // below this scale texts are not drawn
const MARGIN = 24;
const DRAG_PX = 4;
const CULL_FROM = 150; // steps
const NODES_MOST = 5000;
const CULL_AROUND = 200; // pixels

const DIRECTIONS = {
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
};

export class DagView {
  /** Draws into @container. @options.onSelect(id), @options.label, @options.announce(text). */
  constructor(container, { onSelect, label = 'Graph of the steps', announce = () => {} }) {
    Object.assign(this, { container, onSelect, label, announce });
    this.nodes = new Map();
    this.edges = [];
    this.folded = new Set();
    this.at = { x: 0, y: 0, scale: 1 };
    this.request = 0;
    this.stateOf = () => null;
    this.matches = [];
    this.worker = new Worker(new URL('dag_worker.js', import.meta.url), { type: 'module' });
    this.worker.onmessage = (message) => this.onLayout(message.data);
    this.worker.onerror = () => this.say('The graph could not be laid out.');
    this.build();
  }

  build() {
    this.layer = svg('g', { class: 'dag-layer' });
    this.svg = svg(
      'svg',
      { class: 'dag-svg', role: 'group', 'aria-label': this.label },
      arrowMarker(),
      this.layer,
    );
    this.bar = document.createElement('div');
    this.bar.className = 'dag-bar';
    this.note = document.createElement('p');
    this.note.className = 'dag-note';
    this.note.textContent = 'Drawing…';
    const help = document.createElement('p');
    help.className = 'visually-hidden';
    help.id = `dag-help-${Math.random().toString(36).slice(2)}`;
    help.textContent =
      'Arrow keys move between steps, Enter opens a step, plus and minus zoom, zero shows everything, F folds a loop.';
    this.svg.setAttribute('aria-describedby', help.id);
    this.stage = document.createElement('div');
    this.stage.className = 'dag-stage';
    this.stage.append(this.svg, this.note, help);
    this.container.replaceChildren(this.bar, this.stage);
    this.drawBar();
    this.listen();
    this.observer = new ResizeObserver(() => this.onResize());
    this.observer.observe(this.stage);
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  drawBar() {
    const button = (name, label, run) =>
      h(
        'button',
        { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick: run },
        icon(name),
      );
    const found = this.matches.length
      ? `${this.matchAt + 1} of ${this.matches.length}`
      : this.needle
        ? 'no step'
        : '';
    render(
      this.bar,
      h(
        'label',
        { class: 'dag-find' },
        icon('search'),
        h('input', {
          type: 'search',
          placeholder: 'Find step',
          'aria-label': 'Find step',
          autocomplete: 'off',
          oninput: (e) => this.find(e.target.value),
          onkeydown: (e) => e.key === 'Enter' && (e.preventDefault(), this.findNext(e.shiftKey ? -1 : 1)),
        }),
        h('span', { class: 'dag-found', role: 'status' }, found),
      ),
      h(
        'span',
        { class: 'dag-zoom' },
        button('minus', 'Zoom out', () => this.zoom(1 / 1.3)),
        button('plus', 'Zoom in', () => this.zoom(1.3)),
        button('fit', 'Show everything', () => this.fit(true)),
      ),
    );
  }

  // ---- what is drawn ----

  /** Show @graph (dag_model.js). Positions stay as they are if only the contents of steps changed. */
  setGraph(graph) {
    const shape = JSON.stringify([
      graph.nodes.map((n) => [n.id, n.group]),
      graph.edges.map((e) => [e.from, e.to]),
      [...this.folded],
    ]);
    if (graph.nodes.length > NODES_MOST) {
      this.say(
        `${graph.nodes.length.toLocaleString('en')} steps are too many to be drawn; the list of steps has them all.`,
      );
      return;
    }
    this.graph = graph;
    if (shape === this.shape && this.result) {
      this.paint(this.result);
      return;
    }
    this.shape = shape;
    this.request++;
    this.worker.postMessage({
      id: this.request,
      graph: {
        nodes: graph.nodes.map(({ id, group }) => ({ id, group })),
        edges: graph.edges.map(({ from, to }) => ({ from, to })),
      },
      folded: [...this.folded],
    });
  }

  onLayout({ id, result, error }) {
    if (id !== this.request) return;
    if (error) {
      this.say(`The graph could not be laid out: ${error}`);
      return;
    }
    const isFirst = !this.result;
    this.result = result;
    // A small graph needs no large room. (dag.css has the largest.)
    this.stage.style.setProperty('--dag-height', `${Math.ceil(Math.max(result.height, 120) + 2 * MARGIN)}px`);
    this.paint(result);
    if (isFirst) this.fit();
    else this.apply();
  }

  paint(result) {
    const under = svg('g');
    const over = svg('g');
    this.nodes.clear();
    this.edges = [];
    for (const id of Object.keys(result.boxes)) under.append(drawBox(result.boxes[id]));
    for (const { index, points } of result.edges) {
      const edge = this.graph.edges[index];
      if (!edge) continue;
      const drawn = drawEdge(edge, points);
      this.edges.push({ edge, drawn, box: boxOf(points) });
      under.append(...drawn.parts);
    }
    const loops = new Set(this.graph.loops);
    for (const node of this.graph.nodes) {
      const at = result.nodes[node.id];
      if (!at) continue;
      const drawn = drawNode(node, at);
      this.nodes.set(node.id, { node, at, drawn });
      over.append(drawn.el);
    }
    for (const id of loops) {
      const known = this.nodes.get(id);
      if (known) over.append(drawFold(known.node, known.at, this.folded.has(id)));
    }
    this.layer.replaceChildren(under, over);
    this.say(this.nodes.size ? '' : 'There are no steps to draw yet.');
    this.paintStates();
    this.setCurrent(this.nodes.has(this.current) ? this.current : this.graph.nodes[0]?.id);
    this.paintSelection();
    this.stage.dataset.steps = String(this.nodes.size);
  }

  /** @stateOf(id) gives {tone, icon, text, status} or null. */
  setStates(stateOf) {
    this.stateOf = stateOf;
    this.paintStates();
  }

  paintStates() {
    const status = new Map();
    for (const [id, { drawn }] of this.nodes) {
      const state = this.stateOf(id);
      status.set(id, state?.status);
      drawn.set(state);
    }
    for (const { edge, drawn } of this.edges) {
      const from = status.get(edge.from);
      if (from === undefined) drawn.set('');
      else if (edge.kind === 'compensate') drawn.set(isUsed(status.get(edge.to)) ? 'taken' : 'idle');
      else drawn.set(from === 'completed' && isUsed(status.get(edge.to)) ? 'taken' : 'idle');
    }
  }

  select(id) {
    this.selected = id;
    this.paintSelection();
    if (id && this.nodes.has(id)) this.setCurrent(id);
  }

  paintSelection() {
    for (const [id, { drawn }] of this.nodes) {
      const is = id === this.selected;
      if (is !== drawn.isSelected) {
        drawn.isSelected = is;
        drawn.el.toggleAttribute('data-selected', is);
        drawn.el.setAttribute('aria-pressed', String(is));
      }
    }
  }

  toggleFold(id) {
    if (!this.graph?.loops.includes(id)) return;
    if (!this.folded.delete(id)) this.folded.add(id);
    this.setGraph(this.graph);
  }

  // ---- finding ----

  find(text) {
    this.needle = text.trim().toLowerCase();
    const hit = ({ node }) =>
      this.needle &&
      (node.id.toLowerCase().includes(this.needle) || node.name.toLowerCase().includes(this.needle));
    this.matches = [...this.nodes.values()].filter(hit).map((n) => n.node.id);
    for (const [id, { drawn }] of this.nodes)
      drawn.el.toggleAttribute('data-match', this.matches.includes(id));
    this.matchAt = -1;
    if (this.matches.length) this.findNext(1);
    else this.drawBar();
  }

  findNext(by) {
    if (!this.matches.length) return;
    this.matchAt = (this.matchAt + by + this.matches.length) % this.matches.length;
    const id = this.matches[this.matchAt];
    this.setCurrent(id);
    this.center(id);
    this.drawBar();
  }

  // ---- moving and zooming ----

  size() {
    return { width: this.stage.clientWidth || 600, height: this.stage.clientHeight || 400 };
  }

  apply() {
    const { x, y, scale } = this.at;
    this.layer.setAttribute('transform', `translate(${x} ${y}) scale(${scale})`);
    this.svg.classList.toggle('is-far', scale < FAR);
    this.cull();
  }

  /** Of a large graph only what is near the window is drawn: painting the rest is what makes moving slow. */
  cull() {
    if (this.nodes.size < CULL_FROM) return;
    const { width, height } = this.size();
    const { x, y, scale } = this.at;
    const [left, top] = [(-x - CULL_AROUND) / scale, (-y - CULL_AROUND) / scale];
    const [right, bottom] = [(width + CULL_AROUND - x) / scale, (height + CULL_AROUND - y) / scale];
    const isOut = (b) => b.x > right || b.y > bottom || b.x + b.width < left || b.y + b.height < top;
    const show = (item, isHidden, elements) => {
      if (item.isHidden === isHidden) return;
      item.isHidden = isHidden;
      for (const el of elements) el.style.display = isHidden ? 'none' : '';
    };
    // The one in the tab order stays, or the keyboard would find nothing here.
    for (const [id, n] of this.nodes) show(n, id !== this.current && isOut(n.at), [n.drawn.el]);
    for (const e of this.edges) show(e, isOut(e.box), e.drawn.parts);
  }

  onResize() {
    if (this.result && !this.wasMoved) this.fit();
  }

  /** @whole: everything at any size; else as much as stays readable, from the top. */
  fit(whole = false) {
    if (!this.result) return;
    const { width, height } = this.size();
    const { width: w, height: hgt } = this.result;
    const all = Math.min((width - 2 * MARGIN) / Math.max(w, 1), (height - 2 * MARGIN) / Math.max(hgt, 1), 1);
    const across = Math.min((width - 2 * MARGIN) / Math.max(w, 1), 1);
    const scale = Math.max(SCALE_MIN, whole ? all : all > 0.6 ? all : Math.max(across, 0.5));
    const top = scale * hgt < height - 2 * MARGIN ? (height - scale * hgt) / 2 : MARGIN;
    this.at = { x: (width - scale * w) / 2, y: top, scale };
    const first = this.graph.nodes.find((n) => this.nodes.has(n.id));
    if (!whole && scale * w > width && first) {
      const at = this.nodes.get(first.id).at;
      const x = width / 2 - (at.x + at.width / 2) * scale;
      this.at.x = Math.min(MARGIN, Math.max(width - scale * w - MARGIN, x));
    }
    this.wasMoved = whole ? false : this.wasMoved;
    this.apply();
  }

  zoom(by, x = this.size().width / 2, y = this.size().height / 2) {
    const scale = Math.min(SCALE_MAX, Math.max(SCALE_MIN, this.at.scale * by));
    const k = scale / this.at.scale;
    this.at = { x: x - (x - this.at.x) * k, y: y - (y - this.at.y) * k, scale };
    this.wasMoved = true;
    this.apply();
  }

  center(id) {
    const known = this.nodes.get(id);
    if (!known) return;
    const { width, height } = this.size();
    const scale = Math.max(this.at.scale, 0.7);
    const { at } = known;
    this.at = {
      x: width / 2 - (at.x + at.width / 2) * scale,
      y: height / 2 - (at.y + at.height / 2) * scale,
      scale,
    };
    this.wasMoved = true;
    this.apply();
  }

  /** Move as little as is needed for the step to be seen. */
  reveal(id) {
    const known = this.nodes.get(id);
    if (!known) return;
    const { width, height } = this.size();
    const { at } = known;
    const { x, y, scale } = this.at;
    const [left, top] = [at.x * scale + x, at.y * scale + y];
    if (left < 0 || top < 0 || left + at.width * scale > width || top + at.height * scale > height)
      this.center(id);
  }

  // ---- keyboard and pointer ----

  setCurrent(id) {
    const old = this.nodes.get(this.current);
    if (old) old.drawn.el.setAttribute('tabindex', '-1');
    this.current = id;
    this.nodes.get(id)?.drawn.el.setAttribute('tabindex', '0');
    if (this.result) this.cull();
  }

  walk([dx, dy]) {
    const here = this.nodes.get(this.current);
    if (!here) return;
    const mid = ({ at }) => ({ x: at.x + at.width / 2, y: at.y + at.height / 2 });
    const from = mid(here);
    let best = null;
    let least = Infinity;
    for (const other of this.nodes.values()) {
      if (other === here) continue;
      const to = mid(other);
      const along = (to.x - from.x) * dx + (to.y - from.y) * dy;
      const aside = Math.abs((to.x - from.x) * dy) + Math.abs((to.y - from.y) * dx);
      if (along < 4) continue;
      const cost = along + 2.5 * aside;
      if (cost < least) [best, least] = [other, cost];
    }
    if (!best) return;
    this.setCurrent(best.node.id);
    this.reveal(best.node.id);
    best.drawn.el.focus({ preventScroll: true });
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const id = event.target.dataset?.id;
    const fold = event.target.dataset?.fold;
    const keys = {
      Enter: () => (fold ? this.toggleFold(fold) : id && this.onSelect(id)),
      ' ': () => (fold ? this.toggleFold(fold) : id && this.onSelect(id)),
      f: () => id && this.toggleFold(id),
      '+': () => this.zoom(1.3),
      '=': () => this.zoom(1.3),
      '-': () => this.zoom(1 / 1.3),
      0: () => this.fit(true),
    };
    if (DIRECTIONS[event.key]) this.walk(DIRECTIONS[event.key]);
    else if (keys[event.key]) keys[event.key]();
    else return;
    event.preventDefault();
  }

  listen() {
    const pointers = new Map();
    let moved = 0;
    this.svg.addEventListener('keydown', (e) => this.onKey(e));
    this.svg.addEventListener('pointerdown', (e) => {
      if (e.button > 0) return;
      pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
      moved = 0;
    });
    this.svg.addEventListener('pointermove', (e) => {
      const was = pointers.get(e.pointerId);
      if (!was) return;
      const [dx, dy] = [e.clientX - was.x, e.clientY - was.y];
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved < DRAG_PX) return;
      if (!this.svg.hasPointerCapture(e.pointerId)) this.svg.setPointerCapture(e.pointerId);
      if (pointers.size === 1) {
        this.at.x += dx;
        this.at.y += dy;
        this.apply();
      } else if (pointers.size === 2) {
        this.pinch(pointers, e);
      }
      this.wasMoved = true;
      pointers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    });
    const end = (e) => pointers.delete(e.pointerId);
    this.svg.addEventListener('pointerup', end);
    this.svg.addEventListener('pointercancel', end);
    this.svg.addEventListener('click', (e) => {
      if (moved >= DRAG_PX) return;
      const target = e.target.closest('[data-id], [data-fold]');
      if (target?.dataset.fold) this.toggleFold(target.dataset.fold);
      else if (target) this.onSelect(target.dataset.id);
    });
    this.svg.addEventListener('wheel', (e) => this.onWheel(e), { passive: false });
  }

  pinch(pointers, event) {
    const box = this.svg.getBoundingClientRect();
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
    const was = pointers.get(event.pointerId);
    const before = Math.hypot(was.x - other.x, was.y - other.y);
    const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
    if (before > 1) this.zoom(after / before, other.x - box.left, other.y - box.top);
  }

  /** With Ctrl: zoom. Without: move, until the end is reached; then the page scrolls on. */
  onWheel(event) {
    const box = this.svg.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
      return;
    }
    if (!this.result) return;
    const unit = event.deltaMode === 1 ? 16 : 1;
    const { width, height } = this.size();
    const clamp = (v, size, view) => Math.min(MARGIN, Math.max(view - size * this.at.scale - MARGIN, v));
    const fitsX = this.result.width * this.at.scale <= width;
    const fitsY = this.result.height * this.at.scale <= height;
    const x = fitsX ? this.at.x : clamp(this.at.x - event.deltaX * unit, this.result.width, width);
    const y = fitsY ? this.at.y : clamp(this.at.y - event.deltaY * unit, this.result.height, height);
    if (x === this.at.x && y === this.at.y) return;
    event.preventDefault();
    this.at = { ...this.at, x, y };
    this.wasMoved = true;
    this.apply();
  }

  close() {
    this.worker.terminate();
    this.observer.disconnect();
  }
}

function boxOf(points) {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y };
}

const isUsed = (status) => status !== undefined && status !== 'skipped' && status !== 'pending';
