/** Levels that are open at first, at most. */
const OPEN_MAX_LEVELS = 3;
/** Lines that are open at first. Stops one message, which a stranger has sent, from keeping the browser busy for seconds. */
const OPEN_MAX_ENTRIES = 400;

/** How many levels of a value can be open at first. @param most The members of one value that are shown. */
export function openLevels(value: unknown, most: number): number {
  let level = [value];
  let lines = 0;
  for (let levels = 0; levels < OPEN_MAX_LEVELS; levels++) {
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one !== 'object' || one === null) continue;
      const members: readonly unknown[] = (Array.isArray(one) ? one : Object.values(one)).slice(0, most);
      lines += members.length;
      if (lines > OPEN_MAX_ENTRIES) return Math.max(1, levels);
      next.push(...members);
    }
    level = next;
  }
  return OPEN_MAX_LEVELS;
}
