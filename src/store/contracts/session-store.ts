import type { Permissions } from '../../model/permissions.ts';

/**
 * Sessions in the database of the log: what a browser was given in exchange for a key or token. Both stores implement this contract, and `test/contract/session-store.ts`
 * checks them. Only digests of secrets come in and go out.
 *
 * Ending a session takes the next `version` in the same transaction, so versions are in the order of the commits. An instance that has seen a version asks which
 * sessions were ended after it. Expiring takes no version, because the row says when. Making a session takes none either, because no instance remembers that an id has no session.
 * Changes are durable when they resolve. Times are the clock of the database's machine, in milliseconds since 1970, as for keys.
 *
 * Methods reject with a `StoreError` and nothing else: with `refused` where an argument is beyond its bounds. None blocks the event loop or waits without end.
 * A change that rejects with `outcome-unknown` may be asked for again with the same arguments: it happens once.
 */
export interface SessionStore {
  /** The sessions that were ended after a version. Never from a snapshot that is older than the call. Writes nothing. */
  sessionChanges(after: number): Promise<SessionChanges>;

  /** The sessions with these ids, at most `FIND_MAX_SESSIONS` of them, in any order; expired sessions may be among them. Never from a snapshot that is older than the call. */
  findSessions(ids: readonly string[]): Promise<readonly SessionRecord[]>;

  /**
   * Stores a session. The same transaction ends the session that it replaces. It also ends the oldest of more than `CREDENTIAL_MAX_SESSIONS` of its credential, and the next to expire of more
   * than `MAX_SESSIONS`. It deletes sessions that have expired by the clock as far as it is believed (invariant 10).
   *
   * Rejects with `LevelTooLow` below `SESSIONS_LEVEL`: an instance of an older version would refuse the cookie, and end a browser's `EventSource` for good.
   */
  createSession(session: NewSession): Promise<MadeSession>;

  /** Ends a session for good. @returns The session; undefined if none has this id and secret. */
  endSession(session: SessionKey): Promise<SessionRecord | undefined>;
}

/** The level of the log from which on there are sessions. */
export const SESSIONS_LEVEL = 2;
/** The most sessions that are held. Stops logins from filling the database: with long lists of topics a session has some kilobytes, usually 300 bytes. */
export const MAX_SESSIONS = 100_000;
/** The most sessions of one key, or of one subject. Stops a program that logs in again and again from ending everybody else's. */
export const CREDENTIAL_MAX_SESSIONS = 100;
/** The most ids of one question. */
export const FIND_MAX_SESSIONS = 100;
/** The most ended sessions that are remembered, and that one answer names. Stops the list from growing for ever: an instance further behind is told that any session may have ended. */
export const ENDED_MAX_SESSIONS = 1_000;
/** The most expired or surplus sessions that one change deletes. It is more than the change adds, and keeps others waiting only shortly. */
export const DELETE_MAX_SESSIONS = 100;

/** The credential that a session was exchanged for. The session is valid while that would be. */
export type SessionOrigin = KeyOrigin | TokenOrigin;

export interface KeyOrigin {
  readonly kind: 'key';
  readonly id: string;
  /** SHA-256 of the key's secret: a session ends with the secret. 32 bytes. */
  readonly proof: Uint8Array;
}

export interface TokenOrigin {
  readonly kind: 'subject';
  readonly subject: string;
  readonly tokenId: string | undefined;
  readonly issuedAt: number;
  /** As the token's claims had them. */
  readonly permissions: Permissions;
  /** The metadata of the subject that others see where it listens: JSON. Absent: nothing. */
  readonly meta?: string;
  /** A digest of the keys that checked the token: its sessions end when other keys do. 32 bytes. */
  readonly proof: Uint8Array;
}

/** The proof of a session: its id, and its secret. */
export interface SessionKey {
  /** Lower-case letters and digits. */
  readonly id: string;
  /** SHA-256 of the secret, 32 bytes. */
  readonly digest: Uint8Array;
}

export interface NewSession extends SessionKey {
  readonly origin: SessionOrigin;
  /** How long it is good, in milliseconds, at least 1. */
  readonly lifetimeMs: number;
  /** When it ends in any case, with its credential; undefined where that does not end by itself. */
  readonly until: number | undefined;
  /** The session that the browser had before. */
  readonly replaces: SessionKey | undefined;
}

export interface SessionRecord extends SessionKey {
  readonly created: number;
  /** When it ends by itself. */
  readonly expires: number;
  readonly origin: SessionOrigin;
}

export interface MadeSession {
  readonly session: SessionRecord;
  /** The ids of the sessions that were ended for it. */
  readonly ended: readonly string[];
}

export interface SessionChanges {
  /** The newest version; 0 where no session was ever ended. It goes back only where the database did. */
  readonly version: number;
  /** The ids of the sessions that were ended after the version asked about. undefined where any may have been: see `KeyChanges`. */
  readonly changed: readonly string[] | undefined;
  /** The clock: milliseconds since 1970. */
  readonly now: number;
}
