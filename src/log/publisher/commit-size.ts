/** Bounds one commit, so that it takes a short time and its answer stays small. Messages, and bytes of data. */
const COMMIT_MESSAGES = 2_000;
const COMMIT_BYTES = 8 * 1024 * 1024;

/**
 * How many commits the store has at a time. While it writes one, the next one is there already: it never waits for this
 * thread. A third would only keep messages from going into the second.
 */
export const CONCURRENT_COMMITS = 2;

/** The most of the queue that the store has, in its two commits, unless one request is larger. Nothing of that can make room for anyone. */
const COMMITTING_SHARE = 0.5;

/** The requests of one commit. */
export interface Stored {
  readonly messages: number;
  /** Bytes of data. */
  readonly bytes: number;
}

/** How large a commit may be, by the bounds of the queue that it is taken from. */
export class CommitSize {
  readonly #share: Stored;
  /** At most, unless its first request is larger. */
  readonly messages: number;
  readonly bytes: number;

  constructor({ maxMessages, maxBytes }: { readonly maxMessages: number; readonly maxBytes: number }) {
    this.#share = { messages: Math.max(1, Math.floor(maxMessages * COMMITTING_SHARE / CONCURRENT_COMMITS)), bytes: maxBytes * COMMITTING_SHARE / CONCURRENT_COMMITS };
    this.messages = Math.min(COMMIT_MESSAGES, this.#share.messages);
    this.bytes = Math.min(COMMIT_BYTES, this.#share.bytes);
  }

  /** Whether the store may have another commit beside it. Two that are larger could be the whole queue: then nobody could make room for a newcomer. */
  leavesRoom({ messages, bytes }: Stored): boolean {
    return messages <= this.#share.messages && bytes <= this.#share.bytes;
  }
}
