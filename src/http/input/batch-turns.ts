import type { Draft } from '../../model/message.ts';
import { Budget } from '../../runtime/budget.ts';
import { parseBatch, type BatchBounds, type BatchFormat } from './batch-body.ts';

/**
 * What a batch takes while it is parsed, besides its body: the text of the body, which has two bytes for each where one character is beyond Latin-1, and
 * the data of its messages. So many times its body's length.
 */
export const PARSING_FACTOR = 3;

/** Larger batches take turns of their own. Stops a small batch from waiting for all large ones that came before it. */
const SMALL_BATCH_BYTES = 64 * 1024;

/** Bodies of small batches that are parsed at the same time. Stops many of them that are interrupted in the middle from taking memory without end. */
const SMALL_PARSED_MAX_BYTES = 4 * 1024 * 1024;

/** Reads batches in turns, because each takes several times its length meanwhile, and the parser has one thread in any case. What waits is held by its body alone. */
export class BatchTurns {
  readonly #small = new Turns(SMALL_PARSED_MAX_BYTES);
  readonly #large: Turns;

  /** @param maxBytes The largest body of a batch: so much is parsed at the same time. */
  constructor(maxBytes: number) {
    this.#large = new Turns(maxBytes);
  }

  /** The messages of a batch, once it is its turn. Rejects with a Problem. */
  async parse(body: Buffer, format: BatchFormat, bounds: BatchBounds): Promise<Draft[]> {
    const turns = body.length <= SMALL_BATCH_BYTES ? this.#small : this.#large;
    const { length } = body;
    await turns.enter(length);
    try {
      return await parseBatch(body, format, bounds);
    } finally {
      turns.leave(length);
    }
  }
}

/** Lets in as many bytes as fit, in the order in which they came. */
class Turns {
  readonly #room: Budget;
  readonly #waiting: { readonly bytes: number; readonly enter: () => void }[] = [];

  constructor(maxBytes: number) {
    this.#room = new Budget(maxBytes);
  }

  async enter(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#room.take(bytes)) return;
    await new Promise<void>((enter) => void this.#waiting.push({ bytes, enter }));
  }

  leave(bytes: number): void {
    this.#room.give(bytes);
    for (let next = this.#waiting[0]; next !== undefined && this.#room.take(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.enter();
    }
  }
}
