import type { SessionOrigin } from './session-store.ts';

/**
 * Tickets in the database of the log. An `EventSource` that can send neither headers nor cookies opens its stream with a ticket in the URL.
 * `test/contract/ticket-store.ts` checks both stores.
 *
 * Each use takes the next generation, one sequence for all tickets of the log. Only the stream of the latest use keeps the ticket, on whichever instance:
 *
 * | event | generation of the ticket | holder |
 * |---|---|---|
 * | `createTicket` | 0 | nobody |
 * | stream A uses it | 17 | A |
 * | the client reconnects: stream B uses it | 23 | B; A has lost it, and `keepTickets` of A changes nothing |
 *
 * The log never gives a generation twice, even after a failover in which the database lost the newest ones.
 */
export interface TicketStore {
  /** Reads the tickets with these ids, at most `CALL_MAX_TICKETS`, in any order, from a snapshot that is not older than the call. Ended tickets may be among them. */
  findTickets(ids: readonly string[]): Promise<readonly TicketRecord[]>;

  /**
   * Stores a ticket, which must be used within `FIRST_USE_MS`. The same transaction deletes a few tickets by the believed clock (invariant 10): tickets that
   * ended `KEPT_ENDED_TICKETS_MS` ago, and unused tickets that ended. If there are `MAX_TICKETS`, it does not wait `KEPT_ENDED_TICKETS_MS`: ended tickets
   * must not take the places of new ones.
   *
   * Rejects with `LevelTooLow` below `TICKETS_LEVEL`: an instance of an older version would refuse the ticket, and so end a browser's `EventSource` for good.
   * @returns undefined if its owner has `OWNER_MAX_TICKETS` that have not ended, or there are `MAX_TICKETS` in all.
   */
  createTicket(ticket: NewTicket): Promise<TicketRecord | undefined>;

  /** Uses tickets, in this order, in one transaction: at most `CALL_MAX_TICKETS`, no id twice. Returns the uses in the same order; undefined for a ticket that cannot be used. */
  useTickets(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]>;

  /** Extends tickets whose streams are still open, at most `CALL_MAX_TICKETS`: each can be used again for `RETURN_MS` from now. A stream that has lost its ticket to a later use changes nothing. */
  keepTickets(kept: readonly KeptTicket[]): Promise<void>;

  /** Reads at most `CALL_MAX_TICKETS` uses after a generation, in the order of the generations, from a snapshot that is not older than the call. Writes nothing. */
  ticketUses(after: number): Promise<TicketUses>;

  /** Gives a ticket the lifetime of another credential of its owner. @returns False if a later use has taken the ticket. */
  renewTicket(renewal: TicketRenewal): Promise<boolean>;
}

/** The level that the log needs for tickets. */
export const TICKETS_LEVEL = 2;
/** Stands for the session of a ticket whose stream an administrator ended for good. No session has this id, so instances of older versions also refuse the ticket. */
export const ENDED_BY_ADMINISTRATOR = 'ended by an administrator';
/** How long a ticket waits for its first use. Milliseconds. */
export const FIRST_USE_MS = 30_000;
/** How long a ticket can be used after its stream was last known to be open. Longer than a restart takes, or a laptop's change of networks. Stops somebody who finds the URL later from opening a stream. Milliseconds. */
export const RETURN_MS = 120_000;
/** How long the row of a used ticket stays after its end. So streams that stayed open during an outage of the database can still extend their tickets after it. Milliseconds. */
export const KEPT_ENDED_TICKETS_MS = 600_000;
/** The most tickets of all owners, ended ones included. Stops requests for tickets from filling the database: with the longest lists of topics a ticket has 50 kilobytes, usually 400 bytes. */
export const MAX_TICKETS = 200_000;
/** The most tickets of one key, or of one subject. Stops a program that asks for tickets again and again from taking the places of others. */
export const OWNER_MAX_TICKETS = 10_000;
/** The most tickets of one call. Stops a call from delaying other changes for long. */
export const CALL_MAX_TICKETS = 500;
/** One creation deletes at most this number of used tickets, and of unused tickets: more than it adds, so ended tickets do not pile up, and few enough that other changes hardly wait. */
export const DELETE_MAX_TICKETS = 100;

/** The rights of a ticket, and the credential whose lifetime it shares. */
export interface TicketOrigin {
  readonly origin: SessionOrigin;
  /** The id of the session, if the request for the ticket came with a session; or `ENDED_BY_ADMINISTRATOR`. Undefined for any other credential. */
  readonly session: string | undefined;
  /** When the credential expires; undefined if it does not. */
  readonly until: number | undefined;
}

export interface NewTicket extends TicketOrigin {
  /** Lower-case letters and digits. */
  readonly id: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Uint8Array;
  /** Topics and patterns that may be read. */
  readonly topics: readonly string[];
}

export interface TicketRecord extends NewTicket {
  /** The generation of its last use; 0 before the first. */
  readonly generation: number;
  /** From this time on it cannot be used. */
  readonly ends: number;
  /** Whether only a client that sends a position of the log may use it: one that has already read from the stream. */
  readonly isGuarded: boolean;
}

export interface TicketUse {
  readonly id: string;
  readonly digest: Uint8Array;
  /** Whether the client sent a position of the log. */
  readonly hasPosition: boolean;
}

export interface UsedTicket {
  readonly generation: number;
  /** The generation of the use before this one; 0 if this is the first. */
  readonly before: number;
}

/** A use of a ticket whose stream is still open. */
export interface KeptTicket {
  readonly id: string;
  readonly generation: number;
  /** Whether to guard the ticket from now on (`TicketRecord.isGuarded`). False does not end an earlier guard. */
  readonly isGuarded: boolean;
}

export interface TicketUses {
  /** The newest generation of the log. It decreases only if the database was restored. */
  readonly newest: number;
  readonly uses: readonly { readonly id: string; readonly generation: number }[];
}

export interface TicketRenewal extends TicketOrigin {
  readonly id: string;
  readonly generation: number;
}
