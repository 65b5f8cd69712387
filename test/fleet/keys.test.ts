import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { check, summarise } from '../support/checker.ts';
import { emptyDatabase } from '../support/database.ts';
import { Publishers, readHistory } from '../support/fleet-publishers.ts';
import { seeded } from '../support/fleet-random.ts';
import { each, Http } from '../support/http.ts';
import { startInstance, type Instance } from '../support/instance.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Requests in two or more copies: enough to meet each other before, in, and after each other's commit. */
const ROUNDS = 200;
const AT_ONCE = 10;

/** How long a client that has left waits at most before it asks again. Milliseconds. */
const PAUSE = 6;

const random = seeded(t);
const instances = await startTwo(t);
const [one, two] = instances.map(({ url }) => new Http(t, url, 3 * AT_ONCE)) as [Http, Http];
/** Everything that any of the tests sent: numbers without holes are a matter of the whole log. */
const publishers = new Publishers(t, [], random);

async function startTwo(t: Scope): Promise<[Instance, Instance]> {
  const env = { DATABASE_URL: await emptyDatabase(t), LOG_LEVEL: 'warn' };
  return Promise.all([startInstance(t, env), startInstance(t, env)]);
}

t.test('requests with one key at the same moment, on two instances and twice on one: one message, one answer', async (t) => {
  let firsts = 0;
  await each(ROUNDS, AT_ONCE, async (round) => {
    const text = `round ${round}`;
    const notes = publishers.note([{ topic: 'orders', text }]);
    const headers = { 'idempotency-key': `"${randomUUID()}"` };
    const answers = await Promise.all([one, two, random.one([one, two])].map((http) => http.post('orders', text, headers)));
    for (const answer of answers) {
      if (answer.status !== 201) t.fail(`${text}: ${answer.status} ${answer.body}`);
      publishers.answered(notes, answer);
    }
    firsts += answers.filter((answer) => answer.headers['idempotency-replayed'] === undefined).length;
  });
  t.equal(firsts, ROUNDS, 'for each key one of the answers is the first');
  t.equal(publishers.replayed, 2 * ROUNDS, 'and the others say that they repeat it');
  const history = await readHistory(one);
  t.equal(history.length, ROUNDS);
  t.same(summarise(check({ publications: publishers.notes, streams: [], history })), []);
});

t.test('two requests with one key and different texts at the same moment: one is stored, the other is told', async (t) => {
  const outcomes: string[] = [];
  await each(ROUNDS / 4, AT_ONCE, async (round) => {
    const notes = publishers.note(['a', 'b'].map((text) => ({ topic: 'orders', text: `${text} of ${round}` })));
    const answers = await Promise.all(notes.map(({ text }, index) => [one, two][index]!.post('orders', text, { 'idempotency-key': `key-${round}` })));
    answers.forEach((answer, index) => {
      if (answer.status === 201) publishers.answered([notes[index]!], answer);
    });
    outcomes.push(answers.map(({ status }) => status).sort().join());
  });
  t.same([...new Set(outcomes)], ['201,422']);
  t.same(summarise(check({ publications: publishers.notes, streams: [], history: await readHistory(two) })), []);
});

t.test('a client that leaves before its answer and asks again elsewhere with its key: one message', async (t) => {
  const before = publishers.replayed;
  await each(ROUNDS, AT_ONCE, async (round) => {
    const text = `left in round ${round}`;
    const notes = publishers.note([{ topic: 'orders', text }]);
    const key = randomUUID();
    const [first, then] = random.below(2) === 0 ? [0, 1] : [1, 0];
    await sendAndLeave(instances[first]!.port, text, key);
    // At once, so that the two meet, or a little later.
    await sleep(random.below(PAUSE));
    const answer = await [one, two][then]!.post('orders', text, { 'idempotency-key': key });
    if (answer.status !== 201) t.fail(`${text}: ${answer.status} ${answer.body}`);
    publishers.answered(notes, answer);
  });
  await until('nothing waits', async () => (await Promise.all([one, two].map((http) => http.metric('appends_waiting')))).every((waiting) => waiting === 0));
  t.comment(`${publishers.replayed - before} of ${ROUNDS} found their message stored`);
  t.ok(publishers.replayed > before, 'the first request was carried out though nobody heard its answer');
  t.same(summarise(check({ publications: publishers.notes, streams: [], history: await readHistory(one) })), []);
});

/** Sends a whole publish and closes the connection before anything can come back. What the kernel was handed still arrives. */
function sendAndLeave(port: number, text: string, key: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      const head = `POST /topics/orders HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nIdempotency-Key: ${key}\r\nContent-Length: ${text.length}\r\n\r\n`;
      socket.write(head + text, () => socket.destroy());
    });
    socket.on('error', reject).on('close', () => resolve());
  });
}
