import type { Clock } from './clock.ts';
import type { Logger } from './logging/logger.ts';

/** Loads some modules. If it fails, it is called again. */
export type Load = () => unknown;

/** The first load begins this long after the start, because requests come first. Stops a short-lived instance from loading modules that it never uses. */
const FIRST_LOAD_MS = 5_000;

/** The pause before each load, in which other work goes on. */
const LOAD_PAUSE_MS = 200;

/** The event loop counts as quiet if it was busy for less than this share of a pause. A load blocks it for up to 50 ms. */
const QUIET_MAX_SHARE = 0.5;

/** The longest wait for a quiet pause. Without it, a busy instance would never load, and a request would have to. */
const BUSY_MAX_MS = 60_000;

/** Stops the search for a package that is really missing. `npm ci` puts packages back much sooner. */
const LOAD_MAX_ATTEMPTS = 300;

/** The mark in the process's timeline (User Timing) after the last load. Afterwards only requests take more memory. */
export const LOADED_MARK = 'tidings.loaded';

export interface BackgroundLoadsDependencies {
  readonly loads: readonly Load[];
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** The share of the time since its last call in which the event loop was busy: 0 to 1. */
  readonly utilization?: () => number;
}

/**
 * Loads the modules that an instance does not need at its start, one after the other, while it is quiet. So a first request seldom waits for a load, and does not fail if `npm ci`
 * has replaced the packages since the start. Resolves after the last load, with LOADED_MARK set. Never rejects.
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
