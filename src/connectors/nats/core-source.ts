import { connect, type NatsConnection } from '@nats-io/transport-node';
import type { NatsLocation } from '../../config/nats-url.ts';
import { optionsFor } from '../../nats/connection-options.ts';
import type { Reading, Source, SourceRecord } from '../transport.ts';
import { recordOf } from './record.ts';

/** What is heard and not stored yet. NATS sends whether or not we keep up: beyond these bounds records are lost, and counted, and the memory stays flat. */
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

/** Listens to subjects, at most once: what is published while nobody listens, or faster than the log takes it, is lost. */
class CoreSource implements Source {
  readonly #connection: NatsConnection;
  readonly #subjects: readonly string[];
  #heard: SourceRecord[] = [];
  #heardBytes = 0;
  #wake: () => void = () => undefined;

  constructor(connection: NatsConnection, subjects: readonly string[]) {
    this.#connection = connection;
    this.#subjects = subjects;
  }

  async read(reading: Reading): Promise<void> {
    const { signal } = reading;
    let ended: unknown;
    const end = (reason: unknown): void => {
      ended ??= reason;
      this.#wake();
    };
    const stop = (): void => end('stopped');
    signal.addEventListener('abort', stop, { once: true });
    void this.#connection.closed().then((error) => end(error ?? new Error('the connection was closed')));
    for (const subject of this.#subjects) {
      this.#connection.subscribe(subject, { callback: (error, message) => {
        if (error !== null) end(error);
        else this.#hear(recordOf(message, undefined), reading);
      } });
    }
    try {
      // Its PONG comes when the subscriptions hold.
      await Promise.race([this.#connection.flush(), this.#connection.closed()]);
      if (ended === undefined && !signal.aborted) reading.up();
      while (ended === undefined && !signal.aborted) {
        if (this.#heard.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
        const records = this.#heard;
        this.#heard = [];
        this.#heardBytes = 0;
        if (records.length > 0) await reading.take(records);
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
    if (!signal.aborted) throw ended;
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  #hear(record: SourceRecord, reading: Reading): void {
    if (this.#heard.length >= HEARD_MAX_RECORDS || this.#heardBytes + record.data.length > HEARD_MAX_BYTES) {
      reading.lost(1);
      return;
    }
    this.#heard.push(record);
    this.#heardBytes += record.data.length;
    this.#wake();
  }
}
