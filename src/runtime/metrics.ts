import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { Counters, type Observer } from './counters.ts';
import { GAUGES, LIMITS, type ConnectorGauge, type Gauges, type Limits, type NumberGauges } from './gauges.ts';
import { Warnings, type WarningLevel } from './logging/warnings.ts';

/** The upper bounds of the histograms' buckets. */
const COMMIT_BUCKETS_MESSAGES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];
const COMMIT_BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const DELIVERY_BUCKETS_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

/** The labels of `tidings_build_info`. */
export interface BuildInfo {
  readonly version: string;
  readonly node: string;
}

type NumberOf<Source> = { [Name in keyof Source]: Source[Name] extends number ? Name : never }[keyof Source];

/** The counters with one number each. */
const COUNTERS: Readonly<Record<NumberOf<Counters>, readonly [name: string, help: string]>> = {
  published: ['messages_published_total', 'Messages that this instance stored'],
  replayed: ['publishes_replayed_total', 'Publishes answered from an idempotency key'],
  reports: ['publish_reports_total', 'Publishes whose answer says how many streams want the topic'],
  delivered: ['messages_delivered_total', 'Messages written to streams, once for each stream'],
  deliveredBytes: ['delivered_bytes_total', 'Bytes handed to the sockets of streams'],
  opened: ['streams_opened_total', 'Streams opened'],
  closed: ['streams_closed_total', 'Streams closed'],
  busy: ['streams_busy_total', 'Streams refused with $busy'],
  stalled: ['streams_stalled_total', 'Streams closed because their client was there but read nothing'],
  gaps: ['gaps_total', '$gap events written'],
  fellBehind: ['readers_fell_behind_total', 'Times that a live stream fell behind'],
  filled: ['tail_filled_total', 'Messages that the tail read from the log because the bus missed them'],
  reads: ['catchup_reads_total', 'Reads of the log for streams that are behind'],
  readsServed: ['catchup_streams_served_total', 'Streams served by those reads'],
  rowsExamined: ['catchup_rows_examined_total', 'Rows that the database examined for those reads'],
  trimmed: ['messages_trimmed_total', 'Messages that retention deleted'],
  trimmedKeys: ['keys_trimmed_total', 'Idempotency keys that retention deleted'],
  forgottenKeys: ['keys_forgotten_total', 'Idempotency keys that retention deleted before they expired, because there were more than IDEMPOTENCY_MAX_KEYS'],
  asked: ['questions_asked_total', 'Questions that this instance asked others: about their streams, about themselves, and for renewals'],
  unanswered: ['questions_unanswered_total', 'Questions to other instances that not every instance answered in time'],
  rebalanced: ['streams_rebalanced_total', 'Streams that were sent away because this instance had more than its share'],
  rebalancesAsked: ['rebalances_asked_total', 'Requests of administrators to share streams out evenly that this instance took'],
  dismissed: ['streams_dismissed_total', 'Streams of this instance that an administrator closed'],
  renewed: ['streams_renewed_total', 'Renewals of streams that were asked of this instance'],
  topicsChanged: ['stream_topics_changed_total', 'Changes of the topics of streams that were asked of this instance'],
  sessionsMade: ['sessions_made_total', 'Sessions that this instance made'],
  ticketsMade: ['tickets_made_total', 'Tickets that this instance made'],
  sessionsEnded: ['sessions_ended_total', 'Sessions that this instance ended: by a logout, for a new one, or because there were too many'],
  countedAlone: ['limits_counted_alone_total', 'Messages, requests and streams that this instance counted against limits alone, because Redis was not set, away or late'],
  erased: ['messages_erased_total', 'Messages that were erased through this instance'],
  webhookDeliveries: ['webhook_deliveries_total', 'Deliveries of webhooks that their receivers took'],
  webhookFailures: ['webhook_failures_total', 'Attempts of webhooks that failed'],
  webhookDeadLetters: ['webhook_dead_letters_total', 'Messages that webhooks gave up after WEBHOOK_RETRY_SECONDS'],
  presencePartial: ['presence_partial_total', 'Questions for presence that were answered for a part of the instances, because Redis was not set, away or late'],
};

export interface MetricsOptions {
  /** The number of this worker, a label of every series; undefined for a single process. */
  readonly worker?: number | undefined;
  readonly build: BuildInfo;
  /** The number of log lines since the process began, by level. */
  readonly warnings?: Readonly<Record<WarningLevel, number>>;
  readonly limits: Limits;
}

/**
 * All metrics of an instance, for Prometheus. Counters (counters.ts) are read at each collection. Gauges (gauges.ts) come with each call of `render`. The histograms
 * of commits and deliveries observe each value. prom-client adds metrics of the process, such as the delay of the event loop (`nodejs_eventloop_lag_*`).
 */
export class Metrics {
  /** The counters that the other rooms increase. */
  readonly counters: Counters;
  readonly #registry = new Registry();
  readonly #gauges: readonly (readonly [keyof NumberGauges, Gauge])[];
  readonly #connectorUp: Gauge<'connector'>;
  readonly #connectorBehind: Gauge<'connector'>;

  constructor({ worker, build, limits, warnings = new Warnings().counts }: MetricsOptions) {
    if (worker !== undefined) this.#registry.setDefaultLabels({ worker: String(worker) });
    const seconds = (name: string, help: string, buckets: number[]): Observer => {
      const histogram = new Histogram({ ...this.#named(name, help), buckets });
      return { observe: (milliseconds) => histogram.observe(milliseconds / 1000) };
    };
    const counters = new Counters({
      commitMessages: new Histogram({ ...this.#named('commit_messages', 'Messages of one commit'), buckets: COMMIT_BUCKETS_MESSAGES }),
      commitMilliseconds: seconds('commit_seconds', 'How long a commit took', COMMIT_BUCKETS_SECONDS),
      deliveryMilliseconds: seconds('delivery_seconds', 'Time from the commit of a message to its write to the last live stream of its sweep, for the oldest message of each sweep', DELIVERY_BUCKETS_SECONDS),
    });
    new Gauge({ ...this.#named('build_info', 'The version that runs; always 1'), labelNames: Object.keys(build) }).set({ ...build }, 1);
    for (const [source, [name, help]] of Object.entries(LIMITS) as [keyof Limits, readonly [string, string]][]) new Gauge(this.#named(name, help)).set(limits[source]);
    this.counters = counters;
    for (const [source, [name, help]] of Object.entries(COUNTERS) as [NumberOf<Counters>, readonly [string, string]][]) {
      new Counter({ ...this.#named(name, help), collect() {
        this.reset();
        this.inc(counters[source]);
      } });
    }
    this.#labelled('publishes_refused_total', 'Publishes that failed, by the code of their problem', 'code', () => counters.refused);
    this.#labelled('requests_refused_total', 'Requests that were refused for their heads, by the code of their problem', 'code', () => counters.turnedAway);
    this.#byOutcome('hook_requests_total', 'Requests to hooks, by hook and outcome: stored, replayed, asked (whether somebody is there), forged, refused', 'hook', counters.hooks);
    this.#byOutcome('connector_messages_total', 'Records and messages of connectors, by outcome: stored, known (came again), own (sent by this log), dead, lost, sent, origin (not sent back), gap, renewed', 'connector', counters.connectors);
    this.#connectorUp = new Gauge({ ...this.#named('connector_up', 'Whether a connector that this instance runs can read or send'), labelNames: ['connector'] });
    this.#connectorBehind = new Gauge({ ...this.#named('connector_behind_messages', 'Backlog of a connector that this instance runs, if known: records on the other side, or numbers of the log'), labelNames: ['connector'] });
    new Counter({ ...this.#named('jwks_fetches_failed_total', 'Fetches of the key set of tokens that failed'), collect() {
      this.reset();
      this.inc(counters.jwks.failures);
    } });
    new Gauge({ ...this.#named('jwks_fetched_timestamp_seconds', 'When the key set of tokens was last fetched; 0 if never'), collect() {
      this.set(counters.jwks.fetched);
    } });
    this.#labelled('requests_total', 'HTTP requests, by their edge: fast bypasses the framework', 'way', () => Object.entries(counters.requests));
    this.#labelled('responses_total', 'HTTP answers, by their status; a stream is counted when it begins', 'status', () => counters.answers);
    this.#labelled('streams_cut_total', 'Streams that ended with their credential, because their ticket was used again, or because their client had vanished, by the reason', 'reason', () => Object.entries(counters.cut));
    this.#labelled('websockets_total', 'WebSockets: streams that were opened and closed as one, messages that clients published on them, and frames that were refused', 'what', () => Object.entries(counters.sockets));
    this.#labelled('bus_refused_total', 'Messages and notes from Redis that were not used, by reason', 'reason', () => Object.entries(counters.busRefused));
    this.#labelled('limited_total', 'Requests and streams refused at a limit, by limit', 'limit', () => Object.entries(counters.limited));
    this.#labelled('evicted_total', 'Losses of the clients that held most, to make room for others, by kind', 'reason', () => Object.entries(counters.evicted));
    countWarnings(this.#registry, warnings);
    this.#gauges = (Object.entries(GAUGES) as [keyof NumberGauges, readonly [string, string]][]).map(([source, [name, help]]) => [source, new Gauge(this.#named(name, help))]);
  }

  /** Begins to measure the process. Call it after the modules are loaded: their load delays the event loop, and would distort that metric. */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** The media type of `render`'s text. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in Prometheus' text format. */
  render(now: Gauges): Promise<string> {
    for (const [source, gauge] of this.#gauges) gauge.set(now[source]);
    this.#showConnectors(now.connectors);
    return this.#registry.metrics();
  }

  /** The reset removes the connectors that this instance no longer runs. */
  #showConnectors(connectors: readonly ConnectorGauge[]): void {
    this.#connectorUp.reset();
    this.#connectorBehind.reset();
    for (const { name: connector, isUp, behind } of connectors) {
      this.#connectorUp.set({ connector }, isUp ? 1 : 0);
      if (behind !== undefined) this.#connectorBehind.set({ connector }, behind);
    }
  }

  /** Adds a counter with one label. Its values are read at each collection. */
  #labelled(name: string, help: string, label: string, counts: () => Iterable<readonly [value: string | number, count: number]>): void {
    new Counter({ ...this.#named(name, help), labelNames: [label], collect() {
      this.reset();
      for (const [value, count] of counts()) this.inc({ [label]: String(value) }, count);
    } });
  }

  /** Adds a counter of outcomes. @param counts By the label's value and the outcome, with a blank between. */
  #byOutcome(name: string, help: string, label: string, counts: ReadonlyMap<string, number>): void {
    new Counter({ ...this.#named(name, help), labelNames: [label, 'outcome'], collect() {
      this.reset();
      for (const [key, count] of counts) {
        const [value = '', outcome = ''] = key.split(' ');
        this.inc({ [label]: value, outcome }, count);
      }
    } });
  }

  #named(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    return { name: `tidings_${name}`, help, registers: [this.#registry] };
  }
}

/** Adds the counter of a process's log lines at `warn` and above. */
export function countWarnings(register: Registry, warnings: Readonly<Record<WarningLevel, number>>): void {
  new Counter({ name: 'tidings_warnings_total', help: 'Log lines at warn and above, by level', registers: [register], labelNames: ['level'], collect() {
    this.reset();
    for (const [level, count] of Object.entries(warnings)) this.inc({ level }, count);
  } });
}
