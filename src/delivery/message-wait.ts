import type { Tail } from '../log/tail/tail.ts';
import type { Filter } from '../model/topic.ts';
import type { Clock } from '../runtime/clock.ts';
import { UNNAMED } from '../runtime/sharing/fair-shares.ts';
import type { Audience } from './audience.ts';
import type { Waiter } from './reader/reader-group.ts';

export interface MessageWaitDependencies {
  readonly audience: Pick<Audience, 'makeRoom' | 'join' | 'leave'>;
  readonly tail: Pick<Tail, 'last'>;
  readonly clock: Clock;
  readonly filter: Filter;
  /** The longest wait without a message. Milliseconds. */
  readonly quietMs: number;
}

/** Waits for new messages as a long poll does, in the audience: one look of the fan-out at a message is for all who wait. */
export class MessageWait {
  readonly #deps: MessageWaitDependencies;
  #wake: Waiter | undefined;

  constructor(deps: MessageWaitDependencies) {
    this.#deps = deps;
  }

  /** Whether the filter may join the audience in this turn. Filters of larger holders give way to it. */
  makeRoom(): boolean {
    return this.#deps.audience.makeRoom(this.#deps.filter, () => UNNAMED);
  }

  get isUnderWay(): boolean {
    return this.#wake !== undefined;
  }

  /**
   * Resolves when a message after a number may be there, at once if `cancel` is called.
   * @returns undefined then. After a quiet time, the number up to which none is there.
   */
  async after(seq: number): Promise<number | undefined> {
    const { audience, clock, filter, quietMs, tail } = this.#deps;
    const group = audience.join(filter);
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    const wake: Waiter = resolve;
    this.#wake = wake;
    group.waiters.add(wake);
    // All messages so far were shown to the group.
    const timer = clock.after(quietMs, () => wake(group.firstUntold === undefined ? tail.last : group.firstUntold - 1));
    // While the log was read, nobody listened.
    if (tail.last > seq) wake(undefined);
    const quietTo = await promise;
    timer.cancel();
    this.#wake = undefined;
    group.waiters.delete(wake);
    audience.leave(group);
    return quietTo;
  }

  /** Ends the wait under way. */
  cancel(): void {
    this.#wake?.(undefined);
  }
}
