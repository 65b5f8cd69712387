import Database from 'better-sqlite3';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import type { Wiped } from '../../../src/store/contracts/erasure-store.ts';
import type { SqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import { draft, openStore, range, request } from '../../contract/store-kit.ts';
import { SqliteDatabase } from './database.ts';

/** What is erased is in no file of the database: not in the database file, its free pages, or the write-ahead log. */

const mark = (seq: number): string => `<mark ${String(seq).padStart(6, '0')}>`;

/** The numbers of the messages whose data, or event names, stand in one of the files. */
function inFiles({ file }: SqliteDatabase, seqs: readonly number[]): number[] {
  const bytes = Buffer.concat(readdirSync(dirname(file)).map((name) => readFileSync(join(dirname(file), name))));
  return seqs.filter((seq) => bytes.includes(mark(seq)));
}

async function wipe(store: SqliteStore, isEnough: (wiped: Wiped) => boolean = (wiped) => wiped === 'done'): Promise<number> {
  for (let steps = 1; ; steps++) {
    if (isEnough(await store.erasures.wipe())) return steps;
    if (steps > 1_000) throw new Error('it does not come to an end');
  }
}

/** A log from which retention has deleted, in odd steps: so pages were freed, and rows moved from page to page. */
async function filled(t: Parameters<typeof openStore>[0], bytes: number, count: number): Promise<{ database: SqliteDatabase; store: SqliteStore; oldest: number }> {
  const database = new SqliteDatabase(t);
  const store = await openStore(t, database) as SqliteStore;
  for (const first of range(0, count / 10 - 1)) await store.append(range(first * 10 + 1, first * 10 + 10).map((seq) => request(draft(seq % 2 === 0 ? 'even' : 'odd', mark(seq).padEnd(bytes, 'x'), { event: `e${mark(seq)}` }))));
  let { bytes: size } = await store.trim({ maxAge: 0, maxBytes: 0, rows: 1 });
  for (const rows of [7, 13, 31, 57, 21, 3]) ({ bytes: size } = await store.trim({ maxAge: 0, maxBytes: size - rows * bytes, rows }));
  const { oldest } = await store.state();
  return { database, store, oldest };
}

for (const [bytes, count] of [[40, 2_000], [300, 1_000], [3_000, 300], [20_000, 300]] as const) {
  t.test(`messages of ${bytes} bytes, after retention has moved them about`, async (t) => {
    const { database, store, oldest } = await filled(t, bytes, count);
    const { lineage } = await store.state();
    const singles = range(oldest, oldest + 30);
    for (const seq of singles) t.equal(await store.erasures.eraseMessage(lineage.at(seq)), 'erased');
    const through = oldest + 90;
    t.ok((await store.erasures.eraseTopic({ topic: 'odd', after: 0, through: lineage.at(through), rows: 1_000 })).erased > 25);
    const erased = [...singles, ...range(oldest + 31, through).filter((seq) => seq % 2 === 1)];
    t.ok(inFiles(database, erased).length > 0, 'it would be there otherwise');
    await wipe(store);
    t.same(inFiles(database, erased), []);
    const kept = range(through + 1, count);
    t.same(inFiles(database, kept), kept);
  });
}

t.test('while erasures keep coming, each round gives back the pages that it took, and ends', async (t) => {
  const { database, store, oldest } = await filled(t, 20_000, 300);
  const { lineage } = await store.state();
  const pages = (): number => database.direct((db) => db.prepare('SELECT page_count FROM pragma_page_count').pluck().get()) as number;
  const before = pages();
  for (let seq = oldest, round = 1; round <= 3; round++) {
    await store.erasures.eraseMessage(lineage.at(seq++));
    await wipe(store, (wiped) => wiped === 'more');
    let wiped: Wiped = 'more';
    for (let steps = 0; wiped === 'more'; steps++) {
      if (steps > 100) throw new Error('it does not come to an end');
      await store.erasures.eraseMessage(lineage.at(seq++));
      wiped = await store.erasures.wipe();
    }
    t.equal(wiped, 'next-round');
    t.equal(database.direct((db) => db.prepare('SELECT count(*) FROM filler').pluck().get()), 0);
    t.same(inFiles(database, [oldest]), []);
    t.ok(pages() < before + 10, 'the file does not grow');
  }
  await wipe(store, (wiped) => wiped === 'done');
});

t.test('while somebody reads the database for long, that is said, and it is done afterwards', async (t) => {
  const { database, store, oldest } = await filled(t, 300, 500);
  const reader = new Database(database.file, { readonly: true });
  t.teardown(() => reader.close());
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM messages').get();
  await store.erasures.eraseMessage((await store.state()).lineage.at(oldest));
  await wipe(store, (wiped) => wiped === 'held-up');
  t.same(inFiles(database, [oldest]), [oldest]);
  reader.exec('COMMIT');
  await wipe(store);
  t.same(inFiles(database, [oldest]), []);
});

t.test('what one process has begun, another one brings to its end, and two at once do too', async (t) => {
  const { database, store, oldest } = await filled(t, 20_000, 300);
  const { lineage } = await store.state();
  await store.erasures.eraseMessage(lineage.at(oldest));
  t.equal(await store.erasures.wipe(), 'more');
  const others = [await openStore(t, database), await openStore(t, database)] as SqliteStore[];
  await store.close();
  await Promise.all(others.map((other) => wipe(other)));
  t.same(inFiles(database, [oldest]), []);
  // One of them may have taken pages that the other had just given back.
  await wipe(others[0]!);
  t.equal(database.direct((db) => db.prepare('SELECT count(*) FROM filler').pluck().get()), 0);
});

t.test('messages erased while the pages are overwritten are wiped as well', async (t) => {
  const { database, store, oldest } = await filled(t, 20_000, 300);
  const { lineage } = await store.state();
  await store.erasures.eraseMessage(lineage.at(oldest));
  await wipe(store, (wiped) => wiped === 'more');
  await store.erasures.eraseMessage(lineage.at(oldest + 1));
  await wipe(store);
  t.same(inFiles(database, [oldest, oldest + 1]), []);
});
