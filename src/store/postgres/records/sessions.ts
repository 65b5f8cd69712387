import { NEVER_MS } from '../../rows/key-rows.ts';
import { requireLevel } from '../../level.ts';
import { idTaken, originText, ownerOf, sessionRecord } from '../../rows/session-rows.ts';
import {
  CREDENTIAL_MAX_SESSIONS, DELETE_MAX_SESSIONS, ENDED_MAX_SESSIONS, MAX_SESSIONS, SESSIONS_LEVEL, type MadeSession, type NewSession, type SessionChanges, type SessionKey, type SessionRecord,
} from '../../contracts/session-store.ts';
import { BELIEVED, isNewest, LEVEL, lockOf, LOST_MAX_VERSIONS, newestOf, NOW, STANDBY } from '../connection/expressions.ts';
import { digestIn, listIn, numberIn, partsOf, textIn } from '../connection/json-values.ts';
import type { Row } from '../connection/connection.ts';
import { bytea, literal, strings, wholeNumber } from '../connection/literals.ts';

const STATE = newestOf('session_state');
const LOCK = lockOf('session_state');

/** SQL: the `SessionRow` of a row `s` as a JSON array, which `sessionIn` reads. */
const SESSION = "json_build_array(s.id, encode(s.digest, 'hex'), s.created, s.expires, s.origin)";

export function changesCall(after: number): string {
  return `SELECT a.version, CASE WHEN ${after} BETWEEN greatest(a.since, a.version - ${ENDED_MAX_SESSIONS}) AND a.version THEN coalesce((
      SELECT json_agg(e.id ORDER BY e.version) FROM tidings.session_ends e WHERE e.version > ${after}), '[]') END, ${NOW}, ${STANDBY}
    FROM ${STATE} a`;
}

export function changesIn(row: Row): SessionChanges {
  const [version, ids, now] = row as readonly [string, string | null, string];
  return { version: wholeNumber(version), changed: ids === null ? undefined : listIn(ids).map(textIn), now: wholeNumber(now) };
}

export function findCall(ids: readonly string[]): string {
  return `SELECT (SELECT json_agg(${SESSION}) FROM tidings.sessions s WHERE s.id = ANY (${strings(ids)})), ${STANDBY}`;
}

/** The clock is computed once, in `past`. If it were joined with the table of sessions, the server would read every row. */
export function createCall({ id, digest, origin, lifetimeMs, until = NEVER_MS, replaces }: NewSession): string {
  const owner = literal(ownerOf(origin));
  return `${LOCK}
    WITH past AS MATERIALIZED (SELECT ${BELIEVED} AS clock),
      gone AS (DELETE FROM tidings.sessions WHERE id = ANY (ARRAY(SELECT id FROM tidings.sessions WHERE expires <= (SELECT clock FROM past) ORDER BY expires LIMIT ${DELETE_MAX_SESSIONS})) RETURNING id),
      made AS (
        INSERT INTO tidings.sessions (id, digest, created, expires, owner, origin)
        SELECT ${literal(id)}, ${bytea(digest)}, n.now, least(n.now + ${lifetimeMs}, ${until}, ${NEVER_MS}), ${owner}, ${literal(originText(origin))} FROM (SELECT ${NOW} AS now) n
        WHERE ${LEVEL} >= ${SESSIONS_LEVEL} ON CONFLICT (id) DO NOTHING RETURNING id)
      UPDATE tidings.session_state SET changes = changes + 1, held = held + (SELECT count(*) FROM made) - (SELECT count(*) FROM gone) WHERE ${isNewest('session_state')};
    ${endings(`SELECT s.id FROM tidings.sessions s WHERE ${replaces === undefined ? 'false' : isSession(replaces)}
      UNION (SELECT s.id FROM tidings.sessions s WHERE s.owner = ${owner} AND s.id <> ${literal(id)} ORDER BY s.created DESC, s.id LIMIT ALL OFFSET ${CREDENTIAL_MAX_SESSIONS - 1})
      UNION (SELECT s.id FROM tidings.sessions s WHERE s.id <> ${literal(id)} ORDER BY s.expires LIMIT (SELECT greatest(0, least(a.held - ${MAX_SESSIONS}, ${DELETE_MAX_SESSIONS})) FROM ${STATE} a))`)}
    SELECT (SELECT ${SESSION} FROM tidings.sessions s WHERE ${isSession({ id, digest })}), (SELECT json_agg(gone.id) FROM gone), ${LEVEL}, ${STANDBY}`;
}

/** @throws LevelTooLow */
export function madeIn([made, ended, level]: Row): MadeSession {
  requireLevel(wholeNumber(level), SESSIONS_LEVEL);
  if (made === null || made === undefined) throw idTaken('session');
  return { session: sessionIn(JSON.parse(made)), ended: listIn(ended).map(textIn) };
}

export function endCall(key: SessionKey): string {
  return `${LOCK} ${endings(`SELECT s.id FROM tidings.sessions s WHERE ${isSession(key)}`)} SELECT (SELECT json_agg(gone.session) FROM gone), ${STANDBY}`;
}

export function sessionsIn([sessions]: Row): SessionRecord[] {
  return listIn(sessions).map(sessionIn);
}

function isSession({ id, digest }: SessionKey): string {
  return `s.id = ${literal(id)} AND s.digest = ${bytea(digest)}`;
}

/**
 * Ends sessions, and gives each end a version. Deletes all but the newest `ENDED_MAX_SESSIONS` ends. The caller appends the last SELECT, which sees the tables
 * as they were before these changes.
 *
 * @param due Selects the ids of the sessions.
 */
function endings(due: string): string {
  const isSameServer = "a.server IN ('', n.server)";
  return `DELETE FROM tidings.session_ends WHERE version <= (SELECT a.version FROM ${STATE} a) - ${ENDED_MAX_SESSIONS};
    WITH due AS (${due}),
      gone AS (DELETE FROM tidings.sessions s USING due WHERE s.id = due.id RETURNING s.id, ${SESSION} AS session),
      base AS MATERIALIZED (
        SELECT n.server, ${isSameServer} AS same, a.version + CASE WHEN ${isSameServer} THEN 0 ELSE ${LOST_MAX_VERSIONS} END AS version
        FROM ${STATE} a, (SELECT tidings.session_server() AS server) n),
      told AS (INSERT INTO tidings.session_ends (version, id) SELECT base.version + row_number() OVER (ORDER BY gone.id), gone.id FROM gone, base),
      moved AS (
        UPDATE tidings.session_state a SET changes = a.changes + 1, version = base.version + g.count, held = a.held - g.count, server = base.server, since = CASE WHEN base.same THEN a.since ELSE base.version + 1 END
        FROM base, (SELECT count(*) AS count FROM gone) g WHERE a.${isNewest('session_state')} AND g.count > 0)`;
}

function sessionIn(session: unknown): SessionRecord {
  const [id, digest, created, expires, origin] = partsOf(session);
  return sessionRecord({ id: textIn(id), digest: digestIn(digest), created: numberIn(created), expires: numberIn(expires), origin: textIn(origin) });
}
