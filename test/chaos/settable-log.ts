import { join } from 'node:path';
import { startPostgres } from '../support/postgres.ts';
import { tempFolder, type Scope } from '../support/temp.ts';
import { WallClock } from '../support/wall-clock.ts';
import type { StoreName } from './fleet.ts';
import { makeClock, setClock } from './postgres.ts';

/** A log, as the environment of instances and commands says where it is, and how to set the clock that its times are from. */
export interface SettableLog {
  readonly env: Readonly<Record<string, string>>;
  /** So many milliseconds before the machine's own clock, or behind it where they are negative. */
  readonly set: (step: number) => Promise<void> | void;
}

export async function settableLog(t: Scope, store: StoreName): Promise<SettableLog> {
  if (store === 'sqlite') {
    const clock = new WallClock(t);
    return { env: { ...clock.env, DATABASE_URL: `file:${join(tempFolder(t), 'log.db')}` }, set: (step) => clock.step(step) };
  }
  const server = await startPostgres(t);
  const database = await server.database();
  await makeClock(server, database);
  return { env: { DATABASE_URL: server.url(database) }, set: (step) => setClock(server, database, step) };
}
