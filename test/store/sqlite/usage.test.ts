import t from 'tap';
import { usageStoreContract } from '../../contract/usage-store.ts';
import { SqliteDatabase } from './database.ts';

usageStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
