import t from 'tap';
import { draft, openStore, request, stored } from '../../contract/store-kit.ts';
import { SqliteDatabase } from './database.ts';

const DAY = 86_400_000;

t.test('one message from a clock that was ahead does not make the log before it old, also after a restart', async (t) => {
  const database = new SqliteDatabase(t);
  const before = await openStore(t, database);
  for (const text of ['1', '2', '3']) await stored(before, [request(draft('a', text))]);
  await database.clockWasAhead(30 * DAY);
  await stored(before, [request(draft('a', 'from the clock that was ahead'))]);
  await before.close();

  const store = await openStore(t, database);
  t.ok((await store.state()).now > Date.now() + 29 * DAY, 'the log\'s own clock stands there');
  t.match(await store.trim({ maxAge: 7 * DAY, maxBytes: 0, rows: 100 }), { messages: 0, more: false, log: { oldest: 1, head: 4 } });
  t.match(await store.trim({ maxAge: 0, maxBytes: 1, rows: 2 }), { messages: 2, more: true }, 'by size it goes on');
});

t.test('messages of before topics and event names counted in full come off as they were counted', async (t) => {
  const database = new SqliteDatabase(t);
  const before = await openStore(t, database);
  await stored(before, [1, 2, 3].map(() => request(draft('topic', 'x', { event: 'event' }))));
  await before.close();
  database.direct((db) => db.exec('UPDATE retention SET named_from = 4; UPDATE head SET bytes = bytes - 3 * (2 * 5 + 5)'));
  const store = await openStore(t, database);
  await stored(store, [request(draft('topic', 'x', { event: 'event' }))]);
  await store.erasures.eraseMessage((await store.state()).lineage.at(2));
  const [old, full] = [1 + 5 + store.rowOverheadBytes, 1 + 3 * 5 + 5 + store.rowOverheadBytes];
  t.equal((await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 })).bytes, 3 * old + full - 1);
  t.match(await store.trim({ maxAge: 0, maxBytes: full, rows: 10 }), { messages: 3, bytes: full });
  t.match(await store.trim({ maxAge: 0, maxBytes: 1, rows: 10 }), { messages: 1, bytes: 0 });
});

t.test('a log that an older version counted otherwise is counted right once it has been empty', async (t) => {
  const database = new SqliteDatabase(t);
  const before = await openStore(t, database);
  await stored(before, [request(draft('topic', 'x'))]);
  await before.close();
  // It deleted messages, and took off less than was counted for them.
  database.direct((db) => db.exec('UPDATE head SET bytes = bytes + 1000000'));
  const store = await openStore(t, database);
  t.match(await store.trim({ maxAge: 0, maxBytes: 500_000, rows: 10 }), { messages: 1, more: false, bytes: 0 });
  await stored(store, [request(draft('topic', 'x'))]);
  t.match(await store.trim({ maxAge: 0, maxBytes: 500_000, rows: 10 }), { messages: 0, bytes: 1 + 3 * 5 + store.rowOverheadBytes }, 'the next one stays');
  database.direct((db) => db.exec('DELETE FROM messages; UPDATE head SET bytes = bytes + 1000000; UPDATE retention SET oldest = (SELECT seq + 1 FROM head)'));
  t.match(await store.trim({ maxAge: 0, maxBytes: 500_000, rows: 10 }), { messages: 0, bytes: 0 }, 'also where the older version deleted the last one');
  t.equal((await store.trim({ maxAge: 0, maxBytes: 500_000, rows: 10 })).bytes, 0);
});

t.test('a step of retention over large messages has a bound in bytes, and all go in the end', async (t) => {
  const store = await openStore(t, new SqliteDatabase(t));
  const mebibyte = 'x'.repeat(1024 * 1024);
  for (let count = 0; count < 5; count++) await stored(store, Array.from({ length: 4 }, () => request(draft('a', mebibyte))));
  const steps: number[] = [];
  for (let more = true; more; ) {
    const trimmed = await store.trim({ maxAge: 0, maxBytes: 1, rows: 500 });
    steps.push(trimmed.messages);
    more = trimmed.more;
  }
  t.equal(steps.reduce((sum, messages) => sum + messages, 0), 20);
  t.ok(Math.max(...steps) <= 5, steps.join());
});
