import t from 'tap';
import { revocationStoreContract } from '../../contract/revocation-store.ts';
import { SqliteDatabase } from './database.ts';

revocationStoreContract(t, 'SQLite', async (scope) => new SqliteDatabase(scope));
