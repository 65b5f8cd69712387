import { createParser } from 'eventsource-parser';
import { Audience } from '../../src/delivery/audience.ts';
import { Catchup } from '../../src/delivery/catchup.ts';
import { Fanout } from '../../src/delivery/fanout.ts';
import type { Outlet, Reader } from '../../src/delivery/reader.ts';
import { unchunked } from '../../src/delivery/sse.ts';
import { Streams } from '../../src/delivery/stream-registry.ts';
import { Starts, type StartRequest } from '../../src/log/start.ts';
import { StoreClock } from '../../src/log/store-clock.ts';
import { Tail } from '../../src/log/tail.ts';
import { locate } from '../../src/model/gap.ts';
import type { Position } from '../../src/model/position.ts';
import { Filter } from '../../src/model/topic.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { TestClock } from './clock.ts';
import { quietLogger } from './logger.ts';
import { MemoryStore } from './memory-store.ts';
import type { Scope } from './temp.ts';

/** A socket whose client reads, or does not, as the test says. */
export class TestOutlet implements Outlet {
  readonly seen: string[] = [];
  writes = 0;
  largest = 0;
  writableLength = 0;
  writableNeedDrain = false;
  ended: 'soon' | 'now' | undefined;
  isStuck = false;
  readonly #onWrite: (outlet: TestOutlet) => void;
  readonly #parser = createParser({
    onEvent: ({ event, id, data }) => void this.seen.push(event?.startsWith('$') === true ? `${event} ${id ?? ''}`.trim() : `${id?.split('-')[1]}=${data}`),
    onComment: () => void this.seen.push(':'),
  });

  /** @param onWrite Called behind each write: it may let time pass. */
  constructor(onWrite: (outlet: TestOutlet) => void = () => undefined) {
    this.#onWrite = onWrite;
  }

  write(bytes: Uint8Array): boolean {
    this.writes++;
    this.largest = Math.max(this.largest, bytes.length);
    // Several chunks may be in one write.
    for (let rest = Buffer.from(bytes); rest.length > 0; ) {
      const start = rest.indexOf('\r\n') + 2;
      const length = Number.parseInt(rest.subarray(0, start).toString(), 16);
      this.#parser.feed(unchunked(rest.subarray(0, start + length + 2)).toString());
      rest = rest.subarray(start + length + 2);
    }
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
export async function begin(t: Scope, options: { messages?: number; tailBytes?: number; heartbeatMs?: number } = {}) {
  const store = new MemoryStore();
  await store.open();
  for (let count = 0; count < (options.messages ?? 0); count++) store.commit({ topic: count % 2 === 0 ? 'even' : 'odd' });
  const clock = new TestClock();
  const storeClock = new StoreClock(clock);
  const counters = new Counters();
  const tail = new Tail({ store, clock, storeClock, counters, logger: quietLogger, maxBytes: options.tailBytes ?? 10_000_000, pollMs: 1000 });
  const audience = new Audience();
  const warnings: string[] = [];
  const catchup = new Catchup({ store, tail, clock, storeClock, counters, logger: { ...quietLogger, warn: (_facts: object, sentence: string) => void warnings.push(sentence) } });
  const fanout = new Fanout({ tail, audience, catchup, clock, storeClock, counters });
  const streams = new Streams({
    audience, fanout, catchup,
    around: { tail, counters, clock, blocked: new Set<Reader>() },
    settings: { maxStreams: 1000, heartbeatMs: options.heartbeatMs ?? 10_000, stallMs: 30_000, retryMinMs: 1000, retryMaxMs: 4000 },
  });
  await tail.start(store.log(), fanout);
  t.teardown(() => {
    tail.stop();
    catchup.stop();
    streams.stop();
  });
  /** What happens behind each write to a stream. */
  const hooks = { written: (_outlet: TestOutlet): void => undefined };
  const open = (names: string[], at: Position = tail.position): { outlet: TestOutlet; reader: Reader } => {
    const outlet = new TestOutlet((written) => hooks.written(written));
    const reader = streams.start(new Filter(names), { form: 'data', control: true, chunked: true }, outlet, locate(at, store.log()));
    return { outlet, reader };
  };
  const starts = new Starts({ store, tail, storeClock });
  const ask = async (names: string[], request: StartRequest): Promise<{ outlet: TestOutlet; reader: Reader }> => {
    const start = await starts.resolve(request);
    const outlet = new TestOutlet();
    return { outlet, reader: streams.start(new Filter(names), { form: 'data', control: true, chunked: true }, outlet, start) };
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
  return { store, clock, hooks, counters, tail, audience, fanout, catchup, streams, open, ask, publish, drain, warnings, at: (seq: number): Position => store.log().lineage.at(seq) };
}

/** The numbers of the messages that it was written. */
export const numbers = (outlet: TestOutlet): number[] => outlet.seen.filter((line) => /^\d/.test(line)).map((line) => Number(line.split('=')[0]));

