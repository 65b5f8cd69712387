import type { Message } from '../../model/message.ts';
import type { KnownErasure } from './known-erasures.ts';
import type { Named } from './recent-messages.ts';

/** Is told what becomes of the tail: the fan-out. */
export interface TailListener {
  /**
   * A message was added at the end.
   * @param message Makes the object, if this message came as bytes. So ask for it only where a reader wants it.
   */
  append(seq: number, topic: string, message: () => Message): void;
  /**
   * The end of the tail changes in another way than by growth. Readers stop being live, `change` is applied, and each reader looks up its position again.
   */
  moveEnd(change: () => void): void;
  /** The log has a new epoch. Readers ahead of the tail fall behind, because their position may not exist in it. */
  epochAdded(): void;
  /**
   * Messages were erased. The tail's messages are tombstones already. Messages that have left the tail, and that readers still have to write, become tombstones here.
   *
   * @param isErased Whether a message is one of them.
   */
  erased(erasures: readonly KnownErasure[], isErased: (message: Named) => boolean): void;
}
