import type { Message } from '../model/message.ts';
import type { Filter } from '../model/topic.ts';
import type { Reader } from './reader.ts';

/** Those who want the same: what is done for one of them is done once for all. */
export class Group {
  readonly filter: Filter;
  readonly readers = new Set<Reader>();
  /** Readers that are behind and can be written to. */
  readonly behind = new Set<Reader>();
  /** Whether the log is being read for those behind, and the number behind which the last read of it ended. */
  reading = false;
  sweep = 0;
  /** The same for the tail: the number up to which the last walk through it went. */
  walked = 0;
  /** The last match that found this group: a message that several of its names match is found once. */
  found = 0;
  /** Whether a sweep is going through its readers just now (sweep.ts). */
  isSwept = false;
  #waiters: Set<() => void> | undefined;
  #messages: Message[] = [];
  #bytes = 0;

  constructor(filter: Filter) {
    this.filter = filter;
  }

  get isEmpty(): boolean {
    return this.readers.size === 0 && (this.#waiters === undefined || this.#waiters.size === 0);
  }

  /** Called once each when messages of the group were written; then forgotten. */
  get waiters(): Set<() => void> {
    return (this.#waiters ??= new Set());
  }

  wake(): void {
    const waiters = this.#waiters;
    this.#waiters = undefined;
    if (waiters !== undefined) for (const wake of waiters) wake();
  }

  /** What waits for its live readers, and how many bytes of data it has. */
  get messages(): readonly Message[] {
    return this.#messages;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether messages wait for its live readers. */
  get isListed(): boolean {
    return this.#messages.length > 0;
  }

  /** Whether there may be live readers that are not at the end of the tail: all others are. */
  get isWaiting(): boolean {
    return this.isListed || this.isSwept;
  }

  /** Puts a message on the list of those that wait. */
  add(message: Message): void {
    this.#messages.push(message);
    this.#bytes += message.data.length;
  }

  /** Takes the list. */
  take(): Message[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

/**
 * Topic to readers. Exact names are looked up in a map, patterns in a tree with one level for each segment; so finding
 * who wants a message costs the length of its topic, not the number of readers.
 */
export class Audience {
  readonly #groups = new Map<string, Group>();
  readonly #exact = new Map<string, Set<Group>>();
  readonly #patterns: Branch = new Branch();
  #matches = 0;

  get groups(): Iterable<Group> {
    return this.#groups.values();
  }

  /** How many distinct wishes there are. */
  get size(): number {
    return this.#groups.size;
  }

  /** The group of a filter; a new one is put into the index. Whoever joins it adds itself, and calls `leave` afterwards. */
  join(filter: Filter): Group {
    let group = this.#groups.get(filter.key);
    if (group === undefined) {
      group = new Group(filter);
      this.#groups.set(filter.key, group);
      for (const topic of filter.topics) {
        const there = this.#exact.get(topic);
        if (there === undefined) this.#exact.set(topic, new Set([group]));
        else there.add(group);
      }
      for (const pattern of filter.patterns) this.#patterns.add(pattern.split('.'), group);
    }
    return group;
  }

  /** Takes a group that has become empty out of the index. */
  leave(group: Group): void {
    if (!group.isEmpty || this.#groups.get(group.filter.key) !== group) return;
    this.#groups.delete(group.filter.key);
    for (const topic of group.filter.topics) {
      const there = this.#exact.get(topic);
      there?.delete(group);
      if (there?.size === 0) this.#exact.delete(topic);
    }
    for (const pattern of group.filter.patterns) this.#patterns.remove(pattern.split('.'), group);
  }

  /** Calls `visit` once with every group that wants the topic. */
  match(topic: string, visit: (group: Group) => void): void {
    const match = ++this.#matches;
    const once = (group: Group): void => {
      if (group.found === match) return;
      group.found = match;
      visit(group);
    };
    const exact = this.#exact.get(topic);
    if (exact !== undefined) for (const group of exact) once(group);
    if (!this.#patterns.isEmpty && !topic.startsWith('$')) this.#patterns.match(topic.split('.'), 0, once);
  }
}

/**
 * How deep the tree of patterns is; those that go on beyond are compared. Stops one stream, whose URL has room for thousands of
 * segments, from taking a branch for each of them.
 */
const DEPTH = 8;

/** A place in the tree of patterns: what ends there, and what goes on from it. Most are empty but for one thing. */
class Branch {
  #next: Map<string, Branch> | undefined;
  #here: Set<Group> | undefined;
  #rest: Set<Group> | undefined;
  /** Those with a pattern that goes on beyond the tree. */
  #beyond: Set<Group> | undefined;

  get isEmpty(): boolean {
    return this.#next === undefined && this.#here === undefined && this.#rest === undefined && this.#beyond === undefined;
  }

  add(segments: readonly string[], group: Group, at = 0): void {
    const segment = segments[at];
    if (segment === undefined) (this.#here ??= new Set()).add(group);
    else if (segment === '>') (this.#rest ??= new Set()).add(group);
    else if (at === DEPTH) (this.#beyond ??= new Set()).add(group);
    else {
      this.#next ??= new Map();
      let next = this.#next.get(segment);
      if (next === undefined) this.#next.set(segment, (next = new Branch()));
      next.add(segments, group, at + 1);
    }
  }

  remove(segments: readonly string[], group: Group, at = 0): void {
    const segment = segments[at];
    if (segment === undefined) this.#here = without(this.#here, group);
    else if (segment === '>') this.#rest = without(this.#rest, group);
    else if (at === DEPTH) this.#beyond = without(this.#beyond, group);
    else {
      const next = this.#next?.get(segment);
      next?.remove(segments, group, at + 1);
      if (next?.isEmpty === true) this.#next?.delete(segment);
      if (this.#next?.size === 0) this.#next = undefined;
    }
  }

  match(topic: readonly string[], at: number, visit: (group: Group) => void): void {
    const segment = topic[at];
    if (segment === undefined) {
      for (const group of this.#here ?? NOBODY) visit(group);
      return;
    }
    for (const group of this.#rest ?? NOBODY) visit(group);
    for (const group of this.#beyond ?? NOBODY) if (group.filter.matches(topic.join('.'))) visit(group);
    this.#next?.get(segment)?.match(topic, at + 1, visit);
    this.#next?.get('*')?.match(topic, at + 1, visit);
  }
}

const NOBODY: readonly Group[] = [];

function without(groups: Set<Group> | undefined, group: Group): Set<Group> | undefined {
  groups?.delete(group);
  return groups?.size === 0 ? undefined : groups;
}
