import { now } from './clock.ts';
import type { FloodOptions, OpenOptions, PublishOptions, ReadOptions } from './protocol.ts';
import { flood, publish, type PublishPart } from './publisher.ts';
import { Reader } from './reader.ts';
import { replay } from './replay.ts';
import type { Outcome, Run } from './run.ts';
import type { Part } from './streams.ts';
import { warm } from './warm.ts';

/** A load process: carries out one operation for each message of its parent, several at once, and ends when the parent is gone. */

const reader = new Reader();
const { streams } = reader;

const operations = {
  open: (options: OpenOptions, part: Part) => streams.open({ ...options, topics: options.streams.topics }, part),
  follow: (run: Run) => reader.follow(run),
  settle: (outcome: Outcome) => reader.settle(outcome),
  forget: () => reader.forget(),
  publish: (options: PublishOptions, part: PublishPart) => publish(options, part),
  flood: (options: FloodOptions, part: PublishPart) => flood(options, part),
  read: (options: ReadOptions, part: Part) => replay(options, part),
  cut: () => {
    const at = now();
    streams.cut();
    return at;
  },
  reopen: (concurrency: number | undefined) => streams.reopen(concurrency),
  whole: () => streams.whole(),
  streams: () => streams.counts,
  warm: () => warm(),
  close: () => streams.close(),
};

export type Operations = typeof operations;

export interface Call {
  readonly id: number;
  readonly operation: keyof Operations;
  readonly args: readonly unknown[];
}

export type Answer = { readonly id: number; readonly result: unknown } | { readonly id: number; readonly error: string };

async function answer({ id, operation, args }: Call): Promise<void> {
  let said: Answer;
  try {
    const carryOut = operations[operation] as (...args: readonly unknown[]) => unknown;
    said = { id, result: await carryOut(...args) };
  } catch (error) {
    said = { id, error: error instanceof Error ? error.stack ?? error.message : String(error) };
  }
  process.send?.(said);
}

if (process.send !== undefined) {
  process.on('message', (call: Call) => void answer(call));
  process.on('disconnect', () => process.exit());
}
