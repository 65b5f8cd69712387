import type Database from 'better-sqlite3';

/** Rows that one statement inserts: each call of the driver costs as much as SQLite's own work on a small row. */
const ROWS = 8;

/** Inserts rows into a table, several at a time. */
export class Inserter {
  readonly #columns: number;
  readonly #one: Database.Statement<unknown[]>;
  readonly #many: Database.Statement<unknown[]>;

  constructor(db: Database.Database, into: string, columns: readonly string[], otherwise = '') {
    const row = `(${Array<string>(columns.length).fill('?').join()})`;
    const insert = (rows: number): string => `${into} (${columns.join()}) VALUES ${Array<string>(rows).fill(row).join()} ${otherwise}`;
    this.#columns = columns.length;
    this.#one = db.prepare(insert(1));
    this.#many = db.prepare(insert(ROWS));
  }

  /** @param values Of all rows, one behind the other. Answers with how many rows were inserted. */
  insert(values: readonly unknown[]): number {
    const many = this.#columns * ROWS;
    let inserted = 0;
    let at = 0;
    for (; at + many <= values.length; at += many) inserted += this.#many.run(values.slice(at, at + many)).changes;
    for (; at < values.length; at += this.#columns) inserted += this.#one.run(values.slice(at, at + this.#columns)).changes;
    return inserted;
  }
}
