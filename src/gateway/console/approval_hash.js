// Is what an approver sees what the engine recorded as shown? The engine hashed
//
//     {attempt, executionId, input (the step's), prompt, runbookDigest, stepPath}
//
// in canonical form when it asked. Here the same is put together from what is on the screen and hashed again.

import { hashOf } from './canonical.js';

/** true: it is what the engine recorded; false: it is not. */
export async function isWhatWasShown({ attempt, executionId, input, prompt, runbookDigest, stepPath, hash }) {
  return (
    (await hashOf({ attempt, executionId, input, prompt: prompt ?? null, runbookDigest, stepPath })) === hash
  );
}
