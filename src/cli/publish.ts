import { InvalidArgumentError, Option, type Command } from 'commander';
import { randomUUID } from 'node:crypto';
import { TTL_MAX_SECONDS } from '../http/input/ttl.ts';
import { duration, wholeSeconds } from './durations.ts';
import { onInterruption } from './interruption.ts';
import { publishLines, lineBatches } from './ndjson.ts';
import { answerIn, say, wrongUsage } from './outcome.ts';
import { print, printJson } from './output.ts';
import { remote, requestsTo, type RemoteOptions } from './remote.ts';
import { notKnown, Sender, type Sending } from './sending.ts';

/** The default of --timeout: bounds the wait of a script while the service is away. */
const TRIED_MAX_MS = 10 * 60 * 1000;
/** Stops a wrong file on standard input from filling the memory. The service's own bounds are lower. */
const INPUT_MAX_BYTES = 64 * 1024 * 1024;

export interface PublishOptions extends RemoteOptions {
  readonly type: 'text' | 'json';
  readonly ndjson?: true;
  readonly event?: string;
  readonly ttl?: number;
  readonly key?: string;
  readonly report?: true;
  readonly timeout: number;
}

/** `tidings publish`. */
export function addPublishCommand(program: Command): void {
  remote(program.command('publish')).description('Publishes a message, or many, and prints its id once it is on disk.')
    .argument('<topic>', 'the topic')
    .argument('[data]', 'its data; with - or without data, standard input is read')
    .addOption(new Option('--type <type>', 'the type of the data').choices(['text', 'json']).default('text'))
    .option('--ndjson', 'each line of standard input is the JSON of one message')
    .option('--event <name>', 'the event name')
    .option('--ttl <duration>', 'how long it is delivered, such as 90s or 1h', wholeSeconds(TTL_MAX_SECONDS))
    .option('--key <key>', 'the idempotency key: the same command with the same key stores once; a random one without it', idempotencyKey)
    .option('--report', 'prints the whole answer, with how many streams want the topic')
    .addOption(new Option('--timeout <duration>', 'how long to try each request').default(TRIED_MAX_MS, `${TRIED_MAX_MS / 60_000}m`).argParser(duration))
    .addHelpText('after', `
Examples:
  $ tidings publish deploys.api 'version 42'
  $ tidings publish deploys.api '{"version":42}' --type json --event deployed
  $ printf '1\\n{"two":2}\\n' | tidings publish numbers --ndjson
`)
    .action(async (topic: string, data: string | undefined, options: PublishOptions) => {
      const sender = new Sender(requestsTo(options), options.timeout);
      if (options.ndjson === true) return publishMany(sender, topic, data, options);
      const { event, ttl, key = randomUUID(), report } = options;
      const query = new URLSearchParams({ ...(event === undefined ? {} : { event }), ...(report === true ? { report: '1' } : {}) }).toString();
      const sending: Sending = {
        path: `/topics/${encodeURIComponent(topic)}${query === '' ? '' : `?${query}`}`,
        headers: { 'content-type': options.type === 'json' ? 'application/json' : 'text/plain; charset=utf-8', ...(ttl === undefined ? {} : { ttl: String(ttl) }) },
        body: await bodyOf(data, options),
        key,
      };
      const listenNoMore = onInterruption((code) => {
        say(notKnown(key));
        process.exit(code);
      });
      const { text, isReplayed } = await sender.send(sending).finally(listenNoMore);
      if (isReplayed) say('it was published before, with the same key');
      const { id } = answerIn<{ readonly id: string }>(text);
      if (options.json === true || report === true) await printJson(text.trim());
      else await print(id);
    });
}

async function publishMany(sender: Sender, topic: string, data: string | undefined, options: PublishOptions): Promise<void> {
  if (data !== undefined && data !== '-') throw wrongUsage('--ndjson reads standard input: leave the data out');
  if (options.report === true) throw wrongUsage('--report is for one message, not for --ndjson');
  if (options.type === 'text' && process.stdin.isTTY) say('reading JSON from the terminal, one message a line; it ends with Control-D');
  const { event, ttl, key } = options;
  const members = `{"topic":${JSON.stringify(topic)},${event === undefined ? '' : `"event":${JSON.stringify(event)},`}${ttl === undefined ? '' : `"ttl":${ttl},`}"data":`;
  const published = await publishLines(sender, lineBatches(process.stdin, { isSteady: key !== undefined }), { members, key: key ?? randomUUID(), isResumable: key !== undefined });
  if (options.json === true) await printJson(JSON.stringify(published));
  else await print(`${published.messages} ${published.messages === 1 ? 'message' : 'messages'} published`);
}

/** The data: the argument, or standard input. @throws CommandError if there is none, or it is not of the given type */
async function bodyOf(data: string | undefined, { type }: PublishOptions): Promise<string> {
  if (data === undefined && process.stdin.isTTY) throw wrongUsage('data: missing. Give it as an argument, or pipe it in.');
  const body = data === undefined || data === '-' ? await readInput() : data;
  if (type === 'json' && !isJson(body)) throw wrongUsage('data: it is not JSON, and --type json asks for JSON');
  return body;
}

async function readInput(): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    bytes += piece.length;
    if (bytes > INPUT_MAX_BYTES) throw wrongUsage(`data: standard input has more than ${INPUT_MAX_BYTES} bytes`);
    pieces.push(piece);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(pieces));
  } catch {
    throw wrongUsage('data: standard input is not UTF-8');
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Shorter than the service's bound, so that `--ndjson` can append a line number. A header can carry ASCII only. */
function idempotencyKey(text: string): string {
  if (!/^[\x21\x23-\x7e][\x21-\x7e]{0,199}$/.test(text)) throw new InvalidArgumentError('Use 1 to 200 printable ASCII characters without blanks, and no quote before them.');
  return text;
}
