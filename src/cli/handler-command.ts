import { spawn } from 'node:child_process';
import type { Received } from './follow.ts';
import { CommandError } from './outcome.ts';

/** Longer data is on standard input alone: systems bound what a variable holds, and the command could not be started. */
const VARIABLE_MAX_BYTES = 64 * 1024;
/** A shell adds the signal's number to this for a command that a signal ended. Here the number is unknown. */
const SIGNAL_EXIT_CODE = 128;

export interface HandlerOptions {
  /** Whether it gets the message whole, as JSON. */
  readonly isWhole: boolean;
  /** The service that the message is from: what the command publishes goes there, too. */
  readonly url: string;
}

/** Runs a shell command for a message. It has the message in its environment, and its data on standard input. Resolves with its exit code. */
export function runHandler(command: string, message: Received, { isWhole, url }: HandlerOptions): Promise<number> {
  const { id, topic, event, time } = message;
  const data = plainData(message);
  const env: NodeJS.ProcessEnv = { ...process.env, TIDINGS_ID: id, TIDINGS_TOPIC: topic, TIDINGS_EVENT: event, TIDINGS_TIME: time, TIDINGS_URL: url };
  // No variable can hold a NUL.
  if (Buffer.byteLength(data) <= VARIABLE_MAX_BYTES && !data.includes('\0')) env['TIDINGS_DATA'] = data;
  else delete env['TIDINGS_DATA'];
  return new Promise<number>((resolve, reject) => {
    const child = spawn(command, { shell: true, env, stdio: ['pipe', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? SIGNAL_EXIT_CODE));
    // A command need not read its input.
    child.stdin.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    child.stdin.end(isWhole ? message.source : data);
  }).catch((error: NodeJS.ErrnoException) => {
    // The system says why: too many processes or files, or no shell.
    if (error.syscall === undefined) throw error;
    throw new CommandError(`--exec: the command cannot be run (${error.code}) for message ${id}, which is not done`);
  });
}

/** Text as it is, and the JSON of everything else. */
export function plainData({ data }: Received): string {
  return data.startsWith('"') ? JSON.parse(data) as string : data;
}
