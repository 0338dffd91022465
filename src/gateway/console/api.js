// The gateway's REST interface. Every failure is an ApiError whose message is a sentence for people.

import { identityHeaders } from './session.js';

const BASE = new URL('api/v1/', document.baseURI);
const TIMEOUT_MS = 30000;
const PAGE = 1000;

export class ApiError extends Error {
  constructor(code, status, message, details = []) {
    super(message);
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** The address of @path (without "api/v1/") with @query's members that say something. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [key, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(key, value);
  return url;
}

let onUnauthenticated = () => {};
/** @fn is called when the gateway wants to know who is asking. */
export const whenUnauthenticated = (fn) => (onUnauthenticated = fn);

async function toError(response, isQuiet) {
  let body;
  try {
    body = await response.json();
  } catch {
    body = {};
  }
  const error = new ApiError(
    body.error || 'HTTP_ERROR',
    response.status,
    body.message || `The server answered with status ${response.status}.`,
    Array.isArray(body.details) ? body.details : [],
  );
  if (response.status === 401 && !isQuiet) onUnauthenticated(error);
  return error;
}

async function send(method, path, { query, body, text, signal, contentType, commandId, who } = {}) {
  const headers = { Accept: 'application/json', ...identityHeaders(who) };
  if (commandId) headers['Idempotency-Key'] = commandId;
  const options = { method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' };
  if (text !== undefined || body !== undefined) {
    headers['Content-Type'] = contentType || 'application/json';
    options.body = text !== undefined ? text : JSON.stringify(body);
  }
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  options.signal = signal && AbortSignal.any ? AbortSignal.any([signal, limit]) : signal || limit;
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new ApiError(
      'UNREACHABLE',
      0,
      e.name === 'TimeoutError'
        ? `The server did not answer within ${TIMEOUT_MS / 1000} seconds.`
        : 'The server can’t be reached. Check the connection; nothing was lost that was already accepted.',
    );
  }
  if (!response.ok) throw await toError(response, Boolean(who));
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch {
    throw new ApiError('BAD_ANSWER', response.status, 'The server’s answer is not JSON.');
  }
}

export const get = (path, query, signal) => send('GET', path, { query, signal });

/** Whom the gateway takes @who ({token}, or {user, tenant}) for: an identity to keep. */
export async function identify(who) {
  const { user, tenant, expiresAt } = await send('GET', 'identity', { who });
  return { ...who, user, tenant, expiresAt: expiresAt || undefined };
}

/** The gateway has said elsewhere that it wants to know who is asking. */
export const unauthenticated = (error) => onUnauthenticated(error);

// randomUUID exists only in secure contexts (https, loopback).
const commandId = () =>
  crypto.randomUUID?.() ??
  [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');

/** A command. It carries an id of its own, so that the same click never counts twice. */
export const command = (path, body = {}) => send('POST', path, { body, commandId: commandId() });

/** A definition as it was typed, JSON or YAML. @validate: only ask what registering it would say. */
export const definition = (text, { validate = false, signal } = {}) =>
  send('POST', validate ? 'runbooks/validate' : 'runbooks', {
    text,
    contentType: /^\s*\{/.test(text) ? 'application/json' : 'application/yaml',
    signal,
  });

/** All pages of a list: @onPage gets every page's items as they come; gives all items. */
export async function all(path, member, query = {}, { onPage, signal } = {}) {
  const items = [];
  let cursor;
  do {
    const page = await get(path, { limit: PAGE, ...query, cursor }, signal);
    items.push(...(page[member] || []));
    onPage?.(items, page);
    cursor = page.nextCursor;
  } while (cursor);
  return items;
}

/** A whole execution: a large one comes in several pages of steps, and large values one by one. */
export async function execution(id, { signal } = {}) {
  const path = `executions/${encodeURIComponent(id)}`;
  const first = await get(path, {}, signal);
  const whole = first.execution;
  for (let cursor = first.nextCursor; cursor;) {
    const page = await get(path, { cursor }, signal);
    Object.assign(whole.stepResults, page.execution.stepResults);
    cursor = page.nextCursor;
  }
  whole.lastSequence = first.lastSequence; // later pages may know more, the whole does not
  for (const name of whole.omitted || []) {
    const alone = await get(path, { only: name }, signal).catch(() => null);
    if (alone?.execution && name in alone.execution) whole[name] = alone.execution[name];
  }
  return whole;
}

const cache = new Map();
const CACHED = 50;
/** A runbook; a version never changes, so those asked for by version are remembered. */
export async function runbook(id, version) {
  const key = JSON.stringify([id, version, identityHeaders()]);
  if (version && cache.has(key)) return cache.get(key);
  const answer = await get(`runbooks/${encodeURIComponent(id)}`, { version });
  if (version) {
    if (cache.size >= CACHED) cache.delete(cache.keys().next().value);
    cache.set(key, answer);
  }
  return answer;
}

export const executionPath = (id, ...rest) => ['executions', id, ...rest].map(encodeURIComponent).join('/');
