import { spawn } from 'node:child_process';
import type { Received } from './follow.ts';
import { CommandError } from './outcome.ts';

/** Longer data goes to standard input only: the system bounds the size of the environment, and would not start the command. */
const VARIABLE_MAX_BYTES = 64 * 1024;
/** The exit code for a command that a signal ended. (A shell adds the number of the signal; it is not known here.) */
const SIGNAL_EXIT_CODE = 128;

export interface HandlerOptions {
  /** Standard input has the whole message as JSON, instead of its data. */
  readonly isWhole: boolean;
  /** The URL of the service, for `TIDINGS_URL`: so the command's own `tidings` uses the same service. */
  readonly url: string;
}

/** Runs a shell command, with a message in its environment and the data on standard input. Resolves with the exit code. */
export function runHandler(command: string, message: Received, { isWhole, url }: HandlerOptions): Promise<number> {
  const { id, topic, event, time } = message;
  const data = plainData(message);
  const env: NodeJS.ProcessEnv = { ...process.env, TIDINGS_ID: id, TIDINGS_TOPIC: topic, TIDINGS_EVENT: event, TIDINGS_TIME: time, TIDINGS_URL: url };
  // An environment variable cannot contain NUL.
  if (Buffer.byteLength(data) <= VARIABLE_MAX_BYTES && !data.includes('\0')) env['TIDINGS_DATA'] = data;
  else delete env['TIDINGS_DATA'];
  return new Promise<number>((resolve, reject) => {
    const child = spawn(command, { shell: true, env, stdio: ['pipe', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? SIGNAL_EXIT_CODE));
    // EPIPE: the command has not read all its input, which it need not.
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    child.stdin.end(isWhole ? message.source : data);
  }).catch((error: NodeJS.ErrnoException) => {
    // The system could not start the command: too many processes or files, or no shell.
    if (error.syscall === undefined) throw error;
    throw new CommandError(`--exec: the command cannot be run (${error.code}) for message ${id}, which is not done`);
  });
}

/** A string's text without quotes and escapes; any other data as JSON. */
export function plainData({ data }: Received): string {
  return data.startsWith('"') ? JSON.parse(data) as string : data;
}
