import { jetstream, JetStreamApiError, type JetStreamClient } from '@nats-io/jetstream';
import { connect, headers as natsHeaders, PermissionViolationError, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { setImmediate as turn } from 'node:timers/promises';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import { UnsendableMessage, type Outgoing, type Sink } from '../transport.ts';
import { whyNoSubject } from './subject.ts';

/** How long JetStream may take to store a message. Stops a server that hangs from keeping a sink for ever. */
const STORED_MAX_MS = 5_000;
/** The room for headers in the server's largest message; the rest is for data. */
const HEADERS_MAX_BYTES = 5 * 1024;
/** JetStream's error for a message that exceeds the limit of its stream. */
const STREAM_MESSAGE_TOO_LARGE_CODE = 10_054;

export interface NatsSinkOptions {
  readonly location: NatsLocation;
  /** The name of the connector. */
  readonly name: string;
  /** Whether a stream stores and acknowledges the messages. */
  readonly isStored: boolean;
}

export async function openNatsSink({ location, name, isStored }: NatsSinkOptions): Promise<Sink> {
  return new NatsSink(await connect(optionsFor(location)), name, isStored);
}

/** Publishes messages in order. With JetStream, it sends a message only after JetStream has stored the message before. */
class NatsSink implements Sink {
  readonly lost: Promise<Error | void>;
  readonly #connection: NatsConnection;
  readonly #name: string;
  readonly #jetstream: JetStreamClient | undefined;
  /** Subjects that this user may not publish to. The server reports the refusal later, and drops the message. */
  readonly #refused = new Map<string, PermissionViolationError>();

  constructor(connection: NatsConnection, name: string, isStored: boolean) {
    this.#connection = connection;
    this.#name = name;
    this.#jetstream = isStored ? jetstream(connection, { timeout: STORED_MAX_MS }) : undefined;
    this.lost = connection.closed();
    if (!isStored) void this.#watch();
  }

  send(messages: readonly Outgoing[], sent: () => void): Promise<void> {
    return this.#jetstream === undefined ? this.#publishAll(messages, sent) : this.#storeAll(this.#jetstream, messages, sent);
  }

  async #storeAll(client: JetStreamClient, messages: readonly Outgoing[], sent: () => void): Promise<void> {
    for (const message of messages) {
      this.#check(message);
      await this.#store(client, message, headersOf(message));
      sent();
    }
  }

  /** Publishes without JetStream. The PONG of `flush` shows that the server has processed the messages, but not that anybody is subscribed. */
  async #publishAll(messages: readonly Outgoing[], sent: () => void): Promise<void> {
    this.#refused.clear();
    const published: Outgoing[] = [];
    try {
      for (const message of messages) {
        this.#check(message);
        this.#connection.publish(message.target, message.data, { headers: headersOf(message) });
        published.push(message);
      }
    } finally {
      await this.#confirm(published, sent);
    }
  }

  async #confirm(published: readonly Outgoing[], sent: () => void): Promise<void> {
    await this.#connection.flush();
    // The client reports refusals later in the same turn of the event loop.
    await turn();
    for (const { target } of published) {
      const refusal = this.#refused.get(target);
      if (refusal !== undefined) throw refusal;
      sent();
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.#connection.status()) {
      if (status.type === 'error' && status.error instanceof PermissionViolationError && status.error.operation === 'publish') this.#refused.set(status.error.subject, status.error);
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #store(client: JetStreamClient, { id, target, data }: Outgoing, headers: MsgHdrs): Promise<void> {
    try {
      // A stream stores each id once, whatever its subject. The sink's name keeps apart two sinks that send one message to two subjects of a stream.
      await client.publish(target, data, { msgID: `${this.#name}.${id}`, headers });
    } catch (error) {
      if (error instanceof JetStreamApiError && error.apiError().err_code === STREAM_MESSAGE_TOO_LARGE_CODE) throw new UnsendableMessage(error.message, { cause: error });
      // The client throws this error also if no stream has the subject. It does not export the error's class.
      if (error instanceof Error && error.name === 'JetStreamNotEnabled') throw new Error(`no stream stores the subject ${target}: add one, or declare the sink with "jetstream": false`, { cause: error.cause });
      throw error;
    }
  }

  #check({ target, data }: Outgoing): void {
    const fault = whyNoSubject(target);
    if (fault !== undefined) throw new UnsendableMessage(fault);
    const most = (this.#connection.info?.max_payload ?? Infinity) - HEADERS_MAX_BYTES;
    if (data.length > most) throw new UnsendableMessage(`it is larger than the server takes (${most} bytes)`);
  }
}

function headersOf({ id, headers }: Outgoing): MsgHdrs {
  const made = natsHeaders();
  for (const [name, value] of Object.entries({ 'tidings-id': id, ...headers })) made.set(name, value);
  return made;
}
