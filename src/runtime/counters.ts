/** A histogram, or its null object. */
export interface Observer {
  observe(value: number): void;
}

/** Observers of the size and duration of each commit, and of the latency of each sweep. */
export interface Observers {
  readonly commitMessages: Observer;
  readonly commitMilliseconds: Observer;
  readonly deliveryMilliseconds: Observer;
}

/** The null object: counters that no metrics show need no histograms. */
const UNOBSERVED: Observer = { observe: () => undefined };

/**
 * The counters of an instance. They are plain numbers, so that the fan-out pays nothing for them. `Metrics` reads them at each collection by Prometheus. Commits and sweeps
 * are few, so each goes to an observer.
 */
export class Counters {
  /** Messages that this instance stored. */
  published = 0;
  /** Requests answered from an idempotency key. */
  replayed = 0;
  /** Publish requests that failed, by the code of their problem. */
  readonly refused = new Map<string, number>();
  /** Requests refused by their heads, by the code of the problem; also streams refused by `$busy`. */
  readonly turnedAway = new Map<string, number>();
  /** Requests to hooks, by the hook and the outcome, with a blank between. */
  readonly hooks = new Map<string, number>();
  /** Records and messages of connectors, by the connector and the outcome, with a blank between. */
  readonly connectors = new Map<string, number>();
  /** The key set of tokens: fetches that failed, and when one last succeeded, in seconds since 1970; 0 before. */
  readonly jwks = { failures: 0, fetched: 0 };
  /** HTTP requests, by their edge: the fast path, or the ordinary way through the framework. */
  readonly requests = { fast: 0, ordinary: 0 };
  /** HTTP answers, by their status. A stream counts when it begins. */
  readonly answers = new Map<number, number>();
  /** Messages written to streams of this instance, once for each stream. */
  delivered = 0;
  /** Bytes handed to sockets of streams, framing included. */
  deliveredBytes = 0;
  /** Streams opened and closed since the process booted. */
  opened = 0;
  closed = 0;
  /** Streams refused with `$busy`. */
  busy = 0;
  /** Streams closed because their client took no byte for STALL_SECONDS, though its kernel answered. */
  stalled = 0;
  /**
   * Streams that the service ended, by the reason. `expired`, `revoked`: with their credential. `closed`: the first key was made. `taken-over`: the ticket was used again.
   * `gone`: the client has vanished. `age`: the stream was old, and nothing shows whether its client lives. `unread`: the unread bytes of all streams were too many.
   */
  readonly cut = { expired: 0, revoked: 0, closed: 0, 'taken-over': 0, gone: 0, age: 0, unread: 0 };
  /** Publishes whose answers report how many streams want the topic. */
  reports = 0;
  /** Questions to other instances, and questions that not every instance answered in time. */
  asked = 0;
  unanswered = 0;
  /** Streams that this instance sent away because it had more than its share, and requests of administrators to do so. */
  rebalanced = 0;
  rebalancesAsked = 0;
  /** Streams that an administrator ended. */
  dismissed = 0;
  /** Renewals of streams. The instance that got the request counts. */
  renewed = 0;
  /** WebSockets that became streams, and WebSockets that ended. Messages that clients published on them, and frames that were refused. */
  readonly sockets = { opened: 0, closed: 0, publishes: 0, refused: 0 };
  /** Changes of streams' topics. The instance that got the request counts. */
  topicsChanged = 0;
  /** `$gap` events written. */
  gaps = 0;
  /** Times that a live reader fell behind because its socket was full. */
  fellBehind = 0;
  /** Envelopes from the bus that were not used, by the reason. A message of another epoch is usual while an instance starts. `late` and `repeated` are notes. */
  readonly busRefused = { 'other-version': 0, 'other-epoch': 0, forged: 0, malformed: 0, late: 0, repeated: 0 };
  /** Messages that the tail read from the log because the bus missed them. */
  filled = 0;
  /** Reads of the log for readers that are behind, the readers that they served, and the rows that the database examined. */
  reads = 0;
  readsServed = 0;
  rowsExamined = 0;
  /** Refusals because a limit was reached, by the limit. */
  readonly limited = { publish: 0, streams: 0, 'failed-logins': 0, sessions: 0, topics: 0, 'idempotency-keys': 0 };
  /** How often the largest holder lost something to a newcomer, by its kind (fair-shares.ts). */
  readonly evicted = { publishes: 0, bodies: 0, answers: 0, 'long-polls': 0, streams: 0, filters: 0, reads: 0, erasures: 0, tickets: 0, credentials: 0, presence: 0, questions: 0, connections: 0 };
  /** Charges against limits that this instance counted alone: it has no ledger, or the ledger was down or late. */
  countedAlone = 0;
  /** Questions for presence that were answered for only some of the instances: there is no Redis, or it was down or late. */
  presencePartial = 0;
  /** The messages of each commit, and the time it took. */
  readonly commitMessages: Observer;
  readonly commitMilliseconds: Observer;
  /** For each sweep that wrote: the time from storing its oldest message until its last reader was written to. Replays do not count. */
  readonly deliveryMilliseconds: Observer;
  /** Messages and keys that retention deleted. */
  trimmed = 0;
  trimmedKeys = 0;
  /** Deleted keys that had not expired. */
  forgottenKeys = 0;
  /** Sessions that this instance made, and ended before they expired. */
  sessionsMade = 0;
  sessionsEnded = 0;
  /** Tickets that this instance made. */
  ticketsMade = 0;
  /** Deliveries of webhooks that were taken, attempts that failed, and messages that were given up. */
  webhookDeliveries = 0;
  webhookFailures = 0;
  webhookDeadLetters = 0;
  /** Messages that this instance erased. */
  erased = 0;

  constructor(observers: Observers = { commitMessages: UNOBSERVED, commitMilliseconds: UNOBSERVED, deliveryMilliseconds: UNOBSERVED }) {
    this.commitMessages = observers.commitMessages;
    this.commitMilliseconds = observers.commitMilliseconds;
    this.deliveryMilliseconds = observers.deliveryMilliseconds;
  }

  answer(status: number): void {
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
  }

  turnAway(code: string): void {
    this.turnedAway.set(code, (this.turnedAway.get(code) ?? 0) + 1);
  }

  refuse(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }
}
