import t from 'tap';
import { storeContract } from '../../contract/store.ts';
import { SqliteDatabase } from './database.ts';

storeContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
