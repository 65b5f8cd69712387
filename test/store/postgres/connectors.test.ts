import t from 'tap';
import { connectorStoreContract } from '../../contract/connector-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

connectorStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
