import { onPostgres } from './behaviour.ts';

/** What the log has a part in. What is settled before a message reaches it, or after it has left it, is the same on every store. */
await onPostgres(['cursors', 'history', 'keys', 'operations', 'poll', 'publish', 'stream'].map((name) => `wire/${name}.test.ts`));
