/**
 * Is loaded into an instance by `NODE_OPTIONS=--import=…`, and tells at each SIGWINCH the longest turn of its event loop since the last one, in time of the processor that the main thread
 * itself took. So a machine that is busy with something else does not make it longer. What the collector of garbage took of a turn does not count: it runs when it likes.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** A turn that is over the timer's time runs the timer next: what the thread took between two of them is one turn, and at most so much more. Milliseconds. */
const GRAIN_MS = 2;

/** Shorter turns are not looked at. Milliseconds. */
const LONG_MS = 20;

interface Turn {
  readonly from: number;
  readonly to: number;
  /** Of the processor's time. Milliseconds. */
  readonly took: number;
}

// The workers of the store load this too.
if (isMainThread) {
  const taken = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let last = { at: performance.now(), taken: taken() };
  let turns: Turn[] = [];
  let collections: { readonly startTime: number; readonly duration: number }[] = [];
  const observer = new PerformanceObserver((list) => void collections.push(...list.getEntries()));
  observer.observe({ entryTypes: ['gc'] });
  setInterval(() => {
    const now = { at: performance.now(), taken: taken() };
    if (now.taken - last.taken >= LONG_MS) turns.push({ from: last.at, to: now.at, took: now.taken - last.taken });
    last = now;
  }, GRAIN_MS).unref();
  const withoutCollections = ({ from, to, took }: Turn): number => {
    const collected = collections.filter(({ startTime }) => startTime >= from && startTime <= to).reduce((sum, { duration }) => sum + duration, 0);
    return took - collected;
  };
  process.on('SIGWINCH', () => {
    collections.push(...observer.takeRecords());
    process.stdout.write(`longest turn ${Math.max(0, ...turns.map(withoutCollections)).toFixed(1)} ms, with garbage ${Math.max(0, ...turns.map(({ took }) => took)).toFixed(1)}\n`);
    turns = [];
    collections = [];
  });
}
