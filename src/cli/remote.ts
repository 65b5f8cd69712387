import { InvalidArgumentError, type Command } from 'commander';
import { readFileSync } from 'node:fs';
import { readSecretFile } from '../config/secret-file.ts';
import { WrongValue } from '../config/setting-kinds.ts';
import { Passing } from '../client/problem.ts';
import { TidingsError, type Requests } from '../client/requests.ts';
import { createRequests } from '../client/token-requests.ts';
import { wrongUsage } from './outcome.ts';

/** The options of every command that asks a running service. */
export interface RemoteOptions {
  readonly url?: string;
  readonly json?: true;
}

export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string };

/** A command that asks a running service; `keys` and `migrate` go to the database instead. */
export function remote(command: Command): Command {
  return command
    .option('--url <url>', 'where the service is (default: TIDINGS_URL, or http://127.0.0.1:8080)')
    .option('--json', 'one JSON object for each line');
}

/** Requests to the service that the options name, with the credential of the environment: arguments are seen by everybody on the machine. */
export function requestsTo({ url }: RemoteOptions): Requests {
  // Read once before the first attempt: a wrong file would be retried like a network error.
  readToken();
  return passing(createRequests(serviceUrl(url), {
    getToken: readToken,
    fetch: (target, init) => {
      const headers = new Headers(init?.headers);
      headers.set('user-agent', `tidings-cli/${version}`);
      // A redirect would lose the body of a publish.
      return fetch(target, { ...init, headers, redirect: 'manual' });
    },
  }));
}

/** Errors other than refusals may pass, so that commands tell them from a mistake of theirs. */
export function passing(requests: Requests): Requests {
  return {
    ...requests,
    send: (path, parts) => requests.send(path, parts).catch((error: unknown) => {
      throw error instanceof TidingsError || error instanceof Passing ? error : new Passing(error);
    }),
  };
}

/** The credential of the environment. Read again whenever the service refuses the last one: the file may have a new one. */
export function readToken(): string | null {
  const { TIDINGS_TOKEN: token = '', TIDINGS_TOKEN_FILE: file = '' } = process.env;
  if (file === '') return token === '' ? null : checkToken(token, 'TIDINGS_TOKEN');
  if (token !== '') throw wrongUsage('TIDINGS_TOKEN_FILE: TIDINGS_TOKEN is set, too; set only one of the two');
  try {
    return checkToken(readSecretFile(file, 'TIDINGS_TOKEN'), 'TIDINGS_TOKEN_FILE');
  } catch (error) {
    if (error instanceof WrongValue) throw wrongUsage(`TIDINGS_TOKEN_FILE: ${error.message}`);
    throw error;
  }
}

/** No header can carry anything else: each attempt would fail like a network that is down. */
function checkToken(token: string, variable: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) throw wrongUsage(`${variable}: it has characters that no key or token has`);
  return token;
}

function serviceUrl(option: string | undefined): string {
  const url = option ?? (process.env['TIDINGS_URL'] || 'http://127.0.0.1:8080');
  const why = wrongUrl(url);
  if (why !== undefined) throw wrongUsage(`${option === undefined ? 'TIDINGS_URL' : '--url'}: ${why}`);
  return url;
}

/** Why it is no URL of a service. It is not repeated: it may hold a password. */
function wrongUrl(text: string): string | undefined {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) return 'Write a URL that begins with http:// or https://.';
  if (url.username !== '' || url.password !== '') return 'The URL has a password. Put the key into TIDINGS_TOKEN.';
  return url.search !== '' || url.hash !== '' ? 'The URL must end with its path.' : undefined;
}

/** Parses an option that is a whole number within bounds. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!/^[0-9]+$/.test(text) || number < least || number > most) throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return number;
  };
}
