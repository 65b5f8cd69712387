import type { Message } from '../../model/message.ts';
import type { KnownErasure } from './known-erasures.ts';
import type { Named } from './recent-messages.ts';

/** Gets each change of the tail. The fan-out implements it. */
export interface TailListener {
  /**
   * A message was added at the end.
   * @param message Returns the message, and makes the object if it came as bytes. So call it only if a reader wants the message.
   */
  append(seq: number, topic: string, message: () => Message): void;
  /**
   * The end of the tail moves, because the log was replaced or retention overtook the tail. The listener ends the live state of all readers, calls `change`, and then locates each reader's
   * position anew.
   */
  moveEnd(change: () => void): void;
  /** The log has a new epoch. Readers ahead of the tail fall behind, because the log may no longer have their positions. */
  epochAdded(): void;
  /**
   * Messages were erased. The tail has made tombstones of its own messages. The listener does so with messages that left the tail but still wait to be written.
   *
   * @param isErased The test for erased messages.
   */
  erased(erasures: readonly KnownErasure[], isErased: (message: Named) => boolean): void;
}
