import { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

/** The end of the log: one row. Every append reads and writes it under the write lock (invariant 2). */
export const head = sqliteTable('head', {
  id: integer('id').primaryKey(),
  /** `Store.logId`. */
  log: text('log').notNull(),
  /** The newest number of the log. */
  seq: integer('seq').notNull(),
  /** The epoch of the next message: the id of a row of `epochs`. */
  epoch: integer('epoch').notNull(),
  /** The time of the newest message. No later message has an earlier time (invariant 10). */
  time: integer('time').notNull(),
  /** The bytes of all messages ever appended; less `retention.bytes` it is the log's size. */
  bytes: integer('bytes').notNull(),
  /** The level that a program must understand to use this log: level.ts. */
  level: integer('level').notNull().default(1),
});

/** The state of retention: one row. It is not part of `head`, because on PostgreSQL retention must not wait for the lock of the head. */
export const retention = sqliteTable('retention', {
  id: integer('id').primaryKey(),
  /** The smallest number that was not deleted. */
  oldest: integer('oldest').notNull(),
  /** The bytes of all messages ever deleted, and of all data ever erased. */
  bytes: integer('bytes').notNull(),
  /** The time of the newest message that was deleted; null if none was. */
  time: integer('time'),
  /** The believed clock that the log remembers (believed-clock.ts), in milliseconds since 1970. Null before retention has looked at a first message. */
  clock: integer('clock'),
  /** Messages from this number on count in the log's size by `rowBytes` (row-bytes.ts); earlier messages count with their topic once and without their event name. */
  namedFrom: integer('named_from').notNull().default(0),
});

/** How much topics and senders have stored in stretches of the log (usage-store.ts); `topics` and `senders` are JSON. */
export const usage = sqliteTable('usage', {
  id: text('id').primaryKey(),
  version: integer('version').notNull(),
  first: integer('first').notNull(),
  last: integer('last').notNull(),
  topics: text('topics').notNull(),
  senders: text('senders').notNull(),
}, (table) => [index('usage_version').on(table.version)]);

/** All epochs, in the order of their ids (`Lineage`). */
export const epochs = sqliteTable('epochs', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull().unique(),
  first: integer('first').notNull(),
  /** A secret in hexadecimal digits. It proves on the bus that a sender can read this log. Null if a version without secrets began the epoch. */
  secret: text('secret'),
});

export const messages = sqliteTable('messages', {
  seq: integer('seq').primaryKey(),
  epoch: integer('epoch').notNull(),
  time: integer('time').notNull(),
  /** When its TTL has passed; 0: never. */
  expires: integer('expires').notNull(),
  topic: text('topic').notNull(),
  event: text('event'),
  json: integer('json').notNull(),
  /** The last column: long data overflows into other pages, which a read of the columns before it does not need. */
  data: blob('data', { mode: 'buffer' }).notNull(),
});

/**
 * The index of topics, in three tables (topic-index.ts). Their keys end with the number, so a scan of one topic is in the order of the log. In the migration they
 * are WITHOUT ROWID, which drizzle cannot express: the primary key is the whole table.
 */
export const recent = sqliteTable('recent', {
  topic: text('topic').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.topic, table.seq] })]);

export const topics = sqliteTable('topics', {
  topic: text('topic').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.topic, table.seq] })]);

/** By the first segment of the topic. Only topics with several segments are in it, because patterns such as `a.*` match no others. */
export const segments = sqliteTable('segments', {
  segment: text('segment').notNull(),
  seq: integer('seq').notNull(),
}, (table) => [primaryKey({ columns: [table.segment, table.seq] })]);

/**
 * Idempotency keys, and the first answer of each. No index has their expiry, so keys are deleted in the order of their ids. If an operator shortens the window,
 * new keys are deleted only after older ones that live longer.
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
  /** The version of the last change of the key. */
  version: integer('version').notNull(),
  /** The earlier of `expires` and `revoked`; `NEVER_MS` without both. */
  ends: integer('ends').notNull(),
  created: integer('created').notNull(),
  expires: integer('expires'),
  revoked: integer('revoked'),
  lastUsed: integer('last_used'),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  /** The digest of the secret before the last rotation, and when that secret ends; null before the first rotation. */
  oldDigest: blob('old_digest', { mode: 'buffer' }),
  oldExpires: integer('old_expires'),
  name: text('name').notNull(),
  /** `Permissions` as JSON. */
  permissions: text('permissions').notNull(),
}, (table) => [uniqueIndex('api_keys_version').on(table.version), index('api_keys_ends').on(table.ends)]);

/** The newest version of the sessions, and how many there are: one row, read and written under the write lock. */
export const sessionState = sqliteTable('session_state', {
  id: integer('id').primaryKey(),
  version: integer('version').notNull(),
  held: integer('held').notNull(),
});

/** Sessions that have not ended (session-store.ts). Times are milliseconds since 1970. */
export const sessions = sqliteTable('sessions', {
  id: text('id').primaryKey(),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  created: integer('created').notNull(),
  expires: integer('expires').notNull(),
  /** `ownerOf(origin)`. */
  owner: text('owner').notNull(),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
}, (table) => [index('sessions_owner').on(table.owner, table.created), index('sessions_expires').on(table.expires)]);

/** The ids of the sessions that were ended last. Each end has a version. */
export const sessionEnds = sqliteTable('session_ends', {
  version: integer('version').primaryKey(),
  id: text('id').notNull(),
});

/** The newest erasures, one for each version (erasure-store.ts). The row of an erased message stays, with the event `$erased` and without data. */
export const erasures = sqliteTable('erasures', {
  version: integer('version').primaryKey(),
  seq: integer('seq').notNull(),
  /** `Erasure.isPrefix`: 1 or 0. */
  prefix: integer('prefix').notNull(),
  /** The state of wiping (wipe.ts). All earlier versions have come at least as far. */
  wiped: integer('wiped').notNull(),
  topic: text('topic').notNull(),
});

/** Rows of zeros, which take the free pages of the file during a round of wiping (wipe.ts). */
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
  /** The version of its last change. */
  version: integer('version').notNull(),
}, (table) => [primaryKey({ columns: [table.kind, table.name] }), uniqueIndex('revocations_version').on(table.version), index('revocations_ends').on(table.ends)]);

/** The lost epochs (`Ancestry`), in the order in which they were stored. */
export const lostEpochs = sqliteTable('lost_epochs', {
  id: integer('id').primaryKey({ autoIncrement: true }),
  epoch: text('epoch').notNull().unique(),
  /** `parent` and `seq` are the position before the epoch's first number. */
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
  /** From this time on it cannot be used. */
  ends: integer('ends').notNull(),
  /** When its credential expires; `NEVER_MS` if it does not. */
  until: integer('until').notNull(),
  /** `TicketRecord.isGuarded`: 1 or 0. */
  guarded: integer('guarded').notNull(),
  /** SHA-256 of the secret. */
  digest: blob('digest', { mode: 'buffer' }).notNull(),
  /** `ownerOf(origin)`. */
  owner: text('owner').notNull(),
  /** `TicketOrigin.session`. */
  session: text('session'),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
  /** Topics and patterns as JSON. */
  topics: text('topics').notNull(),
}, (table) => [index('tickets_generation').on(table.generation), index('tickets_ends').on(table.ends), index('tickets_owner').on(table.owner, table.ends)]);

/** Webhooks (webhook-store.ts). Times are milliseconds since 1970. */
export const webhooks = sqliteTable('webhooks', {
  id: text('id').primaryKey(),
  /** Counts the changes by administrators and the changes of the status. */
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
  /** The owner (webhook-store.ts); '' if it has none. */
  owner: text('owner').notNull(),
  /** Counts its owners and its restarts. */
  fence: integer('fence').notNull(),
  /** How many attempts there were, kept or not: the number of the newest attempt. */
  attempted: integer('attempted').notNull(),
}, (table) => [index('webhooks_owner').on(table.owner)]);

/** The owners of webhooks, and when the lease of each expires. */
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

/** Connectors (connector-store.ts). A row is made when the first instance that declares the connector starts, and stays. */
export const connectors = sqliteTable('connectors', {
  name: text('name').primaryKey(),
  /** The owner; '' if it has none. */
  owner: text('owner').notNull(),
  /** Counts its owners. */
  fence: integer('fence').notNull(),
  /** The position up to which a sink has sent everything. */
  cursor: text('cursor').notNull(),
  /** `ConnectorRecord.status`, as JSON. */
  status: text('status').notNull(),
});

/** The owners of connectors, and when the lease of each expires. */
export const connectorOwners = sqliteTable('connector_owners', {
  owner: text('owner').primaryKey(),
  until: integer('until').notNull(),
});

/** The positions of sources. A position moves in the transaction that stores its messages. */
export const connectorPositions = sqliteTable('connector_positions', {
  connector: text('connector').notNull(),
  part: text('part').notNull(),
  /** `SourcePosition.identity`. */
  identity: text('identity').notNull(),
  position: integer('position').notNull(),
}, (table) => [primaryKey({ columns: [table.connector, table.part] })]);

/** The origins of messages from sources (`OriginRange`). Ranges do not overlap. */
export const connectorOrigins = sqliteTable('connector_origins', {
  first: integer('first').primaryKey(),
  last: integer('last').notNull(),
  origin: text('origin').notNull(),
});
