import type { CursorFile } from './cursor-file.ts';
import type { Follower, Received } from './follow.ts';
import { plainData, runHandler, type HandlerOptions } from './handler-command.ts';
import { CommandError, report, say } from './outcome.ts';
import { cell, colored, print, printJson } from './output.ts';
import { Progress } from './progress.ts';
import { printable } from '../runtime/logging/printable.ts';

/** The most messages begun since the oldest unfinished one. Bounds how many commands run a second time after a crash. */
const AHEAD_MAX_MESSAGES = 100;

export interface HandOutOptions extends HandlerOptions {
  /** A shell command for each message; without it messages are printed. */
  readonly exec?: string;
  /** The most commands at one time. If undefined, a command begins only when the one before is done and its cursor is in the file. */
  readonly parallel?: number;
  readonly keepGoing?: true;
  /** `--once`: ends after one message. */
  readonly isOne: boolean;
  readonly file: CursorFile | undefined;
}

/** The exit code, or the error that determines it. */
export interface Ending {
  readonly code?: number;
  readonly error?: unknown;
}

/** Prints messages or runs a command for each, and writes the cursor of the finished ones to the cursor file. */
export class HandOut implements Follower {
  readonly #options: HandOutOptions;
  readonly #progress = new Progress();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  /** The write of the cursor file that is under way. */
  #keeping: Promise<void> | undefined;
  /** With `--once`: the one message has begun, and its outcome alone decides the exit code. */
  #isLastBegun = false;
  #ending: Ending | undefined;
  /** Wakes `message`, which waits for room. */
  #wake: () => void = () => undefined;

  constructor(options: HandOutOptions) {
    this.#options = options;
  }

  /** Aborted when no further message may begin. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begins no further message. The first ending counts. `settle` waits for the messages that have begun. */
  end(ending: Ending): void {
    if (!this.#isLastBegun) this.#ending ??= ending;
    this.#stop.abort();
    this.#wake();
  }

  /** Waits for room, then begins the message. */
  async message(message: Received): Promise<void> {
    const { parallel = 1, isOne } = this.#options;
    while (!this.#stop.signal.aborted && (this.#running.size >= parallel || this.#progress.ahead >= AHEAD_MAX_MESSAGES)) await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    if (this.#stop.signal.aborted) return;
    if (isOne) {
      this.#isLastBegun = true;
      this.#stop.abort();
    }
    const work = this.#handle(message).finally(() => {
      this.#running.delete(work);
      this.#wake();
    });
    this.#running.add(work);
    if (this.#options.parallel === undefined) await work;
  }

  moved(cursor: string): void {
    this.#progress.moved(cursor);
    void this.#keep();
  }

  gap({ reason }: { readonly reason: string }): void {
    say(`messages may be missing (${cell(reason)})`);
  }

  /** Resolves when every message that has begun is done, and the cursor is in the file. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    await this.#keep();
  }

  /** @returns The exit code. */
  conclude(): number {
    if (this.#ending?.error !== undefined) return report(this.#ending.error);
    return this.#ending?.code ?? 0;
  }

  async #handle(message: Received): Promise<void> {
    const done = this.#progress.begin(message.id);
    const { exec, isWhole, url, keepGoing, parallel } = this.#options;
    try {
      if (exec !== undefined) {
        const code = await runHandler(exec, message, { isWhole, url });
        if (code !== 0 && keepGoing !== true) throw new CommandError(`--exec: the command ended with ${code} for message ${message.id}, which is not done`);
        if (code !== 0) say(`--exec: the command ended with ${code} for message ${message.id}`);
      } else if (isWhole) await printJson(message.source);
      else await print(describe(message));
      done();
    } catch (error) {
      return this.#fail(error);
    }
    const kept = this.#keep();
    // A command must not begin before the cursor of the one before is on disk. Printing need not wait: it is faster than the disk.
    if (exec !== undefined && parallel === undefined) await kept;
  }

  /** Writes the cursor up to which all messages are done. Of the cursors reached during a write, only the last is written. */
  #keep(): Promise<void> {
    const { file } = this.#options;
    if (file === undefined || this.#progress.reached === undefined || this.#progress.reached === file.cursor) return Promise.resolve();
    return this.#keeping ??= this.#write(file);
  }

  async #write(file: CursorFile): Promise<void> {
    try {
      while (this.#progress.reached !== undefined && this.#progress.reached !== file.cursor) await file.write(this.#progress.reached);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#keeping = undefined;
    }
  }

  #fail(error: unknown): void {
    this.#ending ??= { error };
    this.end({ error });
  }
}

/** A message on one line, for people. */
function describe(message: Received): string {
  const { time, topic, event, data } = message;
  const name = event === 'message' ? '' : `${colored('yellow', `[${cell(event)}]`)} `;
  return `${colored('dim', cell(time))} ${colored('cyan', cell(topic))} ${name}${printable(data.startsWith('"') ? plainData(message) : data.replace(/\s*[\r\n]\s*/g, ' '))}`;
}
