import { onPostgres } from './behaviour.ts';

/**
 * What the store decides: numbers for times and ids, what pages and keys hold, what expires. What is settled before a message reaches the store, or
 * after it has left it, is the same on every store: among it what streams are written, how long polls wait, and what operators see.
 */
await onPostgres(['cursors', 'history', 'keys', 'publish', 'quota'].map((name) => `wire/${name}.test.ts`));
