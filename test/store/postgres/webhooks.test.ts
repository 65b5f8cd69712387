import t from 'tap';
import { webhookStoreContract } from '../../contract/webhook-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

webhookStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
