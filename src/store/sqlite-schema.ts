import { blob, index, integer, primaryKey, sql, sqliteTable, text } from './drizzle.ts';

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
});

/** What retention has deleted: one row, apart from the head so that PostgreSQL's twin never waits for the head's lock. */
export const retention = sqliteTable('retention', {
  id: integer('id').primaryKey(),
  /** The smallest number still held. */
  oldest: integer('oldest').notNull(),
  /** The bytes of all messages ever deleted. */
  bytes: integer('bytes').notNull(),
  /** The time of the newest message deleted; null when none was. */
  time: integer('time'),
});

/** In the order of their ids; see `Lineage`. */
export const epochs = sqliteTable('epochs', {
  id: integer('id').primaryKey(),
  epoch: text('epoch').notNull().unique(),
  first: integer('first').notNull(),
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
  /** The topic's first segment; '' where it has only one. Never stored, but in the index. */
  segment: text('segment').generatedAlwaysAs(sql`substr("topic", 1, instr("topic", '.') - 1)`, { mode: 'virtual' }),
}, (table) => [
  // Both end in the row's number, as every index does: one topic is scanned in the order of the log.
  index('messages_topic').on(table.topic),
  // Only topics of several segments: a pattern that begins with a name and goes on matches no other.
  index('messages_segment').on(table.segment).where(sql`"segment" <> ''`),
]);

/** Idempotency keys, and the answer that each stands for. */
export const keys = sqliteTable('keys', {
  scope: text('scope').notNull(),
  key: text('key').notNull(),
  fingerprint: blob('fingerprint', { mode: 'buffer' }).notNull(),
  epoch: integer('epoch').notNull(),
  first: integer('first').notNull(),
  time: integer('time').notNull(),
  expires: integer('expires').notNull(),
}, (table) => [
  primaryKey({ columns: [table.scope, table.key] }),
  index('keys_expires').on(table.expires),
]);
