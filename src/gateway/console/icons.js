// Icons: paths on a grid of 16 × 16, drawn with the colour of the text beside them.

import { h, svg } from './dom.js';

const PATHS = {
  approve:
    'M8 7a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 7Zm-5 7c0-3 2-5 5-5 .9 0 1.7.2 2.4.5M10 12.4l1.6 1.6L15 10.4',
  branch: 'M4 2v12M4 9c0-3 8-2 8-6M10 4.8 12 2.6l2 2.2',
  bolt: 'M9 1.5 3 9h4.5L7 14.5 13 7H8.5L9 1.5Z',
  call: 'M2 8h11M9 4l4 4-4 4',
  check: 'M3 8.5 6.5 12 13 4.5',
  child: 'M2.5 2.5h7v5h-7zM6 7.5v4h3M9 9h4.5v4.5H9z',
  chevron: 'm6 3.5 4.5 4.5L6 12.5',
  clock: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.5V8l2.5 1.5',
  copy: 'M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3',
  cross: 'm4 4 8 8M12 4l-8 8',
  dots: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  down: 'M8 2.5v10M4 9l4 4 4-4',
  edit: 'M3 13l.6-2.8L11 2.8 13.2 5 5.8 12.4 3 13Z',
  fit: 'M2.5 6v-3.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  loop: 'M12.5 5.5A5.2 5.2 0 0 0 3 7M3.5 10.5A5.2 5.2 0 0 0 13 9M12.8 2.5v3.2H9.6M3.2 13.5v-3.2h3.2',
  minus: 'M3 8h10',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  person: 'M8 7.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM2.8 14c0-3 2.2-4.8 5.2-4.8s5.2 1.8 5.2 4.8',
  play: 'M5 3.2v9.6L12.5 8 5 3.2Z',
  plug: 'M6 2v4M10 2v4M4 6h8v2.5a4 4 0 0 1-8 0V6ZM8 12.5V15',
  plus: 'M8 3v10M3 8h10',
  publish: 'M2.5 6.5v3h2.5l6 3.5V3L5 6.5H2.5ZM13.5 6.5v3',
  redo: 'M13 5.5A5.5 5.5 0 1 0 13.5 9M13.2 2.2v3.6H9.6',
  search: 'M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.8 10.8 14 14',
  shield: 'M8 1.8 13 4v3.6c0 3.2-2 5.4-5 6.6-3-1.2-5-3.4-5-6.6V4l5-2.2Z',
  signal:
    'M4.5 11.5a5 5 0 0 1 0-7M11.5 4.5a5 5 0 0 1 0 7M2.5 13.5a8 8 0 0 1 0-11M13.5 2.5a8 8 0 0 1 0 11M8 8h.01',
  skip: 'm3 4 4 4-4 4M9 4l4 4-4 4',
  stop: 'M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM4 12l8-8',
  transform:
    'M6 2.5c-2 0-2 1.2-2 2.5S4 7.5 2.5 8C4 8.5 4 9.7 4 11s0 2.5 2 2.5M10 2.5c2 0 2 1.2 2 2.5s0 2.5 1.5 3' +
    'c-1.5.5-1.5 1.7-1.5 3s0 2.5-2 2.5',
  undo: 'M3 5.5A5.5 5.5 0 1 1 2.5 9M2.8 2.2v3.6h3.6',
  warning: 'M8 2 14.5 13.5h-13L8 2ZM8 6.5v3.2M8 11.6h.01',
};

/** For pages. Decoration only: what it means is said in words beside it, or by @label. */
export const icon = (name, label) =>
  h(
    'svg',
    {
      class: 'icon',
      viewBox: '0 0 16 16',
      'aria-hidden': label ? undefined : 'true',
      role: label ? 'img' : undefined,
      'aria-label': label,
    },
    h('path', { d: PATHS[name] || PATHS.dots }),
  );

/** For drawings: a path of @size at (@x, @y). */
export const iconPath = (name, x, y, size = 16, className = 'icon-path') =>
  svg('path', {
    class: className,
    d: PATHS[name] || PATHS.dots,
    transform: `translate(${x} ${y}) scale(${size / 16})`,
  });

export const iconData = (name) => PATHS[name] || PATHS.dots;

// What kinds of steps there are. shape: how the graph draws them (dag_draw.js).
export const STEP_TYPES = {
  'call-service': { text: 'Service call', icon: 'call', shape: 'box' },
  'human-approval': { text: 'Approval', icon: 'approve', shape: 'round' },
  conditional: { text: 'Condition', icon: 'branch', shape: 'hexagon' },
  loop: { text: 'Loop', icon: 'loop', shape: 'box' },
  'wait-for-event': { text: 'Wait for event', icon: 'signal', shape: 'slanted' },
  wait: { text: 'Wait', icon: 'clock', shape: 'slanted' },
  'run-runbook': { text: 'Runbook', icon: 'child', shape: 'double' },
  transform: { text: 'Transform', icon: 'transform', shape: 'box' },
  'publish-event': { text: 'Publish event', icon: 'publish', shape: 'box' },
};
const CUSTOM = { text: 'Custom step', icon: 'plug', shape: 'box' };
export const stepType = (type) => STEP_TYPES[type] || { ...CUSTOM, text: type || CUSTOM.text };
