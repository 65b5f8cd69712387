import type { LogState } from '../../model/epochs.ts';
import type { Position } from '../../model/position.ts';
import type { Filter } from '../../model/topic.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Store } from '../../store/store.ts';
import type { StoreClock } from '../tail/store-clock.ts';
import type { Tail } from '../tail/tail.ts';
import type { WalkTurns } from './walk-turns.ts';

/** A search for the newest messages that a filter matches. */
export interface NewestQuery {
  readonly filter: Filter;
  /** Messages. */
  readonly count: number;
  /** Whether the client has disconnected: then the search stops. */
  readonly hasLeft: () => boolean;
  /** The client that sent the request. Clients take turns. */
  readonly holder: Holder | undefined;
}

export interface NewestMatchesDependencies {
  readonly store: Store;
  readonly tail: Tail;
  readonly storeClock: StoreClock;
  /** Each step of a search takes a turn of its own, so that a long search does not delay the other reads. */
  readonly reads: CallLimiter;
  readonly walks: Pick<WalkTurns, 'pass'>;
}

/** Finds the position before the newest matching messages, backwards from the head: in the tail if that is enough, otherwise in the database. Expired messages do not count. */
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
   * The position right before the oldest of these messages; the head if nothing matches. It does not lie further back, so retention causes a gap only if it
   * deletes one of these messages.
   *
   * @param log From a fresh look: messages that another instance acknowledged count, even if the tail still lacks them.
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
        // A copy replaced the log, and lacks some of the messages found: begin again.
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
