import { join } from 'node:path';
import t from 'tap';
import { UNDERSTOOD_LEVEL } from '../../src/store/level.ts';
import { Child } from '../support/child.ts';
import { COMMAND_ENV } from '../support/compile-cache.ts';
import { openStream } from '../support/client.ts';
import { emptyDatabase } from '../support/database.ts';
import { Load } from '../support/fleet-load.ts';
import { seeded } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance } from '../support/instance.ts';
import { nextVersion } from '../support/program-copy.ts';
import { rounds } from '../support/rounds.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Instances of two versions on one log: the present one, and the next, which changes the schema. */

const ENV = { LOG_LEVEL: 'info', POLL_MS: '50', RETRY_MIN_MS: '20', RETRY_MAX_MS: '200', DRAIN_SECONDS: '1' };
const STREAMS = rounds(20, 100);
const MESSAGES = rounds(30, 400);

/** Most of the time goes by while instances start: publishers leave them the machine. */
const THINK_MS = rounds(40, 6);

const NEXT_LEVEL = UNDERSTOOD_LEVEL + 1;

const MAIN = 'src/main.ts';
/** Where the present version is. */
const PRESENT = join(import.meta.dirname, '../..');

// Each test has a log and instances of its own, and often waits for a start.
t.jobs = 2;

t.test('the next version changes the schema under load: instances of both are killed and restarted, it is taken back, and nothing is lost', async (t) => {
  const random = seeded(t);
  const env = { ...ENV, DATABASE_URL: await emptyDatabase(t) };
  const next = join(nextVersion(t), MAIN);
  const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  const load = new Load(t, { urls: [one.url, two.url], random, publishers: 6, streams: STREAMS, cutEvery: 8, think: THINK_MS });

  await load.open();
  load.start();
  await load.more(MESSAGES);
  await two.replace(next);
  await load.more(MESSAGES);
  await one.restart('SIGKILL');
  await load.more(MESSAGES);
  await two.restart('SIGKILL');
  await load.more(MESSAGES);
  await two.replace();
  await load.more(MESSAGES);
  await Promise.all([one.replace(next), two.replace(next)]);
  await load.more(MESSAGES);
  await load.finish();

  t.comment(load.summary);
  t.same(load.gaveUp, [], 'no stream was ever answered with anything but 200');
  t.same(await load.faults(one.url), []);
});

t.test('a schema that the present version cannot use: an instance that runs goes on, one that starts says which version it needs', async (t) => {
  const env = { ...ENV, DATABASE_URL: await emptyDatabase(t) };
  const one = await startInstance(t, env);
  await startInstance(t, env, { entry: join(nextVersion(t, { isCompatible: false }), MAIN) });
  await new Http(t, one.url).publish('a', 'goes on');
  const late = await startInstance(t, env, { ready: (instance) => instance.output.includes('cannot be opened') });
  await late.says(/made by a newer version of Tidings \(it needs a program that knows its schema of .*\): start that version/);
  t.match(await new Http(t, late.url).post('a', 'x'), { status: 503 });
  t.match(JSON.parse((await new Http(t, late.url).get('/readyz')).body), { status: 'starting', detail: { database: 'opening', reason: 'schema' } });
});

t.test('a level that an instance does not understand: it stores and sends nothing until it is replaced, and its streams lose nothing', async (t) => {
  const env = { ...ENV, HEARTBEAT_SECONDS: '1', DATABASE_URL: await emptyDatabase(t) };
  const folder = nextVersion(t, { level: NEXT_LEVEL });
  const next = join(folder, MAIN);
  const one = await startInstance(t, env);
  const two = await startInstance(t, env, { entry: next });
  const [old, new_] = [new Http(t, one.url), new Http(t, two.url)];
  const stream = await openStream(t, `${one.url}/topics/a/events`);
  const first = await old.publish('a', 'before');
  await stream.next(({ data }) => data === 'before');
  await new_.publish('a', 'started by itself, the next version raises nothing');
  await stream.next(({ data }) => data.startsWith('started'));

  // It is migrated several times, and nobody needs what Node compiles of it later.
  const compiled = tempFolder(t);
  const migrate = async (program: string, ...args: readonly string[]): Promise<{ code: number | null; output: string }> => {
    const child = new Child(t, process.execPath, [join(program, 'src/cli/migrate.ts'), ...args], { env: { ...COMMAND_ENV, ...(program === PRESENT ? {} : { NODE_COMPILE_CACHE: compiled }), DATABASE_URL: env.DATABASE_URL } });
    const { code } = await child.exited;
    return { code, output: child.output };
  };
  t.match(await migrate(folder), { code: 0, output: new RegExp(`: up to date\\n.*: the log is at level ${UNDERSTOOD_LEVEL}, and this version understands levels up to ${NEXT_LEVEL}: npm run migrate -- --raise-level raises it\\n$`) });
  t.match(await migrate(folder, '--raise-level'), { code: 0, output: new RegExp(`: up to date\\n.*: the level of the log was raised from ${UNDERSTOOD_LEVEL} to ${NEXT_LEVEL}\\n$`) });
  t.match(await migrate(folder, '--raise-level'), { code: 0, output: new RegExp(`: the log was at level ${NEXT_LEVEL} already, the highest that this version understands\\n$`) });
  await new_.publish('a', 'after');
  await until('the old one is not ready', async () => (await old.get('/readyz')).status === 503);
  t.match(JSON.parse((await old.get('/readyz')).body), { status: 'unavailable', detail: { database: 'unavailable', reason: 'level' } });
  await one.says(`the log is at level ${NEXT_LEVEL}, and this program understands levels up to ${UNDERSTOOD_LEVEL}`);
  t.match(await old.post('a', 'refused'), { status: 503, body: /"code":"unavailable"/ });
  t.equal((await old.get('/messages?topic=a&after=start')).status, 503);
  const comments = stream.comments.length;
  await stream.until(() => stream.comments.length > comments + 1);
  t.same(stream.events.filter(({ data }) => data === 'after'), [], 'it is open, and idle');

  await one.restart('SIGKILL', (instance) => instance.output.includes('cannot be opened'));
  await one.says(`the log is at level ${NEXT_LEVEL}`);
  t.equal((await old.post('a', 'refused')).status, 503);
  await one.replace(next);
  await old.publish('a', 'replaced');
  const again = await openStream(t, `${one.url}/topics/a/events`, { headers: { 'last-event-id': first } });
  await again.next(({ data }) => data === 'replaced');
  t.same(again.events.map(({ data }) => data).filter((data) => !data.startsWith('{')), ['started by itself, the next version raises nothing', 'after', 'replaced']);
  t.same(again.events.filter(({ event }) => event === '$gap'), []);

  for (const args of [[], ['--raise-level']]) {
    t.match(await migrate(PRESENT, ...args), { code: 1, output: new RegExp(`^DATABASE_URL: the log is at level ${NEXT_LEVEL}, and this program understands levels up to ${UNDERSTOOD_LEVEL}: replace it by a newer version\\n$`) }, args.join());
  }
  t.match(await migrate(folder), { code: 0, output: new RegExp(`: the log is at level ${NEXT_LEVEL}, the highest`) }, 'a program that understands less lowers nothing');
});
