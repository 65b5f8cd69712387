/** Those who wait until something holds that depends on what comes in. */
export class Watchers {
  readonly #waiting = new Set<() => void>();

  /** Something came in. */
  tell(): void {
    for (const watcher of this.#waiting) watcher();
  }

  /** Resolves when `holds`, or after `limit` ms: what is missing then is for the checker to say. */
  async when(holds: () => boolean, limit: number): Promise<void> {
    const end = performance.now() + limit;
    while (!holds() && performance.now() < end) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      const timer = setTimeout(resolve, end - performance.now());
      await promise;
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    }
  }
}
