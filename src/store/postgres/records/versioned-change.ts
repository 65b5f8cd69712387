import { isNewest, lockOf, LOST_MAX_VERSIONS, newestOf, NOW, STANDBY } from '../connection/expressions.ts';

/** A change that takes the next version of a list (`VersionedChange.list`), if it changes something. */
export interface VersionedChange {
  /** The table with the version of the list, which has one row. */
  readonly list: 'access' | 'revocation_list';
  /** A statement before the change, under the same lock. It takes no version. */
  readonly first?: string;
  /** An INSERT or UPDATE of at most one row. It gives the row the version of `next n`. */
  readonly change: string;
  /** SQL: the answer about the changed row, as JSON. */
  readonly row: string;
  /** SQL: the answer if nothing was changed. */
  readonly otherwise: string;
}

/** The statements: lock the row of the version, then `first`, then the change together with the new version. The lock lasts until the commit. */
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
