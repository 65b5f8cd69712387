import t from 'tap';
import { usageStoreContract } from '../../contract/usage-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

usageStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
