import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { rounds } from '../support/rounds.ts';
import { chaos } from './chaos.ts';
import type { Fault, FaultKind } from './faults.ts';
import { STORES } from './fleet.ts';
import { report } from './report.ts';
import { shortest } from './shortest.ts';

/** Decides what goes wrong; another one: `SEED=… npx tap test/chaos/run.test.ts`. */
const SEED = Number(process.env['SEED'] || 4);
/** Short, as the whole run is to be: `npm run chaos` has long ones. Milliseconds. */
const LONGEST = 2_000;
/** Every fourth asks for a pattern, and every fourth for several topics at once. */
const STREAMS = rounds(30, 300);
/** As many of each of five kinds of receiver. */
const WEBHOOKS = rounds(5, 10);

// Most of it is waiting for what is frozen, cut off or away.
t.jobs = STORES.length;

for (const store of STORES) {
  t.test(`${store}, three instances behind HAProxy, everything going wrong that can: every stream gets every message once, in order, every webhook delivers each in order, and every 201 is kept`, async (t) => {
    const { recording, summary, skipped, possible } = await chaos(t, {
      seed: SEED, store, streams: STREAMS, publishers: 8, webhooks: WEBHOOKS, longest: LONGEST,
      more: (faults, kinds) => !hasAll(faults, kinds), say: (line) => t.comment(line),
    });
    t.comment(`${summary}\n${report(recording, skipped)}`);
    const wrong = check(recording);
    if (wrong.length > 0) t.comment(`--store ${store} --seed ${SEED} shows it:\n${shortest(recording, wrong[0]!)}`);
    t.same(summarise(wrong), []);
    t.ok(hasAll(recording.faults, possible), 'everything went wrong');
    t.ok(recording.receivers!.every(({ entries }) => entries.length > 0), 'each receiver got something');
    t.ok(recording.streams.every(({ entries }) => entries.length > 0), 'each stream got something');
  });
}

function hasAll(faults: readonly Fault[], kinds: readonly FaultKind[]): boolean {
  return new Set(faults.map(({ kind }) => kind)).size === kinds.length;
}
