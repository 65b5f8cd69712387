import type { Logger } from 'pino';
import { LocalBus } from '../../../src/bus/local.ts';
import { readConfig } from '../../../src/config/config.ts';
import { Audience } from '../../../src/delivery/audience.ts';
import { Catchup } from '../../../src/delivery/catchup.ts';
import { Fanout } from '../../../src/delivery/fanout.ts';
import type { Reader } from '../../../src/delivery/reader.ts';
import { Streams } from '../../../src/delivery/stream-registry.ts';
import type { Service } from '../../../src/http/service.ts';
import { History } from '../../../src/log/history.ts';
import { Publisher } from '../../../src/log/publisher.ts';
import { Starts } from '../../../src/log/start.ts';
import { StoreClock } from '../../../src/log/store-clock.ts';
import { Tail } from '../../../src/log/tail.ts';
import { systemClock as clock, type Clock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { recordingLogger } from '../../support/logger.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { fakeService } from '../../support/service.ts';
import type { Scope } from '../../support/temp.ts';

/** The real service on a log in memory, which can be told to fail: the same requests in the same order have the same answers, ids included. */
export interface Spine {
  readonly service: Service;
  readonly store: MemoryStore;
  readonly streams: Streams;
  /** Looks after the streams: a heartbeat for some, the end for those that were refused. Otherwise nobody does, and none is written anything by chance. */
  readonly tick: () => void;
  /** What was logged, one JSON object a line. */
  readonly lines: readonly string[];
}

export async function openSpine(t: Scope, environment: Readonly<Record<string, string>> = {}): Promise<Spine> {
  const config = readConfig(environment, { dotenv: false });
  const { logger, lines }: { logger: Logger; lines: string[] } = recordingLogger();
  const store = new MemoryStore();
  const storeClock = new StoreClock(clock);
  const counters = new Counters();
  const audience = new Audience();
  const tail = new Tail({ store, clock, storeClock, counters, logger, maxBytes: config.TAIL_BYTES, pollMs: config.POLL_MS });
  const catchup = new Catchup({ store, tail, clock, storeClock, counters, logger });
  const fanout = new Fanout({ tail, audience, catchup, clock, storeClock, counters });
  let look = (): void => undefined;
  const steps: Clock = { ...clock, after: (_milliseconds, task) => {
    look = task;
    return { cancel: () => void (look = () => undefined) };
  } };
  const streams = new Streams({
    audience, fanout, catchup,
    around: { tail, counters, clock: steps, blocked: new Set<Reader>() },
    settings: {
      maxStreams: config.MAX_STREAMS, heartbeatMs: config.HEARTBEAT_SECONDS * 1000, stallMs: config.STALL_SECONDS * 1000,
      retryMinMs: config.RETRY_MIN_MS, retryMaxMs: config.RETRY_MAX_MS,
    },
  });
  const starts = new Starts({ store, tail, storeClock });
  const history = new History({ store, tail, audience, starts, clock, storeClock, maxWaiting: config.MAX_STREAMS });
  const publisher = new Publisher({
    store, tail, bus: new LocalBus(), clock, counters, logger, maxMessages: config.APPEND_QUEUE_MESSAGES, maxBytes: config.APPEND_QUEUE_BYTES,
  });
  await tail.start(await store.open(), fanout);
  t.teardown(() => {
    streams.stop();
    publisher.stop();
    catchup.stop();
    tail.stop();
  });
  const fake = fakeService();
  const service: Service = {
    ...fake, config, logger, counters, publisher, history, starts, streams,
    gauges: () => ({ ...fake.gauges(), streams: streams.open, head: tail.log?.head ?? 0, tailMessages: tail.length, tailBytes: tail.bytes, appendsWaiting: publisher.waiting }),
  };
  return { service, store, streams, tick: () => look(), lines };
}
