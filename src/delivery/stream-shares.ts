import type { Counters } from '../runtime/counters.ts';
import { type Evictable, FairShares, type Holder } from '../runtime/sharing/fair-shares.ts';
import type { Reader } from './reader/reader.ts';

/** From this share of `MAX_STREAMS` on, streams are counted by their holders. Below it, counting would cost time and memory for nothing. */
const PLACES_COUNTED_FROM_SHARE = 0.75;

/**
 * How many uncounted streams each new stream counts along with itself. Stops one turn of the event loop from counting thousands.
 *
 * Example with `MAX_STREAMS` 10,000: counting begins at stream 7,500. The 7,499 earlier streams are counted 8 at a time, so all are counted at about stream 8,440.
 */
const EARLIER_STREAMS = 8;

/** A stream that a stream of another holder can evict. */
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
  /** Dismisses a stream. */
  readonly evict: (reader: Reader) => void;
  readonly counters: Pick<Counters, 'evicted'>;
}

/**
 * The places for streams: how many are taken, and how many each holder has. If all are taken, a newcomer evicts the newest stream of the largest holder, if it has less than half as many itself.
 */
export class StreamShares {
  readonly #maxStreams: number;
  readonly #countedFrom: number;
  readonly #readers: Iterable<Reader>;
  readonly #evict: (reader: Reader) => void;
  readonly #shares: FairShares;
  /** Walks through the streams that were opened before counting began. */
  #earlier: Iterator<Reader> | undefined;
  #size = 0;
  /** Evicted streams whose sockets have not closed yet. Newcomers have their places. */
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

  /** @param holder Undefined if the stream is counted later, for `client.holder()`. */
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

  /** Frees the place of a stream before its socket closes. */
  freePlace(reader: Reader): void {
    this.#release(reader);
    this.#evicted.add(reader);
  }

  /** Whether there is a place for another stream, or an eviction could free one. */
  hasRoomFor(holder: () => Holder): boolean {
    return !this.#isFull || this.#shares.couldMakeRoom(holder(), 1);
  }

  /** As `hasRoomFor`, but evicts a stream if need be. */
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
