import t from 'tap';
import { topicStoreContract } from '../../contract/topic-store.ts';
import { startPostgres } from '../../support/postgres.ts';
import { PostgresDatabase } from './database.ts';

const server = await startPostgres(t);

topicStoreContract(t, 'PostgreSQL', () => PostgresDatabase.create(server));
