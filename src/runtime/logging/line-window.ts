/** The window. A line about the same subject is logged once in it. */
const WINDOW_MS = 60_000;

/** The most lines in one window. Stops a flood of requests from filling the log. */
const WINDOW_MAX_ENTRIES = 10;

/** Thins out the log lines of one kind: a few in each window, each about another subject. */
export class LineWindow {
  #end = 0;
  #omitted = 0;
  readonly #seen = new Set<string>();

  /**
   * @param about The subject of the line, such as an address.
   * @returns Undefined if the caller must omit this line; else the number of lines omitted since the last logged line.
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
