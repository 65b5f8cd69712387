import { firstAfter } from '../../model/byte-order.ts';
import type { MemberPage, MemberTopic, PresenceChange, PresenceChanges, PresenceCount, PresencePage, PresentMember } from '../../presence/place.ts';
import type { Clock } from '../../runtime/clock.ts';

/** The most changed topics in the list of changes. Bounds the list. A worker that missed more changes reads all topics again. */
const CHANGED_MAX_ENTRIES = 10_000;

/** The most entries that one sweep removes. Stops a sweep from delaying commits. */
const HUB_SWEEP_STEP_ENTRIES = 2_000;

/** A worker's lease, and the entries that were written under it. Answers include the entries from `activate` until the lease ends. Bounded by the topics of the worker's streams. */
interface Lease {
  /** By the hub's clock. */
  endsAt: number;
  isActive: boolean;
  /** The members that the worker wrote. */
  readonly rows: Set<Row>;
  /** The topics at which the worker has streams. */
  readonly topics: Set<Topic>;
}

interface Topic {
  readonly name: string;
  /** How many streams each worker has. */
  readonly streams: Map<Lease, number>;
  /** The rows of each member, by worker. */
  readonly members: Map<string, Map<Lease, Row>>;
}

/** One worker's entry of a member at a topic. */
interface Row {
  readonly topic: Topic;
  readonly member: string;
  readonly streams: number;
  readonly since: number;
  readonly meta: string | undefined;
  readonly metaAt: number;
}

/**
 * The presence of all workers of one log, in the hub's memory. A worker writes its entries under a lease:
 *
 *     begin ─► write, write, … ─► activate: they count ─► renew, renew, … ─► the lease ends: they do not count, and sweeps remove them
 */
export class PresenceBoard {
  readonly #clock: Clock;
  readonly #leases = new Map<string, Lease>();
  readonly #topics = new Map<string, Topic>();
  /** The topics of each member. */
  readonly #members = new Map<string, Set<Topic>>();
  /** The number of each topic's last change, in ascending order. The first number is the time of the hub's start, so numbers of an earlier hub are smaller. */
  readonly #changed = new Map<string, number>();
  readonly #firstNumber = Date.now() * 1000;
  #newest = this.#firstNumber;
  /** The number of the last change that left the list. */
  #forgotten = this.#firstNumber;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  begin(name: string, leaseMs: number): void {
    this.#leases.set(name, { endsAt: this.#clock.monotonic() + leaseMs, isActive: false, rows: new Set(), topics: new Set() });
  }

  /** Returns whether the lease still runs; otherwise nothing was written. */
  write(name: string, changes: readonly PresenceChange[]): boolean {
    const lease = this.#running(name);
    if (lease === undefined) return false;
    const touched = new Set<string>();
    for (const change of changes) {
      const topic = this.#topics.get(change.topic) ?? { name: change.topic, streams: new Map<Lease, number>(), members: new Map<string, Map<Lease, Row>>() };
      this.#topics.set(change.topic, topic);
      const isMemberTouched = change.member !== '' && this.#writeMember(lease, topic, change);
      const areStreamsTouched = this.#writeStreams(lease, topic, change.topicStreams);
      if (isMemberTouched || areStreamsTouched) touched.add(topic.name);
      this.#dropIfEmpty(topic);
    }
    this.#tell(touched);
    return true;
  }

  /** Activates the lease `name`, and ends `before`, the lease that this worker activated last ('' if none). Returns whether the lease still runs. */
  activate(name: string, before: string, leaseMs: number): boolean {
    const lease = this.#running(name);
    if (lease === undefined) return false;
    lease.isActive = true;
    lease.endsAt = this.#clock.monotonic() + leaseMs;
    const old = this.#leases.get(before);
    if (old !== undefined) old.endsAt = -Infinity;
    return true;
  }

  renew(name: string, leaseMs: number): boolean {
    const lease = this.#running(name);
    if (lease !== undefined) lease.endsAt = this.#clock.monotonic() + leaseMs;
    this.#sweep();
    return lease !== undefined;
  }

  /** Undefined if the worker's lease is not active or has ended. Then the worker's own entries may be missing. */
  page(name: string, topicName: string, after: string, limit: number): PresencePage | undefined {
    if (!this.#hasActiveLease(name)) return undefined;
    const topic = this.#topics.get(topicName);
    const now = this.#clock.monotonic();
    const found = firstAfter(this.#present(topic), (id) => id, after, limit + 1);
    return {
      streams: streamsOf(topic, now),
      members: found.slice(0, limit).map((id): PresentMember => ({ id, ...together(topic!.members.get(id)!, now) })),
      next: found.length > limit ? found[limit - 1] : undefined,
    };
  }

  counts(name: string, topics: readonly string[]): readonly PresenceCount[] | undefined {
    if (!this.#hasActiveLease(name)) return undefined;
    const now = this.#clock.monotonic();
    return topics.map((topicName) => {
      const topic = this.#topics.get(topicName);
      return { topic: topicName, streams: streamsOf(topic, now), members: this.#countMembers(topic) };
    });
  }

  topicsOf(name: string, member: string, after: string, limit: number): MemberPage | undefined {
    if (!this.#hasActiveLease(name)) return undefined;
    const now = this.#clock.monotonic();
    const topics = [...this.#members.get(member) ?? []].filter((topic) => hasActiveRow(topic.members.get(member)!, now));
    const found = firstAfter(topics, (topic) => topic.name, after, limit + 1);
    return {
      topics: found.slice(0, limit).map((topic): MemberTopic => ({ topic: topic.name, ...together(topic.members.get(member)!, now) })),
      next: found.length > limit ? found[limit - 1]!.name : undefined,
    };
  }

  changes(after: number): PresenceChanges {
    const isKnown = after === 0 ? this.#forgotten === this.#firstNumber : after >= this.#forgotten && after <= this.#newest;
    if (!isKnown) return { newest: this.#newest, topics: undefined };
    return { newest: this.#newest, topics: after === this.#newest ? [] : [...this.#changed].filter(([, number]) => number > after).map(([topic]) => topic) };
  }

  #running(name: string): Lease | undefined {
    const lease = this.#leases.get(name);
    return lease !== undefined && lease.endsAt > this.#clock.monotonic() ? lease : undefined;
  }

  #hasActiveLease(name: string): boolean {
    return this.#running(name)?.isActive === true;
  }

  #writeMember(lease: Lease, topic: Topic, { member, isPresent, streams, since, meta, metaAt }: PresenceChange): boolean {
    const rows = topic.members.get(member);
    const own = rows?.get(lease);
    if (!isPresent) {
      if (own !== undefined) this.#dropRow(lease, own);
      return own !== undefined;
    }
    // A member that moves to another worker keeps its earliest `since`.
    let first = since;
    for (const row of rows?.values() ?? []) first = Math.min(first, row.since);
    if (own?.streams === streams && own.since === first && own.metaAt === metaAt && own.meta === meta) return false;
    if (own !== undefined) lease.rows.delete(own);
    const row: Row = { topic, member: own?.member ?? member, streams, since: first, meta, metaAt };
    lease.rows.add(row);
    if (rows !== undefined) rows.set(lease, row);
    else {
      topic.members.set(member, new Map([[lease, row]]));
      const topics = this.#members.get(member);
      if (topics === undefined) this.#members.set(member, new Set([topic]));
      else topics.add(topic);
    }
    return true;
  }

  #dropRow(lease: Lease, row: Row): void {
    const { topic, member } = row;
    lease.rows.delete(row);
    const rows = topic.members.get(member)!;
    rows.delete(lease);
    if (rows.size > 0) return;
    topic.members.delete(member);
    const topics = this.#members.get(member)!;
    topics.delete(topic);
    if (topics.size === 0) this.#members.delete(member);
  }

  #writeStreams(lease: Lease, topic: Topic, streams: number): boolean {
    if ((topic.streams.get(lease) ?? 0) === streams) return false;
    if (streams > 0) {
      topic.streams.set(lease, streams);
      lease.topics.add(topic);
    } else {
      topic.streams.delete(lease);
      lease.topics.delete(topic);
    }
    return true;
  }

  #dropIfEmpty(topic: Topic): void {
    if (topic.streams.size === 0 && topic.members.size === 0) this.#topics.delete(topic.name);
  }

  #tell(topics: ReadonlySet<string>): void {
    if (topics.size === 0) return;
    this.#newest++;
    for (const topic of topics) {
      this.#changed.delete(topic);
      this.#changed.set(topic, this.#newest);
    }
    for (const [topic, number] of this.#changed) {
      if (this.#changed.size <= CHANGED_MAX_ENTRIES) break;
      this.#changed.delete(topic);
      this.#forgotten = number;
    }
  }

  /** Removes at most `HUB_SWEEP_STEP_ENTRIES` entries of ended leases. */
  #sweep(): void {
    const now = this.#clock.monotonic();
    let left = HUB_SWEEP_STEP_ENTRIES;
    const touched = new Set<string>();
    for (const [name, lease] of this.#leases) {
      if (lease.endsAt > now) continue;
      for (const row of lease.rows) {
        if (left-- <= 0) break;
        this.#dropRow(lease, row);
        this.#swept(row.topic, touched);
      }
      for (const topic of lease.topics) {
        if (left-- <= 0) break;
        this.#writeStreams(lease, topic, 0);
        this.#swept(topic, touched);
      }
      if (left <= 0) break;
      this.#leases.delete(name);
    }
    this.#tell(touched);
  }

  #swept(topic: Topic, touched: Set<string>): void {
    touched.add(topic.name);
    this.#dropIfEmpty(topic);
  }

  /** Counts the members whose lease is active. If every lease is, no entry needs a check. */
  #countMembers(topic: Topic | undefined): number {
    if (topic === undefined) return 0;
    const now = this.#clock.monotonic();
    if ([...this.#leases.values()].every((lease) => isActive(lease, now))) return topic.members.size;
    let members = 0;
    for (const rows of topic.members.values()) if (hasActiveRow(rows, now)) members++;
    return members;
  }

  *#present(topic: Topic | undefined): Generator<string> {
    const now = this.#clock.monotonic();
    for (const [id, rows] of topic?.members ?? []) if (hasActiveRow(rows, now)) yield id;
  }
}

function isActive(lease: Lease, now: number): boolean {
  return lease.isActive && lease.endsAt > now;
}

function hasActiveRow(rows: ReadonlyMap<Lease, Row>, now: number): boolean {
  for (const lease of rows.keys()) if (isActive(lease, now)) return true;
  return false;
}

function streamsOf(topic: Topic | undefined, now: number): number {
  let all = 0;
  for (const [lease, streams] of topic?.streams ?? []) if (isActive(lease, now)) all += streams;
  return all;
}

/** Combines a member's rows: the sum of the streams, the earliest `since`, the newest `meta`. */
function together(rows: ReadonlyMap<Lease, Row>, now: number): Omit<PresentMember, 'id'> {
  let [streams, since, newest] = [0, Infinity, -Infinity];
  let meta: string | undefined;
  for (const [lease, row] of rows) {
    if (!isActive(lease, now)) continue;
    streams += row.streams;
    since = Math.min(since, row.since);
    if (row.meta === undefined || row.metaAt <= newest) continue;
    newest = row.metaAt;
    meta = row.meta;
  }
  return { streams, since, meta };
}
