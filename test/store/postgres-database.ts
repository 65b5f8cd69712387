import { PostgresStore } from '../../src/store/postgres.ts';
import type { TestDatabase } from '../contract/store-kit.ts';
import type { PostgresServer } from '../support/postgres.ts';

/** A database of a test's own. */
export class PostgresDatabase implements TestDatabase {
  readonly server: PostgresServer;
  readonly name: string;

  private constructor(server: PostgresServer, name: string) {
    this.server = server;
    this.name = name;
  }

  static async create(server: PostgresServer): Promise<PostgresDatabase> {
    return new PostgresDatabase(server, await server.database());
  }

  get url(): string {
    return this.server.url(this.name);
  }

  store(): PostgresStore {
    return new PostgresStore({ url: this.url, connections: 4 });
  }

  async backup(): Promise<() => Promise<void>> {
    await this.server.ask('postgres', `CREATE DATABASE ${this.name}_copy TEMPLATE ${this.name}`);
    return async () => {
      await this.server.ask('postgres', `DROP DATABASE ${this.name}`);
      await this.server.ask('postgres', `ALTER DATABASE ${this.name}_copy RENAME TO ${this.name}`);
    };
  }

  async clockWasAhead(milliseconds: number): Promise<void> {
    await this.ask(`UPDATE tidings.head SET time = ${Date.now() + milliseconds}`);
  }

  /** Asks something past the store. */
  ask(text: string): Promise<unknown[][]> {
    return this.server.ask(this.name, text);
  }
}
