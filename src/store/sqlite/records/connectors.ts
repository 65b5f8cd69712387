import type Database from 'better-sqlite3';
import { checkConnectorNote, checkConnectors, checkOwner } from '../../rows/connector-rows.ts';
import type { ConnectorNote, ConnectorOwner, ConnectorRecord, ConnectorStore, LeasedConnectors, OriginRange, SourceStep, StoredPosition } from '../../contracts/connector-store.ts';
import { shareOf } from '../../rows/webhook-rows.ts';
import type { CallEffects, CallTable, PerformCall } from './side-call.ts';

/** The calls of `ConnectorStore`. */
export interface ConnectorCalls {
  leaseConnectors: { argument: ConnectorOwner; answer: LeasedConnectors };
  letGoOfConnectors: { argument: { readonly owner: string; readonly names: readonly string[] | undefined }; answer: void };
  findConnectors: { argument: { readonly names: readonly string[] }; answer: readonly ConnectorRecord[] };
  sourcePositions: { argument: { readonly connector: string }; answer: readonly StoredPosition[] };
  noteConnector: { argument: ConnectorNote; answer: boolean };
  originsWithin: { argument: { readonly first: number; readonly last: number }; answer: readonly OriginRange[] };
}

export const CONNECTOR_EFFECTS: CallEffects<ConnectorCalls> = {
  findConnectors: 'read',
  sourcePositions: 'read',
  originsWithin: 'read',
  leaseConnectors: 'write',
  letGoOfConnectors: 'write',
  noteConnector: 'write',
};

/** Reads and changes connectors, inside the caller's transaction. */
export class Connectors implements CallTable<ConnectorCalls> {
  readonly #make: Database.Statement<[string]>;
  readonly #keepLease: Database.Statement<[string, number]>;
  readonly #endLeases: Database.Statement<[number]>;
  readonly #endLease: Database.Statement<[string]>;
  readonly #countOwners: Database.Statement<[], number>;
  readonly #find: Database.Statement<[string], ConnectorRecord>;
  readonly #hasLease: Database.Statement<[string], number>;
  readonly #take: Database.Statement<[string, string]>;
  readonly #letGo: Database.Statement<[string, string]>;
  readonly #letGoOfAll: Database.Statement<[string]>;
  readonly #note: Database.Statement<[string | null, string, string, number]>;
  readonly #positions: Database.Statement<[string], StoredPosition>;
  readonly #position: Database.Statement<[string, string], StoredPosition>;
  readonly #move: Database.Statement<[string, string, string, number]>;
  readonly #lengthenOrigin: Database.Statement<[number, number, string]>;
  readonly #addOrigin: Database.Statement<[number, number, string]>;
  readonly #forgetOrigins: Database.Statement<[number]>;
  readonly #origins: Database.Statement<[number, number], OriginRange>;

  constructor({ db }: { readonly db: Database.Database }) {
    this.#make = db.prepare("INSERT INTO connectors (name, owner, fence, cursor, status) VALUES (?, '', 0, '', '') ON CONFLICT DO NOTHING");
    this.#keepLease = db.prepare('INSERT OR REPLACE INTO connector_owners (owner, until) VALUES (?, ?)');
    this.#endLeases = db.prepare('DELETE FROM connector_owners WHERE until <= ?');
    this.#endLease = db.prepare('DELETE FROM connector_owners WHERE owner = ?');
    this.#countOwners = db.prepare<[], number>('SELECT count(*) FROM connector_owners').pluck();
    this.#find = db.prepare('SELECT name, owner, fence, cursor, status FROM connectors WHERE name = ?');
    this.#hasLease = db.prepare<[string], number>('SELECT EXISTS (SELECT 1 FROM connector_owners WHERE owner = ?)').pluck();
    this.#take = db.prepare('UPDATE connectors SET owner = ?, fence = fence + 1 WHERE name = ?');
    this.#letGo = db.prepare("UPDATE connectors SET owner = '' WHERE owner = ? AND name = ?");
    this.#letGoOfAll = db.prepare("UPDATE connectors SET owner = '' WHERE owner = ?");
    this.#note = db.prepare('UPDATE connectors SET cursor = coalesce(?, cursor), status = ? WHERE name = ? AND fence = ?');
    this.#positions = db.prepare('SELECT part, identity, position FROM connector_positions WHERE connector = ? ORDER BY part');
    this.#position = db.prepare('SELECT part, identity, position FROM connector_positions WHERE connector = ? AND part = ?');
    this.#move = db.prepare('INSERT OR REPLACE INTO connector_positions (connector, part, identity, position) VALUES (?, ?, ?, ?)');
    this.#lengthenOrigin = db.prepare('UPDATE connector_origins SET last = ? WHERE first = (SELECT max(first) FROM connector_origins) AND last = ? AND origin = ?');
    this.#addOrigin = db.prepare('INSERT OR REPLACE INTO connector_origins (first, last, origin) VALUES (?, ?, ?)');
    this.#forgetOrigins = db.prepare('DELETE FROM connector_origins WHERE first < (SELECT max(first) FROM connector_origins WHERE first <= ?)');
    // Ranges do not overlap, so at most one range that begins at or before `first` can reach it: the last of them.
    this.#origins = db.prepare('SELECT first, last, origin FROM connector_origins WHERE first >= coalesce((SELECT max(first) FROM connector_origins WHERE first <= ?), 0) AND first <= ? ORDER BY first');
  }

  leaseConnectors(owner: ConnectorOwner): LeasedConnectors {
    checkOwner(owner);
    const names = [...new Set(owner.names)].sort();
    const now = Date.now();
    for (const name of names) this.#make.run(name);
    this.#keepLease.run(owner.owner, now + owner.leaseMs);
    this.#endLeases.run(now);
    const share = shareOf(names.length, this.#countOwners.get()!);
    const records = names.map((name) => this.#find.get(name)!);
    let held = records.filter((one) => one.owner === owner.owner).length;
    for (const { name, owner: other } of records) {
      if (held >= share) break;
      if (this.#hasLease.get(other) === 1) continue;
      this.#take.run(owner.owner, name);
      held += 1;
    }
    return { held: names.map((name) => this.#find.get(name)!).filter((one) => one.owner === owner.owner).map(({ name, fence }) => ({ id: name, version: 0, fence })), share };
  }

  letGoOfConnectors({ owner, names }: { readonly owner: string; readonly names: readonly string[] | undefined }): void {
    for (const name of names ?? []) this.#letGo.run(owner, name);
    if (names !== undefined) return;
    this.#letGoOfAll.run(owner);
    this.#endLease.run(owner);
  }

  findConnectors({ names }: { readonly names: readonly string[] }): readonly ConnectorRecord[] {
    checkConnectors(names);
    return [...new Set(names)].flatMap((name) => this.#find.get(name) ?? []);
  }

  sourcePositions({ connector }: { readonly connector: string }): readonly StoredPosition[] {
    return this.#positions.all(connector);
  }

  noteConnector(note: ConnectorNote): boolean {
    checkConnectorNote(note);
    return this.#note.run(note.cursor ?? null, note.status, note.name, note.fence).changes > 0;
  }

  originsWithin({ first, last }: { readonly first: number; readonly last: number }): readonly OriginRange[] {
    return this.#origins.all(first, last).filter((range) => range.last >= first);
  }

  /** Whether the step's fence is the newest, and every stored position is the `from` of its move. */
  isNext({ connector, fence, moves }: SourceStep): boolean {
    if (this.#find.get(connector)?.fence !== fence) return false;
    return moves.every(({ part, from }) => {
      const stored = this.#position.get(connector, part);
      return stored?.identity === from?.identity && stored?.position === from?.position;
    });
  }

  /** Moves the positions of a step. Stores the origin of its messages, `first` to `last`. Deletes the origins of messages that retention has deleted. */
  move({ connector, origin, moves }: SourceStep, { first, last, oldest }: { readonly first: number; readonly last: number; readonly oldest: number }): void {
    for (const { part, to } of moves) this.#move.run(connector, part, to.identity, to.position);
    if (last < first) return;
    if (this.#lengthenOrigin.run(last, first - 1, origin).changes === 0) this.#addOrigin.run(first, last, origin);
    this.#forgetOrigins.run(oldest);
  }
}

/** The main thread's end: turns each method into a call of `Connectors`. */
export class SqliteConnectorStore implements ConnectorStore {
  readonly #call: PerformCall<ConnectorCalls>;

  constructor(call: PerformCall<ConnectorCalls>) {
    this.#call = call;
  }

  leaseConnectors(owner: ConnectorOwner): Promise<LeasedConnectors> {
    return this.#call('leaseConnectors', owner);
  }

  letGoOfConnectors(owner: string, names: readonly string[] | undefined): Promise<void> {
    return this.#call('letGoOfConnectors', { owner, names });
  }

  findConnectors(names: readonly string[]): Promise<readonly ConnectorRecord[]> {
    return this.#call('findConnectors', { names });
  }

  sourcePositions(connector: string): Promise<readonly StoredPosition[]> {
    return this.#call('sourcePositions', { connector });
  }

  noteConnector(note: ConnectorNote): Promise<boolean> {
    return this.#call('noteConnector', note);
  }

  originsWithin(first: number, last: number): Promise<readonly OriginRange[]> {
    return this.#call('originsWithin', { first, last });
  }
}
