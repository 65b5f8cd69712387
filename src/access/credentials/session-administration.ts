import { timingSafeEqual } from 'node:crypto';
import { Problem } from '../../model/problem.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { printable } from '../../runtime/logging/printable.ts';
import type { SessionKey, SessionRecord, SessionStore } from '../../store/contracts/session-store.ts';
import type { EndedSessions } from '../records/ended-sessions.ts';
import type { Identity } from './identity.ts';
import { makeSession, readSession } from './session-text.ts';

export interface SessionAdministrationDependencies {
  readonly store: SessionStore;
  readonly logger: Pick<Logger, 'info'>;
  readonly counters: Pick<Counters, 'sessionsMade' | 'sessionsEnded'>;
  /** Remembers sessions that ended with a stream. */
  readonly ended: Pick<EndedSessions, 'add'>;
  /** How long a session lasts whose credential lasts longer. */
  readonly lifetimeMs: number;
  /** Called after sessions were ended, so that it counts on this instance before it is answered. */
  readonly onChange: () => Promise<void>;
}

/** A session and its text, which is shown this once. */
export interface ShownSession {
  readonly session: SessionRecord;
  readonly text: string;
}

/** Exchanges credentials for sessions, and ends them, with an audit line for each. */
export class SessionAdministration {
  readonly #dependencies: SessionAdministrationDependencies;

  constructor(dependencies: SessionAdministrationDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * @param owner The sender, after it has shown a key or a token.
   * @param before The cookie that came along. A session in it ends: nobody can give a browser a session that it then goes on with (session fixation).
   * @param client The address of the request, for the audit line.
   */
  async make({ origin, credential, name }: Identity, before: string | undefined, client: string): Promise<ShownSession> {
    const { store, logger, counters, lifetimeMs } = this.#dependencies;
    if (origin === undefined) throw new Problem('unauthorized', 'This takes a credential: Authorization: Bearer with a key or token.', { field: 'Authorization' });
    const { id, text, digest } = makeSession();
    const replaces = before === undefined ? undefined : readSession(before);
    const { session, ended } = await store.createSession({ id, digest, origin, lifetimeMs, until: credential?.expires, replaces });
    counters.sessionsMade++;
    counters.sessionsEnded += ended.length;
    logger.info({ audit: 'session-made', session: id, by: name, client, expires: session.expires, ended }, 'a session was made');
    if (ended.length > 0) await this.#dependencies.onChange();
    // By the database's clock; the token was checked by another one.
    if (session.expires <= session.created) throw new Problem('invalid-credential', 'The credential has expired.', { field: 'Authorization' });
    return { session, text };
  }

  /**
   * Ends the sessions that cookies hold, at most `FIND_MAX_SESSIONS`. Strangers may ask for it, so each session is looked up first: nobody makes the database write who does not have one.
   * @returns Whether there was one.
   */
  async end(texts: readonly string[], client: string): Promise<boolean> {
    const { store } = this.#dependencies;
    const keys = texts.flatMap((text) => readSession(text) ?? []);
    if (keys.length === 0) return false;
    const found = await store.findSessions(keys.map(({ id }) => id));
    const held = keys.filter((key) => found.some(({ id, digest }) => id === key.id && timingSafeEqual(digest, key.digest)));
    for (const key of held) await this.#end(key, client);
    return held.length > 0;
  }

  /**
   * Ends a session together with one of its streams, whose client must not come back.
   * @returns False where it has ended already. Rejects with a `StoreError`.
   */
  async endWithStream(id: string, client: string): Promise<boolean> {
    const [session] = await this.#dependencies.store.findSessions([id]);
    if (session === undefined) return false;
    // Before it ends: then its streams come back.
    this.#dependencies.ended.add(session);
    await this.#end(session, client);
    return true;
  }

  async #end(key: SessionKey, client: string): Promise<void> {
    const { store, logger, counters } = this.#dependencies;
    const session = await store.endSession(key);
    if (session === undefined) return;
    counters.sessionsEnded++;
    const { id, origin } = session;
    logger.info({ audit: 'session-ended', session: id, of: origin.kind === 'key' ? `key ${origin.id}` : `subject ${printable(origin.subject)}`, client }, 'a session was ended');
    await this.#dependencies.onChange();
  }
}
