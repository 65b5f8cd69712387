import { AckPolicy, DeliverPolicy, jetstream, JetStreamApiCodes, JetStreamApiError, jetstreamManager, RetentionPolicy, type ConsumerConfig, type ConsumerMessages, type JetStreamManager, type JsMsg, type StreamInfo } from '@nats-io/jetstream';
import { connect, nanos, type NatsConnection } from '@nats-io/transport-node';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import type { SourcePosition } from '../../store/contracts/connector-store.ts';
import { randomName } from '../../store/names.ts';
import type { OpenContext, Reading, Source } from '../transport.ts';
import { Deliveries } from './deliveries.ts';
import { recordOf } from './record.ts';

/** The most bytes and messages that the server sends before it gets an acknowledgment. Bounds the memory. */
const UNACKNOWLEDGED_MAX_BYTES = 64 * 1024 * 1024;
const UNACKNOWLEDGED_MAX_MESSAGES = 1_024;
/** How long the server waits for an acknowledgment. The log may be away for longer: deliveries.ts recognises the records that come again. */
const ACKNOWLEDGE_MAX_MS = 60_000;
/** How often the server sends a heartbeat while it has no messages. Stops the wait for a consumer that was deleted. */
const IDLE_HEARTBEAT_MS = 5_000;
/** The random end of a consumer's name. */
const CONSUMER_RANDOM_CHARACTERS = 8;

export interface JetStreamSourceOptions {
  readonly location: NatsLocation;
  readonly stream: string;
  /** Empty for all subjects of the stream. */
  readonly subjects: readonly string[];
  readonly from: 'now' | 'start';
  readonly context: OpenContext;
}

export async function openJetStreamSource(options: JetStreamSourceOptions): Promise<Source> {
  return new JetStreamSource(options, await connect(optionsFor(options.location)));
}

/**
 * Reads a stream of JetStream. Each opening makes a new consumer, which begins after the stored position. The consumer of an earlier owner would break the order: it delivers
 * unacknowledged messages again after newer messages. The source acknowledges messages once the log has stored them.
 */
class JetStreamSource implements Source {
  readonly #options: JetStreamSourceOptions;
  readonly #connection: NatsConnection;
  #messages: ConsumerMessages | undefined;

  constructor(options: JetStreamSourceOptions, connection: NatsConnection) {
    this.#options = options;
    this.#connection = connection;
  }

  async read(reading: Reading): Promise<void> {
    const { stream } = this.#options;
    const manager = await jetstreamManager(this.#connection);
    const info = await manager.streams.info(stream).catch((error: unknown) => {
      throw error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound ? new Error(`NATS has no stream ${stream}: add it, or change "stream" in the file of connectors`) : error;
    });
    const identity = `${info.config.name} ${info.created}`;
    const after = await this.#beginning(info, identity, reading);
    const name = await this.#makeConsumer(manager, info, after);
    const consumer = await jetstream(this.#connection).consumers.get(stream, name);
    const deliveries = new Deliveries<JsMsg>();
    const { inbox } = deliveries;
    const stop = (): void => inbox.end();
    reading.signal.addEventListener('abort', stop, { once: true });
    if (reading.signal.aborted) stop();
    this.#messages = await consumer.consume({ max_messages: this.#window(info), idle_heartbeat: IDLE_HEARTBEAT_MS, abort_on_missing_resource: true, callback: (message) => deliveries.hear(message) });
    void this.#messages.closed().then((error) => inbox.end(error instanceof Error ? error : new Error('the consumer ended')));
    void this.#connection.closed().then((error) => inbox.end(error instanceof Error ? error : new Error('the connection was closed')));
    reading.up();
    reading.waiting(Math.max(0, info.state.last_seq - after));
    try {
      await this.#takeAll(deliveries, identity, reading);
    } finally {
      reading.signal.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    this.#messages?.stop();
    await this.#connection.close();
  }

  /** The sequence after which to read. */
  async #beginning({ state, config }: StreamInfo, identity: string, reading: Reading): Promise<number> {
    const stored: SourcePosition | undefined = reading.positions.get('');
    if (stored === undefined) {
      const position = this.#options.from === 'now' ? state.last_seq : 0;
      // Store it at once. Otherwise a crash before the first message would make "now" a later time.
      await reading.startAt(new Map([['', { identity, position }]]));
      return position;
    }
    // The stream was deleted and made again: read it from its beginning. The first step stores the new identity.
    if (stored.identity !== identity) return 0;
    const before = state.first_seq - 1;
    // The stream's limits deleted messages before we read them. We cannot tell this for a part of the subjects, nor for a queue, which deletes acknowledged messages.
    if (before > stored.position && config.retention === RetentionPolicy.Limits && this.#options.subjects.length === 0) {
      await reading.startAt(new Map([['', { identity, position: before }]]));
      reading.lost(before - stored.position);
      return before;
    }
    if (state.last_seq >= stored.position) return stored.position;
    // The server lost its newest messages, for example in a restore: it will give their sequences to other messages.
    await reading.startAt(new Map([['', { identity, position: state.last_seq }]]));
    return state.last_seq;
  }

  /** The most unacknowledged messages: `UNACKNOWLEDGED_MAX_BYTES` of the largest that the stream or server allows. */
  #window({ config }: StreamInfo): number {
    const largest = Math.min(...[config.max_msg_size, this.#connection.info?.max_payload ?? -1].filter((bytes) => bytes > 0), UNACKNOWLEDGED_MAX_BYTES);
    return Math.max(1, Math.min(UNACKNOWLEDGED_MAX_MESSAGES, Math.floor(UNACKNOWLEDGED_MAX_BYTES / largest)));
  }

  /** Makes a consumer, and deletes those of earlier openings. @returns Its name. */
  async #makeConsumer(manager: JetStreamManager, info: StreamInfo, after: number): Promise<string> {
    const { config } = info;
    const { stream, subjects, context } = this.#options;
    const prefix = `tidings_${context.logId}_${context.name}_`;
    const name = prefix + randomName(CONSUMER_RANDOM_CHARACTERS);
    const earlier: string[] = [];
    for await (const { name: other } of manager.consumers.list(stream)) if (other.startsWith(prefix)) earlier.push(other);
    const forget = async (): Promise<void> => {
      for (const other of earlier) await manager.consumers.delete(stream, other);
    };
    const isQueue = config.retention === RetentionPolicy.Workqueue;
    // A work queue allows only one consumer: delete the old one first. A stream with interest retention drops messages while it has no consumer: delete the old one last.
    if (isQueue) await forget();
    const settings: Partial<ConsumerConfig> = {
      durable_name: name, ack_policy: AckPolicy.Explicit, ack_wait: nanos(ACKNOWLEDGE_MAX_MS), max_ack_pending: this.#window(info),
      ...(isQueue || after === 0 ? { deliver_policy: DeliverPolicy.All } : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 }),
      // Servers before 2.10 know only `filter_subject`.
      ...(subjects.length === 1 ? { filter_subject: subjects[0]! } : subjects.length > 1 ? { filter_subjects: [...subjects] } : {}),
    };
    await manager.consumers.add(stream, settings);
    if (!isQueue) await forget();
    return name;
  }

  async #takeAll(deliveries: Deliveries<JsMsg>, identity: string, reading: Reading): Promise<void> {
    const { inbox } = deliveries;
    for (let messages = await inbox.take(); messages.length > 0; messages = await inbox.take()) {
      await reading.take(messages.map((message) => recordOf(message, { identity, position: message.seq }, this.#options.stream)));
      deliveries.stored(messages);
      reading.waiting(messages.at(-1)!.info.pending);
    }
  }
}
