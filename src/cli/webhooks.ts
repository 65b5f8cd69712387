import { InvalidArgumentError, Option, type Command } from 'commander';
import { readSecretFile } from '../config/secret-file.ts';
import { WrongValue } from '../config/setting-kinds.ts';
import { TidingsError } from '../client/requests.ts';
import { FORMATS } from '../webhooks/settings.ts';
import { OVERLAP_MAX_SECONDS } from '../webhooks/webhook-request.ts';
import { wholeSeconds } from './durations.ts';
import { printList, printWhole, type Entry } from './lists.ts';
import { answerIn, CommandError, nothingThere, say, wrongUsage } from './outcome.ts';
import { cell, print, printJson, printTable } from './output.ts';
import { remote, requestsTo, wholeNumber, type RemoteOptions } from './remote.ts';

/** The number of attempts that the service keeps of each webhook. */
const ATTEMPTS_MAX_ENTRIES = 100;

const COLUMNS = ['id', 'status', 'circuit', 'failures', 'behind', 'lastError', 'topics', 'url'];
const ATTEMPT_COLUMNS = ['number', 'time', 'status', 'error', 'milliseconds', 'delivery', 'answer'];
const FROM = 'the id of a message, a cursor, start, now, a duration back from now such as 10m, or a time of RFC 3339';

interface NewOptions extends RemoteOptions {
  readonly events?: readonly string[];
  readonly format?: string;
  readonly deadTopic?: string;
  readonly from?: string;
  readonly secretFile?: string;
}

interface ChangeOptions extends RemoteOptions {
  readonly to?: string;
  readonly topics?: readonly string[];
  /** false: every event. */
  readonly events?: readonly string[] | false;
  readonly format?: string;
  /** false: the default topic of the service. */
  readonly deadTopic?: string | false;
}

/** The members of an attempt that the commands show. */
interface Attempt {
  readonly time?: string;
  readonly status?: number;
  readonly error?: string;
  readonly milliseconds?: number;
  readonly answer?: string;
}

/** `tidings webhooks`: the webhooks of a running service. Only a secret goes to standard output; text for people goes to standard error. */
export function addWebhooksCommands(program: Command): void {
  const webhooks = program.command('webhooks').description('Makes, lists, changes and tests webhooks. They take the key of an administrator.')
    .addHelpText('after', example("create https://example.com/hook 'orders.*'"));

  remote(webhooks.command('list', { isDefault: true })).description('Lists webhooks: how each is, how far behind, and its last error.')
    .option('--limit <number>', 'the most webhooks to list', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .addHelpText('after', example('list --json'))
    .action(async ({ limit, json, ...options }: RemoteOptions & { readonly limit?: number }) =>
      printList(requestsTo(options), { path: '/webhooks', member: 'webhooks', columns: COLUMNS, shown: withLastError, after: ({ id }) => String(id), limit, json: json === true }));

  one('show', 'Shows a webhook, without its secret.').action(async (id: string, options: RemoteOptions) => showWebhook(options, await ask(options, pathOf(id))));

  withFormat(remote(webhooks.command('create')).description('Makes a webhook and prints its secret. It is shown this once.'))
    .argument('<url>', 'where deliveries go')
    .argument('<topics...>', 'topics and patterns')
    .option('--events <names...>', 'only these event names')
    .option('--dead-topic <topic>', 'where messages go that could not be delivered')
    .option('--from <place>', `where it begins: ${FROM} (default: now)`)
    .option('--secret-file <path>', 'a file that holds its secret; one is made without it')
    .addHelpText('after', example("create https://example.com/hook 'orders.*'"))
    .action(async (url: string, topics: string[], { events, format, deadTopic, from, secretFile, ...options }: NewOptions) =>
      showSecret(options, await ask(options, '/webhooks', { method: 'POST', body: { url, topics, events, format, deadTopic, from, secret: secretIn(secretFile) } })));

  withFormat(one('change', "Changes a webhook's receiver, topics, events, format or dead-letter topic. It goes on from its cursor.", "change k3f9x2ab7q1m4c8z --topics 'orders.*' 'refunds.*'"))
    .option('--to <url>', 'where deliveries go')
    .option('--topics <names...>', 'topics and patterns, instead of those before')
    .option('--events <names...>', 'only these event names')
    .option('--no-events', 'every event')
    .option('--dead-topic <topic>', 'where messages go that could not be delivered')
    .option('--no-dead-topic', 'the topic that the service gives it')
    .action(async (id: string, { to, topics, events, format, deadTopic, ...options }: ChangeOptions) => {
      const body = { url: to, topics, format, ...nullable('events', events), ...nullable('deadTopic', deadTopic) };
      if (Object.values(body).every((value) => value === undefined)) throw wrongUsage('There is nothing to change: say --to, --topics, --events, --format or --dead-topic.');
      await showWebhook(options, await ask(options, pathOf(id), { method: 'PATCH', body }));
    });

  one('pause', 'Stops a webhook. Its cursor stays.').action(async (id: string, options: RemoteOptions) => showDone(options, id, 'is paused', await ask(options, pathOf(id, 'pause'), { method: 'POST' })));
  one('resume', 'Starts a webhook that was paused or disabled, from its cursor.').action(async (id: string, options: RemoteOptions) => showDone(options, id, 'goes on', await ask(options, pathOf(id, 'resume'), { method: 'POST' })));
  one('delete', 'Deletes a webhook, with its attempts.').action(async (id: string, options: RemoteOptions) => {
    await ask(options, pathOf(id), { method: 'DELETE' });
    await showDone(options, id, 'is deleted', JSON.stringify({ id, deleted: true }));
  });

  one('test', 'Sends one test delivery now, which is no message of the log, and shows its outcome.').action(test);

  one('rotate', 'Gives a webhook a new secret and prints it. It is shown this once.', 'rotate k3f9x2ab7q1m4c8z --overlap 1h')
    .option('--overlap <duration>', 'how long deliveries are signed with the old secret, too, such as 1h; it ends at once without it', wholeSeconds(OVERLAP_MAX_SECONDS))
    .option('--secret-file <path>', 'a file that holds the new secret; one is made without it')
    .action(async (id: string, { overlap, secretFile, ...options }: RemoteOptions & { readonly overlap?: number; readonly secretFile?: string }) =>
      showSecret(options, await ask(options, pathOf(id, 'rotate'), { method: 'POST', body: { overlapSeconds: overlap, secret: secretIn(secretFile) } })));

  one('attempts', 'Lists the newest attempts of a webhook.', 'attempts k3f9x2ab7q1m4c8z --limit 10')
    .option('--limit <number>', 'the most attempts to list', wholeNumber(1, ATTEMPTS_MAX_ENTRIES))
    .action(async (id: string, { limit = ATTEMPTS_MAX_ENTRIES, json, ...options }: RemoteOptions & { readonly limit?: number }) =>
      printWhole(requestsTo(options), { path: `${pathOf(id, 'attempts')}?limit=${limit}`, member: 'attempts', columns: ATTEMPT_COLUMNS, json: json === true }));

  one('replay', 'Moves a webhook to another position of the log: it delivers the messages after that position, also a second time.', 'replay k3f9x2ab7q1m4c8z --from 10m')
    .requiredOption('--from <place>', `where it goes on: ${FROM}`)
    .action(async (id: string, { from, ...options }: RemoteOptions & { readonly from: string }) => {
      const source = await ask(options, pathOf(id, 'replay'), { method: 'POST', body: { from } });
      await showDone(options, id, `goes on after ${cell(answerIn<{ readonly cursor: string }>(source).cursor)}`, source);
    });

  /** A command about one webhook. */
  function one(name: string, description: string, line = `${name} k3f9x2ab7q1m4c8z`): Command {
    return remote(webhooks.command(name)).description(description).argument('<id>', 'the id of the webhook, as the list has it', webhookId).addHelpText('after', example(line));
  }
}

/** Refuses an empty id, `.` and `..`: with an empty variable of a script, `delete` would request another path. */
function webhookId(text: string): string {
  if (/^\.{0,2}$/.test(text)) throw new InvalidArgumentError('It must be the id of a webhook.');
  return text;
}

function example(line: string): string {
  return `\nExample:\n  $ tidings webhooks ${line}\n`;
}

function withFormat(command: Command): Command {
  return command.addOption(new Option('--format <format>', 'how messages are written').choices(FORMATS));
}

/** A member of a change: `null` removes the value. */
function nullable(name: string, value: unknown): Readonly<Record<string, unknown>> {
  return { [name]: value === false ? null : value };
}

async function test(id: string, options: RemoteOptions): Promise<void> {
  const source = await ask(options, pathOf(id, 'test'), { method: 'POST' });
  const answer = answerIn<Attempt & { readonly delivered: boolean }>(source);
  const line = `${outcomeOf(answer)} in ${cell(answer.milliseconds)} ms`;
  if (options.json === true) await printJson(source);
  else if (answer.delivered) await print(`delivered: ${line}`);
  if (!answer.delivered) throw new CommandError(`not delivered: ${line}${answer.answer === undefined ? '' : `: ${cell(answer.answer)}`}`);
}

function outcomeOf({ status, error }: Attempt): string {
  return cell(status ?? error);
}

/** Shortens the last error for the table. */
function withLastError(entry: Entry): Entry {
  const { lastError } = entry;
  if (typeof lastError !== 'object' || lastError === null) return entry;
  const attempt: Attempt = lastError;
  return { ...entry, lastError: `${outcomeOf(attempt)} at ${cell(attempt.time)}` };
}

function pathOf(id: string, action?: string): string {
  return `/webhooks/${encodeURIComponent(id)}${action === undefined ? '' : `/${action}`}`;
}

async function ask(options: RemoteOptions, path: string, { method = 'GET', body }: { readonly method?: string; readonly body?: object } = {}): Promise<string> {
  const parts = body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  try {
    const answer = await requestsTo(options).send(path, { method, ...parts, signal: new AbortController().signal });
    return (await answer.text()).trim();
  } catch (error) {
    if (error instanceof TidingsError && error.status === 404 && error.field !== 'id') throw nothingThere('webhooks', error);
    throw error;
  }
}

async function showWebhook({ json }: RemoteOptions, source: string): Promise<void> {
  if (json === true) return printJson(source);
  await printTable(undefined, Object.entries(withLastError(answerIn<Entry>(source))).map(([name, value]) => [cell(name), cell(value)]));
}

async function showDone({ json }: RemoteOptions, id: string, what: string, source: string): Promise<void> {
  if (json === true) await printJson(source);
  else await print(`${cell(id)} ${what}`);
}

async function showSecret({ json }: RemoteOptions, source: string): Promise<void> {
  if (json === true) return printJson(source);
  const { id, secret } = answerIn<{ readonly id: string; readonly secret: string }>(source);
  say(`the webhook ${cell(id)} signs with this secret; keep it now, it is not shown again:`);
  await print(cell(secret));
}

/** Reads a secret from a file, because every user of the machine can see arguments. */
function secretIn(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readSecretFile(path, 'WEBHOOK_SECRET');
  } catch (error) {
    if (error instanceof WrongValue) throw wrongUsage(`--secret-file: ${error.message}`);
    throw error;
  }
}
