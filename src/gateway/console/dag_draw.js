// The pieces of a drawn graph: steps, edges, loop boxes. SVG elements made once and changed by hand, since a
// thousand steps that change ten times a second are no work for comparing trees.

import { svg } from './dom.js';
import { iconData, iconPath, stepType } from './icons.js';
import { NODE_HEIGHT } from './dag_size.js';

const measure = document.createElement('canvas').getContext('2d');
const NAME_FONT = '600 13px system-ui, sans-serif';
const LINE_FONT = '12px system-ui, sans-serif';

/** @text as far as it fits @width pixels. */
function fitting(text, font, width) {
  measure.font = font;
  if (measure.measureText(text).width <= width) return text;
  let [low, high] = [0, text.length];
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (measure.measureText(`${text.slice(0, mid)}…`).width <= width) low = mid;
    else high = mid - 1;
  }
  return `${text.slice(0, low).trimEnd()}…`;
}

const OUTLINES = {
  box: (w, hgt) => roundedRect(0, 0, w, hgt, 7),
  round: (w, hgt) => roundedRect(0, 0, w, hgt, hgt / 2),
  hexagon: (w, hgt) => `M14 0H${w - 14}L${w} ${hgt / 2} ${w - 14} ${hgt}H14L0 ${hgt / 2}Z`,
  slanted: (w, hgt) => `M12 0H${w}L${w - 12} ${hgt}H0Z`,
  double: (w, hgt) => `${roundedRect(0, 0, w, hgt, 3)}M6 0V${hgt}M${w - 6} 0V${hgt}`,
};

function roundedRect(x, y, w, hgt, r) {
  return (
    `M${x + r} ${y}h${w - 2 * r}a${r} ${r} 0 0 1 ${r} ${r}v${hgt - 2 * r}a${r} ${r} 0 0 1 ${-r} ${r}` +
    `h${-(w - 2 * r)}a${r} ${r} 0 0 1 ${-r} ${-r}v${-(hgt - 2 * r)}a${r} ${r} 0 0 1 ${r} ${-r}Z`
  );
}

/** A step at @at. `set(state)` shows what it is doing: {tone, icon, text, statusText} or null. */
export function drawNode(node, at) {
  const type = stepType(node.type);
  const width = at.width;
  const inset = type.shape === 'box' ? 12 : 18;
  const typeText = node.isCompensation ? `Undo: ${type.text}` : type.text;
  const name = svg('text', { class: 'node-name', x: inset + 34, y: 22 });
  const line = svg('text', { class: 'node-line', x: inset + 34, y: 39 });
  const badge = svg('circle', { class: 'node-badge', cx: width - inset - 9, cy: NODE_HEIGHT / 2, r: 10 });
  const mark = iconPath('dots', width - inset - 16, NODE_HEIGHT / 2 - 7, 14, 'node-mark');
  const el = svg(
    'g',
    {
      class: 'node',
      transform: `translate(${at.x} ${at.y})`,
      role: 'button',
      tabindex: -1,
      'data-id': node.id,
    },
    svg('path', { class: 'node-shape', d: (OUTLINES[type.shape] || OUTLINES.box)(width, NODE_HEIGHT) }),
    svg('rect', { class: 'node-tile', x: inset, y: NODE_HEIGHT / 2 - 13, width: 26, height: 26, rx: 6 }),
    iconPath(type.icon, inset + 5, NODE_HEIGHT / 2 - 8, 16, 'node-icon'),
    name,
    ', ', // not drawn: it parts the two texts for whoever reads them aloud
    line,
    badge,
    mark,
  );
  let shown;
  function set(state) {
    const key = state ? `${state.tone}/${state.icon}/${state.text}` : '';
    if (key === shown) return;
    shown = key;
    const classes = ['node', node.isCompensation && 'is-compensation', `type-${type.shape}`];
    classes.push(state ? `tone-${state.tone} has-state` : 'no-state');
    el.setAttribute('class', classes.filter(Boolean).join(' '));
    const room = width - 2 * inset - 34 - (state ? 26 : 0);
    name.textContent = fitting(node.name, NAME_FONT, room);
    line.textContent = fitting(state ? state.text : typeText, LINE_FONT, room);
    if (state) mark.setAttribute('d', iconData(state.icon));
    el.setAttribute(
      'aria-label',
      state ? `${node.name}, ${state.text}, ${typeText}` : `${node.name}, ${typeText}`,
    );
  }
  set(null);
  return { el, set };
}

/** The box around a loop's inside, with the button that folds it. */
export function drawBox(at) {
  return svg('path', {
    class: 'loop-box',
    d: roundedRect(at.x, at.y, at.width, at.height, 9),
  });
}

export function drawFold(node, at, isFolded) {
  return svg(
    'g',
    {
      class: 'fold',
      role: 'button',
      tabindex: -1,
      'data-fold': node.id,
      'aria-expanded': String(!isFolded),
      'aria-label': `${isFolded ? 'Show' : 'Hide'} the body of ${node.name}`,
      transform: `translate(${at.x + 14} ${at.y + NODE_HEIGHT - 11})`,
    },
    svg('circle', { class: 'fold-disc', cx: 11, cy: 11, r: 11 }),
    iconPath(isFolded ? 'plus' : 'minus', 4, 4, 14, 'fold-mark'),
  );
}

function curve(points) {
  const [a, ...rest] = points;
  const p = ({ x, y }) => `${round(x)} ${round(y)}`;
  if (rest.length === 1) {
    const b = rest[0];
    const bend = Math.max(18, Math.min(90, Math.abs(b.y - a.y) / 2));
    return `M${p(a)}C${round(a.x)} ${round(a.y + bend)} ${round(b.x)} ${round(b.y - bend)} ${p(b)}`;
  }
  let d = `M${p(a)}`;
  for (let i = 0; i < rest.length - 1; i++) {
    const end =
      i === rest.length - 2
        ? rest[i + 1]
        : { x: (rest[i].x + rest[i + 1].x) / 2, y: (rest[i].y + rest[i + 1].y) / 2 };
    d += `Q${p(rest[i])} ${p(end)}`;
  }
  return d;
}

const round = (n) => Math.round(n * 10) / 10;

/** An edge along @points. `set(name)`: "taken", "idle" or "" (no execution). */
export function drawEdge(edge, points) {
  const line = svg('path', {
    class: `edge kind-${edge.kind}`,
    d: curve(points),
    'marker-end': 'url(#arrow)',
  });
  const parts = [line];
  if (edge.label) {
    const at =
      points.length > 2 ? points[1] : { x: points[0].x * 0.6 + points[1].x * 0.4, y: points[0].y + 26 };
    const text = svg('text', { class: `edge-label kind-${edge.kind}`, x: round(at.x), y: round(at.y) });
    text.textContent = edge.label;
    parts.push(text);
  }
  let shown = '';
  return {
    parts,
    set(name) {
      if (name === shown) return;
      shown = name;
      line.setAttribute('marker-end', name === 'taken' ? 'url(#arrow-taken)' : 'url(#arrow)');
      for (const part of parts) {
        part.classList.toggle('is-taken', name === 'taken');
        part.classList.toggle('is-idle', name === 'idle');
      }
    },
  };
}

export const arrowMarker = () =>
  svg(
    'defs',
    {},
    ...['arrow', 'arrow-taken'].map((id) =>
      svg(
        'marker',
        {
          id,
          viewBox: '0 0 8 8',
          refX: 7,
          refY: 4,
          markerWidth: 9,
          markerHeight: 9,
          orient: 'auto',
          markerUnits: 'userSpaceOnUse',
        },
        svg('path', { class: `arrow-head is-${id}`, d: 'M0 0.5 8 4 0 7.5Z' }),
      ),
    ),
  );
