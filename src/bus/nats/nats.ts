import { connect, NoRespondersError, PermissionViolationError, RequestError, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { randomBytes } from 'node:crypto';
import { readNatsUrl, type NatsLocation } from '../../config/nats-url.ts';
import type { Message } from '../../model/message.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import { waitAtMost, type Clock } from '../../runtime/clock.ts';
import type { Counters } from '../../runtime/counters.ts';
import type { Logger } from '../../runtime/logging/logger.ts';
import { Availability } from '../availability.ts';
import type { Bus, BusListener, BusState } from '../bus.ts';
import { encode, envelopesOf, SENDER_BYTES, type Carried } from '../envelope.ts';
import { Incoming } from '../incoming.ts';
import { encodeNote } from '../note-envelope.ts';

/**
 * The bus of several instances, over subjects of NATS (core NATS, at most once). Commits come in and leave as messages of one subject; notes have subjects of their own.
 * A NATS that is away, frozen or refuses us delays messages between instances, and nothing else.
 */

/** The most bytes that are published and not yet confirmed. Stops a NATS that is slow, paused or gone from filling the memory. */
const UNCONFIRMED_MAX_BYTES = 8 * 1024 * 1024;

/** An estimate of the memory of a message besides its envelope, so that many small messages reach the bound above too. */
const PUBLISH_OVERHEAD_BYTES = 1024;

/** The prefix of the subjects of answers. We answer only there: a stranger could name any other subject for the answer. */
const INBOX_PREFIX = '_INBOX.';

/** How long to wait for the answer of an instance that got a note to it alone. */
const PRESENT_MAX_MS = 1_000;

/** How long `close` waits until NATS confirms the last messages. Stops a frozen NATS from delaying the end of the process. */
const NATS_CLOSE_MAX_MS = 500;

export interface NatsBusOptions {
  /** Servers of one cluster: see `readNatsUrl`. */
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

export class NatsBus implements Bus {
  readonly #location: NatsLocation;
  readonly #clock: Clock;
  readonly #counters: Pick<Counters, 'busRefused'>;
  readonly #logger: Pick<Logger, 'info' | 'warn'>;
  readonly #availability: Availability;
  readonly #sender = randomBytes(SENDER_BYTES);
  #joined: Joined | undefined;
  /** The connection that can be used. */
  #connection: NatsConnection | undefined;
  /** A connection whose subscriptions are not active yet. */
  #opening: NatsConnection | undefined;
  /** The bytes published on this connection and not confirmed yet. */
  #unconfirmedBytes = 0;
  #isConfirming = false;
  /** The last error that NATS reported on this connection. */
  #lastError: unknown;
  #isClosed = false;

  /** Throws if the URL is not a URL of NATS; the error repeats nothing of it. */
  constructor({ url, clock, counters, logger }: NatsBusOptions) {
    this.#location = readNatsUrl(url);
    this.#clock = clock;
    this.#counters = counters;
    this.#logger = logger;
    this.#availability = new Availability({ server: 'NATS', clock, logger, connect: () => void this.#connect(this.#joined!) });
  }

  get state(): BusState {
    return this.#availability.state;
  }

  /** NATS does not report it. */
  get receivers(): undefined {
    return undefined;
  }

  join(logId: string, listener: BusListener): void {
    this.#joined = { logId, listener, incoming: new Incoming({ listener, sender: this.#sender, server: 'NATS', clock: this.#clock, counters: this.#counters, logger: this.#logger }) };
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

  #send(carried: Carried | undefined): void {
    const joined = this.#joined;
    if (joined !== undefined) this.#dispatch(commitsOf(joined.logId), carried?.bytes ?? 0, () => encode(this.#sender, carried));
  }

  tell(note: string, to?: string, reached?: (listening: number) => void): void {
    const joined = this.#joined;
    if (joined === undefined || this.state !== 'up') return;
    const bytes = encodeNote(note, this.#sender, joined.incoming.keys, joined.listener.sealing());
    if (bytes === undefined) return;
    const subject = to === undefined ? notesOf(joined.logId) : notesTo(joined.logId, to);
    // `reached` works on a single server only: the servers of a cluster learn of each other's subscribers late.
    if (to === undefined || reached === undefined || this.#connection?.info?.cluster !== undefined) this.#dispatch(subject, bytes.length, () => bytes);
    else this.#dispatch(subject, bytes.length, () => bytes, (connection) => this.#request(connection, subject, bytes, reached));
  }

  /** Invariant 6: drops the envelope if the bus is away or too much is unconfirmed. Other instances find its messages at their next look at the log. */
  #dispatch(subject: string, length: number, bytes: () => Buffer, send = (connection: NatsConnection): void => connection.publish(subject, bytes())): void {
    const connection = this.#connection;
    const cost = PUBLISH_OVERHEAD_BYTES + length;
    if (connection === undefined || this.#unconfirmedBytes + cost > UNCONFIRMED_MAX_BYTES) return;
    // Larger than the server accepts: send a "look at the head" instead.
    if (length + PUBLISH_OVERHEAD_BYTES > (connection.info?.max_payload ?? Infinity)) {
      if (length > 0) this.#send(undefined);
      return;
    }
    try {
      send(connection);
    } catch (error) {
      // The client throws if the connection has just closed, or its server sent invalid INFO.
      return this.#refused(connection, error);
    }
    this.#unconfirmedBytes += cost;
    this.#confirm(connection);
  }

  /** Publishes a note and waits for an answer of its receiver. NATS reports if there is no receiver. */
  #request(connection: NatsConnection, subject: string, bytes: Buffer, reached: (listening: number) => void): void {
    connection.request(subject, bytes, { timeout: PRESENT_MAX_MS }).then(
      () => reached(1),
      (error: unknown) => {
        if (error instanceof RequestError && error.isNoResponders() || error instanceof NoRespondersError) reached(0);
      },
    );
  }

  /** Sends a PING after the last publish. When its PONG comes, NATS has all messages before it. */
  #confirm(connection: NatsConnection): void {
    if (this.#isConfirming) return;
    this.#isConfirming = true;
    const covered = this.#unconfirmedBytes;
    connection.flush().then(() => {
      if (connection !== this.#connection) return;
      this.#isConfirming = false;
      this.#unconfirmedBytes -= covered;
      if (this.#unconfirmedBytes > 0) this.#confirm(connection);
    }, () => undefined);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#joined?.incoming.stop();
    this.#availability.close();
    void this.#opening?.close();
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection !== undefined) await waitAtMost(NATS_CLOSE_MAX_MS, connection.flush().then(() => connection.close(), () => connection.close()));
    void connection?.close();
  }

  async #connect(joined: Joined): Promise<void> {
    let connection: NatsConnection | undefined;
    try {
      connection = await connect(optionsFor(this.#location));
      if (this.#isClosed) return void connection.close();
      this.#opening = connection;
      void this.#watch(connection);
      this.#subscribe(connection, joined);
      // `flush` resolves when the subscriptions are active. On a connection that has closed it never does.
      await Promise.race([connection.flush(), connection.closed()]);
    } catch (error) {
      void connection?.close();
      return this.#availability.lost(error);
    } finally {
      this.#opening = undefined;
    }
    if (this.#isClosed || connection.isClosed() || this.#lastError !== undefined) {
      void connection.close();
      return this.#availability.lost(this.#lastError);
    }
    this.#connection = connection;
    this.#unconfirmedBytes = 0;
    this.#isConfirming = false;
    this.#availability.connected();
    // This instance missed the messages published while it did not listen.
    joined.listener.wake();
  }

  #subscribe(connection: NatsConnection, { logId, listener, incoming }: Joined): void {
    const hear = (subject: string, take: (payload: Buffer) => boolean | void): void => {
      connection.subscribe(subject, { callback: (error: Error | null, message: Msg) => {
        if (this.#isClosed) return;
        // NATS refused a subscription: a new connection tries again, later each time.
        if (error !== null) {
          this.#lastError = error;
          return void connection.close();
        }
        const isProved = take(Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength));
        // Answer only proved notes, and only in an inbox. A subject that a stranger chose may be forbidden to us, or make instances answer each other.
        if (isProved === true && message.reply?.startsWith(INBOX_PREFIX) === true) message.respond();
      } });
    };
    hear(commitsOf(logId), (payload) => incoming.commit(payload));
    hear(notesOf(logId), (payload) => void incoming.note(payload));
    hear(notesTo(logId, listener.instance), (payload) => incoming.note(payload));
  }

  async #watch(connection: NatsConnection): Promise<void> {
    this.#lastError = undefined;
    const statuses = (async () => {
      for await (const status of connection.status()) {
        if (status.type !== 'error') continue;
        this.#lastError = status.error;
        if (status.error instanceof PermissionViolationError && status.error.operation === 'publish') this.#refused(connection, status.error);
      }
    })();
    const error = await connection.closed();
    await statuses;
    if (connection !== this.#connection) return;
    this.#connection = undefined;
    this.#availability.lost(error ?? this.#lastError);
  }

  #refused(connection: NatsConnection, error: unknown): void {
    if (connection === this.#connection) this.#availability.refused(error);
  }
}

function commitsOf(logId: string): string {
  return `tidings.${logId}.commits`;
}

function notesOf(logId: string): string {
  return `tidings.${logId}.notes`;
}

function notesTo(logId: string, instance: string): string {
  return `tidings.${logId}.notes.to.${instance}`;
}
