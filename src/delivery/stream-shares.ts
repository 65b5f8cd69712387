import type { Counters } from '../runtime/counters.ts';
import { type Evictable, FairShares, type Holder } from '../runtime/sharing/fair-shares.ts';
import type { Reader } from './reader/reader.ts';

/** Streams are counted by their holders above this share of `MAX_STREAMS`. An instance with room pays nothing for it, in time or memory. */
const PLACES_COUNTED_FROM_SHARE = 0.75;

/** How many of the streams that came before are counted with each new one: all are, long before the instance is full. Stops one turn from counting thousands. */
const EARLIER_STREAMS = 8;

/** A stream that gives way to one of another holder. */
class EvictableStream implements Evictable {
  readonly #reader: Reader;
  readonly #evict: (reader: Reader) => void;

  constructor(reader: Reader, evict: (reader: Reader) => void) {
    this.#reader = reader;
    this.#evict = evict;
  }

  takeBack(): void {
    this.#evict(this.#reader);
  }
}

export interface StreamSharesDependencies {
  readonly maxStreams: number;
  /** All open streams. */
  readonly readers: Iterable<Reader>;
  /** Sends a stream away. */
  readonly evict: (reader: Reader) => void;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * The places for streams: how many are taken, and who has how many of them. Where all are taken, the largest holder loses its newest stream to a newcomer that has less than half as many.
 */
export class StreamShares {
  readonly #maxStreams: number;
  readonly #countedFrom: number;
  readonly #readers: Iterable<Reader>;
  readonly #evict: (reader: Reader) => void;
  readonly #shares: FairShares;
  /** Goes through the streams that were opened while nobody counted. */
  #earlier: Iterator<Reader> | undefined;
  #size = 0;
  /** Streams that gave way, and whose connections are about to close. Their places are taken by others. */
  readonly #evicted = new Set<Reader>();

  constructor({ maxStreams, readers, evict, counters }: StreamSharesDependencies) {
    this.#maxStreams = maxStreams;
    this.#countedFrom = maxStreams * PLACES_COUNTED_FROM_SHARE;
    this.#readers = readers;
    this.#evict = (reader) => {
      this.#evicted.add(reader);
      evict(reader);
    };
    this.#shares = new FairShares({ gate: 'streams', counters });
  }

  /** How many streams are open. */
  get size(): number {
    return this.#size;
  }

  get #isFull(): boolean {
    return this.#size - this.#evicted.size >= this.#maxStreams;
  }

  /** A stream was opened. */
  opened(reader: Reader, holder: (() => Holder) | undefined): void {
    const size = ++this.#size;
    if (size < this.#countedFrom) return;
    if (holder !== undefined) reader.charge = this.#shares.charge(holder(), 1, new EvictableStream(reader, this.#evict));
    for (let left = EARLIER_STREAMS; left > 0 && this.#shares.total < size; left--) {
      this.#earlier ??= this.#readers[Symbol.iterator]();
      const { value, done } = this.#earlier.next();
      if (done === true) this.#earlier = undefined;
      else this.#countEarlier(value);
    }
  }

  closed(reader: Reader): void {
    this.#size--;
    this.#evicted.delete(reader);
    this.#release(reader);
  }

  /** Somebody else may have the stream's place before it has closed. */
  gaveWay(reader: Reader): void {
    this.#release(reader);
    this.#evicted.add(reader);
  }

  /** Whether there is a place for another stream, or a stream of another holder would give way. */
  hasRoomFor(holder: () => Holder): boolean {
    return !this.#isFull || this.#shares.couldMakeRoom(holder(), 1);
  }

  /** The same for a stream that is opened at once: the stream that has to give way does. */
  makeRoom(holder: () => Holder): boolean {
    return !this.#isFull || this.#shares.makeRoom(holder(), 1);
  }

  #release(reader: Reader): void {
    reader.charge?.release();
    reader.charge = undefined;
  }

  #countEarlier(reader: Reader): void {
    if (reader.isGone || reader.charge !== undefined || reader.client === undefined) return;
    reader.charge = this.#shares.chargeAsOldest(reader.client.holder(), 1, new EvictableStream(reader, this.#evict));
  }
}
