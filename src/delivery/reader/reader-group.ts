import type { Indexed } from '../../model/filter-index.ts';
import type { Message } from '../../model/message.ts';
import type { Filter } from '../../model/topic.ts';
import type { Reader } from './reader.ts';

/** @param quietTo From the beginning of the wait up to this number, the log has no message for the group; undefined if that is unknown. */
export type Waiter = (quietTo: number | undefined) => void;

/**
 * Readers and long polls with equal filters. Matching, encoding and reads of the log happen once for a group, not for each reader. Each field has one owner: only the
 * owner changes it.
 */
export class Group implements Indexed {
  readonly filter: Filter;
  /** Kept by the stream registry. */
  readonly readers = new Set<Reader>();
  /** Kept by the fan-out and its sweeps. */
  readonly pending = new Pending();
  /** Kept by catch-up: the number at which the last read of the log for this group ended. */
  readUpTo = 0;
  /** Kept by the audience's index. */
  lastMatch = 0;
  /** Kept by the audience: the memory that the filter is counted with; 0 for a small filter, which is not counted. */
  readonly filterBytes: number;
  /** Kept by the fan-out: the number of the first message since the group's long polls were last woken; undefined if there is none. */
  firstUntold: number | undefined;
  #waiters: Set<Waiter> | undefined;

  constructor(filter: Filter, filterBytes = 0) {
    this.filter = filter;
    this.filterBytes = filterBytes;
  }

  get isEmpty(): boolean {
    return this.readers.size === 0 && (this.#waiters === undefined || this.#waiters.size === 0);
  }

  /** Kept by long polls: `wake` calls each waiter once, and forgets it. */
  get waiters(): Set<Waiter> {
    return (this.#waiters ??= new Set());
  }

  /** Call it when messages of the group have been written, or left to catch-up. */
  wake(): void {
    const waiters = this.#waiters;
    const quietTo = this.firstUntold === undefined ? undefined : this.firstUntold - 1;
    this.#waiters = undefined;
    this.firstUntold = undefined;
    if (waiters !== undefined) for (const wake of waiters) wake(quietTo);
  }

  /** Whether some live readers may not have reached the end of the tail. While this is false, all live readers have. */
  get isWaiting(): boolean {
    return this.pending.hasMessages || this.pending.isSwept;
  }
}

/** Messages that were not written to the group's live readers yet. `add` ─► `take` (a sweep begins) ─► `swept`, or `add` ─► `clear`. */
class Pending {
  #messages: Message[] = [];
  #bytes = 0;
  #isSwept = false;

  get messages(): readonly Message[] {
    return this.#messages;
  }

  /** Bytes of the messages' data. */
  get bytes(): number {
    return this.#bytes;
  }

  get hasMessages(): boolean {
    return this.#messages.length > 0;
  }

  /** Whether a sweep is going through the group's readers. */
  get isSwept(): boolean {
    return this.#isSwept;
  }

  add(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.data.length;
  }

  /** Begins a sweep through the group, with all messages that were pending. */
  take(): Message[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    this.#isSwept = true;
    return messages;
  }

  /** Drops the messages: catch-up delivers them. */
  clear(): void {
    this.#messages = [];
    this.#bytes = 0;
  }

  /** Ends the sweep through the group: it has reached every reader, or left the others to catch-up. */
  swept(): void {
    this.#isSwept = false;
  }
}
