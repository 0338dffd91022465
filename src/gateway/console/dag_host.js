// A graph as part of a page: keeps what is to be drawn while the page's tree comes and goes.

import { h } from './dom.js';
import { DagView } from './dag_view.js';

export class DagHost {
  constructor(options) {
    this.options = options;
    this.stateOf = () => null;
  }

  vnode(key = 'dag') {
    return h('div', { class: 'dag', key, keep: true, ref: (el) => this.mount(el) });
  }

  mount(el) {
    const folded = this.view?.folded;
    this.view?.close();
    this.view = new DagView(el, this.options);
    if (folded) this.view.folded = folded;
    this.view.stateOf = this.stateOf;
    this.view.selected = this.selected;
    if (this.graph) this.view.setGraph(this.graph);
  }

  setGraph(graph) {
    if (graph === this.graph) return;
    this.graph = graph;
    this.view?.setGraph(graph);
  }

  setStates(stateOf) {
    this.stateOf = stateOf;
    this.view?.setStates(stateOf);
  }

  select(id) {
    if (id === this.selected) return;
    this.selected = id;
    this.view?.select(id);
  }

  close() {
    this.view?.close();
    this.view = null;
  }
}
