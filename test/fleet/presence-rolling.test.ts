import { EventSource } from 'eventsource';
import t from 'tap';
import { emptyDatabase } from '../support/database.ts';
import { ALIVE, PATIENT_CHECKS, startHaproxy } from '../support/haproxy.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { startRedis } from '../support/redis.ts';
import { rounds } from '../support/rounds.ts';
import { until } from '../support/until.ts';

/** A rolling restart of all instances, behind the HAProxy that is shipped, as those see it who watch who is there. */

const STREAMS = rounds(60, 600);
/** Watchers are told of more than 500 by their number alone, so some have two streams. */
const MEMBERS = Math.min(STREAMS, 400);

/** By how much the shares of the fullest instance and the emptiest one may differ at last. Of 600 streams the part and the number are the same. */
const UNEVEN_STREAMS = 20;
const UNEVEN_SHARE = 0.1;

interface News {
  readonly members?: readonly { readonly id: string }[];
  readonly joined?: readonly { readonly id: string }[];
  readonly left?: readonly string[];
}

/** Who is there, as one watcher hears it, and who has ever left. After its own return it hears the state. */
class Watcher {
  readonly present = new Set<string>();
  readonly left: string[] = [];

  hear({ members, joined = [], left = [] }: News): void {
    const now = new Set(members?.map(({ id }) => id));
    const gone = members === undefined ? left : [...this.present].filter((id) => !now.has(id));
    for (const { id } of [...members ?? [], ...joined]) this.present.add(id);
    for (const id of gone) this.present.delete(id);
    this.left.push(...gone);
  }
}

t.test('while all instances are replaced nobody is seen to leave, no message is lost, and the shares are even again', async (t) => {
  const env = {
    DATABASE_URL: await emptyDatabase(t), REDIS_URL: (await startRedis(t)).url, DRAIN_SECONDS: '2', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', REBALANCE_AGE_SECONDS: '1', ...ALIVE,
    // A busy machine brings nobody back later than that.
    PRESENCE_GRACE_SECONDS: '60', PRESENCE_TTL_SECONDS: '120',
  };
  const instances = await Promise.all([0, 1, 2].map(() => startInstance(t, env)));
  const { url } = await startHaproxy(t, instances.map(({ port }) => port), { replace: PATIENT_CHECKS });
  const http = new Http(t, url);
  const open = (path: string): EventSource => {
    const source = new EventSource(url + path);
    t.teardown(() => source.close());
    return source;
  };
  const got = Array.from({ length: STREAMS }, (): string[] => []);
  for (const [index, seen] of got.entries()) open(`/topics/room/events?as=member-${index % MEMBERS}`).onmessage = ({ data }) => void seen.push(data as string);
  const watcher = new Watcher();
  open('/topics/room/events?presence=1').addEventListener('$presence', ({ data }) => watcher.hear(JSON.parse(data as string) as News));
  await until('the watcher sees all', () => watcher.present.size === MEMBERS);

  let published = 0;
  const counts = async (): Promise<number[]> => {
    await http.publish('room', `${published++}`);
    return Promise.all(instances.map((instance) => new Http(t, instance.url).metric('streams')));
  };
  for (const instance of instances) {
    await http.publish('room', `${published++}`);
    await instance.restart('SIGTERM');
    await http.publish('room', `${published++}`);
    await until('all are open', async () => (await counts()).reduce((sum, count) => sum + count, 0) === STREAMS + 1);
  }
  const restarted = performance.now();
  let shares = await counts();
  t.comment(`after the restarts: ${shares.join()}`);
  await until('the shares are even', async () => {
    shares = await counts();
    return Math.max(...shares) - Math.min(...shares) <= Math.max(UNEVEN_STREAMS, UNEVEN_SHARE * STREAMS / 3) && shares.reduce((sum, count) => sum + count, 0) === STREAMS + 1;
  });
  t.comment(`${Math.round((performance.now() - restarted) / 1_000)} s later: ${shares.join()}`);
  await until('everybody is there', async () => (await http.json<{ topics: { streams: number; members: number }[] }>('/presence?topic=room')).topics[0]!.streams === STREAMS + 1);
  const expected = Array.from({ length: published }, (_, index) => `${index}`);
  await until('all have everything', () => got.every(({ length }) => length >= published));
  t.ok(got.every((seen) => seen.join() === expected.join()), 'each message once, in order');
  t.same(watcher.left, [], 'nobody was seen to leave');
  t.equal(watcher.present.size, MEMBERS);
});
