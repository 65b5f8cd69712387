import { Command } from 'commander';
import { addBackupCommand } from './backup.ts';
import { addCopyCommand } from './copy.ts';
import { addKeysCommands } from './keys.ts';

/** `npx tidings …`: what is done to the database of the log from the command line, beside running instances or before the first one. */

const program = new Command('tidings')
  .description('Works on the database that DATABASE_URL names, as the service would. Instances may run meanwhile.')
  .showHelpAfterError()
  .exitOverride((error) => {
    // As the other commands do: 2 where an option is wrong, 0 for help.
    process.exit(error.exitCode === 0 ? 0 : 2);
  });
addKeysCommands(program);
addCopyCommand(program);
addBackupCommand(program);

await program.parseAsync();
