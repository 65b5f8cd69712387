import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Answer, Call, Operations } from './process.ts';

interface Waiting {
  // What it resolves with is what the other side says it is: `Operations` names the type.
  resolve(this: void, result: never): void;
  reject(this: void, error: Error): void;
}

const PROGRAM = join(import.meta.dirname, 'process.ts');

/** The parent's side of a load process. */
export class Child {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #gone: Error | undefined;

  constructor(by: readonly string[]) {
    const words = [...by, process.execPath, '--max-semi-space-size=16', PROGRAM];
    // A test runner's own options would be measured with it.
    const env = { ...process.env };
    delete env['NODE_OPTIONS'];
    this.#process = spawn(words[0]!, words.slice(1), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced', env });
    this.#process.on('message', (answer: Answer) => this.#answered(answer));
    this.#process.once('error', (error) => this.#lost(error));
    this.#process.once('exit', (code, signal) => this.#lost(new Error(`a load process ended (${signal ?? `code ${code}`})`)));
  }

  get pid(): number {
    return this.#process.pid!;
  }

  call<Name extends keyof Operations>(operation: Name, ...args: Parameters<Operations[Name]>): Promise<Awaited<ReturnType<Operations[Name]>>> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== undefined) {
        reject(this.#gone);
        return;
      }
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      const call: Call = { id, operation, args };
      this.#process.send(call);
    });
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    if (this.#process.connected) this.#process.disconnect();
    else this.#process.kill();
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_MS);
    await exited;
    clearTimeout(timer);
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('error' in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.result as never);
  }

  #lost(error: Error): void {
    this.#gone ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** A process that does not end by itself is killed. */
const STOP_MS = 5000;
