import { Command } from 'commander';
import { addAccessCommand } from './access.ts';
import { addBackupCommand } from './backup.ts';
import { addCompletionCommand } from './completion.ts';
import { addConnectorsCommands } from './connectors.ts';
import { addCopyCommand } from './copy.ts';
import { addDoctorCommand } from './doctor/command.ts';
import { addInstancesCommands } from './instances.ts';
import { addKeysCommands } from './keys.ts';
import { addMigrateCommand } from './migrate.ts';
import { report, USAGE_EXIT_CODE } from './outcome.ts';
import { addPresenceCommand } from './presence.ts';
import { addPublishCommand } from './publish.ts';
import { version } from './remote.ts';
import { addServeCommand } from './serve.ts';
import { addStreamsCommands } from './streams.ts';
import { addSubscribeCommand } from './subscribe.ts';
import { addTopicsCommand } from './topics.ts';
import { addWebhooksCommands } from './webhooks.ts';

/**
 * This room is the command line: `tidings` (this file) and the scripts of npm. Arguments and the environment come in; text and an exit code (outcome.ts) go out.
 *
 * Each command is one file, named after it. There are two kinds:
 * - Commands that ask a running service: they begin with `remote` (remote.ts), and use the client library. Read publish.ts, then subscribe.ts with follow.ts and hand-out.ts.
 * - Commands that open the database, with or without running instances: they read the settings, and name a store, as main.ts does. Read keys.ts.
 */

/**
 * Runs `tidings …`.
 * @param start Runs the service in this process, for `tidings serve`.
 */
export async function run(start: () => Promise<unknown>): Promise<void> {
  try {
    await makeProgram(start).parseAsync();
  } catch (error) {
    process.exitCode = report(error);
  }
}

export function makeProgram(start: () => Promise<unknown>): Command {
  const program = new Command('tidings')
    .description('Runs the service, asks a running one, and works on its database. docs/cli.md tells more.')
    .version(version, '--version', 'prints the version')
    // A hint instead of the whole help, which would push the error out of sight.
    .showHelpAfterError('--help says how to write it.')
    .exitOverride((error) => {
      // Commander ends with 1 for a wrong option; all other errors of usage end with 2.
      process.exit(error.exitCode === 0 ? 0 : USAGE_EXIT_CODE);
    });
  addServeCommand(program, start);
  addMigrateCommand(program);
  addPublishCommand(program);
  addSubscribeCommand(program);
  addTopicsCommand(program);
  addPresenceCommand(program);
  addStreamsCommands(program);
  addInstancesCommands(program);
  addWebhooksCommands(program);
  addConnectorsCommands(program);
  addKeysCommands(program);
  addAccessCommand(program);
  addCopyCommand(program);
  addBackupCommand(program);
  addDoctorCommand(program);
  addCompletionCommand(program);
  return program;
}
