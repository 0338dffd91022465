// A table of which only the rows near the window are in the document: thousands of rows stay quick to scroll.
// Rows have one height; the room of the others is kept by an empty row above and one below. Screen readers get
// the whole count and each row's number.

import { h } from './dom.js';

const AROUND = 12; // rows drawn beyond the window's edges
const ALL_BELOW = 120; // shorter tables are drawn whole

export class VirtualRows {
  constructor({ rowHeight, draw }) {
    this.rowHeight = rowHeight;
    this.draw = draw;
    this.first = 0;
    this.last = ALL_BELOW;
    this.count = 0;
    this.onScroll = () => this.look();
    window.addEventListener('scroll', this.onScroll, { passive: true });
    window.addEventListener('resize', this.onScroll, { passive: true });
  }

  close() {
    window.removeEventListener('scroll', this.onScroll);
    window.removeEventListener('resize', this.onScroll);
  }

  look() {
    if (!this.body?.isConnected || this.count <= ALL_BELOW) return;
    const top = this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / this.rowHeight) - AROUND);
    const last = Math.ceil((window.innerHeight - top) / this.rowHeight) + AROUND;
    if (Math.abs(first - this.first) < AROUND / 2 && Math.abs(last - this.last) < AROUND / 2) return;
    this.first = first;
    this.last = Math.max(last, first + 1);
    this.draw();
  }

  /** The table's tree. @row(item, index) gives a keyed `tr`. */
  table({ label, head, items, row, className = '' }) {
    this.count = items.length;
    const isWhole = items.length <= ALL_BELOW;
    const first = isWhole ? 0 : Math.min(this.first, Math.max(0, items.length - 1));
    const last = isWhole ? items.length : Math.min(this.last, items.length);
    const room = (n, key) =>
      n > 0
        ? h(
            'tr',
            { key, class: 'room', 'aria-hidden': 'true' },
            // One cell only: with columns hidden at phone width more would make new ones.
            h('td', { style: { height: `${n * this.rowHeight}px` } }),
          )
        : null;
    const shown = items.slice(first, last).map((item, i) => {
      const vnode = row(item, first + i);
      if (!isWhole) {
        vnode.props['aria-rowindex'] = first + i + 2;
        vnode.props.style = { height: `${this.rowHeight}px` };
      }
      return vnode;
    });
    return h(
      'table',
      {
        class: ['table', className, !isWhole && 'is-virtual'],
        'aria-label': label,
        'aria-rowcount': isWhole ? undefined : items.length + 1,
      },
      h('thead', null, head),
      h(
        'tbody',
        { ref: (el) => (this.body = el) },
        room(first, 'room-above'),
        shown,
        room(items.length - last, 'room-below'),
      ),
    );
  }
}
