/**
 * Is loaded into an instance by `NODE_OPTIONS=--import=…`, and tells at each SIGWINCH what is left in its memory after a
 * collection: how many objects of the classes that indexes hold, how many handles, how many bytes. So nothing of the
 * service needs to be opened up for it.
 */
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Group } from '../../src/delivery/reader-group.ts';
import { Reader } from '../../src/delivery/reader.ts';
import type { Remains } from './remains.ts';

/** Few: each is a walk through the whole heap, which takes half a second on a busy machine. */
const COUNTED = { Reader, Group, Socket, Map, Set };

async function remains(): Promise<Remains> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What a collection finalises may free more.
  for (let round = 0; round < 3; round++) {
    await nextTurn();
    collect();
  }
  const { heapUsed, external } = process.memoryUsage();
  const objects = Object.fromEntries(Object.entries(COUNTED).map(([name, type]) => [name, queryObjects(type, { format: 'count' })]));
  const handles: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) handles[type] = (handles[type] ?? 0) + 1;
  return { objects, handles, bytes: heapUsed + external } as Remains;
}

// The workers of the store load this too.
if (isMainThread) process.on('SIGWINCH', () => void remains().then((found) => process.stdout.write(`remains ${JSON.stringify(found)}\n`)));
