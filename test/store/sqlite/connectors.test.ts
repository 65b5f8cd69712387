import t from 'tap';
import { connectorStoreContract } from '../../contract/connector-store.ts';
import { SqliteDatabase } from './database.ts';

connectorStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
