import t from 'tap';
import { revocationStoreContract } from '../../contract/revocation-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

revocationStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
