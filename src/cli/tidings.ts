import { Command } from 'commander';
import { addDoctorCommand } from './doctor/command.ts';
import { addKeysCommands } from './keys.ts';

/** `npx tidings …`: commands for the database of the log, beside running instances or before the first one, and `doctor`, which asks a service as its clients do. */

const program = new Command('tidings')
  .description('Works on the database that DATABASE_URL names, as the service would, while instances may run; or looks at a service as its clients do.')
  .showHelpAfterError()
  .exitOverride((error) => {
    // As the other commands do: 2 where an option is wrong, 0 for help.
    process.exit(error.exitCode === 0 ? 0 : 2);
  });
addKeysCommands(program);
addDoctorCommand(program);

await program.parseAsync();
