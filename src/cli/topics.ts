import { Option, type Command } from 'commander';
import { TidingsError } from '../client/requests.ts';
import { printList, type Entry } from './lists.ts';
import { nothingThere } from './outcome.ts';
import { remote, requestsTo, wholeNumber, type RemoteOptions } from './remote.ts';

interface TopicsOptions extends RemoteOptions {
  readonly prefix?: string;
  readonly sort?: string;
  readonly limit?: number;
}

const COLUMNS = ['topic', 'streams', 'messages', 'bytes', 'newest', 'time'];

/** `tidings topics`. */
export function addTopicsCommand(program: Command): void {
  remote(program.command('topics')).description('Lists the topics that have messages or streams.')
    .option('--prefix <text>', 'only topics that begin with this text')
    .addOption(new Option('--sort <order>', 'their order').choices(['name', 'newest', 'rate']))
    .option('--limit <number>', 'the most topics to list', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .addHelpText('after', '\nExample:\n  $ tidings topics --prefix deploys. --sort newest --limit 20\n')
    .action(async ({ prefix, sort, limit, ...options }: TopicsOptions) => {
      try {
        await printList(requestsTo(options), { path: '/topics', query: { prefix, sort }, member: 'topics', columns: sort === 'rate' ? [...COLUMNS, 'rate'] : COLUMNS, shown: withMore, limit, json: options.json === true });
      } catch (error) {
        if (error instanceof TidingsError && (error.status === 404 || error.status === 405)) throw nothingThere('list of topics (GET /topics)', error);
        throw error;
      }
    });
}

/** The service counts messages up to a bound, and sets `more` beyond it: the table shows `100+`. */
function withMore(entry: Entry): Entry {
  return entry['more'] === true ? { ...entry, messages: `${String(entry['messages'])}+` } : entry;
}
