/**
 * Import this where a store runs in the test's own process. tap loads itself into every thread of a test process, and that takes longer than all that
 * a thread of the store does in most tests. So threads get none of the process's options, and what Node has compiled is kept: as after `npm start`.
 */
import { syncBuiltinESMExports } from 'node:module';
import threads, { Worker, type WorkerOptions } from 'node:worker_threads';
import { COMPILE_CACHE } from './compile-cache.ts';

process.env['NODE_COMPILE_CACHE'] ??= COMPILE_CACHE;

threads.Worker = class extends Worker {
  constructor(file: string | URL, options?: WorkerOptions) {
    super(file, { execArgv: [], ...options });
  }
};
syncBuiltinESMExports();
