/**
 * The shared place where the instances of a log put presence together. An instance can send everything in it again: while the place is away, each instance answers from its own streams.
 * `bus/redis/presence-place.ts` is that of instances on many hosts, `sqlite/sqlite.ts` that of several processes on one SQLite file.
 *
 * Every method but `join` and `close` rejects with `PlaceAway` when there is no answer to be had, at once where that is known. What an instance has written counts while it lives, and for its lease after that.
 */
export interface PresencePlace {
  /** Whether it knows of all instances, this one too, and answers. */
  readonly isUp: boolean;

  /** Whether there is no other instance: what this one knows itself is everything, and the place is not asked. */
  readonly isAlone: boolean;

  /** How changes are told to it. */
  readonly telling: Telling;

  /** Begins with one log: places of two logs never meet. Called once; never throws. */
  join(logId: string, listener: PlaceListener): void;

  /** Says what has changed. Changes are taken in the order of the calls. */
  write(changes: readonly PresenceChange[]): Promise<void>;

  /** Everything was told after `begin`: from now on it counts, in the place of all that this instance had written before. */
  activate(): Promise<void>;

  /** Members of a topic after one, by the bytes of their ids, and how many streams there are. */
  page(topic: string, after: string, limit: number): Promise<PresencePage>;

  /** One answer for each topic, in their order. */
  counts(topics: readonly string[]): Promise<readonly PresenceCount[]>;

  /** Topics of a member after one, by the bytes of their names. */
  topicsOf(member: string, after: string, limit: number): Promise<MemberPage>;

  /** What has changed after a number that an earlier answer gave; undefined topics where anything may have. 0: from the beginning. */
  changes(after: number): Promise<PresenceChanges>;

  /** Leaves: the entries of this instance count for this much longer. Does not wait for a server that hangs. */
  close(lingerMs: number): Promise<void>;
}

export interface Telling {
  /** How long a change waits for others. A stream that comes and goes within this time is not announced. */
  readonly everyMs: number;
  /** How many changes one `write` has at most. Stops it from keeping the place busy. */
  readonly maxEntries: number;
  /** How many writes may be unanswered. Stops a slow place from holding memory: what changes meanwhile waits as a mark on its record. */
  readonly maxRequests: number;
}

export interface PlaceListener {
  /** It can be used, and knows nothing of this instance: tell it everything, and then `activate`. Called again whenever it may have forgotten. */
  begin(): void;
  /** It cannot be used. What changes meanwhile need not be told. */
  lost(): void;
  /** The last of the other instances has gone. What changes need not be told. */
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
  /** What the next page comes after; undefined where this is the last. */
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

/** There is no answer to be had. */
export class PlaceAway extends Error {
  override name = 'PlaceAway';
}
