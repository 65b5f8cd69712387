import { connect, type NatsConnection } from '@nats-io/transport-node';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { Connectors } from '../../src/connectors/connectors.ts';
import { readConnectors } from '../../src/connectors/connectors-file.ts';
import { NATS } from '../../src/connectors/nats/nats.ts';
import type { Transport } from '../../src/connectors/transport.ts';
import type { Draft } from '../../src/model/message.ts';
import { FULL_GRANT, ScopedGrant } from '../../src/model/grant.ts';
import { systemClock as clock } from '../../src/runtime/clock.ts';
import { Counters } from '../../src/runtime/counters.ts';
import type { ConnectorStore } from '../../src/store/contracts/connector-store.ts';
import type { Store } from '../../src/store/store.ts';
import { draft, readMessages } from '../contract/store-kit.ts';
import { recordingLogger } from './logger.ts';
import { startNats, type NatsServer } from './nats.ts';
import { buildSpine } from './spine.ts';
import type { Scope } from './temp.ts';

/** A nats-server with JetStream, which keeps its streams when it is started again. */
export function startJetStream(t: Scope): Promise<NatsServer> {
  return startNats(t, { settings: 'jetstream { store_dir: "jetstream" }' });
}

/** A client of NATS as other programs have it. */
export async function natsClient(t: Scope, { url }: NatsServer): Promise<NatsConnection> {
  const connection = await connect({ servers: url.replace('nats://', ''), maxReconnectAttempts: -1, reconnectTimeWait: 50 });
  t.teardown(() => connection.close());
  return connection;
}

export async function natsManager(t: Scope, server: NatsServer): Promise<JetStreamManager> {
  return jetstreamManager(await natsClient(t, server));
}

export type ConnectedStore = Store & { readonly connectors: ConnectorStore };

let instances = 0;

const ERASER = new ScopedGrant({ publish: [], subscribe: [], erase: ['>'] });

/** An instance's log with its connectors, without HTTP, in this process. */
export class ConnectedLog {
  readonly store: ConnectedStore;
  readonly connectors: Connectors;
  readonly counters = new Counters();
  readonly lines: string[];
  readonly #spine: ReturnType<typeof buildSpine>;

  /** @param declared The member `connectors` of the file. @param store Not open. */
  constructor(store: ConnectedStore, declared: object, transports: Readonly<Record<string, Transport>> = { nats: NATS }) {
    const { logger, lines } = recordingLogger();
    this.lines = lines;
    this.store = store;
    this.#spine = buildSpine({ store, clock, counters: this.counters, logger, settings: { pollMs: 20 } });
    const { log, delivery } = this.#spine;
    this.connectors = new Connectors({
      plans: readConnectors(JSON.stringify({ connectors: declared }), { env: {}, transports, maxTopics: 10 }), store: store.connectors, instance: `instance${++instances}`,
      publisher: log.publisher, history: log.history, starts: log.starts, tail: log.tail, audience: delivery.audience,
      bounds: { messageBytes: 100_000, eventBytes: 128, queueMessages: 1_000, queueBytes: 10_000_000 }, logId: () => store.logId, now: () => Date.now(), random: Math.random, clock, counters: this.counters, logger,
    });
  }

  static async open(t: Scope, store: ConnectedStore, declared: object, transports?: Readonly<Record<string, Transport>>): Promise<ConnectedLog> {
    const connected = new ConnectedLog(store, declared, transports);
    const { log, delivery } = connected.#spine;
    await log.open(await store.open(), delivery.fanout);
    t.teardown(() => connected.close());
    connected.connectors.open();
    return connected;
  }

  publish(...drafts: readonly Draft[]): Promise<unknown> {
    return this.#spine.log.publisher.publish(FULL_GRANT, drafts, undefined);
  }

  publishText(topic: string, ...texts: readonly string[]): Promise<unknown> {
    return this.publish(...texts.map((text) => draft(topic, text)));
  }

  /** Erases messages of the log, by their numbers. Resolves once this instance has no data of them. */
  async erase(...seqs: readonly number[]): Promise<void> {
    const { eraser, tail } = this.#spine.log;
    for (const seq of seqs) await eraser.message(ERASER, tail.log!.lineage.at(seq), { name: 'somebody' });
  }

  /** What the log has of a topic, or of all: `topic=data` in order. */
  async held(topic?: string): Promise<string[]> {
    return (await readMessages(this.store)).filter((message) => topic === undefined || message.topic === topic).map((message) => `${message.topic}=${Buffer.from(message.data).toString()}`);
  }

  count(connector: string, outcome: string): number {
    return this.counters.connectors.get(`${connector} ${outcome}`) ?? 0;
  }

  #closing: Promise<void> | undefined;

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.connectors.close();
    this.#spine.delivery.stop();
    this.#spine.log.stop();
    await this.store.close();
  }
}
