import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { STORES } from '../chaos/fleet.ts';
import { settableLog } from '../chaos/settable-log.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { readHistory } from '../support/fleet-publishers.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What an operator types: `npm run clock -- …`. */
async function clock(t: Test, env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = new Child(t, process.execPath, [join(import.meta.dirname, '../../src/cli/clock.ts'), ...args], { cwd: tempFolder(t), env: { ...COMMAND_ENV, ...env } });
  const { code } = await child.exited;
  return { code, output: child.output };
}

// They wait for retention to look: two tests for each store.
t.jobs = 2 * STORES.length;

for (const store of STORES) {
  t.test(`${store}: instances that start with a clock that is days ahead delete nothing, forget no key, and say so`, { buffered: true }, async (t) => {
    const { env, set } = await settableLog(t, store);
    const instance = await startInstance(t, { ...env, RETENTION_SECONDS: String(7 * DAY / 1000) });
    const http = new Http(t, instance.url);
    const keyed = async (): Promise<unknown> => (await http.post('a', 'keyed', { 'idempotency-key': 'one' })).headers['idempotency-replayed'];
    for (const text of ['1', '2', '3']) await http.publish('a', text);
    t.equal(await keyed(), undefined);
    instance.kill('SIGKILL');
    await instance.exited;

    await set(8 * DAY);
    for (const start of ['first', 'second']) {
      await instance.restart();
      await instance.says('far ahead of the time that the log believes');
      await until('retention has looked', async () => await http.metric('clock_ahead_seconds') > 7.9 * DAY / 1000);
      t.equal((await readHistory(http, 'a')).length, 4, start);
      t.equal(await keyed(), 'true');
    }
    t.match(await clock(t, env), { code: 0, output: /The clock is 8\.0 days ahead of the believed time.* npm run clock -- --accept$/m });
    await set(0);
    await instance.says('believed again');
    t.equal(await http.metric('clock_ahead_seconds'), 0);
    t.equal(await http.metric('messages_trimmed_total'), 0);

    await set(8 * DAY);
    const accepted = await clock(t, env, '--accept');
    t.match(accepted, { code: 0, output: /; 0 messages and 0 idempotency keys/ });
    t.notMatch(accepted.output, /--accept/, 'it is not advised to do what it does');
    await until('what is too old by the accepted clock is deleted', async () => await http.metric('messages_trimmed_total') === 4);
  });

  t.test(`${store}: a message from years ahead of the clock stops everything that counts time, until the clock is accepted`, { buffered: true }, async (t) => {
    const { env, set } = await settableLog(t, store);
    const keep = 30 * MINUTE;
    const settings = { ...env, RETENTION_SECONDS: String(keep / 1000), IDEMPOTENCY_SECONDS: '600' };
    const instance = await startInstance(t, settings);
    const http = new Http(t, instance.url);
    const history = async (): Promise<string[]> => (await readHistory(http, 'a')).map(({ data }) => data);
    const keyed = async (): Promise<unknown> => (await http.post('b', 'keyed', { 'idempotency-key': 'one' })).headers['idempotency-replayed'];
    await http.publish('a', 'before');
    await set(1000 * DAY);
    await http.publish('a', 'ahead');
    // More than one step takes.
    await http.batch(Array.from({ length: 700 }, () => ({ topic: 'many', data: 'ahead' })));
    t.equal(await keyed(), undefined);
    await http.publish('a', 'fleeting', { ttl: '600' });
    await set(0);
    await instance.says('newest message is from far ahead');
    t.ok(await http.metric('newest_message_ahead_seconds') > 999 * DAY / 1000);
    t.match(await clock(t, env), { code: 0, output: /The newest message is from 1000\.0 days ahead of the clock/ });
    t.same(await history(), ['before', 'ahead', 'fleeting']);

    const now = Date.now();
    const accepting = clock(t, env, '--accept');
    let isAccepted = false;
    void accepting.then(() => {
      isAccepted = true;
    });
    while (!isAccepted) await http.publish('many', 'meanwhile');
    t.notMatch((await accepting).output, /--accept/, 'it is not advised to do what it does');
    t.match(await accepting, { code: 0, output: /accepted: the clock is believed; \d{3,} messages and 1 idempotency key from beyond it/ });
    t.match(await clock(t, env, '--accept'), { code: 0, output: /; 0 messages and 0 idempotency keys from beyond it/ });
    await instance.says('no longer ahead');
    t.ok(await http.metric('newest_message_ahead_seconds') < 60);
    await instance.restart();
    await http.publish('a', 'after');
    const times = (await readHistory(http, '>')).map(({ time }) => Date.parse(time));
    t.ok(times.length > 704 && times[1]! >= now && times.every((time, index) => index === 0 || time >= times[index - 1]!) && times.at(-1)! < Date.now() + MINUTE, `${times[0]}, ${times[1]}, ${times.at(-1)}`);
    t.equal(await keyed(), 'true');
    t.match(await clock(t, env), { code: 0, output: /^newest message  \S+\n$/m });

    await set(15 * MINUTE);
    await until('the TTL is over', async () => !(await history()).includes('fleeting'));
    t.equal(await keyed(), undefined, 'the key was remembered for ten minutes');
    t.same((await http.json<{ messages: { data: string }[] }>('/topics/a/messages?since=1m')).messages, [], 'nothing is younger than a minute');
    await set(keep + 5 * MINUTE);
    await instance.restart();
    await until('what is too old is deleted', async () => (await history()).length === 0);
  });
}

t.test('it says what it cannot do', async (t) => {
  const missing = { DATABASE_URL: `file:${join(tempFolder(t), 'none.db')}` };
  t.match(await clock(t, missing), { code: 1, output: /none\.db\nDATABASE_URL: there is no log yet/ });
  t.match(await clock(t, missing, '--except'), { code: 2, output: /Unknown option '--except'/ });
  t.match(await clock(t, missing, 'now'), { code: 2, output: /Unexpected argument 'now'/ });
  t.match(await clock(t, missing, '--help'), { code: 0, output: /--accept/ });
  t.match(await clock(t, missing, '-h'), { code: 0, output: /--accept[^]*without it npm keeps the option for itself/ });
  t.match(await clock(t, { ...missing, npm_config_accept: 'true' }), { code: 2, output: /^npm kept --accept for itself, and nothing was done\. Put -- before it: npm run clock -- --accept\n/ });

  const file = join(tempFolder(t), 'log.db');
  writeFileSync(`${file}-wal`, 'what was stored last');
  t.match(await clock(t, { DATABASE_URL: `file:${file}` }), { code: 1, output: /DATABASE_URL: the database file \S+log\.db is missing or empty, but its write-ahead log \S+log\.db-wal is not/ });
});
