import { t } from 'tap';
import type { Rate } from '../../src/config/rate.ts';
import { LEDGER_WAIT_MS, NO_LEDGER, type Ledger } from '../../src/limits/ledger.ts';
import { Limits, type LimitsSettings } from '../../src/limits/limits.ts';
import type { Place } from '../../src/limits/stream-places.ts';
import { Problem } from '../../src/model/problem.ts';
import { Counters } from '../../src/runtime/counters.ts';
import { settle, TestClock } from '../support/clock.ts';
import { quietLogger } from '../support/logger.ts';
import { MemoryLedgers } from '../support/memory-ledger.ts';

const OFF: LimitsSettings = { publish: undefined, anonymousPublish: undefined, failedLogins: undefined, streams: 0, anonymousStreams: 0, topics: 0, idempotencyKeys: 0, idempotencyMs: 1000 };
/** 10 in a second, 100 at once. An instance may grant 10 that the ledger has not heard of. */
const RATE: Rate = { tokens: 10, milliseconds: 1000, burst: 100 };
const CREDIT = 10;
const ALICE = { id: 'key:alice', isAnonymous: false };
const BOB = { id: 'key:bob', isAnonymous: false };
const STRANGER = { id: 'address:192.0.2.1', isAnonymous: true };

interface Built {
  readonly limits: Limits;
  readonly counters: Counters;
}

function build(clock: TestClock, settings: Partial<LimitsSettings>, ledger: Ledger = NO_LEDGER): Built {
  const counters = new Counters();
  const limits = new Limits({ settings: { ...OFF, ...settings }, ledger, clock, counters, logger: quietLogger });
  limits.join('log');
  return { limits, counters };
}

/** How many of so many attempts are granted. */
async function granted(attempts: number, attempt: () => Problem | undefined | Promise<Problem | undefined>): Promise<number> {
  let count = 0;
  for (let index = 0; index < attempts; index++) if (await attempt() === undefined) count++;
  return count;
}

t.test('a burst is granted at once, and then as much as comes back', async (t) => {
  const clock = new TestClock();
  const { limits, counters } = build(clock, { publish: RATE });
  t.equal(await granted(150, () => limits.publish(ALICE, 1)), 100);
  t.equal(await granted(10, () => limits.publish(BOB, 1)), 10, 'each sender has its own');
  await clock.advance(500);
  t.equal(await granted(50, () => limits.publish(ALICE, 1)), 5);
  await clock.advance(60_000);
  t.equal(await granted(150, () => limits.publish(ALICE, 1)), 100, 'and no more than the burst after a pause');
  t.equal(counters.limited.publish, 50 + 45 + 50);
});

t.test('a refusal says when to come back, and what the limit is', async (t) => {
  const clock = new TestClock();
  const { limits } = build(clock, { publish: RATE });
  t.equal(limits.publish(ALICE, 70), undefined);
  const refused = limits.publish(ALICE, 60) as Problem;
  t.equal(refused.code, 'rate-limited');
  t.same(refused.spent, { policy: 'publish', quota: 100, windowSeconds: 10, left: 30, retrySeconds: 3 });
  await clock.advance(refused.spent!.retrySeconds * 1000);
  t.equal(limits.publish(ALICE, 60), undefined, 'then it is granted');
});

t.test('a batch that is larger than the burst is granted whole once the bucket is full, and owed', async (t) => {
  const clock = new TestClock();
  const { limits } = build(clock, { publish: RATE });
  t.equal(limits.publish(ALICE, 300), undefined);
  await clock.advance(19_900);
  t.ok(limits.publish(ALICE, 1), '200 are owed, and come back in 20 seconds');
  await clock.advance(200);
  t.equal(limits.publish(ALICE, 1), undefined);
  t.ok(limits.publish(ALICE, 101), 'another one waits for a full bucket');
  t.equal(limits.publish(BOB, 1), undefined);
  t.equal(limits.publish(BOB, 299, 1), undefined, 'what was charged for the same request before does not stand in its way');
});

t.test('where no limit is set, nobody is refused and nothing is counted', async (t) => {
  const ledgers = new MemoryLedgers(new TestClock());
  const { limits, counters } = build(ledgers.clock as TestClock, {}, ledgers.instance());
  for (const sender of [ALICE, STRANGER]) {
    t.equal(await granted(10_000, () => limits.publish(sender, 1)), 10_000);
    t.equal(limits.topics(sender, ['a', 'b']), undefined);
    t.equal(limits.idempotencyKey(sender), undefined);
    t.ok(await limits.stream(sender));
  }
  t.equal(limits.failedLogin('192.0.2.1'), undefined);
  t.equal(ledgers.commands, 0);
  t.equal(counters.countedAlone, 0);
});

t.test('keys and strangers have limits of their own', async (t) => {
  const { limits } = build(new TestClock(), { anonymousPublish: { ...RATE, burst: 5 } });
  t.equal(await granted(20, () => limits.publish(ALICE, 1)), 20);
  t.equal(await granted(20, () => limits.publish(STRANGER, 1)), 5);
});

t.test('instances count together: the sum is bounded by the limit and a tenth of the burst for each of them', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const fleet = Array.from({ length: 4 }, () => build(clock, { publish: RATE }, ledgers.instance()));
  let sum = 0;
  const all: Promise<void>[] = [];
  const SECONDS = 6;
  for (let tick = 0; tick < SECONDS * 100; tick++) {
    for (const { limits } of fleet) {
      for (let attempt = 0; attempt < 3; attempt++) {
        all.push(Promise.resolve(limits.publish(ALICE, 1)).then((problem) => {
          if (problem === undefined) sum++;
        }));
      }
    }
    await clock.advance(10);
  }
  await clock.advance(100);
  await Promise.all(all);
  t.equal(fleet.reduce((alone, { counters }) => alone + counters.countedAlone, 0), 0, 'nothing was counted alone');
  t.ok(sum <= RATE.burst + SECONDS * RATE.tokens + fleet.length * CREDIT, `${sum} were granted`);
  t.ok(sum >= RATE.burst + (SECONDS - 1) * RATE.tokens, `${sum} were granted, and the limit is used up`);
});

t.test('what the ledger has not heard of is asked for first: batches on all instances at the same moment do not add up', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const fleet = Array.from({ length: 4 }, () => build(clock, { publish: RATE }, ledgers.instance()));
  const asked = fleet.map(({ limits }) => limits.publish(ALICE, 60));
  t.ok(asked.every((answer) => answer instanceof Promise));
  await clock.advance(50);
  t.equal((await Promise.all(asked.map((answer) => Promise.resolve(answer)))).filter((problem) => problem === undefined).length, 1);
});

t.test('without an answer in time, an instance decides alone, and asks no more until there is one', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  ledgers.answerMs = 1_000_000;
  const { limits, counters } = build(clock, { publish: RATE }, ledgers.instance());
  const asked = limits.publish(ALICE, 60);
  await clock.advance(25);
  t.equal(await asked, undefined);
  const again = limits.publish(ALICE, 60);
  t.type(again, Problem, 'what it granted counts here');
  t.equal(counters.limited.publish, 1);
});

t.test('while the ledger is away each instance keeps the limit alone; when it is back, nobody owes the tokens granted meanwhile', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const fleet = [build(clock, { publish: RATE }, ledgers.instance()), build(clock, { publish: RATE }, ledgers.instance())];
  ledgers.isAway = true;
  for (const { limits, counters } of fleet) {
    t.equal(await granted(150, () => limits.publish(ALICE, 1)), 100);
    t.equal(counters.countedAlone, 100);
  }
  ledgers.isAway = false;
  await clock.advance(5_000);
  t.equal(await granted(5, () => fleet[0]!.limits.publish(ALICE, 1)), 5);
  await clock.advance(1_000);
  t.equal(await granted(5, () => fleet[1]!.limits.publish(ALICE, 1)), 5);
});

t.test('many messages are one command', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const { limits } = build(clock, { publish: { tokens: 1_000_000, milliseconds: 1000, burst: 100_000 } }, ledgers.instance());
  for (let message = 0; message < 1000; message++) void limits.publish(message % 2 === 0 ? ALICE : BOB, 1);
  await clock.advance(50);
  t.equal(ledgers.commands, 1);
});

t.test('sessions: a hundred at once, and twenty in a minute', async (t) => {
  const clock = new TestClock();
  const { limits, counters } = build(clock, {});
  t.equal(await granted(130, () => limits.session(ALICE)), 100);
  t.equal(limits.session(BOB), undefined);
  await clock.advance(60_000);
  t.equal(await granted(30, () => limits.session(ALICE)), 20);
  t.equal(counters.limited.sessions, 40);
});

t.test('idempotency keys: known ones cost nothing', async (t) => {
  const { limits } = build(new TestClock(), { idempotencyKeys: 3 });
  for (let round = 0; round < 10; round++) {
    t.equal(limits.idempotencyKey(ALICE), undefined);
    limits.idempotencyKeyUnused(ALICE);
  }
  t.equal(await granted(10, () => limits.idempotencyKey(ALICE)), 3);
});

t.test('topics: known ones go on, new ones are refused until the window ends', async (t) => {
  const clock = new TestClock();
  const { limits, counters } = build(clock, { topics: 3 });
  t.equal(limits.topics(ALICE, ['a', 'b', 'a']), undefined);
  t.type(limits.topics(ALICE, ['a', 'c', 'd']), Problem, 'all or none');
  t.equal(limits.topics(ALICE, ['c']), undefined);
  const refused = limits.topics(ALICE, ['d'])!;
  t.same(refused.spent, { policy: 'topics', quota: 3, windowSeconds: 86_400, left: 0, retrySeconds: 86_400 });
  t.equal(limits.topics(ALICE, ['a', 'b', 'c']), undefined);
  t.equal(limits.topics(BOB, ['d']), undefined);
  t.equal(counters.limited.topics, 2);
  await clock.advance(24 * 3_600_000);
  t.equal(limits.topics(ALICE, ['d', 'e', 'f']), undefined);
});

t.test('topics that are remembered are bounded, also where senders that are known already go on', async (t) => {
  const { limits } = build(new TestClock(), { topics: 120_000 });
  const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, index) => `${prefix}.${index}`);
  t.equal(limits.topics(ALICE, ['a']), undefined);
  t.equal(limits.topics(BOB, ['b']), undefined);
  t.equal(limits.topics(ALICE, names('a', 119_999)), undefined);
  t.equal(limits.topics(BOB, names('b', 70_000)), undefined);
  t.type(limits.topics(ALICE, ['a.new']), Problem, 'there is room for both');
  t.equal(limits.topics(BOB, names('more', 49_999)), undefined);
  t.type(limits.topics(BOB, ['b.new']), Problem, 'who publishes is remembered');
  t.equal(limits.topics(ALICE, ['a.new']), undefined, 'whose window began first is forgotten');
});

t.test('topics are counted over all instances', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const [one, two] = [build(clock, { topics: 100 }, ledgers.instance()), build(clock, { topics: 100 }, ledgers.instance())];
  let letThrough = 0;
  for (let index = 0; index < 200; index++) {
    if (one.limits.topics(ALICE, [`one.${index}`]) === undefined) letThrough++;
    if (two.limits.topics(ALICE, [`two.${index}`]) === undefined) letThrough++;
    // The same topic on both is one.
    one.limits.topics(ALICE, ['shared']);
    two.limits.topics(ALICE, ['shared']);
    await clock.advance(10);
  }
  t.ok(letThrough >= 98 && letThrough <= 101, `${letThrough}`);
});

t.test('streams: as many as there may be, and a place is free again when one ends', async (t) => {
  const { limits, counters } = build(new TestClock(), { streams: 2, anonymousStreams: 1 });
  const [one, two] = [await limits.stream(ALICE), await limits.stream(ALICE)];
  t.ok(one !== undefined && two !== undefined);
  t.equal(await limits.stream(ALICE), undefined);
  t.ok(await limits.stream(BOB));
  t.ok(await limits.stream(STRANGER));
  t.equal(await limits.stream(STRANGER), undefined);
  one!.release();
  one!.release();
  t.ok(await limits.stream(ALICE), 'released twice is released once');
  t.equal(await limits.stream(ALICE), undefined);
  t.equal(counters.limited.streams, 3);
});

t.test('streams are counted over all instances, exactly; what an instance held is free when it is gone', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const ledger = ledgers.instance();
  const [one, two] = [build(clock, { streams: 10 }, ledger), build(clock, { streams: 10 }, ledgers.instance())];
  const take = async (limits: Limits): Promise<number> => {
    const asked = Array.from({ length: 12 }, () => limits.stream(ALICE));
    await clock.advance(5);
    return (await Promise.all(asked)).filter((place) => place !== undefined).length;
  };
  const both = Promise.all([take(one.limits), take(two.limits)]);
  t.equal((await both).reduce((sum, count) => sum + count, 0), 10);
  await clock.advance(100);
  t.equal(await take(two.limits), 0);
  const held = (await both)[0];
  await ledger.close();
  t.equal(await take(two.limits), held);
});

t.test('streams that open in one turn, or while an answer is owed, share a question; of the last places each is granted or not', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const [one, two] = [build(clock, { streams: 100 }, ledgers.instance()), build(clock, { streams: 100 }, ledgers.instance())];
  const open = async ({ limits }: Built, count: number, sender: typeof ALICE): Promise<readonly (Place | undefined)[]> => {
    const places = Promise.all(Array.from({ length: count }, () => limits.stream(sender)));
    // They were asked for, and no answer has come: the clock stands.
    await settle();
    return places;
  };
  const first = [open(one, 50, ALICE), open(one, 1, BOB)];
  await settle();
  t.equal(ledgers.commands, 1);
  const later = [open(one, 20, ALICE), open(one, 23, ALICE)];
  await settle();
  t.equal(ledgers.commands, 1, 'they wait for the answer');
  await clock.advance(5);
  const held = (await Promise.all([...first, ...later])).flat();
  t.ok(held.every((place) => place !== undefined));
  t.equal(ledgers.commands, 2);

  const few = [open(two, 4, ALICE), open(two, 6, BOB)];
  await settle();
  few.push(open(two, 5, ALICE));
  await clock.advance(ledgers.answerMs);
  few.push(open(two, 2, ALICE));
  await clock.advance(10);
  t.same((await Promise.all(few)).map((places) => places.filter((place) => place !== undefined).length), [4, 6, 3, 0], '93 and 7 are 100, in the order in which they asked');
  held[0]!.release();
  await clock.advance(100);
  const [last] = [open(two, 2, ALICE)];
  await clock.advance(10);
  t.equal((await last).filter((place) => place !== undefined).length, 1, 'and the one that was given back');
});

t.test('streams that wait while the ledger does not answer are counted alone, all of them in time', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  ledgers.answerMs = 1_000;
  const { limits, counters } = build(clock, { streams: 10 }, ledgers.instance());
  const asked = [limits.stream(ALICE)];
  await settle();
  asked.push(limits.stream(ALICE), limits.stream(BOB));
  await clock.advance(2 * LEDGER_WAIT_MS);
  t.ok((await Promise.all(asked)).every((place) => place !== undefined));
  t.equal(counters.countedAlone, 3);
});

t.test('a ledger that has forgotten everything learns the held places again', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const [ledger, other] = [ledgers.instance(), ledgers.instance()];
  const [one, two] = [build(clock, { streams: 2 }, ledger), build(clock, { streams: 2 }, other)];
  const places = [one.limits.stream(ALICE), one.limits.stream(ALICE)];
  await clock.advance(5);
  await Promise.all(places);
  ledgers.places.clear();
  ledger.returned();
  await settle();
  const asked = two.limits.stream(ALICE);
  await clock.advance(5);
  t.equal(await asked, undefined);
});

/** Both instances may have one stream of Alice; the first is late, or away, while its own changes. */
for (const trouble of ['isLate', 'isAway'] as const) {
  t.test(`streams that open and close while the ledger ${trouble} are told once it is back`, async (t) => {
    const clock = new TestClock();
    const ledgers = new MemoryLedgers(clock);
    const ledger = ledgers.instance();
    const [one, two] = [build(clock, { streams: 1 }, ledger), build(clock, { streams: 1 }, ledgers.instance())];
    const asked = async ({ limits }: Built, sender: typeof ALICE): Promise<Place | undefined> => {
      const place = limits.stream(sender);
      await clock.advance(100);
      return place;
    };
    const alice = await asked(one, ALICE);
    ledgers[trouble] = true;
    alice!.release();
    const bob = await asked(one, BOB);
    t.ok(bob, 'it counts alone');
    ledgers[trouble] = false;
    ledger.returned(trouble === 'isAway');
    await clock.advance(100);
    t.ok(await asked(two, ALICE), 'what was closed is free');
    t.equal(await asked(two, BOB), undefined, 'what was opened is held');
    bob!.release();
    await clock.advance(100);
    t.ok(await asked(two, BOB));
  });
}

t.test('an end that the ledger did not take is told again', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  const ledger = ledgers.instance();
  const [one, two] = [build(clock, { streams: 1 }, ledger), build(clock, { streams: 1 }, ledgers.instance())];
  const place = one.limits.stream(ALICE);
  await clock.advance(5);
  (await place)!.release();
  ledgers.isAway = true;
  await clock.advance(100);
  ledgers.isAway = false;
  ledger.returned(false);
  await clock.advance(100);
  const asked = two.limits.stream(ALICE);
  await clock.advance(5);
  t.ok(await asked);
});

t.test('without the ledger, each instance counts streams alone', async (t) => {
  const clock = new TestClock();
  const ledgers = new MemoryLedgers(clock);
  ledgers.isAway = true;
  const { limits, counters } = build(clock, { streams: 1 }, ledgers.instance());
  t.ok(await limits.stream(ALICE));
  t.equal(await limits.stream(ALICE), undefined);
  t.equal(counters.countedAlone, 1);
});
