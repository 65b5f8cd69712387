import type { FeedRow } from './feed-log.ts';

/** Which messages of the feed have a text in them. Each row is looked at once: rows come with every picture that the browser draws, and all of them together are millions of characters. */
export class RowFilter {
  readonly #sought: string;
  readonly #known = new WeakMap<FeedRow, boolean>();

  constructor(text: string) {
    this.#sought = text.toLowerCase();
  }

  has(row: FeedRow): boolean {
    let found = this.#known.get(row);
    if (found === undefined) this.#known.set(row, found = row.kind === 'message' && [row.message.topic, row.message.event, row.message.id, row.text].some((text) => text.toLowerCase().includes(this.#sought)));
    return found;
  }
}
