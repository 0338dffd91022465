// The audit chain of an execution, checked in the reader's own browser:
//
//     hash(n) = SHA-256(canonical form of event n without its member "hash"),   prevhash(n) = hash(n − 1)

import { hashOf } from './canonical.js';

export const ZEROS = '0'.repeat(64);
const FAULTS_SHOWN = 20;

/** Check @events in the order given. @previous: {sequence, hash} of the event before the first, or null for
 * the history's beginning. Gives {count, last: {sequence, hash}, faults: [{sequence, fault, message}], faultCount}. */
export async function verifyChain(events, previous = null) {
  const faults = [];
  let faultCount = 0;
  let last = previous || { sequence: 0, hash: ZEROS };
  const report = (event, fault, message) => {
    faultCount++;
    if (faults.length < FAULTS_SHOWN) faults.push({ sequence: event.sequence ?? null, fault, message });
  };
  for (const event of events) {
    if (event.omittedBytes !== undefined) {
      report(event, 'omitted', `Event ${event.sequence} is too large to be sent here; it can't be checked.`);
      last = { sequence: event.sequence, hash: null };
      continue;
    }
    const { hash, ...rest } = event;
    if (event.sequence !== last.sequence + 1)
      report(event, 'gap', `After event ${last.sequence} comes event ${event.sequence}.`);
    if (last.hash !== null && event.prevhash !== last.hash)
      report(event, 'link', `Event ${event.sequence} does not name the hash of the event before it.`);
    if ((await hashOf(rest)) !== hash)
      report(event, 'hash', `The content of event ${event.sequence} does not have the hash it carries.`);
    last = { sequence: event.sequence, hash };
  }
  return { count: events.length, last, faults, faultCount };
}
