import type { Command } from 'commander';
import { printWhole, sayPartial, type Page } from './lists.ts';
import { answerIn } from './outcome.ts';
import { print, printJson } from './output.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';

/** `tidings instances`. */
export function addInstancesCommands(program: Command): void {
  const instances = program.command('instances').description('Lists all instances and how they are, shares their streams out, and ends one in order.')
    .addHelpText('after', '\nExample:\n  $ tidings instances --json\n');
  remote(instances.command('list', { isDefault: true })).description('Lists instances.')
    .addHelpText('after', '\nExample:\n  $ tidings instances list\n')
    .action(async (options: RemoteOptions) => printWhole(requestsTo(options), { path: '/instances', member: 'instances', json: options.json === true }));
  remote(instances.command('rebalance')).description('Shares streams out evenly among all instances, now. It takes the key of an administrator.')
    .addHelpText('after', '\nExample:\n  $ tidings instances rebalance\n')
    .action(async (options: RemoteOptions) => {
      const answer = await requestsTo(options).send('/instances/rebalance', { method: 'POST', signal: new AbortController().signal });
      const source = await answer.text();
      const page = answerIn<Page & { readonly moving: number; readonly instances: readonly { readonly id: string; readonly streams: number; readonly moving: number }[] }>(source);
      if (options.json === true) await printJson(source.trim());
      else if (page.moving === 0) await print('streams are shared out evenly as they are');
      else for (const { id, streams, moving } of page.instances) if (moving > 0) await print(`${id} sends ${moving} of ${streams} streams away`);
      sayPartial(page);
    });
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
