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
 * This room brings messages to clients. New messages come in from the tail, and streams from HTTP; frames go out to sockets, and pages to long polls.
 *
 * Read in this order: groups of readers (`audience.ts`), live delivery (`fanout.ts`, `fanout-sweep.ts`), readers that are behind (`catchup/catchup.ts`), one stream
 * (`reader/reader.ts`), the open streams (`stream-registry.ts`), and long polls (`long-polls.ts`).
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

/** Makes the parts of this room, and connects them. */
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
