import Database from 'better-sqlite3';
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { PresenceQuestions } from './questions.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './protocol.ts';
import { PresenceTables } from './tables.ts';

/** The thread that may wait: for SQLite's lock, and for the disk. One job after the other, in the order they came. */

/** How long a job waits for another process that writes. */
const BUSY_MS = 1_000;

/** How long the write-ahead log becomes before it is copied into the file: only then the disk is waited for. 4 KiB each. */
const PRESENCE_CHECKPOINT_PAGES = 2_000;

const FILE_MODE = 0o600;

interface Open {
  readonly db: Database.Database;
  /** By which a file that was removed or exchanged is known. */
  readonly inode: bigint;
  readonly tables: PresenceTables;
  readonly questions: PresenceQuestions;
}

const port = parentPort!;
const { file } = workerData as WorkerData;
let open: Open | undefined;

const jobs: { readonly [Name in Call]: (open: Open, argument: Calls[Name]['argument']) => Calls[Name]['value'] } = {
  begin: ({ tables }, argument) => tables.begin(argument),
  write: ({ tables }, argument) => tables.write(argument),
  activate: ({ tables }, argument) => tables.activate(argument),
  look: ({ tables }, argument) => tables.look(argument),
  sweep: ({ tables }, argument) => tables.sweep(argument),
  end: ({ tables }, argument) => tables.end(argument),
  page: ({ questions }, argument) => questions.page(argument),
  counts: ({ questions }, argument) => questions.counts(argument),
  topicsOf: ({ questions }, argument) => questions.topicsOf(argument),
  changes: ({ questions }, argument) => questions.changes(argument),
};

function inodeOf(): bigint | undefined {
  return statSync(file, { bigint: true, throwIfNoEntry: false })?.ino;
}

/** The file, opened again where somebody has removed it. */
function use(name: Call): Open {
  if (open !== undefined && inodeOf() !== open.inode) close();
  if (open !== undefined) return open;
  // Only a process that begins may find no lease: the others would write under a missing one.
  if (name !== 'begin') throw new Error(`${file} was removed, or could not be used before`);
  closeSync(openSync(file, 'a', FILE_MODE));
  const db = new Database(file, { timeout: BUSY_MS });
  try {
    db.pragma('journal_mode = WAL');
    // A power cut may take the last writes, as it takes the processes: none of them has to survive.
    db.pragma('synchronous = NORMAL');
    db.pragma(`wal_autocheckpoint = ${PRESENCE_CHECKPOINT_PAGES}`);
    const tables = new PresenceTables(db);
    const inode = inodeOf();
    if (inode === undefined) throw new Error(`${file} was removed`);
    open = { db, inode, tables, questions: new PresenceQuestions(db, tables) };
    return open;
  } finally {
    if (open === undefined) db.close();
  }
}

function close(): void {
  const { db } = open!;
  open = undefined;
  db.close();
}

/** By its names SQLite would find the damage again at every attempt. Nothing in it has to survive: all processes write everything again. */
function remove(): void {
  for (const name of ['', '-wal', '-shm']) rmSync(`${file}${name}`, { force: true });
}

function isDamage(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(?:CORRUPT|NOTADB)/.test(error.code);
}

function perform<Name extends Call>(id: number, name: Name, argument: Calls[Name]['argument']): Reply {
  try {
    return { id, value: jobs[name](use(name), argument) };
  } catch (error) {
    // A fault of this file or connection may not be one of the next; if it is, it shows again.
    if (open !== undefined) close();
    if (isDamage(error)) remove();
    return { id, failure: error instanceof Error ? error.message : String(error) };
  }
}

port.on('message', (job: Job | undefined) => {
  if (job !== undefined) port.postMessage(perform(job.id, job.name, job.argument));
  else {
    if (open !== undefined) close();
    port.close();
  }
});
