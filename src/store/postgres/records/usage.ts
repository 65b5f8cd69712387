import { holdingsText, stretchOf } from '../../rows/usage-rows.ts';
import { USAGE_MAX_ENTRIES, USAGE_PAGE_ENTRIES, type StoredStretch, type UsageChanges, type UsageStore, type UsageStretch } from '../../contracts/usage-store.ts';
import { RETENTION, STANDBY } from '../connection/expressions.ts';
import { listIn, numberIn, partsOf, textIn } from '../connection/json-values.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import { literal } from '../connection/literals.ts';

/** Makes SQL of each method of `UsageStore`, and reads its answer. */
export class PostgresUsageStore implements UsageStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async write(stretches: readonly UsageStretch[]): Promise<void> {
    await this.#use().change(writeCall(stretches), () => undefined);
  }

  async changes(after: number): Promise<UsageChanges> {
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(u.id, u.version)) FROM tidings.usage u),
      (SELECT json_agg(json_build_array(u.id, u.version, u.first, u.last, u.topics, u.senders) ORDER BY u.version)
        FROM (SELECT * FROM tidings.usage WHERE version > ${after} ORDER BY version LIMIT ${USAGE_PAGE_ENTRIES}) u), ${STANDBY}`, ([row]) => ({
      alive: listIn(row![0]).map((one) => {
        const [id, version] = partsOf(one);
        return [textIn(id), numberIn(version)];
      }),
      changed: listIn(row![1]).map(storedIn),
    }));
  }
}

/** Takes a lock first, so that versions are in the order of the commits. Otherwise a reader could see version 8 before 7, and never read 7. */
function writeCall(stretches: readonly UsageStretch[]): string {
  const rows = stretches.map(({ id, first, last, topics, senders }, index) => `(${[literal(id), index + 1, first, last, literal(holdingsText(topics)), literal(holdingsText(senders))].join(', ')})`);
  return `SELECT FROM pg_advisory_xact_lock(hashtext('tidings.usage'));
    INSERT INTO tidings.usage (id, version, first, last, topics, senders)
      SELECT s.id, s.number + (SELECT coalesce(max(version), 0) FROM tidings.usage), s.first, s.last, s.topics, s.senders FROM (VALUES ${rows.join(', ')}) s (id, number, first, last, topics, senders)
      ON CONFLICT (id) DO UPDATE SET version = excluded.version, first = excluded.first, last = excluded.last, topics = excluded.topics, senders = excluded.senders;
    DELETE FROM tidings.usage WHERE last < (SELECT r.oldest FROM ${RETENTION} r) OR id IN (SELECT id FROM tidings.usage ORDER BY last DESC, id OFFSET ${USAGE_MAX_ENTRIES});
    SELECT ${STANDBY}`;
}

function storedIn(stretch: unknown): StoredStretch {
  const [id, version, first, last, topics, senders] = partsOf(stretch);
  return stretchOf({ id: textIn(id), version: numberIn(version), first: numberIn(first), last: numberIn(last), topics: textIn(topics), senders: textIn(senders) });
}
