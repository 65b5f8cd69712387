import { checkConnectorNote, checkConnectors, checkOwner } from '../../rows/connector-rows.ts';
import type { ConnectorNote, ConnectorOwner, ConnectorRecord, ConnectorStore, LeasedConnectors, OriginRange, StoredPosition } from '../../contracts/connector-store.ts';
import { shareOf } from '../../rows/webhook-rows.ts';
import { NOW, STANDBY } from '../connection/expressions.ts';
import { listIn, numberIn, partsOf, textIn } from '../connection/json-values.ts';
import type { PgConnections } from '../connection/connection-pool.ts';
import { literal, strings, wholeNumber } from '../connection/literals.ts';

/** Calls that change owners or fences take this lock. Appends of a source do not: they lock the row of their connector. */
const LOCK = "SELECT FROM pg_advisory_xact_lock(hashtext('tidings.connectors'));";

/** Makes SQL of each method of `ConnectorStore`, and reads its answer. */
export class PostgresConnectorStore implements ConnectorStore {
  readonly #use: () => PgConnections;

  /** @param use Throws while the store is not open. */
  constructor(use: () => PgConnections) {
    this.#use = use;
  }

  async leaseConnectors(owner: ConnectorOwner): Promise<LeasedConnectors> {
    checkOwner(owner);
    const names = [...new Set(owner.names)];
    const me = literal(owner.owner);
    const isNamed = `c.name = ANY (${strings(names)})`;
    return this.#use().change(`${LOCK}
      INSERT INTO tidings.connectors (name, owner, fence, cursor, status) SELECT n.name, '', 0, '', '' FROM unnest(${strings(names)}) n (name) ON CONFLICT (name) DO NOTHING;
      INSERT INTO tidings.connector_owners (owner, until) VALUES (${me}, ${NOW} + ${owner.leaseMs}) ON CONFLICT (owner) DO UPDATE SET until = excluded.until;
      DELETE FROM tidings.connector_owners WHERE until <= ${NOW};
      WITH counted AS (SELECT count(*) FILTER (WHERE c.owner = ${me}) AS held, (SELECT count(*) FROM tidings.connector_owners) AS owners FROM tidings.connectors c WHERE ${isNamed})
      UPDATE tidings.connectors SET owner = ${me}, fence = fence + 1 WHERE name IN (
        SELECT c.name FROM tidings.connectors c WHERE ${isNamed} AND NOT EXISTS (SELECT FROM tidings.connector_owners o WHERE o.owner = c.owner) ORDER BY c.name
        LIMIT (SELECT greatest(0, ceil(${names.length}::numeric / greatest(1, t.owners)) - t.held)::bigint FROM counted t));
      SELECT (SELECT json_agg(json_build_array(c.name, c.fence) ORDER BY c.name) FROM tidings.connectors c WHERE c.owner = ${me} AND ${isNamed}), (SELECT count(*) FROM tidings.connector_owners), ${STANDBY}`, ([row]) => ({
      held: recordsIn(row![0]).map(([name, fence]) => ({ id: textIn(name), version: 0, fence: numberIn(fence) })),
      share: shareOf(names.length, wholeNumber(row![1])),
    }));
  }

  async letGoOfConnectors(owner: string, names: readonly string[] | undefined): Promise<void> {
    const me = literal(owner);
    await this.#use().change(`${LOCK} UPDATE tidings.connectors SET owner = '' WHERE owner = ${me}${names === undefined ? `; DELETE FROM tidings.connector_owners WHERE owner = ${me}` : ` AND name = ANY (${strings(names)})`}; SELECT ${STANDBY}`, () => undefined);
  }

  async findConnectors(names: readonly string[]): Promise<readonly ConnectorRecord[]> {
    checkConnectors(names);
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(c.name, c.owner, c.fence, c.cursor, c.status) ORDER BY c.name) FROM tidings.connectors c WHERE c.name = ANY (${strings(names)})), ${STANDBY}`, ([row]) =>
      recordsIn(row![0]).map(([name, owner, fence, cursor, status]) => ({ name: textIn(name), owner: textIn(owner), fence: numberIn(fence), cursor: textIn(cursor), status: textIn(status) })));
  }

  async sourcePositions(connector: string): Promise<readonly StoredPosition[]> {
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(p.part, p.identity, p.position) ORDER BY p.part) FROM tidings.connector_positions p WHERE p.connector = ${literal(connector)}), ${STANDBY}`, ([row]) =>
      recordsIn(row![0]).map(([part, identity, position]) => ({ part: textIn(part), identity: textIn(identity), position: numberIn(position) })));
  }

  async noteConnector(note: ConnectorNote): Promise<boolean> {
    checkConnectorNote(note);
    const cursor = note.cursor === undefined ? '' : `cursor = ${literal(note.cursor)}, `;
    return this.#use().change(`WITH noted AS (UPDATE tidings.connectors SET ${cursor}status = ${literal(note.status)} WHERE name = ${literal(note.name)} AND fence = ${note.fence} RETURNING name) SELECT (SELECT count(*) FROM noted), ${STANDBY}`,
      ([row]) => wholeNumber(row![0]) > 0);
  }

  async originsWithin(first: number, last: number): Promise<readonly OriginRange[]> {
    return this.#use().glance(`SELECT (SELECT json_agg(json_build_array(o.first, o.last, o.origin) ORDER BY o.first) FROM tidings.connector_origins o
      WHERE o.first >= coalesce((SELECT max(b.first) FROM tidings.connector_origins b WHERE b.first <= ${first}), 0) AND o.first <= ${last} AND o.last >= ${first}), ${STANDBY}`, ([row]) =>
      recordsIn(row![0]).map(([from, to, origin]) => ({ first: numberIn(from), last: numberIn(to), origin: textIn(origin) })));
  }
}

/** The records of a JSON array, column by column. */
function recordsIn(json: string | null | undefined): readonly (readonly unknown[])[] {
  return listIn(json).map(partsOf);
}
