import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { tempFolder, type Scope } from './temp.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The sources of the program in a folder of their own, without packages. */
export function copySources(scope: Scope): string {
  const folder = tempFolder(scope);
  for (const part of ['src', 'migrations', 'package.json']) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  return folder;
}

/** A copy of the program that runs. */
export function copyProgram(scope: Scope): string {
  const folder = copySources(scope);
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** The program as it was before a file of it was added, with the packages of today; undefined where the folder has no such history, as one that was downloaded. */
export function versionBefore(scope: Scope, file: string): string | undefined {
  const git = (...args: readonly string[]): Buffer => execFileSync('git', args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: ARCHIVE_MAX_BYTES });
  let archive: Buffer;
  try {
    const added = git('log', '--diff-filter=A', '--format=%H', '--', file).toString().trim().split('\n').at(-1)!;
    archive = git('archive', '--format=tar', `${added}^`, 'src', 'migrations', 'package.json');
  } catch {
    return undefined;
  }
  const folder = tempFolder(scope);
  execFileSync('tar', ['-x', '-C', folder], { input: archive });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

/** Of the sources of one version. */
const ARCHIVE_MAX_BYTES = 64 * 1024 * 1024;

/** Replaces a text of a file of src, which must be there. */
export function replaceIn(folder: string, file: string, from: string, to: string): void {
  const path = join(folder, 'src', file);
  const text = readFileSync(path, 'utf8');
  if (!text.includes(from)) throw new Error(`${file} has no ${JSON.stringify(from)} any more`);
  writeFileSync(path, text.replace(from, to));
}

/** The index that the next version makes beside the traffic. */
export const NEXT_INDEX = 'messages_next';

export interface NextVersionOptions {
  /** The highest level that it understands; the present version's if absent. */
  readonly level?: number;
  /** Whether older programs may use its schema; by default they may. */
  readonly isCompatible?: boolean;
}

/** The program as it may be after the next change of its schema: a column and, on PostgreSQL, an index more. */
export function nextVersion(scope: Scope, { level, isCompatible = true }: NextVersionOptions = {}): string {
  const folder = copyProgram(scope);
  addMigration(folder, 'sqlite', 'next', 'ALTER TABLE `messages` ADD `note` text;', isCompatible);
  addMigration(folder, 'postgres', 'next', 'ALTER TABLE "tidings"."messages" ADD COLUMN "note" text;', isCompatible);
  addMigration(folder, 'postgres', 'next_index', `CREATE INDEX CONCURRENTLY "${NEXT_INDEX}" ON "tidings"."messages" USING btree ("time");`, isCompatible);
  if (level !== undefined) replaceIn(folder, 'store/level.ts', `UNDERSTOOD_LEVEL = ${UNDERSTOOD_LEVEL};`, `UNDERSTOOD_LEVEL = ${level};`);
  return folder;
}

interface Journal {
  readonly entries: { idx: number; version: string; when: number; tag: string; breakpoints: boolean }[];
}

function addMigration(folder: string, kind: 'sqlite' | 'postgres', name: string, statement: string, isCompatible: boolean): void {
  const place = join(folder, 'migrations', kind);
  const path = join(place, 'meta/_journal.json');
  const journal = JSON.parse(readFileSync(path, 'utf8')) as Journal;
  const last = journal.entries.at(-1)!;
  const tag = `${String(last.idx + 1).padStart(4, '0')}_${name}`;
  // The last one before this version's first: what the present program knows.
  const known = journal.entries.findLast((entry) => !entry.tag.includes('_next'))!.tag;
  journal.entries.push({ ...last, idx: last.idx + 1, when: last.when + 1, tag });
  writeFileSync(path, JSON.stringify(journal));
  writeFileSync(join(place, `${tag}.sql`), `${isCompatible ? `-- compatible: ${known}\n` : ''}${statement}`);
}
