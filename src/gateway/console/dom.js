// A small virtual DOM: pages say what should be on the screen, `render` changes only what differs, so that
// focus, selection and scroll places survive live updates.
//
// Text goes into text nodes and attributes only. There is no way to hand over markup, so nothing that comes
// from a runbook, an event or an error can become markup.

const SVG_NS = 'http://www.w3.org/2000/svg';

// These are state of the element rather than attributes: setting the attribute later would do nothing.
const PROPERTIES = new Set(['value', 'checked', 'disabled', 'selected', 'open', 'indeterminate']);

/** An element to be. @props: attributes; `on<event>` functions; `class` (string or list); `style` (object,
 * CSS properties); `key` (who it is among its siblings); `ref` (called once with the new element); `keep`
 * (true: its children belong to somebody else, leave them alone). */
export function h(tag, props, ...children) {
  return { tag, props: props || {}, children: flatten(children, []), key: props?.key };
}

function flatten(list, into) {
  for (const child of list) {
    if (Array.isArray(child)) flatten(child, into);
    else if (child !== null && child !== undefined && child !== false && child !== true)
      into.push(typeof child === 'object' ? child : { text: String(child) });
  }
  return into;
}

const classText = (value) => (Array.isArray(value) ? value.filter(Boolean).join(' ') : value || '');

function setProp(el, name, value, old) {
  if (name === 'key' || name === 'ref' || name === 'keep') return;
  if (name.startsWith('on') && (typeof value === 'function' || typeof old === 'function')) {
    setListener(el, name.slice(2), value);
  } else if (name === 'class') {
    const text = classText(value);
    if (text) el.setAttribute('class', text);
    else el.removeAttribute('class');
  } else if (name === 'style') {
    for (const key of Object.keys(old || {})) if (!value || !(key in value)) el.style.removeProperty(key);
    for (const [key, v] of Object.entries(value || {})) el.style.setProperty(key, v);
  } else if (PROPERTIES.has(name) && name in el && el.tagName !== 'OPTION') {
    if (el[name] !== (value ?? '')) el[name] = value ?? (typeof el[name] === 'boolean' ? false : '');
  } else if (value === null || value === undefined || value === false) {
    el.removeAttribute(name);
  } else {
    el.setAttribute(name, value === true ? '' : String(value));
  }
}

// One listener an event and element, whose target function is exchanged: nothing piles up.
function setListener(el, type, fn) {
  el.__on ||= {};
  if (!(type in el.__on)) el.addEventListener(type, (event) => el.__on[type]?.call(el, event));
  el.__on[type] = fn || null;
}

function create(vnode, ns) {
  if ('text' in vnode) return document.createTextNode(vnode.text);
  const space = vnode.tag === 'svg' ? SVG_NS : ns;
  const el = space ? document.createElementNS(space, vnode.tag) : document.createElement(vnode.tag);
  // A select takes its value only once it has its options.
  const late = vnode.tag === 'select' ? 'value' : null;
  for (const [name, value] of Object.entries(vnode.props)) if (name !== late) setProp(el, name, value);
  if (!vnode.props.keep) {
    for (const child of vnode.children) el.append(create(child, space));
    el.__v = vnode.children;
  }
  if (late && late in vnode.props) el.value = vnode.props.value ?? '';
  vnode.props.ref?.(el);
  return el;
}

const isSame = (a, b) => ('text' in a ? 'text' in b : !('text' in b) && a.tag === b.tag && a.key === b.key);

function update(node, old, vnode) {
  if ('text' in vnode) {
    if (old.text !== vnode.text) node.data = vnode.text;
    return;
  }
  const late = vnode.tag === 'select' ? 'value' : null;
  for (const name of Object.keys(old.props))
    if (!(name in vnode.props)) setProp(node, name, undefined, old.props[name]);
  for (const [name, value] of Object.entries(vnode.props)) {
    if (name === late) continue;
    if (value !== old.props[name] || PROPERTIES.has(name)) setProp(node, name, value, old.props[name]);
  }
  if (!vnode.props.keep) patch(node, vnode.children);
  if (late && late in vnode.props && node.value !== String(vnode.props.value ?? ''))
    node.value = vnode.props.value ?? '';
}

/** For each of @next the index of the one of @old that it continues, or -1. Keyed ones are found wherever they
 * have moved; the others continue in order, and one of another kind is replaced. */
function match(old, next) {
  const byKey = new Map();
  const unkeyed = [];
  old.forEach((v, i) => (v.key === undefined ? unkeyed.push(i) : byKey.set(v.key, i)));
  let from = 0;
  return next.map((vnode) => {
    const i = vnode.key === undefined ? unkeyed[from++] : byKey.get(vnode.key);
    if (i === undefined || !isSame(old[i], vnode)) return -1;
    byKey.delete(vnode.key);
    return i;
  });
}

/** Make the children of @el what @next says. What goes is taken out first, so that what stays need not be
 * moved: moving takes the focus away. */
function patch(el, next) {
  const old = el.__v || [];
  const nodes = [...el.childNodes];
  const ns = el.namespaceURI === SVG_NS ? SVG_NS : null;
  const from = match(old, next);
  const stays = new Set(from);
  nodes.forEach((node, i) => stays.has(i) || node.remove());
  let place = el.firstChild;
  next.forEach((vnode, k) => {
    if (from[k] < 0) {
      el.insertBefore(create(vnode, ns), place);
      return;
    }
    const node = nodes[from[k]];
    if (node === place) place = place.nextSibling;
    else el.insertBefore(node, place);
    update(node, old[from[k]], vnode);
  });
  el.__v = next;
}

/** Show @children in @container, which belongs to this function from now on. */
export function render(container, ...children) {
  if (!container.__v) container.replaceChildren();
  patch(container, flatten(children, []));
}

/** An SVG element at once, for drawings that are kept and changed by hand. */
export function svg(tag, attributes = {}, ...children) {
  const el = document.createElementNS(SVG_NS, tag);
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null) el.setAttribute(name, String(value));
  el.append(...children.filter((c) => c !== null && c !== undefined));
  return el;
}
