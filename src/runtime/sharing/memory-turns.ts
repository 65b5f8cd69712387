import { Budget, type Hold } from './budget.ts';
import { type Charge, type Evictable, FairShares, type FairSharesDependencies, UNNAMED } from './fair-shares.ts';

export interface MemoryTurnsDependencies extends Pick<FairSharesDependencies, 'gate' | 'counters'> {
  /** The error of a caller that is evicted while it waits. */
  readonly refusal: () => Error;
}

/** Work that waits for memory. */
interface Waiting extends Evictable {
  readonly bytes: number;
  readonly enter: () => void;
}

/** Bounds the memory of concurrent work. Work waits until its bytes fit. Clients take turns, so no client waits for all the work of another. */
export class MemoryTurns {
  readonly #room: Budget;
  readonly #waiting: FairShares<Waiting>;
  readonly #charges = new Map<Waiting, Charge>();
  /** The work whose turn it is, while there is no room for it yet. */
  #next: Waiting | undefined;
  readonly #refusal: () => Error;

  constructor(maxBytes: number, { gate, counters, refusal }: MemoryTurnsDependencies) {
    this.#room = new Budget(maxBytes);
    this.#waiting = new FairShares({ gate, counters });
    this.#refusal = refusal;
  }

  /**
   * Resolves when work of this size may begin. Then the caller must call `leave`. Rejects with the refusal if `hold` is evicted before.
   * @param hold The caller's bytes of another budget, such as a request's body. That budget may evict them until the work begins.
   */
  async enter(bytes: number, hold: Hold | undefined): Promise<void> {
    if (this.#charges.size === 0 && this.#room.take(bytes)) return;
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
        reject(this.#refusal());
        this.#letIn();
      },
    };
    this.#charges.set(waiting, this.#waiting.charge(hold?.holder ?? UNNAMED, 1, waiting));
    // Only the hold's own budget evicts this item: `MemoryTurns` itself never calls `makeRoom`.
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
    this.#charges.get(waiting)!.release();
    this.#charges.delete(waiting);
    if (this.#next === waiting) this.#next = undefined;
  }
}
