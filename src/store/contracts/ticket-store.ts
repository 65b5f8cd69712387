import type { SessionOrigin } from './session-store.ts';

/**
 * Tickets in the database of the log: what an `EventSource` that can send neither headers nor cookies opens its stream with. Both stores implement this contract, and
 * `test/contract/ticket-store.ts` checks them. Only digests of secrets come in and go out.
 *
 * Each use of a ticket takes the next generation, in one order for all tickets of the log. The use with the latest generation has the ticket, on whichever instance; all earlier
 * ones have lost it. No generation is given twice, also after a server of the database that lost the newest ones has taken over.
 *
 * Times are the clock of the database's machine, in milliseconds since 1970, as for keys. Changes are durable when they resolve.
 * Methods reject with a `StoreError` and nothing else: with `refused` where an argument is beyond its bounds. None blocks the event loop or waits without end.
 */
export interface TicketStore {
  /** The tickets with these ids, at most `CALL_MAX_TICKETS` of them, in any order; ended tickets may be among them. Never from a snapshot that is older than the call. */
  findTickets(ids: readonly string[]): Promise<readonly TicketRecord[]>;

  /**
   * Stores a ticket, which has to be used within `FIRST_USE_MS`. The same transaction deletes some that ended `KEPT_ENDED_TICKETS_MS` ago, and some that ended unused, by the clock as far as it is believed (invariant 10).
   * Where there are `MAX_TICKETS`, it deletes some that ended just now, too. Stops an owner whose tickets end from taking the places of others.
   *
   * Rejects with `LevelTooLow` below `TICKETS_LEVEL`: an instance of an older version would refuse the ticket, and end a browser's `EventSource` for good.
   * @returns undefined where its owner has `OWNER_MAX_TICKETS` that have not ended, or there are `MAX_TICKETS` in all.
   */
  createTicket(ticket: NewTicket): Promise<TicketRecord | undefined>;

  /** Uses tickets, in this order, in one transaction: at most `CALL_MAX_TICKETS`, no id twice. The answers are in the same order; undefined where the ticket cannot be used. */
  useTickets(uses: readonly TicketUse[]): Promise<readonly (UsedTicket | undefined)[]>;

  /** Says that the streams of these uses are still open: at most `CALL_MAX_TICKETS`. Each ticket can be used for `RETURN_MS` from now on. A use that has lost its ticket changes nothing. */
  keepTickets(kept: readonly KeptTicket[]): Promise<void>;

  /** The tickets that were used with a later generation, in the order of the generations, at most `CALL_MAX_TICKETS`. Never from a snapshot that is older than the call. Writes nothing. */
  ticketUses(after: number): Promise<TicketUses>;

  /** From now on the ticket of a use lasts like another credential of its owner. @returns Whether that use still had it. */
  renewTicket(renewal: TicketRenewal): Promise<boolean>;
}

/** The level of the log from which on there are tickets. */
export const TICKETS_LEVEL = 2;
/** The session of a ticket whose stream an administrator ended for good. No session has this id, so that instances of older versions refuse the ticket, too. */
export const ENDED_BY_ADMINISTRATOR = 'ended by an administrator';
/** How long a ticket waits for its first use. Milliseconds. */
export const FIRST_USE_MS = 30_000;
/** How long a ticket can be used after its stream was last known to be open. Stops a URL that somebody finds later from opening anything. Longer than a restart takes, and a laptop's change of networks. Milliseconds. */
export const RETURN_MS = 120_000;
/** How long the row of a ticket that was used stays after its end. Streams that stayed open while the database was away keep their tickets when it comes back. Milliseconds. */
export const KEPT_ENDED_TICKETS_MS = 600_000;
/** The most rows. Stops requests for tickets from filling the database: with the longest lists of topics a ticket has 50 kilobytes, usually 400 bytes. */
export const MAX_TICKETS = 200_000;
/** The most tickets of one key, or of one subject. Stops a program that asks for tickets again and again from taking everybody else's. */
export const OWNER_MAX_TICKETS = 10_000;
/** The most tickets of one call. Stops a call from keeping the other writers waiting. */
export const CALL_MAX_TICKETS = 500;
/** The most ended tickets of either kind, used or not, that one creation deletes: more than it adds, and few enough that others hardly wait. */
export const DELETE_MAX_TICKETS = 100;

/** The rights of a ticket, and the credential whose lifetime it shares. */
export interface TicketOrigin {
  readonly origin: SessionOrigin;
  /** The id of the session that was shown in its place, or `ENDED_BY_ADMINISTRATOR`; undefined where there was none. */
  readonly session: string | undefined;
  /** When the credential ends by itself; undefined where it does not. */
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
  /** When it can no longer be used. */
  readonly ends: number;
  /** Only a client that shows a position of the log may use it. */
  readonly isGuarded: boolean;
}

export interface TicketUse {
  readonly id: string;
  readonly digest: Uint8Array;
  /** Whether it shows a position of the log. */
  readonly hasPosition: boolean;
}

export interface UsedTicket {
  readonly generation: number;
  /** The generation that it took the ticket from; 0 where this is the first use. */
  readonly before: number;
}

/** A use whose stream is open. */
export interface KeptTicket {
  readonly id: string;
  readonly generation: number;
  /** From now on only a client that shows a position of the log may use the ticket. It stays so. */
  readonly isGuarded: boolean;
}

export interface TicketUses {
  /** The newest generation that the log has given. It goes back only where the database did. */
  readonly newest: number;
  readonly uses: readonly { readonly id: string; readonly generation: number }[];
}

export interface TicketRenewal extends TicketOrigin {
  readonly id: string;
  readonly generation: number;
}
