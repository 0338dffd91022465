'use strict';
// What an auditor does who trusts nobody: sequence numbers without gaps, every event linked to the one
// before by hash.

const { canonical, sha256 } = require('./canonical.js');

const FIRST_PREVHASH = '0'.repeat(64);

/** The first fault of @events (CloudEvents of one execution, in order) as a sentence; null if there is none. */
function chainFault(events) {
  let prevhash = FIRST_PREVHASH;
  for (const [i, event] of events.entries()) {
    const where = `event ${i + 1} (${event.type})`;
    if (!Number.isInteger(event.sequence))
      return `${where}: sequence ${JSON.stringify(event.sequence)} is no integer`;
    if (event.sequence !== i + 1) return `${where}: has sequence ${event.sequence}`;
    if (event.prevhash !== prevhash) return `${where}: prevhash is not the hash of the event before`;
    const { hash, ...rest } = event;
    if (sha256(canonical(rest)) !== hash) return `${where}: its content does not give its hash`;
    prevhash = hash;
  }
  return null;
}

module.exports = { chainFault, FIRST_PREVHASH };
