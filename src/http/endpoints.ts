/** What there is to ask for, in one table: the router, admission and both edges go by it. */
export interface Endpoint {
  /** As the router writes it: `:name` is one segment of the path. */
  readonly url: string;
  readonly methods: readonly Method[];
  /** Parameters of the query that may be given once. Others mean nothing here. */
  readonly once: readonly string[];
  /** Parameters that may be given more than once. */
  readonly many?: readonly string[];
  /** The setting that bounds its body; absent where it takes none. */
  readonly body?: 'MESSAGE_BYTES' | 'BATCH_BYTES';
  /** It answers GET with an event stream, which takes its connection over. */
  readonly isStream?: true;
}

export type Method = 'GET' | 'HEAD' | 'POST';

const READ: readonly Method[] = ['GET', 'HEAD'];
/** What says which messages are read. */
const READING = ['after', 'lastEventId', 'since', 'last', 'pattern'] as const;

export const ENDPOINTS = {
  publish: { url: '/topics/:topic', methods: ['POST'], once: ['event', 'eventHeader', 'idempotencyKey', 'idempotencyHeader'], body: 'MESSAGE_BYTES' },
  publishBatch: { url: '/messages', methods: ['POST'], once: ['idempotencyKey', 'idempotencyHeader'], body: 'BATCH_BYTES' },
  /** One topic or pattern, with the data alone. */
  streamTopic: { url: '/topics/:topic/events', methods: READ, once: [...READING, 'control', 'names'], isStream: true },
  /** Many topics and patterns, with the message around the data. */
  streamTopics: { url: '/events', methods: READ, once: [...READING, 'control', 'names'], many: ['topic'], isStream: true },
  topicHistory: { url: '/topics/:topic/messages', methods: READ, once: [...READING, 'limit', 'wait'] },
  history: { url: '/messages', methods: READ, once: [...READING, 'limit', 'wait'], many: ['topic'] },
  message: { url: '/messages/:id', methods: READ, once: [] },
  healthz: { url: '/healthz', methods: READ, once: [] },
  readyz: { url: '/readyz', methods: READ, once: [] },
  metrics: { url: '/metrics', methods: READ, once: [] },
  openapi: { url: '/openapi.json', methods: READ, once: [] },
} as const satisfies Record<string, Endpoint>;
