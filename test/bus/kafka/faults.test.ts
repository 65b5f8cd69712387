import { createServer, type Socket } from 'node:net';
import t from 'tap';
import { answerFraming } from '../../../src/kafka/answer-framing.ts';
import { systemClock, type Clock } from '../../../src/runtime/clock.ts';
import { busFaults } from '../../contract/bus-faults.ts';
import { message } from '../../contract/bus.ts';
import { flows, openBus } from '../../support/bus.ts';
import { seeded } from '../../support/fleet-random.ts';
import { needKafka } from '../../support/kafka-jars.ts';
import { ANSWER_MAX, startKafkaBehind } from '../../support/kafka.ts';
import { listening } from '../../support/listening.ts';
import { LyingProxy } from '../../support/lying-proxy.ts';
import { mutant } from '../../support/mutants.ts';
import { freePort } from '../../support/ports.ts';
import { rounds } from '../../support/rounds.ts';
import { until } from '../../support/until.ts';

/** The longest wait between two attempts, under the same name there. */
const RECONNECT_MAX_MS = 5_000;

const LOG_ID = `log-lies-${process.pid}`;

/** How many answers of Kafka are falsified: each may cost as long as an answer may take. */
const LIES = rounds(8, 100, 3);

/** Tries again without a wait. */
const eager: Clock = { ...systemClock, after: (ms, task) => systemClock.after(ms > RECONNECT_MAX_MS ? ms : 0, task) };

const needed = needKafka();

let started: ReturnType<typeof startKafkaBehind> | undefined;
/** One broker for all tests of this file. */
function behindLink(): ReturnType<typeof startKafkaBehind> {
  started ??= startKafkaBehind(t, 1);
  return started;
}

busFaults(async () => {
  const { kafka, links: [link] } = await behindLink();
  return { url: link!.url.replace('http', 'kafka'), link: link!, restore: () => link!.lead(kafka.portOf(0)), pid: kafka.pid };
}, needed);

t.test('garbage in the place of Kafka: it goes on trying', async (t) => {
  const port = await freePort();
  const answers = ['HTTP/1.1 400 Bad Request\r\n\r\n', '\0\0\0\0', '\0\0\0\u0004\0\0\0\u0001', '\u00ff\u00ff\u00ff\u00ff\0\0\0\u0001', '\u007f\u00ff\u00ff\u00ff', '\u0015\u0003\u0003\0\u0002\u0002\u0028', '\0\0\0\u0020\0\0\0\u0001garbage'];
  let connections = 0;
  const sockets = new Set<Socket>();
  const impostor = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('data', () => socket.end(Buffer.from(answers[connections++ % answers.length]!, 'latin1')));
  });
  await listening(impostor, port);
  const { bus, lines } = openBus(t, `kafka://127.0.0.1:${port}`, LOG_ID, eager);
  await until('all was tried', () => connections > answers.length);
  t.equal(bus.state, 'degraded');
  t.equal(lines.length, 1);
  await bus.close();
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => impostor.close(resolve));
});

t.test('an answer is bounded', (t) => {
  const announce = (length: number): Buffer => {
    const bytes = Buffer.alloc(20);
    bytes.writeInt32BE(length);
    return bytes;
  };
  const framing = answerFraming(1_000);
  for (const length of [-1, 0, 3, 1_001, 2 ** 31 - 1]) t.throws(() => framing(announce(length)), /announces/, String(length));
  t.equal(framing(announce(1_000)), 1_004);
  t.equal(framing(announce(4)), 8);
  t.equal(framing(Buffer.alloc(3)), 4, 'more is to come');
  t.end();
});

t.test('a Kafka whose answers are falsified ends nothing: when it tells the truth again, messages flow', needed, async (t) => {
  const { kafka, links: [link] } = await behindLink();
  const random = seeded(t);
  let lies = 0;
  const proxy = await LyingProxy.start(t, kafka.portOf(0), answerFraming(ANSWER_MAX), (answer) => {
    if (lies >= LIES || random.below(3) > 0) return answer;
    lies++;
    return Buffer.concat(mutant([answer], random, [answer]));
  });
  link!.lead(proxy.port);
  t.teardown(() => link!.lead(kafka.portOf(0)));
  const url = link!.url.replace('http', 'kafka');
  const one = openBus(t, url, LOG_ID, eager);
  const two = openBus(t, url, LOG_ID, eager);
  let seq = 1;
  await until('enough was falsified', () => {
    one.bus.publish([message(seq++)]);
    return lies >= LIES;
  });
  await until('both are up', () => one.bus.state === 'up' && two.bus.state === 'up');
  await flows(one.bus, two.ear);
  await flows(two.bus, one.ear);
  for (const { data } of two.ear.messages) t.ok(/^data \d+$/.test(Buffer.from(data).toString()), 'what was falsified is not believed');
});
