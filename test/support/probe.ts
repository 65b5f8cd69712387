/**
 * Is loaded into an instance by `NODE_OPTIONS=--import=…`, and tells at each SIGWINCH what is left in its memory after a
 * collection: how many objects of the classes that indexes hold, how many handles, how many bytes. So nothing of the
 * service needs to be opened up for it.
 */
import { Session } from 'node:inspector';
import { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import { isMainThread } from 'node:worker_threads';
import { Group } from '../../src/delivery/reader/reader-group.ts';
import { Reader } from '../../src/delivery/reader/reader.ts';
import { LOADED_MARK } from '../../src/runtime/background-loads.ts';
import { collectGarbage } from './garbage.ts';
import type { Remains } from './remains.ts';

const COUNTED = { Reader, Group, Socket, Map, Set };
type Counts = Record<keyof typeof COUNTED, number>;

/** Where the inspector finds what it is to call with everything that it found. */
const COUNT = 'countForTheProbe';
/** The inspector's name for what one look makes, which is let go when the look is over. */
const LOOK = { objectGroup: 'look' };
const LOOK_EVERY_MS = 50;

function countThem(all: readonly unknown[]): Counts {
  const counts = { Reader: 0, Group: 0, Socket: 0, Map: 0, Set: 0 };
  const classes = Object.entries(COUNTED) as [keyof Counts, new () => unknown][];
  for (const one of all) for (const [name, type] of classes) if (one instanceof type) counts[name]++;
  return counts;
}

/** All of them in one walk through the heap: `queryObjects` takes one for each class, with several collections before, which is most of a second. */
function countObjects(): Counts {
  const session = new Session();
  session.connect();
  const post = (method: string, parameters: object): Record<string, { objectId: string; value: Counts }> => {
    let answer: object | undefined;
    session.post(method, { ...LOOK, ...parameters }, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer as ReturnType<typeof post>;
  };
  const { objectId: prototypeObjectId } = post('Runtime.evaluate', { expression: 'Object.prototype' })['result']!;
  const { objectId } = post('Runtime.queryObjects', { prototypeObjectId })['objects']!;
  const { value } = post('Runtime.callFunctionOn', { objectId, functionDeclaration: `function () { return ${COUNT}(this); }`, returnByValue: true })['result']!;
  session.disconnect();
  return value;
}

async function remains(): Promise<Remains> {
  // On a busy machine the service loads modules for a minute after its start. They would look like a leak.
  while (performance.getEntriesByName(LOADED_MARK).length === 0) await pause(LOOK_EVERY_MS);
  // To count is to collect, more thoroughly than a collection does it: what was compiled and not run lately goes too. So it comes before the bytes.
  const objects = countObjects();
  // What a collection finalises may free more.
  for (let round = 0; round < 3; round++) {
    await nextTurn();
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  const handles: Record<string, number> = {};
  for (const type of process.getActiveResourcesInfo()) handles[type] = (handles[type] ?? 0) + 1;
  return { objects, handles, bytes: heapUsed + external };
}

// The workers of the store load this too.
if (isMainThread) {
  Object.assign(globalThis, { [COUNT]: countThem });
  process.on('SIGWINCH', () => void remains().then((found) => process.stdout.write(`remains ${JSON.stringify(found)}\n`)));
}
