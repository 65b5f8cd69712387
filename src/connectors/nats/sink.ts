import { jetstream, JetStreamApiError, type JetStreamClient } from '@nats-io/jetstream';
import { connect, headers as natsHeaders, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import { UnsendableMessage, type Outgoing, type Sink } from '../transport.ts';

/** How long JetStream may take to store a message. Stops a server that hangs from keeping a sink for ever. */
const STORED_MAX_MS = 5_000;
/** What headers take at most, beside the data, in a message that just fits. */
const HEADERS_MAX_BYTES = 4 * 1024;
/** The error of JetStream for a message that is larger than its stream takes. */
const STREAM_MESSAGE_TOO_LARGE_CODE = 10_054;

export interface NatsSinkOptions {
  readonly location: NatsLocation;
  /** Whether a stream stores the messages, and says so. */
  readonly isStored: boolean;
}

export async function openNatsSink({ location, isStored }: NatsSinkOptions): Promise<Sink> {
  return new NatsSink(await connect(optionsFor(location)), isStored);
}

/** Publishes messages one after the other: the next one is sent when JetStream has the one before, so that none overtakes it. */
class NatsSink implements Sink {
  readonly lost: Promise<Error | void>;
  readonly #connection: NatsConnection;
  readonly #jetstream: JetStreamClient | undefined;

  constructor(connection: NatsConnection, isStored: boolean) {
    this.#connection = connection;
    this.#jetstream = isStored ? jetstream(connection, { timeout: STORED_MAX_MS }) : undefined;
    this.lost = connection.closed();
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

  /** The PONG behind them says that the server has them. Whether anybody listens, it does not say. */
  async #publishAll(messages: readonly Outgoing[], sent: () => void): Promise<void> {
    let published = 0;
    try {
      for (const message of messages) {
        this.#check(message);
        this.#connection.publish(message.target, message.data, { headers: headersOf(message) });
        published += 1;
      }
    } finally {
      await this.#connection.flush();
      for (let count = 0; count < published; count++) sent();
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #store(client: JetStreamClient, { id, target, data }: Outgoing, headers: MsgHdrs): Promise<void> {
    try {
      await client.publish(target, data, { msgID: id, headers });
    } catch (error) {
      if (error instanceof JetStreamApiError && error.apiError().err_code === STREAM_MESSAGE_TOO_LARGE_CODE) throw new UnsendableMessage(error.message, { cause: error });
      throw error;
    }
  }

  #check({ target, data }: Outgoing): void {
    if (/^\.|\.\.|\.$|[\s*>]/.test(target)) throw new UnsendableMessage('the subject is no subject of NATS');
    if (target.startsWith('$') || target.startsWith('_INBOX.')) throw new UnsendableMessage('the subject belongs to NATS itself');
    const most = (this.#connection.info?.max_payload ?? Infinity) - HEADERS_MAX_BYTES;
    if (data.length > most) throw new UnsendableMessage(`it is larger than the server takes (${most} bytes)`);
  }
}

function headersOf({ headers }: Outgoing): MsgHdrs {
  const made = natsHeaders();
  for (const [name, value] of Object.entries(headers)) made.set(name, value);
  return made;
}
