import type Database from 'better-sqlite3';
import type { PresenceChange } from '../place.ts';
import { hostMs, isRunning } from './host-clock.ts';
import type { Calls, Seen } from './protocol.ts';

/** How many topics that have changed are remembered. Stops the list from growing for ever: a process that asks later reads everything. */
export const CHANGED_MAX_ENTRIES = 10_000;

/** Stops one step of a sweep from keeping questions waiting. */
const SWEEP_STEP_ENTRIES = 500;

/** How many leases that have ended one answer names. */
const SWEPT_MAX_ENTRIES = 10;

/** A lease that has less of its time left is renewed. Stops each look from being a write. */
const RENEWED_BELOW_SHARE = 0.75;

/**
 * Times of leases are those of the host's clock. A topic has a row for each lease that has streams of it, and so has a member at a topic. Texts are ordered by their bytes. Rows of a lease that has ended do not count.
 */
const TABLES = `
CREATE TABLE IF NOT EXISTS leases (lease INTEGER PRIMARY KEY AUTOINCREMENT, process TEXT NOT NULL, ends REAL NOT NULL, counts INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS topics (topic TEXT NOT NULL, lease INTEGER NOT NULL, streams INTEGER NOT NULL, PRIMARY KEY (topic, lease)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS topics_lease ON topics (lease);
CREATE TABLE IF NOT EXISTS members (topic TEXT NOT NULL, member TEXT NOT NULL, lease INTEGER NOT NULL, streams INTEGER NOT NULL, since INTEGER NOT NULL, meta_at INTEGER NOT NULL, meta TEXT, PRIMARY KEY (topic, member, lease)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_member ON members (member, topic);
CREATE INDEX IF NOT EXISTS members_lease ON members (lease);
CREATE TABLE IF NOT EXISTS changed (topic TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS changed_number ON changed (number);
CREATE TABLE IF NOT EXISTS numbers (id INTEGER PRIMARY KEY CHECK (id = 1), newest INTEGER NOT NULL);
INSERT OR IGNORE INTO numbers (id, newest) VALUES (1, 0);
`;

interface LeaseRow {
  readonly lease: number;
  readonly process: string;
  readonly ends: number;
  readonly counts: number;
}

/** A member under one lease. */
interface MemberRow {
  readonly lease: number;
  readonly streams: number;
  readonly since: number;
  readonly metaAt: number;
  readonly meta: string | null;
}

/** The entries of processes. Each call is a transaction of its own. */
export class PresenceTables {
  readonly begin: (argument: Calls['begin']['argument']) => number;
  readonly write: (argument: Calls['write']['argument']) => boolean;
  readonly activate: (argument: Calls['activate']['argument']) => boolean;
  readonly look: (argument: Calls['look']['argument']) => Seen;
  readonly sweep: (argument: Calls['sweep']['argument']) => boolean;
  readonly end: (argument: Calls['end']['argument']) => undefined;
  readonly #leases: Database.Statement<[], LeaseRow>;
  readonly #lease: Database.Statement<[number], LeaseRow>;
  readonly #begin: Database.Statement<[string, number]>;
  readonly #prolong: Database.Statement<[number, number]>;
  readonly #count: Database.Statement<[number, number]>;
  readonly #endBefore: Database.Statement<[string, number]>;
  readonly #forgetLease: Database.Statement<[number]>;
  readonly #memberRows: Database.Statement<[string, string], MemberRow>;
  readonly #putMember: Database.Statement<[string, string, number, number, number, number, string | null]>;
  readonly #dropMember: Database.Statement<[string, string, number]>;
  readonly #streams: Database.Statement<[string, number], number>;
  readonly #putTopic: Database.Statement<[string, number, number]>;
  readonly #dropTopic: Database.Statement<[string, number]>;
  readonly #membersOf: Database.Statement<[number, number], { readonly topic: string; readonly member: string }>;
  readonly #topicsOf: Database.Statement<[number, number], string>;
  readonly #nextNumber: Database.Statement<[], number>;
  readonly #putChanged: Database.Statement<[string, number]>;
  readonly #trimChanged: Database.Statement<[number]>;

  constructor(db: Database.Database) {
    db.exec(TABLES);
    this.#leases = db.prepare('SELECT lease, process, ends, counts FROM leases');
    this.#lease = db.prepare('SELECT lease, process, ends, counts FROM leases WHERE lease = ?');
    this.#begin = db.prepare('INSERT INTO leases (process, ends, counts) VALUES (?, ?, 0)');
    this.#prolong = db.prepare('UPDATE leases SET ends = ? WHERE lease = ?');
    this.#count = db.prepare('UPDATE leases SET ends = ?, counts = 1 WHERE lease = ?');
    this.#endBefore = db.prepare('UPDATE leases SET ends = 0 WHERE process = ? AND lease <> ?');
    this.#forgetLease = db.prepare('DELETE FROM leases WHERE lease = ?');
    this.#memberRows = db.prepare('SELECT lease, streams, since, meta_at AS metaAt, meta FROM members WHERE topic = ? AND member = ?');
    this.#putMember = db.prepare('INSERT OR REPLACE INTO members (topic, member, lease, streams, since, meta_at, meta) VALUES (?, ?, ?, ?, ?, ?, ?)');
    this.#dropMember = db.prepare('DELETE FROM members WHERE topic = ? AND member = ? AND lease = ?');
    this.#streams = db.prepare<[string, number], number>('SELECT streams FROM topics WHERE topic = ? AND lease = ?').pluck();
    this.#putTopic = db.prepare('INSERT OR REPLACE INTO topics (topic, lease, streams) VALUES (?, ?, ?)');
    this.#dropTopic = db.prepare('DELETE FROM topics WHERE topic = ? AND lease = ?');
    this.#membersOf = db.prepare('SELECT topic, member FROM members WHERE lease = ? LIMIT ?');
    this.#topicsOf = db.prepare<[number, number], string>('SELECT topic FROM topics WHERE lease = ? LIMIT ?').pluck();
    this.#nextNumber = db.prepare<[], number>('UPDATE numbers SET newest = newest + 1 RETURNING newest').pluck();
    this.#putChanged = db.prepare('INSERT OR REPLACE INTO changed (topic, number) VALUES (?, ?)');
    this.#trimChanged = db.prepare('DELETE FROM changed WHERE topic IN (SELECT topic FROM changed ORDER BY number DESC LIMIT -1 OFFSET ?)');
    // Take the lock first: while it is held, nobody can sweep the lease that decides.
    const inTransaction = <Argument, Value>(work: (argument: Argument) => Value): ((argument: Argument) => Value) => {
      const transaction = db.transaction(work);
      return (argument) => transaction.immediate(argument);
    };
    this.begin = inTransaction(({ process, leaseMs }) => Number(this.#begin.run(process, hostMs() + leaseMs).lastInsertRowid));
    this.write = inTransaction((argument) => this.#write(argument));
    this.activate = inTransaction((argument) => this.#activate(argument));
    this.look = inTransaction((argument) => this.#look(argument));
    this.sweep = inTransaction((argument) => this.#sweep(argument));
    this.end = inTransaction(({ lease, lingerMs }) => {
      if (this.#isRunning(lease)) this.#prolong.run(hostMs() + lingerMs, lease);
      return undefined;
    });
  }

  /** The leases that count now. */
  counting(): Set<number> {
    const now = hostMs();
    return new Set(this.#leases.all().filter(({ ends, counts }) => counts === 1 && isRunning(ends, now)).map(({ lease }) => lease));
  }

  #isRunning(lease: number): boolean {
    const row = this.#lease.get(lease);
    return row !== undefined && isRunning(row.ends, hostMs());
  }

  #write({ lease, changes }: Calls['write']['argument']): boolean {
    if (!this.#isRunning(lease)) return false;
    const touched = new Set<string>();
    for (const change of changes) {
      if (change.member !== '' && this.#writeMember(lease, change)) touched.add(change.topic);
      if (this.#writeStreams(lease, change.topic, change.topicStreams)) touched.add(change.topic);
    }
    this.#tell(touched);
    return true;
  }

  #writeMember(lease: number, { topic, member, isPresent, streams, since, meta, metaAt }: PresenceChange): boolean {
    const rows = this.#memberRows.all(topic, member);
    const own = rows.find((row) => row.lease === lease);
    if (!isPresent) return own !== undefined && this.#dropMember.run(topic, member, lease).changes > 0;
    // A member that comes back on another process was never gone.
    const first = rows.reduce((earliest, row) => Math.min(earliest, row.since), since);
    if (own?.streams === streams && own.since === first && own.metaAt === metaAt && own.meta === (meta ?? null)) return false;
    this.#putMember.run(topic, member, lease, streams, first, metaAt, meta ?? null);
    return true;
  }

  #writeStreams(lease: number, topic: string, streams: number): boolean {
    if ((this.#streams.get(topic, lease) ?? 0) === streams) return false;
    if (streams > 0) this.#putTopic.run(topic, lease, streams);
    else this.#dropTopic.run(topic, lease);
    return true;
  }

  #tell(topics: ReadonlySet<string>): void {
    if (topics.size === 0) return;
    const number = this.#nextNumber.get()!;
    for (const topic of topics) this.#putChanged.run(topic, number);
    this.#trimChanged.run(CHANGED_MAX_ENTRIES);
  }

  #activate({ lease, leaseMs }: Calls['activate']['argument']): boolean {
    const row = this.#lease.get(lease);
    if (row === undefined || !isRunning(row.ends, hostMs())) return false;
    this.#count.run(hostMs() + leaseMs, lease);
    this.#endBefore.run(row.process, lease);
    return true;
  }

  #look({ lease: own, leaseMs }: Calls['look']['argument']): Seen {
    const now = hostMs();
    const leases = this.#leases.all();
    const ownEnds = leases.find(({ lease }) => lease === own)?.ends ?? 0;
    const isAlive = isRunning(ownEnds, now);
    if (isAlive && ownEnds - now < leaseMs * RENEWED_BELOW_SHARE) this.#prolong.run(now + leaseMs, own);
    const others = leases.filter(({ lease }) => lease !== own);
    return {
      isAlive,
      told: others.filter(({ ends, counts }) => counts === 1 && isRunning(ends, now)).map(({ process }) => process),
      ended: others.filter(({ ends }) => !isRunning(ends, now)).map(({ lease }) => lease).slice(0, SWEPT_MAX_ENTRIES),
      hasOthers: others.length > 0,
    };
  }

  #sweep({ lease }: Calls['sweep']['argument']): boolean {
    if (this.#isRunning(lease)) return false;
    const members = this.#membersOf.all(lease, SWEEP_STEP_ENTRIES);
    for (const { topic, member } of members) this.#dropMember.run(topic, member, lease);
    const topics = this.#topicsOf.all(lease, SWEEP_STEP_ENTRIES);
    for (const topic of topics) this.#dropTopic.run(topic, lease);
    this.#tell(new Set([...members.map(({ topic }) => topic), ...topics]));
    const isMore = members.length === SWEEP_STEP_ENTRIES || topics.length === SWEEP_STEP_ENTRIES;
    if (!isMore) this.#forgetLease.run(lease);
    return isMore;
  }
}
