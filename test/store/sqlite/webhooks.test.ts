import t from 'tap';
import { webhookStoreContract } from '../../contract/webhook-store.ts';
import { SqliteDatabase } from './database.ts';

webhookStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
