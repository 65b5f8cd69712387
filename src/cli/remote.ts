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

/** Makes a command one that asks a running service: adds `--url` and `--json`. */
export function remote(command: Command): Command {
  return command
    .option('--url <url>', 'where the service is (default: TIDINGS_URL, or http://127.0.0.1:8080)')
    .option('--json', 'one JSON object for each line');
}

/** Requests to the service. The credential comes from the environment, because every user of the machine can see arguments. */
export function requestsTo({ url }: RemoteOptions): Requests {
  // Throws for a wrong token file now. During a request, the error would be retried like a network error.
  readToken();
  return passing(createRequests(serviceUrl(url), {
    getToken: readToken,
    fetch: (target, init) => {
      const headers = new Headers(init?.headers);
      headers.set('user-agent', `tidings-cli/${version}`);
      // `fetch` may follow a redirect of a POST as a GET without the body.
      return fetch(target, { ...init, headers, redirect: 'manual' });
    },
  }));
}

/** Wraps network errors in `Passing`, so that commands can tell them from bugs of their own. */
export function passing(requests: Requests): Requests {
  return {
    ...requests,
    send: (path, parts) => requests.send(path, parts).catch((error: unknown) => {
      throw error instanceof TidingsError || error instanceof Passing ? error : new Passing(error);
    }),
  };
}

/** The credential of the environment. Called again after a 401: the file may have a new credential by then. */
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

/** Refuses characters that no header can carry: `fetch` would fail as if the network were down. */
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

/** Why a text is no URL of a service; undefined if it is one. The reason does not repeat the text, which may have a password. */
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
