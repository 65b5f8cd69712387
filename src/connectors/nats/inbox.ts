/** What the client of NATS has handed over and nobody has taken yet. All of it is taken together. */
export class Inbox<Item> {
  #items: Item[] = [];
  #end: { readonly reason: Error | undefined } | undefined;
  #wake: () => void = () => undefined;

  get length(): number {
    return this.#items.length;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#wake();
  }

  /** Nothing more comes. The first reason counts; undefined where it was wanted. */
  end(reason?: Error): void {
    this.#end ??= { reason };
    this.#wake();
  }

  /** Resolves with at least one item, or with none after a wanted end. Items before an end with a reason are given up: it rejects with the reason. */
  async take(): Promise<readonly Item[]> {
    if (this.#items.length === 0 && this.#end === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#end?.reason !== undefined) throw this.#end.reason;
    if (this.#end !== undefined) return [];
    const items = this.#items;
    this.#items = [];
    return items;
  }
}
