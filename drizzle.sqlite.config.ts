import { defineConfig } from 'drizzle-kit';

/** `npx drizzle-kit generate --config drizzle.sqlite.config.ts` writes the next migration; the store applies them. */
export default defineConfig({
  dialect: 'sqlite',
  schema: './src/store/sqlite/files/schema.ts',
  out: './migrations/sqlite',
});
