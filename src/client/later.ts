import type * as More from './more.ts';
import { pause, pauseAfter } from './waiting.ts';

/** The most requests for the module: with their pauses, about ten minutes, as long as a publish is tried. Bounds the wait of callers. */
const LOADS_MAX_REQUESTS = 25;

/** Loads the module with everything that the library needs only after its stream is open (more.ts). */
export const more = (): Promise<typeof More> => import('./more.ts');

/** As `more`, with retries until the signal is aborted. */
export async function later(signal: AbortSignal = new AbortController().signal): ReturnType<typeof more> {
  for (let failures = 1; ; failures++) {
    try {
      return await more();
    } catch (error) {
      if (signal.aborted || failures === LOADS_MAX_REQUESTS) throw error;
      await pause(pauseAfter(failures), signal);
    }
  }
}
