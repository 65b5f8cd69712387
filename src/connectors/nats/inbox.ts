/** A queue of items that the client of NATS has received and the source has not taken yet. All of it is taken together. */
export class Inbox<Item> {
  #items: Item[] = [];
  #end: { readonly reason: Error | undefined } | undefined;
  #wake: () => void = () => undefined;
  readonly #keeps: boolean;

  /** @param keeps Whether items before an end with a reason are taken first: nobody sends them again. */
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

  /** Ends the queue: no more items come. The first reason counts; undefined where it was wanted. */
  end(reason?: Error): void {
    this.#end ??= { reason };
    this.#wake();
  }

  /** Resolves with at least one item, or with none after a wanted end. After an end with a reason it rejects with the reason; items before it are given up, unless they are kept. */
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
