import { randomBytes } from 'node:crypto';
import { readKafkaUrl, type KafkaLocation } from '../../config/kafka-url.ts';
import type { Message } from '../../model/message.ts';
import { waitAtMost, type Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { Availability } from '../availability.ts';
import type { Bus, BusListener, BusState } from '../bus.ts';
import { encode, envelopesOf, SENDER_BYTES, type Carried } from '../envelope.ts';
import { Incoming } from '../incoming.ts';
import { encodeNote } from '../note-envelope.ts';
import { isCode } from '../../kafka/broker-connection.ts';
import { Outbox, TOO_LARGE_CODES } from './outbox.ts';
import { TopicConnection } from './topic-connection.ts';
import { topicOf } from './topic.ts';

/**
 * The bus of several instances, over one topic of Kafka. Every instance reads all of it from the end on, without a consumer group. A record's key says what its value is: a commit, a
 * note to all, or a note to one instance. A Kafka that is away, frozen or refuses us delays messages between instances, and nothing else.
 */

const COMMIT = Buffer.from('commit');
const NOTE = Buffer.from('note');

/** How long `close` waits until Kafka confirms the last messages. Stops a frozen Kafka from delaying the end of the process. */
const KAFKA_CLOSE_MAX_MS = 500;

export interface KafkaBusOptions {
  /** Brokers of one cluster: see `readKafkaUrl`. */
  readonly url: string;
  readonly clock: Clock;
  readonly counters: Pick<Counters, 'busRefused'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

interface Joined {
  readonly logId: string;
  readonly listener: BusListener;
  readonly incoming: Incoming;
}

export class KafkaBus implements Bus {
  readonly #location: KafkaLocation;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'busRefused'>;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #availability: Availability;
  readonly #sender = randomBytes(SENDER_BYTES);
  #joined: Joined | undefined;
  /** The newest connection; perhaps it is not open yet. */
  #connection: TopicConnection | undefined;
  /** Sends over `#connection`; undefined while it is not open. */
  #outbox: Outbox | undefined;
  #isClosed = false;

  /** Throws if the URL is not a URL of Kafka; the error repeats nothing of it. */
  constructor({ url, clock, counters, logger }: KafkaBusOptions) {
    this.#location = readKafkaUrl(url);
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#availability = new Availability({ server: 'Kafka', clock, logger, connect: () => void this.#connect(this.#joined!) });
  }

  get state(): BusState {
    return this.#availability.state;
  }

  /** Kafka does not report it. */
  get receivers(): undefined {
    return undefined;
  }

  join(logId: string, listener: BusListener): void {
    this.#joined = { logId, listener, incoming: new Incoming({ listener, sender: this.#sender, server: 'Kafka', clock: this.#clock, counters: this.#counters, logger: this.#logger }) };
    void this.#connect(this.#joined);
  }

  publish(messages: readonly Message[]): void {
    const keys = this.#joined?.incoming.keys;
    if (messages.length === 0 || keys === undefined) return;
    for (const part of envelopesOf(messages, keys)) this.#send(part);
  }

  wake(): void {
    this.#send(undefined);
  }

  /** Kafka does not know who listens, so `reached` is never called. */
  tell(note: string, to?: string): void {
    const joined = this.#joined;
    if (joined === undefined || this.state !== 'up') return;
    const bytes = encodeNote(note, this.#sender, joined.incoming.keys, joined.listener.sealing());
    if (bytes !== undefined) this.#put(to === undefined ? NOTE : noteTo(to), bytes.length, () => bytes, false);
  }

  #send(carried: Carried | undefined): void {
    this.#put(COMMIT, carried?.bytes ?? 0, () => encode(this.#sender, carried), carried === undefined);
  }

  /** Invariant 6: drops the envelope if the bus is away or too much is unconfirmed. Other instances find its messages at their next look at the log. */
  #put(key: Buffer, length: number, value: () => Buffer, isHint: boolean): void {
    if (this.#outbox?.hasRoom(length) === true) this.#outbox.put({ key, value: value(), isHint });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#joined?.incoming.stop();
    this.#availability.close();
    const outbox = this.#outbox;
    this.#outbox = undefined;
    if (outbox !== undefined) await waitAtMost(KAFKA_CLOSE_MAX_MS, outbox.empty());
    this.#connection?.close();
  }

  async #connect(joined: Joined): Promise<void> {
    const connection = new TopicConnection({ location: this.#location, topic: topicOf(joined.logId), clock: this.#clock });
    this.#connection = connection;
    let failure: unknown;
    try {
      await connection.open();
      if (!this.#isClosed) await this.#use(connection, joined);
    } catch (error) {
      failure = error;
    }
    this.#outbox?.close();
    this.#outbox = undefined;
    connection.close();
    this.#availability.lost(failure);
  }

  async #use(connection: TopicConnection, { listener, incoming }: Joined): Promise<void> {
    this.#outbox = new Outbox({
      send: (envelopes) => connection.write(envelopes),
      tooLarge: () => this.#send(undefined),
      failed: (error) => this.#failed(connection, error),
    });
    this.#availability.connected();
    const mine = noteTo(listener.instance);
    const reading = connection.read({
      hear: (key, value) => {
        if (this.#isClosed || key === null || value === null) return;
        if (key.equals(COMMIT)) incoming.commit(value);
        else if (key.equals(NOTE) || key.equals(mine)) incoming.note(value);
      },
      skipped: () => {
        listener.wake();
        listener.toldUnproved();
      },
    });
    // This instance missed the messages published while it did not listen.
    listener.wake();
    await reading;
  }

  /** Reconnects, unless Kafka refused only our messages: then the connection still works for reading. */
  #failed(connection: TopicConnection, error: unknown): void {
    if (isCode(error, 'TOPIC_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED', 'POLICY_VIOLATION', 'INVALID_RECORD', ...TOO_LARGE_CODES)) this.#availability.refused(error);
    else connection.fail(error);
  }
}

function noteTo(instance: string): Buffer {
  return Buffer.from(`note:${instance}`);
}
