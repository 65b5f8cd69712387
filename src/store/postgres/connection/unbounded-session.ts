import { toStoreError } from './errors.ts';
import { connectionConfig } from './connection-pool.ts';
import { PgConnection, type Ask } from './connection.ts';

export interface UnboundedSessionOptions {
  readonly url: string;
  /** Ends the connection. The server may still finish its statement. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs work that may take hours, such as a vacuum, over a connection of its own without timeouts. Rejects with a `StoreError`. */
export async function inUnboundedSession<Result>({ url, signal }: UnboundedSessionOptions, work: (ask: Ask) => Promise<Result>): Promise<Result> {
  const pgConnection = new PgConnection({ ...connectionConfig(url), answerMs: Infinity });
  const cut = (): void => pgConnection.destroy();
  signal?.addEventListener('abort', cut);
  try {
    await pgConnection.connect();
    const ask: Ask = (text) => pgConnection.ask(text);
    // Remove the timeouts of the role or the database, if there are any. A pooler would keep these settings for other clients, so set only what differs.
    await ask("SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout') AND setting <> '0'");
    return await work(ask);
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  } finally {
    signal?.removeEventListener('abort', cut);
    pgConnection.destroy();
  }
}
