import { onPostgres } from './behaviour.ts';

/** Streams that read the log: over what expired or was deleted, in the middle of it too, and while it grows. */
await onPostgres(['expired', 'gaps', 'overtaken', 'seam'].map((name) => `stream/${name}.test.ts`));
