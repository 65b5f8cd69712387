import type { LogState } from '../../model/epochs.ts';
import type { Message } from '../../model/message.ts';
import { rangesOf } from '../../model/topic-ranges.ts';
import type { CallLimiter } from '../../runtime/sharing/call-limiter.ts';
import type { Holder } from '../../runtime/sharing/fair-shares.ts';
import type { Store } from '../../store/store.ts';
import type { TopicHolding } from '../../store/contracts/topic-store.ts';
import { unavailable } from './history-pages.ts';
import type { Tail } from '../tail/tail.ts';

/** How many names one read seeks if the client may see only some of them. Stops a read from delaying others for long. */
const NAMES_MAX_ENTRIES = 1_000;
/** The most reads for the names of one page. Stops a page from reading all topics of a log for the few that its client may see: such a page is short, and says that there is more. */
const NAMES_MAX_READS = 20;
/** The most messages of one topic that are counted. With `TOPICS_PAGE_MAX_ENTRIES`, bounds the rows that one read examines. */
export const COUNTED_MAX_MESSAGES = 100;
/** The most messages of one read backwards through the log. Stops their decoding from blocking the event loop. */
const BACK_STEP_MESSAGES = 1_000;
/** How many messages one page reads backwards in search of topics. Stops a topic with very many messages from keeping the request, and the database, busy. */
export const RECENT_MAX_MESSAGES = 10_000;

/** The most topics of one page. Bounds its bytes, the rows that it counts, and the requests to other instances about it. */
export const TOPICS_PAGE_MAX_ENTRIES = 100;

export interface NamesQuery {
  /** The prefixes that names may have. */
  readonly prefixes: readonly string[];
  /** Only names after this one; `''` for all. */
  readonly after: string;
  readonly limit: number;
  readonly isShown: (topic: string) => boolean;
  /** Whether `isShown` refuses many names: then a read seeks more names than the page needs. */
  readonly isNarrow: boolean;
  readonly holder: Holder;
}

/** Some names, in order. */
export interface SomeNames {
  readonly names: readonly string[];
  /** The names are complete up to this one; undefined if they are complete. */
  readonly upTo: string | undefined;
}

/** A part of the log: messages without their data, the newest first. */
export interface Step {
  readonly messages: readonly Message[];
  /** The smallest number of the part. */
  readonly from: number;
  readonly log: LogState;
}

export interface TopicReadsDependencies {
  readonly store: Pick<Store, 'topics' | 'state' | 'read'>;
  readonly tail: Pick<Tail, 'ask'>;
  /** The same gate as for pages of history. */
  readonly reads: Pick<CallLimiter, 'pass'>;
}

/** Reads about the topics of the log, each bounded. Each method rejects with a `Problem`. */
export class TopicReads {
  readonly #store: TopicReadsDependencies['store'];
  readonly #tail: TopicReadsDependencies['tail'];
  readonly #reads: TopicReadsDependencies['reads'];

  constructor({ store, tail, reads }: TopicReadsDependencies) {
    this.#store = store;
    this.#tail = tail;
    this.#reads = reads;
  }

  /** The first names, after a given one, of topics that have messages. */
  async names({ prefixes, after, limit, isShown, isNarrow, holder }: NamesQuery): Promise<SomeNames> {
    const names: string[] = [];
    const most = isNarrow ? NAMES_MAX_ENTRIES : limit;
    let last = after;
    for (let reads = 0; reads < NAMES_MAX_READS; reads++) {
      const ranges = rangesOf(prefixes, last);
      const some = await this.#pass(() => this.#store.topics.names({ ranges, limit: most }), holder);
      for (const name of some) {
        last = name;
        if (isShown(name)) names.push(name);
        if (names.length >= limit) return { names, upTo: last };
      }
      if (some.length < most) return { names, upTo: undefined };
    }
    return { names, upTo: last };
  }

  /** Counts the messages of at most `TOPICS_PAGE_MAX_ENTRIES` topics. */
  holdings(topics: readonly string[], holder: Holder): Promise<readonly TopicHolding[]> {
    return topics.length === 0 ? Promise.resolve([]) : this.#pass(() => this.#store.topics.holdings(topics, COUNTED_MAX_MESSAGES), holder);
  }

  /** The log as it is now. */
  state(holder: Holder): Promise<LogState> {
    return this.#ask(async () => ({ log: await this.#store.state() }), holder).then(({ log }) => log);
  }

  /** Reads backwards from the number before `before` to the number after `after`, but at most `RECENT_MAX_MESSAGES` messages. */
  async* back(before: number, after: number, holder: Holder): AsyncGenerator<Step> {
    const end = Math.max(after, before - 1 - RECENT_MAX_MESSAGES);
    for (let next = before; next - 1 > end;) {
      const from = Math.max(end, next - 1 - BACK_STEP_MESSAGES);
      const limit = next - 1 - from;
      const { messages, log } = await this.#ask(() => this.#store.read({ after: from, filter: undefined, limit, maxBytes: Number.MAX_SAFE_INTEGER, withoutData: true }), holder);
      // If retention deleted some of these messages, the read has gone on beyond `next`.
      yield { messages: messages.filter(({ seq }) => seq < next).reverse(), from: from + 1, log };
      if (log.oldest > from) return;
      next = from + 1;
    }
  }

  async #pass<Answer>(call: () => Promise<Answer>, holder: Holder): Promise<Answer> {
    try {
      return await this.#reads.pass(call, holder);
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #ask<Answer extends { readonly log: LogState }>(call: () => Promise<Answer>, holder: Holder): Promise<Answer> {
    return this.#tail.ask(() => this.#pass(call, holder));
  }
}
