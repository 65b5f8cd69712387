import t from 'tap';
import { newSession, sessionStoreContract } from '../../contract/session-store.ts';
import { failure } from '../../contract/store-kit.ts';
import { SqliteDatabase } from './database.ts';

sessionStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));

t.test('a value that is no origin is refused', async (t) => {
  const database = new SqliteDatabase(t);
  const store = database.store();
  t.teardown(() => store.close());
  await store.open();
  await store.sessions.createSession(newSession('a'));
  const proof = '00'.repeat(32);
  const permissions = { publish: [], subscribe: [], admin: false };
  const wrong = [
    '', 'null', '[]', '{}', JSON.stringify({ kind: 'key', id: 'a' }), JSON.stringify({ kind: 'key', id: 'a', proof: 'x' }), JSON.stringify({ kind: 'key', id: 5, proof }), JSON.stringify({ kind: 'root', proof }),
    JSON.stringify({ kind: 'subject', subject: 'a', issuedAt: 1, proof }), JSON.stringify({ kind: 'subject', subject: 'a', issuedAt: 'x', permissions, proof }),
    JSON.stringify({ kind: 'subject', subject: 'a', issuedAt: 1, permissions: { ...permissions, publish: '>' }, proof }),
  ];
  for (const text of wrong) {
    database.direct((db) => db.prepare('UPDATE sessions SET origin = ?').run(text));
    t.equal(await failure(store.sessions.findSessions(['a'])), 'unavailable', text);
  }
});

t.test('no question and no creation reads all sessions', async (t) => {
  const database = new SqliteDatabase(t);
  const store = database.store();
  await store.open();
  await store.close();
  const plan = (sql: string): string => database.direct((db) => db.prepare<[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all()).map(({ detail }) => detail).join('\n');
  t.match(plan('SELECT id FROM session_ends WHERE version > 5 ORDER BY version'), /^SEARCH session_ends USING INTEGER PRIMARY KEY \(rowid>\?\)$/);
  t.match(plan("SELECT id FROM sessions WHERE owner = 'a' AND id <> 'b' ORDER BY created DESC, rowid DESC LIMIT -1 OFFSET 99"), /^SEARCH sessions USING INDEX sessions_owner \(owner=\?\)$/);
  t.match(plan("SELECT id FROM sessions WHERE id <> 'b' ORDER BY expires, rowid LIMIT 1"), /^SCAN sessions USING INDEX sessions_expires$/);
});
