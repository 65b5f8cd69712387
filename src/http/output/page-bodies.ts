import type { HistoryPage } from '../../delivery/long-polls.ts';
import { noRoom } from '../../log/history/page.ts';
import { jsonPieces } from '../../model/message.ts';
import { Problem } from '../../model/problem.ts';
import type { Hold } from '../../runtime/sharing/budget.ts';
import type { FairSharesDependencies } from '../../runtime/sharing/fair-shares.ts';
import { MemoryTurns } from '../../runtime/sharing/memory-turns.ts';
import type { Slices } from '../../runtime/slices.ts';

/** Larger pages are put together in turns. Stops a small page from waiting for all large ones that came before it. */
const SMALL_PAGE_BYTES = 64 * 1024;

/**
 * Data of large pages that are put together at the same time; a page that has more is alone. Stops many pages that are interrupted in the middle from taking memory without end: the JSON of a
 * text may be six times as long.
 */
const LARGE_PAGES_MAX_BYTES = 4 * 1024 * 1024;

/** Bounds the bytes copied in one go. */
const COPY_MAX_BYTES = 512 * 1024;

const BEGINNING = Buffer.from('{"messages":[');
const NOTHING = Buffer.alloc(0);
const BETWEEN = Buffer.from(',');

export interface PageBodiesDependencies extends Pick<FairSharesDependencies, 'counters'> {
  readonly slices: Slices;
}

/** Puts pages of history together, in slices of several turns of the event loop where they are long. The data of messages stands in a page as it was published: it is not parsed. */
export class PageBodies {
  readonly #large: MemoryTurns;
  readonly #slices: Slices;

  constructor({ slices, counters }: PageBodiesDependencies) {
    this.#large = new MemoryTurns(LARGE_PAGES_MAX_BYTES, { gate: 'answers', counters, refusal: noRoom });
    this.#slices = slices;
  }

  /**
   * The page as JSON. Rejects with a Problem.
   * @param hold What its messages hold. While the page waits for its turn, another client may get that room.
   * @param hasLeft Whether its client has gone: then the rest of the page is not put together, and the result is empty.
   */
  async assemble(page: HistoryPage, hold: Hold, hasLeft: () => boolean): Promise<Buffer> {
    const bytes = page.messages.reduce((sum, { data }) => sum + data.length, 0);
    if (bytes <= SMALL_PAGE_BYTES) return this.#assembleClean(page, hasLeft);
    await this.#large.enter(bytes, hold);
    try {
      return await this.#assembleClean(page, hasLeft);
    } finally {
      this.#large.leave(bytes);
    }
  }

  /** A message erased before the page is complete is not in it. */
  async #assembleClean(page: HistoryPage, hasLeft: () => boolean): Promise<Buffer> {
    for (;;) {
      const erased = erasedOf(page);
      const body = await this.#assembleOnce(page, hasLeft);
      if (body === undefined) return NOTHING;
      if (!page.clean()) throw new Problem('unavailable', 'Messages of this page were erased while it was put together. Ask again.');
      if (erasedOf(page) === erased) return body;
    }
  }

  /** Undefined where the client has gone. */
  async #assembleOnce({ messages, cursor, more, gap }: HistoryPage, hasLeft: () => boolean): Promise<Buffer | undefined> {
    await this.#slices.enter();
    try {
      if (hasLeft()) return undefined;
      const parts: Uint8Array[] = [];
      let length = 0;
      const add = (part: Uint8Array): void => {
        parts.push(part);
        length += part.length;
      };
      add(BEGINNING);
      for (const [index, message] of messages.entries()) {
        if (index > 0) add(BETWEEN);
        for (const piece of jsonPieces(message)) {
          add(piece);
          if (!this.#slices.isOver) continue;
          await this.#slices.pause();
          if (hasLeft()) return undefined;
        }
      }
      // The line feed is for people who read it in a terminal.
      add(Buffer.from(`],${JSON.stringify({ cursor, more, gap }).slice(1)}\n`));
      return await this.#joined(parts, length);
    } finally {
      this.#slices.leave();
    }
  }

  async #joined(parts: readonly Uint8Array[], length: number): Promise<Buffer> {
    if (length <= COPY_MAX_BYTES) return Buffer.concat(parts, length);
    const whole = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (const part of parts) {
      for (let from = 0; from < part.length; from += COPY_MAX_BYTES) {
        const copied = part.subarray(from, from + COPY_MAX_BYTES);
        whole.set(copied, at);
        at += copied.length;
        if (this.#slices.isOver) await this.#slices.pause();
      }
    }
    return whole;
  }
}

/** How many of its messages are tombstones. */
function erasedOf({ messages }: HistoryPage): number {
  return messages.reduce((sum, { isErased }) => sum + (isErased ? 1 : 0), 0);
}
