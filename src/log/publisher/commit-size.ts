/** The most of one commit. Stops a commit from making the next one wait long. Messages, and bytes of data. */
const COMMIT_MESSAGES = 2_000;
const COMMIT_BYTES = 8 * 1024 * 1024;

/**
 * How many commits are handed to the store at a time: while it writes one, the next is ready, so the store never waits for this thread. A third commit would be smaller
 * than it could be, because it would be closed too early.
 */
export const CONCURRENT_COMMITS = 2;

/** The most of the queue that both commits together take, unless one request is larger. The queue cannot evict requests in commits, so the rest must be evictable. */
const COMMITTING_SHARE = 0.5;

/** The size of a commit. */
export interface Stored {
  readonly messages: number;
  /** Bytes of data. */
  readonly bytes: number;
}

/** How large a commit may be, derived from the bounds of the queue. */
export class CommitSize {
  readonly #share: Stored;
  /** The most of a commit, unless its first request is larger. Messages, and bytes of data. */
  readonly messages: number;
  readonly bytes: number;

  constructor({ maxMessages, maxBytes }: { readonly maxMessages: number; readonly maxBytes: number }) {
    this.#share = { messages: Math.max(1, Math.floor(maxMessages * COMMITTING_SHARE / CONCURRENT_COMMITS)), bytes: maxBytes * COMMITTING_SHARE / CONCURRENT_COMMITS };
    this.messages = Math.min(COMMIT_MESSAGES, this.#share.messages);
    this.bytes = Math.min(COMMIT_BYTES, this.#share.bytes);
  }

  /** Whether the store may get a second commit beside one of this size. Two larger commits could be the whole queue: then no request could be evicted for a new one. */
  leavesRoom({ messages, bytes }: Stored): boolean {
    return messages <= this.#share.messages && bytes <= this.#share.bytes;
  }
}
