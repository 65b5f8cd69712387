import { createAclsV3, produceV7, ProduceAcks, ResourceTypes, ResourcePatternTypes, AclOperations, AclPermissionTypes } from '@platformatic/kafka';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import t from 'tap';
import { encode, SENDER_BYTES } from '../../../src/bus/envelope.ts';
import { BrokerConnection } from '../../../src/kafka/broker-connection.ts';
import { topicOf } from '../../../src/bus/kafka/topic.ts';
import { readKafkaUrl } from '../../../src/config/kafka-url.ts';
import { busContract, content, Ear, joined, message } from '../../contract/bus.ts';
import { busOf, busPair, openBus } from '../../support/bus.ts';
import { needKafka, SCRAM_USER } from '../../support/kafka-jars.ts';
import { ANSWER_MAX, startKafka, type KafkaServer } from '../../support/kafka.ts';
import { recordingLogger } from '../../support/logger.ts';
import { freePort } from '../../support/ports.ts';
import type { Scope } from '../../support/temp.ts';
import { until } from '../../support/until.ts';

const { logger } = recordingLogger();
const needed = needKafka();

let started: Promise<KafkaServer> | undefined;
/** One broker for all tests of this file. */
function kafka(): Promise<KafkaServer> {
  started ??= startKafka(t, { secure: true });
  return started;
}

/** Somebody else who may do everything. */
async function stranger(t: Scope): Promise<BrokerConnection> {
  const connection = new BrokerConnection({ isTls: false }, { host: '127.0.0.1', port: (await kafka()).port }, ANSWER_MAX);
  t.teardown(() => connection.close());
  await connection.connect();
  return connection;
}

busContract(async () => {
  const { url } = await kafka();
  return { name: 'kafka', make: () => busOf({ url, logger }), uncounted: 'Kafka does not say who reads' };
}, needed);

t.test('it works with SASL PLAIN and SCRAM, over TLS, and with a broker among several that is away', needed, async (t) => {
  const server = await kafka();
  server.trust(t);
  const urls = {
    PLAIN: server.saslUrl('tidings', 'p@ss/w:rd %'), SCRAM: server.saslUrl(SCRAM_USER.name, SCRAM_USER.password, '?sasl=scram-sha-512'), TLS: server.tlsUrl,
    'several brokers': `${server.url},127.0.0.1:${await freePort()}`,
  };
  for (const [what, url] of Object.entries(urls)) {
    const { bus } = await joined(t, busOf({ url, logger }), `log-access-${what.length}`);
    const { ear } = await joined(t, busOf({ url, logger }), `log-access-${what.length}`);
    bus.publish([message(1, what)]);
    await ear.hears(1);
    t.same(content(ear.messages), content([message(1, what)]), what);
  }
});

t.test('no plain connection is made where TLS is asked for, and none to a certificate that nobody vouches for', needed, async (t) => {
  const server = await kafka();
  for (const [url, why] of [[server.tlsUrl, /self.signed certificate/], [server.url.replace('kafka:', 'kafka+ssl:'), /TLS|SSL/i], [server.tlsUrl.replace('+ssl', ''), /kafka\+ssl/]] as const) {
    const { bus, lines } = openBus(t, url, 'log-tls');
    await until('it is logged', () => lines.length > 0);
    t.match(lines[0], why);
    t.equal(bus.state, 'degraded');
    await bus.close();
  }
});

t.test('what strangers write into the topic wakes at most, and is counted', needed, async (t) => {
  const { url } = await kafka();
  const { ear, otherEar, counters, lines } = await busPair(t, url, 'log-lies');
  const liar = await stranger(t);
  const { wakes } = ear;
  const topic = topicOf('log-lies');
  const lies = [Buffer.alloc(0), Buffer.from('x'), randomBytes(500), encode(randomBytes(SENDER_BYTES), undefined).subarray(0, 20), Buffer.alloc(1_000_000)];
  const records = [
    ...lies.map((value) => ({ key: Buffer.from('commit'), value })),
    ...['note', `note:${ear.instance}`].map((key) => ({ key: Buffer.from(key), value: randomBytes(300) })),
    { value: Buffer.from('without a key') }, { key: Buffer.from('other'), value: randomBytes(10) },
  ];
  await liar.ask(produceV7.api, ProduceAcks.LEADER, 3_000, records.map((record) => ({ topic, partition: 0, ...record })), {});
  await liar.ask(produceV7.api, ProduceAcks.LEADER, 3_000, [{ topic, partition: 0, key: Buffer.from('commit'), value: Buffer.alloc(1_000_000) }], { compression: 'gzip' });
  await until('it was woken, and told to look', () => ear.wakes > wakes && ear.unproved > 0);
  t.same([ear.commits.length, otherEar.commits.length, ear.notes.length], [0, 0, 0]);
  t.ok(Object.values(counters.busRefused).reduce((sum, count) => sum + count) >= 3);
  t.match(lines.join('\n'), /on this Kafka|from Kafka/);
});

t.test('a Kafka that does not let it write makes it degraded, and it says so once; one that does not let it read never is up', needed, async (t) => {
  const server = await kafka();
  const boss = await stranger(t);
  const topic = topicOf('log-denied');
  const { bus: first } = await joined(t, busOf({ url: server.url, logger }), 'log-denied');
  await first.close();
  await boss.ask(createAclsV3.api, [AclOperations.READ, AclOperations.DESCRIBE].map((operation) => ({
    resourceType: ResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL, principal: 'User:reader', host: '*', operation, permissionType: AclPermissionTypes.ALLOW,
  })));
  const { bus, lines } = openBus(t, server.saslUrl('reader', 'right-secret'), 'log-denied');
  await until('it is up', () => bus.state === 'up');
  for (let round = 0; round < 5; round++) {
    await until('it is refused', () => {
      bus.publish([message(1)]);
      return bus.state === 'degraded';
    });
  }
  t.match(lines, [/is up/, /authoriz/i]);
  t.equal(lines.length, 2, lines.join('\n'));
  const { lines: denied } = openBus(t, server.saslUrl('nobody', 'right-secret'), 'log-denied');
  await until('it says so', () => denied.length > 0);
  t.match(denied, [/authoriz/i]);
});

t.test('no secret of the URL reaches the logger, an error, or the console', needed, async (t) => {
  const server = await kafka();
  const shown: unknown[] = [];
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    const original = console[level];
    console[level] = (...args: unknown[]) => void shown.push(args);
    t.teardown(() => {
      console[level] = original;
    });
  }
  const { logger, lines } = recordingLogger();
  const away = await freePort();
  for (const url of [server.saslUrl('reader', 'wrong-secret'), server.saslUrl(SCRAM_USER.name, 'wrong-secret', '?sasl=scram-sha-512'), `kafka://a:wrong-secret@127.0.0.1:${away}`, `kafka://a:wrong-secret@127.0.0.1:${server.port}`]) {
    const before = lines.length;
    const bus = busOf({ url, logger });
    t.teardown(() => bus.close());
    bus.join('log-secret', new Ear());
    await until('it is logged', () => lines.length > before);
    await bus.close();
  }
  for (const url of ['http://a:wrong-secret@host', 'kafka://a:wrong-secret@', 'kafka://a:wrong-secret%zz@host', 'kafka://a:wrong-secret@host/path', 'kafka://wrong-secret@host', 'kafka://a:wrong-secret@host:99999', 'kafka://a:wrong-secret@h,', 'kafka://a:wrong-secret@a b',
    'kafka://a:wrong-secret@host?sasl=wrong-secret', 'kafka://a:wrong-secret@host?wrong-secret', 'kafka://host?sasl=plain', 'kafka://:wrong-secret@host', 'kafka://a:wrong/secret@host', 'kafka://a:wrong?secret@host']) {
    t.throws(() => readKafkaUrl(url), { name: 'WrongValue' }, url);
    try {
      readKafkaUrl(url);
    } catch (error) {
      shown.push(error);
    }
  }
  t.notMatch(inspect([lines, shown], { depth: 20, maxStringLength: null }), /(right|wrong)-secret/);
});

t.test('URLs', (t) => {
  t.same(readKafkaUrl('kafka://localhost'), { brokers: [{ host: 'localhost', port: 9092 }], isTls: false });
  t.same(readKafkaUrl('KAFKA+SSL://u:p%3Aq@a:1,[::1],[::1]:5,b.example/?sasl=SCRAM-SHA-256'), {
    brokers: [{ host: 'a', port: 1 }, { host: '::1', port: 9092 }, { host: '::1', port: 5 }, { host: 'b.example', port: 9092 }], isTls: true, user: { mechanism: 'SCRAM-SHA-256', username: 'u', password: 'p:q' },
  });
  t.match(readKafkaUrl('kafka://u:p@h'), { user: { mechanism: 'PLAIN' } });
  t.end();
});
