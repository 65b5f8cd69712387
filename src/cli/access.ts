import { Argument, type Command } from 'commander';
import { TidingsError } from '../client/requests.ts';
import { ACTION_NAMES } from '../http/admission/entitlement.ts';
import { keyId } from './keys.ts';
import { answerIn, NOT_ALLOWED_EXIT_CODE, nothingThere, say } from './outcome.ts';
import { cell, print, printJson, printTable } from './output.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';

interface AccessOptions extends RemoteOptions {
  readonly key?: string;
}

/** The action `read` of the API is `subscribe` in keys and in `tidings`. The command takes both names. */
const ACTIONS: readonly string[] = ['publish', 'subscribe', ...ACTION_NAMES.filter((name) => name !== 'publish')];

/** The answer about one action has `allowed`. Without an action, it has a member for each grant instead. */
interface Answer {
  readonly allowed?: boolean;
  readonly code?: string;
  readonly detail?: string;
  readonly [name: string]: unknown;
}

/** `tidings access`. */
export function addAccessCommand(program: Command): void {
  remote(program.command('access')).description('Shows what the credential, or a key, may do; with an action, whether that is allowed.')
    .addArgument(new Argument('[action]', 'the action to check').choices(ACTIONS))
    .argument('[topic]', 'the topic of the action; to subscribe or to see who listens, also a pattern')
    .option('--key <id>', 'asks about this key: the part between the two underscores. It takes a credential that may administer', keyId)
    .addHelpText('after', `
Examples:
  $ tidings access
  $ tidings access subscribe deploys.api --key 3k9f2m7q1x8d
It prints yes and ends with 0, or prints no and ends with ${NOT_ALLOWED_EXIT_CODE}; standard error has the reason.
`)
    .action(async (action: string | undefined, topic: string | undefined, { key, ...options }: AccessOptions) => {
      const query = new URLSearchParams(Object.entries({ action: action === 'subscribe' ? 'read' : action, topic }).filter((entry): entry is [string, string] => entry[1] !== undefined));
      const text = await ask(options, `${key === undefined ? '/access' : `/keys/${key}/access`}?${query.toString()}`);
      const answer = answerIn<Answer>(text);
      if (options.json === true) await printJson(text);
      else if (answer.allowed === undefined) await printTable(undefined, Object.entries(answer).map(([name, value]) => [cell(name), typeof value === 'boolean' ? yesOrNo(value) : cell(value)]));
      else await print(yesOrNo(answer.allowed));
      if (answer.allowed !== false) return;
      process.exitCode = NOT_ALLOWED_EXIT_CODE;
      if (options.json !== true) say(`${cell(answer.detail)} (${cell(answer.code)})`);
    });
}

async function ask(options: RemoteOptions, path: string): Promise<string> {
  try {
    const answer = await requestsTo(options).send(path, { signal: new AbortController().signal });
    return await answer.text();
  } catch (error) {
    if (error instanceof TidingsError && error.status === 404 && error.field !== 'id') throw nothingThere(`GET ${path.split('?', 1)[0]!}`, error);
    throw error;
  }
}

function yesOrNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
