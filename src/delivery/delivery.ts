import type { MessageLog } from '../log/log.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Counters } from '../runtime/counters.ts';
import type { Logger } from '../runtime/logging/logger.ts';
import type { TcpTable } from '../runtime/sockets/tcp-table.ts';
import type { Store } from '../store/store.ts';
import { Audience } from './audience.ts';
import { Catchup } from './catchup/catchup.ts';
import { Fanout } from './fanout.ts';
import { LongPolls } from './long-polls.ts';
import { StreamRegistry, type StreamSettings } from './stream-registry.ts';

/**
 * This room brings messages to clients. The tail hands each new message to the fan-out, which finds the groups of readers that want it (audience)
 * and writes to their sockets in sweeps. A reader that is behind is served by catch-up, from the tail or from the log, until it is live. The stream registry
 * opens and ends streams. SSE frames in HTTP chunks go out. Long polls wait at the same position, and are answered with a page of history.
 */

export interface DeliveryDependencies {
  readonly store: Store;
  readonly log: MessageLog;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly logger: Logger;
  readonly table: TcpTable;
  readonly settings: StreamSettings;
}

/** The parts of the room, put together. */
export class Delivery {
  readonly audience: Audience;
  readonly catchup: Catchup;
  readonly fanout: Fanout;
  readonly streams: StreamRegistry;
  readonly longPolls: LongPolls;

  constructor({ store, log: { tail, storeClock, history, starts }, clock, counters, logger, table, settings }: DeliveryDependencies) {
    const audience = new Audience({ maxFilterBytes: settings.filterBytes, counters });
    this.audience = audience;
    const catchup = new Catchup({ store, tail, clock, storeClock, counters, logger });
    const fanout = new Fanout({ tail, audience, catchup, clock, storeClock, counters });
    this.catchup = catchup;
    this.fanout = fanout;
    this.streams = new StreamRegistry({ tail, audience, fanout, catchup, clock, counters, logger, table, settings });
    this.longPolls = new LongPolls({ history, tail, audience, starts, clock, maxWaiting: settings.maxStreams, counters });
  }

  /** Ends all streams at once, and stops reading the log for them. */
  stop(): void {
    this.streams.stop();
    this.catchup.stop();
  }
}
