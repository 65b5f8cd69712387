import { setTimeout as sleep } from 'node:timers/promises';

/** Stops a wait for what never happens from hanging the run; a machine may be busy with much else. Milliseconds. */
const LIMIT = 120_000;
/** Between the first questions, and between later ones at most: milliseconds. The longer a wait lasts, the less often it asks, since most questions are requests. */
const STEP = 5;
const STEP_MAX = 50;
/** The part of a wait by which it may become longer. */
const LATE = 0.1;

/** Waits until something holds that no event tells. `what` is for the failure: "the bus is up". */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limit = LIMIT): Promise<void> {
  const began = performance.now();
  while (!await holds()) {
    const waited = performance.now() - began;
    if (waited > limit) throw new Error(`After ${limit} ms still not true: ${what}`);
    await sleep(Math.min(STEP_MAX, STEP + waited * LATE));
  }
}
