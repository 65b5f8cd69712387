import { onPostgres } from './behaviour.ts';

/** Two versions on one log. In a file of its own, because its tests run side by side. */
await onPostgres(['fleet/rolling.test.ts']);
