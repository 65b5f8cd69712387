import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { NO_LOG, type KeyStoreOptions, type OpenedKeyStore } from '../contracts/key-store.ts';
import { StoreError } from '../store.ts';
import { ApiKeys, KEY_READS, type KeyCallTable } from './records/api-keys.ts';
import { connect, disconnect, monotonic, readTransaction, writeTransaction, type SqliteConnection } from './files/connection.ts';
import { toStoreError } from './files/errors.ts';
import { SqliteKeyStore, type CallKeys } from './records/key-store.ts';
import { LogStateQuery } from './files/log-state.ts';
import { appliedMigrations, applyMigrations, makeFolder, refuseForeign } from './files/migrate.ts';

/** How long one call waits for another process to release the database. */
const CALL_WAIT_MS = 5_000;

/**
 * The keys of a database file, beside instances or before the first of them, without beginning an epoch. Like an instance it makes the file where it is
 * missing, and its folder, unless it may not, and brings the schema up to date. Every call blocks the thread: for the command line. Rejects with a `StoreError`.
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

function callsOn(sqliteConnection: SqliteConnection): CallKeys {
  const { db } = sqliteConnection;
  const logState = new LogStateQuery({ db });
  const apiKeys: KeyCallTable = new ApiKeys({ db, logState });
  return async (name, argument) => {
    const transaction = KEY_READS.has(name) ? readTransaction : writeTransaction;
    try {
      return transaction(sqliteConnection, deadline(), () => {
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
