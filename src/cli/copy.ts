import type { Command } from 'commander';
import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import { readDatabaseUrl, type DatabaseLocation } from '../config/database-url.ts';
import { WrongValue } from '../config/setting-kinds.ts';
import { copyLog, type Copied } from '../store/log-copy.ts';
import { StoreError } from '../store/store.ts';
import { CommandProgress } from './copy-progress.ts';
import { wrongUsage } from './outcome.ts';

interface CopyFlags {
  readonly from: DatabaseLocation;
  readonly to?: DatabaseLocation;
  readonly final?: true;
  readonly json?: true;
}

const EXAMPLES = `
While the service runs, as often as you like; each pass copies what the one before did not:
  $ tidings copy --from file:data/tidings.db --to postgres://tidings@127.0.0.1/tidings
Then stop the service, and let the log move. From here on the SQLite log is closed:
  $ tidings copy --from file:data/tidings.db --to postgres://tidings@127.0.0.1/tidings --final
Without --to it copies to DATABASE_URL, so that no password stands in the list of processes. A copy that was interrupted goes on where it was.
`;

/** `tidings copy`: copies a SQLite log to PostgreSQL, by store/log-copy.ts. */
export function addCopyCommand(program: Command): void {
  program.command('copy').description('Copies a SQLite log to an empty PostgreSQL database, as the same log: streams go on from their last id.')
    .requiredOption('--from <url>', 'the SQLite log, in the form of DATABASE_URL: file:<path>', location('--from', 'sqlite', 'file:<path>'))
    .option('--to <url>', 'the PostgreSQL database: postgres://user:password@host:port/database; DATABASE_URL without it', location('--to', 'postgres', 'postgres://user:password@host:port/database'))
    .option('--final', 'the last pass: copies the rest, checks everything, closes the SQLite log and opens the copy')
    .option('--json', 'prints the outcome as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async ({ from, to = targetOfSettings(), final, json }: CopyFlags) => {
      if (from.kind !== 'sqlite' || to?.kind !== 'postgres') return fail('--to: name a PostgreSQL database, or set DATABASE_URL to one', 2);
      try {
        const copied = await copy(from.file, to.url, final === true);
        process.stdout.write(`${json === true ? JSON.stringify(copied) : describe(copied, to.shown, resolve(from.file))}\n`);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        fail(error.message, 1);
      }
    });
}

/** Throws its own error for a wrong value: Commander's would show the value, which may have a password. */
function location(option: string, kind: DatabaseLocation['kind'], form: string): (text: string) => DatabaseLocation {
  return (text) => {
    try {
      const read = readDatabaseUrl(text);
      if (read.kind === kind) return read;
    } catch (error) {
      if (!(error instanceof WrongValue)) throw error;
    }
    throw wrongUsage(`${option}: it must be ${form}`);
  };
}

function targetOfSettings(): DatabaseLocation {
  return configure().DATABASE_URL;
}

/** Loads the drivers only here, so that other commands start without them. */
async function copy(file: string, url: string, isFinal: boolean): Promise<Copied> {
  const { SqliteCopySource } = await import('../store/sqlite/copy-source.ts');
  const { PostgresCopyTarget } = await import('../store/postgres/copy-target.ts');
  const source = openSource(() => new SqliteCopySource(file));
  const target = new PostgresCopyTarget(url);
  const progress = new CommandProgress();
  try {
    return await copyLog({ source, target, isFinal, progress });
  } finally {
    progress.stop();
    source.close();
    await target.close();
  }
}

function openSource<Source>(open: () => Source): Source {
  try {
    return open();
  } catch (error) {
    throw error instanceof StoreError ? new StoreError(error.kind, `--from: ${error.message}`, error) : error;
  }
}

function describe({ outcome, logId, oldest, head, messages, replaced, keys }: Copied, shown: string, file: string): string {
  const log = `the log ${logId} (messages ${oldest} to ${head})`;
  if (outcome === 'before') return `${log} is in ${shown} already, and open there: set DATABASE_URL to it`;
  const done = `${messages} messages and ${keys} idempotency keys were copied${replaced === 0 ? '' : `, ${replaced} of the messages again`}`;
  if (outcome === 'pass') return `${shown}: ${done}. The copy stays closed to instances: repeat the command, the last time with --final`;
  return `${log} has moved to ${shown}; ${done}, and all that both hold was compared. Set DATABASE_URL to it. ${file} is closed: no instance opens it any more`;
}

function fail(sentence: string, code: number): void {
  process.stderr.write(`${sentence}\n`);
  process.exitCode = code;
}
