import type Database from 'better-sqlite3';
import type { MemberPage, MemberTopic, PresenceChanges, PresenceCount, PresencePage, PresentMember } from '../place.ts';
import type { Calls } from './protocol.ts';
import { CHANGED_MAX_ENTRIES, type PresenceTables } from './tables.ts';

/** The record of one member at one topic by one lease. */
type Line = readonly [name: string, lease: number, streams: number, since: number, metaAt: number, meta: string | null];

/** The questions, each in one transaction of its own. */
export class PresenceQuestions {
  readonly page: (argument: Calls['page']['argument']) => PresencePage;
  readonly counts: (argument: Calls['counts']['argument']) => readonly PresenceCount[];
  readonly topicsOf: (argument: Calls['topicsOf']['argument']) => MemberPage;
  readonly changes: (argument: Calls['changes']['argument']) => PresenceChanges;
  readonly #tables: PresenceTables;
  readonly #streams: Database.Statement<[string], [lease: number, streams: number]>;
  readonly #members: Database.Statement<[string, string], Line>;
  readonly #memberCount: Database.Statement<[string, string], number>;
  readonly #topics: Database.Statement<[string, string], Line>;
  readonly #newest: Database.Statement<[], number>;
  readonly #oldest: Database.Statement<[], { readonly oldest: number | null; readonly held: number }>;
  readonly #changed: Database.Statement<[number], string>;

  constructor(db: Database.Database, tables: PresenceTables) {
    this.#tables = tables;
    this.#streams = db.prepare<[string], [number, number]>('SELECT lease, streams FROM topics WHERE topic = ?').raw();
    this.#members = db.prepare<[string, string], Line>('SELECT member, lease, streams, since, meta_at, meta FROM members WHERE topic = ? AND member > ? ORDER BY member').raw();
    this.#memberCount = db.prepare<[string, string], number>('SELECT count(DISTINCT member) FROM members WHERE topic = ? AND lease IN (SELECT value FROM json_each(?))').pluck();
    this.#topics = db.prepare<[string, string], Line>('SELECT topic, lease, streams, since, meta_at, meta FROM members INDEXED BY members_member WHERE member = ? AND topic > ? ORDER BY topic').raw();
    this.#newest = db.prepare<[], number>('SELECT newest FROM numbers').pluck();
    this.#oldest = db.prepare('SELECT min(number) AS oldest, count(*) AS held FROM changed');
    this.#changed = db.prepare<[number], string>('SELECT topic FROM changed WHERE number > ?').pluck();
    const inTransaction = <Argument, Value>(work: (argument: Argument) => Value): ((argument: Argument) => Value) => {
      const transaction = db.transaction(work);
      return (argument) => transaction.deferred(argument);
    };
    this.page = inTransaction((argument) => this.#page(argument));
    this.counts = inTransaction((argument) => this.#counts(argument));
    this.topicsOf = inTransaction((argument) => this.#topicsOf(argument));
    this.changes = inTransaction((argument) => this.#changes(argument));
  }

  #page({ topic, after, limit }: Calls['page']['argument']): PresencePage {
    const counting = this.#tables.counting();
    const { found, next } = together(this.#members.iterate(topic, after), counting, limit);
    return { streams: this.#sum(topic, counting), members: found.map(({ name: id, ...member }): PresentMember => ({ id, ...member })), next };
  }

  #counts({ topics }: Calls['counts']['argument']): readonly PresenceCount[] {
    const counting = this.#tables.counting();
    const leases = JSON.stringify([...counting]);
    return topics.map((topic) => ({ topic, streams: this.#sum(topic, counting), members: this.#memberCount.get(topic, leases) ?? 0 }));
  }

  #topicsOf({ member, after, limit }: Calls['topicsOf']['argument']): MemberPage {
    const { found, next } = together(this.#topics.iterate(member, after), this.#tables.counting(), limit);
    return { topics: found.map(({ name: topic, ...rest }): MemberTopic => ({ topic, ...rest })), next };
  }

  #changes({ after }: Calls['changes']['argument']): PresenceChanges {
    const newest = this.#newest.get() ?? 0;
    if (after === newest) return { newest, topics: [] };
    const { oldest, held } = this.#oldest.get()!;
    // A file that is new counts from the beginning.
    if (after > newest || oldest === null || (held >= CHANGED_MAX_ENTRIES && oldest > after)) return { newest, topics: undefined };
    return { newest, topics: this.#changed.all(after) };
  }

  #sum(topic: string, counting: ReadonlySet<number>): number {
    return this.#streams.all(topic).reduce((sum, [lease, streams]) => (counting.has(lease) ? sum + streams : sum), 0);
  }
}

interface Found extends Omit<PresentMember, 'id'> {
  readonly name: string;
}

/** The sum of the lines of each name, over leases that count. Reads no more lines than it needs. */
function together(lines: Iterable<Line>, counting: ReadonlySet<number>, limit: number): { readonly found: readonly Found[]; readonly next: string | undefined } {
  const found: (Found & { metaAt: number })[] = [];
  let next: string | undefined;
  for (const [name, lease, streams, since, metaAt, text] of lines) {
    if (!counting.has(lease)) continue;
    const last = found.at(-1);
    const meta = text ?? undefined;
    if (last?.name === name) {
      const isNewer = meta !== undefined && (last.meta === undefined || metaAt > last.metaAt);
      found[found.length - 1] = { name, streams: last.streams + streams, since: Math.min(last.since, since), meta: isNewer ? meta : last.meta, metaAt: isNewer ? metaAt : last.metaAt };
    } else if (found.length === limit) {
      next = last?.name;
      break;
    } else found.push({ name, streams, since, meta, metaAt });
  }
  return { found: found.map(({ name, streams, since, meta }) => ({ name, streams, since, meta })), next };
}
