import type Database from 'better-sqlite3';

/** Rows that one statement inserts: each call of the driver costs as much as SQLite's own work on a small row. */
const INSERT_ROWS = 8;

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
  readonly #columns: number;
  readonly #one: Database.Statement<unknown[]>;
  readonly #many: Database.Statement<unknown[]>;

  constructor({ db, into, columns, otherwise = '' }: MultiRowInsertOptions) {
    const row = `(${Array<string>(columns.length).fill('?').join()})`;
    const insert = (rows: number): string => `${into} (${columns.join()}) VALUES ${Array<string>(rows).fill(row).join()} ${otherwise}`;
    this.#columns = columns.length;
    this.#one = db.prepare(insert(1));
    this.#many = db.prepare(insert(INSERT_ROWS));
  }

  /** @param values All rows, one after the other. Returns how many rows were inserted. */
  insert(values: readonly unknown[]): number {
    const many = this.#columns * INSERT_ROWS;
    let inserted = 0;
    let at = 0;
    for (; at + many <= values.length; at += many) inserted += this.#many.run(values.slice(at, at + many)).changes;
    for (; at < values.length; at += this.#columns) inserted += this.#one.run(values.slice(at, at + this.#columns)).changes;
    return inserted;
  }
}
