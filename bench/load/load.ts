import type { Delivered, Flooded, FloodOptions, Opened, OpenOptions, PublishOptions, ReadOptions, ReadResult, Reopened, ReopenOptions, Streams } from './protocol.ts';

export interface LoadOptions {
  /** Processes that hold streams, each an even part of them; 1 if absent. Publishing has a process of its own. */
  readonly processes?: number;
  /** A command that they are started by: `['taskset', '-c', '1']`. */
  readonly by?: readonly string[];
}

/** The load generator: streams and publishes in processes of their own. */
export class Load {
  static async start(options: LoadOptions = {}): Promise<Load> {
    throw new Error(`not there yet: ${JSON.stringify(options)}`);
  }

  get pids(): readonly number[] {
    return [];
  }

  /** Opens streams, beside those that are open already. Resolves when each is open (on Tidings: `$open` was seen) or has failed. */
  declare open: (options: OpenOptions) => Promise<Opened>;

  /** Publishes on a schedule, and waits until all streams have everything or nothing has come for a while. */
  declare publish: (options: PublishOptions) => Promise<Delivered>;

  /** Publishes as fast as answers come. */
  declare flood: (options: FloodOptions) => Promise<Flooded>;

  /** Opens streams that read old messages as fast as they come (Tidings only), and closes them again. */
  declare read: (options: ReadOptions) => Promise<ReadResult>;

  /** Cuts all streams at once. A `publish` may go on meanwhile. Answers with the moment, as `now()` of clock.ts gives it. */
  declare cut: () => Promise<number>;

  /** Brings streams that were cut back, each with the id that it saw last. */
  declare reopen: (options: ReopenOptions) => Promise<Reopened>;

  /** Resolves when all streams are open again by themselves (`reconnectMs`), after a server that was killed, for example. */
  declare whole: () => Promise<Reopened>;

  declare streams: () => Promise<Streams>;

  /** Closes all streams. */
  declare close: () => Promise<void>;

  /** Ends the processes. */
  declare stop: () => Promise<void>;
}
