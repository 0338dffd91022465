// Reading what the engine knows, again whenever something has happened.
//
// One question at a time: of two that are under way the older may be answered last, and old news would stay. What
// happens while one is under way is not forgotten, but asked about when it is back. Events come in crowds, so there is
// a pause before each, and a longer one where answers take long. What failed but may pass (no connection, the engine
// away) is tried again by itself.

const LEAST_MS = 500;
const MOST_MS = 5000;
const RETRY_FIRST_MS = 1500;
const RETRY_MOST_MS = 20000;

/** May the same question be answered a little later? */
export const isPassing = (error) =>
  error?.status === 0 || error?.status === 408 || error?.status === 429 || error?.status >= 500;

/** @read(signal): ask, and keep what comes; throws an ApiError. @failed(error) tells it. Gives {soon, now, restart,
 * close}: `soon` after a pause, `now` without (never beside one that is under way), `restart` also breaks off what is
 * under way, for another question. */
export function refresher({ read, failed, leastMs = LEAST_MS }) {
  let timer = 0;
  let dueMs = Infinity; // of the timer
  let under = null; // the AbortController of the question under way
  let again = false;
  let tookMs = 0;
  let failures = 0;
  let isClosed = false;

  function arm(ms) {
    const at = performance.now() + ms;
    if (isClosed || (timer && dueMs <= at)) return;
    clearTimeout(timer);
    dueMs = at;
    timer = setTimeout(run, ms);
  }

  /** Never more than a third of the time is spent on asking. */
  const pause = () => Math.max(leastMs, Math.min(2 * tookMs, MOST_MS));

  async function run() {
    clearTimeout(timer);
    timer = 0;
    again = false;
    const mine = new AbortController();
    under = mine;
    const begunMs = performance.now();
    let error = null;
    try {
      await read(mine.signal);
    } catch (e) {
      error = e;
    }
    if (isClosed || under !== mine) return;
    under = null;
    tookMs = performance.now() - begunMs;
    failures = error ? failures + 1 : 0;
    if (error) failed(error);
    if (isPassing(error)) arm(Math.min(RETRY_FIRST_MS * 2 ** (failures - 1), RETRY_MOST_MS));
    if (again) arm(pause());
  }

  return {
    soon() {
      if (under) again = true;
      else arm(pause());
    },
    now() {
      if (under) again = true;
      else if (!isClosed) run();
    },
    restart() {
      under?.abort();
      if (!isClosed) run();
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      under?.abort();
    },
  };
}
