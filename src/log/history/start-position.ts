import type { LogState } from '../../model/epochs.ts';
import { startWithGap, type Start } from '../../model/gap.ts';
import type { Position } from '../../model/position.ts';
import type { Filter } from '../../model/topic.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Store } from '../../store/store.ts';
import { NewestMatches } from './newest-matches.ts';
import { SharedLook } from '../tail/shared-look.ts';
import type { StoreClock } from '../tail/store-clock.ts';
import type { Tail } from '../tail/tail.ts';
import type { WalkTurns } from './walk-turns.ts';

/** Where a client wants to begin reading. */
export type StartRequest =
  /** From now on: only messages published later. */
  | { readonly kind: 'now' }
  /** From the oldest message held, without a `$gap`. */
  | { readonly kind: 'start' }
  /** After an id. */
  | { readonly kind: 'after'; readonly position: Position }
  /** The client sent a cursor that is no id. Reading starts as without a cursor, but with a `$gap`, reason `unknown-log`. */
  | { readonly kind: 'unknown'; readonly otherwise: 'now' | 'start' }
  /** From a time on: milliseconds since 1970, or an age in milliseconds by the store's clock. */
  | { readonly kind: 'since'; readonly time: number }
  | { readonly kind: 'ago'; readonly milliseconds: number }
  /** With this many of the newest matching messages. */
  | { readonly kind: 'last'; readonly count: number };

export interface StartOptions {
  readonly filter: Filter;
  /** Whether the client has disconnected: then a long search stops. */
  readonly hasLeft: () => boolean;
  /** The client that sent the request. Clients take turns. */
  readonly holder?: () => Holder;
}

export interface StartsDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  readonly reads: CallLimiter;
  readonly walks: Pick<WalkTurns, 'pass'>;
}

/** Turns a client's request into a position in the log, and a gap if messages before it may be missing. */
export class Starts {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #reads: CallLimiter;
  readonly #states: SharedLook<LogState>;
  readonly #newestMatches: NewestMatches;

  constructor({ store, tail, storeClock, reads, walks }: StartsDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#reads = reads;
    this.#states = new SharedLook(async () => (await tail.ask(async () => ({ log: await store.state() }))).log);
    this.#newestMatches = new NewestMatches({ store, tail, storeClock, reads, walks });
  }

  /** Whether the log is open. Before that, do not call `resolve`. */
  get isReady(): boolean {
    return this.#tail.log !== undefined;
  }

  /** Rejects with a `StoreError` if a needed read of the log fails, and with a `Problem` if too many reads wait. */
  async resolve(request: StartRequest, { filter, hasLeft, holder }: StartOptions): Promise<Start> {
    switch (request.kind) {
      case 'now':
        return { at: this.#tail.head, gap: undefined };
      case 'start': {
        const log = await this.#states.fresh();
        return { at: log.lineage.at(log.oldest - 1), gap: undefined };
      }
      case 'after':
        // The tail may confirm a position. Only the database may deny it: a cursor from another instance can be ahead of this tail (invariant 4).
        if (this.#tail.knows(request.position)) return { at: request.position, gap: undefined };
        return this.#locate(request.position);
      case 'unknown': {
        const log = await this.#states.fresh();
        return startWithGap(undefined, request.otherwise === 'now' ? log.head : log.oldest - 1, 'unknown-log', log);
      }
      case 'since':
        return this.#seek(request.time, holder);
      case 'ago':
        return this.#seek(this.#storeClock.now() - request.milliseconds, holder);
      case 'last': {
        const at = await this.#newestMatches.before({ filter, count: request.count, hasLeft, holder: holder?.() }, await this.#states.fresh());
        return { at, gap: undefined };
      }
    }
  }

  /** If the cursor's epoch is unknown, reads the origins of lost epochs that other instances stored, and tries again. */
  async #locate(position: Position): Promise<Start> {
    const start = this.#tail.locate(position, await this.#states.fresh());
    if (start.gap?.reason !== 'unknown-log') return start;
    await this.#tail.recallLost();
    return this.#tail.locate(position, await this.#states.fresh());
  }

  /** Turns a time into a number, once; reading then follows the numbers, so later changes of the clock do not matter (invariant 10). */
  async #seek(time: number, holder?: () => Holder): Promise<Start> {
    const { seq, missing, log } = await this.#tail.ask(() => this.#reads.pass(() => this.#store.seek(time), holder?.()));
    return missing ? startWithGap(undefined, seq, 'expired', log) : { at: log.lineage.at(seq), gap: undefined };
  }
}
