import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { emptyDatabase, isPostgres } from '../support/database.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { seeded } from '../support/fleet-random.ts';
import { Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import { rounds } from '../support/rounds.ts';

/**
 * Two instances share the log and both are killed in each round, after which nobody has it open. A file of theirs has more to lose by that than the
 * database of a server which goes on running.
 */
const ROUNDS = isPostgres ? rounds(3, 8) : rounds(8, 25);
/** Publishers that send again with the same key what got no answer, and some that have no key and send nothing again. */
const INSISTENT = 12;
const CARELESS = 4;
/** The kill comes after up to so many more messages with their 201, and so many milliseconds. */
const MORE = 40;
const MOMENT = 6;

t.test(`kill -9 while publishing, ${2 * ROUNDS} times: what got its 201 is there, no number is missing, nothing is stored twice`, async (t) => {
  const random = seeded(t);
  const env = { DATABASE_URL: await emptyDatabase(t), LOG_LEVEL: 'warn' };
  const [one, two] = await Promise.all([startInstance(t, env), startInstance(t, env)]);
  const publishers = new Publishers(t, [one.url, two.url], random.fork());

  let stopped = false;
  let texts = 0;
  const pause = (): Promise<void> => sleep(random.below(4));
  const running = Promise.all([
    ...Array.from({ length: INSISTENT }, async (_, index) => {
      while (!stopped) {
        if (random.below(5) > 0) await publishers.publish(`kept.${index}`, `text ${++texts}`);
        else await publishers.publishBatch(Array.from({ length: 1 + random.below(20) }, (_, at) => ({ topic: `kept.${at}`, text: `text ${++texts}` })));
        await pause();
      }
    }),
    ...Array.from({ length: CARELESS }, async (_, index) => {
      while (!stopped) {
        await publishers.publishOnce(`kept.${index}`, `text ${++texts}`);
        await pause();
      }
    }),
  ]);

  const killOne = async (instance: Instance): Promise<void> => {
    await publishers.reached(publishers.acknowledged + random.below(MORE));
    await sleep(random.below(MOMENT));
    instance.kill('SIGKILL');
    await instance.exited;
  };
  let slowest = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await publishers.reached(publishers.acknowledged + 1);
    if (random.below(2) === 0) await Promise.all([killOne(one), killOne(two)]);
    else for (const instance of random.below(2) === 0 ? [one, two] : [two, one]) await killOne(instance);
    publishers.hold();
    const began = performance.now();
    await Promise.all([one.restart(), two.restart()]);
    publishers.release();
    slowest = Math.max(slowest, performance.now() - began);
  }
  stopped = true;
  await running;

  const { acknowledged, refused, replayed } = publishers;
  t.comment(`${acknowledged} messages, ${refused} requests without an answer, ${replayed} of those sent again were stored before; the slowest start of two: ${Math.round(slowest)} ms`);
  const faults = await Promise.all([one, two].map(async ({ url }) => summarise(check({ publications: publishers.notes, streams: [], history: await readHistory(new Http(t, url)) }))));
  t.same(faults, [[], []]);
  t.ok(refused > ROUNDS, 'kills met requests that were under way');
});
