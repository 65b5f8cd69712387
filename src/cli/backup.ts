import type { Command } from 'commander';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { configure } from '../config/config.ts';
import { StoreError } from '../store/store.ts';
import { onInterruption } from './interruption.ts';

const EXAMPLES = `
While the service runs and takes messages:
  $ tidings backup backup.db
To put it back, stop all instances, remove the log with its -wal and -shm, and move the backup into its place.
`;

/** `tidings backup`: copies a SQLite log while instances use it. */
export function addBackupCommand(program: Command): void {
  program.command('backup').description('Copies the SQLite log that DATABASE_URL names to a new file, while the service runs. For PostgreSQL use pg_dump.')
    .argument('<file>', 'the new file; it must not exist')
    .option('--json', 'prints a summary of the backup as one JSON object')
    .addHelpText('after', EXAMPLES)
    .action(async (to: string, { json }: { readonly json?: true }) => {
      const location = configure().DATABASE_URL;
      if (location.kind !== 'sqlite') {
        process.stderr.write(`DATABASE_URL: the log is in ${location.shown}; back it up with pg_dump -Fc (docs/operations.md)\n`);
        process.exitCode = 1;
        return;
      }
      const interruption = new AbortController();
      const listenNoMore = onInterruption((_code, signal) => {
        interruption.abort();
        // The listener is removed by now, so this signal ends the process at once, SQLite's thread included.
        process.kill(process.pid, signal);
      });
      try {
        const began = performance.now();
        const { backUp } = await import('../store/sqlite/backup.ts');
        const held = await backUp(location.file, to, interruption.signal);
        const bytes = statSync(held.file).size;
        const milliseconds = Math.round(performance.now() - began);
        process.stdout.write(json === true ? `${JSON.stringify({ ...held, bytes, milliseconds })}\n`
          : `${held.file}: ${held.messages} messages (${held.oldest} to ${held.head}), ${bytes} bytes, of the log in ${resolve(location.file)}; checked and on disk\n`);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        process.stderr.write(`${error.message}\n`);
        process.exitCode = 1;
      } finally {
        listenNoMore();
      }
    });
}
