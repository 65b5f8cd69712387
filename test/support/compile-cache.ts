import { join } from 'node:path';

/** Where Node keeps what it has compiled: hundreds of processes and threads are started in a run, and each would compile the same again. */
export const COMPILE_CACHE = join(import.meta.dirname, '../../node_modules/.cache/tidings');
