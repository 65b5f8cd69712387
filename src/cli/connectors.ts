import type { Command } from 'commander';
import { printWhole } from './lists.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';

const COLUMNS = ['name', 'kind', 'of', 'state', 'behind', 'owner', 'error', 'failed', 'deadTopic', 'place'];

/** `tidings connectors`. It only lists them, because the connectors' file declares them. */
export function addConnectorsCommands(program: Command): void {
  const connectors = program.command('connectors').description('Lists connectors: how each source and sink is, and how far behind. It takes the key of an administrator.')
    .addHelpText('after', '\nExample:\n  $ tidings connectors --json\n');
  remote(connectors.command('list', { isDefault: true })).description('Lists connectors.')
    .addHelpText('after', '\nExample:\n  $ tidings connectors list\n')
    .action(async (options: RemoteOptions) => printWhole(requestsTo(options), { path: '/connectors', member: 'connectors', columns: COLUMNS, json: options.json === true }));
}
