import { t } from 'tap';
import { CommitPacing } from '../../src/log/commit-pacing.ts';

/** What a commit takes in these tests. Milliseconds. */
const COMMIT_MS = 0.4;

/** Commits of so many requests each, which come at once, every so many milliseconds. @returns The last one's rest, as it would be when its requests come. */
function commits(pacing: CommitPacing, { count, requests, everyMs }: { count: number; requests: number; everyMs: number }, from = 0): { rest: number; now: number } {
  let now = from;
  let rest = 0;
  for (let commit = 0; commit < count; commit++) {
    now += everyMs;
    for (let waiting = 1; waiting <= requests; waiting++) pacing.came(waiting);
    rest = pacing.rest(now, requests);
    pacing.begins(requests);
    now += COMMIT_MS;
    pacing.ended(now, COMMIT_MS);
  }
  return { rest, now };
}

/** Requests that are there in twos, so that commits are worth a rest for one that is alone. */
function busy(): { pacing: CommitPacing; now: number } {
  const pacing = new CommitPacing();
  const { now } = commits(pacing, { count: 100, requests: 2, everyMs: 0.5 });
  return { pacing, now };
}

t.test('a publisher that is alone never waits for another, however often it publishes', async (t) => {
  t.equal(commits(new CommitPacing(), { count: 1_000, requests: 1, everyMs: 0.1 }).rest, 0);
});

t.test('publishers who all wait already wait for nobody else', async (t) => {
  t.equal(commits(new CommitPacing(), { count: 1_000, requests: 4, everyMs: 0.1 }).rest, 0);
});

t.test('where commits take up little of the time, nobody waits', async (t) => {
  const pacing = new CommitPacing();
  const { now } = commits(pacing, { count: 100, requests: 2, everyMs: 20 });
  pacing.came(1);
  t.equal(pacing.rest(now, 1), 0);
});

t.test('where they take more, one that comes alone waits, for no longer than the bound', async (t) => {
  const { pacing, now } = busy();
  t.equal(Math.round(10 * pacing.rest(now, 1)), 26, 'until three milliseconds after the last commit began');
  t.ok(pacing.rest(now + 2, 1) > 0 && pacing.rest(now + 2, 1) < 1, 'the time since the last commit counts');
  t.equal(pacing.rest(now + 2, 2), 0, 'it ends when as many wait as lately waited at once');
  t.equal(pacing.rest(now + 3, 1), 0);
  pacing.ended(now + 3, 3);
  t.equal(pacing.rest(now + 3, 1), 0, 'whoever was to come has come while it took so long');
});

t.test('a quick commit is rested from for less: so the share of the time stays', async (t) => {
  const { pacing, now } = busy();
  pacing.ended(now, 0.05);
  t.equal(Math.round(pacing.rest(now, 1) * 100), 95, 'nineteen times as long as it took');
});

t.test('many who wait are enough, whoever else may come', async (t) => {
  const pacing = new CommitPacing();
  const { now } = commits(pacing, { count: 100, requests: 40, everyMs: 0.5 });
  t.ok(pacing.rest(now, 15) > 0);
  t.equal(pacing.rest(now, 16), 0);
});

t.test('rests in which nobody comes become rare, and those in which somebody does frequent again', async (t) => {
  const { pacing, now: from } = busy();
  let now = from;
  const rests: boolean[] = [];
  /** One that comes alone, while others do now and then what keeps the pacing awake. */
  const alone = (gained: number): void => {
    pacing.came(2);
    const rest = pacing.rest(now, 1);
    rests.push(rest > 0);
    now += rest;
    if (rest > 0) pacing.rested();
    pacing.begins(1 + (rest > 0 ? gained : 0));
    now += COMMIT_MS;
    pacing.ended(now, COMMIT_MS);
  };
  for (let commit = 0; commit < 200; commit++) alone(0);
  t.same(rests.slice(0, 11), [true, false, true, false, false, true, false, false, false, false, true]);
  t.equal(rests.slice(-66).filter(Boolean).length, 2);
  rests.length = 0;
  for (let commit = 0; commit < 100; commit++) alone(1);
  t.same(rests.slice(-20), Array.from({ length: 20 }, () => true));
});

t.test('what was long ago is forgotten: the crowd has gone', async (t) => {
  const { pacing, now } = busy();
  pacing.ended(now + 1_000, COMMIT_MS);
  t.equal(pacing.rest(now + 1_000, 1), 0);
});
