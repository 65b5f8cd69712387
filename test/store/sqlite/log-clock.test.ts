import t from 'tap';
import { acceptClock } from '../../../src/store/sqlite/log-clock.ts';
import { draft, openStore } from '../../contract/store-kit.ts';
import { SqliteDatabase } from './database.ts';

const HOUR = 3_600_000;
/** More than one step takes. */
const MESSAGES = 700;

t.test('a clock that is accepted: messages come first, and keys only when no message is left', async (t) => {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database);
  await database.clockWasAhead(HOUR);
  const key = { scope: '', key: 'one', fingerprint: Buffer.alloc(32), window: HOUR };
  await store.append([{ drafts: Array.from({ length: MESSAGES }, () => draft('a')), key }]);
  const beyond = (table: string): number => database.direct((db) => db.prepare<[number], number>(`SELECT count(*) FROM ${table} WHERE time > ?`).pluck().get(Date.now())!);
  t.same([beyond('messages'), beyond('keys')], [MESSAGES, 1]);
  // The first step ends before the promise is there.
  const accepting = acceptClock(database.file);
  t.ok(beyond('messages') > 0 && beyond('messages') < MESSAGES);
  t.equal(beyond('keys'), 1);
  t.same(await accepting, { messages: MESSAGES, keys: 1 });
  t.same([beyond('messages'), beyond('keys')], [0, 0]);
});
