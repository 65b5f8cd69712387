import { createRequire } from 'node:module';
import type * as Core from 'drizzle-orm';
import type * as Migrator from 'drizzle-orm/migrator';
import type * as Postgres from 'drizzle-orm/pg-core';

/** drizzle for PostgreSQL, in its CommonJS form, for the reason that drizzle.ts gives. */
const load = createRequire(import.meta.url);

export const { sql } = load('drizzle-orm') as typeof Core;
export const { readMigrationFiles } = load('drizzle-orm/migrator') as typeof Migrator;
export const { bigint, boolean, customType, index, integer, pgSchema, primaryKey, smallint, text } = load('drizzle-orm/pg-core') as typeof Postgres;
