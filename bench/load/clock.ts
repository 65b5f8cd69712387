/** The machine's monotonic clock, the same for all its processes. In milliseconds, with fractions. */
export function now(): number {
  return performance.now() + OFFSET;
}

const OFFSET = Number(process.hrtime.bigint()) / 1e6 - performance.now();
