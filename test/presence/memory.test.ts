import { t, type Test } from 'tap';
import { RedisPresencePlace } from '../../src/bus/redis/presence-place.ts';
import { Filter } from '../../src/model/topic.ts';
import type { PresencePlace } from '../../src/presence/place.ts';
import { Presence } from '../../src/presence/presence.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { heldBytes } from '../support/garbage.ts';
import { recordingLogger } from '../support/logger.ts';
import { startRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';

/** What presence keeps in an instance for each stream. The difference between two sizes leaves out what is there once. */

const FEW_STREAMS = 5_000;
const MANY_STREAMS = 10_000;
const KEPT_MAX_BYTES = 512;

async function keptBytes(t: Test, topics: number, place: PresencePlace | undefined): Promise<number> {
  const presence = new Presence({ place, mayHaveOthers: false, clock: systemClock, now: () => Date.now(), graceMs: 1, counters: new Counters(), frameOf: (json) => Buffer.from(json) });
  t.teardown(() => presence.close());
  presence.join('log');
  await until('it is up', () => presence.isWhole || place === undefined);
  const names = Array.from({ length: topics }, (_, index) => `topic ${index}`);
  const held: number[] = [];
  for (let index = 0; index < MANY_STREAMS; index++) {
    presence.enter(new Filter([names[index % topics]!]), { id: `member ${index}`, meta: undefined });
    const count = index + 1;
    if (count !== FEW_STREAMS && count !== MANY_STREAMS) continue;
    await until('all are told', async () => (await presence.counts([names.at(-1)!])).answer[0]!.streams === count / topics);
    held.push(heldBytes('heapUsed'));
  }
  return (held[1]! - held[0]!) / (MANY_STREAMS - FEW_STREAMS);
}

const redis = await startRedis(t);

for (const topics of [1, 1_000]) {
  t.test(`a member on ${topics} topics takes at most half a KiB in its instance, without Redis and with it`, async (t) => {
    const alone = await keptBytes(t, topics, undefined);
    t.ok(alone < KEPT_MAX_BYTES, `${alone} bytes alone`);
    const place = new RedisPresencePlace({ url: redis.url, ttlMs: 600_000, clock: systemClock, logger: recordingLogger().logger });
    const told = await keptBytes(t, topics, place);
    t.ok(told < KEPT_MAX_BYTES, `${told} bytes with Redis`);
  });
}
