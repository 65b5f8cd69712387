import type { Message } from '../model/message.ts';
import type { ReceivedMessages } from './received-messages.ts';

/**
 * Tells other instances at once what an instance just committed. A commit's messages come in through `publish`; on every other instance that
 * joined the same log they come out at its `BusListener`. Without the bus an instance finds them a little later, when it polls the log.
 *
 * A call of the listener is a hint. It may be lost, doubled, late or out of order; only the delay of messages depends on it (invariant 6). Strangers may
 * publish on the bus, too. `receive` delivers only messages from senders that can read the log; anything else is at most a `wake`.
 * `local.ts` is the bus of a single process, `redis/` that of several. `test/contract/bus.ts` checks every implementation.
 */
export interface Bus {
  /**
   * Joins the channel of one log and begins to listen. Called once. Does not call `listener` before it returns. Never throws, and never waits for a server: the
   * bus keeps trying by itself.
   */
  join(logId: string, listener: BusListener): void;

  /**
   * Sends one commit's messages, in order, once. Never throws and never waits. It drops envelopes that cannot be sent now, and queues nothing for a server that
   * is away. The sender's own listener does not hear them.
   */
  publish(messages: readonly Message[]): void;

  /**
   * Sends a short text to the other instances, once, with a proof that its sender can read the log. Never throws and never waits. It drops notes that cannot be sent now.
   * @param to The name of the one instance that is to hear it; without it, all others do.
   * @param reached For a note to one instance: called with the number of listeners under its name, 0 if it is gone or cut off. Never called by a bus that does not know.
   */
  tell(note: string, to?: string, reached?: (listening: number) => void): void;

  /** Lets every other instance look at the log: something has changed that is no message. Like `publish` it never throws or waits, and is lost where it cannot be sent now. */
  wake(): void;

  readonly state: BusState;

  /** How many instances the last note to all reached, this one among them, as the server says. Undefined where it does not say, or nothing was told yet. */
  readonly receivers: number | undefined;

  /** Leaves the channel and releases connections; does not wait for one that hangs. */
  close(): Promise<void>;
}

export interface BusListener {
  /** The name of this instance, under which notes reach it alone. */
  readonly instance: string;
  /** The messages of another instance's commit, in order; or of a part of it. The parts arrive in order. */
  receive(messages: ReceivedMessages): void;
  /** Something was or may have been committed that no `receive` brings: look at the log's head. */
  wake(): void;
  /** A note of another instance that can read the log. Unlike messages it comes at most once, and not later than some seconds after it was sent. */
  told(note: string): void;
  /** A note came that does not count here: it cannot be checked, comes late or again, or is of another version. Look for the changes that notes report. */
  toldUnproved(): void;
  /** The newest epoch of the log, and its clock in milliseconds since 1970: what notes are proved by, and expire by. */
  sealing(): { readonly epoch: string; readonly now: number };
  /** The secret of an epoch, if it is the newest one of the log that this instance knows, and has a secret. Only readers of the log know it. */
  secretOf(epoch: string): string | undefined;
}

/** `degraded`: delivery between instances waits for their next look at the log. `local`: there is only one process. */
export type BusState = 'local' | 'up' | 'degraded';
