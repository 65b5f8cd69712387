import { sql } from 'drizzle-orm';
import { bigint, boolean, customType, index, integer, pgSchema, primaryKey, smallint, text, uniqueIndex } from 'drizzle-orm/pg-core';

/**
 * The tables, from which drizzle-kit generates migrations. No program code uses them. They are in a PostgreSQL schema of their own, so that other programs may
 * use the same database.
 */
const tidings = pgSchema('tidings');

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
/** A text whose order is that of its bytes: the same on every machine, and faster than the order of a language. */
const name = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const number = (column: string) => bigint(column, { mode: 'number' }).notNull();

/** The end of the log: one row. Every append locks it first (invariant 2). */
export const head = tidings.table('head', {
  id: smallint('id').notNull(),
  /** `Store.logId`. */
  log: text('log').notNull(),
  /** The newest number of the log. */
  seq: number('seq'),
  /** The epoch of the next message. */
  epoch: text('epoch').notNull(),
  /** The time of the newest message. No later message has an earlier time (invariant 10). */
  time: number('time'),
  /** The bytes of all messages ever appended; less `retention.bytes` it is the log's size. */
  bytes: number('bytes'),
  /** The server and its timeline at the last append: `tidings.server()`. If it differs, the server may have lost messages (invariant 8). */
  server: text('server').notNull(),
  /** The level that a program must understand to use this log: level.ts. */
  level: integer('level').notNull().default(1),
  /**
   * Grows with the log. While an old snapshot keeps all versions of this row, `ORDER BY generation DESC LIMIT 1` reads only the newest few. It changes only every
   * 64 messages: most appends then need no new entry in the index (a heap-only tuple).
   */
  generation: bigint('generation', { mode: 'number' }).generatedAlwaysAs(sql`seq / 64`).primaryKey(),
});

/** The state of retention: one row. It is not part of `head`, because retention must not wait for the lock of the head (invariant 9). Its key grows, for the same reason as that of the head. */
export const retention = tidings.table('retention', {
  id: smallint('id').notNull(),
  /** The smallest number that was not deleted. */
  oldest: number('oldest').primaryKey(),
  /** The bytes of all messages ever deleted, and of all data ever erased. */
  bytes: number('bytes'),
  /** The time of the newest message that was deleted; null if none was. */
  time: bigint('time', { mode: 'number' }),
  /** The believed clock that the log remembers (believed-clock.ts), in milliseconds since 1970. Null before retention has looked at a first message. */
  clock: bigint('clock', { mode: 'number' }),
  /** Messages from this number on count in the log's size by `rowBytes` (row-bytes.ts); earlier messages count with their topic once and without their event name. */
  namedFrom: number('named_from').default(0),
});

/** How much topics and senders have stored in stretches of the log (usage-store.ts); `topics` and `senders` are JSON. */
export const usage = tidings.table('usage', {
  id: name('id').primaryKey(),
  version: number('version'),
  first: number('first'),
  last: number('last'),
  topics: text('topics').notNull(),
  senders: text('senders').notNull(),
}, (table) => [index('usage_version').on(table.version)]);

/** All epochs, in the order of their ids (`Lineage`). The ids are given under the lock of the head. Do not compare ids of two snapshots: a log that lost epochs gives their ids again. */
export const epochs = tidings.table('epochs', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull().unique(),
  first: number('first'),
  /** A secret in hexadecimal digits. It proves on the bus that a sender can read this log. Null if a version without secrets began the epoch. */
  secret: text('secret'),
});

/** A row does not name the epoch of its message: it is the latest epoch that began at or before the number (`Lineage.at`). */
export const messages = tidings.table('messages', {
  seq: bigint('seq', { mode: 'number' }).primaryKey(),
  time: number('time'),
  /** When its TTL has passed; 0: never. */
  expires: number('expires'),
  json: boolean('json').notNull(),
  topic: name('topic').notNull(),
  event: text('event'),
  data: bytea('data').notNull(),
}, (table) => [
  // `+ 0` keeps the planner from walking the log by its primary key instead, where it takes a rare topic for a common one.
  index('messages_topic').on(table.topic, sql`(${table.seq} + 0)`),
  // By the topic's first segment; only topics of several: a pattern that begins with a name and goes on matches no other.
  index('messages_segment').on(sql`split_part(${table.topic}, '.', 1)`, sql`(${table.seq} + 0)`).where(sql`strpos(${table.topic}, '.') > 0`),
]);

/** The places of idempotency keys, in the order in which they are stored. An append takes its places last, because a failure after that would leave gaps, which retention would count as keys. */
export const keyPlaces = tidings.sequence('key_places');

/** Idempotency keys, and the first answer of each. */
export const keys = tidings.table('keys', {
  scope: name('scope').notNull(),
  key: name('key').notNull(),
  fingerprint: bytea('fingerprint').notNull(),
  epoch: text('epoch').notNull(),
  first: number('first'),
  time: number('time'),
  expires: number('expires'),
  /** Places are consecutive, so the first and the last tell how many keys there are. Null in rows that are older than this column. */
  place: bigint('place', { mode: 'number' }).default(sql`nextval('tidings.key_places')`),
}, (table) => [primaryKey({ columns: [table.scope, table.key] }), index('keys_expires').on(table.expires)]);

/**
 * The newest version of the API keys: one row. Every change of a key locks it first, so that versions are in the order of the commits. The primary key grows with
 * every change: while an old snapshot keeps old versions of the row, `newestOf` (expressions.ts) finds the newest by its key. So do `session_state`,
 * `revocation_list` and `ticket_state`.
 */
export const access = tidings.table('access', {
  id: smallint('id').notNull(),
  version: bigint('version', { mode: 'number' }).primaryKey(),
  /** The first version that this server gave. Another server may have given earlier versions to changes that were lost in a failover. */
  since: number('since'),
  /** The server and its timeline at the last change: `tidings.session_server()`. If it differs, the server may have lost changes. */
  server: text('server').notNull(),
});

/** API keys (key-store.ts). Times are milliseconds since 1970. */
export const apiKeys = tidings.table('api_keys', {
  id: name('id').primaryKey(),
  /** The version of the last change of the key. */
  version: number('version'),
  /** The earlier of `expires` and `revoked`; `NEVER_MS` without both. */
  ends: number('ends'),
  created: number('created'),
  expires: bigint('expires', { mode: 'number' }),
  revoked: bigint('revoked', { mode: 'number' }),
  lastUsed: bigint('last_used', { mode: 'number' }),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  /** The digest of the secret before the last rotation, and when that secret ends; null before the first rotation. */
  oldDigest: bytea('old_digest'),
  oldExpires: bigint('old_expires', { mode: 'number' }),
  name: text('name').notNull(),
  /** `Permissions` as JSON. */
  permissions: text('permissions').notNull(),
}, (table) => [uniqueIndex('api_keys_version').on(table.version), index('api_keys_ends').on(table.ends)]);

/** The newest version of the sessions, and how many there are: one row, which every change of a session locks first. For `since` and `server` see `access`. */
export const sessionState = tidings.table('session_state', {
  id: smallint('id').notNull(),
  /** Counts the changes of the row, except those by instances of older versions. */
  changes: bigint('changes', { mode: 'number' }).primaryKey().default(0),
  version: number('version'),
  held: number('held'),
  since: number('since'),
  server: text('server').notNull(),
});

/** Sessions that have not ended (session-store.ts). Times are milliseconds since 1970. */
export const sessions = tidings.table('sessions', {
  id: name('id').primaryKey(),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  created: number('created'),
  expires: number('expires'),
  /** `ownerOf(origin)`. */
  owner: name('owner').notNull(),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
}, (table) => [index('sessions_owner').on(table.owner, table.created), index('sessions_expires').on(table.expires)]);

/** The ids of the sessions that were ended last. Each end has a version. */
export const sessionEnds = tidings.table('session_ends', {
  version: bigint('version', { mode: 'number' }).primaryKey(),
  id: name('id').notNull(),
});

/** The newest erasures, one for each version (erasure-store.ts). The row of an erased message stays, with the event `$erased` and without data. */
export const erasures = tidings.table('erasures', {
  version: bigint('version', { mode: 'number' }).primaryKey(),
  seq: number('seq'),
  /** `Erasure.isPrefix`. */
  prefix: boolean('prefix').notNull(),
  /** Whether the table of messages was vacuumed after the erasure. */
  wiped: boolean('wiped').notNull(),
  topic: name('topic').notNull(),
  /** As `access.server`. */
  server: text('server').notNull(),
});

/** The newest version of the revocations: one row. Every revocation locks it first, so that versions are in the order of the commits. */
export const revocationList = tidings.table('revocation_list', {
  id: smallint('id').notNull(),
  version: bigint('version', { mode: 'number' }).primaryKey(),
  /** As `access.since`. */
  since: number('since'),
  /** As `access.server`. */
  server: text('server').notNull(),
});

/** Revocations of tokens (revocation-store.ts). Times are milliseconds since 1970. */
export const revocations = tidings.table('revocations', {
  /** `RevocationKind`. */
  kind: name('kind').notNull(),
  name: name('name').notNull(),
  /** Null for a `jti`. */
  before: bigint('before', { mode: 'number' }),
  created: number('created'),
  ends: number('ends'),
  /** The version of its last change. */
  version: number('version'),
}, (table) => [primaryKey({ columns: [table.kind, table.name] }), uniqueIndex('revocations_version').on(table.version), index('revocations_ends').on(table.ends)]);

/** The lost epochs (`Ancestry`), in the order in which they were stored. */
export const lostEpochs = tidings.table('lost_epochs', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  epoch: name('epoch').notNull().unique(),
  /** `parent` and `seq` are the position before the epoch's first number. */
  parent: name('parent').notNull(),
  seq: number('seq'),
});

/** The newest generation of the tickets, and how many rows there are: one row, which every change of a ticket locks first. */
export const ticketState = tidings.table('ticket_state', {
  id: smallint('id').notNull(),
  /** As `session_state.changes`. */
  changes: bigint('changes', { mode: 'number' }).primaryKey().default(0),
  generation: number('generation'),
  held: number('held'),
  /** As `access.server`. */
  server: text('server').notNull(),
});

/** Tickets (ticket-store.ts). Times are milliseconds since 1970. */
export const tickets = tidings.table('tickets', {
  id: name('id').primaryKey(),
  /** The generation of its last use; 0 before the first. */
  generation: number('generation'),
  /** From this time on it cannot be used. */
  ends: number('ends'),
  /** When its credential expires; `NEVER_MS` if it does not. */
  until: number('until'),
  /** `TicketRecord.isGuarded`. */
  guarded: boolean('guarded').notNull(),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  /** `ownerOf(origin)`. */
  owner: name('owner').notNull(),
  /** `TicketOrigin.session`. */
  session: text('session'),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
  /** Topics and patterns as JSON. */
  topics: text('topics').notNull(),
}, (table) => [index('tickets_generation').on(table.generation), index('tickets_ends').on(table.ends), index('tickets_owner').on(table.owner, table.ends)]);

/** Webhooks (webhook-store.ts). Times are milliseconds since 1970. */
export const webhooks = tidings.table('webhooks', {
  id: name('id').primaryKey(),
  /** Counts the changes by administrators and the changes of the status. */
  version: number('version'),
  /** The settings of the webhook as JSON, with the secrets that it signs with. */
  settings: text('settings').notNull(),
  /** `WebhookStatus`. */
  status: text('status').notNull(),
  /** Why it is disabled. */
  reason: text('reason'),
  created: number('created'),
  /** The position up to which everything was delivered. */
  cursor: name('cursor').notNull(),
  failures: number('failures'),
  failingSince: bigint('failing_since', { mode: 'number' }),
  nextAt: number('next_at'),
  /** The owner (webhook-store.ts); '' if it has none. */
  owner: name('owner').notNull(),
  /** Counts its owners and its restarts. */
  fence: number('fence'),
  /** How many attempts there were, kept or not: the number of the newest attempt. */
  attempted: number('attempted'),
}, (table) => [index('webhooks_owner').on(table.owner)]);

/** The owners of webhooks, and when the lease of each expires. */
export const webhookOwners = tidings.table('webhook_owners', {
  owner: name('owner').primaryKey(),
  until: number('until'),
});

/** The newest attempts of each webhook, as JSON, numbered from 1. */
export const webhookAttempts = tidings.table('webhook_attempts', {
  webhook: name('webhook').notNull(),
  number: number('number'),
  attempt: text('attempt').notNull(),
}, (table) => [primaryKey({ columns: [table.webhook, table.number] })]);

/** Connectors (connector-store.ts). A row is made when the first instance that declares the connector starts, and stays. */
export const connectors = tidings.table('connectors', {
  name: name('name').primaryKey(),
  /** The owner; '' if it has none. */
  owner: name('owner').notNull(),
  /** Counts its owners. */
  fence: number('fence'),
  /** The position up to which a sink has sent everything. */
  cursor: name('cursor').notNull(),
  /** `ConnectorRecord.status`, as JSON. */
  status: text('status').notNull(),
});

/** The owners of connectors, and when the lease of each expires. */
export const connectorOwners = tidings.table('connector_owners', {
  owner: name('owner').primaryKey(),
  until: number('until'),
});

/** The positions of sources. A position moves in the transaction that stores its messages. */
export const connectorPositions = tidings.table('connector_positions', {
  connector: name('connector').notNull(),
  part: name('part').notNull(),
  /** `SourcePosition.identity`. */
  identity: name('identity').notNull(),
  position: number('position'),
}, (table) => [primaryKey({ columns: [table.connector, table.part] })]);

/** The origins of messages from sources (`OriginRange`). Ranges do not overlap. */
export const connectorOrigins = tidings.table('connector_origins', {
  first: bigint('first', { mode: 'number' }).primaryKey(),
  last: number('last'),
  origin: name('origin').notNull(),
});
