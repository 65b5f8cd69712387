/**
 * Is loaded into an instance by `NODE_OPTIONS=--import=…`, and moves its wall clock by what `WallClock` says: `Date`, in each of its threads, and
 * nothing else. What counts time only forward goes on as it does on a machine whose clock is set.
 */
import { openSync, readSync } from 'node:fs';

const file = openSync(process.env['STEPPED_CLOCK']!, 'r');
const step = new Float64Array(1);
const bytes = new Uint8Array(step.buffer);
const realNow = Date.now;

/** Read each time: all threads step at once, in the middle of whatever they do. */
function now(): number {
  readSync(file, bytes, 0, bytes.length, 0);
  return realNow() + step[0]!;
}

Date.now = now;
globalThis.Date = new Proxy(Date, {
  construct: (target, args: unknown[], by) => Reflect.construct(target, args.length === 0 ? [now()] : args, by) as Date,
  apply: (target) => new target(now()).toString(),
});
