import { onPostgres } from './behaviour.ts';

/** Instances that are killed while they publish. */
await onPostgres(['fleet/kill.test.ts']);
