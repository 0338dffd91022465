// The layout's thread: {id, graph, folded} in, {id, result} or {id, error} out.

import { layout } from './dag_layout.js';

onmessage = ({ data: { id, graph, folded } }) => {
  try {
    postMessage({ id, result: layout(graph, folded) });
  } catch (e) {
    postMessage({ id, error: String(e?.message || e) });
  }
};
