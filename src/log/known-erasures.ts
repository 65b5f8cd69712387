import type { Lineage, LogState } from '../model/epochs.ts';
import type { Message } from '../model/message.ts';
import type { Position } from '../model/position.ts';
import { ERASURES_MAX_ENTRIES, type ErasureChanges, type ErasureStore } from '../store/erasure-store.ts';

/** An erasure as readers are told of it. */
export interface KnownErasure {
  readonly at: Position;
  readonly topic: string;
  /** Whether all messages of the topic up to this place are erased, and not only this one. */
  readonly isPrefix: boolean;
}

interface Kept extends KnownErasure {
  readonly version: number;
  /** Of the log in which it happened: a copy of the log may have given the number to another message. */
  readonly lineage: Lineage;
}

/**
 * What one instance knows of erasures. It asks for those that it has not heard of whenever an answer of the store shows a later version than it knows, and keeps the newest: an answer that was on
 * its way meanwhile, with data of before, is made true by them.
 */
export class KnownErasures {
  readonly #store: ErasureStore;
  readonly #take: (changes: ErasureChanges) => readonly KnownErasure[] | undefined;
  readonly #before: () => void;
  #version = 0;
  /** The newest, in the order of their versions. */
  #kept: readonly Kept[] = [];
  #asking: Promise<void> | undefined;

  /**
   * @param options.before Called before each question to the store.
   * @param options.take Applies the answer to what is in memory. Returns undefined where the answer is of a log that is not used any more.
   */
  constructor({ store, before, take }: { store: ErasureStore; before: () => void; take: (changes: ErasureChanges) => readonly KnownErasure[] | undefined }) {
    this.#store = store;
    this.#before = before;
    this.#take = take;
  }

  /** Everything up to this version is known. */
  get version(): number {
    return this.#version;
  }

  /** Begins with a log of which nothing is in memory yet. */
  begin({ erasures = 0 }: LogState): void {
    this.#version = erasures;
  }

  /** Resolves when everything that was erased up to a version is known. Rejects with a `StoreError`. */
  async reach(version: number): Promise<void> {
    while (this.#version < version) await this.#ask();
  }

  /** Hears of changes where a look at the log has shown another version: an earlier one too, because a copy may have taken the log's place. Rejects with a `StoreError`. */
  async look(version: number): Promise<void> {
    if (version !== this.#version) await this.#ask();
  }

  /**
   * Makes tombstones of messages that an answer still has with their data.
   * @param read The version by which they were read.
   * @returns False where it is not known any more what was erased since: then they are not to be used.
   */
  clean(messages: readonly Message[], read: number): boolean {
    if (read >= this.#version) return true;
    if (this.#kept.length < this.#version - read) return false;
    const later = this.#kept.filter(({ version }) => version > read);
    for (const message of messages) if (!message.isErased && later.some((one) => isIn(one, message))) message.erase();
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
    this.#before();
    const asked = this.#version;
    const changes = await this.#store.changes(asked);
    const taken = this.#take(changes);
    if (taken === undefined) return false;
    const { lineage } = changes.log;
    const added = taken.map((one, index) => ({ ...one, lineage, version: asked + 1 + index }));
    // What cannot be told whole leaves nothing to go by.
    this.#kept = changes.erasures === undefined ? [] : [...this.#kept, ...added].slice(-ERASURES_MAX_ENTRIES);
    this.#version = changes.version;
    return changes.more;
  }
}

function isIn({ at, topic, isPrefix, lineage }: Kept, message: Message): boolean {
  return isPrefix ? message.topic === topic && message.seq <= at.seq && lineage.isGood(message) : message.seq === at.seq && message.epoch === at.epoch;
}
