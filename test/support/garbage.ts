import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/** Frees what nobody holds any more. The memory of buffers is given back some time later, by another thread. */
export const collectGarbage = runInNewContext('gc') as () => void;

/** What this process holds, without what nobody holds any more: when that is collected depends on the machine. Bytes. */
export function heldBytes(kind: 'heapUsed' | 'arrayBuffers'): number {
  collectGarbage();
  // It waits until the other thread has given back what the first one found.
  collectGarbage();
  return process.memoryUsage()[kind];
}
