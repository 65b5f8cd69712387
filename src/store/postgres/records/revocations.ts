import { checkNewRevocation, checkRevocationPage, revocationOf } from '../../rows/revocation-rows.ts';
import { DELETE_MAX_REVOCATIONS, KEPT_ENDED_REVOCATIONS_MS, MAX_REVOCATIONS, type NewRevocation, type Revocation, type RevocationPage, type RevocationStore } from '../../contracts/revocation-store.ts';
import { BELIEVED, newestOf, NOW, STANDBY } from '../connection/expressions.ts';
import { listIn, numberIn, numberOrNull, partsOf, textIn } from '../connection/json-values.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import type { Row } from '../connection/connection.ts';
import { literal, wholeNumber } from '../connection/literals.ts';
import { changeCall } from './versioned-change.ts';

/** SQL: the `RevocationRow` of a row `r` as a JSON array, which `revocationIn` reads. */
const REVOCATION = 'json_build_array(r.kind, r.name, r.before, r.created, r.ends, r.version)';

/** Makes SQL of each method of `RevocationStore`, and reads its answer. */
export class PostgresRevocationStore implements RevocationStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async listRevocations(page: { readonly after: number; readonly limit: number }): Promise<RevocationPage> {
    checkRevocationPage(page);
    const { after, limit } = page;
    return this.#use().read(`SELECT l.version,
        (SELECT json_agg(${REVOCATION} ORDER BY r.version) FROM (SELECT * FROM tidings.revocations WHERE version > ${after} ORDER BY version LIMIT ${limit}) r), ${NOW}, ${STANDBY}
      FROM ${newestOf('revocation_list')} l`, ([row]) => pageIn(row!));
  }

  async revoke(revocation: NewRevocation): Promise<Revocation | undefined> {
    checkNewRevocation(revocation);
    return this.#use().change(revokeCall(revocation), ([row]) => madeIn(row!));
  }
}

function revokeCall({ kind, name, before: given, lifetimeMs }: NewRevocation): string {
  const before = given ?? 'n.now';
  return changeCall({
    list: 'revocation_list',
    first: `WITH due AS (SELECT kind, name FROM tidings.revocations WHERE ends <= ${BELIEVED} - ${KEPT_ENDED_REVOCATIONS_MS} ORDER BY ends LIMIT ${DELETE_MAX_REVOCATIONS})
      DELETE FROM tidings.revocations r USING due WHERE r.kind = due.kind AND r.name = due.name`,
    change: `INSERT INTO tidings.revocations AS r (kind, name, before, created, ends, version)
      SELECT ${literal(kind)}, ${literal(name)}, ${kind === 'jti' ? 'NULL::bigint' : before}, n.now, ${before} + ${lifetimeMs}, n.version FROM next n${kind === 'all' ? '' : `
      WHERE (SELECT count(*) FROM tidings.revocations) < ${MAX_REVOCATIONS} OR EXISTS (SELECT FROM tidings.revocations WHERE kind = ${literal(kind)} AND name = ${literal(name)})`}
      ON CONFLICT (kind, name) DO UPDATE SET before = greatest(r.before, excluded.before), created = excluded.created, ends = greatest(r.ends, excluded.ends), version = excluded.version`,
    row: REVOCATION,
    otherwise: 'NULL',
  });
}

function madeIn([row]: Row): Revocation | undefined {
  return row === null || row === undefined ? undefined : revocationIn(JSON.parse(row));
}

function pageIn([version, rows]: Row): RevocationPage {
  return { version: wholeNumber(version), revocations: listIn(rows).map(revocationIn) };
}

function revocationIn(row: unknown): Revocation {
  const [kind, name, before, created, ends, version] = partsOf(row);
  return revocationOf({ kind: textIn(kind), name: textIn(name), before: numberOrNull(before), created: numberIn(created), ends: numberIn(ends), version: numberIn(version) });
}
