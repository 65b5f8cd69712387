import type { Command } from 'commander';
import { RETRY_MAX_SECONDS } from '../http/input/retry.ts';
import { wholeSecondsOr } from './durations.ts';
import { printList, type Entry } from './lists.ts';
import { print, printJson } from './output.ts';
import { remote, requestsTo, wholeNumber, type RemoteOptions } from './remote.ts';

interface StreamsOptions extends RemoteOptions {
  readonly topic?: string;
  readonly member?: string;
  readonly credential?: string;
  readonly instance?: string;
  readonly behind?: true;
  readonly limit?: number;
}

const COLUMNS = ['id', 'member', 'credential', 'topics', 'instance', 'opened', 'address', 'client', 'cursor', 'behind', 'bytes'];

/** `tidings streams`. */
export function addStreamsCommands(program: Command): void {
  const streams = program.command('streams').description('Lists the open streams of all instances, and closes them.')
    .addHelpText('after', '\nExample:\n  $ tidings streams list --topic deploys.api --behind\n');
  remote(streams.command('list', { isDefault: true })).description('Lists open streams.')
    .option('--topic <topic>', 'only streams that get its messages; for a pattern, only streams that name it')
    .option('--member <id>', 'only streams of this member, by its id in presence')
    .option('--credential <name>', 'only streams of this credential, such as "key 3k9f…" or "subject alice"')
    .option('--instance <id>', 'only streams of this instance')
    .option('--behind', 'only streams that are behind')
    .option('--limit <number>', 'the most streams to list', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .addHelpText('after', '\nExample:\n  $ tidings streams list --topic deploys.api --behind\n')
    .action(async ({ topic, member, credential, instance, behind, limit, ...options }: StreamsOptions) =>
      printList(requestsTo(options), { path: '/streams', query: { topic, member, credential, instance, behind: behind === true ? '1' : undefined }, member: 'streams', columns: COLUMNS, shown: withMoreTopics, limit, json: options.json === true }));
  remote(streams.command('close')).description('Closes a stream, on whichever instance it is. Its client comes back, unless it is told never to.')
    .argument('<id>', 'the id of the stream, as the list has it')
    .option('--retry <duration>', 'when its client comes back, such as 60s; or never', wholeSecondsOr('never', RETRY_MAX_SECONDS))
    .addHelpText('after', '\nExample:\n  $ tidings streams close k3f9x2ab7q-1c --retry 60s\n')
    .action(async (id: string, { retry: when, ...options }: RemoteOptions & { readonly retry?: string }) => {
      await requestsTo(options).send(`/streams/${encodeURIComponent(id)}${when === undefined ? '' : `?retry=${when}`}`, { method: 'DELETE', signal: new AbortController().signal });
      if (options.json === true) await printJson(JSON.stringify({ id, closed: true }));
      else await print(`${id} is closed`);
    });
}

/** Of a stream with very many topics the service names some, and counts the others (`moreTopics`). */
function withMoreTopics(entry: Entry): Entry {
  const { topics, moreTopics } = entry;
  return Array.isArray(topics) && typeof moreTopics === 'number' ? { ...entry, topics: [...topics as readonly unknown[], `(${moreTopics} more)`] } : entry;
}
