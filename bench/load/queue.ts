import { now } from './clock.ts';
import type { Stream } from './stream.ts';

/** As many as wait to be accepted at a server of Node's by default (511): more would be dropped, and tried again by the kernel after a second. */
const CONCURRENCY = 500;
/** A stream that is not open by then never will be. */
const OPEN_MS = 15_000;
const TICK_MS = 5;

/** Opens streams in their turn: only so many at once, and only so many a second. */
export class OpeningQueue {
  /** Those that wait, from `#head` on. */
  #waiting: Stream[] = [];
  #head = 0;
  /** Those that are being opened, in the order in which that began. */
  readonly #opening = new Set<Stream>();
  #concurrency = CONCURRENCY;
  /** From when on so many a second may have been begun, and how many were. */
  #pace: { since: number; rate: number; begun: number } | undefined;
  #ticker: NodeJS.Timeout | undefined;

  /** How it goes on from now. @param rate Streams a second; without a limit if absent. */
  configure(concurrency = CONCURRENCY, rate?: number): void {
    this.#concurrency = concurrency;
    this.#pace = rate === undefined ? undefined : { since: now(), rate, begun: 0 };
  }

  add(streams: Iterable<Stream>): void {
    for (const stream of streams) this.#waiting.push(stream);
    this.#pump();
  }

  /** It is open, or never will be. */
  done(stream: Stream): void {
    this.#opening.delete(stream);
    this.#pump();
  }

  /** Forgets those that are not to be kept. */
  keep(isKept: (stream: Stream) => boolean): void {
    this.#waiting = this.#waiting.slice(this.#head).filter(isKept);
    this.#head = 0;
    for (const stream of this.#opening) if (!isKept(stream)) this.#opening.delete(stream);
    this.#pump();
  }

  #pump(): void {
    const allowed = this.#pace === undefined ? Infinity : Math.floor((now() - this.#pace.since) / 1000 * this.#pace.rate) + 1 - this.#pace.begun;
    const free = Math.max(0, Math.min(allowed, this.#concurrency - this.#opening.size));
    const end = Math.min(this.#waiting.length, this.#head + free);
    if (this.#pace !== undefined) this.#pace.begun += end - this.#head;
    while (this.#head < end) {
      const stream = this.#waiting[this.#head++]!;
      this.#opening.add(stream);
      stream.open();
    }
    const isEmpty = this.#head === this.#waiting.length;
    if (isEmpty) {
      this.#waiting = [];
      this.#head = 0;
    }
    if (!isEmpty || this.#opening.size > 0) this.#ticker ??= setInterval(() => this.#tick(), TICK_MS);
    else {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
    }
  }

  /** Opens on at its pace, and gives up what takes too long. */
  #tick(): void {
    const oldest = now() - OPEN_MS;
    for (const stream of this.#opening) {
      // Those after it are younger.
      if (stream.connectedAt > oldest) break;
      stream.fail('no answer');
    }
    this.#pump();
  }
}
