/**
 * A process of its own with the database: `node child.ts <what> <file> [<target>]`. It prints one line for each thing that
 * it did. Without tap's NODE_OPTIONS, which would slow its start.
 */
import { copyFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { pino } from 'pino';
import { openKeyStore } from '../../../src/store/sqlite/open-key-store.ts';
import { SqliteStore } from '../../../src/store/sqlite/sqlite.ts';
import { StoreError, type AppendRequest } from '../../../src/store/store.ts';
import { newKey } from '../../contract/key-store-kit.ts';
import { draft, request } from '../../contract/store-kit.ts';

const [what, file, target] = process.argv.slice(2) as [string, string, string | undefined];
const store = new SqliteStore({ file, logger: pino({ level: 'silent' }) });

function say(...words: unknown[]): void {
  process.stdout.write(`${words.join(' ')}\n`);
}

/** Appends, and says what became of it: `stored <first> <name>`, or the kind of the error. */
async function attempt(name: string, requests: readonly AppendRequest[]): Promise<string> {
  try {
    const { outcomes: [outcome] } = await store.append(requests);
    say('stored', outcome?.kind === 'stored' && outcome.first, name);
    return 'stored';
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    say(error.kind, 0, name, `(${error.message})`);
    return error.kind;
  }
}

/** Appends one request of so many messages. */
function append(name: string, messages: number): Promise<string> {
  return attempt(name, [request(...Array.from({ length: messages }, (_, index) => draft('child', `${name}.${index}`)))]);
}

const programs: Record<string, () => Promise<void>> = {
  /** Opens, appends one message, and ends by itself. */
  async once() {
    await store.open();
    await append(`once ${process.pid}`, 1);
    await store.close();
  },

  /** Appends until it is killed. */
  async forever() {
    await store.open();
    for (let round = 0; ; round++) await append(`${process.pid}.${round}`, 1 + (round % 5));
  },

  /** Appends one request each time that SIGUSR2 comes, until it is killed. */
  async atSignals() {
    await store.open();
    // So that both threads have a connection, as in a service.
    await store.state();
    let round = 0;
    process.on('SIGUSR2', () => void append(String(round++), 100));
    setInterval(() => undefined, 1_000);
  },

  /** Appends until that has failed, and then has worked again ten times in a row. */
  async untilItFailed() {
    await store.open();
    let failed = false;
    let worked = 0;
    for (let round = 0; !failed || worked < 10; round++) {
      const stored = await append(`${process.pid}.${round}`, 10) === 'stored';
      failed ||= !stored;
      worked = stored ? worked + 1 : 0;
    }
    await store.close();
  },

  /** Makes a hundred empty appends. */
  async nothing() {
    await store.open();
    for (let round = 0; round < 100; round++) await attempt(String(round), []);
    await store.close();
  },

  /** Appends three requests at a time until one has failed; says so, and goes on until that works again. */
  async untilItHangs() {
    await store.open();
    for (let round = 0, failed = false; !failed; round++) {
      const ends = await Promise.all([0, 1, 2].map((index) => append(`${round}.${index}`, 1)));
      failed = ends.some((end) => end !== 'stored');
    }
    await append('meanwhile', 1);
    say('hangs');
    while (await append('again', 1) !== 'stored') await sleep(20);
    await store.close();
  },

  /** Appends until the disk is full; then removes `filler` from it, goes on until that works, and copies the database away. */
  async untilItIsFull() {
    await store.open();
    for (let round = 0; await append(`${process.pid}.${round}`, 1_000) === 'stored'; round++);
    rmSync(join(dirname(file), 'filler'));
    while (await append('again', 1) !== 'stored');
    await store.close();
    copyFileSync(file, target!);
  },

  /** Tries to open, and says how that went. */
  async open() {
    try {
      await store.open();
      say('opened');
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      say('open:', error.kind, error.message);
    }
    await store.close();
  },

  /** Makes a hundred keys as a command does, and then waits to be killed. */
  async createKeys() {
    say('opens');
    const keys = await openKeyStore(file);
    for (let number = 1; number <= 100; number++) await keys.createKey(newKey(`${target}${number}`));
    say('created 100');
    setInterval(() => undefined, 1_000);
    await new Promise(() => undefined);
  },

  /** Holds the write lock until SIGUSR2 comes. */
  async lock() {
    const db = new Database(file);
    db.exec('BEGIN IMMEDIATE');
    process.once('SIGUSR2', () => {
      db.exec('COMMIT');
      db.close();
      clearInterval(alive);
      say('released');
    });
    const alive = setInterval(() => undefined, 1_000);
    say('locked');
  },
};

await programs[what]!();
say('done');
