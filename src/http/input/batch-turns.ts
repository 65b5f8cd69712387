import type { Draft } from '../../model/message.ts';
import { Budget, type Hold } from '../../runtime/budget.ts';
import type { Counters } from '../../runtime/counters.ts';
import { ANYBODY, FairShares, type Holding, type Share } from '../../runtime/fair-shares.ts';
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

export interface BatchTurnsDependencies {
  /** The largest body of a batch: so much is parsed at the same time. */
  readonly maxBytes: number;
  readonly slices: Slices;
  readonly counters: Pick<Counters, 'evicted'>;
}

/** Reads batches in turns, because each takes several times its length meanwhile, and the parser has one thread in any case. What waits is held by its body alone, and may be taken back. */
export class BatchTurns {
  readonly #small: Turns;
  readonly #large: Turns;
  readonly #slices: Slices;

  constructor({ maxBytes, slices, counters }: BatchTurnsDependencies) {
    this.#small = new Turns(SMALL_PARSED_MAX_BYTES, counters);
    this.#large = new Turns(maxBytes, counters);
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

interface Waiting extends Holding {
  readonly bytes: number;
  readonly enter: () => void;
}

/** Lets in as many bytes as fit. Clients take turns, so nobody waits for all batches of another. */
class Turns {
  readonly #room: Budget;
  readonly #waiting: FairShares<Waiting>;
  readonly #shares = new Map<Waiting, Share>();
  /** Whose turn it is, where there is no room for it yet. */
  #next: Waiting | undefined;

  constructor(maxBytes: number, counters: Pick<Counters, 'evicted'>) {
    this.#room = new Budget(maxBytes);
    this.#waiting = new FairShares({ gate: 'bodies', counters });
  }

  async enter(bytes: number, hold: Hold | undefined): Promise<void> {
    if (this.#shares.size === 0 && this.#room.take(bytes)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting: Waiting = {
      bytes,
      waitsForUs: true,
      enter: () => {
        hold?.pin();
        resolve();
      },
      takeBack: () => {
        this.#forget(waiting);
        reject(tooMany());
        this.#letIn();
      },
    };
    this.#shares.set(waiting, this.#waiting.hold(hold?.holder ?? ANYBODY, 1, waiting));
    // The budget of bodies takes it back: here nobody makes room.
    hold?.loosen(waiting);
    await promise;
  }

  leave(bytes: number): void {
    this.#room.give(bytes);
    this.#letIn();
  }

  #letIn(): void {
    for (;;) {
      this.#next ??= this.#waiting.next();
      const next = this.#next;
      if (next === undefined || !this.#room.take(next.bytes)) return;
      this.#forget(next);
      next.enter();
    }
  }

  #forget(waiting: Waiting): void {
    this.#shares.get(waiting)!.release();
    this.#shares.delete(waiting);
    if (this.#next === waiting) this.#next = undefined;
  }
}
