import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import type { Reading, Source, SourceRecord } from '../transport.ts';
import { Inbox } from './inbox.ts';
import { recordOf } from './record.ts';

/** Bounds the received records that are not stored yet. NATS has no backpressure here: records beyond these bounds are lost, and counted. */
const HEARD_MAX_RECORDS = 10_000;
const HEARD_MAX_BYTES = 8 * 1024 * 1024;

export interface CoreSourceOptions {
  readonly location: NatsLocation;
  readonly subjects: readonly string[];
  readonly signal: AbortSignal;
}

export async function openCoreSource({ location, subjects }: CoreSourceOptions): Promise<Source> {
  return new CoreSource(await connect(optionsFor(location)), subjects);
}

/** Subscribes to subjects, at most once. Messages are lost while no instance is subscribed, or if they come faster than the log stores them. */
class CoreSource implements Source {
  readonly #connection: NatsConnection;
  readonly #subjects: readonly string[];
  readonly #inbox = new Inbox<SourceRecord>({ keeps: true });
  #heardBytes = 0;

  constructor(connection: NatsConnection, subjects: readonly string[]) {
    this.#connection = connection;
    this.#subjects = subjects;
  }

  async read(reading: Reading): Promise<void> {
    const { signal } = reading;
    const stop = (): void => this.#inbox.end();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    void this.#connection.closed().then((error) => this.#inbox.end(error instanceof Error ? error : new Error('the connection was closed')));
    for (const subject of this.#subjects) {
      this.#connection.subscribe(subject, { callback: (error, message) => {
        if (error !== null) this.#inbox.end(error);
        else this.#hear(recordOf(message, undefined), reading);
      } });
    }
    try {
      // `flush` resolves with the server's PONG, after which the subscriptions are in force.
      await Promise.race([this.#connection.flush(), this.#connection.closed()]);
      if (!this.#connection.isClosed()) reading.up();
      for (let records = await this.#inbox.take(); records.length > 0; records = await this.#inbox.take()) {
        this.#heardBytes = 0;
        await reading.take(records);
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #hear(record: SourceRecord, reading: Reading): void {
    const bytes = bytesOf(record);
    if (this.#inbox.length >= HEARD_MAX_RECORDS || this.#heardBytes + bytes > HEARD_MAX_BYTES) {
      reading.lost(1);
      return;
    }
    this.#heardBytes += bytes;
    this.#inbox.push(record);
  }
}

/** Counts headers too: a message may have only headers. */
function bytesOf({ data, headers }: SourceRecord): number {
  return Object.entries(headers).reduce((sum, [name, value = '']) => sum + name.length + value.length, data.length);
}
