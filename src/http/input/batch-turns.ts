import type { Draft } from '../../model/message.ts';
import { Budget, type Hold } from '../../runtime/budget.ts';
import type { Slices } from '../../runtime/slices.ts';
import { parseBatch, type BatchBounds, type BatchFormat } from './batch-body.ts';
import { tooMany } from './body.ts';

/**
 * What a batch takes while it is parsed, besides its body: the text of the body, and the data of its messages. The text has two bytes for each character where one is beyond Latin-1. So
 * it is so many times the body's length.
 */
export const PARSING_FACTOR = 3;

/** Larger batches take turns of their own. Stops a small batch from waiting for all large ones that came before it. */
const SMALL_BATCH_BYTES = 64 * 1024;

/** Bodies of small batches that are parsed at the same time. Stops many of them that are interrupted in the middle from taking memory without end. */
const SMALL_PARSED_MAX_BYTES = 4 * 1024 * 1024;

/** Reads batches in turns, because each takes several times its length meanwhile, and the parser has one thread in any case. What waits is held by its body alone, and may be taken back. */
export class BatchTurns {
  readonly #small = new Turns(SMALL_PARSED_MAX_BYTES);
  readonly #large: Turns;
  readonly #slices: Slices;

  /** @param maxBytes The largest body of a batch: so much is parsed at the same time. */
  constructor(maxBytes: number, slices: Slices) {
    this.#large = new Turns(maxBytes);
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

interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
}

/** Lets in as many bytes as fit, in the order in which they came. */
class Turns {
  readonly #room: Budget;
  readonly #waiting: Waiting[] = [];

  constructor(maxBytes: number) {
    this.#room = new Budget(maxBytes);
  }

  async enter(bytes: number, hold: Hold | undefined): Promise<void> {
    if (this.#waiting.length === 0 && this.#room.take(bytes)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = { bytes, enter: () => {
      hold?.pin();
      resolve();
    } };
    this.#waiting.push(waiting);
    hold?.loosen({ waitsForUs: true, takeBack: () => {
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      reject(tooMany());
      this.#letIn();
    } });
    await promise;
  }

  leave(bytes: number): void {
    this.#room.give(bytes);
    this.#letIn();
  }

  #letIn(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#room.take(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift();
      next.enter();
    }
  }
}
