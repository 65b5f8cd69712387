import { StoreError } from '../store.ts';
import { connectionConfig } from './connection-pool.ts';
import { PgConnection } from './connection.ts';
import { toStoreError } from './errors.ts';

/**
 * Vacuums the table of messages: what an erasure left of the rows, out of line too, is removed then, unless a transaction that is older can still see it. It runs beside the traffic
 * (https://www.postgresql.org/docs/current/sql-vacuum.html), over a connection of its own that waits without end, and reads only pages that have changed since the last time.
 *
 * @param signal Ends it.
 */
export async function vacuumMessages(url: string, signal: AbortSignal): Promise<void> {
  const pgConnection = new PgConnection({ ...connectionConfig(url), answerMs: Infinity });
  const cut = (): void => pgConnection.destroy();
  signal.addEventListener('abort', cut);
  try {
    await pgConnection.connect();
    const ask = (text: string): ReturnType<PgConnection['ask']> => pgConnection.ask(text);
    // What the role or the database is set to. A pooler would keep what is changed here, so nothing is where nothing needs to be.
    await ask("SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout') AND setting <> '0'");
    // Without the right the server would pass the table over, with no more than a warning.
    const [[mayVacuum] = []] = await ask("SELECT pg_has_role(relowner, 'USAGE') OR coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user), false) FROM pg_class WHERE oid = 'tidings.messages'::regclass");
    if (mayVacuum !== 't') throw new StoreError('unavailable', 'this user may not vacuum the table tidings.messages: only its owner may; until autovacuum does, the server keeps erased data on its disk');
    await ask('VACUUM tidings.messages');
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    signal.removeEventListener('abort', cut);
    pgConnection.destroy();
  }
}
