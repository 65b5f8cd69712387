import { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { WorkerChild } from './worker-process.ts';

/**
 * Starts the process of a worker. If the system cannot start it, for example because memory is short, the child emits `error` and has no `pid`. So a failure ends neither the supervisor nor the other
 * workers.
 */
export function forkWorker(environment: Readonly<Record<string, string>>): WorkerChild {
  try {
    const worker = cluster.fork(environment);
    // An `error` without a listener would throw. The process emits the error too, and has a listener.
    worker.on('error', () => undefined);
    return worker.process;
  } catch (error) {
    // Node throws some errors instead of emitting them.
    const child = new ChildProcess();
    process.nextTick(() => child.emit('error', error));
    return child;
  }
}
