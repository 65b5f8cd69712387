import t from 'tap';
import { floods } from '../../contract/store-flood.ts';
import { storeContract } from '../../contract/store.ts';
import { SqliteDatabase } from './database.ts';

storeContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
floods(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
