import type { Lineage, LogState } from '../../model/epochs.ts';
import type { Message } from '../../model/message.ts';
import { formatId, type Position } from '../../model/position.ts';
import { ERASURES_MAX_ENTRIES, type ErasureStore } from '../../store/contracts/erasure-store.ts';
import type { Named } from './recent-messages.ts';
import type { Knowledge } from './known-log.ts';

/** An erasure, with the log in which it happened. */
export interface KnownErasure {
  readonly version: number;
  readonly at: Position;
  readonly topic: string;
  /** Whether all messages of the topic up to this position are erased, not only the message there. */
  readonly isPrefix: boolean;
  /** The epochs of that log. Another copy of the log may have given the number to another message. */
  readonly lineage: Lineage;
}

/** Returns the test for messages that one of these erasures has erased. */
export function among(erasures: readonly KnownErasure[]): (message: Named) => boolean {
  const singles = new Set(erasures.filter(({ isPrefix }) => !isPrefix).map(({ at: { epoch, seq } }) => formatId(epoch, seq)));
  const prefixes = Map.groupBy(erasures.filter(({ isPrefix }) => isPrefix), ({ topic }) => topic);
  return (message) => (singles.size > 0 && singles.has(formatId(message.epoch, message.seq)))
    || prefixes.get(message.topic)?.some(({ at: { seq }, lineage }) => message.seq <= seq && lineage.isGood(message)) === true;
}

export interface KnownErasuresDependencies {
  readonly store: ErasureStore;
  /** Read before each query. */
  readonly knowledge: () => Knowledge;
  /**
   * Applies an answer to the messages in memory.
   * @param erasures undefined if the store cannot list them all: then any message may have been erased.
   * @returns False if the answer is of a replaced log: then the next look queries again.
   */
  readonly take: (before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined) => boolean;
}

/** The version of the erasures that an answer of the store includes. Absent if the answer says nothing about erasures: it then counts as up to date. */
type Erasures = Pick<LogState, 'erasures'>;

/**
 * The newest erasures of the log, numbered by version. When an answer of the store shows a later version, the tail reads the new erasures. The newest ones are kept,
 * because a query that began before an erasure still returns the data. `clean` removes the data from such an answer.
 */
export class KnownErasures {
  readonly #dependencies: KnownErasuresDependencies;
  #version = 0;
  /** The newest, in the order of their versions, up to `#version` and without a hole. */
  #kept: readonly KnownErasure[] = [];
  /** The query under way, which all callers share. */
  #asking: Promise<void> | undefined;

  constructor(dependencies: KnownErasuresDependencies) {
    this.#dependencies = dependencies;
  }

  /** All erasures up to this version are applied to memory. */
  get version(): number {
    return this.#version;
  }

  /** Begins with the log's version. Memory is still empty, so no older erasure concerns it. */
  begin({ erasures = 0 }: LogState): void {
    this.#version = erasures;
  }

  /** Whether an answer includes erasures that are not applied to memory yet. */
  isBehind({ erasures = this.#version }: Erasures): boolean {
    return erasures > this.#version;
  }

  /** Resolves when all erasures that an answer includes are applied to memory. Rejects with a `StoreError`. */
  async reach(answer: Erasures): Promise<void> {
    while (this.isBehind(answer)) await this.#ask();
  }

  /** Reads the erasures if the log has another version. A smaller version counts too: a copy may have replaced the log. Rejects with a `StoreError`. */
  async look({ erasures = this.#version }: Erasures): Promise<void> {
    if (erasures !== this.#version) await this.#ask();
  }

  /**
   * Makes tombstones of messages that were erased after an answer was read.
   * @returns False if some erasures since then are forgotten: the messages must not be used.
   */
  clean(messages: readonly Message[], { erasures: read = this.#version }: Erasures): boolean {
    if (read >= this.#version) return true;
    if (this.#kept.length < this.#version - read) return false;
    const isErased = among(this.#kept.filter(({ version }) => version > read));
    for (const message of messages) if (isErased(message)) message.erase();
    return true;
  }

  #ask(): Promise<void> {
    return (this.#asking ??= this.#askAll().finally(() => {
      this.#asking = undefined;
    }));
  }

  async #askAll(): Promise<void> {
    while (await this.#askOnce());
  }

  /** Reads one page of erasures. Returns whether there are more. */
  async #askOnce(): Promise<boolean> {
    const { store, knowledge, take } = this.#dependencies;
    const before = knowledge();
    const after = this.#version;
    const { version, more, erasures, log } = await store.changes(after);
    const known = erasures?.map(({ seq, ...one }, index): KnownErasure => ({ ...one, at: log.lineage.at(seq), lineage: log.lineage, version: after + 1 + index }));
    if (!take(before, log, known)) return false;
    // Without this page, the kept erasures would have a hole.
    this.#kept = known === undefined ? [] : [...this.#kept, ...known].slice(-ERASURES_MAX_ENTRIES);
    this.#version = version;
    return more;
  }
}
