import { connect } from '@nats-io/transport-node';
import { metadataV8, ProduceAcks, produceV7 } from '@platformatic/kafka';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerConnection } from '../../src/kafka/broker-connection.ts';
import { readOn } from '../../src/bus/kafka/reading.ts';
import { endOf, PARTITION } from '../../src/bus/kafka/topic.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { Random } from '../support/fleet-random.ts';
import { ANSWER_MAX } from '../support/kafka.ts';
import { mutant } from '../support/mutants.ts';
import type { Fault } from './faults.ts';

/** How many lies answer each envelope that goes past. */
const LIES = 3;
/** Bounds what is remembered of them. */
const REMEMBERED = 10_000;

/** The version, the sender, and how many messages; then come the epoch, and the first message's flags and number. */
const HEAD_BYTES = 13;

/**
 * Somebody else publishes on every channel of Redis: envelopes that went past, again or with changes, among them other data and later numbers under the ids of
 * real messages. He is quicker than some of the instances.
 */
export async function lie(url: string, { milliseconds, chance }: Fault): Promise<void> {
  const random = new Random(chance * 2 ** 32);
  const listener = connection(url);
  const liar = connection(url);
  const told = new Set<string>();
  const tell = (channel: string, envelope: Buffer): void => {
    if (told.size < REMEMBERED) told.add(envelope.toString('latin1'));
    void liar.publish(channel, envelope).catch(() => undefined);
  };
  try {
    await Promise.all([listener.connect(), liar.connect()]);
    listener.on('pmessageBuffer', (_pattern, channel, envelope: Buffer) => {
      if (told.has(envelope.toString('latin1')) || told.size === REMEMBERED) return;
      const name = channel.toString();
      for (let count = 0; count < LIES; count++) tell(name, altered(envelope, random));
      tell(name, Buffer.concat(mutant([envelope], random, [envelope])));
      if (random.below(4) === 0) tell(name, Buffer.from(envelope));
    });
    await listener.psubscribe('*');
    await sleep(milliseconds);
  } finally {
    listener.disconnect();
    liar.disconnect();
  }
}

/** The same on every subject of NATS. */
export async function lieOnNats(url: string, { milliseconds, chance }: Fault): Promise<void> {
  const random = new Random(chance * 2 ** 32);
  const liar = await connect({ servers: new URL(url).host, noEcho: true });
  try {
    liar.subscribe('>', { callback: (error, { subject, data }) => {
      if (error !== null) return;
      const envelope = Buffer.from(data);
      for (let count = 0; count < LIES; count++) liar.publish(subject, altered(envelope, random));
      liar.publish(subject, Buffer.concat(mutant([envelope], random, [envelope])));
      if (random.below(4) === 0) liar.publish(subject, envelope);
    } });
    await sleep(milliseconds);
  } finally {
    await liar.close();
  }
}

/** The same in every topic of a Kafka that listens on this port of 127.0.0.1. */
export async function lieOnKafka(port: number, { milliseconds, chance }: Fault): Promise<void> {
  const random = new Random(chance * 2 ** 32);
  const connect = async (): Promise<BrokerConnection> => {
    const connection = new BrokerConnection({ isTls: false }, { host: '127.0.0.1', port }, ANSWER_MAX);
    await connection.connect();
    return connection;
  };
  const [listener, liar] = await Promise.all([connect(), connect()]);
  try {
    const { topics } = await liar.ask(metadataV8.api, null, false, false, false);
    const topic = topics.find(({ name }) => name.startsWith('tidings.'))?.name;
    if (topic === undefined) return;
    const told = new Set<string>();
    const tell = (key: Buffer | null, value: Buffer): void => {
      if (told.size < REMEMBERED) told.add(value.toString('latin1'));
      liar.ask(produceV7.api, ProduceAcks.LEADER, milliseconds, [{ topic, partition: PARTITION.number, value, ...(key === null ? {} : { key }) }], {}).catch(() => undefined);
    };
    const reading = readOn({
      connection: listener, topic, from: await endOf(listener, topic), clock: systemClock, skipped: () => undefined, hear: (key, value) => {
        if (value === null || told.size === REMEMBERED || told.has(value.toString('latin1'))) return;
        const envelope = Buffer.from(value);
        for (let count = 0; count < LIES; count++) tell(key, altered(envelope, random));
        tell(key, Buffer.concat(mutant([envelope], random, [envelope])));
        if (random.below(4) === 0) tell(key, envelope);
      },
    });
    await Promise.race([sleep(milliseconds), reading.catch(() => sleep(milliseconds))]);
  } finally {
    listener.close();
    liar.close();
  }
}

/** The same envelope of another sender: under the next number and with another text at its end, which comes before the real one; or with one bit changed. */
function altered(envelope: Buffer, random: Random): Buffer {
  const copy = Buffer.from(envelope);
  // After the version come the sender's eight bytes: nobody takes it for its own.
  copy.writeUInt32BE(random.below(2 ** 32), 1);
  const numberAt = HEAD_BYTES + 1 + (copy[HEAD_BYTES] ?? 0) + 1;
  if (copy.length > numberAt + 8 && random.below(2) === 0) {
    copy.writeDoubleBE(copy.readDoubleBE(numberAt) + 1 + random.below(3), numberAt);
    copy.fill('!', copy.length - 1 - random.below(8));
    return copy;
  }
  const at = HEAD_BYTES + random.below(Math.max(1, copy.length - HEAD_BYTES));
  copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
  return copy;
}

function connection(url: string): Redis {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: null });
  // It ends with what it was for.
  redis.on('error', () => undefined);
  return redis;
}
