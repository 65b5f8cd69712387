import Database from 'better-sqlite3';
import t from 'tap';
import { MultiRowInsert } from '../../../src/store/sqlite/messages/multi-row-insert.ts';

t.test('few statements insert any number of rows, in their order, and tell how many were new', (t) => {
  const statements: unknown[] = [];
  const db = new Database(':memory:', { verbose: (statement) => void statements.push(statement) });
  t.teardown(() => void db.close());
  db.exec('CREATE TABLE numbers (number INTEGER PRIMARY KEY, half REAL)');
  const numbers = new MultiRowInsert({ db, into: 'INSERT INTO numbers', columns: ['number', 'half'], otherwise: 'ON CONFLICT DO NOTHING' });
  let last = 0;
  for (const [rows, most] of [[0, 0], [1, 1], [3, 2], [7, 3], [31, 5], [32, 1], [100, 4], [2_001, 65]] as const) {
    statements.length = 0;
    const values = Array.from({ length: rows }, () => [++last, last / 2]).flat();
    t.equal(numbers.insert(values), rows);
    t.ok(statements.length <= most, `${rows} rows: ${statements.length} statements`);
  }
  const stored = db.prepare<[], [number, number]>('SELECT number, half FROM numbers ORDER BY number').raw().all();
  t.same(stored, Array.from({ length: last }, (_, index) => [index + 1, (index + 1) / 2]));
  t.equal(numbers.insert([1, 0, last + 1, 0, 2, 0]), 1, 'rows that are there do not count');
  t.end();
});
