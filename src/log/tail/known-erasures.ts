import type { Lineage, LogState } from '../../model/epochs.ts';
import type { Message } from '../../model/message.ts';
import { formatId, type Position } from '../../model/position.ts';
import { ERASURES_MAX_ENTRIES, type ErasureStore } from '../../store/contracts/erasure-store.ts';
import type { Named } from './recent-messages.ts';
import type { Knowledge } from './tail-refill.ts';

/** An erasure as an instance knows it. */
export interface KnownErasure {
  readonly version: number;
  readonly at: Position;
  readonly topic: string;
  /** Whether all messages of the topic up to this position are erased, not only the message there. */
  readonly isPrefix: boolean;
  /** The epochs of the log in which it happened: a copy of the log may have given the number to another message. */
  readonly lineage: Lineage;
}

/** Tells which messages some erasures have erased. */
export function among(erasures: readonly KnownErasure[]): (message: Named) => boolean {
  const singles = new Set(erasures.filter(({ isPrefix }) => !isPrefix).map(({ at: { epoch, seq } }) => formatId(epoch, seq)));
  const prefixes = Map.groupBy(erasures.filter(({ isPrefix }) => isPrefix), ({ topic }) => topic);
  return (message) => (singles.size > 0 && singles.has(formatId(message.epoch, message.seq)))
    || prefixes.get(message.topic)?.some(({ at: { seq }, lineage }) => message.seq <= seq && lineage.isGood(message)) === true;
}

export interface KnownErasuresDependencies {
  readonly store: ErasureStore;
  /** The known state of the log, before the question. */
  readonly knowledge: () => Knowledge;
  /**
   * Applies an answer to the messages in memory.
   * @param erasures undefined where anything may have been erased.
   * @returns False where the answer is of a log that is not used any more: then the next look asks again.
   */
  readonly take: (before: Knowledge, log: LogState, erasures: readonly KnownErasure[] | undefined) => boolean;
}

/**
 * The erasures that one instance knows. It asks for new ones whenever an answer of the store shows a later version than it knows. It keeps the newest. Answers that were on their way meanwhile
 * still have the data, and these erasures take the data out of them.
 */
export class KnownErasures {
  readonly #dependencies: KnownErasuresDependencies;
  #version = 0;
  /** The newest, in the order of their versions. */
  #kept: readonly KnownErasure[] = [];
  #asking: Promise<void> | undefined;

  constructor(dependencies: KnownErasuresDependencies) {
    this.#dependencies = dependencies;
  }

  /** Everything up to this version is known. */
  get version(): number {
    return this.#version;
  }

  /** Begins with a log that has nothing in memory yet. */
  begin({ erasures = 0 }: LogState): void {
    this.#version = erasures;
  }

  /** Resolves when everything that was erased up to a version is known. Rejects with a `StoreError`. */
  async reach(version: number): Promise<void> {
    while (this.#version < version) await this.#ask();
  }

  /** Reads the changes when the log has another version. An earlier version counts, too: a copy may have replaced the log. Rejects with a `StoreError`. */
  async look(version: number): Promise<void> {
    if (version !== this.#version) await this.#ask();
  }

  /**
   * Makes tombstones of messages that an answer still has with their data.
   * @param read Their version of the erasures when they were read.
   * @returns False where the erasures since then are not known any more: the messages must not be used.
   */
  clean(messages: readonly Message[], read: number): boolean {
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

  /** Returns whether there are more to ask for. */
  async #askOnce(): Promise<boolean> {
    const { store, knowledge, take } = this.#dependencies;
    const before = knowledge();
    const after = this.#version;
    const { version, more, erasures, log } = await store.changes(after);
    const known = erasures?.map(({ seq, ...one }, index): KnownErasure => ({ ...one, at: log.lineage.at(seq), lineage: log.lineage, version: after + 1 + index }));
    if (!take(before, log, known)) return false;
    // An incomplete list is of no use.
    this.#kept = known === undefined ? [] : [...this.#kept, ...known].slice(-ERASURES_MAX_ENTRIES);
    this.#version = version;
    return more;
  }
}
