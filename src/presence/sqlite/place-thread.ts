import { Worker } from 'node:worker_threads';
import { PlaceAway } from '../place.ts';
import type { Call, Calls, Job, Reply, WorkerData } from './protocol.ts';

/** Calls without an answer. Stops a disk that hangs from filling the memory with calls. */
const UNANSWERED_MAX_REQUESTS = 1_000;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: PlaceAway) => void;
}

/** This process's end of the thread that reads and writes the file. Its calls reject with `PlaceAway` and nothing else. */
export class PlaceThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #ended = Promise.withResolvers<void>();
  #nextId = 1;
  #reason: string | undefined;

  constructor({ file }: WorkerData) {
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { name: 'presence', workerData: { file } satisfies WorkerData });
    this.#worker.on('message', ({ id, value, failure }: Reply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (failure === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new PlaceAway(failure));
    });
    this.#worker.on('error', (error) => this.#end(error.message));
    this.#worker.on('exit', () => {
      this.#end('the thread has ended');
      this.#ended.resolve();
    });
  }

  /** Whether it takes no calls any more. */
  get hasEnded(): boolean {
    return this.#reason !== undefined;
  }

  call<Name extends Call>(name: Name, argument: Calls[Name]['argument']): Promise<Calls[Name]['value']> {
    if (this.#reason !== undefined) return Promise.reject(new PlaceAway(this.#reason));
    if (this.#waiting.size >= UNANSWERED_MAX_REQUESTS) return Promise.reject(new PlaceAway('the thread does not answer: the disk may hang'));
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, argument } satisfies Job);
    });
  }

  /** Lets it finish its calls, and ends it. */
  close(): Promise<void> {
    if (this.#reason === undefined) this.#worker.postMessage(undefined);
    return this.#ended.promise;
  }

  #end(reason: string): void {
    this.#reason ??= reason;
    for (const { reject } of this.#waiting.values()) reject(new PlaceAway(this.#reason));
    this.#waiting.clear();
  }
}
