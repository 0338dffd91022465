'use strict';
// RFC 8785 in JavaScript, from the language's own number and string forms: an implementation of the
// canonical form that shares nothing with the engine's.

const { createHash } = require('node:crypto');

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value && typeof value === 'object') {
    const members = Object.keys(value).sort(); // by UTF-16 code units, as the RFC wants
    return `{${members.map((k) => `${JSON.stringify(k)}:${canonical(value[k])}`).join(',')}}`;
  }
  return JSON.stringify(value);
}

const sha256 = (text) => createHash('sha256').update(text, 'utf8').digest('hex');

module.exports = { canonical, sha256 };
