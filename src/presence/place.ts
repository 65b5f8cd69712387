/**
 * The shared place where the instances of a log put presence together. It holds no truth: an instance can write everything again. While it is away, each instance answers from its own streams.
 * `bus/redis/presence-place.ts` is for instances on many hosts, `sqlite/sqlite.ts` for several processes on one SQLite file.
 *
 * Every method but `join` and `close` rejects with `PlaceAway` when no answer comes, at once if that is known. The entries of an instance count while it lives, and until the end of its lease.
 */
export interface PresencePlace {
  /** Whether it answers, and knows all instances, this one included. */
  readonly isUp: boolean;

  /** Whether there is no other instance. Then this one knows everything, and does not ask the place. */
  readonly isAlone: boolean;

  /** How changes are written to it. */
  readonly telling: Telling;

  /** Begins with one log: places of two logs never meet. Called once; never throws. */
  join(logId: string, listener: PlaceListener): void;

  /** Writes changes, in the order of the calls. */
  write(changes: readonly PresenceChange[]): Promise<void>;

  /** Everything was written since `begin`: it counts from now on, instead of the earlier entries of this instance. */
  activate(): Promise<void>;

  /** Members of a topic after one, by the bytes of their ids, and how many streams there are. */
  page(topic: string, after: string, limit: number): Promise<PresencePage>;

  /** One answer for each topic, in their order. */
  counts(topics: readonly string[]): Promise<readonly PresenceCount[]>;

  /** Topics of a member after one, by the bytes of their names. */
  topicsOf(member: string, after: string, limit: number): Promise<MemberPage>;

  /** The changes after a number from an earlier answer, or 0. `topics` is undefined if any topic may have changed. */
  changes(after: number): Promise<PresenceChanges>;

  /** Leaves: the entries of this instance count for this much longer. Does not wait for a server that hangs. */
  close(lingerMs: number): Promise<void>;
}

export interface Telling {
  /** How long a change waits for others. A stream that comes and goes within this time is not announced. */
  readonly everyMs: number;
  /** How many changes one `write` has at most. Stops it from keeping the place busy. */
  readonly maxEntries: number;
  /** How many writes may be unanswered. Stops a slow place from holding memory: later changes wait as marks on their records. */
  readonly maxRequests: number;
}

export interface PlaceListener {
  /** The place can be used, and knows nothing of this instance: write everything, then `activate`. Called again whenever it may have forgotten. */
  begin(): void;
  /** The place cannot be used. Changes need not be written meanwhile. */
  lost(): void;
  /** The last other instance has gone. Changes need not be written. */
  alone(): void;
}

/** How many members or topics one page may have. Stops one question from keeping the place busy. */
export const PRESENCE_PAGE_MAX_ENTRIES = 1_000;

/** A topic or pattern as this instance has it now, and one member of it. */
export interface PresenceChange {
  readonly topic: string;
  /** Empty where only the streams of the topic have changed. */
  readonly member: string;
  /** The streams of the topic on this instance, anonymous ones included. */
  readonly topicStreams: number;
  /** Whether the member, or without one the topic, has anything here. A member is also present for a while after its last stream. */
  readonly isPresent: boolean;
  /** The member's own. */
  readonly streams: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly meta: string | undefined;
  /** When the metadata was given: the newest counts. Milliseconds since 1970. */
  readonly metaAt: number;
}

export interface PresentMember {
  readonly id: string;
  /** 0 while its last stream may come back. */
  readonly streams: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** JSON. */
  readonly meta: string | undefined;
}

export interface PresencePage {
  readonly streams: number;
  readonly members: readonly PresentMember[];
  /** The key after which the next page begins; undefined on the last page. */
  readonly next: string | undefined;
}

export interface PresenceCount {
  readonly topic: string;
  readonly streams: number;
  readonly members: number;
}

/** A topic on which a member is. */
export interface MemberTopic extends Omit<PresentMember, 'id'> {
  readonly topic: string;
}

export interface MemberPage {
  readonly topics: readonly MemberTopic[];
  readonly next: string | undefined;
}

export interface PresenceChanges {
  readonly newest: number;
  readonly topics: readonly string[] | undefined;
}

/** The place gives no answer. */
export class PlaceAway extends Error {
  override name = 'PlaceAway';
}
