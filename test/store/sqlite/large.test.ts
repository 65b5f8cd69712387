import t from 'tap';
import { largeLog } from '../../contract/store-large.ts';
import { rounds } from '../../support/rounds.ts';
import { SqliteDatabase } from './database.ts';

largeLog(t, 'SQLite', async (scope) => new SqliteDatabase(scope), rounds(50_000, 1_000_000));
