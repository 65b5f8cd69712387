import { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/** The end of the log: one row. Every append reads and writes it under the write lock (invariant 2). */
export const head = sqliteTable('head', {
  id: integer('id').primaryKey(),
  /** The log's own lasting id. */
  log: text('log').notNull(),
  /** The newest number given. */
  seq: integer('seq').notNull(),
  /** The epoch of the next message: the id of a row of `epochs`. */
  epoch: integer('epoch').notNull(),
  /** The newest message's time, below which no later one may be (invariant 10). */
  time: integer('time').notNull(),
  /** The bytes of all messages ever appended; less `retention.bytes` it is the log's size. */
  bytes: integer('bytes').notNull(),
  /** The level that a program must understand to use this log: level.ts. */
  level: integer('level').notNull().default(1),
});

/** The totals that retention has deleted: one row, apart from the head so that PostgreSQL's twin never waits for the head's lock. */
export const retention = sqliteTable('retention', {
  id: integer('id').primaryKey(),
  /** The smallest number still held. */
  oldest: integer('oldest').notNull(),
  /** The bytes of all messages ever deleted, and of all data ever erased. */
  bytes: integer('bytes').notNull(),
  /** The time of the newest message deleted; null when none was. */
  time: integer('time'),
  /** The machine's clock as far as retention believed it, or the time of a later message that refuted that (invariant 10). Null before the first look. Milliseconds since 1970. */
  clock: integer('clock'),
  /** Messages from this number on were counted with all copies of their names (row-bytes.ts); those before it with their topic once. */
  namedFrom: integer('named_from').notNull().default(0),
});

/** How much topics and senders have stored in stretches of the log (usage-store.ts). Holdings as JSON. */
export const usage = sqliteTable('usage', {
  id: text('id').primaryKey(),
  version: integer('version').notNull(),
  first: integer('first').notNull(),
  last: integer('last').notNull(),
  topics: text('topics').notNull(),
  senders: text('senders').notNull(),
}, (table) => [index('usage_version').on(table.version)]);

/** In the order of their ids; see `Lineage`. */
export const epochs = sqliteTable('epochs', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull().unique(),
  first: integer('first').notNull(),
  /** The secret that proves on the bus that a sender can read this log: hexadecimal digits; null where a program that had none began the epoch. */
  secret: text('secret'),
});

export const messages = sqliteTable('messages', {
  seq: integer('seq').primaryKey(),
  epoch: integer('epoch').notNull(),
  time: integer('time').notNull(),
  /** 0 is never. */
  expires: integer('expires').notNull(),
  topic: text('topic').notNull(),
  event: text('event'),
  json: integer('json').notNull(),
  /** Last, so that a scan over topics does not read the pages that long data runs over into. */
  data: blob('data', { mode: 'buffer' }).notNull(),
});

/**
 * The index of topics, in three tables (topic-index.ts). All end in the number, so one topic is scanned in the order of the log. In the
 * migration they are WITHOUT ROWID, which drizzle cannot say: the primary key is all that there is of them.
 */
export const recent = sqliteTable('recent', {
  topic: text('topic').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.topic, table.seq] })]);

export const topics = sqliteTable('topics', {
  topic: text('topic').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.topic, table.seq] })]);

/** By the topic's first segment; only topics of several: a pattern that begins with a name and goes on matches no other. */
export const segments = sqliteTable('segments', {
  segment: text('segment').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.segment, table.seq] })]);

/**
 * Idempotency keys, and the answer that each stands for. Keys are deleted in the order of their ids, because no index has their expiry. After the window was
 * shortened, new keys wait for older ones with a longer life.
 */
export const keys = sqliteTable('keys', {
  id: integer('id').primaryKey(),
  scope: text('scope').notNull(),
  key: text('key').notNull(),
  fingerprint: blob('fingerprint', { mode: 'buffer' }).notNull(),
  epoch: integer('epoch').notNull(),
  first: integer('first').notNull(),
  time: integer('time').notNull(),
  expires: integer('expires').notNull(),
}, (table) => [uniqueIndex('keys_scope_key').on(table.scope, table.key)]);

/** The newest version of the API keys: one row, read and written under the write lock. */
export const access = sqliteTable('access', {
  id: integer('id').primaryKey(),
  version: integer('version').notNull(),
});

/** API keys (key-store.ts). Long texts come last, so that a count does not read them. Times are milliseconds since 1970. */
export const apiKeys = sqliteTable('api_keys', {
  id: text('id').primaryKey(),
  /** The version that the last change of the key took. */
  version: integer('version').notNull(),
  /** When it ends, or ended: the earlier of `expires` and `revoked`, or `NEVER_MS`. */
  ends: integer('ends').notNull(),
  created: integer('created').notNull(),
  expires: integer('expires'),
  revoked: integer('revoked'),
  lastUsed: integer('last_used'),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  /** The digest of the previous secret, and when that ends; null before the first rotation. */
  oldDigest: blob('old_digest', { mode: 'buffer' }),
  oldExpires: integer('old_expires'),
  name: text('name').notNull(),
  /** `Permissions` as JSON. */
  permissions: text('permissions').notNull(),
}, (table) => [uniqueIndex('api_keys_version').on(table.version), index('api_keys_ends').on(table.ends)]);

/** The newest version of the sessions, and how many are held: one row, read and written under the write lock. */
export const sessionState = sqliteTable('session_state', {
  id: integer('id').primaryKey(),
  version: integer('version').notNull(),
  held: integer('held').notNull(),
});

/** Sessions that were not ended (session-store.ts). Times are milliseconds since 1970. */
export const sessions = sqliteTable('sessions', {
  id: text('id').primaryKey(),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  created: integer('created').notNull(),
  expires: integer('expires').notNull(),
  /** `ownerOf` its origin. */
  owner: text('owner').notNull(),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
}, (table) => [index('sessions_owner').on(table.owner, table.created), index('sessions_expires').on(table.expires)]);

/** The sessions that were ended last, by the versions that they took. */
export const sessionEnds = sqliteTable('session_ends', {
  version: integer('version').primaryKey(),
  id: text('id').notNull(),
});

/** The newest erasures, one row for each version (erasure-store.ts). An erased message has the event `$erased` and no data; its row stays. */
export const erasures = sqliteTable('erasures', {
  version: integer('version').primaryKey(),
  seq: integer('seq').notNull(),
  /** 1: all messages of the topic up to the number are erased; 0: this one is. */
  prefix: integer('prefix').notNull(),
  /** How far wiping has come (wipe.ts). It has come at least as far for all versions before. */
  wiped: integer('wiped').notNull(),
  topic: text('topic').notNull(),
});

/** Takes all free pages of the file for a while, so that they are overwritten with zeros (wipe.ts). */
export const filler = sqliteTable('filler', {
  id: integer('id').primaryKey(),
  zeros: blob('zeros', { mode: 'buffer' }).notNull(),
});

/** The newest version of the revocations: one row, read and written under the write lock. */
export const revocationList = sqliteTable('revocation_list', {
  id: integer('id').primaryKey(),
  version: integer('version').notNull(),
});

/** Revocations of tokens (revocation-store.ts). Times are milliseconds since 1970. */
export const revocations = sqliteTable('revocations', {
  /** `RevocationKind`. */
  kind: text('kind').notNull(),
  name: text('name').notNull(),
  /** Null for a `jti`. */
  before: integer('before'),
  created: integer('created').notNull(),
  ends: integer('ends').notNull(),
  /** The version that its last change took. */
  version: integer('version').notNull(),
}, (table) => [primaryKey({ columns: [table.kind, table.name] }), uniqueIndex('revocations_version').on(table.version), index('revocations_ends').on(table.ends)]);

/** Epochs that the log has lost, in the order in which they were kept, and where each came from. */
export const lostEpochs = sqliteTable('lost_epochs', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  epoch: text('epoch').notNull().unique(),
  /** The epoch and the number of the position before its first number. */
  parent: text('parent').notNull(),
  seq: integer('seq').notNull(),
});

/** The newest generation of the tickets, and how many rows there are: one row, read and written under the write lock. */
export const ticketState = sqliteTable('ticket_state', {
  id: integer('id').primaryKey(),
  generation: integer('generation').notNull(),
  held: integer('held').notNull(),
});

/** Tickets (ticket-store.ts). Times are milliseconds since 1970. */
export const tickets = sqliteTable('tickets', {
  id: text('id').primaryKey(),
  /** The generation of its last use; 0 before the first. */
  generation: integer('generation').notNull(),
  /** When it can no longer be used. */
  ends: integer('ends').notNull(),
  /** When its credential ends, or `NEVER_MS`. */
  until: integer('until').notNull(),
  /** 1: only a client that shows a position of the log may use it. */
  guarded: integer('guarded').notNull(),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  /** `ownerOf` its origin. */
  owner: text('owner').notNull(),
  /** The id of the session that it was made with. */
  session: text('session'),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
  /** Topics and patterns as JSON. */
  topics: text('topics').notNull(),
}, (table) => [index('tickets_generation').on(table.generation), index('tickets_ends').on(table.ends), index('tickets_owner').on(table.owner, table.ends)]);

/** Webhooks (webhook-store.ts). Times are milliseconds since 1970. */
export const webhooks = sqliteTable('webhooks', {
  id: text('id').primaryKey(),
  /** The version of the last change by an administrator, or of the status. */
  version: integer('version').notNull(),
  /** The settings of the webhook as JSON, with the secrets that it signs with. */
  settings: text('settings').notNull(),
  /** `WebhookStatus`. */
  status: text('status').notNull(),
  /** Why it is disabled. */
  reason: text('reason'),
  created: integer('created').notNull(),
  /** The position up to which everything was delivered. */
  cursor: text('cursor').notNull(),
  failures: integer('failures').notNull(),
  failingSince: integer('failing_since'),
  nextAt: integer('next_at').notNull(),
  /** The instance that delivers it; '' for none. */
  owner: text('owner').notNull(),
  /** Counts its owners and its restarts. */
  fence: integer('fence').notNull(),
  /** How many attempts there were. */
  attempted: integer('attempted').notNull(),
}, (table) => [index('webhooks_owner').on(table.owner)]);

/** Instances that deliver webhooks, and when the lease of each ends. */
export const webhookOwners = sqliteTable('webhook_owners', {
  owner: text('owner').primaryKey(),
  until: integer('until').notNull(),
});

/** The newest attempts of each webhook, as JSON, numbered from 1. */
export const webhookAttempts = sqliteTable('webhook_attempts', {
  webhook: text('webhook').notNull(),
  number: integer('number').notNull(),
  attempt: text('attempt').notNull(),
}, (table) => [primaryKey({ columns: [table.webhook, table.number] })]);

/** Connectors (connector-store.ts), from when an instance first had a file that declares them. */
export const connectors = sqliteTable('connectors', {
  name: text('name').primaryKey(),
  /** The instance that runs it; '' for none. */
  owner: text('owner').notNull(),
  /** Counts its owners. */
  fence: integer('fence').notNull(),
  /** The position up to which a sink has sent everything. */
  cursor: text('cursor').notNull(),
  /** How it is, as JSON. */
  status: text('status').notNull(),
});

/** Instances that run connectors, and when the lease of each ends. */
export const connectorOwners = sqliteTable('connector_owners', {
  owner: text('owner').primaryKey(),
  until: integer('until').notNull(),
});

/** How far each source has read. A row moves in the transaction that stores the messages. */
export const connectorPositions = sqliteTable('connector_positions', {
  connector: text('connector').notNull(),
  part: text('part').notNull(),
  /** Identifies the stream or topic on the other side. */
  identity: text('identity').notNull(),
  position: integer('position').notNull(),
}, (table) => [primaryKey({ columns: [table.connector, table.part] })]);

/** The messages of each source, as ranges of numbers that do not overlap. */
export const connectorOrigins = sqliteTable('connector_origins', {
  first: integer('first').primaryKey(),
  last: integer('last').notNull(),
  origin: text('origin').notNull(),
});
