import type { Clock } from './clock.ts';
import type { Logger } from './logging/logger.ts';

/** Loads modules. Called again if it fails. */
export type Load = () => unknown;

/** Requests come first after a start. Keeps an instance that soon ends from loading modules that it never uses. */
const FIRST_LOAD_MS = 5_000;

/** The pause before each load, in which other work goes on. */
const LOAD_PAUSE_MS = 200;

/** The event loop is quiet if it was busy for less of such a pause. A load keeps it busy for up to 50 ms. */
const QUIET_MAX_SHARE = 0.5;

/** How long a load waits for a quiet pause. Stops a busy instance from leaving it to a request for ever. */
const BUSY_MAX_MS = 60_000;

/** Stops a package that is not there from being looked for without end. Until then an installation has put it back. */
const LOAD_MAX_ATTEMPTS = 300;

/** The mark in the process's timeline (User Timing) after the last load. From then on memory grows by requests alone. */
export const LOADED_MARK = 'tidings.loaded';

export interface BackgroundLoadsDependencies {
  readonly loads: readonly Load[];
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** The part of the time since its last call in which the event loop was busy: 0 to 1. */
  readonly utilization?: () => number;
}

/**
 * Loads what an instance starts without, one after the other, while it is quiet. So no first request waits for a load, or fails because the packages were replaced (`npm ci`) under the running
 * process. Resolves after the last load, with LOADED_MARK set. Never rejects.
 */
export async function loadInBackground({ loads, clock, logger, utilization = eventLoopUtilization() }: BackgroundLoadsDependencies): Promise<void> {
  const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => void clock.after(milliseconds, resolve));
  await pause(FIRST_LOAD_MS - LOAD_PAUSE_MS);
  for (const load of loads) {
    for (let attempts = 1; attempts <= LOAD_MAX_ATTEMPTS; attempts++) {
      utilization();
      for (let waitedMs = 0; waitedMs < BUSY_MAX_MS; waitedMs += LOAD_PAUSE_MS) {
        await pause(LOAD_PAUSE_MS);
        if (utilization() < QUIET_MAX_SHARE) break;
      }
      try {
        await load();
        break;
      } catch (error) {
        if (attempts === 1) logger.warn({ err: error }, 'modules that requests may need cannot be loaded; they are tried again. Are the packages being replaced?');
      }
    }
  }
  performance.mark(LOADED_MARK);
}

function eventLoopUtilization(): () => number {
  let before = performance.eventLoopUtilization();
  return () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  };
}
