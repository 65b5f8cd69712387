/** How often the time that something lives is doubled at most. Stops a program that refuses it from being asked for ever. */
const DOUBLINGS_MAX = 4;

/**
 * Uses what lives for some seconds only while it lives: a key, a token. Where the machine was too slow for that it is made and used once more, and lives twice as long.
 * @param use Undefined where it was over too soon.
 */
export async function whileItLives<Used>(seconds: number, use: (seconds: number) => Promise<Used | undefined>): Promise<Used> {
  for (let doublings = 0; doublings <= DOUBLINGS_MAX; doublings++) {
    const used = await use(seconds * 2 ** doublings);
    if (used !== undefined) return used;
  }
  throw new Error('It was over before it was used, however long it was to live.');
}
