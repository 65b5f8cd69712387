import type Database from 'better-sqlite3';
import { checkVersion, checkWhole, NEVER_MS } from '../../rows/key-rows.ts';
import { checkNewSession, checkSessionKey, idTaken, originText, ownerOf, sessionRecord, type SessionRow } from '../../rows/session-rows.ts';
import {
  CREDENTIAL_MAX_SESSIONS, DELETE_MAX_SESSIONS, ENDED_MAX_SESSIONS, FIND_MAX_SESSIONS, MAX_SESSIONS, SESSIONS_LEVEL, type MadeSession, type NewSession, type SessionChanges, type SessionKey, type SessionRecord,
} from '../../contracts/session-store.ts';
import type { LogStateQuery } from '../files/log-state.ts';
import type { CallEffects, CallTable } from './side-call.ts';

/** The level of the log is too low. It is an answer and no error, because an error would lose its class (`LevelTooLow`) between the threads. */
export interface TooLow {
  readonly level: number;
}

/** The calls of `SessionStore`. */
export interface SessionCalls {
  sessionChanges: { argument: { readonly after: number }; answer: SessionChanges };
  findSessions: { argument: { readonly ids: readonly string[] }; answer: readonly SessionRecord[] };
  createSession: { argument: NewSession; answer: MadeSession | TooLow };
  endSession: { argument: SessionKey; answer: SessionRecord | undefined };
}

export const SESSION_EFFECTS: CallEffects<SessionCalls> = {
  sessionChanges: 'read',
  findSessions: 'read',
  createSession: 'commit',
  endSession: 'commit',
};

const COLUMNS = 'id, digest, created, expires, origin';

export interface SessionsDependencies {
  readonly db: Database.Database;
  readonly logState: LogStateQuery;
}

/** Reads and changes sessions, inside the caller's transaction. */
export class Sessions implements CallTable<SessionCalls> {
  readonly #logState: LogStateQuery;
  readonly #version: Database.Statement<[], number>;
  readonly #takeVersion: Database.Statement<[], number>;
  readonly #held: Database.Statement<[], number>;
  readonly #count: Database.Statement<[number]>;
  readonly #changed: Database.Statement<[number], string>;
  readonly #find: Database.Statement<[string], SessionRow>;
  readonly #create: Database.Statement<unknown[]>;
  readonly #delete: Database.Statement<[string]>;
  readonly #deleteFirst: Database.Statement<[number, number]>;
  readonly #surplusOf: Database.Statement<[string, string, number], string>;
  readonly #firstToExpire: Database.Statement<[string, number], string>;
  readonly #addEnd: Database.Statement<[number, string]>;
  readonly #forgetEnds: Database.Statement<[number]>;

  constructor({ db, logState }: SessionsDependencies) {
    this.#logState = logState;
    this.#version = db.prepare<[], number>('SELECT version FROM session_state').pluck();
    this.#takeVersion = db.prepare<[], number>('UPDATE session_state SET version = version + 1 RETURNING version').pluck();
    this.#held = db.prepare<[], number>('SELECT held FROM session_state').pluck();
    this.#count = db.prepare('UPDATE session_state SET held = held + ?');
    this.#changed = db.prepare<[number], string>('SELECT id FROM session_ends WHERE version > ? ORDER BY version').pluck();
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM sessions WHERE id = ?`);
    this.#create = db.prepare('INSERT INTO sessions (id, digest, created, expires, owner, origin) VALUES (?, ?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM sessions WHERE id = ?');
    this.#deleteFirst = db.prepare('DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires <= ? ORDER BY expires LIMIT ?)');
    this.#surplusOf = db.prepare<[string, string, number], string>('SELECT id FROM sessions WHERE owner = ? AND id <> ? ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET ?').pluck();
    this.#firstToExpire = db.prepare<[string, number], string>('SELECT id FROM sessions WHERE id <> ? ORDER BY expires, rowid LIMIT ?').pluck();
    this.#addEnd = db.prepare('INSERT INTO session_ends (version, id) VALUES (?, ?)');
    this.#forgetEnds = db.prepare('DELETE FROM session_ends WHERE version <= ?');
  }

  sessionChanges({ after }: { readonly after: number }): SessionChanges {
    checkVersion(after);
    const version = this.#version.get()!;
    const isRemembered = after <= version && after >= version - ENDED_MAX_SESSIONS;
    return { version, changed: isRemembered ? this.#changed.all(after) : undefined, now: Date.now() };
  }

  findSessions({ ids }: { readonly ids: readonly string[] }): readonly SessionRecord[] {
    checkWhole('the number of sessions', ids.length, 0, FIND_MAX_SESSIONS);
    return [...new Set(ids)].flatMap((id) => this.#find.all(id)).map(sessionRecord);
  }

  createSession(session: NewSession): MadeSession | TooLow {
    checkNewSession(session);
    const { level } = this.#logState.row();
    if (level < SESSIONS_LEVEL) return { level };
    const { id, digest, origin, lifetimeMs, until = NEVER_MS, replaces } = session;
    const known = this.#sessionOf(session);
    if (known !== undefined) return { session: known, ended: [] };
    if (this.#find.get(id) !== undefined) throw idTaken('session');
    const [now, owner] = [Date.now(), ownerOf(origin)];
    this.#deleteExpired();
    this.#create.run(id, digest, now, Math.min(now + lifetimeMs, until, NEVER_MS), owner, originText(origin));
    this.#count.run(1);
    const replaced = replaces === undefined ? undefined : this.#sessionOf(replaces)?.id;
    const ended = [
      ...this.#end(replaced === undefined ? [] : [replaced]),
      ...this.#end(this.#surplusOf.all(owner, id, CREDENTIAL_MAX_SESSIONS - 1)),
      ...this.#end(this.#firstToExpire.all(id, Math.max(0, Math.min(this.#held.get()! - MAX_SESSIONS, DELETE_MAX_SESSIONS)))),
    ];
    return { session: this.#sessionOf(session)!, ended };
  }

  endSession(key: SessionKey): SessionRecord | undefined {
    checkSessionKey(key);
    const known = this.#sessionOf(key);
    if (known !== undefined) this.#end([known.id]);
    return known;
  }

  /** The session with this id and secret. */
  #sessionOf({ id, digest }: SessionKey): SessionRecord | undefined {
    const row = this.#find.get(id);
    return row === undefined || Buffer.compare(row.digest, digest) !== 0 ? undefined : sessionRecord(row);
  }

  /** Ends sessions, each with the next version. */
  #end(ids: readonly string[]): readonly string[] {
    for (const id of ids) {
      this.#delete.run(id);
      this.#count.run(-1);
      const version = this.#takeVersion.get()!;
      this.#addEnd.run(version, id);
      this.#forgetEnds.run(version - ENDED_MAX_SESSIONS);
    }
    return ids;
  }

  #deleteExpired(): void {
    const { changes } = this.#deleteFirst.run(this.#logState.believed(), DELETE_MAX_SESSIONS);
    if (changes > 0) this.#count.run(-changes);
  }
}
