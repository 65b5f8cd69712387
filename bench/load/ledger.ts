import { Gaps } from './gaps.ts';
import { TopicIndex, allNames } from './names.ts';
import { AgreedOrder } from './order.ts';
import type { Outcome, Run } from './run.ts';

/** What is known of a stream: its number, and what it asked for. */
export interface Subscriber {
  readonly number: number;
  readonly names: readonly string[];
}

/** As the next place of a stream that joined when the run had begun: it begins with the first message that it gets. */
const UNKNOWN = -1;

/** As the one topic of a stream that has none, or several. */
const NONE = -1;
const SEVERAL = -2;

/**
 * Who got what of one run. A *sequence* is one topic on one stream; each must have every message of its topic once, in the topic's order, from
 * where it began. In memory it is one number to compare an event with, so that an event costs the same however many streams and topics there are.
 */
export class Ledger {
  readonly #index: TopicIndex;
  /** By topic; none where the messages' own numbers are the order. */
  readonly #orders: readonly AgreedOrder[] | undefined;
  /** By number of the stream: its only topic, and its first sequence. */
  #topics = new Int32Array(1024).fill(NONE);
  #bases = new Int32Array(1024);
  /** Of a stream with several topics: they stand in the order of its sequences. */
  readonly #several = new Map<number, ReadonlyMap<number, number>>();
  /** By sequence: the place that is next. */
  #next = new Int32Array(1024);
  #count = 0;
  /** By sequence. */
  readonly #gaps = new Gaps();
  readonly #first = new Map<number, number>();
  readonly #positions = new Map<readonly number[], ReadonlyMap<number, number>>();
  doubled = 0;
  reordered = 0;
  unasked = 0;

  constructor(run: Pick<Run, 'topics' | 'inOrder'>) {
    const names = allNames(run.topics);
    this.#index = new TopicIndex(names);
    this.#orders = run.inOrder ? undefined : names.map(() => new AgreedOrder());
  }

  /** @param fromStart Whether it was open when the run began, so that it must get everything. */
  add(stream: Subscriber, fromStart: boolean): void {
    const topics = this.#index.find(stream.names);
    if (stream.number >= this.#topics.length) this.#topics = grown(this.#topics, stream.number, NONE);
    if (stream.number >= this.#bases.length) this.#bases = grown(this.#bases, stream.number, 0);
    this.#topics[stream.number] = topics.length === 0 ? NONE : topics.length === 1 ? topics[0]! : SEVERAL;
    this.#bases[stream.number] = this.#count;
    if (topics.length > 1) this.#several.set(stream.number, this.#positionsOf(topics));
    this.#count += topics.length;
    if (this.#count > this.#next.length) this.#next = grown(this.#next, this.#count, 0);
    if (!fromStart) this.#next.fill(UNKNOWN, this.#count - topics.length, this.#count);
  }

  /** Takes an event; answers with 1 if it is new to the stream, with 0 if not. */
  take(stream: number, topic: number, seq: number): 0 | 1 {
    const sequence = this.#topics[stream] === topic ? this.#bases[stream]! : this.#sequenceOf(stream, topic);
    if (sequence === NONE) {
      this.unasked++;
      return 0;
    }
    const place = this.#orders === undefined ? seq : this.#orders[topic]!.placeOf(seq);
    if (this.#next[sequence] !== place) return this.#takeOutOfTurn(sequence, place);
    this.#next[sequence] = place + 1;
    return 1;
  }

  #takeOutOfTurn(sequence: number, place: number): 0 | 1 {
    const next = this.#next[sequence]!;
    if (next === UNKNOWN) this.#first.set(sequence, place);
    else if (place > next) this.#gaps.add(sequence, next, place);
    else if (this.#gaps.fill(sequence, place)) {
      this.reordered++;
      return 1;
    } else {
      this.doubled++;
      return 0;
    }
    this.#next[sequence] = place + 1;
    return 1;
  }

  /** What of the accepted messages the streams had to get, and what they have not got. */
  settle(outcome: Pick<Outcome, 'sent' | 'unaccepted'>, streams: readonly Subscriber[]): { expected: number; lost: number } {
    const topics = Array.from(outcome.sent, (sent, topic) => new Tally(sent, this.#orders?.[topic]));
    for (let at = 0; at < outcome.unaccepted.length; at += 2) topics[outcome.unaccepted[at]!]!.leaveOut(outcome.unaccepted[at + 1]!);
    for (const topic of topics) topic.close();
    let expected = 0;
    let lost = 0;
    for (const { number, names } of streams) {
      this.#index.find(names).forEach((topic, position) => {
        const tally = topics[topic]!;
        const sequence = this.#bases[number]! + position;
        const next = this.#next[sequence]!;
        // Joined late, and got nothing: there is no telling where it began.
        if (next === UNKNOWN) return;
        expected += tally.accepted(this.#first.get(sequence) ?? 0, Infinity);
        lost += this.#gaps.missing(sequence, (first, end) => tally.accepted(first, end)) + tally.accepted(next, Infinity);
      });
    }
    return { expected, lost };
  }

  #sequenceOf(stream: number, topic: number): number {
    if (this.#topics[stream] !== SEVERAL) return NONE;
    const position = this.#several.get(stream)!.get(topic);
    return position === undefined ? NONE : this.#bases[stream]! + position;
  }

  /** Streams that ask for the same share what is made here. */
  #positionsOf(topics: readonly number[]): ReadonlyMap<number, number> {
    let positions = this.#positions.get(topics);
    if (positions === undefined) this.#positions.set(topics, positions = new Map(topics.map((topic, position) => [topic, position])));
    return positions;
  }
}

/** How many of a topic's messages were accepted between two places. */
class Tally {
  readonly #order: AgreedOrder | undefined;
  /** Places that somebody got; those that nobody got lie after them. */
  readonly #length: number;
  #never = 0;
  /** Places of those that were not accepted, in ascending order. */
  readonly #out: number[] = [];

  constructor(sent: number, order: AgreedOrder | undefined) {
    this.#order = order;
    this.#length = order?.length ?? sent;
    this.#never = sent - this.#length;
  }

  leaveOut(seq: number): void {
    const place = this.#order === undefined ? seq : this.#order.knownPlaceOf(seq);
    if (place === undefined) this.#never--;
    else this.#out.push(place);
  }

  close(): void {
    this.#out.sort((a, b) => a - b);
  }

  accepted(first: number, end: number): number {
    const last = Math.max(first, Math.min(end, this.#length));
    const known = last - first - (this.#below(last) - this.#below(first));
    return known + (end === Infinity ? this.#never : 0);
  }

  /** How many places that were left out are smaller. */
  #below(place: number): number {
    let low = 0;
    let high = this.#out.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#out[middle]! < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function grown(array: Int32Array<ArrayBuffer>, index: number, filler: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(Math.max(index + 1, 2 * array.length)).fill(filler, array.length);
  larger.set(array);
  return larger;
}
