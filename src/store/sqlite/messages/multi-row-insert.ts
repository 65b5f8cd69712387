import type Database from 'better-sqlite3';

/** How many rows a statement inserts. One call of the driver costs as much as SQLite's work on a small row, so 21 rows take three calls: 16, 4, 1. */
const INSERT_ROWS = [32, 16, 8, 4, 2, 1];

export interface MultiRowInsertOptions {
  readonly db: Database.Database;
  /** The beginning of the statement, such as `INSERT INTO messages`. */
  readonly into: string;
  readonly columns: readonly string[];
  /** The end of the statement, such as `ON CONFLICT DO NOTHING`. */
  readonly otherwise?: string;
}

/** Inserts rows into a table, several with each statement. */
export class MultiRowInsert {
  readonly #options: MultiRowInsertOptions;
  /** The statements by their number of rows. Each is prepared at its first use: all of them take 70 KiB, and a thread that only reads needs none. */
  readonly #statements = new Map<number, Database.Statement<unknown[]>>();

  constructor(options: MultiRowInsertOptions) {
    this.#options = options;
  }

  /** @param all The values of all rows, one after the other. Returns how many rows were inserted. */
  insert(all: readonly unknown[]): number {
    let inserted = 0;
    let at = 0;
    for (const rows of INSERT_ROWS) {
      const values = rows * this.#options.columns.length;
      for (; at + values <= all.length; at += values) inserted += this.#statement(rows).run(values === all.length ? all : all.slice(at, at + values)).changes;
    }
    return inserted;
  }

  #statement(rows: number): Database.Statement<unknown[]> {
    const known = this.#statements.get(rows);
    if (known !== undefined) return known;
    const { db, into, columns, otherwise = '' } = this.#options;
    const row = `(${Array<string>(columns.length).fill('?').join()})`;
    const statement = db.prepare<unknown[]>(`${into} (${columns.join()}) VALUES ${Array<string>(rows).fill(row).join()} ${otherwise}`);
    this.#statements.set(rows, statement);
    return statement;
  }
}
