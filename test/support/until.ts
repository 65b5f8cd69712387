import { setTimeout as sleep } from 'node:timers/promises';

/** Stops a wait for what never happens from hanging the run; a machine may be busy with much else. Milliseconds. */
const LIMIT = 120_000;
const STEP = 5;

/** Waits until something holds that no event tells. `what` is for the failure: "the bus is up". */
export async function until(what: string, holds: () => boolean | Promise<boolean>, limit = LIMIT): Promise<void> {
  const end = performance.now() + limit;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`After ${limit} ms still not true: ${what}`);
    await sleep(STEP);
  }
}
