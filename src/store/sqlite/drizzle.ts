import { createRequire } from 'node:module';
import type * as Core from 'drizzle-orm';
import type * as Driver from 'drizzle-orm/better-sqlite3';
import type * as Sqlite from 'drizzle-orm/sqlite-core';

/**
 * drizzle in its CommonJS form. For ES modules, Node 24 reads drizzle's large package.json again for each of hundreds of files: half a second of CPU at each boot.
 */
const load = createRequire(import.meta.url);

export const { and, count, desc, eq, inArray, lt, lte, max, notInArray, or, sql } = load('drizzle-orm') as typeof Core;
export const { drizzle } = load('drizzle-orm/better-sqlite3') as typeof Driver;
export const { blob, index, integer, primaryKey, sqliteTable, text, uniqueIndex } = load('drizzle-orm/sqlite-core') as typeof Sqlite;
