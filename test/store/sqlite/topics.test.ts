import t from 'tap';
import { topicStoreContract } from '../../contract/topic-store.ts';
import { SqliteDatabase } from './database.ts';

topicStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
