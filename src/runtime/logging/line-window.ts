/** How often a line about the same thing is logged again. */
const WINDOW_MS = 60_000;

/** How many of them are logged in that time. Stops a flood of requests from filling the log. */
const WINDOW_MAX_ENTRIES = 10;

/** Lets a few log lines of one kind through: each about something else. */
export class LineWindow {
  #end = 0;
  #omitted = 0;
  readonly #seen = new Set<string>();

  /**
   * @param about What the line is about.
   * @returns How many lines were left out since the last one; undefined where this one is to be left out, too.
   */
  admit(about: string): number | undefined {
    const now = performance.now();
    if (now >= this.#end) {
      this.#end = now + WINDOW_MS;
      this.#seen.clear();
    }
    if (this.#seen.has(about) || this.#seen.size >= WINDOW_MAX_ENTRIES) {
      this.#omitted++;
      return undefined;
    }
    this.#seen.add(about);
    const omitted = this.#omitted;
    this.#omitted = 0;
    return omitted;
  }
}
