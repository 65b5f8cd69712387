import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { LongPolls } from '../delivery/long-polls.ts';
import type { StreamRegistry } from '../delivery/stream-registry.ts';
import type { History } from '../log/history.ts';
import type { Publisher } from '../log/publisher.ts';
import type { Starts } from '../log/start.ts';
import type { Counters } from '../runtime/counters.ts';

/** Everything that routes are handed: what this instance can do, and how it is. */
export interface Service {
  readonly config: Config;
  readonly logger: Logger;
  readonly publisher: Pick<Publisher, 'publish'>;
  readonly history: Pick<LongPolls, 'page'> & Pick<History, 'message'>;
  readonly starts: Pick<Starts, 'isReady' | 'resolve'>;
  readonly streams: Pick<StreamRegistry, 'isFull' | 'open' | 'refuse' | 'drained' | 'closed'>;
  readonly counters: Counters;
  /** From the first SIGTERM on. */
  readonly draining: boolean;
  readiness(): Readiness;
  gauges(): Gauges;
}

export interface Readiness {
  /** Whether a load balancer should send requests here. */
  readonly ready: boolean;
  /** `degraded`: it works, but messages of other instances come later, since the bus is away. */
  readonly status: 'ready' | 'degraded' | 'starting' | 'draining' | 'unavailable';
  readonly detail?: Readonly<Record<string, string | number | boolean>>;
}

/** What metrics show as of now. */
export interface Gauges {
  readonly streams: number;
  /** History requests that wait for a first message. */
  readonly longPolls: number;
  /** Streams that read the log since they are not at the tail's end, and by how many numbers the last of them is behind. */
  readonly readersBehind: number;
  readonly furthestBehind: number;
  /** The tail: how many messages, their bytes, and its first and last number. */
  readonly tailMessages: number;
  readonly tailBytes: number;
  readonly tailFirst: number;
  readonly tailLast: number;
  /** The log, as it was last seen: its newest number, its oldest, and the bytes of its messages. */
  readonly head: number;
  readonly oldest: number;
  readonly logBytes: number;
  /** Messages waiting to be stored. */
  readonly appendsWaiting: number;
  /** 1 or 0. */
  readonly bus: number;
  readonly database: number;
  readonly draining: number;
}
