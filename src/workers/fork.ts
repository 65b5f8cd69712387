import { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { WorkerChild } from './worker-process.ts';

/**
 * Starts the process of a worker. If the system has no process, file or memory for it just now, the child has an `error` and no `pid`. That must not end the supervisor, nor the other
 * workers.
 */
export function forkWorker(environment: Readonly<Record<string, string>>): WorkerChild {
  try {
    const worker = cluster.fork(environment);
    // Node throws where nobody listens. The process emits the error, too.
    worker.on('error', () => undefined);
    return worker.process;
  } catch (error) {
    // Some reasons Node throws.
    const child = new ChildProcess();
    process.nextTick(() => child.emit('error', error));
    return child;
  }
}
