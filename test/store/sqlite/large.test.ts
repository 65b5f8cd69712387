import t from 'tap';
import { largeLog } from '../../contract/store-large.ts';
import { SqliteDatabase } from './database.ts';

largeLog(t, 'SQLite', async (scope) => new SqliteDatabase(scope), 1_000_000);
