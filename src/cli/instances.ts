import type { Command } from 'commander';
import { printWhole } from './lists.ts';
import { print, printJson } from './output.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';

/** `tidings instances`. */
export function addInstancesCommands(program: Command): void {
  const instances = program.command('instances').description('Lists all instances and how they are, and ends one in order.')
    .addHelpText('after', '\nExample:\n  $ tidings instances --json\n');
  remote(instances.command('list', { isDefault: true })).description('Lists instances.')
    .addHelpText('after', '\nExample:\n  $ tidings instances list\n')
    .action(async (options: RemoteOptions) => printWhole(requestsTo(options), { path: '/instances', member: 'instances', json: options.json === true }));
  remote(instances.command('drain')).description('Ends an instance, as SIGTERM does: its streams go to the others. It takes the key of an administrator.')
    .argument('<id>', 'the id of the instance, as the list has it')
    .addHelpText('after', '\nExample:\n  $ tidings instances drain k3f9x2ab7q\n')
    .action(async (id: string, options: RemoteOptions) => {
      const answer = await requestsTo(options).send(`/instances/${encodeURIComponent(id)}/drain`, { method: 'POST', signal: new AbortController().signal });
      const source = await answer.text();
      if (options.json === true) await printJson(source.trim());
      else await print(`${id} drains`);
    });
}
