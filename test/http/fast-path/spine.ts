import { readConfig } from '../../../src/config/config.ts';
import { REGISTRY_TICK_MS, type StreamRegistry } from '../../../src/delivery/stream-registry.ts';
import type { Service } from '../../../src/http/service.ts';
import { systemClock as clock, type Clock } from '../../../src/runtime/clock.ts';
import { recordingLogger } from '../../support/logger.ts';
import { MemoryStore } from '../../support/memory-store.ts';
import { fakeService } from '../../support/service.ts';
import { buildSpine } from '../../support/spine.ts';
import type { Scope } from '../../support/temp.ts';

/** The real service on a log in memory, which can be told to fail: the same requests in the same order have the same answers, ids included. */
export interface Spine {
  readonly service: Service;
  readonly store: MemoryStore;
  readonly streams: StreamRegistry;
  /** Looks after the streams: a heartbeat for some, the end for those that were refused. Otherwise nobody does, and none is written anything by chance. */
  readonly tick: () => void;
  /** What was logged, one JSON object a line. */
  readonly lines: readonly string[];
}

export async function openSpine(t: Scope, environment: Readonly<Record<string, string>> = {}): Promise<Spine> {
  const config = readConfig(environment, { dotenv: false });
  const { logger, lines } = recordingLogger();
  const store = new MemoryStore();
  const fake = fakeService();
  let look = (): void => undefined;
  // The registry of streams alone sets this timer.
  const steps: Clock = { ...clock, after: (milliseconds, task) => {
    if (milliseconds !== REGISTRY_TICK_MS) return clock.after(milliseconds, task);
    look = task;
    return { cancel: () => void (look = () => undefined) };
  } };
  const { log, delivery } = buildSpine({ store, clock: steps, counters: fake.counters, logger, settings: {
    tailBytes: config.TAIL_BYTES, pollMs: config.POLL_MS, queueMessages: config.APPEND_QUEUE_MESSAGES, queueBytes: config.APPEND_QUEUE_BYTES,
    maxStreams: config.MAX_STREAMS, filterBytes: config.FILTER_BYTES, unreadBytes: config.UNREAD_BYTES, heartbeatMs: config.HEARTBEAT_SECONDS * 1000, stallMs: config.STALL_SECONDS * 1000,
    retryMinMs: config.RETRY_MIN_MS, retryMaxMs: config.RETRY_MAX_MS,
  } });
  const { tail, publisher, starts } = log;
  const { streams } = delivery;
  await log.open(await store.open(), delivery.fanout);
  t.teardown(() => {
    log.stop();
    delivery.stop();
  });
  const service: Service = {
    ...fake, config, logger, publisher, starts, streams, filters: delivery.audience,
    history: { page: (request) => delivery.longPolls.page(request), message: (grant, position, holder) => log.history.message(grant, position, holder) },
    gauges: () => ({ ...fake.gauges(), streams: streams.size, longPolls: delivery.longPolls.waiting, head: tail.log?.head ?? 0, tailMessages: tail.length, tailBytes: tail.bytes, appendsWaiting: publisher.waiting }),
  };
  return { service, store, streams, tick: () => look(), lines };
}
