import { now } from './clock.ts';
import { Counting } from './events.ts';
import { Histogram } from './histogram.ts';
import { Ledger } from './ledger.ts';
import type { Findings, Outcome, Run } from './run.ts';
import type { Stream } from './stream.ts';
import { Streams } from './streams.ts';

/** How often it is looked whether everything has come. When it came is known from the events themselves. */
const LOOK_MS = 20;
/** The longest that is waited for what was published, come what may: a server that goes on for ever ends no run otherwise. */
const SETTLE_MS = 180_000;

/** The streams of a process, and what they get of the run that is going on. */
export class Reader {
  readonly streams: Streams;
  #following: Following | undefined;

  constructor() {
    this.streams = new Streams((isWhole) => this.#following?.changed(isWhole), (stream) => this.#following?.ledger.add(stream, false));
  }

  follow(run: Run): void {
    if (this.#following !== undefined) throw new Error('there is a run already');
    this.#following = new Following(run, this.streams);
  }

  async settle(outcome: Outcome): Promise<Findings> {
    if (this.#following === undefined) throw new Error('there is no run');
    try {
      return await this.#following.settle(outcome);
    } finally {
      this.forget();
    }
  }

  forget(): void {
    this.#following?.end();
    this.#following = undefined;
  }
}

class Following {
  readonly ledger: Ledger;
  readonly #run: Run;
  readonly #streams: Streams;
  readonly #slow: readonly Stream[];
  readonly #latency = new Histogram();
  readonly #slowLatency = new Histogram();
  readonly #counting: Counting;
  readonly #endedBefore: number;
  readonly #cpu = process.cpuUsage();
  #cpuMs = 0;

  constructor(run: Run, streams: Streams) {
    this.#run = run;
    this.#streams = streams;
    this.ledger = new Ledger(run);
    const all = streams.all;
    for (const stream of all) this.ledger.add(stream, true);
    this.#slow = all.filter((stream) => stream.isOpen).slice(0, Math.round(all.length * run.slow));
    for (const stream of this.#slow) {
      stream.slow = true;
      stream.pause();
    }
    this.#counting = new Counting(run, this.ledger, this.#latency, this.#slowLatency);
    this.#endedBefore = streams.endedCount;
    streams.sink = this.#counting;
    if (!streams.isWhole) this.changed(false);
  }

  /** As long as a stream is away, everything is to be caught up on; when all are back, what is published from then on is not. */
  changed(isWhole: boolean): void {
    const at = now();
    this.#counting.boundary = isWhole ? (at - this.#run.base) * 1000 : Infinity;
    if (isWhole) this.#counting.caughtUpAt = at;
  }

  async settle(outcome: Outcome): Promise<Findings> {
    const all = this.#streams.all;
    const isSlow = new Set(this.#slow);
    if (isSlow.size > 0) await this.#wait(outcome, all.filter((stream) => !isSlow.has(stream)), () => this.#counting.delivered);
    for (const stream of this.#slow) stream.resume();
    const { expected, lost } = await this.#wait(outcome, all, () => this.#counting.delivered + this.#counting.deliveredSlow);
    const { ledger } = this;
    const { delivered, deliveredSlow, gaps, lastAt, caughtUpAt } = this.#counting;
    return {
      expected, lost, delivered: delivered + deliveredSlow, doubled: ledger.doubled, reordered: ledger.reordered, unasked: ledger.unasked,
      ended: this.#streams.endedCount - this.#endedBefore, gaps, latency: this.#latency.counts, slow: isSlow.size, slowLatency: this.#slowLatency.counts,
      lastAt, caughtUpAt: this.#streams.isWhole ? caughtUpAt : undefined, cpuMs: this.#cpuMs,
    };
  }

  end(): void {
    for (const stream of this.#slow) {
      stream.resume();
      stream.slow = false;
    }
    this.#streams.sink = Streams.nowhere;
  }

  /** Until those streams have everything that was accepted, or nothing has come for long enough. */
  async #wait(outcome: Outcome, streams: readonly Stream[], delivered: () => number): Promise<{ expected: number; lost: number }> {
    const begun = now();
    let looked = begun;
    let seen = -1;
    let result = this.ledger.settle(outcome, streams);
    for (;;) {
      const current = delivered();
      if (current !== seen) {
        seen = current;
        const used = process.cpuUsage(this.#cpu);
        this.#cpuMs = (used.user + used.system) / 1000;
        // Messages whose publishing failed may have come too: the sum tells when it is worth looking, and not whether it is all.
        if (current >= result.expected) result = this.ledger.settle(outcome, streams);
      }
      const at = now();
      // Whoever stood still hears what has come meanwhile before it says that nothing has.
      const stoodStill = at - looked >= this.#run.quietMs / 2;
      looked = at;
      const isQuiet = !stoodStill && this.#streams.isWhole && at - Math.max(begun, this.#counting.lastAt, this.#streams.openedAt) >= this.#run.quietMs;
      if (result.lost === 0 || isQuiet || at - begun >= SETTLE_MS) return this.ledger.settle(outcome, streams);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}
