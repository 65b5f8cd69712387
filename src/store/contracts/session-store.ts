import type { Permissions } from '../../model/permissions.ts';

/**
 * Sessions in the database of the log. A browser gets a session in exchange for a key or token. `test/contract/session-store.ts` checks both stores.
 *
 * Ending a session takes the next `version` in the same transaction, so versions are in the order of the commits. An instance that has seen a version reads
 * which sessions ended after it. Two changes take no version: expiry, because the row tells when; and a new session, because no instance remembers that an
 * id has no session.
 */
export interface SessionStore {
  /** Reads which sessions were ended after a version, from a snapshot that is not older than the call. Writes nothing. */
  sessionChanges(after: number): Promise<SessionChanges>;

  /** Reads the sessions with these ids, at most `FIND_MAX_SESSIONS`, in any order, from a snapshot that is not older than the call. Expired sessions may be among them. */
  findSessions(ids: readonly string[]): Promise<readonly SessionRecord[]>;

  /**
   * Stores a session. The same transaction deletes sessions that have expired by the believed clock (invariant 10), and ends these:
   *
   * - the session that it replaces;
   * - the oldest sessions of its credential beyond `CREDENTIAL_MAX_SESSIONS`;
   * - of all sessions beyond `MAX_SESSIONS`, the next to expire.
   *
   * Rejects with `LevelTooLow` below `SESSIONS_LEVEL`: an instance of an older version would refuse the cookie, and so end a browser's `EventSource` for good.
   */
  createSession(session: NewSession): Promise<MadeSession>;

  /** Ends a session for good. @returns The session; undefined if no session has this id and secret. */
  endSession(session: SessionKey): Promise<SessionRecord | undefined>;
}

/** The level that the log needs for sessions. */
export const SESSIONS_LEVEL = 2;
/** The most sessions of all credentials. Stops logins from filling the database: with long lists of topics a session has some kilobytes, usually 300 bytes. */
export const MAX_SESSIONS = 100_000;
/** The most sessions of one key, or of one subject. Stops a program that logs in again and again from ending the sessions of others. */
export const CREDENTIAL_MAX_SESSIONS = 100;
/** The most ids of one lookup. Bounds the size of its answer. */
export const FIND_MAX_SESSIONS = 100;
/** The most ended sessions that are remembered, and so the most of one answer. Stops the list from growing for ever. To an instance that missed more, any session may have ended. */
export const ENDED_MAX_SESSIONS = 1_000;
/** The most expired or surplus sessions that one change deletes. It is more than the change adds, so surplus shrinks, and few enough that other changes hardly wait. */
export const DELETE_MAX_SESSIONS = 100;

/** The credential that the browser exchanged for the session. The session is valid as long as that credential. */
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
  /** The permissions in the token's claims. */
  readonly permissions: Permissions;
  /** The subject's metadata for presence, as JSON. Absent: none. */
  readonly meta?: string;
  /** A digest of the keys that verified the token: its sessions end when these keys are replaced. 32 bytes. */
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
  /** How long it is valid, in milliseconds, at least 1. */
  readonly lifetimeMs: number;
  /** When its credential expires, and the session with it; undefined if the credential does not expire. */
  readonly until: number | undefined;
  /** The session that the browser had before. */
  readonly replaces: SessionKey | undefined;
}

export interface SessionRecord extends SessionKey {
  readonly created: number;
  /** When it expires. */
  readonly expires: number;
  readonly origin: SessionOrigin;
}

export interface MadeSession {
  readonly session: SessionRecord;
  /** The ids of the sessions that the same transaction ended. */
  readonly ended: readonly string[];
}

export interface SessionChanges {
  /** The newest version; 0 if no session was ever ended. It decreases only if the database was restored. */
  readonly version: number;
  /** The ids of the sessions that were ended after the given version. Undefined if any session may have been ended: see `KeyChanges`. */
  readonly changed: readonly string[] | undefined;
  /** The clock of the database's machine. */
  readonly now: number;
}
