import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Failure } from './search.ts';
import type { Range } from './search-thread.ts';

/** How many seeds a thread is given at a time: some seconds of work, so that all threads end at about the same time. */
const RANGE_SEEDS = 100;

/** Plays seeds in so many threads. Stops all of them at the first failure that any finds. */
export async function searchInJobs(first: number, last: number, jobs: number): Promise<Failure | undefined> {
  let next = first;
  let failure: Failure | undefined;
  const threads = Array.from({ length: Math.min(jobs, Math.ceil((last - first + 1) / RANGE_SEEDS)) }, () => new Worker(new URL('search-thread.ts', import.meta.url)));
  try {
    await Promise.race([
      Promise.all(threads.map(async (thread) => {
        while (next <= last && failure === undefined) {
          const range: Range = [next, Math.min(last, next + RANGE_SEEDS - 1)];
          next += RANGE_SEEDS;
          thread.postMessage(range);
          const [found] = await once(thread, 'message') as [Failure | undefined];
          failure ??= found;
        }
      })),
      // The threads that have found nothing are not waited for.
      Promise.race(threads.map((thread) => new Promise<void>((resolve) => {
        thread.on('message', (found: Failure | undefined) => {
          if (found !== undefined) resolve();
        });
      }))),
    ]);
    return failure;
  } finally {
    await Promise.all(threads.map((thread) => thread.terminate()));
  }
}
