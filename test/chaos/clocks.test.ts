import t from 'tap';
import { readHistory } from '../support/fleet-publishers.ts';
import { Random } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { until } from '../support/until.ts';
import { KEEP, stepOf } from './clocks.ts';
import { STORES } from './fleet.ts';
import { settableLog } from './settable-log.ts';

const HOUR = 3_600_000;

// Both wait for retention to look.
t.jobs = STORES.length;

for (const store of STORES) {
  t.test(`${store}: a clock steps ahead by hours, and back: no time goes back, TTLs end on time, no key or message is lost`, { buffered: true }, async (t) => {
    const { env, set } = await settableLog(t, store);
    const instance = await startInstance(t, { ...env, RETENTION_SECONDS: String(KEEP) });
    const http = new Http(t, instance.url);
    const began = Date.now();
    await http.publish('a', 'before');
    const keyed = async (): Promise<unknown> => (await http.post('b', 'keyed', { 'idempotency-key': 'one' })).headers['idempotency-replayed'];
    t.equal(await keyed(), undefined);
    await http.publish('a', 'fleeting', { ttl: '7200' });
    t.equal((await readHistory(http, 'a')).length, 2);
    await until('retention has looked', async () => await http.metric('log_bytes') > 0);

    await set(3 * HOUR);
    await http.publish('a', 'ahead');
    await instance.says('far ahead of the time that the log believes');
    t.equal(await keyed(), 'true', 'a key is remembered for a day');
    await until('the TTL is over', async () => (await readHistory(http, 'a')).length === 2);
    await set(-3 * HOUR);
    await http.publish('a', 'back');
    await set(0);
    await http.publish('a', 'right');

    const history = await readHistory(http, 'a');
    t.same(history.map(({ data }) => data), ['before', 'ahead', 'back', 'right']);
    const times = history.map(({ time }) => Date.parse(time) - began);
    t.ok(times[0]! < HOUR && times[1]! >= 3 * HOUR, times.join());
    t.same([times[2], times[3]], [times[1], times[1]], 'while the clock is behind, the time stands still');
    await instance.says('believed again');
    await set(25 * HOUR);
    t.equal(await keyed(), 'true', 'a clock that is not believed does not end it');
    t.equal(await http.metric('messages_trimmed_total'), 0);
  });
}

t.test('steps go both ways, from a second to minutes, some by hours: beyond retention, and below the life of a key', async (t) => {
  const random = new Random(1);
  const steps = Array.from({ length: 2_000 }, () => stepOf({ chance: random.next() }));
  const sizes = steps.map(Math.abs);
  t.ok(Math.abs(steps.filter((step) => step > 0).length - 1_000) < 150);
  t.ok(sizes.every((size) => (size >= 1_000 && size <= 300_000) || (size >= 1_000 * KEEP && size < 12 * HOUR)));
  t.ok(Math.abs(sizes.filter((size) => size >= HOUR).length - 250) < 80);
  t.ok(sizes.filter((size) => size < 20_000).length > 500);
  t.equal(stepOf({ chance: 0.3 }), stepOf({ chance: 0.3 }));
});
