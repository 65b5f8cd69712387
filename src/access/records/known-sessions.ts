import { FIND_MAX_SESSIONS, type SessionRecord, type SessionStore } from '../../store/contracts/session-store.ts';
import { KnownRecords, type Changes, type KnownRecordsDependencies } from './known-records.ts';

export interface KnownSessionsDependencies extends KnownRecordsDependencies {
  readonly store: SessionStore;
}

/** The sessions that an instance has seen. */
export class KnownSessions extends KnownRecords<SessionRecord> {
  constructor({ store, ...rest }: KnownSessionsDependencies) {
    super({ name: 'sessions', changes: (after) => store.sessionChanges(after), findMax: FIND_MAX_SESSIONS, find: (ids) => store.findSessions(ids) }, rest);
  }

  protected override heard(before: number | undefined, { version }: Changes): void {
    if (before !== undefined && version < before) {
      this.logger.warn({ audit: 'sessions-lost', before, version }, 'the database has lost ends of sessions, as a restored backup has: sessions that were ended since may be good again');
    }
  }
}
