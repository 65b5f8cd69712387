/**
 * How often a test repeats what it does: rounds, seeds, runs of fast-check. `npm test` repeats it often enough to find a mistake that was planted
 * reliably; `npm run test:long` runs the same files with more. Cases are never left out by it.
 */
const isLong = process.env['TIDINGS_TEST_ROUNDS'] === 'long';

/** @returns `long` where the environment asks for long rounds, otherwise `short`. */
export function rounds(short: number, long: number): number {
  return isLong ? long : short;
}
