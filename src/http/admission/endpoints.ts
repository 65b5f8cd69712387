import type { Purpose } from '../../access/purpose.ts';

/** All endpoints, in one table for the router, admission and both edges. */
export interface Endpoint {
  /** As the router writes it: `:name` is one segment of the path. */
  readonly url: string;
  readonly methods: readonly Method[];
  /** Who gets in: `Purpose` explains the values, and access-rules.ts has the rule of each. */
  readonly access: Purpose;
  /** Parameters of the query that may be given once. Admission checks only these, and handlers read only these and `many`. Other parameters are ignored. */
  readonly once: readonly string[];
  /** Parameters that may be given more than once. */
  readonly many?: readonly string[];
  /** The setting that bounds its body, or the bound in bytes; absent if it takes no body. */
  readonly body?: 'MESSAGE_BYTES' | 'BATCH_BYTES' | number;
  /** Whether GET answers with an event stream, which takes the connection over. */
  readonly isStream?: true;
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'DELETE';

const READ: readonly Method[] = ['GET', 'HEAD'];
/** Parameters that select the messages to read. */
const READING = ['after', 'lastEventId', 'since', 'last', 'pattern'] as const;

/** Further parameters of a stream. */
const STREAMING = ['control', 'names', 'ticket', 'as', 'meta', 'presence'] as const;

/** Stops a body longer than the secret of a stream. */
const RENEWAL_MAX_BYTES = 1024;

/** Stops a body longer than the topics of a ticket, each at its greatest length. */
const TICKET_REQUEST_MAX_BYTES = 64 * 1024;

/** Stops a body longer than the topics that a stream gains and loses, each at its greatest length. */
const TOPIC_CHANGE_MAX_BYTES = 64 * 1024;

/** Stops a body longer than the fields of a revocation. */
const REVOCATION_MAX_BYTES = 4 * 1024;

/** Stops a body longer than the fields of a key: its lists of topics, each at its greatest length. */
const KEY_REQUEST_MAX_BYTES = 64 * 1024;

/** Stops a body longer than the fields of a webhook: its topics, each at its greatest length. */
const WEBHOOK_REQUEST_MAX_BYTES = 64 * 1024;

export const ENDPOINTS = {
  publish: { url: '/topics/:topic', methods: ['POST'], access: 'messages', once: ['event', 'eventHeader', 'idempotencyKey', 'idempotencyHeader', 'report'], body: 'MESSAGE_BYTES' },
  /** The topics that have messages or streams. */
  listTopics: { url: '/topics', methods: READ, access: 'presence', once: ['after', 'limit', 'prefix', 'sort'] },
  publishBatch: { url: '/messages', methods: ['POST'], access: 'messages', once: ['idempotencyKey', 'idempotencyHeader'], body: 'BATCH_BYTES' },
  /** Requests of other systems: their webhooks. */
  hook: { url: '/hooks/:hook', methods: ['POST'], access: 'hook', once: [], body: 'MESSAGE_BYTES' },
  /** A hook for systems that can send no header: the secret is in the URL. */
  secretHook: { url: '/hooks/:hook/:secret', methods: ['POST'], access: 'hook', once: [], body: 'MESSAGE_BYTES' },
  /** One topic or pattern, with the data alone. */
  streamTopic: { url: '/topics/:topic/events', methods: READ, access: 'messages', once: [...READING, ...STREAMING], isStream: true },
  /** Many topics and patterns, with the message around the data. */
  streamTopics: { url: '/events', methods: READ, access: 'messages', once: [...READING, ...STREAMING], many: ['topic'], isStream: true },
  createTicket: { url: '/tickets', methods: ['POST'], access: 'ticket', once: [], body: TICKET_REQUEST_MAX_BYTES },
  renewStream: { url: '/streams/:id/credential', methods: ['POST'], access: 'messages', once: [], body: RENEWAL_MAX_BYTES },
  /** The open streams of all instances. */
  listStreams: { url: '/streams', methods: READ, access: 'fleet', once: ['after', 'limit', 'member', 'credential', 'topic', 'instance', 'behind'] },
  changeStream: { url: '/streams/:id', methods: ['PATCH'], access: 'messages', once: ['pattern'], body: TOPIC_CHANGE_MAX_BYTES },
  closeStream: { url: '/streams/:id', methods: ['DELETE'], access: 'fleet', once: ['retry'] },
  instances: { url: '/instances', methods: READ, access: 'operations', once: [] },
  instance: { url: '/instances/:id', methods: READ, access: 'operations', once: ['after'] },
  /** Streams are shared out evenly, now. */
  rebalance: { url: '/instances/rebalance', methods: ['POST'], access: 'administration', once: [] },
  drainInstance: { url: '/instances/:id/drain', methods: ['POST'], access: 'administration', once: [] },
  topicHistory: { url: '/topics/:topic/messages', methods: READ, access: 'messages', once: [...READING, 'until', 'limit', 'wait'] },
  history: { url: '/messages', methods: READ, access: 'messages', once: [...READING, 'until', 'limit', 'wait'], many: ['topic'] },
  /** The position where the log ends. */
  cursor: { url: '/cursor', methods: READ, access: 'messages', once: ['pattern'], many: ['topic'] },
  message: { url: '/messages/:id', methods: READ, access: 'messages', once: [] },
  topicPresence: { url: '/topics/:topic/presence', methods: READ, access: 'presence', once: ['after', 'limit', 'pattern'] },
  presence: { url: '/presence', methods: READ, access: 'presence', once: ['pattern'], many: ['topic'] },
  member: { url: '/members/:id', methods: READ, access: 'presence', once: ['after', 'limit'] },
  /** How many streams have reached the message. */
  messageDelivery: { url: '/messages/:id/delivery', methods: READ, access: 'fleet', once: [] },
  eraseMessage: { url: '/messages/:id', methods: ['DELETE'], access: 'erasure', once: [] },
  eraseTopic: { url: '/topics/:topic/messages', methods: ['DELETE'], access: 'erasure', once: ['before'] },
  /** The page for browsers, and an index of the API for everybody else. */
  index: { url: '/', methods: READ, access: 'index', once: [] },
  /** The files of the page. */
  pageFile: { url: '/page/:file', methods: READ, access: 'public', once: [] },
  client: { url: '/client.js', methods: READ, access: 'public', once: [] },
  clientModule: { url: '/client/:module', methods: READ, access: 'public', once: [] },
  healthz: { url: '/healthz', methods: READ, access: 'health', once: [] },
  readyz: { url: '/readyz', methods: READ, access: 'health', once: [] },
  metrics: { url: '/metrics', methods: READ, access: 'operations', once: [] },
  openapi: { url: '/openapi.json', methods: READ, access: 'operations', once: [] },
  listKeys: { url: '/keys', methods: READ, access: 'administration', once: ['after', 'limit'] },
  createKey: { url: '/keys', methods: ['POST'], access: 'administration', once: [], body: KEY_REQUEST_MAX_BYTES },
  key: { url: '/keys/:id', methods: READ, access: 'administration', once: [] },
  revokeKey: { url: '/keys/:id', methods: ['DELETE'], access: 'administration', once: [] },
  rotateKey: { url: '/keys/:id/rotate', methods: ['POST'], access: 'administration', once: [], body: KEY_REQUEST_MAX_BYTES },
  listRevocations: { url: '/revocations', methods: READ, access: 'administration', once: ['after', 'limit'] },
  revoke: { url: '/revocations', methods: ['POST'], access: 'administration', once: [], body: REVOCATION_MAX_BYTES },
  listWebhooks: { url: '/webhooks', methods: READ, access: 'administration', once: ['after', 'limit'] },
  createWebhook: { url: '/webhooks', methods: ['POST'], access: 'administration', once: [], body: WEBHOOK_REQUEST_MAX_BYTES },
  webhook: { url: '/webhooks/:id', methods: READ, access: 'administration', once: [] },
  changeWebhook: { url: '/webhooks/:id', methods: ['PATCH'], access: 'administration', once: [], body: WEBHOOK_REQUEST_MAX_BYTES },
  deleteWebhook: { url: '/webhooks/:id', methods: ['DELETE'], access: 'administration', once: [] },
  pauseWebhook: { url: '/webhooks/:id/pause', methods: ['POST'], access: 'administration', once: [] },
  resumeWebhook: { url: '/webhooks/:id/resume', methods: ['POST'], access: 'administration', once: [] },
  replayWebhook: { url: '/webhooks/:id/replay', methods: ['POST'], access: 'administration', once: [], body: WEBHOOK_REQUEST_MAX_BYTES },
  rotateWebhook: { url: '/webhooks/:id/rotate', methods: ['POST'], access: 'administration', once: [], body: WEBHOOK_REQUEST_MAX_BYTES },
  /** Sends a test delivery. */
  testWebhook: { url: '/webhooks/:id/test', methods: ['POST'], access: 'administration', once: [] },
  webhookAttempts: { url: '/webhooks/:id/attempts', methods: READ, access: 'administration', once: ['limit'] },
  listConnectors: { url: '/connectors', methods: READ, access: 'administration', once: [] },
  /** The permissions of the sender, or of a key. */
  access: { url: '/access', methods: READ, access: 'self', once: ['action', 'topic'] },
  keyAccess: { url: '/keys/:id/access', methods: READ, access: 'administration', once: ['action', 'topic'] },
  createSession: { url: '/session', methods: ['POST'], access: 'session', once: [] },
  session: { url: '/session', methods: READ, access: 'session', once: [] },
  endSession: { url: '/session', methods: ['DELETE'], access: 'session', once: [] },
} as const satisfies Record<string, Endpoint>;

/** Whether the endpoint is for operators: the operations listener (`OPS_PORT`) serves only these. */
export function isForOperators({ access }: Endpoint): boolean {
  return access === 'health' || access === 'operations';
}
