import type { LogState } from '../../model/epochs.ts';
import type { Position } from '../../model/position.ts';
import type { Filter } from '../../model/topic.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Store } from '../../store/store.ts';
import type { StoreClock } from '../tail/store-clock.ts';
import type { Tail } from '../tail/tail.ts';
import type { WalkTurns } from './walk-turns.ts';

/** Where the newest messages begin that a filter matches. */
export interface NewestQuery {
  readonly filter: Filter;
  /** Messages. */
  readonly count: number;
  /** Whether the client is gone: then the walk stops. */
  readonly hasLeft: () => boolean;
  /** The client that asks. */
  readonly holder: Holder | undefined;
}

export interface NewestMatchesDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  /** Each step of a walk takes a turn of its own, so that a long walk does not keep the other reads waiting. */
  readonly reads: CallLimiter;
  readonly walks: Pick<WalkTurns, 'pass'>;
}

/** Walks back through the log, from its head to the position before the newest messages that match. Expired messages do not count. */
export class NewestMatches {
  readonly #store: Store;
  readonly #tail: Tail;
  readonly #storeClock: StoreClock;
  readonly #reads: CallLimiter;
  readonly #walks: NewestMatchesDependencies['walks'];

  constructor({ store, tail, storeClock, reads, walks }: NewestMatchesDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#storeClock = storeClock;
    this.#reads = reads;
    this.#walks = walks;
  }

  /**
   * The position before the oldest of them, or the head where nothing matches. It lies just before a counted message, not at the oldest number. So retention makes
   * a gap only where it deletes a message that was asked for.
   *
   * @param log A fresh look: what another instance has acknowledged counts, though the tail may not have it yet.
   */
  async before(query: NewestQuery, log: LogState): Promise<Position> {
    const at = query.count === 0 ? log.lineage.at(log.head) : await this.#walks.pass(() => this.#inTail(query, log), query.holder);
    return at ?? await this.#inLog(query);
  }

  #inTail({ filter, count }: NewestQuery, { head }: LogState): Position | undefined {
    if (this.#tail.last < head) return undefined;
    const now = this.#storeClock.now();
    return this.#tail.beforeNewest(count, (topic) => filter.matches(topic), (message) => !message.isExpired(now));
  }

  async #inLog({ filter, count, hasLeft, holder }: NewestQuery): Promise<Position> {
    for (;;) {
      /** The head when the walk began. */
      let top: Position | undefined;
      let before = Number.MAX_SAFE_INTEGER;
      let oldestMatch: number | undefined;
      for (let found = 0; ;) {
        const limit = count - found;
        const step = await this.#tail.ask(() => this.#reads.pass(() => this.#store.findBack({ before, filter, limit }), holder));
        const { seqs, from, log } = step;
        top ??= log.lineage.at(log.head);
        // A copy replaced the log and lacks some counted messages: the walk begins again.
        if (!log.lineage.isGood(top)) break;
        found += seqs.length;
        oldestMatch = seqs.at(-1) ?? oldestMatch;
        before = from;
        if (found < count && from > log.oldest && !hasLeft()) continue;
        return oldestMatch === undefined ? top : log.lineage.at(Math.max(oldestMatch, log.oldest) - 1);
      }
    }
  }
}
