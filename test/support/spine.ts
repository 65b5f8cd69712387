import { createParser } from 'eventsource-parser';
import { LocalBus } from '../../src/bus/local.ts';
import { Delivery } from '../../src/delivery/delivery.ts';
import type { Reader } from '../../src/delivery/reader/reader.ts';
import type { Outlet } from '../../src/delivery/reader/stream-socket.ts';
import type { StreamSettings } from '../../src/delivery/stream-registry.ts';
import { MessageLog, type MessageLogDependencies, type MessageLogSettings } from '../../src/log/log.ts';
import type { StartRequest } from '../../src/log/history/start-position.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import type { Position } from '../../src/model/position.ts';
import { Filter } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { TcpTable } from '../../src/runtime/sockets/tcp-table.ts';
import { chunksOf } from './chunks.ts';
import { TestClock } from './clock.ts';
import { quietLogger } from './logger.ts';
import { MemoryStore } from './memory-store.ts';
import type { Scope } from './temp.ts';

const SETTINGS: MessageLogSettings & StreamSettings = {
  tailBytes: 10_000_000, pollMs: 1000, queueMessages: 10_000, queueBytes: 64 * 1024 * 1024, retentionMs: 0, retentionBytes: 0, topicShare: 0, senderShare: 0, maxKeys: 0,
  maxStreams: 1000, filterBytes: 64 * 1024 * 1024, unreadBytes: 64 * 1024 * 1024, heartbeatMs: 10_000, stallMs: 30_000, retryMinMs: 1000, retryMaxMs: 4000,
};

/** Test sockets are in no table. */
const NO_TABLE: TcpTable = { read: () => Promise.resolve(undefined) };

/** Everything between the store and the sockets, put together as src/main.ts does it. Nothing is open yet. */
export function buildSpine({ bus = new LocalBus(), counters = new Counters(), logger = quietLogger, table = NO_TABLE, settings = {}, ...rest }:
Pick<MessageLogDependencies, 'store' | 'clock'> & Partial<Omit<MessageLogDependencies, 'settings'>> & { readonly table?: TcpTable; readonly settings?: Partial<typeof SETTINGS> }) {
  const dependencies = { ...rest, bus, counters, logger, settings: { ...SETTINGS, ...settings } };
  const log = new MessageLog(dependencies);
  return { log, delivery: new Delivery({ ...dependencies, table, log }), counters };
}

/** A socket whose client reads, or does not, as the test says. */
export class TestOutlet implements Outlet {
  readonly seen: string[] = [];
  writes = 0;
  largest = 0;
  writableLength = 0;
  writableNeedDrain = false;
  /** How much of a write the kernel has not taken, and the connection, where a test says so. */
  _handle: { writeQueueSize: number } | undefined;
  localAddress: string | undefined;
  localPort: number | undefined;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  ended: 'soon' | 'now' | undefined;
  isStuck = false;
  readonly #onWrite: (outlet: TestOutlet) => void;
  readonly #parser = createParser({
    onEvent: ({ event, id, data }) => void this.seen.push(event?.startsWith('$') === true ? `${event} ${id ?? ''}`.trim() : `${id?.split('-')[1]}=${data}`),
    onComment: () => void this.seen.push(':'),
  });

  /** @param onWrite Called after each write: it may let time pass. */
  constructor(onWrite: (outlet: TestOutlet) => void = () => undefined) {
    this.#onWrite = onWrite;
  }

  write(bytes: Uint8Array): boolean {
    this.writes++;
    this.largest = Math.max(this.largest, bytes.length);
    // Several chunks may be in one write.
    for (const frame of chunksOf(bytes)) this.#parser.feed(frame.toString());
    if (this.isStuck) {
      this.writableLength += bytes.length;
      this.writableNeedDrain = true;
    }
    this.#onWrite(this);
    return !this.isStuck;
  }

  destroySoon(): void {
    this.ended = 'soon';
  }

  destroy(): void {
    this.ended = 'now';
  }
}

/** Everything between the store and the sockets, on a clock that the test moves. */
export async function begin(t: Scope, options: { messages?: number; tailBytes?: number; heartbeatMs?: number; filterBytes?: number; unreadBytes?: number; store?: MemoryStore; table?: TcpTable } = {}) {
  const { store = new MemoryStore() } = options;
  await store.open();
  for (let count = 0; count < (options.messages ?? 0); count++) store.commit({ topic: count % 2 === 0 ? 'even' : 'odd' });
  const clock = new TestClock();
  const warnings: string[] = [];
  const audited: object[] = [];
  const { log, delivery, counters } = buildSpine({
    store, clock, ...(options.table === undefined ? {} : { table: options.table }),
    audit: { info: (facts: object | string) => void (typeof facts === 'object' && audited.push(facts)) },
    logger: { ...quietLogger, warn: (_facts: object, sentence: string) => void warnings.push(sentence) },
    settings: { tailBytes: options.tailBytes ?? 10_000_000, heartbeatMs: options.heartbeatMs ?? 10_000, ...(options.filterBytes === undefined ? {} : { filterBytes: options.filterBytes }), ...(options.unreadBytes === undefined ? {} : { unreadBytes: options.unreadBytes }) },
  });
  const { tail, starts, history } = log;
  const { audience, catchup, fanout, streams } = delivery;
  await log.open(store.log(), fanout);
  t.teardown(() => {
    log.stop();
    delivery.stop();
  });
  /** What happens after each write to a stream. */
  const hooks = { written: (_outlet: TestOutlet): void => undefined };
  const open = (names: string[], at: Position = tail.position): { outlet: TestOutlet; reader: Reader } => {
    const outlet = new TestOutlet((written) => hooks.written(written));
    const reader = streams.open(FULL_GRANT, new Filter(names), { form: 'data', control: true, chunked: true, lastChunk: false }, outlet, tail.locate(at, store.log()));
    return { outlet, reader };
  };
  const ask = async (names: string[], request: StartRequest): Promise<{ outlet: TestOutlet; reader: Reader }> => {
    const start = await starts.resolve(request, { filter: new Filter(names), hasLeft: () => false });
    const outlet = new TestOutlet();
    return { outlet, reader: streams.open(FULL_GRANT, new Filter(names), { form: 'data', control: true, chunked: true, lastChunk: false }, outlet, start) };
  };
  const publish = (topic: string, data = 'x', ttl = 0): void => {
    const message = store.commit({ topic, data: Buffer.from(data), ttl });
    tail.offer([message]);
  };
  const drain = (outlet: TestOutlet, reader: Reader): void => {
    outlet.writableLength = 0;
    outlet.writableNeedDrain = false;
    streams.drained(reader);
  };
  return { store, clock, hooks, counters, tail, starts, history, eraser: log.eraser, longPolls: delivery.longPolls, audience, fanout, catchup, streams, open, ask, publish, drain, warnings, audited, at: (seq: number): Position => store.log().lineage.at(seq) };
}

/** The numbers of the messages that it was written. */
export const numbers = (outlet: TestOutlet): number[] => outlet.seen.filter((line) => /^\d/.test(line)).map((line) => Number(line.split('=')[0]));

