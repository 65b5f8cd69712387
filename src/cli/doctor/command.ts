import { randomBytes } from 'node:crypto';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { Problem } from '../../model/problem.ts';
import { checkTopic } from '../../model/topic.ts';
import { durationWithin } from '../durations.ts';
import { wrongUsage } from '../outcome.ts';
import { readToken } from '../remote.ts';
import { diagnose } from './diagnosis.ts';
import type { Target } from './exchange.ts';
import { observe } from './observe.ts';
import { report } from './report.ts';

/**
 * `tidings doctor`: finds proxies between this machine and the service that delay or break streams, and the lines that mend them. It opens no database.
 *
 * `observe.ts` sends requests and opens streams, and returns observations (`observations.ts`). `diagnosis.ts` makes a verdict for each check (`…-verdicts.ts`), and `report.ts` prints them with the
 * lines of `mends.ts`.
 */

/** A little longer than the default of HEARTBEAT_SECONDS, so that a heartbeat must come. */
const QUIET_WATCH_MS = 30_000;
const REPLY_WAIT_MS = 10_000;
const RANDOM_BYTES = 6;

interface Flags {
  readonly token?: string;
  readonly topic?: string;
  readonly origin?: string;
  readonly idle: number;
  readonly timeout: number;
  readonly json?: true;
}

export function addDoctorCommand(program: Command): void {
  program.command('doctor').description('Finds what holds up streams between this machine and the service, and shows the line that mends it.')
    .addArgument(program.createArgument('[url]', 'the URL that clients use, by default TIDINGS_URL').argParser(serviceUrl('url')))
    .addOption(new Option('--token <token>', 'a key or token that may read the topic, and publish to it (default: TIDINGS_TOKEN, or what TIDINGS_TOKEN_FILE holds)').argParser(token))
    .option('--topic <topic>', 'where doctor publishes three messages with a TTL of a minute; by default doctor.<random>', topicName)
    .option('--origin <origin>', 'the origin of a page that uses the service: checks what browsers ask', pageOrigin)
    // No proxy waits longer than ten minutes.
    .addOption(new Option('--idle <duration>', 'how long to watch a quiet stream; 0 leaves it out').default(QUIET_WATCH_MS, `${QUIET_WATCH_MS / 1000}s`).argParser(durationWithin('0s', '10m')))
    .addOption(new Option('--timeout <duration>', 'how long one answer or event may take').default(REPLY_WAIT_MS, `${REPLY_WAIT_MS / 1000}s`).argParser(durationWithin('100ms', '2m')))
    .option('--json', 'one JSON object')
    .addHelpText('after', '\nExample:\n  $ tidings doctor https://push.example.com\n')
    .action(async (given: URL | undefined, flags: Flags, command: Command) => {
      const url = given ?? fromEnvironment(command);
      await examine({ url, token: flags.token ?? readToken() ?? undefined, origin: flags.origin, topic: flags.topic ?? `doctor.${randomBytes(RANDOM_BYTES).toString('hex')}`, idleMs: flags.idle, timeoutMs: flags.timeout }, flags.json === true);
    });
}

async function examine(target: Target, isJson: boolean): Promise<void> {
  if (process.stderr.isTTY && target.idleMs > 0) process.stderr.write(`watching a quiet stream for ${target.idleMs / 1000} s…\n`);
  const diagnosis = diagnose(await observe(target));
  process.stdout.write(isJson ? `${JSON.stringify(diagnosis)}\n` : report(diagnosis, process.stdout));
  if (diagnosis.findings.some(({ level }) => level === 'wrong')) process.exitCode = 1;
}

function fromEnvironment(command: Command): URL {
  const text = process.env['TIDINGS_URL'] ?? '';
  if (text === '') return command.error('error: give the URL that clients use, or set TIDINGS_URL');
  return serviceUrl('TIDINGS_URL')(text);
}

/** Throws its own error for a wrong value: Commander's would show the value, which may have a password. */
function serviceUrl(name: string): (text: string) => URL {
  return (text) => {
    const url = URL.parse(text);
    if (url === null || !/^https?:$/.test(url.protocol)) throw wrongUsage(`${name}: write it as https://tidings.example.com, with a path where the service is below one`);
    if (url.username !== '' || url.password !== '') throw wrongUsage(`${name}: give a credential with --token, not in the URL`);
    if (url.search !== '' || url.hash !== '') throw wrongUsage(`${name}: it has a query or a fragment; give the URL that paths are added to`);
    return url;
  };
}

/** Checks the characters that a header may have (RFC 9110, section 5.5). The error does not show the token. */
function token(text: string): string {
  if (!/^[\x21-\x7e]+$/.test(text)) throw wrongUsage('--token, or TIDINGS_TOKEN: a token has visible ASCII characters only');
  return text;
}

function topicName(text: string): string {
  try {
    return checkTopic(text);
  } catch (error) {
    if (error instanceof Problem) throw new InvalidArgumentError(error.message);
    throw error;
  }
}

function pageOrigin(text: string): string {
  if (URL.parse(text)?.origin !== text) throw new InvalidArgumentError('Write it as https://app.example.com, without a path.');
  return text;
}
