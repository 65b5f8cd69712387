import { onPostgres } from './behaviour.ts';

/** Streams that read the log: behind, at the seam, overtaken by retention, over what expired. */
await onPostgres(['expired', 'gaps', 'overtaken', 'reads', 'seam', 'slow-reader'].map((name) => `stream/${name}.test.ts`));
