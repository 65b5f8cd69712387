import type { Message } from '../model/message.ts';
import type { ReceivedMessages } from './received-messages.ts';

/**
 * This room sends each commit to the other instances at once. A commit's messages come in through `publish`. They go out to the `BusListener` of every other instance that
 * joined the same log. Without the bus, an instance finds them a little later, when it polls the log.
 *
 * A call of the listener is a hint. It may be lost, doubled, late or out of order; only the delay of messages depends on it (invariant 6). Strangers may
 * publish on the bus, too. `receive` gets only messages from senders that can read the log; anything else is at most a `wake`.
 *
 * Read `envelope.ts` first (commits as bytes), then `incoming.ts` (their checks), `note-envelope.ts` and `control-channel.ts` (notes). Implementations: `local.ts` for a
 * single process, `redis/`, `nats/`, `kafka/`, and `hub/` for workers of one machine. `test/contract/bus.ts` checks them all.
 */
export interface Bus {
  /**
   * Joins the channel of one log and begins to listen. Called once. Does not call `listener` before it returns. Never throws, and never waits for a server: the
   * bus keeps trying by itself.
   */
  join(logId: string, listener: BusListener): void;

  /**
   * Sends one commit's messages, in order, once. Never throws and never waits. It drops envelopes that cannot be sent now, and queues nothing for a server that
   * is away. The sender's own listener does not get them.
   */
  publish(messages: readonly Message[]): void;

  /**
   * Sends a short text to the other instances, once, with a proof that its sender can read the log. Never throws and never waits. It drops notes that cannot be sent now.
   * @param to The name of one instance; without it, all other instances get the note.
   * @param reached For a note to one instance: called with the number of listeners under that name, 0 if the instance is gone. A bus that cannot know never calls it.
   */
  tell(note: string, to?: string, reached?: (listening: number) => void): void;

  /** Makes every other instance look at the log, after a change that is no message. Like `publish` it never throws or waits, and is lost if it cannot be sent now. */
  wake(): void;

  readonly state: BusState;

  /** How many instances the last note to all reached, including this one. Undefined before the first note, or if the server does not report it. */
  readonly receivers: number | undefined;

  /** Leaves the channel and closes the connections. Does not wait for a connection that hangs. */
  close(): Promise<void>;
}

export interface BusListener {
  /** The name of this instance, for notes to it alone. */
  readonly instance: string;
  /** The messages of another instance's commit, in order; or of a part of it. The parts arrive in order. */
  receive(messages: ReceivedMessages): void;
  /** Something was or may have been committed that no `receive` brings: look at the log's head. */
  wake(): void;
  /** A note of another instance that can read the log. Unlike a message, a note comes at most once, and within some seconds. */
  told(note: string): void;
  /** A note was refused: its proof is invalid, it came late or again, or it has another version. Look for the changes that notes report. */
  toldUnproved(): void;
  /** The newest epoch of the log, whose secret proves notes; and the log's clock in milliseconds since 1970, by which they expire. */
  sealing(): { readonly epoch: string; readonly now: number };
  /** The secret of the newest epoch that this instance knows; undefined for any other epoch. Only readers of the log know it. */
  secretOf(epoch: string): string | undefined;
}

/** `degraded`: other instances get messages only at their next look at the log. `local`: there is only one process. */
export type BusState = 'local' | 'up' | 'degraded';
