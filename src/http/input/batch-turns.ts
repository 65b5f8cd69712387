import type { Draft } from '../../model/message.ts';
import type { Hold } from '../../runtime/sharing/budget.ts';
import type { Counters } from '../../runtime/counters.ts';
import { MemoryTurns } from '../../runtime/sharing/memory-turns.ts';
import type { Slices } from '../../runtime/slices.ts';
import { parseBatch, type BatchBounds, type BatchFormat } from './batch-body.ts';
import { tooMany } from './body.ts';

/**
 * The memory of a batch while it is parsed, besides its body: the text of the body, and the data of its messages. A multiple of the body's length. The text has two bytes for each character if one is
 * beyond Latin-1.
 */
export const PARSING_FACTOR = 3;

/** Larger batches take turns of their own. Stops a small batch from waiting for all large ones that came before it. */
const SMALL_BATCH_BYTES = 64 * 1024;

/** Bodies of small batches that are parsed at the same time. Stops many of them that are interrupted in the middle from taking memory without end. */
const SMALL_PARSED_MAX_BYTES = 4 * 1024 * 1024;

export interface BatchTurnsDependencies {
  /** The largest body of a batch: the bytes that are parsed at the same time. */
  readonly maxBytes: number;
  readonly slices: Slices;
  readonly counters: Pick<Counters, 'evicted'>;
}

/** Reads batches in turns, because each takes several times its length meanwhile, and the parser has one thread in any case. A waiting batch is held by its body alone, and may be taken back. */
export class BatchTurns {
  readonly #small: MemoryTurns;
  readonly #large: MemoryTurns;
  readonly #slices: Slices;

  constructor({ maxBytes, slices, counters }: BatchTurnsDependencies) {
    this.#small = new MemoryTurns(SMALL_PARSED_MAX_BYTES, { gate: 'bodies', counters, refusal: tooMany });
    this.#large = new MemoryTurns(maxBytes, { gate: 'bodies', counters, refusal: tooMany });
    this.#slices = slices;
  }

  /**
   * The messages of a batch, once it is its turn. Rejects with a Problem.
   * @param hold What the body holds; undefined where it is empty.
   */
  async parse(body: Buffer, format: BatchFormat, bounds: BatchBounds, hold?: Hold): Promise<Draft[]> {
    const turns = body.length <= SMALL_BATCH_BYTES ? this.#small : this.#large;
    const { length } = body;
    await turns.enter(length, hold);
    try {
      return await parseBatch(body, format, bounds, this.#slices);
    } finally {
      turns.leave(length);
    }
  }
}
