import { Child } from './child.ts';
import { now } from './clock.ts';
import { percentilesOf } from './histogram.ts';
import { RUNS } from './marker.ts';
import type { Delivered, Flooded, FloodOptions, Opened, OpenOptions, PublishOptions, ReadOptions, ReadResult, Reopened, ReopenOptions, Streams } from './protocol.ts';
import type { Findings, Outcome, Run } from './run.ts';
import type { Part } from './streams.ts';

export interface LoadOptions {
  /** Processes that hold streams, each an even part of them; 1 if absent. Publishing has a process of its own. */
  readonly processes?: number;
  /** A command that they are started by: `['taskset', '-c', '1']`. */
  readonly by?: readonly string[];
  /** Compiles what opens streams before anything is measured; takes a second or more. For figures of opening. */
  readonly warm?: boolean;
}

/** If nothing is said: a connection for each topic, but so many at most. */
const CONNECTIONS = 16;
const QUIET_MS = 3000;

/**
 * The load generator: streams in one process or several, and publishing in one more, so that a wave of events does not hold up the schedule.
 * Every `busy` is the CPU time of all of them by the time that passed: near 1, a figure is the load's limit and not the server's.
 */
export class Load {
  readonly #readers: readonly Child[];
  readonly #publisher: Child;
  #opened = 0;
  #runs = Math.floor(Math.random() * RUNS);
  #cutAt = 0;

  static async start(options: LoadOptions = {}): Promise<Load> {
    const { processes = 1, by = [], warm = false } = options;
    const load = new Load(Array.from({ length: processes }, () => new Child(by)), new Child(by));
    // So that what is wrong with the command shows here, and nothing waits for their start later.
    await Promise.all([...load.#readers, load.#publisher].map((child) => child.call('streams')));
    if (warm) await Promise.all(load.#readers.map((reader) => reader.call('warm')));
    return load;
  }

  private constructor(readers: readonly Child[], publisher: Child) {
    this.#readers = readers;
    this.#publisher = publisher;
  }

  get pids(): readonly number[] {
    return [...this.#readers, this.#publisher].map((child) => child.pid);
  }

  /** Opens streams, beside those that are open already. Resolves when each is open (on Tidings: `$open` was seen) or has failed. */
  async open(options: OpenOptions): Promise<Opened> {
    const parts = this.#parts(options.streams.count, this.#opened);
    this.#opened += options.streams.count;
    const { wire, ports, streams, rate, concurrency, reconnectMs, members } = options;
    const share = this.#readers.length;
    const own = {
      wire, ports, streams, ...rate === undefined ? {} : { rate: rate / share },
      ...concurrency === undefined ? {} : { concurrency: Math.ceil(concurrency / share) }, ...reconnectMs === undefined ? {} : { reconnectMs }, ...members === undefined ? {} : { members },
    };
    const all = await Promise.all(this.#readers.map((reader, index) => reader.call('open', own, parts[index]!)));
    return summary(all);
  }

  /** Publishes on a schedule, and waits until all streams have everything or nothing has come for a while. */
  async publish(options: PublishOptions): Promise<Delivered> {
    const connections = options.connections ?? Math.min(options.topics.count, CONNECTIONS);
    // With several connections for one topic there is no telling which message is first.
    const inOrder = connections <= options.topics.count;
    const run = this.#run(options, inOrder, options.slow ?? 0);
    const [outcome, findings] = await this.#follow(run, () => this.#publisher.call('publish', asData(options), { run, connections }));
    return delivered(outcome, findings);
  }

  /** Publishes as fast as answers come. */
  async flood(options: FloodOptions): Promise<Flooded> {
    const run = this.#run(options, false, 0);
    const [outcome, findings] = await this.#follow(run, () => this.#publisher.call('flood', asData(options), { run, connections: options.connections }));
    const seconds = Math.max(0, outcome.to - outcome.from) / 1000;
    const delivery = delivered(outcome, findings);
    return {
      accepted: outcome.accepted, refused: outcome.refused, perSecond: outcome.accepted / seconds, answer: percentilesOf([outcome.answer]),
      reasons: outcome.reasons, seconds, busy: outcome.cpuMs / 1000 / seconds, ...(await this.streams()).open > 0 ? { delivery } : {},
    };
  }

  /** Opens streams that read old messages as fast as they come (Tidings only), and closes them again. */
  async read(options: ReadOptions): Promise<ReadResult> {
    const parts = this.#parts(options.count, 0);
    const all = await Promise.all(this.#readers.map((reader, index) => reader.call('read', asData(options), parts[index]!)));
    const seconds = Math.max(...all.map((one) => one.lastMs)) / 1000;
    const events = sum(all, (one) => one.events);
    return {
      events, perSecond: events / seconds, seconds, failed: sum(all, (one) => one.failed), first: percentilesOf(all.map((one) => one.first)), caughtUp: percentilesOf(all.map((one) => one.caughtUp)),
      lost: sum(all, (one) => one.lost), doubled: sum(all, (one) => one.doubled), reordered: sum(all, (one) => one.reordered), gaps: sum(all, (one) => one.gaps),
      busy: sum(all, (one) => one.cpuMs) / 1000 / seconds,
    };
  }

  /** Cuts all streams at once. A `publish` may go on meanwhile. Answers with the moment, as `now()` of clock.ts gives it. */
  async cut(): Promise<number> {
    const moments = await Promise.all(this.#readers.map((reader) => reader.call('cut')));
    this.#cutAt = Math.min(...moments);
    return this.#cutAt;
  }

  /** Brings streams that were cut back, each with the id that it saw last. Resolves when all are open. */
  async reopen({ afterMs, concurrency }: ReopenOptions): Promise<Reopened> {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, this.#cutAt + afterMs - now())));
    const each = concurrency === undefined ? undefined : Math.ceil(concurrency / this.#readers.length);
    return reopened(await Promise.all(this.#readers.map((reader) => reader.call('reopen', each))));
  }

  /** Resolves when no stream is away any more: after a server that was killed, for example, whose streams come back by themselves (`reconnectMs`). */
  async whole(): Promise<Reopened> {
    return reopened(await Promise.all(this.#readers.map((reader) => reader.call('whole'))));
  }

  async streams(): Promise<Streams> {
    const all = await Promise.all(this.#readers.map((reader) => reader.call('streams')));
    return { open: sum(all, (one) => one.open), away: sum(all, (one) => one.away) };
  }

  /** Closes all streams. */
  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.call('close')));
    this.#opened = 0;
  }

  /** Ends the processes. */
  async stop(): Promise<void> {
    await Promise.all([...this.#readers, this.#publisher].map((child) => child.stop()));
  }

  #parts(count: number, first: number): Part[] {
    const step = this.#readers.length;
    return this.#readers.map((_, index) => ({ first: first + index, step, count: Math.ceil((count - index) / step) }));
  }

  #run(options: PublishOptions | FloodOptions, inOrder: boolean, slow: number): Run {
    this.#runs = (this.#runs + 1) % RUNS;
    return { number: this.#runs, base: now(), topics: options.topics, bytes: options.bytes, inOrder, slow, quietMs: options.quietMs ?? QUIET_MS };
  }

  async #follow(run: Run, publish: () => Promise<Outcome>): Promise<[Outcome, Findings[]]> {
    await Promise.all(this.#readers.map((reader) => reader.call('follow', run)));
    let outcome: Outcome;
    try {
      outcome = await publish();
    } catch (error) {
      await Promise.all(this.#readers.map((reader) => reader.call('forget')));
      throw error;
    }
    return [outcome, await Promise.all(this.#readers.map((reader) => reader.call('settle', outcome)))];
  }
}

/** What can leave the process: a target may be a server, with functions. */
function asData<Options extends object>(options: Options): Options {
  return JSON.parse(JSON.stringify(options)) as Options;
}

function sum<Item>(items: readonly Item[], value: (item: Item) => number): number {
  return items.reduce((total, item) => total + value(item), 0);
}

function summary(all: readonly Opened[]): Opened {
  const reasons: Record<string, number> = {};
  for (const one of all) for (const [reason, count] of Object.entries(one.reasons)) reasons[reason] = (reasons[reason] ?? 0) + count;
  const seconds = Math.max(...all.map((one) => one.seconds));
  return {
    open: sum(all, (one) => one.open), failed: sum(all, (one) => one.failed), reasons, seconds, perSecond: sum(all, (one) => one.perSecond * one.seconds) / seconds,
    at: Math.max(...all.map((one) => one.at)), busy: sum(all, (one) => one.busy * one.seconds) / seconds,
  };
}

function reopened(all: readonly Reopened[]): Reopened {
  return { ...summary(all), retried: sum(all, (one) => one.retried), busyAnswers: sum(all, (one) => one.busyAnswers), returns: all.flatMap((one) => one.returns) };
}

function delivered(outcome: Outcome, findings: readonly Findings[]): Delivered {
  const lastAt = Math.max(outcome.from, ...findings.map((one) => one.lastAt));
  // Where nothing was to be delivered, the time of the publishing counts.
  const seconds = (sum(findings, (one) => one.delivered) === 0 ? outcome.to - outcome.from : lastAt - outcome.from) / 1000;
  const caughtUp = findings.map((one) => one.caughtUpAt).filter((at) => at !== undefined);
  const slow = sum(findings, (one) => one.slow);
  return {
    scheduled: outcome.scheduled, accepted: outcome.accepted, refused: outcome.refused, reasons: outcome.reasons,
    expected: sum(findings, (one) => one.expected), delivered: sum(findings, (one) => one.delivered), lost: sum(findings, (one) => one.lost),
    doubled: sum(findings, (one) => one.doubled), reordered: sum(findings, (one) => one.reordered), unasked: sum(findings, (one) => one.unasked),
    ended: sum(findings, (one) => one.ended), gaps: sum(findings, (one) => one.gaps),
    latency: percentilesOf(findings.map((one) => one.latency)), answer: percentilesOf([outcome.answer]), sent: percentilesOf([outcome.lateness]),
    seconds, busy: (sum(findings, (one) => one.cpuMs) + outcome.cpuMs) / 1000 / seconds,
    ...caughtUp.length > 0 ? { caughtUpAt: Math.max(...caughtUp) } : {},
    ...slow > 0 ? { slow: { streams: slow, latency: percentilesOf(findings.map((one) => one.slowLatency)) } } : {},
  };
}
