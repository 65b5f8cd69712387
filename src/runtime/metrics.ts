import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { Counters, type Observer } from './counters.ts';
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

/** The bounds of an instance, beside the gauges of the bounded values. 0 stands for none. */
export interface Limits {
  /** Streams open at once: the setting, or as many as the system lets it open. */
  readonly streams: number;
  readonly tailBytes: number;
  readonly filterBytes: number;
  readonly unreadBytes: number;
  readonly appendsWaiting: number;
  readonly logBytes: number;
  readonly keys: number;
  readonly logSeconds: number;
}

/** The gauges of an instance at this moment. */
export interface Gauges extends NumberGauges {
  readonly connectors: readonly ConnectorGauge[];
}

/** A connector that this instance runs. */
export interface ConnectorGauge {
  readonly name: string;
  readonly isUp: boolean;
  /** undefined where it is not known. */
  readonly behind: number | undefined;
}

/** Gauges with one number each. */
interface NumberGauges {
  readonly streams: number;
  /** History requests that wait for a first message. */
  readonly longPolls: number;
  /** The memory of larger filters, and of writes that clients have not taken. Bytes. */
  readonly filterBytes: number;
  readonly unreadBytes: number;
  /** Streams that are behind and read from the log, and by how many numbers of the log the last of them is behind. */
  readonly readersBehind: number;
  readonly furthestBehind: number;
  /** The tail: how many messages, their bytes, and its first and last number. */
  readonly tailMessages: number;
  readonly tailBytes: number;
  readonly tailFirst: number;
  readonly tailLast: number;
  /** The log when it was last looked at: its newest number, its oldest, and the bytes of its messages. */
  readonly head: number;
  readonly oldest: number;
  readonly logBytes: number;
  readonly keys: number;
  /** How far the store's clock is ahead of the believed clock. Seconds. */
  readonly clockAhead: number;
  /** By how much the newest message is ahead of the machine's clock. Seconds. */
  readonly messageAhead: number;
  /** 1 while erased data may still be in the files of the database, as this instance last saw. */
  readonly erasuresUnwiped: number;
  /** Messages waiting to be stored. */
  readonly appendsWaiting: number;
  /** Revocations of tokens that this instance knows. */
  readonly revocations: number;
  /** Webhooks that this instance delivers, how many of them failed at the last attempt, and how many have an open circuit. */
  readonly webhooks: number;
  readonly webhooksFailing: number;
  readonly webhooksOpen: number;
  /** How many messages of the log the furthest of them is behind. */
  readonly webhooksBehind: number;
  /** Topics and patterns that streams of this instance name. */
  readonly presenceTopics: number;
  /** 1 or 0. */
  readonly presence: number;
  readonly bus: number;
  readonly database: number;
  readonly draining: number;
}

type NumberOf<Source> = { [Name in keyof Source]: Source[Name] extends number ? Name : never }[keyof Source];

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

const GAUGES: Readonly<Record<keyof NumberGauges, readonly [name: string, help: string]>> = {
  streams: ['streams', 'Streams open'],
  longPolls: ['long_polls', 'History requests that wait for a first message'],
  filterBytes: ['filter_bytes', 'Bytes of the topics of streams with many topics, or with deep patterns'],
  unreadBytes: ['unread_bytes', 'Bytes written to streams that their clients have not read'],
  readersBehind: ['readers_behind', 'Streams that read from the log rather than from the tail'],
  furthestBehind: ['readers_behind_max_messages', 'How many numbers of the log the slowest stream is behind'],
  tailMessages: ['tail_messages', 'Messages in memory'],
  tailBytes: ['tail_bytes', 'Bytes of the messages in memory'],
  tailFirst: ['tail_first', 'The oldest number in memory'],
  tailLast: ['tail_last', 'The newest number in memory'],
  head: ['log_head', 'The newest number of the log, as last seen'],
  oldest: ['log_oldest', 'The oldest number of the log, as last seen'],
  logBytes: ['log_bytes', 'Bytes of the messages in the log, as last seen'],
  keys: ['keys', 'Idempotency keys in the log, as last seen'],
  clockAhead: ['clock_ahead_seconds', 'Seconds by which the clock of the log is ahead of the believed time; 0 while it is believed'],
  messageAhead: ['newest_message_ahead_seconds', 'Seconds by which the newest message is ahead of the clock of the log'],
  erasuresUnwiped: ['erasures_unwiped', 'Whether erased data may still be in the files of the database'],
  appendsWaiting: ['appends_waiting', 'Messages waiting to be stored'],
  revocations: ['revocations', 'Revocations of tokens in memory'],
  webhooks: ['webhooks', 'Webhooks that this instance delivers'],
  webhooksFailing: ['webhooks_failing', 'Webhooks of this instance whose last attempt failed'],
  webhooksOpen: ['webhooks_open', 'Webhooks of this instance whose circuit is open: they are tried seldom'],
  webhooksBehind: ['webhooks_behind', 'How many messages of the log the furthest webhook is behind'],
  presenceTopics: ['presence_topics', 'Topics and patterns that streams of this instance name'],
  presence: ['presence_up', 'Whether presence covers all instances'],
  bus: ['bus_up', 'Whether other instances learn of messages at once'],
  database: ['database_up', 'Whether the log can be read and written'],
  draining: ['draining', 'Whether the instance drains'],
};

const LIMITS: Readonly<Record<keyof Limits, readonly [name: string, help: string]>> = {
  streams: ['streams_max', 'Streams that may be open at once'],
  tailBytes: ['tail_max_bytes', 'Bytes of messages that may be in memory'],
  filterBytes: ['filter_max_bytes', 'Bytes that the topics of streams with many topics, or with deep patterns, may hold'],
  unreadBytes: ['unread_max_bytes', 'Bytes that may be written to streams before their clients read them'],
  appendsWaiting: ['appends_waiting_max', 'Messages that may wait to be stored'],
  logBytes: ['log_max_bytes', 'Bytes of messages above which retention deletes the oldest; 0 for no bound'],
  keys: ['keys_max', 'Idempotency keys above which the oldest are forgotten; 0 for no bound'],
  logSeconds: ['log_max_age_seconds', 'The age at which retention deletes a message; 0 for no bound'],
};

export interface MetricsOptions {
  /** The number of this worker, where there are several: a label of every series. */
  readonly worker?: number | undefined;
  readonly build: BuildInfo;
  /** Lines of the log since the process began, by their levels. */
  readonly warnings?: Readonly<Record<WarningLevel, number>>;
  readonly limits: Limits;
}

/**
 * Everything that Prometheus is shown: the spine's counters and gauges, the histograms of commits and deliveries, and prom-client's own metrics of the process.
 * Among those is the delay of the event loop (`nodejs_eventloop_lag_*`, from perf_hooks).
 */
export class Metrics {
  /** For the spine to count with. */
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
    new Counter({ ...this.#named('publishes_refused_total', 'Publishes that failed, by the code of their problem'), labelNames: ['code'], collect() {
      this.reset();
      for (const [code, count] of counters.refused) this.inc({ code }, count);
    } });
    new Counter({ ...this.#named('requests_refused_total', 'Requests that were refused for their heads, by the code of their problem'), labelNames: ['code'], collect() {
      this.reset();
      for (const [code, count] of counters.turnedAway) this.inc({ code }, count);
    } });
    new Counter({ ...this.#named('hook_requests_total', 'Requests to hooks, by hook and outcome: stored, replayed, asked (whether somebody is there), forged, refused'), labelNames: ['hook', 'outcome'], collect() {
      this.reset();
      for (const [key, count] of counters.hooks) {
        const [hook = '', outcome = ''] = key.split(' ');
        this.inc({ hook, outcome }, count);
      }
    } });
    new Counter({ ...this.#named('connector_messages_total', 'Records and messages of connectors, by outcome: stored, known (came again), own (sent by this log), dead, lost, sent, origin (not sent back), gap, renewed'), labelNames: ['connector', 'outcome'], collect() {
      this.reset();
      for (const [key, count] of counters.connectors) {
        const [connector = '', outcome = ''] = key.split(' ');
        this.inc({ connector, outcome }, count);
      }
    } });
    this.#connectorUp = new Gauge({ ...this.#named('connector_up', 'Whether a connector that this instance runs can read or send'), labelNames: ['connector'] });
    this.#connectorBehind = new Gauge({ ...this.#named('connector_behind_messages', 'Backlog of a connector that this instance runs, if known: records on the other side, or numbers of the log'), labelNames: ['connector'] });
    new Counter({ ...this.#named('jwks_fetches_failed_total', 'Fetches of the key set of tokens that failed'), collect() {
      this.reset();
      this.inc(counters.jwks.failures);
    } });
    new Gauge({ ...this.#named('jwks_fetched_timestamp_seconds', 'When the key set of tokens was last fetched; 0 if never'), collect() {
      this.set(counters.jwks.fetched);
    } });
    new Counter({ ...this.#named('requests_total', 'HTTP requests, by their edge: fast bypasses the framework'), labelNames: ['way'], collect() {
      this.reset();
      for (const [way, count] of Object.entries(counters.requests)) this.inc({ way }, count);
    } });
    new Counter({ ...this.#named('responses_total', 'HTTP answers, by their status; a stream is counted when it begins'), labelNames: ['status'], collect() {
      this.reset();
      for (const [status, count] of counters.answers) this.inc({ status: String(status) }, count);
    } });
    new Counter({ ...this.#named('streams_cut_total', 'Streams that ended with their credential, because their ticket was used again, or because their client had vanished, by the reason'), labelNames: ['reason'], collect() {
      this.reset();
      for (const [reason, count] of Object.entries(counters.cut)) this.inc({ reason }, count);
    } });
    new Counter({ ...this.#named('websockets_total', 'WebSockets: streams that were opened and closed as one, messages that clients published on them, and frames that were refused'), labelNames: ['what'], collect() {
      this.reset();
      for (const [what, count] of Object.entries(counters.sockets)) this.inc({ what }, count);
    } });
    new Counter({ ...this.#named('bus_refused_total', 'Messages and notes from Redis that were not used, by reason'), labelNames: ['reason'], collect() {
      this.reset();
      for (const [reason, count] of Object.entries(counters.busRefused)) this.inc({ reason }, count);
    } });
    new Counter({ ...this.#named('limited_total', 'Requests and streams refused at a limit, by limit'), labelNames: ['limit'], collect() {
      this.reset();
      for (const [limit, count] of Object.entries(counters.limited)) this.inc({ limit }, count);
    } });
    new Counter({ ...this.#named('evicted_total', 'Losses of the clients that held most, to make room for others, by kind'), labelNames: ['reason'], collect() {
      this.reset();
      for (const [reason, count] of Object.entries(counters.evicted)) this.inc({ reason }, count);
    } });
    countWarnings(this.#registry, warnings);
    this.#gauges = (Object.entries(GAUGES) as [keyof NumberGauges, readonly [string, string]][]).map(([source, [name, help]]) => [source, new Gauge(this.#named(name, help))]);
  }

  /** Begins to measure the process. Called when its modules are loaded: loading blocks the event loop, and that delay says nothing of how it serves. */
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

  /** Connectors that another instance runs now are not shown any more. */
  #showConnectors(connectors: readonly ConnectorGauge[]): void {
    this.#connectorUp.reset();
    this.#connectorBehind.reset();
    for (const { name: connector, isUp, behind } of connectors) {
      this.#connectorUp.set({ connector }, isUp ? 1 : 0);
      if (behind !== undefined) this.#connectorBehind.set({ connector }, behind);
    }
  }

  #named(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    return { name: `tidings_${name}`, help, registers: [this.#registry] };
  }
}

/** Warnings and errors in the log of a process. */
export function countWarnings(register: Registry, warnings: Readonly<Record<WarningLevel, number>>): void {
  new Counter({ name: 'tidings_warnings_total', help: 'Log lines at warn and above, by level', registers: [register], labelNames: ['level'], collect() {
    this.reset();
    for (const [level, count] of Object.entries(warnings)) this.inc({ level }, count);
  } });
}
