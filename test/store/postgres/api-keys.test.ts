import t from 'tap';
import { keyStoreContract, keyStoreLife } from '../../contract/key-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

keyStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
keyStoreLife(t, 'PostgreSQL', () => PostgresDatabase.create(server));
