import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import type { Scope } from './temp.ts';

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Stops a service that fails to start from hanging the run. Milliseconds. */
const START_LIMIT = 120_000;

export interface ChildOptions extends SpawnOptions {
  /** What ends it when the test is over: SIGKILL, but for a program that leaves something behind when it is killed. */
  readonly ending?: NodeJS.Signals;
}

/**
 * What a process has by default. tap's own options would be loaded into each that is Node: they slow its start and change its memory. What Node compiles of a
 * copy of the program is not kept: nobody would need it again.
 */
const ENVIRONMENT = { ...process.env, NODE_OPTIONS: undefined, NODE_COMPILE_CACHE: undefined };

/** Ends those that run. When the test's own process ends before its teardowns, nothing is left behind either. */
const ends = new Set<() => void>();
process.once('exit', () => ends.forEach((end) => end()));

/** A process that a test started: what it printed, how it ended. Ended by its pid when the test is over. */
export class Child {
  /** Everything it printed so far, on both outputs. */
  output = '';
  readonly exited: Promise<Exit>;
  readonly #process: ChildProcess;

  constructor(t: Scope, command: string, args: readonly string[], { ending = 'SIGKILL', ...options }: ChildOptions = {}) {
    this.#process = spawn(command, args, { env: ENVIRONMENT, ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout!, this.#process.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.exited = new Promise((resolve) => {
      // A command that cannot be started ends without having begun.
      this.#process.once('error', (error) => {
        this.output += String(error);
        resolve({ code: null, signal: null });
      });
      this.#process.once('close', (code, signal) => resolve({ code, signal }));
    });
    const end = (): void => {
      this.kill(ending);
      // One that was stopped obeys nothing but SIGKILL before it goes on.
      this.kill('SIGCONT');
    };
    ends.add(end);
    void this.exited.then(() => ends.delete(end));
    t.teardown(async () => {
      end();
      await this.exited;
    });
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`The process did not start: ${this.output}`);
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  kill(signal: NodeJS.Signals): void {
    if (this.running) this.#process.kill(signal);
  }

  /** Waits until its output says so. Rejects with that output when it ends before. */
  async says(text: string | RegExp): Promise<void> {
    const said = (): boolean => (typeof text === 'string' ? this.output.includes(text) : text.test(this.output));
    if (said()) return;
    await new Promise<void>((resolve, reject) => {
      const streams = [this.#process.stdout!, this.#process.stderr!];
      const settle = (error?: Error): void => {
        clearTimeout(limit);
        for (const stream of streams) stream.removeListener('data', look);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = (): void => {
        if (said()) settle();
      };
      const limit = setTimeout(() => settle(new Error(`It did not say ${text}:\n${this.output}`)), START_LIMIT);
      for (const stream of streams) stream.on('data', look);
      void this.exited.then((exit) => settle(new Error(`It ended (${exit.code ?? exit.signal}) and did not say ${text}:\n${this.output}`)));
    });
  }
}
