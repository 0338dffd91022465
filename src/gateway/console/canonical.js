// RFC 8785 canonical JSON and SHA-256: what the engine's hashes are made of, computed here anew.

/** @value (from JSON.parse) in canonical form. */
export function canonical(value) {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError('canonical JSON has no such number');
    return JSON.stringify(value); // ECMAScript's number format is RFC 8785's
  }
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  // The default order of sort() is that of UTF-16 code units, as the RFC asks.
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${members.join(',')}}`;
}

/** SHA-256 of a text's UTF-8, as 64 hexadecimal digits. */
export async function sha256(text) {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** SHA-256 of a value's canonical form. */
export const hashOf = (value) => sha256(canonical(value));
