import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Counters, Histogram as Counts } from './counters.ts';

/** What metrics show as of now. */
export interface Gauges {
  readonly streams: number;
  /** History requests that wait for a first message. */
  readonly longPolls: number;
  /** Streams that are behind, so that they read the log; and by how many numbers the last of them is. */
  readonly readersBehind: number;
  readonly furthestBehind: number;
  /** The tail: how many messages, their bytes, and its first and last number. */
  readonly tailMessages: number;
  readonly tailBytes: number;
  readonly tailFirst: number;
  readonly tailLast: number;
  /** The log, as it was last seen: its newest number, its oldest, and the bytes of its messages. */
  readonly head: number;
  readonly oldest: number;
  readonly logBytes: number;
  /** Messages waiting to be stored. */
  readonly appendsWaiting: number;
  /** 1 or 0. */
  readonly bus: number;
  readonly database: number;
  readonly draining: number;
}

type NumberOf<Source> = { [Name in keyof Source]: Source[Name] extends number ? Name : never }[keyof Source];

const COUNTERS: Readonly<Record<NumberOf<Counters>, readonly [name: string, help: string]>> = {
  published: ['messages_published_total', 'Messages that this instance stored'],
  replayed: ['publishes_replayed_total', 'Publishes answered from an idempotency key'],
  delivered: ['messages_delivered_total', 'Messages written to streams, once for each stream'],
  deliveredBytes: ['delivered_bytes_total', 'Bytes handed to the sockets of streams'],
  opened: ['streams_opened_total', 'Streams opened'],
  closed: ['streams_closed_total', 'Streams closed'],
  busy: ['streams_busy_total', 'Streams refused with $busy'],
  stalled: ['streams_stalled_total', 'Streams closed since their client took nothing any more'],
  gaps: ['gaps_total', '$gap events written'],
  fellBehind: ['readers_fell_behind_total', 'Times that a live stream fell behind'],
  filled: ['tail_filled_total', 'Messages that the tail read from the log since the bus did not bring them'],
  reads: ['catchup_reads_total', 'Reads of the log for streams that are behind'],
  readsServed: ['catchup_streams_served_total', 'Streams served by those reads'],
  rowsExamined: ['catchup_rows_examined_total', 'Rows that the database looked at for them'],
  trimmed: ['messages_trimmed_total', 'Messages that retention deleted'],
  trimmedKeys: ['keys_trimmed_total', 'Idempotency keys that retention deleted'],
};

const GAUGES: Readonly<Record<keyof Gauges, readonly [name: string, help: string]>> = {
  streams: ['streams', 'Streams open'],
  longPolls: ['long_polls', 'History requests that wait for a first message'],
  readersBehind: ['readers_behind', 'Streams that read from the log rather than from the tail'],
  furthestBehind: ['readers_behind_max_messages', 'How many numbers of the log the last of them is behind'],
  tailMessages: ['tail_messages', 'Messages in memory'],
  tailBytes: ['tail_bytes', 'Bytes of the messages in memory'],
  tailFirst: ['tail_first', 'The oldest number in memory'],
  tailLast: ['tail_last', 'The newest number in memory'],
  head: ['log_head', 'The newest number of the log, as last seen'],
  oldest: ['log_oldest', 'The oldest number of the log, as last seen'],
  logBytes: ['log_bytes', 'Bytes of the messages in the log, as last seen'],
  appendsWaiting: ['appends_waiting', 'Messages waiting to be stored'],
  bus: ['bus_up', 'Whether other instances are told of messages at once'],
  database: ['database_up', 'Whether the log can be read and written'],
  draining: ['draining', 'Whether the instance is going'],
};

export interface Metrics {
  readonly contentType: string;
  render(): Promise<string>;
}

/**
 * Everything that Prometheus is shown: the spine's own numbers, read when they are asked for, and what prom-client
 * knows of the process, the delay of the event loop among it (`nodejs_eventloop_lag_*`, by perf_hooks).
 */
export function buildMetrics(counters: Counters, gauges: () => Gauges): Metrics {
  const registry = new Registry();
  let now = gauges();
  collectDefaultMetrics({ register: registry });
  for (const [source, [name, help]] of Object.entries(COUNTERS) as [NumberOf<Counters>, readonly [string, string]][]) {
    new Counter({ ...named(name, help, registry), collect() {
      this.reset();
      this.inc(counters[source]);
    } });
  }
  new Counter({ ...named('publishes_refused_total', 'Publishes that failed, by the code of their problem', registry), labelNames: ['code'], collect() {
    this.reset();
    for (const [code, count] of counters.refused) this.inc({ code }, count);
  } });
  for (const [source, [name, help]] of Object.entries(GAUGES) as [keyof Gauges, readonly [string, string]][]) {
    new Gauge({ ...named(name, help, registry), collect() {
      this.set(now[source]);
    } });
  }
  new CountedHistogram(named('commit_messages', 'Messages of one commit', registry), counters.commitMessages, 1);
  new CountedHistogram(named('commit_seconds', 'How long a commit took', registry), counters.commitMilliseconds, 1000);
  return {
    contentType: registry.contentType,
    render() {
      now = gauges();
      return registry.metrics();
    },
  };
}

function named(name: string, help: string, registry: Registry): { name: string; help: string; registers: Registry[] } {
  return { name: `tidings_${name}`, help, registers: [registry] };
}

/** A histogram whose counts were made elsewhere: prom-client's own can only be filled one value at a time. */
class CountedHistogram extends Histogram {
  readonly #name: string;
  readonly #help: string;
  readonly #counts: Counts;
  readonly #unit: number;

  /** @param unit What the values are divided by, to be in Prometheus' base unit. */
  constructor(config: { name: string; help: string; registers: Registry[] }, counts: Counts, unit: number) {
    super(config);
    this.#name = config.name;
    this.#help = config.help;
    this.#counts = counts;
    this.#unit = unit;
  }

  /** What the registry asks for the text format. */
  getForPromString(): Promise<object> {
    let total = 0;
    const values: { metricName: string; labels: { le?: string }; value: number }[] = this.#counts.counts.map((count, index) => {
      total += count;
      const bound = this.#counts.bounds[index];
      return { metricName: `${this.#name}_bucket`, labels: { le: bound === undefined ? '+Inf' : String(bound / this.#unit) }, value: total };
    });
    values.push({ metricName: `${this.#name}_sum`, labels: {}, value: this.#counts.sum / this.#unit });
    values.push({ metricName: `${this.#name}_count`, labels: {}, value: total });
    return Promise.resolve({ name: this.#name, help: this.#help, type: 'histogram', values });
  }
}
