import { sql } from 'drizzle-orm';
import { bigint, boolean, customType, index, integer, pgSchema, primaryKey, smallint, text, uniqueIndex } from 'drizzle-orm/pg-core';

/**
 * The tables, for drizzle-kit only. Functions in the database read and write them (migrations/postgres), because an
 * append must be one round trip. They have a PostgreSQL schema of their own, so that they fit into a database that other programs use, too.
 */
const tidings = pgSchema('tidings');

const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
/** Compared byte by byte: the same on every machine, and faster than any language's order. */
const name = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });
const number = (column: string) => bigint(column, { mode: 'number' }).notNull();

/** The end of the log: one row. Every append locks it first (invariant 2). */
export const head = tidings.table('head', {
  id: smallint('id').notNull(),
  /** The log's own lasting id. */
  log: text('log').notNull(),
  /** The newest number given. */
  seq: number('seq'),
  /** The epoch of the next message. */
  epoch: text('epoch').notNull(),
  /** The newest message's time, below which no later one may be (invariant 10). */
  time: number('time'),
  /** The bytes of all messages ever appended; less `retention.bytes` it is the log's size. */
  bytes: number('bytes'),
  /** The server, and its life, that the last append met: `tidings.server()`. Another one may have lost messages (invariant 8). */
  server: text('server').notNull(),
  /** The level that a program must understand to use this log: level.ts. */
  level: integer('level').notNull().default(1),
  /**
   * Grows with the log. While an old snapshot keeps all versions of this row, `ORDER BY generation DESC LIMIT 1` reads the newest few alone. Appends of few messages
   * seldom change it: such an update needs no entry in the index (a heap-only tuple).
   */
  generation: bigint('generation', { mode: 'number' }).generatedAlwaysAs(sql`seq / 64`).primaryKey(),
});

/** The totals that retention has deleted: one row, apart from the head, whose lock it must never take (invariant 9). Its key grows, for the same reason as the head's. */
export const retention = tidings.table('retention', {
  id: smallint('id').notNull(),
  /** The smallest number still held. */
  oldest: number('oldest').primaryKey(),
  /** The bytes of all messages ever deleted, and of all data ever erased. */
  bytes: number('bytes'),
  /** The time of the newest message deleted; null when none was. */
  time: bigint('time', { mode: 'number' }),
  /** The server's clock as far as retention believed it, or the time of a later message that refuted that (invariant 10). Null before the first look. Milliseconds since 1970. */
  clock: bigint('clock', { mode: 'number' }),
  /** Messages from this number on were counted with all copies of their names (row-bytes.ts); those before it with their topic once. */
  namedFrom: number('named_from').default(0),
});

/** How much topics and senders have stored in stretches of the log (usage-store.ts). Holdings as JSON. */
export const usage = tidings.table('usage', {
  id: name('id').primaryKey(),
  version: number('version'),
  first: number('first'),
  last: number('last'),
  topics: text('topics').notNull(),
  senders: text('senders').notNull(),
}, (table) => [index('usage_version').on(table.version)]);

/** In the order of their ids; see `Lineage`. The ids are given under the head's lock and mean nothing outside one snapshot: a log that lost some gives them again. */
export const epochs = tidings.table('epochs', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull().unique(),
  first: number('first'),
  /** The secret that proves on the bus that a sender can read this log: hexadecimal digits; null where a program that had none began the epoch. */
  secret: text('secret'),
});

/** The epoch of a message is the latest that began at or before it: `Lineage.at` says which. */
export const messages = tidings.table('messages', {
  seq: bigint('seq', { mode: 'number' }).primaryKey(),
  time: number('time'),
  /** 0 is never. */
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

/** Numbers the idempotency keys as they are stored. An append takes its numbers as its last act: if failures left gaps, retention would count keys that are not there. */
export const keyPlaces = tidings.sequence('key_places');

/** Idempotency keys, and the answer that each stands for. */
export const keys = tidings.table('keys', {
  scope: name('scope').notNull(),
  key: name('key').notNull(),
  fingerprint: bytea('fingerprint').notNull(),
  epoch: text('epoch').notNull(),
  first: number('first'),
  time: number('time'),
  expires: number('expires'),
  /** The places of two keys tell how many were stored between them, so nothing has to be counted. Null in rows older than the column. */
  place: bigint('place', { mode: 'number' }).default(sql`nextval('tidings.key_places')`),
}, (table) => [primaryKey({ columns: [table.scope, table.key] }), index('keys_expires').on(table.expires)]);

/**
 * The newest version of the API keys: one row. Every change of a key locks it first, so that versions are in the order of the commits. The version is its primary key, so that the newest
 * version of the row is found while an old snapshot keeps the others (`newestOf` in expressions.ts). So it is with `session_state`, `revocation_list` and `ticket_state`.
 */
export const access = tidings.table('access', {
  id: smallint('id').notNull(),
  version: bigint('version', { mode: 'number' }).primaryKey(),
  /** The first version that this server gave. Before it, another server may have given the same versions to changes that are lost. */
  since: number('since'),
  /** The server, and its life, that the last change met: `tidings.session_server()`. Another one may have lost changes. */
  server: text('server').notNull(),
});

/** API keys (key-store.ts). Times are milliseconds since 1970. */
export const apiKeys = tidings.table('api_keys', {
  id: name('id').primaryKey(),
  /** The version that the last change of the key took. */
  version: number('version'),
  /** When it ends, or ended: the earlier of `expires` and `revoked`, or `NEVER_MS`. */
  ends: number('ends'),
  created: number('created'),
  expires: bigint('expires', { mode: 'number' }),
  revoked: bigint('revoked', { mode: 'number' }),
  lastUsed: bigint('last_used', { mode: 'number' }),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  /** The digest of the previous secret, and when that ends; null before the first rotation. */
  oldDigest: bytea('old_digest'),
  oldExpires: bigint('old_expires', { mode: 'number' }),
  name: text('name').notNull(),
  /** `Permissions` as JSON. */
  permissions: text('permissions').notNull(),
}, (table) => [uniqueIndex('api_keys_version').on(table.version), index('api_keys_ends').on(table.ends)]);

/** The newest version of the sessions, and how many are held: one row, which every change of a session locks first. For `since` and `server` see `access`. */
export const sessionState = tidings.table('session_state', {
  id: smallint('id').notNull(),
  /** How often the row was changed; it stays as it is where an instance of an older version changes the row. */
  changes: bigint('changes', { mode: 'number' }).primaryKey().default(0),
  version: number('version'),
  held: number('held'),
  since: number('since'),
  server: text('server').notNull(),
});

/** Sessions that were not ended (session-store.ts). Times are milliseconds since 1970. */
export const sessions = tidings.table('sessions', {
  id: name('id').primaryKey(),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  created: number('created'),
  expires: number('expires'),
  /** `ownerOf` its origin. */
  owner: name('owner').notNull(),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
}, (table) => [index('sessions_owner').on(table.owner, table.created), index('sessions_expires').on(table.expires)]);

/** The sessions that were ended last, by the versions that they took. */
export const sessionEnds = tidings.table('session_ends', {
  version: bigint('version', { mode: 'number' }).primaryKey(),
  id: name('id').notNull(),
});

/** The newest erasures, one row for each version (erasure-store.ts). An erased message has the event `$erased` and no data; its row stays. */
export const erasures = tidings.table('erasures', {
  version: bigint('version', { mode: 'number' }).primaryKey(),
  seq: number('seq'),
  /** Whether all messages of the topic up to the number are erased, and not only this one. */
  prefix: boolean('prefix').notNull(),
  /** Whether the table of messages was vacuumed after it. */
  wiped: boolean('wiped').notNull(),
  topic: name('topic').notNull(),
  /** The server, and its life, that gave the version: `tidings.session_server()`. Another one may have lost versions. */
  server: text('server').notNull(),
});

/** The newest version of the revocations: one row. Every revocation locks it first, so that versions are in the order of the commits. */
export const revocationList = tidings.table('revocation_list', {
  id: smallint('id').notNull(),
  version: bigint('version', { mode: 'number' }).primaryKey(),
  /** As in `access`: the first version that this server gave. */
  since: number('since'),
  /** As in `access`: which server, in which of its lives, the last change met. */
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
  /** The version that its last change took. */
  version: number('version'),
}, (table) => [primaryKey({ columns: [table.kind, table.name] }), uniqueIndex('revocations_version').on(table.version), index('revocations_ends').on(table.ends)]);

/** Epochs that the log has lost, in the order in which they were kept, and where each came from. */
export const lostEpochs = tidings.table('lost_epochs', {
  id: bigint('id', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  epoch: name('epoch').notNull().unique(),
  /** The epoch and the number of the position before its first number. */
  parent: name('parent').notNull(),
  seq: number('seq'),
});

/** The newest generation of the tickets, and how many rows there are: one row, which every change of a ticket locks first. */
export const ticketState = tidings.table('ticket_state', {
  id: smallint('id').notNull(),
  /** As in `session_state`. */
  changes: bigint('changes', { mode: 'number' }).primaryKey().default(0),
  generation: number('generation'),
  held: number('held'),
  /** As in `access`: which server, in which of its lives, gave the newest generation. */
  server: text('server').notNull(),
});

/** Tickets (ticket-store.ts). Times are milliseconds since 1970. */
export const tickets = tidings.table('tickets', {
  id: name('id').primaryKey(),
  /** The generation of its last use; 0 before the first. */
  generation: number('generation'),
  /** When it can no longer be used. */
  ends: number('ends'),
  /** When its credential ends, or `NEVER_MS`. */
  until: number('until'),
  /** Whether only a client that shows a position of the log may use it. */
  guarded: boolean('guarded').notNull(),
  /** SHA-256 of the secret. */
  digest: bytea('digest').notNull(),
  /** `ownerOf` its origin. */
  owner: name('owner').notNull(),
  /** The id of the session that it was made with. */
  session: text('session'),
  /** `SessionOrigin` as JSON. */
  origin: text('origin').notNull(),
  /** Topics and patterns as JSON. */
  topics: text('topics').notNull(),
}, (table) => [index('tickets_generation').on(table.generation), index('tickets_ends').on(table.ends), index('tickets_owner').on(table.owner, table.ends)]);

/** Webhooks (webhook-store.ts). Times are milliseconds since 1970. */
export const webhooks = tidings.table('webhooks', {
  id: name('id').primaryKey(),
  /** The version of the last change by an administrator, or of the status. */
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
  /** The instance that delivers it; '' for none. */
  owner: name('owner').notNull(),
  /** Counts its owners and its restarts. */
  fence: number('fence'),
  /** How many attempts there were. */
  attempted: number('attempted'),
}, (table) => [index('webhooks_owner').on(table.owner)]);

/** Instances that deliver webhooks, and when the lease of each ends. */
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

/** Connectors (connector-store.ts), from when an instance first had a file that declares them. */
export const connectors = tidings.table('connectors', {
  name: name('name').primaryKey(),
  /** The instance that runs it; '' for none. */
  owner: name('owner').notNull(),
  /** Counts its owners. */
  fence: number('fence'),
  /** The position up to which a sink has sent everything. */
  cursor: name('cursor').notNull(),
  /** How it is, as JSON. */
  status: text('status').notNull(),
});

/** Instances that run connectors, and when the lease of each ends. */
export const connectorOwners = tidings.table('connector_owners', {
  owner: name('owner').primaryKey(),
  until: number('until'),
});

/** How far each source has read. A row moves in the transaction that stores the messages. */
export const connectorPositions = tidings.table('connector_positions', {
  connector: name('connector').notNull(),
  part: name('part').notNull(),
  /** Identifies the stream or topic on the other side. */
  identity: name('identity').notNull(),
  position: number('position'),
}, (table) => [primaryKey({ columns: [table.connector, table.part] })]);

/** The messages of each source, as ranges of numbers that do not overlap. */
export const connectorOrigins = tidings.table('connector_origins', {
  first: bigint('first', { mode: 'number' }).primaryKey(),
  last: number('last'),
  origin: name('origin').notNull(),
});
