import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { HUB_VERSION } from '../../../src/bus/hub/frames.ts';
import { HubLedger } from '../../../src/bus/hub/limit-ledger.ts';
import { LedgerAway } from '../../../src/limits/ledger.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { hubStranger, hubWorker, impostorHub, openHub } from '../../support/hub.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

interface Opened {
  readonly ledger: HubLedger;
  /** What was said each time that the hub was usable: whether it may have forgotten. */
  readonly returns: readonly boolean[];
}

async function open(t: Test, path: string, logId = 'log'): Promise<Opened> {
  const ledger = new HubLedger({ connection: hubWorker(path).connection, clock: systemClock });
  t.teardown(() => ledger.close());
  const returns: boolean[] = [];
  ledger.join(logId, (mayHaveForgotten) => returns.push(mayHaveForgotten));
  await until('it is up', () => ledger.isUp);
  return { ledger, returns };
}

t.test('buckets: the spending of several workers adds up, and a refusal costs nothing', async (t) => {
  const { path } = await openHub(t);
  const [{ ledger: one }, { ledger: two }, { ledger: elsewhere }] = [await open(t, path), await open(t, path), await open(t, path, 'another log')];
  const bucket = randomUUID();
  const spend = (ledger: HubLedger, costMs: number, onlyWithinMs?: number) => ledger.spend([{ bucket, costMs, ...(onlyWithinMs === undefined ? {} : { onlyWithinMs }) }]).then(([balance]) => balance!);
  t.match(await spend(one, 3_600_000), { isTaken: true, fullInMs: 3_600_000 });
  const second = await spend(two, 3_600_000);
  t.ok(second.isTaken && second.fullInMs > 3_600_000 && second.fullInMs <= 7_200_000, `${second.fullInMs}`);
  t.match(await spend(elsewhere, 1_000, 0), { isTaken: true }, 'another log has counts of its own');
  const refused = await spend(one, 1_000, 1_000);
  t.ok(!refused.isTaken && refused.fullInMs <= 7_200_000, 'what was refused costs nothing');
  t.ok((await spend(one, 1_000, 7_200_000)).isTaken);
  t.equal((await spend(two, -10_000_000)).fullInMs, 0, 'more is given back than was taken: it is full');
  t.same(await one.spend([]), []);
});

t.test('topics: the largest batch has more than one question may have, and ends no connection', async (t) => {
  const { path } = await openHub(t);
  const { ledger, returns } = await open(t, path);
  const topics = Array.from({ length: 10_000 }, (_, index) => String(index).padStart(255, 'x'));
  t.match(await ledger.addTopics('owner', topics, 60_000), { topics: topics.length });
  t.match(await ledger.addTopics('owner', topics.slice(0, 1_000), 60_000), { topics: topics.length });
  t.same(returns.filter((mayHaveForgotten) => mayHaveForgotten), [true], 'it connected once');
});

t.test('topics: all workers share one count, doubles count once, in the window of the first', async (t) => {
  const { path } = await openHub(t);
  const [{ ledger: one }, { ledger: two }] = [await open(t, path), await open(t, path)];
  const topics = Array.from({ length: 500 }, (_, index) => `topic.${index}`);
  t.match(await one.addTopics('alice', topics, 3_600_000), { topics: 500, windowLeftMs: 3_600_000 });
  const { topics: count, windowLeftMs } = await two.addTopics('alice', topics.map((topic, index) => index < 250 ? topic : `${topic}.b`), 7_200_000);
  t.equal(count, 750);
  t.ok(windowLeftMs > 0 && windowLeftMs <= 3_600_000, `${windowLeftMs}`);
  t.match(await one.addTopics('bob', ['topic.1'], 0), { topics: 1 });
  t.match(await one.addTopics('bob', ['topic.2'], 0), { topics: 1 }, 'a window that is over counts no more');
});

t.test('places: no more than there are; the places of a worker that left or died are free', async (t) => {
  const { path } = await openHub(t);
  const [{ ledger: one }, { ledger: two }, { ledger: three }] = [await open(t, path), await open(t, path), await open(t, path)];
  t.same(await three.hold([{ owner: 'alice', places: 3, most: 5 }, { owner: 'bob', places: 1, most: 5 }]), [true, true]);
  t.same(await two.hold([{ owner: 'alice', places: 2, most: 5 }, { owner: 'bob', places: 5, most: 5 }]), [true, false]);
  t.same(await one.hold([{ owner: 'alice', places: 1, most: 5 }]), [false]);
  t.same(await two.hold([{ owner: 'alice', places: 1 }]), [true], 'one of them was closed');
  t.same(await one.hold([{ owner: 'alice', places: 1, most: 5 }]), [true]);
  await three.close();
  t.same(await one.hold([{ owner: 'alice', places: 4, most: 5 }]), [true]);
  t.same(await one.hold([{ owner: 'alice', places: 5, most: 5 }]), [false]);
});

t.test('the places of a dead worker are free; a worker that comes back gets its own again', async (t) => {
  const { path } = await openHub(t);
  const { ledger } = await open(t, path);
  const worker = hubStranger(t, path);
  await worker.ask('hello', { version: HUB_VERSION });
  await worker.ask('limits.join', { log: 'log', instance: 'a' });
  t.same(await worker.ask('limits.hold', { holdings: [{ owner: 'alice', places: 5, most: 5 }] }), [true]);
  t.same(await ledger.hold([{ owner: 'alice', places: 1, most: 5 }]), [false]);
  const again = hubStranger(t, path);
  await again.ask('hello', { version: HUB_VERSION });
  await again.ask('limits.join', { log: 'log', instance: 'a' });
  t.same(await again.ask('limits.hold', { holdings: [{ owner: 'alice', places: 5, most: 5 }] }), [true], 'its connection before has not ended yet');
  worker.socket.destroy();
  t.same(await ledger.hold([{ owner: 'alice', places: 1, most: 5 }]), [false]);
  again.socket.destroy();
  await until('they are free', async () => (await ledger.hold([{ owner: 'alice', places: 5, most: 5 }]))[0] === true);
});

t.test('a hub that goes and comes back: it is away, and is told again', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const first = await openHub(t, { path });
  const { ledger, returns } = await open(t, path);
  t.same(returns, [true]);
  await first.close();
  await until('it is away', () => !ledger.isUp);
  await t.rejects(ledger.spend([{ bucket: 'b', costMs: 1 }]), LedgerAway);
  await openHub(t, { path });
  await until('it is back', () => ledger.isUp);
  t.same(returns, [true, true], 'it may have forgotten');
  t.match(await ledger.spend([{ bucket: 'b', costMs: 1 }]), [{ isTaken: true }]);
});

t.test('a hub that is late is not waited for: it counts as away until it answers', async (t) => {
  const path = join(tempFolder(t), 'hub');
  const { asked, answerRest } = await impostorHub(t, path, (name) => name === 'hello' ? { version: HUB_VERSION } : name === 'limits.spend' ? undefined : null);
  const { ledger, returns } = await open(t, path);
  const late = ledger.spend([{ bucket: 'b', costMs: 1 }]);
  await until('it is late', () => !ledger.isUp && asked.includes('limits.spend'));
  answerRest([{ isTaken: true, fullInMs: 1 }]);
  t.match(await late, [{ isTaken: true }]);
  await until('it is up again', () => ledger.isUp);
  t.same(returns, [true, false], 'that is said, because nobody told it anything meanwhile');
});
