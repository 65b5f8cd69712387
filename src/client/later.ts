import type * as More from './more.ts';
import { pause, pauseAfter } from './waiting.ts';

/** How often to ask for the module: about ten minutes, like a publish. Bounds how long its callers wait. */
const LOADS_MAX_REQUESTS = 25;

/** What the library needs after its stream is open (more.ts). */
export const more = (): Promise<typeof More> => import('./more.ts');

/** The same. It is tried again until the signal is aborted. */
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
