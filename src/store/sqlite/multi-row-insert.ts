import type Database from 'better-sqlite3';

/** Rows that one statement inserts, the most first: each call of the driver costs as much as SQLite's own work on a small row. Each half is there, so that few messages take few calls, too. */
const INSERT_ROWS = [32, 16, 8, 4, 2, 1];

export interface MultiRowInsertOptions {
  readonly db: Database.Database;
  /** How the statement begins: `INSERT INTO` and the name of the table, say. */
  readonly into: string;
  readonly columns: readonly string[];
  /** How the statement ends: what happens where a row is there already. */
  readonly otherwise?: string;
}

/** Inserts rows into a table, several with each statement. */
export class MultiRowInsert {
  readonly #statements: readonly { readonly values: number; readonly insert: Database.Statement<unknown[]> }[];

  constructor({ db, into, columns, otherwise = '' }: MultiRowInsertOptions) {
    const row = `(${Array<string>(columns.length).fill('?').join()})`;
    this.#statements = INSERT_ROWS.map((rows) => ({
      values: rows * columns.length,
      insert: db.prepare(`${into} (${columns.join()}) VALUES ${Array<string>(rows).fill(row).join()} ${otherwise}`),
    }));
  }

  /** @param all The values of all rows, one after the other. Returns how many rows were inserted. */
  insert(all: readonly unknown[]): number {
    let inserted = 0;
    let at = 0;
    for (const { values, insert } of this.#statements) {
      for (; at + values <= all.length; at += values) inserted += insert.run(values === all.length ? all : all.slice(at, at + values)).changes;
    }
    return inserted;
  }
}
