import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, mkdirSync, openSync, renameSync, rmSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import t, { type Test } from 'tap';
import { openStream } from '../support/client.ts';
import { onHangingDisk, SYNCS, thawOf } from '../support/hanging-disk.ts';
import { Http, type Answer } from '../support/http.ts';
import { startInstance, type Instance, type InstanceOptions } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

const KEPT = ['one', 'two', 'three'];

/** The messages of the log, as a user reads them. */
async function texts(http: Http): Promise<string[]> {
  const { messages } = await http.json<{ messages: { data: string }[] }>('/topics/a/messages?limit=1000');
  return messages.map(({ data }) => data);
}

/** What a user sees of an instance that has no log to work with. Streams come back by themselves, since no status ends them. */
async function isUnavailable(t: Test, instance: Instance, status: string): Promise<void> {
  const http = new Http(t, instance.url);
  const published = await http.post('a', 'refused');
  t.match([published.status, JSON.parse(published.body)], [503, { code: 'unavailable' }]);
  t.ok(Number(published.headers['retry-after']) > 0, 'with a Retry-After');
  t.notMatch((JSON.parse(published.body) as { detail: string }).detail, /sqlite|\.db|\//i, 'and nothing of the inside');
  const ready = await http.get('/readyz');
  t.match([ready.status, JSON.parse(ready.body)], [503, { status }]);
  t.equal((await http.get('/healthz')).status, 200, 'it lives');
  t.equal((await http.get('/topics/a/messages?after=zzzzzzzzzz-1')).status, 503);
  const stream = await openStream(t, `${instance.url}/topics/a/events`, { headers: { 'last-event-id': 'zzzzzzzzzz-1' } });
  t.equal(stream.status, 200);
  t.equal((await stream.next()).event, '$busy');
  t.ok(stream.retry! > 0);
  t.notOk((await stream.ended).clean, 'a stream that is refused does not end like one that is finished');
}

/** It goes on by itself, without a restart, and has everything. */
async function recovers(t: Test, instance: Instance, kept: readonly string[], text = 'after'): Promise<void> {
  const http = new Http(t, instance.url);
  const { pid } = instance;
  await until('it is ready', async () => (await http.get('/readyz')).status === 200);
  await http.publish('a', text);
  t.same(await texts(http), [...kept, text]);
  const stream = await openStream(t, `${instance.url}/topics/a/events?after=start`);
  await stream.next(({ data }) => data === text);
  t.equal(instance.pid, pid);
}

/** Root may write everything, unless it is told not to. */
const AS_OTHERS = process.getuid?.() === 0 ? ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner'] : [];

/** What a file may be that is no log of this program. Each is made of a copy of a good one, and says why in one line of the service's log. */
const DAMAGES: Readonly<Record<string, { readonly make: (file: string) => void; readonly says: RegExp; readonly mend?: (file: string) => void; readonly by?: readonly string[] }>> = {
  'is damaged': {
    make(file) {
      const descriptor = openSync(file, 'r+');
      writeSync(descriptor, Buffer.alloc(40_000, 0xa5), 0, 40_000, 100);
      closeSync(descriptor);
    },
    says: /the database file is damaged/,
  },
  'is no database': {
    make: (file) => writeFileSync(file, 'Dear aunt, thank you for the socks. '.repeat(300)),
    says: /not a SQLite database/,
  },
  'is of a newer program': {
    make(file) {
      const db = new Database(file);
      db.prepare('INSERT INTO "__drizzle_migrations" (hash, created_at) VALUES (?, ?)').run('later', Date.parse('2099-01-01'));
      db.close();
    },
    says: /made by a newer version of Tidings/,
  },
  'may only be read': {
    make(file) {
      chmodSync(file, 0o444);
      chmodSync(join(file, '..'), 0o555);
    },
    says: /cannot be (written to|opened)/,
    mend(file) {
      chmodSync(join(file, '..'), 0o755);
      chmodSync(file, 0o644);
    },
    by: AS_OTHERS,
  },
};

const instance = await startInstance(t, { TAIL_BYTES: '1KiB', POLL_MS: '50', DRAIN_SECONDS: '0' });

void t.test('a file that is replaced under a running service: nothing is stored in either, and it goes on when its own is back', async (t) => {
  const http = new Http(t, instance.url);
  for (const text of KEPT) await http.publish('a', text);
  const stream = await openStream(t, `${instance.url}/topics/a/events`);
  const file = join(instance.folder, 'data/tidings.db');
  copyFileSync(file, `${file}.copy`);
  renameSync(file, `${file}.own`);
  renameSync(`${file}.copy`, file);
  await until('it has noticed', async () => (await http.get('/readyz')).status === 503);
  await t.resolves(instance.says(/was replaced or removed while in use; put that same file back/));
  t.match(JSON.parse((await http.get('/readyz')).body), { status: 'unavailable', detail: { database: 'unavailable', reason: 'replaced' } });
  await isUnavailable(t, instance, 'unavailable');

  rmSync(file);
  await isUnavailable(t, instance, 'unavailable');
  renameSync(`${file}.own`, file);
  await recovers(t, instance, KEPT);
  await stream.next(({ data }) => data === 'after');
  t.pass('a stream that was open all the while goes on');
});

void t.test('a database that cannot be used at the start', { jobs: 4 }, async (t) => {
  // As the test before has left it.
  instance.kill('SIGTERM');
  await instance.exited;
  const good = join(instance.folder, 'data/tidings.db');
  await Promise.all(Object.entries(DAMAGES).map(([name, { make, says, mend, by = [] }]) =>
    t.test(`its file ${name}: the service reports it, refuses affected requests, and goes on once that is mended`, { buffered: true }, async (t) => {
      const folder = join(tempFolder(t), 'data');
      mkdirSync(folder);
      const file = join(folder, 'tidings.db');
      copyFileSync(good, file);
      make(file);
      t.teardown(() => chmodSync(folder, 0o755));
      const options: InstanceOptions = { ready: ({ output }) => /the log cannot be opened/.test(output), by };
      const broken = await startInstance(t, { DATABASE_URL: `file:${file}`, TAIL_BYTES: '1KiB' }, options);
      await t.resolves(broken.says(says));
      t.notMatch(broken.output, /Tidings listens/, 'nobody is invited yet');
      await isUnavailable(t, broken, 'starting');
      await until('it has tried again', () => broken.output.match(/the log cannot be opened/g)!.length >= 2);
      if (mend === undefined) {
        copyFileSync(good, join(folder, 'restored'));
        renameSync(join(folder, 'restored'), file);
      } else mend(file);
      await recovers(t, broken, [...KEPT, 'after'], 'again');
    })));
});

/** Namespaces of users and mounts let anybody mount a disk of their own; a container may forbid them. */
function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /tmp'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

void t.test('a disk that is full', { skip: mayMount() ? false : 'this user may not mount in a namespace of its own' }, async (t) => {
  const disk = tempFolder(t);
  const script = 'mount -t tmpfs -o size=8m tmpfs "$0" && head -c 3000000 /dev/zero > "$0/filler" && exec "$@"';
  const instance = await startInstance(t, { DATABASE_URL: `file:${disk}/tidings.db`, HEARTBEAT_SECONDS: '1' }, {
    by: ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', script, disk],
  });
  const http = new Http(t, instance.url);
  const stream = await openStream(t, `${instance.url}/topics/a/events`);
  const kept: string[] = [];
  for (let index = 0; ; index++) {
    const text = `${index} `.padEnd(64 * 1024, 'x');
    const { status, body, headers } = await http.post('a', text);
    if (status !== 201) {
      t.match([status, JSON.parse(body)], [503, { code: 'unavailable' }]);
      t.ok(Number(headers['retry-after']) > 0);
      break;
    }
    kept.push(text);
  }
  t.ok(kept.length > 5, `${kept.length} fitted`);
  await t.resolves(instance.says(/the disk, or the quota on it, is full/));
  const ready = await http.get('/readyz');
  t.match([ready.status, JSON.parse(ready.body)], [503, { status: 'unavailable' }]);
  const signs = stream.comments.length + stream.events.length;
  await stream.until(() => stream.comments.length + stream.events.length > signs + 1);
  t.same(await texts(http), kept, 'what is stored can be read');
  const refused = await http.post('a', 'x'.repeat(64 * 1024));
  t.equal(refused.status, 503, 'and it stays so as long as the disk is full');

  // There alone is the disk to be seen.
  rmSync(`/proc/${instance.pid}/root${disk}/filler`);
  await recovers(t, instance, kept);
  await stream.next(({ data }) => data === 'after');
  t.equal(stream.events.filter(({ event }) => event === undefined).length, kept.length + 1);
});

/** How long a publisher waits at least and at most for its answer when the log does not answer (docs/guarantees.md). */
const SILENCE_MIN_MS = 5_000;
const SILENCE_MAX_MS = 15_000;
const TICK_MS = 50;

/** The answer to a publisher. */
interface Answered extends Answer {
  readonly text: string;
  /** How long it took: by the clock, and in ticks, of which a machine that stands still makes none. Milliseconds. */
  readonly took: number;
  readonly ticked: number;
}

async function publish(http: Http, text: string): Promise<Answered> {
  const began = performance.now();
  let ticks = 0;
  const timer = setInterval(() => ticks++, TICK_MS);
  try {
    const answer = await http.post('a', text);
    return { ...answer, text, took: performance.now() - began, ticked: ticks * TICK_MS };
  } finally {
    clearInterval(timer);
  }
}

function codeOf({ body }: Answer): string {
  return (JSON.parse(body) as { code: string }).code;
}

void t.test('a disk that hangs', { jobs: 2 }, async (t) => {
  const unavailable = { status: 'unavailable', detail: { database: 'unavailable' } };

  await Promise.all([
    t.test('in a commit: publishers are answered in time, and it is not ready until the disk goes on', { buffered: true }, async (t) => {
      const file = join(tempFolder(t), 'tidings.db');
      const instance = await startInstance(t, { DATABASE_URL: `file:${file}`, HEARTBEAT_SECONDS: '1' }, { by: onHangingDisk(`${file}-wal`, SYNCS, 20) });
      const thaw = thawOf(t, instance.pid);
      const http = new Http(t, instance.url);
      const stream = await openStream(t, `${instance.url}/topics/a/events`);
      const answers: Answered[] = [];
      while (answers.every(({ status }) => status === 201)) {
        t.equal((await http.get('/readyz')).status, 200);
        // The second and the third wait behind the first one's commit, or come with it.
        answers.push(...await Promise.all(['', ' behind', ' behind, too'].map((place) => publish(http, `${answers.length}${place}`))));
      }
      const refused = answers.filter(({ status }) => status !== 201);
      for (const answer of refused) {
        t.match([answer.status, codeOf(answer)], [503, /^(outcome-unknown|unavailable)$/]);
        t.ok(Number(answer.headers['retry-after']) > 0);
        t.ok(answer.took >= SILENCE_MIN_MS && answer.ticked <= SILENCE_MAX_MS, `after ${Math.round(answer.took)} ms`);
      }
      t.ok(refused.some((answer) => codeOf(answer) === 'outcome-unknown'), 'what was in the commit may be stored');

      // So it stays: each sign of life is a second in which it might have changed its mind.
      for (const _ of KEPT) {
        const signs = stream.comments.length + stream.events.length;
        await stream.until(() => stream.comments.length + stream.events.length > signs);
        const ready = await http.get('/readyz');
        t.match([ready.status, JSON.parse(ready.body)], [503, unavailable]);
      }
      await t.resolves(instance.says("the database's writer does not answer: the disk may hang"));
      const meanwhile = await publish(http, 'meanwhile');
      t.match([meanwhile.status, codeOf(meanwhile)], [503, 'unavailable']);
      t.ok(meanwhile.ticked < SILENCE_MIN_MS, 'at once');
      t.equal((await http.get('/healthz')).status, 200, 'it lives');
      const kept = answers.filter(({ status }) => status === 201).map(({ text }) => text).toSorted();
      t.same((await texts(http)).toSorted(), kept, 'what is stored can be read');

      thaw();
      await until('it is ready', async () => (await http.get('/readyz')).status === 200);
      await http.publish('a', 'after');
      const unknown = new Set(refused.filter((answer) => codeOf(answer) === 'outcome-unknown').map(({ text }) => text));
      const held = await texts(http);
      t.same(held.filter((text) => !unknown.has(text)).toSorted(), [...kept, 'after'].toSorted(), 'nothing is there that was refused');
      await stream.next(({ data }) => data === 'after');
      t.same(stream.events.filter(({ event }) => event === undefined).map(({ data }) => data), held, 'a stream that was open all the while has it all');
    }),

    t.test('when the log is looked at: it is not ready, though nobody publishes, until the disk goes on', { buffered: true }, async (t) => {
      const file = join(tempFolder(t), 'tidings.db');
      const instance = await startInstance(t, { DATABASE_URL: `file:${file}`, POLL_MS: '50' }, { by: onHangingDisk(`${file}-wal`, 'pread64', 300) });
      const thaw = thawOf(t, instance.pid);
      const http = new Http(t, instance.url);
      const stream = await openStream(t, `${instance.url}/topics/a/events`);
      await until('it is not ready', async () => {
        // A file that something wrote to is read anew by the next look.
        utimesSync(file, new Date(), new Date());
        return (await http.get('/readyz')).status === 503;
      });
      await t.resolves(instance.says("the database's query worker does not answer: the disk may hang"));
      t.match(JSON.parse((await http.get('/readyz')).body), unavailable);
      thaw();
      await until('it is ready', async () => (await http.get('/readyz')).status === 200);
      await http.publish('a', 'after');
      await stream.next(({ data }) => data === 'after');
    }),
  ]);
});
