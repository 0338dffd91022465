// The console's state is its address: `#/executions/<id>?tab=history&step=ask`. So every view can be linked,
// reloaded and walked back from.

/** {segments, query} of a fragment. */
export function parse(hash) {
  const text = hash.startsWith('#') ? hash.slice(1) : hash;
  const cut = text.indexOf('?');
  const path = cut < 0 ? text : text.slice(0, cut);
  const segments = path.split('/').filter(Boolean).map(decode);
  return { segments, query: Object.fromEntries(new URLSearchParams(cut < 0 ? '' : text.slice(cut + 1))) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The link to @segments with those of @query that say something. */
export function href(segments, query = {}) {
  const said = Object.entries(query).filter(([, v]) => v !== undefined && v !== null && v !== '');
  const search = new URLSearchParams(said).toString();
  return `#/${segments.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`;
}

export const linkRunbook = (id, version) => href(['runbooks', id], { version });
export const linkExecution = (id, query) => href(['executions', id], query);
