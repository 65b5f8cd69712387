import { isNewest, lockOf, LOST_MAX_VERSIONS, newestOf, NOW, STANDBY } from '../connection/access-sql.ts';

/**
 * A change that takes the next version of a list: several statements in one message. The first locks the row of the version, and those after it have snapshots
 * taken under that lock.
 */

export interface VersionedChange {
  /** The table of the version, which has one row. */
  readonly list: 'access' | 'revocation_list';
  /** A statement that the lock covers too, and that takes no version. */
  readonly first?: string;
  /** Changes a row, and gives it the version of `next n`. */
  readonly change: string;
  /** The answer about the changed row, as JSON. */
  readonly row: string;
  /** The answer if nothing was changed. */
  readonly otherwise: string;
}

/** The version is taken under the lock of its row, which is held until the commit, and only by a change that happens. */
export function changeCall({ list, first, change, row, otherwise }: VersionedChange): string {
  const isSameServer = "a.server IN ('', n.server)";
  return `${lockOf(list)} ${first === undefined ? '' : `${first}; `}
    WITH next AS MATERIALIZED (
        SELECT n.now, n.server, a.version + CASE WHEN ${isSameServer} THEN 1 ELSE ${LOST_MAX_VERSIONS} END AS version
        FROM ${newestOf(list)} a, (SELECT ${NOW} AS now, tidings.session_server() AS server) n),
      changed AS (${change} RETURNING ${row} AS answer),
      moved AS (
        UPDATE tidings.${list} a SET version = n.version, server = n.server, since = CASE WHEN ${isSameServer} THEN a.since ELSE n.version END
        FROM next n WHERE a.${isNewest(list)} AND EXISTS (SELECT FROM changed))
    SELECT coalesce((SELECT answer FROM changed), ${otherwise}), n.now, ${STANDBY} FROM next n`;
}
