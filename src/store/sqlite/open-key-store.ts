import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { NO_LOG, type KeyStoreOptions, type OpenedKeyStore } from '../contracts/key-store.ts';
import { StoreError } from '../store.ts';
import { ApiKeys, KEY_EFFECTS, type KeyCalls } from './records/api-keys.ts';
import { connect, disconnect, monotonic, readTransaction, writeTransaction, type SqliteConnection } from './files/connection.ts';
import { toStoreError } from './files/errors.ts';
import { SqliteKeyStore } from './records/key-store.ts';
import type { CallTable, PerformCall } from './records/side-call.ts';
import { LogStateQuery } from './files/log-state.ts';
import { appliedMigrations, applyMigrations, makeFolder, refuseForeign } from './files/migrate.ts';

/** How long one call waits for another process to release the database. */
const CALL_WAIT_MS = 5_000;

/**
 * Opens the API keys of a database file for a command. Instances may use the file at the same time. It begins no epoch. Like an instance it makes the file
 * and its folder if they are missing (unless `isMaking` is false), and applies missing migrations. Every call blocks the thread. Rejects with a `StoreError`.
 */
export async function openKeyStore(file: string, { isMaking = true }: KeyStoreOptions = {}): Promise<OpenedKeyStore> {
  try {
    if (isMaking) makeFolder(file);
    else if (!existsSync(file)) throw new StoreError('unavailable', 'there is no such file');
    const sqliteConnection = connect(resolve(file), deadline(), { inspect: refuseForeign });
    try {
      const isNew = writeTransaction(sqliteConnection, deadline(), () => {
        const hasNone = appliedMigrations(sqliteConnection.db).length === 0;
        if (hasNone && !isMaking) throw new StoreError('unavailable', NO_LOG);
        applyMigrations(sqliteConnection.db);
        return hasNone;
      });
      return Object.assign(new SqliteKeyStore(callsOn(sqliteConnection)), { isNew, close: async () => disconnect(sqliteConnection) });
    } catch (error) {
      disconnect(sqliteConnection);
      throw error;
    }
  } catch (error) {
    throw toStoreError(error, 'unavailable');
  }
}

/** Performs calls in this thread. */
function callsOn(sqliteConnection: SqliteConnection): PerformCall<KeyCalls> {
  const { db } = sqliteConnection;
  const logState = new LogStateQuery({ db });
  const apiKeys: CallTable<KeyCalls> = new ApiKeys({ db, logState });
  return async (name, argument) => {
    const transaction = KEY_EFFECTS[name] === 'read' ? readTransaction : writeTransaction;
    try {
      return transaction(sqliteConnection, deadline(), () => {
        // Throws if this program does not understand the log.
        if (logState.logId() !== undefined) logState.row();
        return apiKeys[name](argument);
      });
    } catch (error) {
      throw toStoreError(error, 'unavailable');
    }
  };
}

function deadline(): number {
  return monotonic() + CALL_WAIT_MS;
}
