import { parentPort } from 'node:worker_threads';
import { searchRange } from './search.ts';

/** The first and the last of some seeds. */
export type Range = readonly [first: number, last: number];

// A thread of `npm run simulate -- --jobs`: it is given one range of seeds after another, and answers each with the failure or without one.
parentPort!.on('message', ([first, last]: Range) => void searchRange(first, last).then((failure) => parentPort!.postMessage(failure)));
