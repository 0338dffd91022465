// A layered layout for graphs that are too large or too wide for dagre. Pure.
//
//   1. rank: every step as high as its dependencies let it be (cycles are cut where they are met);
//   2. order: each layer is sorted by the middle of its neighbours, down and up, a few times;
//   3. fold: a layer of more than `rowMost` steps becomes several rows;
//   4. place: rows are moved towards their neighbours' middles without overlapping.
//
// Edges are drawn straight from row to row. Linear in steps and edges but for the sorting.

const SWEEPS = 6;
const PLACE_SWEEPS = 8;

export function layered(nodes, edges, { gapX, gapY, rowMost }) {
  const byId = new Map(nodes.map((n) => [n.id, { ...n, up: [], down: [], rank: 0, order: 0, x: 0, y: 0 }]));
  for (const e of edges) {
    const [from, to] = [byId.get(e.from), byId.get(e.to)];
    if (!from || !to || from === to) continue;
    from.down.push(to);
    to.up.push(from);
  }
  const layers = rankNodes([...byId.values()]);
  orderLayers(layers);
  const rows = foldLayers(layers, rowMost);
  placeRows(rows, gapX);
  let y = 0;
  for (const row of rows) {
    const height = Math.max(...row.map((n) => n.height));
    for (const n of row) n.y = y + (height - n.height) / 2;
    y += height + gapY;
  }
  let left = Infinity;
  let right = -Infinity;
  for (const n of byId.values()) {
    left = Math.min(left, n.x);
    right = Math.max(right, n.x + n.width);
  }
  const placed = new Map();
  for (const n of byId.values())
    placed.set(n.id, { x: n.x - left, y: n.y, width: n.width, height: n.height });
  const lines = edges.filter((e) => placed.has(e.from) && placed.has(e.to)).map((e) => line(e, placed));
  return { placed, lines, width: nodes.length ? right - left : 0, height: Math.max(0, y - gapY) };
}

function line(e, placed) {
  const a = placed.get(e.from);
  const b = placed.get(e.to);
  return {
    index: e.index,
    points: [
      { x: a.x + a.width / 2, y: a.y + a.height },
      { x: b.x + b.width / 2, y: b.y },
    ],
  };
}

function rankNodes(nodes) {
  const waits = new Map(nodes.map((n) => [n, n.up.length]));
  const queue = nodes.filter((n) => n.up.length === 0);
  const seen = new Set(queue);
  let rest = nodes;
  for (;;) {
    for (let i = 0; i < queue.length; i++) {
      const n = queue[i];
      for (const to of n.down) {
        if (seen.has(to)) continue;
        to.rank = Math.max(to.rank, n.rank + 1);
        waits.set(to, waits.get(to) - 1);
        if (waits.get(to) === 0) {
          seen.add(to);
          queue.push(to);
        }
      }
    }
    rest = rest.filter((n) => !seen.has(n));
    if (rest.length === 0) break;
    queue.length = 0; // a cycle: go on with the first of its steps as if it waited for nothing more
    queue.push(rest[0]);
    seen.add(rest[0]);
  }
  // Steps without anything before them come down to just above what needs them.
  for (const n of nodes)
    if (n.up.length === 0 && n.down.length) {
      const first = Math.min(...n.down.map((d) => d.rank));
      if (first > 0) n.rank = first - 1;
    }
  const layers = [];
  for (const n of nodes) (layers[n.rank] ||= []).push(n);
  return layers.filter(Boolean);
}

function orderLayers(layers) {
  const number = (layer) =>
    layer.forEach((n, i) => (n.order = layer.length > 1 ? i / (layer.length - 1) : 0.5));
  layers.forEach(number);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const downwards = sweep % 2 === 0;
    const side = downwards ? 'up' : 'down';
    for (const layer of downwards ? layers : [...layers].reverse()) {
      const middle = new Map(
        layer.map((n) => [
          n,
          n[side].length ? n[side].reduce((sum, m) => sum + m.order, 0) / n[side].length : n.order,
        ]),
      );
      layer.sort((a, b) => middle.get(a) - middle.get(b));
      number(layer);
    }
  }
}

function foldLayers(layers, rowMost) {
  const rows = [];
  for (const layer of layers) {
    const n = Math.ceil(layer.length / Math.max(rowMost, Math.ceil(Math.sqrt(layer.length))));
    const size = Math.ceil(layer.length / n);
    for (let i = 0; i < layer.length; i += size) rows.push(layer.slice(i, i + size));
  }
  return rows;
}

function placeRows(rows, gapX) {
  const mid = (n) => n.x + n.width / 2;
  for (const row of rows) {
    const width = row.reduce((sum, n) => sum + n.width + gapX, -gapX);
    let x = -width / 2;
    for (const n of row) {
      n.x = x;
      x += n.width + gapX;
    }
  }
  for (let sweep = 0; sweep < PLACE_SWEEPS; sweep++) {
    const side = sweep % 2 === 0 ? 'up' : 'down';
    for (const row of sweep % 2 === 0 ? rows : [...rows].reverse()) {
      const wish = row.map((n) =>
        n[side].length ? n[side].reduce((sum, m) => sum + mid(m), 0) / n[side].length - n.width / 2 : n.x,
      );
      spread(row, wish, gapX);
    }
  }
}

/** Each as near to its wish as the row's order allows: neighbours that would overlap share their mean. */
function spread(row, wish, gapX) {
  const blocks = [];
  let offset = 0;
  row.forEach((n, i) => {
    let block = { first: i, n: 1, sum: wish[i] - offset };
    offset += n.width + gapX;
    for (let last = blocks.at(-1); last && last.sum / last.n >= block.sum / block.n; last = blocks.at(-1)) {
      block = { first: last.first, n: last.n + block.n, sum: last.sum + block.sum };
      blocks.pop();
    }
    blocks.push(block);
  });
  offset = 0;
  let i = 0;
  for (const block of blocks)
    for (let k = 0; k < block.n; k++, i++) {
      row[i].x = block.sum / block.n + offset;
      offset += row[i].width + gapX;
    }
}
