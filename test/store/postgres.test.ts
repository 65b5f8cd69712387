import t from 'tap';
import { storeContract } from '../contract/store.ts';
import { startPostgres } from '../support/postgres.ts';
import { PostgresDatabase } from './postgres-database.ts';

const server = await startPostgres(t);

storeContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
