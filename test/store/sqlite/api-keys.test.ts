import t from 'tap';
import { keyStoreContract, keyStoreLife } from '../../contract/key-store.ts';
import { SqliteDatabase } from './database.ts';

keyStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
keyStoreLife(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
