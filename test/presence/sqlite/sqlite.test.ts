import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { t, type Test } from 'tap';
import { Filter } from '../../../src/model/topic.ts';
import { Presence } from '../../../src/presence/presence.ts';
import { SqlitePresencePlace } from '../../../src/presence/sqlite/sqlite.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Counters } from '../../../src/runtime/counters.ts';
import { presenceContract, shown, shows } from '../../contract/presence.ts';
import { recordingLogger } from '../../support/logger.ts';
import { tempFolder } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

/** Most of it is waiting. */
t.jobs = 3;

/** Longer than a change takes to be told, on a busy machine too. */
const GRACE_MS = 2_000;

interface Opened {
  readonly presence: Presence;
  readonly place: SqlitePresencePlace;
  readonly lines: readonly string[];
}

/** A log that is empty: nothing of it is read. */
function logFile(t: Test): string {
  const file = join(tempFolder(t), 'log.db');
  writeFileSync(file, '');
  return file;
}

/** Nothing is to end because the machine is busy, unless a test wants that. */
function open(t: Test, file: string, ttlMs = 60_000, logId = 'log'): Opened {
  const { logger, lines } = recordingLogger();
  const place = new SqlitePresencePlace({ file, ttlMs, clock: systemClock, logger });
  const presence = new Presence({ place, mayHaveOthers: false, clock: systemClock, now: () => Date.now(), graceMs: GRACE_MS, counters: new Counters(), frameOf: (json) => Buffer.from(json) });
  t.teardown(() => presence.close());
  presence.join(logId);
  return { presence, place, lines };
}

/** So many processes that know of each other. */
async function several(t: Test, count: number, file = logFile(t)): Promise<readonly Opened[]> {
  const all = Array.from({ length: count }, () => open(t, file));
  await until('all are up', () => all.every(({ place }) => place.isUp));
  return all;
}

const topic = (...names: string[]): Filter => new Filter(names);
const alice = { id: 'alice', meta: '{"a":1}' };

presenceContract('in a SQLite file', {
  graceMs: GRACE_MS,
  open: async (t, count) => (await several(t, count)).map(({ presence }) => presence),
  // What has to pass passes by itself: whoever waits for what comes after it waits long enough.
  pass: () => Promise.resolve(),
});

t.test('a process alone answers at once and keeps no file; it reports everything when another comes', async (t) => {
  const file = logFile(t);
  const one = open(t, file);
  one.presence.enter(topic('a'), alice);
  t.equal(one.presence.isWhole, true);
  t.equal(await shown(one.presence, 'a'), 'alice:1 of 1');
  await until('it has looked', async () => (await one.presence.counts(['a'])).answer[0]!.members === 1);
  t.same(readdirSync(`${file}-presence`).filter((name) => name.includes('.db')), []);
  const two = open(t, file);
  t.equal(two.presence.isWhole, false, 'it knows that it does not know');
  t.match(await two.presence.page('a', '', 5), { isPartial: true });
  two.presence.enter(topic('a'), { id: 'bob', meta: undefined });
  await until('both know of each other', () => one.place.isUp && two.place.isUp);
  await shows(t, [one.presence, two.presence], 'a', 'alice:1 bob:1 of 2');
  await two.presence.close();
  await until('the first one is alone again', () => one.place.isAlone);
  t.equal(await shown(one.presence, 'a'), 'alice:1 of 1');
  t.equal(statSync(`${file}-presence`).mode & 0o077, 0, 'the folder is private');
  const three = open(t, file);
  await until('they know of each other', () => one.place.isUp && three.place.isUp);
  await shows(t, [one.presence, three.presence], 'a', 'alice:1 of 1');
});

t.test('the end of a process is told at once; its members may come back elsewhere', async (t) => {
  const [one, two, three] = await several(t, 3) as [Opened, Opened, Opened];
  one.presence.enter(topic('a'), alice);
  one.presence.enter(topic('a'), { id: 'bob', meta: undefined });
  await shows(t, [two.presence, three.presence], 'a', 'alice:1 bob:1 of 2');
  one.presence.leave(topic('a'), 'alice');
  one.presence.leave(topic('a'), 'bob');
  await one.presence.close();
  two.presence.enter(topic('a'), alice);
  await shows(t, [two.presence, three.presence], 'a', 'alice:1 of 1');
});

t.test('the folder may be deleted, and the file be damaged: everything is told again, and nothing that has gone', async (t) => {
  const file = logFile(t);
  const all = await several(t, 2, file);
  const [one, two] = all.map(({ presence }) => presence) as [Presence, Presence];
  for (let index = 0; index < 1_500; index++) one.enter(topic('many'), { id: `member ${String(index).padStart(4, '0')}`, meta: undefined });
  two.enter(topic('many', 'few'), alice);
  await until('all are told', async () => (await two.counts(['many'])).answer[0]!.members === 1_501);

  rmSync(`${file}-presence`, { recursive: true });
  let isAlone = false;
  const watching = setInterval(() => isAlone ||= all.some(({ place }) => place.isAlone), 1);
  t.teardown(() => clearInterval(watching));
  one.leave(topic('many'), 'member 0000');
  await until('it is noticed', () => existsSync(`${file}-presence`));
  await until('both have told it again', async () => {
    const told = await Promise.all(all.map(({ presence }) => presence.counts(['many', 'few'])));
    return told.every(({ isPartial, answer }) => !isPartial && answer[0]!.streams === 1_500 && answer[1]!.members === 1);
  });

  t.equal(isAlone, false, 'nobody believes to be alone meanwhile');

  const [name] = readdirSync(`${file}-presence`).filter((one) => one.endsWith('.db'));
  for (const each of readdirSync(`${file}-presence`)) if (each.startsWith(name!)) rmSync(join(`${file}-presence`, each));
  mkdirSync(join(`${file}-presence`, name!));
  await until('it is away', () => all.every(({ presence }) => !presence.isWhole));
  t.match(await two.page('few', '', 1), { isPartial: true, answer: { members: [{ id: 'alice', streams: 1, meta: '{"a":1}' }] } });
  two.leave(topic('many', 'few'), 'alice');
  rmSync(join(`${file}-presence`, name!), { recursive: true });
  await until('it is back', () => all.every(({ place }) => place.isUp));
  await shows(t, [one, two], 'few', 'of 0');
  await until('all are there', async () => (await two.counts(['many'])).answer[0]!.members === 1_499);
  t.equal(all[0]!.lines.filter((line) => line.includes('cannot be sent')).length, 2, 'once for each time');
});

t.test('what has changed is told by its number; who comes late, or after the file was new, looks at everything', async (t) => {
  const [one] = await several(t, 2) as [Opened, Opened];
  one.presence.enter(topic('a', 'b'), alice);
  await shows(t, [one.presence], 'b', 'alice:1 of 1');
  const first = await one.place.changes(0);
  t.same([...first.topics!].sort(), ['a', 'b']);
  t.same(await one.place.changes(first.newest), { newest: first.newest, topics: [] });
  one.presence.enter(topic('b'), undefined);
  await shows(t, [one.presence], 'b', 'alice:1 of 2');
  t.match(await one.place.changes(first.newest), { topics: ['b'] });
  t.same((await one.place.changes(first.newest + 100)).topics, undefined);
  for (let index = 0; index < 10_000; index++) one.presence.enter(topic(`t${index}`), undefined);
  await until('all are told', async () => (await one.presence.counts(['t9999'])).answer[0]!.streams === 1);
  t.equal((await one.place.changes(first.newest)).topics, undefined);
});

t.test('two logs on one path do not meet, nor do a log and its copy elsewhere', async (t) => {
  const file = logFile(t);
  const one = open(t, file, 60_000, 'one');
  const other = open(t, file, 60_000, 'other');
  one.presence.enter(topic('a'), alice);
  t.same([one.place.isAlone, other.place.isAlone], [true, true]);
  t.equal(await shown(other.presence, 'a'), 'of 0');
});
