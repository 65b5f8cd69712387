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

/** Where a client asks to begin reading. */
export type StartRequest =
  /** From now on: only messages published later. */
  | { readonly kind: 'now' }
  /** From the oldest message held, without a `$gap`. */
  | { readonly kind: 'start' }
  /** After an id. */
  | { readonly kind: 'after'; readonly position: Position }
  /** After text that is no id. Reading starts where it would without it, with a `$gap`, reason `unknown-log`. */
  | { readonly kind: 'unknown'; readonly otherwise: 'now' | 'start' }
  /** From a time on: milliseconds since 1970, or an age in milliseconds by the store's clock. */
  | { readonly kind: 'since'; readonly time: number }
  | { readonly kind: 'ago'; readonly milliseconds: number }
  /** With the newest messages, this many of all that match. */
  | { readonly kind: 'last'; readonly count: number };

export interface StartOptions {
  readonly filter: Filter;
  /** Whether the client is gone: then a long search stops. */
  readonly hasLeft: () => boolean;
  /** The client that asks. Reads of different clients take turns. */
  readonly holder?: () => Holder;
}

export interface StartsDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  readonly reads: CallLimiter;
  readonly walks: Pick<WalkTurns, 'pass'>;
}

/** Turns a client's request into a position in the log, and says what may be missing before it. */
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

  /** Whether the log is open: before that there is nowhere to start. */
  get isReady(): boolean {
    return this.#tail.log !== undefined;
  }

  /** Rejects with a `StoreError` when the log must be asked and cannot be, and with a `Problem` when too many reads wait already. */
  async resolve(request: StartRequest, { filter, hasLeft, holder }: StartOptions): Promise<Start> {
    switch (request.kind) {
      case 'now':
        return { at: this.#tail.head, gap: undefined };
      case 'start': {
        const log = await this.#states.fresh();
        return { at: log.lineage.at(log.oldest - 1), gap: undefined };
      }
      case 'after':
        // Only a yes may come from the tail: whether a cursor is ahead of the log is asked of the database (invariant 4).
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

  /** Another instance may have stored the origin of an epoch that this instance does not know. */
  async #locate(position: Position): Promise<Start> {
    const start = this.#tail.locate(position, await this.#states.fresh());
    if (start.gap?.reason !== 'unknown-log') return start;
    await this.#tail.recallLost();
    return this.#tail.locate(position, await this.#states.fresh());
  }

  /** Invariant 10: a time becomes a number here, once; everything after it follows the number. */
  async #seek(time: number, holder?: () => Holder): Promise<Start> {
    const { seq, missing, log } = await this.#tail.ask(() => this.#reads.pass(() => this.#store.seek(time), holder?.()));
    return missing ? startWithGap(undefined, seq, 'expired', log) : { at: log.lineage.at(seq), gap: undefined };
  }
}
