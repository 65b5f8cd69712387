import { onPostgres } from './behaviour.ts';

/** Instances that are killed and replaced under streams that are cut. */
await onPostgres(['fleet/two-instances.test.ts']);
