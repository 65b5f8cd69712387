import { t, type Test } from 'tap';
import { HubPresencePlace } from '../../../src/bus/hub/presence-place.ts';
import { Filter } from '../../../src/model/topic.ts';
import { Presence } from '../../../src/presence/presence.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { presenceContract, shown, shows } from '../../contract/presence.ts';
import { hubWorker, openHub } from '../../support/hub.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const GRACE_MS = 400;
/** Nothing is to end because the machine is busy. */
const LONG_TTL_MS = 120_000;

interface Opened {
  readonly presence: Presence;
  readonly place: HubPresencePlace;
}

async function open(t: Test, path: string, { logId = 'log', ttlMs = LONG_TTL_MS } = {}): Promise<Opened> {
  const place = new HubPresencePlace({ connection: hubWorker(path).connection, ttlMs, clock: systemClock });
  const presence = new Presence({ place, mayHaveOthers: true, clock: systemClock, now: () => Date.now(), graceMs: GRACE_MS, counters: new Counters(), frameOf: (json) => Buffer.from(json) });
  t.teardown(() => presence.close());
  presence.join(logId);
  await until('it is up', () => presence.isWhole);
  return { presence, place };
}

const topic = (...names: string[]): Filter => new Filter(names);
const alice = { id: 'alice', meta: '{"a":1}' };

const shared = await openHub(t);
let logs = 0;
presenceContract('in the hub', {
  graceMs: GRACE_MS,
  open: async (t, count) => {
    const logId = `contract${logs++}`;
    return Promise.all(Array.from({ length: count }, async () => (await open(t, shared.path, { logId })).presence));
  },
  // What has to pass passes by itself: whoever waits for what comes after it waits long enough.
  pass: () => Promise.resolve(),
});
