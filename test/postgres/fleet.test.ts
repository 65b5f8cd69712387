import { onPostgres } from './behaviour.ts';

/** Several instances on one log. */
await onPostgres(['expired', 'keys'].map((name) => `fleet/${name}.test.ts`));
