import { defineConfig } from 'drizzle-kit';

/**
 * `npx drizzle-kit generate --config drizzle.postgres.config.ts` writes the next migration; the store applies them. With `--custom` it
 * writes an empty one, for functions.
 */
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/store/postgres/schema.ts',
  out: './migrations/postgres',
});
