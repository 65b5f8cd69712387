import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import type { DatabaseLocation } from '../config/database-url.ts';
import { CLOCK_JUMP_MS } from '../store/believed-clock.ts';
import type { LogClocks, Restamped } from '../store/log-clock.ts';
import { StoreError } from '../store/store.ts';
import { readFlags } from './command-line.ts';

/**
 * `npm run clock` shows the clock that the log goes by, how far it is believed, and the newest message's time. With `-- --accept` it takes the clock for
 * right. Instances may run meanwhile.
 */
const USAGE = `npm run clock -- [options]: shows the clock that the log goes by, and what the log believes of it.

  --accept  takes the clock for right: it is believed at once, and messages and idempotency keys from beyond it get the time of now.
            Look at the clock first: by a wrong one, retention then deletes what only seems old.
  --help    prints this; so does -h

The -- before an option is needed: without it npm keeps the option for itself.
It ends with 0 when that was done, with 1 when the database could not be used, and with 2 when an option is wrong.
`;

/** The command that the advice names. Without the first `--`, npm would take the option for its own. */
const ACCEPT = 'npm run clock -- --accept';

/** Access to the clocks of one log. */
interface Clocks {
  read(): Promise<LogClocks>;
  accept(): Promise<Restamped>;
}

const { accept = false } = readFlags({ command: 'clock', usage: USAGE, flags: ['accept'] });
const database = configure().DATABASE_URL;
try {
  const clocks = await clocksOf(database);
  process.stdout.write(`${database.kind === 'sqlite' ? resolve(database.file) : database.shown}\n`);
  const before = await clocks.read();
  process.stdout.write(describe(before));
  if (!accept) process.stdout.write(advise(before));
  else {
    const { messages, keys } = await clocks.accept();
    process.stdout.write(`accepted: the clock is believed; ${counted(messages, 'message')} and ${counted(keys, 'idempotency key')} from beyond it got the present time\n`);
  }
} catch (error) {
  if (!(error instanceof StoreError)) throw error;
  process.stderr.write(`DATABASE_URL: ${error.message}\n`);
  process.exitCode = 1;
}

/** Loads only the driver of the database that is used. */
async function clocksOf(location: DatabaseLocation): Promise<Clocks> {
  if (location.kind === 'sqlite') {
    const { readClocks, acceptClock } = await import('../store/sqlite/log-clock.ts');
    return { read: () => readClocks(location.file), accept: () => acceptClock(location.file) };
  }
  const { readClocks, acceptClock } = await import('../store/postgres/log-clock.ts');
  return { read: () => readClocks(location.url), accept: () => acceptClock(location.url) };
}

function describe({ machine, believed, newest }: LogClocks): string {
  return `clock           ${shown(machine)}\nbelieved        ${shown(believed)}\nnewest message  ${newest === undefined ? 'none yet' : shown(newest)}\n`;
}

/** A line for each fault of the clock, with the command that mends it. */
function advise({ machine, believed, newest }: LogClocks): string {
  const lines: string[] = [];
  if (believed < machine) lines.push(`The clock is ${lasting(machine - believed)} ahead of the believed time: it jumped forward, or no instance ran for that long, or it was behind while messages were stored. If it is right: ${ACCEPT}`);
  if (newest !== undefined && newest - machine > CLOCK_JUMP_MS) lines.push(`The newest message is from ${lasting(newest - machine)} ahead of the clock. If the clock is right, ${ACCEPT} gives such messages the present time.`);
  return lines.map((line) => `${line}\n`).join('');
}

function shown(time: number): string {
  return new Date(time).toISOString();
}

/** A time span in hours, or in days from two days on. */
function lasting(milliseconds: number): string {
  const hours = milliseconds / 3_600_000;
  return hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
