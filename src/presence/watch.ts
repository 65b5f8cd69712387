import type { Filter } from '../model/topic.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { InTurns } from '../runtime/in-turns.ts';
import type { PresenceChanges, PresenceCount, PresencePage, PresentMember } from './place.ts';
import { presentText } from './present-text.ts';

/** The least time between two reports about a topic. Changes in between share a report. */
const NEWS_EVERY_MS = 250;

/** Beyond one of these, watchers get counts and no members. Stop a crowded topic from costing each of its watchers a long list for every change. */
const WATCHED_MAX_ENTRIES = 500;
const STATE_MAX_BYTES = 64 * 1024;

/** How many topics are read at once. Stops many changes from keeping the place busy. */
const WATCH_MAX_READS = 16;

/** A stream that wants to know who listens. */
export interface PresenceWatcher {
  /** Returns false if it can take nothing now: then it gets the state later. */
  tellPresence(frame: Buffer): boolean;
}

/** The members of a topic, and whether they are those of some instances only. */
export interface Look<Answer> {
  readonly answer: Answer;
  readonly isPartial: boolean;
}

export interface WatchDependencies {
  readonly clock: Clock;
  readonly page: (topic: string, limit: number) => Promise<Look<PresencePage>>;
  readonly count: (topic: string) => Promise<Look<readonly PresenceCount[]>>;
  /** The changes on all instances; absent if this instance gets no changes of others. */
  readonly changes: ((after: number) => Promise<PresenceChanges | undefined>) | undefined;
  /** Whether this instance receives every change by itself, now. */
  readonly hearsAll: () => boolean;
  readonly frameOf: (json: string) => Buffer;
}

/** A topic or pattern as its watchers know it. */
interface Watched {
  readonly topic: string;
  readonly watchers: Set<PresenceWatcher>;
  /** Watchers that do not have the state, or have missed a change. */
  readonly missed: Set<PresenceWatcher>;
  /** Counts the changes sent. */
  number: number;
  /** By their ids; undefined before the first look, and where there are too many. */
  members: Members | undefined;
  /** Fields sent besides members. */
  summary: string;
  state: Buffer | undefined;
  isStale: boolean;
  toldAt: number;
}

/**
 * Tells streams who comes and goes. A stream gets the state of its topics first, and then each change with the next number. Nothing is queued for a full socket: it gets the state again later. All
 * watchers of a topic share one look and one frame.
 */
export class PresenceWatch {
  readonly #clock: Clock;
  readonly #page: WatchDependencies['page'];
  readonly #count: WatchDependencies['count'];
  readonly #changes: WatchDependencies['changes'];
  readonly #hearsAll: () => boolean;
  readonly #frameOf: WatchDependencies['frameOf'];
  readonly #topics = new Map<string, Watched>();
  readonly #turns: InTurns;
  #newest = 0;
  #isLooking = false;
  #timer: Timer | undefined;

  constructor({ clock, page, count, changes, hearsAll, frameOf }: WatchDependencies) {
    this.#clock = clock;
    this.#page = page;
    this.#count = count;
    this.#changes = changes;
    this.#hearsAll = hearsAll;
    this.#frameOf = frameOf;
    this.#turns = new InTurns(clock);
  }

  watch({ topics, patterns }: Filter, watcher: PresenceWatcher): void {
    for (const topic of [...topics, ...patterns]) {
      let watched = this.#topics.get(topic);
      if (watched === undefined) this.#topics.set(topic, watched = { topic, watchers: new Set(), missed: new Set(), number: 0, members: undefined, summary: '', state: undefined, isStale: true, toldAt: -Infinity });
      watched.watchers.add(watcher);
      watched.missed.add(watcher);
    }
    this.#lookIn(0);
  }

  unwatch({ topics, patterns }: Filter, watcher: PresenceWatcher): void {
    for (const topic of [...topics, ...patterns]) {
      const watched = this.#topics.get(topic);
      watched?.watchers.delete(watcher);
      watched?.missed.delete(watcher);
      if (watched?.watchers.size === 0) this.#topics.delete(topic);
    }
  }

  /** This instance has made a change, and receives every change by itself. */
  changed(topic: string): void {
    const watched = this.#topics.get(topic);
    if (watched === undefined || !this.#hearsAll()) return;
    watched.isStale = true;
    this.#lookIn(NEWS_EVERY_MS);
  }

  /** Anything may have changed. */
  changedAll(): void {
    for (const watched of this.#topics.values()) watched.isStale = true;
    if (this.#topics.size > 0) this.#lookIn(NEWS_EVERY_MS);
  }

  #lookIn(milliseconds: number): void {
    if (this.#isLooking) return;
    if (milliseconds === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    this.#timer ??= this.#clock.after(milliseconds, () => void this.#look());
  }

  async #look(): Promise<void> {
    this.#timer = undefined;
    this.#isLooking = true;
    await this.#hear();
    const now = this.#clock.monotonic();
    const due = [...this.#topics.values()].filter(({ isStale, toldAt }) => isStale && now - toldAt >= NEWS_EVERY_MS);
    for (let at = 0; at < due.length; at += WATCH_MAX_READS) await Promise.all(due.slice(at, at + WATCH_MAX_READS).map((watched) => this.#read(watched)));
    for (const watched of this.#topics.values()) if (watched.missed.size > 0) this.#tellState(watched);
    this.#isLooking = false;
    const isWaiting = [...this.#topics.values()].some(({ isStale, missed }) => isStale || missed.size > 0);
    if (isWaiting || (!this.#hearsAll() && this.#topics.size > 0)) this.#lookIn(NEWS_EVERY_MS);
  }

  async #hear(): Promise<void> {
    const changes = this.#hearsAll() ? undefined : await this.#changes?.(this.#newest);
    if (changes === undefined) return;
    this.#newest = changes.newest;
    if (changes.topics === undefined) this.changedAll();
    for (const topic of changes.topics ?? []) {
      const watched = this.#topics.get(topic);
      if (watched !== undefined) watched.isStale = true;
    }
  }

  async #read(watched: Watched): Promise<void> {
    watched.isStale = false;
    const { answer: { streams, members, next }, isPartial } = await this.#page(watched.topic, WATCHED_MAX_ENTRIES);
    if (isPartial && !this.#hearsAll()) {
      // Members of instances that cannot be reached are not gone.
      watched.isStale = true;
      if (watched.state !== undefined) return;
    }
    const summary = `"streams":${streams}${isPartial ? ',"partial":true' : ''}`;
    const texts = next === undefined ? members.map((member) => presentText('id', member.id, member)) : undefined;
    const isListed = texts !== undefined && texts.reduce((sum, { length }) => sum + length, 0) <= STATE_MAX_BYTES;
    if (isListed) this.#take(watched, summary, new Map(members.map((member) => [member.id, member])));
    else this.#take(watched, `${summary},"count":${(await this.#count(watched.topic)).answer[0]!.members}`, undefined);
  }

  /** Sends the difference to the last state sent. */
  #take(watched: Watched, summary: string, members: Members | undefined): void {
    const { members: before, topic } = watched;
    const isFirst = watched.state === undefined;
    const { joined, changed, left } = differences(before, members);
    if (!isFirst && summary === watched.summary && joined.length + changed.length + left.length === 0 && (before === undefined) === (members === undefined)) return;
    watched.number++;
    watched.toldAt = this.#clock.monotonic();
    watched.summary = summary;
    watched.members = members;
    const head = `{"topic":${JSON.stringify(topic)},"number":${watched.number},${summary}`;
    watched.state = this.#frameOf(`${head}${members === undefined ? '' : `,"members":${listText([...members.values()])}`}}`);
    if (isFirst) return;
    // A list and counts have no difference to report.
    const isState = before === undefined || members === undefined;
    const frame = isState ? watched.state : this.#frameOf(`${head},"joined":${listText(joined)},"changed":${listText(changed)},"left":${JSON.stringify(left)}}`);
    this.#turns.forEach([...watched.watchers], (watcher) => {
      if (watched.watchers.has(watcher) && !watched.missed.has(watcher) && !watcher.tellPresence(frame)) watched.missed.add(watcher);
    });
  }

  #tellState(watched: Watched): void {
    const { state } = watched;
    if (state === undefined) return;
    this.#turns.forEach([...watched.missed], (watcher) => {
      if (watched.missed.has(watcher) && watcher.tellPresence(state)) watched.missed.delete(watcher);
    });
  }
}

type Members = ReadonlyMap<string, PresentMember>;

/** Members who came, changed or left. Nobody where there is no list before or after. */
function differences(before: Members | undefined, after: Members | undefined): { readonly joined: readonly PresentMember[]; readonly changed: readonly PresentMember[]; readonly left: readonly string[] } {
  if (before === undefined || after === undefined) return { joined: [], changed: [], left: [] };
  const present = [...after.values()];
  return {
    joined: present.filter(({ id }) => !before.has(id)),
    changed: present.filter(({ id, streams, meta }) => {
      const known = before.get(id);
      return known !== undefined && (known.streams !== streams || known.meta !== meta);
    }),
    left: [...before.keys()].filter((id) => !after.has(id)),
  };
}

function listText(members: readonly PresentMember[]): string {
  return `[${members.map((member) => presentText('id', member.id, member)).join(',')}]`;
}
