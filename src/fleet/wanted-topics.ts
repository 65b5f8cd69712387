import type { Answers, ControlChannel } from '../bus/control-channel.ts';
import type { Audience } from '../delivery/audience.ts';
import { TOPICS_PAGE_MAX_ENTRIES } from '../log/history/topic-reads.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Holder } from '../runtime/sharing/fair-shares.ts';
import { InTurns } from '../runtime/in-turns.ts';
import { isObject } from './notes.ts';
import type { Collected, Roster } from './roster.ts';

/** How long a count may use one turn of the event loop. Stops a question about many topics from delaying messages. */
const COUNT_TURN_MS = 2;
/** The most topics with remembered answers. Stops a publisher with ever new topics from filling the memory: the oldest are dropped. */
const REPORTED_MAX_ENTRIES = 1_000;
/** Older answers are not used. */
const REPORT_KEPT_MS = 60_000;
/** Younger answers are not asked for again. */
const REPORT_FRESH_MS = 1_000;
/** The pause between two questions, each for many topics. Stops publishers that want a report each time from flooding the bus. */
const ASK_PAUSE_MS = 200;

/** The kind of the question. */
const KIND = 'topics-wanted';

/** The streams that would get a message of a topic, by its name or by a pattern. */
export interface Wanted {
  readonly streams: number;
  /** How many instances have one of these streams. */
  readonly instances: number;
}

/** The counts of this instance, and the remembered counts of the others. */
export interface WantedReport extends Wanted {
  /** The age of the other instances' answers; 0 if there are none. */
  readonly ageMs: number;
  /** Whether other instances may have more streams. */
  readonly isPartial: boolean;
}

/** The sums of the other instances' last answers. */
interface Remembered extends Wanted {
  readonly at: number;
  readonly isPartial: boolean;
}

export interface WantedTopicsDependencies {
  readonly audience: Pick<Audience, 'match'>;
  readonly roster: Pick<Roster, 'ask' | 'alone'>;
  readonly control: Pick<ControlChannel, 'answer'>;
  readonly clock: Clock;
}

/**
 * Counts the streams of all instances that get a topic. Each instance counts its own exactly. A report for a publisher never waits for others (invariant 6): it uses their last answers, and asks
 * them again in the background.
 */
export class WantedTopics {
  readonly #audience: Pick<Audience, 'match'>;
  readonly #roster: WantedTopicsDependencies['roster'];
  readonly #clock: Clock;
  readonly #turns: InTurns;
  readonly #remembered = new Map<string, Remembered>();
  /** Topics to ask the other instances about. Bounded like the remembered answers. */
  readonly #due = new Set<string>();
  #isAsking = false;
  #timer: Timer | undefined;

  constructor({ audience, roster, control, clock }: WantedTopicsDependencies) {
    this.#audience = audience;
    this.#roster = roster;
    this.#clock = clock;
    this.#turns = new InTurns(clock, COUNT_TURN_MS);
    control.answer(KIND, (body) => {
      const topics = topicsIn(body);
      return topics === undefined ? undefined : this.#countHere(topics).then((counts) => ({ counts }));
    });
  }

  /** Counts for at most `TOPICS_PAGE_MAX_ENTRIES` topics, in their order. @param isEnough Whether to stop waiting for more answers. */
  async count(topics: readonly string[], asker?: Holder, isEnough?: (answers: Answers) => boolean): Promise<{ readonly wanted: readonly Wanted[] } & Pick<Collected, 'missing' | 'isPartial'>> {
    const [own, { answers, missing, isPartial }] = await Promise.all([this.#countHere(topics), this.#roster.ask(KIND, { topics }, asker, isEnough)]);
    return { wanted: sumOf([own, ...countsIn(answers, topics.length)], topics.length), missing, isPartial };
  }

  /** The counts that are known now. Asks the others in the background for the next report. */
  report(topic: string): WantedReport {
    const streams = this.#here(topic);
    const own = { streams, instances: streams === 0 ? 0 : 1 };
    const { alone } = this.#roster;
    if (alone !== undefined) return { ...own, ageMs: 0, isPartial: alone.isPartial };
    const others = this.#remembered.get(topic);
    const ageMs = others === undefined ? Infinity : Math.round(this.#clock.monotonic() - others.at);
    if (ageMs >= REPORT_FRESH_MS) this.#askLater(topic);
    if (others === undefined || ageMs >= REPORT_KEPT_MS) return { ...own, ageMs: 0, isPartial: true };
    return { streams: own.streams + others.streams, instances: own.instances + others.instances, ageMs, isPartial: others.isPartial };
  }

  stop(): void {
    this.#timer?.cancel();
    this.#due.clear();
  }

  #here(topic: string): number {
    let streams = 0;
    this.#audience.match(topic, ({ readers }) => void (streams += readers.size));
    return streams;
  }

  #countHere(topics: readonly string[]): Promise<number[]> {
    return new Promise((resolve) => {
      const counts: number[] = [];
      const all = function* (): Generator<string> {
        yield* topics;
        resolve(counts);
      };
      this.#turns.forEach(all(), (topic) => void counts.push(this.#here(topic)));
    });
  }

  #askLater(topic: string): void {
    if (this.#due.size < REPORTED_MAX_ENTRIES) this.#due.add(topic);
    if (!this.#isAsking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    const topics = [...this.#due].slice(0, TOPICS_PAGE_MAX_ENTRIES);
    for (const topic of topics) this.#due.delete(topic);
    const { answers, missing, isPartial } = await this.#roster.ask(KIND, { topics });
    // Without an answer, the last known counts stay.
    if (answers.size > 0) {
      const at = this.#clock.monotonic();
      const counts = countsIn(answers, topics.length);
      sumOf(counts, topics.length).forEach((wanted, index) => this.#remember(topics[index]!, { ...wanted, at, isPartial: isPartial || missing.length > 0 || counts.length < answers.size }));
    }
    this.#timer = this.#clock.after(ASK_PAUSE_MS, () => {
      this.#isAsking = false;
      if (this.#due.size > 0) void this.#ask();
    });
  }

  #remember(topic: string, wanted: Remembered): void {
    this.#remembered.delete(topic);
    this.#remembered.set(topic, wanted);
    if (this.#remembered.size > REPORTED_MAX_ENTRIES) this.#remembered.delete(this.#remembered.keys().next().value!);
  }
}

/** The value comes from an instance, perhaps of another version. */
function topicsIn(body: unknown): readonly string[] | undefined {
  if (!isObject(body) || !Array.isArray(body['topics']) || body['topics'].length > TOPICS_PAGE_MAX_ENTRIES) return undefined;
  const topics: readonly unknown[] = body['topics'];
  return topics.every((topic) => typeof topic === 'string') ? topics : undefined;
}

function countsIn(answers: Answers, length: number): number[][] {
  return [...answers.values()].flatMap((answer) => {
    const counts: unknown = isObject(answer) ? answer['counts'] : undefined;
    return Array.isArray(counts) && counts.length === length && counts.every((count) => Number.isSafeInteger(count)) ? [counts as number[]] : [];
  });
}

function sumOf(all: readonly (readonly number[])[], length: number): Wanted[] {
  return Array.from({ length }, (_, index) => ({ streams: all.reduce((sum, counts) => sum + counts[index]!, 0), instances: all.filter((counts) => counts[index]! > 0).length }));
}
