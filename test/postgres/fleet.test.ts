import { onPostgres } from './behaviour.ts';

/** Several instances on one log. */
await onPostgres(['expired', 'keys', 'kill', 'two-instances'].map((name) => `fleet/${name}.test.ts`));
