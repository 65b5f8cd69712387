/** A queue between the callback of the NATS client and the source, which takes all queued items at once. */
export class Inbox<Item> {
  #items: Item[] = [];
  #end: { readonly reason: Error | undefined } | undefined;
  #wake: () => void = () => undefined;
  readonly #keeps: boolean;

  /** @param keeps Whether `take` still returns the queued items after an end with a reason. True if nobody sends them again. */
  constructor({ keeps = false }: { readonly keeps?: boolean } = {}) {
    this.#keeps = keeps;
  }

  get length(): number {
    return this.#items.length;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#wake();
  }

  /** Ends the queue. @param reason The failure that ended it; undefined if the source stops. The first call counts. */
  end(reason?: Error): void {
    this.#end ??= { reason };
    this.#wake();
  }

  /** Waits for items, and takes all. Resolves with an empty array after an end without a reason. Rejects with the reason of a failure; `keeps` returns queued items first. */
  async take(): Promise<readonly Item[]> {
    if (this.#items.length === 0 && this.#end === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
    const isKept = this.#keeps && this.#items.length > 0;
    if (this.#end?.reason !== undefined && !isKept) throw this.#end.reason;
    if (this.#end !== undefined && this.#end.reason === undefined) return [];
    const items = this.#items;
    this.#items = [];
    return items;
  }
}
