import { jetstream, JetStreamApiError, type JetStreamClient } from '@nats-io/jetstream';
import { connect, headers as natsHeaders, PermissionViolationError, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import { setImmediate as turn } from 'node:timers/promises';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import { UnsendableMessage, type Outgoing, type Sink } from '../transport.ts';
import { whyNoSubject } from './subject.ts';

/** How long JetStream may take to store a message. Stops a server that hangs from keeping a sink for ever. */
const STORED_MAX_MS = 5_000;
/** The most bytes of headers, beside the data, in a message that just fits. */
const HEADERS_MAX_BYTES = 5 * 1024;
/** The error of JetStream for a message that is larger than its stream takes. */
const STREAM_MESSAGE_TOO_LARGE_CODE = 10_054;

export interface NatsSinkOptions {
  readonly location: NatsLocation;
  /** The name of the connector. */
  readonly name: string;
  /** Whether a stream stores the messages, and says so. */
  readonly isStored: boolean;
}

export async function openNatsSink({ location, name, isStored }: NatsSinkOptions): Promise<Sink> {
  return new NatsSink(await connect(optionsFor(location)), name, isStored);
}

/** Publishes messages one after the other: the next one is sent when JetStream has the one before, so that none overtakes it. */
class NatsSink implements Sink {
  readonly lost: Promise<Error | void>;
  readonly #connection: NatsConnection;
  readonly #name: string;
  readonly #jetstream: JetStreamClient | undefined;
  /** Subjects that this user may not publish to: the server drops such a message, and says so. */
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

  /** The PONG after them says that the server has them, apart from those that it refused before. Whether anybody listens, it does not say. */
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
    // The client hands refusals over later in the same turn.
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
      // A stream takes each id once, whatever the subject: two sinks may send one message to two subjects of a stream.
      await client.publish(target, data, { msgID: `${this.#name}.${id}`, headers });
    } catch (error) {
      if (error instanceof JetStreamApiError && error.apiError().err_code === STREAM_MESSAGE_TOO_LARGE_CODE) throw new UnsendableMessage(error.message, { cause: error });
      // The client takes a subject without a stream for a server without JetStream, and does not export the class of this error.
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
