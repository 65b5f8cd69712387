import { cpSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY_LOG, JARS, propertiesOf, whyNoKafka } from '../../test/support/kafka-jars.ts';
import { freePort } from './ports.ts';
import { ServerProcess } from './process.ts';
import { needProgram } from './programs.ts';

/** A Kafka of one server under test alone: one process, broker and controller, on loopback. */
export async function startKafka(folder: string): Promise<ServerProcess> {
  const logs = join(folder, 'kafka');
  cpSync(EMPTY_LOG, logs, { recursive: true });
  const controller = await freePort();
  return ServerProcess.start((port) => {
    const file = join(folder, 'kafka.properties');
    writeFileSync(file, propertiesOf({
      'process.roles': 'broker,controller', 'node.id': 1, 'controller.quorum.voters': `1@127.0.0.1:${controller}`, 'controller.listener.names': 'CONTROLLER',
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`, 'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT', 'log.dirs': logs, 'auto.create.topics.enable': 'false', 'offsets.topic.replication.factor': 1,
    }));
    return { command: needProgram('java'), args: ['-Xms256m', '-Xmx256m', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', JARS, 'kafka.Kafka', file], folder };
  });
}

export function kafkaMissing(): string | undefined {
  return existsSync(EMPTY_LOG) ? undefined : whyNoKafka() ?? 'Kafka was not fetched: node test/support/requirements.ts';
}
