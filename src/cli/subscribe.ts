import type { Command } from 'commander';
import { CursorFile } from './cursor-file.ts';
import { duration } from './durations.ts';
import { follow } from './follow.ts';
import { HandOut } from './hand-out.ts';
import { onInterruption } from './interruption.ts';
import { timedOut, wrongUsage } from './outcome.ts';
import { remote, requestsTo, wholeNumber, type RemoteOptions } from './remote.ts';

/** The largest `--parallel`. Stops a mistake from filling the process table. */
const PARALLEL_MAX_ENTRIES = 100;
/** The largest `last` that the service allows. */
const LAST_MAX_MESSAGES = 1_000;

interface SubscribeOptions extends RemoteOptions {
  readonly since?: string;
  readonly last?: number;
  readonly after?: string;
  readonly exec?: string;
  readonly parallel?: number;
  readonly keepGoing?: true;
  readonly once?: true;
  readonly timeout?: number;
  readonly cursorFile?: string;
}

/** `tidings subscribe`. */
export function addSubscribeCommand(program: Command): void {
  remote(program.command('subscribe')).description('Follows topics and patterns over reconnects: prints each message once, or runs a command for it.')
    .argument('<topics...>', 'topics and patterns')
    .option('--since <time>', 'begins with the messages since then: a duration back from now such as 10m, or a time of RFC 3339')
    .option('--last <number>', 'begins with this number of the newest messages', wholeNumber(0, LAST_MAX_MESSAGES))
    .option('--after <id>', 'begins after an id or cursor; start is the oldest message held')
    .option('--exec <command>', 'runs this in a shell for each message: its data is on standard input and in TIDINGS_DATA; see docs/cli.md')
    .option('--parallel <number>', 'how many of these commands run side by side', wholeNumber(1, PARALLEL_MAX_ENTRIES))
    .option('--keep-going', 'a command that failed counts as done')
    .option('--once', 'ends after one message')
    .option('--timeout <duration>', 'ends after this time, with exit code 3', duration)
    .option('--cursor-file <path>', 'a file with the cursor: goes on from there, and keeps it up to date')
    .addHelpText('after', `
Examples:
  $ tidings subscribe 'deploys.*' --last 1 --once
  $ tidings subscribe jobs.mail --after start --once --exec 'echo "$TIDINGS_ID: $TIDINGS_DATA"' --cursor-file mail.cursor
`)
    .action(subscribe);
}

async function subscribe(topics: string[], options: SubscribeOptions): Promise<void> {
  checkTogether(options);
  const file = options.cursorFile === undefined ? undefined : await CursorFile.open(options.cursorFile);
  const requests = requestsTo(options);
  const messages = new HandOut({ ...options, url: requests.url, isWhole: options.json === true, isOne: options.once === true, file });
  const listenNoMore = onInterruption((code) => messages.end({ code }));
  const timer = options.timeout === undefined ? undefined : setTimeout(() => messages.end({ error: timedOut('The time is over.') }), options.timeout);
  try {
    await follow(requests, messages, { topics, start: startOf(options, file), signal: messages.signal });
  } finally {
    await messages.settle();
    clearTimeout(timer);
    listenNoMore();
  }
  process.exitCode = messages.conclude();
}

/** @throws CommandError for options that contradict each other */
function checkTogether({ since, last, after, exec, parallel, keepGoing, once }: SubscribeOptions): void {
  if ([since, last, after].filter((start) => start !== undefined).length > 1) throw wrongUsage('--since, --last and --after each say where to begin: give one of them');
  if (exec === undefined && parallel !== undefined) throw wrongUsage('--parallel is for --exec');
  if (exec === undefined && keepGoing !== undefined) throw wrongUsage('--keep-going is for --exec');
  if (exec?.trim() === '') throw wrongUsage('--exec: the command is empty');
  if (once !== undefined && parallel !== undefined) throw wrongUsage('--once handles one message: leave --parallel out');
}

function startOf({ since, last, after }: SubscribeOptions, file: CursorFile | undefined): Readonly<Partial<Record<'after' | 'since' | 'last', string>>> {
  if (file?.cursor !== undefined) return { after: file.cursor };
  return { ...(since === undefined ? {} : { since }), ...(last === undefined ? {} : { last: String(last) }), ...(after === undefined ? {} : { after }) };
}
