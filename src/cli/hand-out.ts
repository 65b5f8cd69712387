import type { CursorFile } from './cursor-file.ts';
import type { Follower, Received } from './follow.ts';
import { plainData, runHandler, type HandlerOptions } from './handler-command.ts';
import { CommandError, report, say } from './outcome.ts';
import { cell, colored, print, printJson } from './output.ts';
import { Progress } from './progress.ts';
import { printable } from '../runtime/logging/printable.ts';

/** How many messages may be begun from the oldest unfinished one on. Bounds how many are handled again after a crash. */
const AHEAD_MAX_MESSAGES = 100;

export interface HandOutOptions extends HandlerOptions {
  /** A shell command for each message; without it messages are printed. */
  readonly exec?: string;
  /** How many commands run side by side; without it the next one begins when this one is in the file. */
  readonly parallel?: number;
  readonly keepGoing?: true;
  /** Whether it ends after one message. */
  readonly isOne: boolean;
  readonly file: CursorFile | undefined;
}

/** Why it ends: with an exit code, or by what went wrong. */
export interface Ending {
  readonly code?: number;
  readonly error?: unknown;
}

/** Prints messages or runs commands for them, and keeps in the file up to where that is done. */
export class HandOut implements Follower {
  readonly #options: HandOutOptions;
  readonly #progress = new Progress();
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #keeping: Promise<void> | undefined;
  #isLastBegun = false;
  #ending: Ending | undefined;
  #wake: () => void = () => undefined;

  constructor(options: HandOutOptions) {
    this.#options = options;
  }

  /** Aborted when nothing more is to come. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Begins nothing more. The first reason counts; the last message is waited for. */
  end(ending: Ending): void {
    if (!this.#isLastBegun) this.#ending ??= ending;
    this.#stop.abort();
    this.#wake();
  }

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

  /** Resolves when every message that was begun is done, and the file says so. */
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
    // Printed messages come faster than a file can be written.
    if (exec !== undefined && parallel === undefined) await kept;
  }

  /** Writes the place up to which all is done. Places that are reached during a write are skipped, except the last. */
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

/** A message on one line. */
function describe(message: Received): string {
  const { time, topic, event, data } = message;
  const name = event === 'message' ? '' : `${colored('yellow', `[${cell(event)}]`)} `;
  return `${colored('dim', cell(time))} ${colored('cyan', cell(topic))} ${name}${printable(data.startsWith('"') ? plainData(message) : data.replace(/\s*[\r\n]\s*/g, ' '))}`;
}
