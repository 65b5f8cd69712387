import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openStream } from '../support/client.ts';
import { Http, seqOf } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';

/** The database and its write-ahead log: both are the data. */
const SUFFIXES = ['', '-wal'];

interface Gap {
  readonly requested: string | null;
  readonly resumed: string;
  readonly reason: string;
}

function database(instance: Instance): string {
  return join(instance.folder, 'data/tidings.db');
}

/** Copies the files as they are: whoever writes them must stand still. */
function copy(instance: Instance): void {
  for (const suffix of SUFFIXES) {
    if (existsSync(database(instance) + suffix)) copyFileSync(database(instance) + suffix, `${database(instance)}.copy${suffix}`);
  }
}

/** Puts the copy in the place of the database, while the instance is stopped, and starts it again. */
async function restore(instance: Instance): Promise<void> {
  instance.kill('SIGKILL');
  await instance.exited;
  for (const suffix of [...SUFFIXES, '-shm']) rmSync(database(instance) + suffix, { force: true });
  for (const suffix of SUFFIXES) {
    if (existsSync(`${database(instance)}.copy${suffix}`)) copyFileSync(`${database(instance)}.copy${suffix}`, database(instance) + suffix);
  }
  await instance.restart();
}

async function publish(http: Http, text: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) ids.push(await http.publish('news', `${text} ${index}`));
  return ids;
}

t.test('an id that a restored copy never gave out is told so, also after the copy has counted past it', async (t) => {
  const instance = await startInstance(t);
  const http = new Http(t, instance.url);
  const url = `${instance.url}/topics/news/events`;
  const shared = await publish(http, 'shared', 5);
  // The copy is of the middle of an epoch: the process that made it lives on.
  instance.kill('SIGSTOP');
  copy(instance);
  instance.kill('SIGCONT');
  const lost = await publish(http, 'lost', 5);
  await restore(instance);

  /** What a client that comes back with an id is told, and gets. */
  async function comesBack(id: string, last: string): Promise<[Gap | undefined, string[]]> {
    const stream = await openStream(t, url, { headers: { 'last-event-id': id } });
    await stream.next((event) => event.id === last);
    const gap = stream.events.find(({ event }) => event === '$gap');
    stream.destroy();
    return [gap && JSON.parse(gap.data) as Gap, stream.events.filter(({ event }) => event === undefined).map(({ data }) => data)];
  }

  const [first] = await publish(http, 'new', 1);
  t.equal(seqOf(first), 6, 'the copy goes on from its own end');
  const fork = { resumed: shared[4], reason: 'forked' };
  const [beyond, news] = await comesBack(lost[4]!, first!);
  t.match(beyond, { requested: lost[4], ...fork }, 'an id beyond the head of the copy');
  t.same(news, ['new 0']);
  t.match((await comesBack(lost[0]!, first!))[0], { requested: lost[0], ...fork }, 'an id whose number the copy has given again');

  const later = await publish(http, 'later', 10);
  for (const id of lost) {
    const [gap, messages] = await comesBack(id, later.at(-1)!);
    t.match(gap, { requested: id, ...fork }, `${id}, after the copy has counted past it`);
    t.same(messages, ['new 0', ...later.map((_, index) => `later ${index}`)], 'everything after the fork');
  }
  const [none, messages] = await comesBack(shared[3]!, later.at(-1)!);
  t.equal(none, undefined, 'an id from before the fork is good');
  t.same(messages.slice(0, 2), ['shared 4', 'new 0']);
  t.equal((await http.get(`/messages/${lost[0]}`)).status, 404, 'a lost message is not the new one of its number');
});

t.test('an id of an epoch that began after the copy was made leads to where the copy ends, not to all that is held', async (t) => {
  const instance = await startInstance(t, { DRAIN_SECONDS: '0' });
  const http = new Http(t, instance.url);
  const shared = await publish(http, 'shared', 5);
  instance.kill('SIGTERM');
  await instance.exited;
  copy(instance);
  await instance.restart();
  const lost = await publish(http, 'lost', 5);
  await restore(instance);

  const [first] = await publish(http, 'new', 1);
  const back = await openStream(t, `${instance.url}/topics/news/events`, { headers: { 'last-event-id': lost[2]! } });
  await back.next(({ id }) => id === first);
  const later = await publish(http, 'later', 10);
  await back.next(({ id }) => id === later.at(-1));
  t.match(back.events.filter(({ event }) => event === '$gap').map(({ data }) => JSON.parse(data)), [{ requested: lost[2], resumed: shared[4], reason: 'forked' }]);
  t.same(back.events.filter(({ event }) => event === undefined).map(({ id }) => id), [first, ...later]);
  const page = await http.json<{ messages: { id: string }[]; gap: Gap }>(`/topics/news/messages?after=${lost[4]}`);
  t.match(page.gap, { requested: lost[4], resumed: shared[4], reason: 'forked' });
  t.same(page.messages.map(({ id }) => id), [first, ...later], 'and so in pages');
});
