import { jetstream } from '@nats-io/jetstream';
import { headers as natsHeaders } from '@nats-io/transport-node';
import t from 'tap';
import { NATS } from '../../src/connectors/nats/nats.ts';
import { DEAD_EVENT } from '../../src/connectors/plan.ts';
import type { Transport } from '../../src/connectors/transport.ts';
import { draft, range, readMessages } from '../contract/store-kit.ts';
import { ConnectedLog, natsClient, natsManager, startJetStream } from '../support/connectors.ts';
import { startNats, type NatsServer } from '../support/nats.ts';
import type { Scope } from '../support/temp.ts';
import { until } from '../support/until.ts';
import { SqliteDatabase } from '../store/sqlite/database.ts';

const server = await startJetStream(t);
const client = await natsClient(t, server);
const manager = await natsManager(t, server);
const js = jetstream(client);

/** What a stream has, as `subject=data`, in its order. */
async function streamed(name: string): Promise<string[]> {
  const { state } = await manager.streams.info(name);
  const found: string[] = [];
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage(name, { seq });
    if (message !== null) found.push(`${message.subject}=${message.string()}`);
  }
  return found;
}

function open(t: Scope, declared: object): Promise<ConnectedLog> {
  return ConnectedLog.open(t, new SqliteDatabase(t).store(), declared);
}

const source = (parts: object, { url }: NatsServer = server): object => ({ kind: 'source', of: 'nats', url, ...parts });
const sink = (parts: object, { url }: NatsServer = server): object => ({ kind: 'sink', of: 'nats', url, ...parts });

t.test('a stream becomes topics, in order; templates see subject, headers and data', async (t) => {
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  for (const number of range(1, 300)) await js.publish('orders.made', `n${number}`);
  const log = await open(t, {
    plain: source({ stream: 'ORDERS' }),
    made: source({ stream: 'ORDERS', topic: 'from.{subject.2}.{/id|=none}', event: '{/kind}' }),
  });
  await until('all are there', async () => (await log.held()).length === 600);
  t.same(await log.held('orders.made'), range(1, 300).map((number) => `orders.made=n${number}`));
  await js.publish('orders.paid', '{"id":"a.b","kind":"paid"}');
  await until('the message is there', async () => (await log.held()).length === 602);
  const made = (await readMessages(log.store)).filter(({ topic }) => topic === 'from.paid.a_b');
  t.match(made, [{ event: 'paid', json: true }]);
  t.same(await log.held('orders.paid'), ['orders.paid={"id":"a.b","kind":"paid"}']);
  const list = await log.connectors.list();
  t.match(list[0], { name: 'plain', kind: 'source', of: 'nats', place: `nats:localhost:${server.port}`, state: 'up', owner: /instance/ });
  t.match(list[0]!.positions!, { '': /^ORDERS .*@301$/ });
  await until('everything is acknowledged', async () => (await consumersOf('ORDERS')).every(({ num_ack_pending, num_pending }) => num_ack_pending === 0 && num_pending === 0));
  await log.close();
});

async function consumersOf(stream: string): Promise<{ num_ack_pending: number; num_pending: number }[]> {
  const found: { num_ack_pending: number; num_pending: number }[] = [];
  for await (const info of manager.consumers.list(stream)) found.push(info);
  return found;
}

/** NATS for an owner that dies each time between the commit and the acknowledgment. */
const DYING: Transport = { ...NATS, source: { ...NATS.source, read: (given, declared) => {
  const opener = NATS.source.read(given, declared);
  return { ...opener, open: async (context) => {
    const opened = await opener.open(context);
    return { close: () => opened.close(), read: (reading) => opened.read({ ...reading, take: async (records) => {
      await reading.take(records);
      throw new Error('killed');
    } }) };
  } };
} } };

t.test('what the log has and nobody acknowledged comes again after another instance took over, and is stored once', async (t) => {
  for (const retention of ['limits', 'workqueue', 'interest'] as const) {
    const name = `R-${retention}`;
    await manager.streams.add({ name, subjects: [`r.${retention}`], retention });
    const database = new SqliteDatabase(t);
    const declared = { it: source({ stream: name }) };
    const first = await ConnectedLog.open(t, database.store(), declared, { nats: DYING });
    await until('the consumer is there', async () => (await consumersOf(name)).length === 1);
    for (const number of range(1, 20)) await js.publish(`r.${retention}`, `${number}`);
    await until('all are there', async () => (await first.held()).length === 20);
    await first.close();
    for (const number of range(21, 25)) await js.publish(`r.${retention}`, `${number}`);
    const second = await ConnectedLog.open(t, database.store(), declared);
    await until('the rest is there', async () => (await second.held()).length === 25);
    t.same(await second.held(), range(1, 25).map((number) => `r.${retention}=${number}`), retention);
    await until('everything is acknowledged by the consumer of the second alone', async () => {
      const consumers = await consumersOf(name);
      return consumers.length === 1 && consumers.every(({ num_ack_pending, num_pending }) => num_ack_pending === 0 && num_pending === 0);
    });
    if (retention === 'workqueue') t.ok(first.count('it', 'known') + second.count('it', 'known') > 0, 'the queue gave them again');
    await second.close();
  }
});

t.test('what cannot be taken becomes a dead letter, and the next ones follow', async (t) => {
  await manager.streams.add({ name: 'ODD', subjects: ['odd'] });
  const log = await open(t, { odd: source({ stream: 'ODD', topic: 'odd.{/id}', format: 'json', deadTopic: 'dead.odd' }) });
  await js.publish('odd', Buffer.from([0xff, 0xfe, 0xfd]));
  await js.publish('odd', 'no JSON');
  await js.publish('odd', '{"other":1}');
  await js.publish('odd', JSON.stringify({ id: 'x'.repeat(300) }));
  await js.publish('odd', JSON.stringify({ id: 'large', text: 'x'.repeat(100_000) }));
  await js.publish('odd', '{"id":"good"}');
  await until('the good one is there', async () => (await log.held('odd.good')).length === 1);
  const dead = (await readMessages(log.store)).filter(({ topic }) => topic === 'dead.odd');
  t.same(dead.map(({ event }) => event), Array.from({ length: 5 }, () => DEAD_EVENT));
  const told = dead.map(({ data }) => JSON.parse(Buffer.from(data).toString()) as { reason: string; position: number; dataBase64: string; bytes: number; isWhole: boolean });
  t.same(told.map(({ position }) => position), [1, 2, 3, 4, 5]);
  t.same(told.map(({ isWhole }) => isWhole), [true, true, true, true, false]);
  t.equal(Buffer.from(told[1]!.dataBase64, 'base64').toString(), 'no JSON');
  for (const [index, why] of [/UTF-8/, /not JSON/, /\/id/, /longer than/, /larger than/].entries()) t.match(told[index]!.reason, why);
  t.same([log.count('odd', 'dead'), log.count('odd', 'stored')], [5, 1]);
  await log.close();
});

t.test('a stream that was made anew is read from its beginning, and that is logged', async (t) => {
  const database = new SqliteDatabase(t);
  const declared = { it: source({ stream: 'AGAIN' }) };
  for (const round of [1, 2]) {
    await manager.streams.add({ name: 'AGAIN', subjects: ['again'] });
    const log = await ConnectedLog.open(t, database.store(), declared);
    for (const number of range(1, 5)) await js.publish('again', `${round}.${number}`);
    await until('all are there', async () => (await log.held()).length === 5 * round);
    t.same((await log.held()).slice(-5), range(1, 5).map((number) => `again=${round}.${number}`));
    t.equal(log.count('it', 'renewed'), round - 1);
    t.equal(log.lines.filter((line) => line.includes('recreated or reset')).length, round - 1);
    await log.close();
    await manager.streams.delete('AGAIN');
  }
});

t.test('messages that the retention of a stream took before they were read are counted once', async (t) => {
  await manager.streams.add({ name: 'SHORT', subjects: ['short'] });
  const database = new SqliteDatabase(t);
  const declared = { it: source({ stream: 'SHORT' }) };
  for (const [round, lost] of [0, 3, 0].entries()) {
    const numbers = range(5 * round + 1, 5 * round + 5);
    for (const number of numbers) await js.publish('short', `${number}`);
    if (lost > 0) await manager.streams.purge('SHORT', { seq: numbers[0]! + lost });
    const log = await ConnectedLog.open(t, database.store(), declared);
    await until('the last is there', async () => (await log.held()).at(-1) === `short=${numbers.at(-1)}`);
    t.equal(log.count('it', 'lost'), lost);
    await log.close();
  }
});

t.test('from now: what was there before is left out, also after a stop before the first message', async (t) => {
  await manager.streams.add({ name: 'NOW', subjects: ['now'] });
  await js.publish('now', 'before');
  const database = new SqliteDatabase(t);
  const declared = { it: source({ stream: 'NOW', from: 'now' }) };
  const first = await ConnectedLog.open(t, database.store(), declared);
  await until('it has begun', async () => (await first.store.connectors.sourcePositions('it')).length === 1);
  await first.close();
  await js.publish('now', 'meanwhile');
  const second = await ConnectedLog.open(t, database.store(), declared);
  await until('the message is there', async () => (await second.held()).length > 0);
  t.same(await second.held(), ['now=meanwhile']);
  await second.close();
});

t.test('subjects without a stream are heard at most once', async (t) => {
  const log = await open(t, { core: source({ subjects: ['core.*', 'more.>'] }) });
  await until('it listens', () => log.connectors.running[0]?.[1].state === 'up');
  client.publish('core.a', 'x');
  client.publish('core.b.c', 'not asked for');
  client.publish('more.b.c', 'y');
  await until('both are there', async () => (await log.held()).length === 2);
  t.same(await log.held(), ['core.a=x', 'more.b.c=y']);
  await log.close();
});

t.test('what was heard is bounded with its headers, and is stored also where the connection is lost meanwhile', async (t) => {
  const broker = await startJetStream(t);
  const log = await open(t, { core: source({ subjects: ['core'] }, broker) });
  await until('it listens', () => log.connectors.running[0]?.[1].state === 'up');
  const append = log.store.append.bind(log.store);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let holds = 0;
  log.store.append = async (requests) => {
    holds += 1;
    await released;
    return append(requests);
  };
  const outside = await natsClient(t, broker);
  outside.publish('core', 'first');
  await until('the log keeps it waiting', () => holds > 0);
  outside.publish('core', 'second');
  const large = natsHeaders();
  large.set('kind', 'x'.repeat(100_000));
  for (let count = 0; count < 100; count++) outside.publish('core', '', { headers: large });
  await outside.flush();
  // Much more than the one record whose outcome the log cannot tell after a while.
  await until('what is too much is lost', () => log.count('core', 'lost') > 10);
  await broker.stop();
  release();
  await until('what was heard is there', async () => (await log.held()).length > 1);
  t.same((await log.held()).slice(0, 2), ['core=first', 'core=second']);
  await log.close();
});

t.test('what a user may not publish is not counted as sent, and is waited for', async (t) => {
  const broker = await startNats(t, { settings: 'authorization { users: [{ user: me, password: pw, permissions: { publish: { deny: "to.no" } } }] }', access: 'me:pw' });
  const log = await open(t, { core: sink({ topics: ['>'], subject: 'to.{topic}', jetstream: false }, broker) });
  await until('it is up', () => log.connectors.running[0]?.[1].state === 'up');
  await log.publish(draft('yes', '1'), draft('no', '2'), draft('yes', '3'));
  await until('it waits', () => log.connectors.running[0]?.[1].state === 'failing');
  t.match(log.connectors.running[0]?.[1].error, /permission/i);
  t.equal(log.count('core', 'sent'), 1);
  await log.close();
});

t.test('two sinks send one message to two subjects of a stream', async (t) => {
  await manager.streams.add({ name: 'TWO', subjects: ['two.*'] });
  const log = await open(t, { a: sink({ topics: ['t'], subject: 'two.a' }), b: sink({ topics: ['t'], subject: 'two.b' }) });
  await until('both are up', () => log.connectors.running.filter(([, { state }]) => state === 'up').length === 2);
  await log.publishText('t', 'x');
  await until('both have sent it', () => log.count('a', 'sent') === 1 && log.count('b', 'sent') === 1);
  t.same((await streamed('TWO')).sort(), ['two.a=x', 'two.b=x']);
  await log.close();
});

t.test('a sink sends what its topics have, in order, by ids that JetStream knows', async (t) => {
  await manager.streams.add({ name: 'OUT', subjects: ['out.>'] });
  const database = new SqliteDatabase(t);
  const declared = { out: sink({ topics: ['a.*'], subject: 'out.{+topic}' }) };
  const first = await ConnectedLog.open(t, database.store(), declared);
  await until('it is up', () => first.connectors.running[0]?.[1].state === 'up');
  await first.publishText('a.b', ...range(1, 100).map(String));
  await first.publish(draft('b', 'not asked for'), draft('a.ü', '{"x":1}', { json: true, event: 'made' }));
  await until('all are there', async () => (await manager.streams.info('OUT')).state.messages === 101);
  t.same(await streamed('OUT'), [...range(1, 100).map((number) => `out.a.b=${number}`), 'out.a.ü={"x":1}']);
  const last = (await manager.streams.getMessage('OUT', { seq: 101 }))!;
  t.match(Object.fromEntries([...last.header].map(([name, [value]]) => [name, value])), { 'Nats-Msg-Id': /-102$/, 'tidings-log': first.store.logId, 'tidings-event': 'made', 'content-type': 'application/json' });
  t.match(await first.connectors.list(), [{ name: 'out', kind: 'sink', state: 'up', behind: 0, cursor: /-102$/ }]);
  await first.close();
  // As if the process had been killed before its cursor was stored.
  database.direct((db) => db.prepare("UPDATE connectors SET cursor = replace(cursor, '-102', '-50')").run());
  const second = await ConnectedLog.open(t, database.store(), declared);
  await second.publishText('a.b', 'last');
  await until('the last is there', async () => (await streamed('OUT')).at(-1) === 'out.a.b=last');
  t.equal((await manager.streams.info('OUT')).state.messages, 102, 'what is sent again is stored once');
  await second.close();
});

t.test('what no subject can be made for, and what the server never takes, becomes a dead letter once', async (t) => {
  await manager.streams.add({ name: 'SMALL', subjects: ['small.>'], max_msg_size: 2_000 });
  const log = await open(t, { small: sink({ topics: ['s', 'dead.>'], subject: 'small.{/to}' }) });
  await until('it is up', () => log.connectors.running[0]?.[1].state === 'up');
  const json = (value: object) => draft('s', JSON.stringify(value), { json: true });
  await log.publish(json({ to: 'a' }), json({}), json({ to: 'b', text: 'x'.repeat(5_000) }), draft('s', 'text'), json({ to: 'x'.repeat(5_000) }), json({ to: 'c' }));
  await until('the last is there', async () => (await manager.streams.info('SMALL')).state.messages === 2);
  t.same((await streamed('SMALL')).map((line) => line.split('=')[0]), ['small.a', 'small.c']);
  await until('the dead letters are counted', () => log.count('small', 'dead') === 4);
  t.equal((await log.held('dead.connectors.small')).length, 4, 'and no letter is sent, which would make another one');
  await log.close();
});

t.test('a subject that no stream stores is named, and the sink is not called up meanwhile', async (t) => {
  const log = await open(t, { astray: sink({ topics: ['s'], subject: 'nowhere.{+topic}', from: 'start' }) });
  await until('it is up', () => log.connectors.running[0]?.[1].state === 'up');
  await log.publishText('s', 'x');
  await until('it is failing', () => log.connectors.running[0]?.[1].state === 'failing');
  t.match(log.connectors.running[0]?.[1].error, /no stream stores the subject nowhere\.s: add one, or declare/);
  // Each attempt connects anew.
  const { failed } = log.connectors.running[0]![1];
  await until('another attempt has failed', () => log.connectors.running[0]![1].failed !== failed);
  t.equal(log.lines.filter((line) => line.includes('a sink is up')).length, 1);
  await log.close();
});

t.test('a source whose stream is missing names it, and reads it once it is there', async (t) => {
  const log = await open(t, { early: source({ stream: 'LATER', topic: 'later' }) });
  await until('it is failing', () => log.connectors.running[0]?.[1].state === 'failing');
  t.match(log.connectors.running[0]?.[1].error, /NATS has no stream LATER: add it, or change "stream"/);
  await manager.streams.add({ name: 'LATER', subjects: ['later'] });
  await js.publish('later', 'x');
  await until('it has read', async () => (await log.held('later')).length === 1);
  await log.close();
});

t.test('a source and a sink on one subject make no loop, and neither do two logs', async (t) => {
  await manager.streams.add({ name: 'LOOP', subjects: ['loop'] });
  const both = { in: source({ stream: 'LOOP' }), out: sink({ topics: ['loop'] }) };
  const log = await open(t, both);
  await until('both are up', () => log.connectors.running.filter(([, { state }]) => state === 'up').length === 2);
  await js.publish('loop', 'from outside');
  await log.publishText('loop', 'from inside');
  await until('the stream has both', async () => (await manager.streams.info('LOOP')).state.messages === 2);
  await until('the source passed over what this log sent', () => log.count('in', 'own') === 1);
  await until('the sink passed over what came from there', () => log.count('out', 'origin') === 1);
  t.same((await log.held()).sort(), ['loop=from inside', 'loop=from outside']);
  const other = await open(t, both);
  await until('the other log has both, and its sink is up', async () => (await other.held()).length === 2 && other.connectors.running.filter(([, { state }]) => state === 'up').length === 2);
  await other.publishText('loop', 'from the other');
  await until('the first has it', async () => (await log.held()).length === 3);
  await until('both passed over what was theirs', () => log.count('out', 'origin') === 2 && other.count('in', 'own') === 1);
  t.equal((await manager.streams.info('LOOP')).state.messages, 3);
  await log.close();
  await other.close();
});

t.test('a broker that is killed is waited for: nothing is lost, and the order is kept, both ways', async (t) => {
  const broker = await startJetStream(t);
  await (await natsManager(t, broker)).streams.add({ name: 'B', subjects: ['in', 'out'] });
  const log = await open(t, { in: source({ stream: 'B', subjects: ['in'] }, broker), out: sink({ topics: ['out'] }, broker) });
  // A sink that is new begins with what is published after that.
  await until('both are up', () => log.connectors.running.filter(([, { state }]) => state === 'up').length === 2);
  for (let round = 0; round < 2; round++) {
    const outside = jetstream(await natsClient(t, broker));
    for (const number of range(1, 10)) {
      await outside.publish('in', `${round}.${number}`);
      await log.publishText('out', `${round}.${number}`);
    }
    await broker.stop();
    await log.publishText('out', `${round}.away`);
    await until('both know', () => log.connectors.running.every(([, { state }]) => state === 'failing'));
    await broker.start();
  }
  const expectedIn = range(0, 1).flatMap((round) => range(1, 10).map((number) => `in=${round}.${number}`));
  const expectedOut = range(0, 1).flatMap((round) => [...range(1, 10).map((number) => `out=${round}.${number}`), `out=${round}.away`]);
  await until('the log has all', async () => (await log.held('in')).length >= expectedIn.length);
  t.same(await log.held('in'), expectedIn);
  const brokers = await natsManager(t, broker);
  const sentOut = async (): Promise<string[]> => {
    const found: string[] = [];
    const { state } = await brokers.streams.info('B');
    for (let seq = 1; seq <= state.last_seq; seq++) {
      const message = await brokers.streams.getMessage('B', { seq });
      if (message?.subject === 'out') found.push(`out=${message.string()}`);
    }
    return found;
  };
  await until('the stream has all', async () => (await sentOut()).length >= expectedOut.length);
  t.same(await sentOut(), expectedOut);
  await log.close();
});
