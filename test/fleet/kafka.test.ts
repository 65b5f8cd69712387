import t from 'tap';
import { needKafka } from '../support/kafka-jars.ts';
import { startKafkaBehind } from '../support/kafka.ts';
import { busFleet, type BusServer } from './bus-cases.ts';

let started: Promise<BusServer> | undefined;

/** A Kafka that is away when its link is cut: to start Java again takes long. */
async function start(): Promise<BusServer> {
  const { kafka, links } = await startKafkaBehind(t, 1);
  const link = links[0]!;
  return { url: link.url.replace('http', 'kafka'), pid: kafka.pid, start: async () => link.heal(), stop: async () => link.cut() };
}

busFleet(() => started ??= start(), needKafka());
