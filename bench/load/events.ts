import type { Histogram } from './histogram.ts';
import type { Ledger } from './ledger.ts';
import { isMarker, MAGIC, MARKER_BYTES, runOf, seqOf, timeOf, topicOf } from './marker.ts';
import type { Run } from './run.ts';

/** The stream that events came on. */
export interface Origin {
  readonly number: number;
  readonly slow: boolean;
  /** When it was asked for, in milliseconds. */
  readonly connectedAt: number;
}

/** What is done with the events of a stream. */
export interface Sink {
  /** Whole events, one or more: `bytes` from `from` to `to`. They are valid during the call only. @param now In milliseconds. */
  events(stream: Origin, bytes: Buffer, from: number, to: number, now: number): void;
  /** A control event of Tidings among them. */
  gap(): void;
}

/** Less than this behind a message's data cannot hold another one: the end of a frame, the beginning of the next, and a marker. */
const ROOM = MARKER_BYTES + 12;

/**
 * The events of one run. No line is parsed here: a message is known by its marker, which is looked for where the last one stood, and only searched for
 * if it is not there. What the messages themselves are made of is skipped.
 */
export class Counting implements Sink {
  readonly #run: number;
  readonly #base: number;
  /** Of a message's data after its marker. */
  readonly #rest: number;
  readonly #ledger: Ledger;
  readonly #latency: Histogram;
  readonly #slowLatency: Histogram;
  /** From the beginning of what is read to the first marker, and from the end of one message's data to the next's marker: as it was last time. */
  #lead = 0;
  #stride = 0;
  delivered = 0;
  deliveredSlow = 0;
  gaps = 0;
  lastAt = 0;
  /**
   * Messages that were due until here, in microseconds of the run, are what streams that were away have to catch up on; and when all were back, or
   * the last of those came.
   */
  boundary = -1;
  caughtUpAt: number | undefined;

  constructor(run: Run, ledger: Ledger, latency: Histogram, slowLatency: Histogram) {
    this.#run = run.number;
    this.#base = run.base;
    this.#rest = run.bytes - MARKER_BYTES - 2;
    this.#ledger = ledger;
    this.#latency = latency;
    this.#slowLatency = slowLatency;
  }

  events(stream: Origin, bytes: Buffer, from: number, to: number, now: number): void {
    const micros = (now - this.#base) * 1000;
    const latency = stream.slow ? this.#slowLatency : this.#latency;
    const ledger = this.#ledger;
    const number = stream.number;
    let delivered = 0;
    let at = from;
    let marker = from + this.#lead;
    while (to - at >= MARKER_BYTES) {
      if (marker + MARKER_BYTES > to || !isMarker(bytes, marker)) {
        marker = bytes.indexOf(MAGIC, at);
        if (marker === -1 || marker + MARKER_BYTES > to) break;
        if (!isMarker(bytes, marker)) {
          at = marker + MAGIC.length;
          continue;
        }
        this.#remember(marker - at, at === from);
      }
      at = marker + MARKER_BYTES;
      if (runOf(bytes, marker) === this.#run) {
        const time = timeOf(bytes, marker);
        if (ledger.take(number, topicOf(bytes, marker), seqOf(bytes, marker)) === 1) {
          latency.record(micros - time);
          delivered++;
        }
        if (time <= this.boundary) this.caughtUpAt = now;
        at += this.#rest;
        this.lastAt = now;
      }
      if (to - at < ROOM) break;
      marker = at + this.#stride;
    }
    if (stream.slow) this.deliveredSlow += delivered;
    else this.delivered += delivered;
  }

  /** A distance in which another message would fit is none to skip. */
  #remember(distance: number, isFirst: boolean): void {
    const sure = distance < MARKER_BYTES + this.#rest ? distance : 0;
    if (isFirst) this.#lead = sure;
    else this.#stride = sure;
  }

  gap(): void {
    this.gaps++;
  }
}
