import { createTopicsV7, deleteRecordsV2, deleteTopicsV6, metadataV12, ProduceAcks, produceV7, Producer } from '@platformatic/kafka';
import t from 'tap';
import { KAFKA } from '../../src/connectors/kafka/kafka.ts';
import { recordsOf, type Partition } from '../../src/connectors/kafka/records.ts';
import { fetchFrom } from '../../src/connectors/kafka/partitions.ts';
import { EXPANDED_MAX_BYTES } from '../../src/kafka/bounded-expansion.ts';
import { BrokerConnection } from '../../src/kafka/broker-connection.ts';
import { draft, range } from '../contract/store-kit.ts';
import { ConnectedLog } from '../support/connectors.ts';
import { Child } from '../support/child.ts';
import { JARS, needKafka } from '../support/kafka-jars.ts';
import { ANSWER_MAX, startKafkaBehind } from '../support/kafka.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { SqliteDatabase } from '../store/sqlite/database.ts';

const needed = needKafka();

let started: ReturnType<typeof startKafkaBehind> | undefined;
/** One broker for all tests of this file. */
function behindLink(): ReturnType<typeof startKafkaBehind> {
  started ??= startKafkaBehind(t, 1);
  return started;
}

/** Another program on the other side. */
class Outside {
  readonly #connection: BrokerConnection;

  private constructor(connection: BrokerConnection) {
    this.#connection = connection;
  }

  static async open(t: Scope): Promise<Outside> {
    const { kafka } = await behindLink();
    const connection = new BrokerConnection({ isTls: false }, { host: '127.0.0.1', port: kafka.port }, ANSWER_MAX);
    t.teardown(() => connection.close());
    await connection.connect();
    return new Outside(connection);
  }

  async make(name: string, partitions = 1, configs: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#connection.ask(createTopicsV7.api, [{ name, numPartitions: partitions, replicationFactor: 1, assignments: [], configs: Object.entries(configs).map(([name, value]) => ({ name, value })) }], 5_000, false);
    await until('it has leaders', async () => (await this.#partitionsOf(name)) === partitions);
  }

  async drop(name: string): Promise<void> {
    await this.#connection.ask(deleteTopicsV6.api, [{ name }], 5_000);
    await until('it is gone', async () => (await this.#partitionsOf(name)) === 0);
  }

  /** As retention does. */
  async forget(topic: string, offset: bigint): Promise<void> {
    await this.#connection.ask(deleteRecordsV2.api, [{ name: topic, partitions: [{ partitionIndex: 0, offset }] }], 5_000);
  }

  async write(topic: string, values: readonly (string | Buffer)[], { partition = 0, key, headers = {}, compression = 'none' }: { readonly partition?: number; readonly compression?: 'none' | 'zstd'; readonly key?: string; readonly headers?: Readonly<Record<string, string>> } = {}): Promise<void> {
    await this.#connection.ask(produceV7.api, ProduceAcks.ALL, 5_000, values.map((value) => ({
      topic, partition, value: Buffer.from(value), ...(key === undefined ? {} : { key: Buffer.from(key) }), headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
    })), { compression });
  }

  /** What a partition has, as `key=value`. */
  async read(topic: string, index = 0): Promise<{ readonly lines: string[]; readonly headers: Readonly<Record<string, string | undefined>>[] }> {
    const partition: Partition = { topic, topicId: '', identity: '', index, leader: { host: '', port: 0 }, part: '' };
    const [answer] = await fetchFrom(this.#connection, false, 100, 0, ANSWER_MAX, 0, 0, -1, [{ topicId: topic, partitions: [{ partition: index, currentLeaderEpoch: -1, fetchOffset: 0n, lastFetchedEpoch: -1, partitionMaxBytes: ANSWER_MAX }] }], [], '');
    const { records } = recordsOf(answer!.partitions[0]!, partition, 0n);
    return { lines: records.map(({ fields, data }) => `${fields['key']}=${Buffer.from(data).toString()}`), headers: records.map(({ headers }) => headers) };
  }

  async #partitionsOf(name: string): Promise<number> {
    try {
      return (await this.#connection.ask(metadataV12.api, [name], false, false)).topics[0]?.partitions.filter(({ leaderId }) => leaderId >= 0).length ?? 0;
    } catch {
      // It is not there, or not yet.
      return 0;
    }
  }
}

async function open(t: Scope, declared: Readonly<Record<string, object>>, database = new SqliteDatabase(t)): Promise<ConnectedLog> {
  const { links: [link] } = await behindLink();
  const url = link!.url.replace('http', 'kafka');
  return ConnectedLog.open(t, database.store(), Object.fromEntries(Object.entries(declared).map(([name, one]) => [name, { of: 'kafka', url, ...one }])), { kafka: KAFKA });
}

const source = (parts: object): object => ({ kind: 'source', ...parts });
const sink = (parts: object): object => ({ kind: 'sink', ...parts });
const isUp = (log: ConnectedLog): boolean => log.connectors.running.length > 0 && log.connectors.running.every(([, { state }]) => state === 'up');

t.test('topics become topics, each partition in its order, once also after a stop; templates see topic, partition, key, headers and data', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('orders.new', 3);
  await outside.make('plain');
  const database = new SqliteDatabase(t);
  const declared = { plain: source({ topics: ['plain'] }), made: source({ topics: ['orders.new'], topic: 'from.{topic.2}.{partition}.{key|=none}', event: '{/kind}' }) };
  const first = await open(t, declared, database);
  for (const partition of [0, 1, 2]) await outside.write('orders.new', range(1, 50).map(String), { partition });
  await outside.write('plain', range(1, 50).map(String));
  await until('all are there', async () => (await first.held()).length === 200);
  for (const partition of [0, 1, 2]) t.same(await first.held(`from.new.${partition}.none`), range(1, 50).map((number) => `from.new.${partition}.none=${number}`));
  t.match((await first.connectors.list()).find(({ name }) => name === 'made'), { state: 'up', behind: 0, positions: { 'orders.new/2': /-.*@50$/ } });
  await first.close();
  await outside.write('plain', ['51']);
  await outside.write('orders.new', ['{"kind":"paid"}'], { key: 'k', partition: 1 });
  const second = await open(t, declared, database);
  await until('the rest is there', async () => (await second.held()).length === 202);
  t.same((await second.held('plain')).at(-1), 'plain=51');
  t.same(await second.held('from.new.1.k'), ['from.new.1.k={"kind":"paid"}']);
  await second.close();
});

t.test('a topic that was made anew is read from its beginning, and what retention took is counted', needed, async (t) => {
  const outside = await Outside.open(t);
  const database = new SqliteDatabase(t);
  await outside.make('again');
  const log = await open(t, { it: source({ topics: ['again'] }) }, database);
  await outside.write('again', ['1.1', '1.2']);
  await until('the first are there', async () => (await log.held()).length === 2);
  await outside.drop('again');
  await outside.make('again');
  await outside.write('again', ['2.1', '2.2', '2.3']);
  await until('all are there', async () => (await log.held()).length === 5);
  t.same(await log.held(), ['1.1', '1.2', '2.1', '2.2', '2.3'].map((text) => `again=${text}`));
  t.equal(log.count('it', 'renewed'), 1);
  await log.close();
  await outside.write('again', ['2.4', '2.5', '2.6']);
  await outside.forget('again', 5n);
  for (const round of [1, 2]) {
    const later = await open(t, { it: source({ topics: ['again'] }) }, database);
    await until('the last is there', async () => isUp(later) && (await later.held()).at(-1) === 'again=2.6');
    t.same([(await later.held()).length, later.count('it', 'lost')], [6, round === 1 ? 2 : 0]);
    await later.close();
  }
});

t.test('from now: what was there before is left out, also after a stop before the first record', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('now');
  await outside.write('now', ['before']);
  const database = new SqliteDatabase(t);
  const declared = { it: source({ topics: ['now'], from: 'now' }) };
  const first = await open(t, declared, database);
  await until('it has begun', async () => (await first.store.connectors.sourcePositions('it')).length === 1);
  await first.close();
  await outside.write('now', ['meanwhile']);
  const second = await open(t, declared, database);
  await until('the record is there', async () => (await second.held()).length > 0);
  t.same(await second.held(), ['now=meanwhile']);
  await second.close();
});

t.test('a transaction that was given up is passed over, and one that was not is taken', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('tx');
  const { kafka } = await behindLink();
  const producer = new Producer({ clientId: 'outside', bootstrapBrokers: [`127.0.0.1:${kafka.port}`], idempotent: true, transactionalId: 'tx-1' });
  t.teardown(() => producer.close());
  for (const [index, texts] of [['given up'], ['kept'], ['given up, too'], ['kept, too']].entries()) {
    const transaction = await producer.beginTransaction();
    await transaction.send({ messages: texts.map((text) => ({ topic: 'tx', value: Buffer.from(text) })) });
    if (index % 2 === 0) await transaction.abort();
    else await transaction.commit();
  }
  const log = await open(t, { it: source({ topics: ['tx'] }) });
  await until('the last is there', async () => (await log.held()).includes('tx=kept, too'));
  t.same(await log.held(), ['tx=kept', 'tx=kept, too']);
  await log.close();
});

t.test('a sink writes what its topics have, in order, each topic in one partition, with its headers; what Kafka never takes becomes a dead letter', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('out', 3, { 'max.message.bytes': '3000' });
  await outside.make('__consumer_offsets');
  const log = await open(t, { out: sink({ topics: ['a.*'], topic: 'out' }), odd: sink({ topics: ['odd'], topic: '{/to}' }) });
  await until('both are up', () => isUp(log));
  await log.publish(...range(1, 200).map((number) => draft(`a.${number % 5}`, `${number}`)));
  await log.publish(draft('odd', '{"to":"größe"}', { json: true }), draft('odd', '{"to":"__consumer_offsets"}', { json: true }), draft('odd', '{"to":"out"}', { json: true }));
  await log.publish(draft('a.1', 'x'.repeat(5_000)), draft('a.1', 'last', { event: 'made' }));
  const read = () => Promise.all([0, 1, 2].map((partition) => outside.read('out', partition)));
  await until('all are there', async () => (await read()).flatMap(({ lines }) => lines).length === 202);
  const partitions = await read();
  for (const digit of range(0, 4)) {
    const having = partitions.filter(({ lines }) => lines.some((line) => line.startsWith(`a.${digit}=`)));
    t.equal(having.length, 1);
    t.same(having[0]!.lines.filter((line) => line.startsWith(`a.${digit}=`)), [...range(1, 200).filter((number) => number % 5 === digit).map((number) => `a.${digit}=${number}`), ...(digit === 1 ? ['a.1=last'] : [])]);
  }
  t.match(partitions.flatMap(({ headers }) => headers).find(({ 'tidings-event': event }) => event === 'made'), { 'tidings-log': log.store.logId, 'tidings-topic': 'a.1', 'tidings-id': /-/, 'content-type': /text/ });
  await until('the dead letters are counted', () => log.count('out', 'dead') === 1 && log.count('odd', 'dead') === 2);
  await log.close();
});

t.test('batches that expand too far together are read one by one', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('bombs');
  const size = EXPANDED_MAX_BYTES / 4;
  for (let count = 0; count < 5; count++) await outside.write('bombs', [Buffer.alloc(size)], { compression: 'zstd' });
  await outside.write('bombs', ['last']);
  const log = await open(t, { it: source({ topics: ['bombs'] }) });
  await until('the last is there', async () => (await log.held('bombs')).length === 1);
  t.equal(log.count('it', 'dead'), 5);
  await log.close();
});

t.test('a source and a sink on one topic make no loop', needed, async (t) => {
  const outside = await Outside.open(t);
  await outside.make('loop');
  const log = await open(t, { in: source({ topics: ['loop'] }), out: sink({ topics: ['loop'] }) });
  await until('both are up', () => isUp(log));
  await outside.write('loop', ['from outside']);
  await log.publishText('loop', 'from inside');
  await until('each passed over what came from the other', () => log.count('in', 'own') === 1 && log.count('out', 'origin') === 1);
  t.same((await log.held()).sort(), ['loop=from inside', 'loop=from outside']);
  t.equal((await outside.read('loop')).lines.length, 2);
  await log.close();
});

t.test('a Kafka that is away or frozen is waited for: nothing is lost, and the order is kept, both ways', needed, async (t) => {
  const outside = await Outside.open(t);
  const { kafka, links: [link] } = await behindLink();
  await outside.make('in');
  await outside.make('back');
  const log = await open(t, { in: source({ topics: ['in'] }), out: sink({ topics: ['back'] }) });
  await until('both are up', () => isUp(log));
  const both = async (text: string): Promise<void> => {
    await outside.write('in', [text]);
    await log.publishText('back', text);
  };
  await both('1');
  link!.cut();
  await both('2');
  await until('both know', () => log.connectors.running.every(([, { state }]) => state === 'failing'));
  link!.heal();
  await until('both are up again', () => isUp(log));
  await both('3');
  process.kill(kafka.pid, 'SIGSTOP');
  t.teardown(() => process.kill(kafka.pid, 'SIGCONT'));
  let last = 3;
  // A busy machine lets it go on for a moment.
  await until('both know', async () => {
    await log.publishText('back', `${++last}`);
    return log.connectors.running.every(([, { state }]) => state === 'failing');
  });
  process.kill(kafka.pid, 'SIGCONT');
  await outside.write('in', ['4']);
  await until('the log has all', async () => (await log.held('in')).length === 4);
  t.same(await log.held('in'), range(1, 4).map((number) => `in=${number}`));
  await until('Kafka has all', async () => (await outside.read('back')).lines.includes(`back=${last}`));
  // What was written while its confirmation was lost comes twice, and nothing before it.
  t.same([...new Set((await outside.read('back')).lines)], range(1, last).map((number) => `back=${number}`));
  await log.close();
});

t.test("Kafka's own programs: what they write is read, compressed too, and what a sink writes they read", needed, async (t) => {
  const outside = await Outside.open(t);
  const { kafka } = await behindLink();
  await outside.make('console');
  const log = await open(t, { in: source({ topics: ['console'], topic: 'from.{key}' }), out: sink({ topics: ['to.>'], topic: 'console' }) });
  await until('both are up', () => isUp(log));
  const producer = new Child(t, 'sh', ['-c', `printf 'k:%s\\n' one two | exec java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$1" org.apache.kafka.tools.ConsoleProducer --bootstrap-server 127.0.0.1:${kafka.port} --topic console --compression-codec snappy --reader-property parse.key=true --reader-property key.separator=:`, 'sh', JARS]);
  t.match(await producer.exited, { code: 0 }, producer.output);
  await until('both are there', async () => (await log.held('from.k')).length === 2);
  t.same(await log.held('from.k'), ['from.k=one', 'from.k=two']);
  await log.publishText('to.them', 'hello');
  const consumer = new Child(t, 'java', ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', JARS, 'org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', `127.0.0.1:${kafka.port}`, '--topic', 'console', '--partition', '0', '--offset', '2', '--max-messages', '1',
    '--formatter-property', 'print.key=true', '--formatter-property', 'print.headers=true']);
  await consumer.exited;
  t.match(consumer.output, new RegExp(`tidings-log:${log.store.logId},.*to\\.them\\thello`));
  await log.close();
});
