import { onPostgres } from './behaviour.ts';

/** Streams that read the log: over what expired. */
await onPostgres(['expired'].map((name) => `stream/${name}.test.ts`));
