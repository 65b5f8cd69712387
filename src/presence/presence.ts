import type { Filter } from '../model/topic.ts';
import { CallLimiter } from '../runtime/sharing/call-limiter.ts';
import { within, type Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import { type Holder, UNNAMED } from '../runtime/sharing/fair-shares.ts';
import { LocalPresence, topicOf } from './local-presence.ts';
import type { Member } from './member.ts';
import { PlaceSync } from './place-sync.ts';
import { PlaceAway, type MemberPage, type MemberTopic, type PresenceChanges, type PresenceCount, type PresencePage, type PresencePlace } from './place.ts';
import { PresenceWatch, type PresenceWatcher } from './watch.ts';

/**
 * The room `presence` says who listens, on all instances of a log. Streams come in, with the topics and patterns that they name and the member that opened them. Out goes who is at a topic, how many, and where a
 * member is. The instances put together what each of them has in a place (place.ts); while that is away, each answers with what it knows, and says so. The room knows nothing of HTTP.
 */

/** How long to wait for the place. Bounds how long a Redis that hangs delays a request. */
const ASK_WAIT_MS = 1_000;

/** Questions that the place has at the same time, and answers in order. Stops one client's questions from making another wait for longer than `ASK_WAIT_MS`. */
const PRESENCE_ASKING_MAX_REQUESTS = 32;

/** Questions that wait for their turn; beyond that the client with most gets a part of the answer. Stops a flood of them from holding memory. */
const PRESENCE_WAITING_MAX_REQUESTS = 1_000;

/** How long the end of the process waits for the place to hear what has changed. */
const LAST_TELL_MS = 500;

/** How often one question for a member's topics goes on to the next page, because the asker may see none of those before. */
const LOOK_ON_MAX_READS = 10;

/** An answer, and whether it tells only of a part of the instances. */
export interface Told<Answer> {
  readonly answer: Answer;
  readonly isPartial: boolean;
}

export interface PresenceDependencies {
  /** Absent for a single process, or if the others cannot be reached. */
  readonly place: PresencePlace | undefined;
  /** Whether there may be instances unknown to the place, or where there is no place, other instances than this. */
  readonly mayHaveOthers: boolean;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly graceMs: number;
  readonly counters: Pick<Counters, 'presencePartial' | 'evicted'>;
  /** The frame of an event that tells watchers something. */
  readonly frameOf: (json: string) => Buffer;
}

export class Presence {
  readonly #place: PresencePlace | undefined;
  readonly #mayHaveOthers: boolean;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'presencePartial'>;
  readonly #local: LocalPresence;
  readonly #sync: PlaceSync | undefined;
  readonly #watch: PresenceWatch;
  readonly #questions: CallLimiter;

  constructor({ place, mayHaveOthers, clock, now, graceMs, counters, frameOf }: PresenceDependencies) {
    this.#place = place;
    this.#mayHaveOthers = mayHaveOthers;
    this.#clock = clock;
    this.#counters = counters;
    this.#questions = new CallLimiter({ places: PRESENCE_ASKING_MAX_REQUESTS, maxWaiting: PRESENCE_WAITING_MAX_REQUESTS, refusal: () => new PlaceAway('too many questions wait'), gate: 'presence', counters });
    const sync = place && new PlaceSync({ place, clock, local: () => this.#local });
    this.#sync = sync;
    this.#watch = new PresenceWatch({
      clock, frameOf, page: (topic, limit) => this.page(topic, '', limit), count: (topic) => this.counts([topic]), changes: place && ((after) => this.#changes(place, after)),
      hearsAll: () => this.#isAlone || place === undefined,
    });
    this.#local = new LocalPresence({ clock, now, graceMs, onChange: (record) => {
      this.#watch.changed(topicOf(record));
      return sync?.changed(record) === true;
    } });
  }

  /** How many topics and patterns the streams of this instance name. */
  get topics(): number {
    return this.#local.size;
  }

  /** The names of these topics and patterns. */
  named(): Iterable<string> {
    return this.#local.named();
  }

  /** Whether all instances can be reached. */
  get isWhole(): boolean {
    return this.#isAlone || (this.#place?.isUp === true && !this.#mayHaveOthers);
  }

  /** Puts together what all instances of a log have. */
  join(logId: string): void {
    this.#place?.join(logId, {
      begin: () => void this.#begin(),
      lost: () => this.#sync!.lost(),
      alone: () => {
        this.#sync!.lost();
        this.#watch.changedAll();
      },
    });
  }

  /** A stream begins. Its topics are known elsewhere a moment later: it waits for nobody. */
  enter(filter: Filter, member: Member | undefined): void {
    this.#local.enter(filter, member);
  }

  /** A stream has ended. Its member stays for the grace period. */
  leave(filter: Filter, member: string | undefined): void {
    this.#local.leave(filter, member);
  }

  /** A stream names other topics now. Its member leaves the topics that it gave up at once. */
  change(before: Filter, after: Filter, member: string | undefined): void {
    this.#local.change(before, after, member);
  }

  /** Tells a stream who listens to its topics, and who comes and goes. */
  watch(filter: Filter, watcher: PresenceWatcher): void {
    this.#watch.watch(filter, watcher);
  }

  unwatch(filter: Filter, watcher: PresenceWatcher): void {
    this.#watch.unwatch(filter, watcher);
  }

  /** @param asker Clients take turns. */
  page(topic: string, after: string, limit: number, asker: Holder = UNNAMED): Promise<Told<PresencePage>> {
    return this.#ask((place) => place.page(topic, after, limit), () => this.#local.page(topic, after, limit), asker);
  }

  /** @param asker Clients take turns. */
  counts(topics: readonly string[], asker: Holder = UNNAMED): Promise<Told<readonly PresenceCount[]>> {
    return this.#ask((place) => place.counts(topics), () => this.#local.counts(topics), asker);
  }

  /**
   * Where a member is, as far as the asker may see it.
   * @param asker Clients take turns.
   */
  async topicsOf(member: string, after: string, limit: number, maySee: (topic: string) => boolean, asker: Holder = UNNAMED): Promise<Told<MemberPage>> {
    const topics: MemberTopic[] = [];
    let isPartial = false;
    let next: string | undefined = after;
    for (let reads = 0; next !== undefined && topics.length === 0 && reads < LOOK_ON_MAX_READS; reads++) {
      const from: string = next;
      const told: Told<MemberPage> = await this.#ask((place) => place.topicsOf(member, from, limit), () => this.#local.topicsOf(member, from, limit), asker);
      isPartial ||= told.isPartial;
      topics.push(...told.answer.topics.filter(({ topic }) => maySee(topic)));
      next = told.answer.next;
    }
    return { answer: { topics, next }, isPartial };
  }

  /** Says that the streams of this instance have ended. */
  async close(): Promise<void> {
    await within(this.#clock, LAST_TELL_MS, this.#sync?.flush() ?? Promise.resolve());
    // Their clients are coming back to other instances.
    await this.#place?.close(this.#local.lingerMs);
  }

  /** Whether the list is complete. */
  get #isAlone(): boolean {
    return this.#place === undefined ? !this.#mayHaveOthers : this.#place.isAlone;
  }

  async #begin(): Promise<void> {
    await this.#sync!.begin();
    this.#watch.changedAll();
  }

  /** Undefined where the place cannot be heard. */
  async #changes(place: PresencePlace, after: number): Promise<PresenceChanges | undefined> {
    if (!place.isUp) return undefined;
    try {
      return await within(this.#clock, ASK_WAIT_MS, place.changes(after));
    } catch (error) {
      if (!(error instanceof PlaceAway)) throw error;
      return undefined;
    }
  }

  async #ask<Answer>(ask: (place: PresencePlace) => Promise<Answer>, here: () => Answer, asker: Holder): Promise<Told<Answer>> {
    const place = this.#place;
    if (this.#isAlone) return { answer: here(), isPartial: false };
    if (place?.isUp === true) {
      let isOver = false;
      // One whose answer comes too late has its turn until then. One whose turn comes too late asks nothing.
      const asked = this.#questions.pass(() => isOver ? Promise.resolve(undefined) : ask(place), asker);
      try {
        const answer = await within(this.#clock, ASK_WAIT_MS, asked);
        isOver = true;
        if (answer !== undefined) {
          if (this.#mayHaveOthers) this.#counters.presencePartial++;
          return { answer, isPartial: this.#mayHaveOthers };
        }
      } catch (error) {
        if (!(error instanceof PlaceAway)) throw error;
      }
    }
    this.#counters.presencePartial++;
    return { answer: here(), isPartial: true };
  }
}
