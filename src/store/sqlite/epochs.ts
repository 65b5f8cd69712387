import type Database from 'better-sqlite3';
import { EPOCH_RANDOM_CHARACTERS, epochName } from '../../model/epochs.ts';
import { KEPT_EPOCHS, PRUNE_EPOCHS } from '../limits.ts';
import { UNDERSTOOD_LEVEL, refuseLevel } from '../level.ts';
import { LOG_NAME_CHARACTERS, randomName, randomSecret } from '../names.ts';
import { and, count, desc, drizzle, eq, inArray, lt, lte, max, notInArray, or, sql } from './drizzle.ts';
import { epochs, head, keys, retention } from './schema.ts';

/** Begins a new epoch at head + 1 (invariant 8), inside the caller's write transaction. Makes the one row of each state on first use. */
export function beginEpoch(db: Database.Database): { logId: string } {
  const orm = drizzle(db);
  orm.insert(head).values({ id: 1, log: randomName(LOG_NAME_CHARACTERS), seq: 0, epoch: 0, time: 0, bytes: 0, level: UNDERSTOOD_LEVEL }).onConflictDoNothing().run();
  orm.insert(retention).values({ id: 1, oldest: 1, bytes: 0, time: null }).onConflictDoNothing().run();
  const { log, seq, level } = orm.select({ log: head.log, seq: head.seq, level: head.level }).from(head).all()[0]!;
  refuseLevel(level);
  const [parent] = orm.select({ epoch: epochs.epoch }).from(epochs).where(lte(epochs.first, seq)).orderBy(desc(epochs.id)).limit(1).all();
  const epoch = epochName(randomName(EPOCH_RANDOM_CHARACTERS), parent?.epoch, seq + 1);
  const { id } = orm.insert(epochs).values({ epoch, first: seq + 1, secret: randomSecret() }).returning({ id: epochs.id }).all()[0]!;
  orm.update(head).set({ epoch: id }).run();
  prune(db);
  return { logId: log };
}

/** Forgets the oldest epochs that have neither a message nor an idempotency key left. An epoch that begins where the next one does never had a message: instances that crash again and again begin such epochs. */
function prune(db: Database.Database): void {
  const orm = drizzle(db);
  const { total } = orm.select({ total: count() }).from(epochs).all()[0]!;
  if (total < KEPT_EPOCHS + PRUNE_EPOCHS) return;
  const { oldest } = orm.select({ oldest: retention.oldest }).from(retention).all()[0]!;
  // The epoch of the oldest number is the latest that began at or before it; no message is left of the epochs before.
  const [current] = orm.select({ id: max(epochs.id) }).from(epochs).where(lte(epochs.first, oldest)).all();
  const [kept] = orm.select({ id: epochs.id }).from(epochs).orderBy(desc(epochs.id)).limit(1).offset(KEPT_EPOCHS - 1).all();
  const ends = orm.select({ id: epochs.id, end: sql<number>`lead(${epochs.first}) OVER (ORDER BY ${epochs.id})`.as('end') }).from(epochs).as('ends');
  const empty = orm.select({ id: ends.id }).from(ends).innerJoin(epochs, eq(epochs.id, ends.id)).where(eq(epochs.first, ends.end));
  orm.delete(epochs).where(and(
    lt(epochs.id, kept?.id ?? 0), or(lt(epochs.id, current?.id ?? 0), inArray(epochs.id, empty)), notInArray(epochs.id, orm.selectDistinct({ id: keys.epoch }).from(keys)),
  )).run();
}
