/** The gauges of an instance: their types, and their names and helps for Prometheus. metrics.ts shows them. */

/** The bounds of an instance. Each is a gauge beside the gauge of the bounded value. 0 stands for no bound. */
export interface Limits {
  /** The most open streams: MAX_STREAMS, or fewer if the system allows fewer open files. */
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
  /** The backlog: records on the other side, or numbers of the log. undefined if unknown. */
  readonly behind: number | undefined;
}

/** Gauges with one number each. */
export interface NumberGauges {
  readonly streams: number;
  /** History requests that wait for a first message. */
  readonly longPolls: number;
  /** The memory of large filters, and of bytes that clients have not read. */
  readonly filterBytes: number;
  readonly unreadBytes: number;
  /** Streams that read from the log rather than from the tail, and how many numbers of the log the slowest of them is behind. */
  readonly readersBehind: number;
  readonly furthestBehind: number;
  /** The tail: its messages, their bytes, and its first and last number. */
  readonly tailMessages: number;
  readonly tailBytes: number;
  readonly tailFirst: number;
  readonly tailLast: number;
  /** The log at the last poll: its newest number, its oldest, the bytes of its messages, and its idempotency keys. */
  readonly head: number;
  readonly oldest: number;
  readonly logBytes: number;
  readonly keys: number;
  /** By how much the store's clock is ahead of the believed time. Seconds. */
  readonly clockAhead: number;
  /** By how much the newest message is ahead of the store's clock. Seconds. */
  readonly messageAhead: number;
  /** 1 while erased data may still be in the files of the database, as this instance last saw; else 0. */
  readonly erasuresUnwiped: number;
  /** Messages waiting to be stored. */
  readonly appendsWaiting: number;
  /** Revocations of tokens that this instance knows. */
  readonly revocations: number;
  /** Webhooks that this instance delivers. Of these, webhooks whose last attempt failed, and webhooks with an open circuit. */
  readonly webhooks: number;
  readonly webhooksFailing: number;
  readonly webhooksOpen: number;
  /** How many messages of the log the slowest webhook is behind. */
  readonly webhooksBehind: number;
  /** Topics and patterns that streams of this instance name. */
  readonly presenceTopics: number;
  /** 1 for yes, 0 for no: presence covers all instances; other instances learn of messages at once; the log can be read and written; the instance drains. */
  readonly presence: number;
  readonly bus: number;
  readonly database: number;
  readonly draining: number;
}

/** The name, without `tidings_`, and the help of each gauge. */
export const GAUGES: Readonly<Record<keyof NumberGauges, readonly [name: string, help: string]>> = {
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

export const LIMITS: Readonly<Record<keyof Limits, readonly [name: string, help: string]>> = {
  streams: ['streams_max', 'Streams that may be open at once'],
  tailBytes: ['tail_max_bytes', 'Bytes of messages that may be in memory'],
  filterBytes: ['filter_max_bytes', 'Bytes that the topics of streams with many topics, or with deep patterns, may hold'],
  unreadBytes: ['unread_max_bytes', 'Bytes that may be written to streams before their clients read them'],
  appendsWaiting: ['appends_waiting_max', 'Messages that may wait to be stored'],
  logBytes: ['log_max_bytes', 'Bytes of messages above which retention deletes the oldest; 0 for no bound'],
  keys: ['keys_max', 'Idempotency keys above which the oldest are forgotten; 0 for no bound'],
  logSeconds: ['log_max_age_seconds', 'The age at which retention deletes a message; 0 for no bound'],
};
