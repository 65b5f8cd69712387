/**
 * Is loaded into an instance by `NODE_OPTIONS=--import=…`, and tells at each SIGWINCH the longest turn of its event loop since the last one, in time of the processor that the main thread
 * itself took. So a machine that is busy with something else does not make it longer.
 */
import { isMainThread } from 'node:worker_threads';

/** A turn that is over the timer's time runs the timer next: what the thread took between two of them is one turn, and at most so much more. Milliseconds. */
const GRAIN_MS = 2;

// The workers of the store load this too.
if (isMainThread) {
  const taken = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let last = taken();
  let longest = 0;
  setInterval(() => {
    const now = taken();
    longest = Math.max(longest, now - last);
    last = now;
  }, GRAIN_MS).unref();
  process.on('SIGWINCH', () => {
    process.stdout.write(`longest turn ${longest.toFixed(1)} ms\n`);
    longest = 0;
  });
}
