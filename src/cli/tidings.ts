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
 * `tidings …`: commands that ask a running service, and commands that go to its database, beside running instances or before the first one.
 * @param start Runs the service in this process.
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
    // Short: a whole help would push the reason out of sight.
    .showHelpAfterError('--help says how to write it.')
    .exitOverride((error) => {
      // As the other commands do: 2 where an option is wrong, 0 for help.
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
