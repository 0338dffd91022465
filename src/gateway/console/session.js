// Who is asking. Kept in sessionStorage: gone with the tab, never sent anywhere but to this gateway, in
// headers, never in an address. It is the only thing that the console keeps outside its address.

const KEY = 'runbook.identity';

function read() {
  try {
    const identity = JSON.parse(sessionStorage.getItem(KEY));
    return identity && (identity.token || identity.user) ? identity : null;
  } catch {
    return null;
  }
}

let current = read();

/** {user, tenant} and, where the gateway asks for proof, {token, expiresAt}; null: nobody yet. */
export const identity = () => current;

export function setIdentity(next) {
  current = next;
  try {
    if (next) sessionStorage.setItem(KEY, JSON.stringify(next));
    else sessionStorage.removeItem(KEY);
  } catch {
    // Storage is switched off: the identity lasts until the page is loaded anew.
  }
}

export function identityHeaders(who = current) {
  if (who?.token) return { Authorization: `Bearer ${who.token}` };
  if (who?.user) return { 'X-User': who.user, 'X-Tenant': who.tenant || 'default' };
  return {};
}

/** A token as it was pasted: with blanks around it, or the whole header. null: it can be none. */
export function takeToken(text) {
  const token = text.trim().replace(/^(authorization:\s*)?bearer\s+/i, '');
  return /^[\x21-\x7e]{8,16384}$/.test(token) ? token : null;
}

const NAME_CLAIMS = ['sub', 'preferred_username', 'email', 'user'];
const TENANT_CLAIMS = ['tenant', 'tenantId', 'tid'];

/** What a token says about its owner, for showing only: the gateway decides who somebody is. */
export function tokenClaims(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
    const first = (names) => names.map((n) => claims[n]).find((v) => typeof v === 'string');
    return { user: first(NAME_CLAIMS), tenant: first(TENANT_CLAIMS), expires: claims.exp };
  } catch {
    return {};
  }
}
