import { metadataV8 } from '@platformatic/kafka';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BrokerConnection } from '../../src/kafka/broker-connection.ts';
import { makeCertificate, trust } from './certificates.ts';
import { Child } from './child.ts';
import { EMPTY_LOG, JARS, propertiesOf } from './kafka-jars.ts';
import { Link } from './link.ts';
import { freePort } from './ports.ts';
import { tempFolder, type Scope } from './temp.ts';
import { until } from './until.ts';

/** How often other ports are tried when someone else took one that was free. */
const PORT_ATTEMPTS = 5;

/** The longest answer that a test takes. Bytes. */
export const ANSWER_MAX = 64 * 1024 * 1024;

/** Small, and quick to start rather than quick for long. */
const JAVA_OPTIONS = ['-Xms64m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'];

/** A user who may do everything, one who may only read, and one who may do nothing. */
const PLAIN_USERS = { boss: 'right-secret', tidings: 'p@ss/w:rd %', reader: 'right-secret', nobody: 'right-secret' };

/** The places of its ports. */
const MAIN = 0;
const CONTROLLER = 1;
const SASL = 2;
const TLS = 3;
const FIRST_ADVERTISED = 4;

export interface KafkaOptions {
  /** Ports at which clients find the broker besides its own, say those of links: each has a listener, which tells clients that port. */
  readonly advertised?: readonly number[];
  /** Is stopped and started again. Its cluster soon forgets the process before: it waits for that. A slow machine may then take a living one for dead. */
  readonly restarts?: boolean;
  /** Has listeners with SASL, and with TLS. */
  readonly secure?: boolean;
}

/** A Kafka of this test alone: one process, on loopback. What its clients may do is asked of ACLs, except for those without a name. */
export class KafkaServer {
  /** 0 lets the next start take others. */
  port = 0;
  readonly #scope: Scope;
  readonly #options: KafkaOptions;
  readonly #folder: string;
  #ports: readonly number[] = [];
  #child: Child | undefined;

  constructor(t: Scope, options: KafkaOptions = {}) {
    this.#scope = t;
    this.#options = options;
    this.#folder = tempFolder(t);
    cpSync(EMPTY_LOG, join(this.#folder, 'log'), { recursive: true });
    if (options.secure === true) writeFileSync(join(this.#folder, 'both.pem'), `${makeCertificate(this.#folder)}${readFileSync(join(this.#folder, 'key.pem'), 'utf8')}`);
  }

  get url(): string {
    return `kafka://127.0.0.1:${this.port}`;
  }

  /** Where the listener is that tells clients the given advertised port. */
  portOf(index: number): number {
    return this.#ports[FIRST_ADVERTISED + index]!;
  }

  saslUrl(user: string, password: string, query = ''): string {
    return `kafka://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${this.#ports[SASL]}${query}`;
  }

  get tlsUrl(): string {
    return `kafka+ssl://127.0.0.1:${this.#ports[TLS]}`;
  }

  get pid(): number {
    if (this.#child === undefined) throw new Error('Kafka is not running');
    return this.#child.pid;
  }

  /** Makes this process trust its certificate until a test is over. */
  trust(t: Scope): void {
    trust(t, readFileSync(join(this.#folder, 'cert.pem'), 'utf8'));
  }

  /** Starts it, again on the same ports, and waits until it answers. */
  async start(): Promise<void> {
    const again = this.port !== 0;
    for (let attempt = 1; ; attempt++) {
      if (!again) {
        this.#ports = await Promise.all(Array.from({ length: FIRST_ADVERTISED + (this.#options.advertised?.length ?? 0) }, () => freePort()));
        this.port = this.#ports[MAIN]!;
      }
      const file = join(this.#folder, 'server.properties');
      writeFileSync(file, propertiesOf(this.#settings()));
      const child = new Child(this.#scope, 'java', [...JAVA_OPTIONS, '-cp', JARS, 'kafka.Kafka', file], { cwd: this.#folder });
      this.#child = child;
      let ended = false;
      void child.exited.then(() => {
        ended = true;
      });
      await until('Kafka answers, or has ended', async () => ended || await this.#answers());
      if (!ended) return;
      if (again || attempt === PORT_ATTEMPTS || !/in use|BindException/.test(child.output)) throw new Error(`Kafka ended:\n${child.output}`);
    }
  }

  /** Stops it at once, also when it was paused with SIGSTOP. */
  async stop(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#child?.exited;
  }

  async #answers(): Promise<boolean> {
    const connection = new BrokerConnection({ isTls: false }, { host: '127.0.0.1', port: this.port }, ANSWER_MAX);
    try {
      await connection.connect();
      return (await connection.ask(metadataV8.api, [], false, false, false)).brokers.length > 0;
    } catch {
      // It is not there yet.
      return false;
    } finally {
      connection.close();
    }
  }

  #settings(): Readonly<Record<string, string | number>> {
    const { advertised = [], secure = false, restarts = false } = this.#options;
    const listeners = [['MAIN', 'PLAINTEXT', MAIN, this.#ports[MAIN]!], ['CONTROLLER', 'PLAINTEXT', CONTROLLER, undefined],
      ...(secure ? [['SASL', 'SASL_PLAINTEXT', SASL, this.#ports[SASL]!], ['TLS', 'SSL', TLS, this.#ports[TLS]!]] as const : []),
      ...advertised.map((port, index) => [`LINK${index}`, 'PLAINTEXT', FIRST_ADVERTISED + index, port] as const)] as const;
    const plain = Object.entries(PLAIN_USERS).map(([name, password]) => `user_${name}="${password}"`).join(' ');
    return {
      'process.roles': 'broker,controller', 'node.id': 1, 'controller.quorum.voters': `1@127.0.0.1:${this.#ports[CONTROLLER]}`, 'controller.listener.names': 'CONTROLLER',
      listeners: listeners.map(([name, , index]) => `${name}://127.0.0.1:${this.#ports[index]}`).join(),
      'advertised.listeners': listeners.flatMap(([name, , , port]) => (port === undefined ? [] : [`${name}://127.0.0.1:${port}`])).join(),
      'listener.security.protocol.map': listeners.map(([name, protocol]) => `${name}:${protocol}`).join(), 'inter.broker.listener.name': 'MAIN',
      'log.dirs': join(this.#folder, 'log'), 'auto.create.topics.enable': 'false', 'offsets.topic.replication.factor': 1, 'offsets.topic.num.partitions': 1,
      'transaction.state.log.replication.factor': 1, 'transaction.state.log.min.isr': 1, 'transaction.state.log.num.partitions': 1, 'group.initial.rebalance.delay.ms': 0,
      'num.network.threads': 2, 'num.io.threads': 2, 'background.threads': 1, 'log.cleaner.enable': 'false',
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer', 'super.users': 'User:ANONYMOUS;User:boss;User:tidings;User:scram-user',
      ...(restarts ? { 'broker.session.timeout.ms': 3_000, 'broker.heartbeat.interval.ms': 500 } : {}),
      ...(secure ? {
        'listener.name.sasl.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-512',
        'listener.name.sasl.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${plain};`,
        'listener.name.sasl.scram-sha-512.sasl.jaas.config': 'org.apache.kafka.common.security.scram.ScramLoginModule required;',
        'listener.name.tls.ssl.keystore.type': 'PEM', 'listener.name.tls.ssl.keystore.location': join(this.#folder, 'both.pem'),
      } : {}),
    };
  }
}

/** Starts a Kafka that is stopped when the test is over. */
export async function startKafka(t: Scope, options: KafkaOptions = {}): Promise<KafkaServer> {
  const server = new KafkaServer(t, options);
  await server.start();
  return server;
}

/** A Kafka that is found over links only. */
export async function startKafkaBehind(t: Scope, count: number): Promise<{ readonly kafka: KafkaServer; readonly links: readonly Link[] }> {
  const links = await Promise.all(Array.from({ length: count }, () => Link.start(t, 0)));
  const kafka = await startKafka(t, { advertised: links.map(({ port }) => port) });
  links.forEach((link, index) => link.lead(kafka.portOf(index)));
  return { kafka, links };
}
