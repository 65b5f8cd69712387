import { checkVersion, checkWhole } from '../../rows/key-rows.ts';
import { checkNewSession, checkSessionKey } from '../../rows/session-rows.ts';
import { FIND_MAX_SESSIONS, type MadeSession, type NewSession, type SessionChanges, type SessionKey, type SessionRecord, type SessionStore } from '../../contracts/session-store.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import { changesCall, changesIn, createCall, endCall, findCall, madeIn, sessionsIn } from './sessions.ts';

/** Makes SQL of each method of `SessionStore`, and reads its answer. */
export class PostgresSessionStore implements SessionStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async sessionChanges(after: number): Promise<SessionChanges> {
    checkVersion(after);
    return this.#use().glance(changesCall(after), ([row]) => changesIn(row!));
  }

  async findSessions(ids: readonly string[]): Promise<readonly SessionRecord[]> {
    checkWhole('the number of sessions', ids.length, 0, FIND_MAX_SESSIONS);
    return this.#use().glance(findCall(ids), ([row]) => sessionsIn(row!));
  }

  async createSession(session: NewSession): Promise<MadeSession> {
    checkNewSession(session);
    return this.#use().change(createCall(session), ([row]) => madeIn(row!));
  }

  async endSession(key: SessionKey): Promise<SessionRecord | undefined> {
    checkSessionKey(key);
    return this.#use().change(endCall(key), ([row]) => sessionsIn(row!)[0]);
  }
}
