import { requireLevel } from '../../level.ts';
import { SESSIONS_LEVEL, type MadeSession, type NewSession, type SessionChanges, type SessionKey, type SessionRecord, type SessionStore } from '../../contracts/session-store.ts';
import { ownCopyOf } from './key-store.ts';
import type { SessionCalls } from './sessions.ts';
import type { PerformCall } from './side-call.ts';

/** The main thread's end: turns each method into a call of `Sessions`. */
export class SqliteSessionStore implements SessionStore {
  readonly #call: PerformCall<SessionCalls>;

  constructor(call: PerformCall<SessionCalls>) {
    this.#call = call;
  }

  sessionChanges(after: number): Promise<SessionChanges> {
    return this.#call('sessionChanges', { after });
  }

  findSessions(ids: readonly string[]): Promise<readonly SessionRecord[]> {
    return this.#call('findSessions', { ids });
  }

  async createSession({ id, digest, origin, lifetimeMs, until, replaces }: NewSession): Promise<MadeSession> {
    const answer = await this.#call('createSession', {
      id, digest: ownCopyOf(digest), origin: { ...origin, proof: ownCopyOf(origin.proof) }, lifetimeMs, until, replaces: replaces && { id: replaces.id, digest: ownCopyOf(replaces.digest) },
    });
    if ('level' in answer) {
      requireLevel(answer.level, SESSIONS_LEVEL);
      throw new Error(`Level ${answer.level} is high enough`);
    }
    return answer;
  }

  endSession({ id, digest }: SessionKey): Promise<SessionRecord | undefined> {
    return this.#call('endSession', { id, digest: ownCopyOf(digest) });
  }
}
