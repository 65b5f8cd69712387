/**
 * How often a test repeats what it does: rounds, seeds, runs of fast-check. `npm test` repeats it often enough to find a mistake that was planted
 * reliably; `npm run test:long` runs the same files with more, `npm run test:quick` with fewer. Cases are never left out by it.
 */
const SETTING = process.env['TIDINGS_TEST_ROUNDS'];

/** @returns `long` or `quick` where the environment asks for such rounds, otherwise `short`. */
export function rounds(short: number, long: number, quick = short): number {
  return SETTING === 'long' ? long : SETTING === 'quick' ? quick : short;
}
