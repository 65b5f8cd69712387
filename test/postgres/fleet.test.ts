import { onPostgres } from './behaviour.ts';

/** Several instances on one log, and such that are killed while they publish. Under load, with streams that are cut, they are in test/chaos, on both stores. */
await onPostgres([...['expired', 'keys', 'kill', 'webhooks'].map((name) => `fleet/${name}.test.ts`), 'workers/killed.test.ts']);
