import type Database from 'better-sqlite3';
import { EPOCH_RANDOM_CHARACTERS, epochName } from '../../../model/epochs.ts';
import { KEPT_EPOCHS, PRUNE_EPOCHS } from '../../limits.ts';
import { UNDERSTOOD_LEVEL, refuseLevel } from '../../level.ts';
import { LOG_NAME_CHARACTERS, randomName, randomSecret } from '../../names.ts';

/** Begins a new epoch at head + 1 (invariant 8), inside the caller's write transaction. On a new database it first inserts the rows of `head` and `retention`. */
export function beginEpoch(db: Database.Database): { logId: string } {
  db.prepare('INSERT INTO head (id, log, seq, epoch, time, bytes, level) VALUES (1, ?, 0, 0, 0, 0, ?) ON CONFLICT DO NOTHING').run(randomName(LOG_NAME_CHARACTERS), UNDERSTOOD_LEVEL);
  db.prepare('INSERT INTO retention (id, oldest, bytes, time) VALUES (1, 1, 0, NULL) ON CONFLICT DO NOTHING').run();
  const { log, seq, level } = db.prepare<[], { log: string; seq: number; level: number }>('SELECT log, seq, level FROM head').get()!;
  refuseLevel(level);
  const parent = db.prepare<[number], string>('SELECT epoch FROM epochs WHERE first <= ? ORDER BY id DESC LIMIT 1').pluck().get(seq);
  const epoch = epochName(randomName(EPOCH_RANDOM_CHARACTERS), parent, seq + 1);
  const { lastInsertRowid: id } = db.prepare('INSERT INTO epochs (epoch, first, secret) VALUES (?, ?, ?)').run(epoch, seq + 1, randomSecret());
  db.prepare('UPDATE head SET epoch = ?').run(id);
  prune(db);
  return { logId: log };
}

/**
 * Deletes epochs, except the newest `KEPT_EPOCHS` and those of an idempotency key. An epoch is deleted in two cases:
 *
 * - all its messages were deleted by retention;
 * - it never had a message: the next epoch begins at the same number. Instances that crash again and again begin such epochs.
 */
function prune(db: Database.Database): void {
  const total = db.prepare<[], number>('SELECT count(*) FROM epochs').pluck().get()!;
  if (total < KEPT_EPOCHS + PRUNE_EPOCHS) return;
  // The oldest message belongs to the latest epoch that began at or before its number. The epochs before that have no messages any more.
  db.prepare(`DELETE FROM epochs WHERE id < (SELECT id FROM epochs ORDER BY id DESC LIMIT 1 OFFSET ${KEPT_EPOCHS - 1})
    AND (id < (SELECT coalesce(max(id), 0) FROM epochs WHERE first <= (SELECT oldest FROM retention))
      OR id IN (SELECT id FROM (SELECT id, first, lead(first) OVER (ORDER BY id) AS "end" FROM epochs) WHERE first = "end"))
    AND id NOT IN (SELECT epoch FROM keys)`).run();
}
