import { t } from 'tap';
import type { Outlet } from '../../src/delivery/reader/stream-socket.ts';
import { FULL_GRANT } from '../../src/model/grant.ts';
import { Filter } from '../../src/model/topic.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Page, ReadQuery } from '../../src/store/store.ts';
import { settle } from '../support/clock.ts';
import { MemoryStore } from '../support/memory-store.ts';
import { buildSpine } from '../support/spine.ts';

/** As in catchup-reads.ts. */
const READS = 4;
const TOPICS = 40;

/** A log whose filtered reads are answered when the test lets them. */
class HeldStore extends MemoryStore {
  underWay = 0;
  most = 0;
  #held: (() => void)[] = [];

  override async read(query: ReadQuery): Promise<Page> {
    if (query.filter === undefined) return super.read(query);
    this.underWay++;
    this.most = Math.max(this.most, this.underWay);
    await new Promise<void>((release) => void this.#held.push(release));
    this.underWay--;
    return super.read(query);
  }

  release(): void {
    this.#held.shift()?.();
  }
}

class CountingOutlet implements Outlet {
  messages = 0;
  readonly writableLength = 0;
  readonly writableNeedDrain = false;

  write(bytes: Uint8Array): boolean {
    this.messages += Buffer.from(bytes).toString().match(/^data: x$/gm)?.length ?? 0;
    return true;
  }

  destroySoon(): void {}

  destroy(): void {}
}

t.test('however many streams are behind in however many topics, a few reads of the log are under way, and all get their turn', async (t) => {
  const store = new HeldStore();
  await store.open();
  for (let count = 0; count < 30 * TOPICS; count++) store.commit({ topic: `topic${count % TOPICS}` });
  const { log, delivery, counters } = buildSpine({
    store, clock: systemClock, settings: { tailBytes: 1, pollMs: 60_000, maxStreams: 10_000, heartbeatMs: 60_000, stallMs: 60_000, retryMinMs: 1, retryMaxMs: 1 },
  });
  const { streams } = delivery;
  await log.open(store.log(), delivery.fanout);
  t.teardown(() => {
    log.stop();
    delivery.stop();
  });

  const at = store.log().lineage.at(0);
  const outlets = Array.from({ length: 10 * TOPICS }, (_, index) => {
    const outlet = new CountingOutlet();
    streams.open(FULL_GRANT, new Filter([`topic${index % TOPICS}`]), { form: 'data', control: false, chunked: true, lastChunk: false }, outlet, { at, gap: undefined });
    return outlet;
  });
  await settle();
  t.equal(store.underWay, READS);
  while (store.underWay > 0) {
    store.release();
    await settle();
  }
  t.equal(store.most, READS, 'never more');
  t.ok(outlets.every(({ messages }) => messages === 30));
  t.equal(counters.reads, TOPICS, 'one read for the ten of each topic');
  t.same(streams.behind, { readers: 0, furthest: 0 });
});
