import { join } from 'node:path';

/** Where Node keeps what it has compiled: hundreds of processes and threads are started in a run, and each would compile the same again. */
export const COMPILE_CACHE = join(import.meta.dirname, '../../node_modules/.cache/tidings');

/** What a command of this program is given, and nothing from around. It ends in order, and so keeps what the next one then need not compile: a start takes less than half the time. */
export const COMMAND_ENV = { PATH: process.env['PATH'], NODE_COMPILE_CACHE: COMPILE_CACHE };
