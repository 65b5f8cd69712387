import t from 'tap';
import { failure } from '../../contract/store-kit.ts';
import { newTicket, ticketStoreContract } from '../../contract/ticket-store.ts';
import { SqliteDatabase } from './database.ts';

ticketStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));

t.test('values that are no topics or no origin are refused', async (t) => {
  const database = new SqliteDatabase(t);
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  for (const [column, texts] of [['topics', ['', 'null', '{}', '[1]', '"a"']], ['origin', ['', 'null', '{}', '[]']]] as const) {
    await store.tickets.createTicket(newTicket(column));
    for (const text of texts) {
      database.direct((db) => db.prepare(`UPDATE tickets SET ${column} = ? WHERE id = ?`).run(text, column));
      t.equal(await failure(store.tickets.findTickets([column])), 'unavailable', text);
    }
  }
});

t.test('no question, no use and no creation reads all tickets', async (t) => {
  const database = new SqliteDatabase(t);
  const store = database.store();
  await store.open();
  await store.close();
  const plan = (sql: string): string => database.direct((db) => db.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all()).map(({ detail }) => detail).join('\n');
  t.match(plan('SELECT id, generation FROM tickets WHERE generation > 5 ORDER BY generation LIMIT 500'), /^SEARCH tickets USING INDEX tickets_generation \(generation>\?\)$/);
  t.match(plan("SELECT 1 FROM tickets WHERE owner = 'a' AND ends > 5 LIMIT 9"), /^SEARCH tickets USING COVERING INDEX tickets_owner \(owner=\? AND ends>\?\)$/);
  t.match(plan('SELECT id, ends FROM tickets WHERE generation = 0 LIMIT 9'), /^SEARCH tickets USING INDEX tickets_generation \(generation=\?\)$/);
  t.match(plan('SELECT id FROM tickets WHERE ends <= 5 ORDER BY ends LIMIT 9'), /^SEARCH tickets USING INDEX tickets_ends \(ends<\?\)$/);
});
