import type { Message } from '../model/message.ts';

/**
 * Tells the other instances what was just committed, so that they need not wait for their next look at the log. It is a
 * hint that may be lost, doubled, late or out of order: nothing depends on it but how soon a message arrives
 * (invariant 6). `test/contract/bus.ts` checks every implementation.
 */
export interface Bus {
  /**
   * Joins the channel of one log and begins to listen; calls nothing on `listener` before it returns. Never rejects
   * and never waits for a server: a bus that cannot be reached goes on trying by itself. Called once.
   */
  join(logId: string, listener: BusListener): void;

  /**
   * Sends what one commit stored, in order, once. Never throws, never waits, queues nothing for a server that is away:
   * what cannot be sent now is dropped. The sender hears nothing of it itself.
   */
  publish(messages: readonly Message[]): void;

  readonly state: BusState;

  /** Leaves the channel and releases connections; waits for none that hangs. */
  close(): Promise<void>;
}

export interface BusListener {
  /** What another instance committed: `messages` of one commit, in order. */
  receive(messages: readonly Message[]): void;
  /** Something was or may have been committed that is not in a `receive`: look at the log's head. */
  wake(): void;
}

/** `degraded`: delivery between instances waits for the next look at the log. `local`: there is one process only. */
export type BusState = 'local' | 'up' | 'degraded';
